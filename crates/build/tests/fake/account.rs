//! An account in memory: as strict as the steps need it, with faults by call.

use super::iam::{FakeIam, IamStore, unknown_profile};
use super::network::{Network, matches};
use async_trait::async_trait;
use cloud::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EC2 refuses it.
    Refused(ErrorKind),
    /// It happens, and the reply is lost.
    LostReply,
}

/// A parameter as the service keeps it.
#[derive(Clone, Debug)]
pub struct Written {
    pub value: String,
    pub version: i64,
    pub at: Option<Timestamp>,
}

#[derive(Default)]
pub struct Store {
    pub instances: BTreeMap<String, Instance>,
    pub tokens: BTreeMap<String, String>,
    pub key_pairs: BTreeMap<String, KeyPairDescription>,
    pub groups: BTreeMap<String, SecurityGroup>,
    pub images: BTreeMap<String, Image>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub addresses: BTreeMap<String, Address>,
    pub network: Network,
    pub iam: IamStore,
    /// What images were looked for by.
    pub searches: Vec<ImageFilter>,
    /// What CopyImage was asked for.
    pub copies: Vec<CopyRequest>,
    /// What CreateImage was asked for.
    pub captures: Vec<ImageRequest>,
    /// What AuthorizeSecurityGroupIngress was asked for.
    pub ingress: Vec<IngressRule>,
    pub parameters: BTreeMap<String, Written>,
    /// The service's clock; without one, parameters never age.
    pub clock: Option<Arc<dyn Clock>>,
    pub shared: Vec<String>,
    pub console: String,
    /// Instances bind the address that was leased, as their user-data would.
    pub binds_by_itself: bool,
    /// How many calls about instances pass until a new one shows.
    pub shows_late: u32,
    /// Images end in this state.
    pub image_fails: bool,
    pub calls: Vec<&'static str>,
    /// What RunInstances was asked for.
    pub launches: Vec<LaunchRequest>,
    pub faults: Vec<(&'static str, Fault)>,
    /// Calls that are refused every time.
    pub denied: Vec<&'static str>,
    /// Addresses and the instances that they were bound to, in order.
    pub bound: Vec<(String, String)>,
    /// How many addresses were bound at once.
    pub most_bound: usize,
    next: u64,
}

/// The account, and its only region.
#[derive(Clone)]
pub struct FakeAccount {
    pub store: Arc<Mutex<Store>>,
    name: RegionName,
}

impl FakeAccount {
    pub fn new() -> Self {
        let mut store = Store::default();
        let default = SecurityGroup {
            group_id: "sg-default".into(),
            name: "default".into(),
            vpc_id: Some("vpc-1".into()),
            tags: Tags::new(),
        };
        store.groups.insert("sg-default".into(), default);
        let address = Address {
            allocation_id: "eipalloc-1".into(),
            public_ip: Ipv4Addr::new(198, 51, 100, 9),
            binding: None,
            tags: Tags::new(),
        };
        store.addresses.insert("eipalloc-1".into(), address);
        Self {
            store: Arc::new(Mutex::new(store)),
            name: "us-east-2".into(),
        }
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// Everything that a run may have made and that is still there.
    pub fn holdings(&self) -> Vec<String> {
        let store = self.store();
        let alive = store
            .instances
            .values()
            .filter(|i| !i.state.is_ending())
            .map(|i| i.instance_id.to_string());
        let groups = store
            .groups
            .keys()
            .filter(|id| *id != "sg-default")
            .cloned();
        let bound = store
            .addresses
            .values()
            .filter(|a| a.binding.is_some())
            .map(|a| format!("binding of {}", a.allocation_id));
        alive
            .chain(store.key_pairs.keys().cloned())
            .chain(groups)
            .chain(store.images.keys().cloned())
            .chain(store.snapshots.keys().cloned())
            .chain(store.parameters.keys().cloned())
            .chain(store.iam.holdings())
            .chain(bound)
            .collect()
    }

    /// Counts the call, and tells what goes wrong with it.
    pub fn call(&self, operation: &'static str) -> Result<Option<CloudError>, CloudError> {
        let mut store = self.store();
        store.calls.push(operation);
        if store.denied.contains(&operation) {
            return Err(error(operation, ErrorKind::AccessDenied));
        }
        let position = store.faults.iter().position(|(of, _)| *of == operation);
        match position.map(|at| store.faults.remove(at).1) {
            None => Ok(None),
            Some(Fault::Refused(kind)) => Err(error(operation, kind)),
            Some(Fault::LostReply) => Ok(Some(error(operation, ErrorKind::Transient))),
        }
    }

    fn id(&self, prefix: &str) -> String {
        let mut store = self.store();
        store.next += 1;
        format!("{prefix}-{}", store.next)
    }
}

pub fn error(operation: &'static str, kind: ErrorKind) -> CloudError {
    CloudError {
        operation,
        resource: None,
        kind,
        code: format!("{kind:?}"),
        message: "injected".into(),
        request_id: None,
    }
}

pub fn lost<T>(value: T, fault: Option<CloudError>) -> Result<T, CloudError> {
    fault.map_or(Ok(value), Err)
}

/// A parameter as it is described, with its age by the service's clock.
fn shown(store: &Store, name: &str, written: &Written) -> Parameter {
    let now = store.clock.as_ref().map(|clock| clock.now());
    let age = match (written.at, now) {
        (Some(at), Some(now)) => cloud::clock::between(at, now),
        _ => Duration::ZERO,
    };
    Parameter {
        kind: cloud::ParameterKind::Text,
        name: name.into(),
        value: written.value.clone(),
        version: written.version,
        age,
    }
}

fn fits(tags: &Tags, filters: &[(String, Vec<String>)], named: &[(&str, &str)]) -> bool {
    filters.iter().all(|(key, values)| {
        if let Some(tag) = key.strip_prefix("tag:") {
            return tags
                .get(tag)
                .is_some_and(|value| values.iter().any(|v| matches(v, value)));
        }
        named
            .iter()
            .find(|(name, _)| name == key)
            .is_none_or(|(_, value)| values.iter().any(|v| matches(v, value)))
    })
}

#[async_trait]
impl Account for FakeAccount {
    async fn caller_identity(&self) -> Result<CallerIdentity, CloudError> {
        self.call("GetCallerIdentity")?;
        Ok(CallerIdentity {
            account: "123456789012".into(),
            arn: "arn:aws:iam::123456789012:user/tester".into(),
        })
    }

    async fn credentials_expiry(&self) -> Result<Option<Timestamp>, CloudError> {
        Ok(None)
    }

    fn iam(&self) -> Arc<dyn Iam> {
        Arc::new(FakeIam(self.clone()))
    }

    fn region(&self, _name: &RegionName) -> Arc<dyn Region> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Region for FakeAccount {
    fn name(&self) -> &RegionName {
        &self.name
    }

    async fn images(&self, filter: &ImageFilter) -> Result<Vec<Image>, CloudError> {
        self.call("DescribeImages")?;
        let mut store = self.store();
        store.searches.push(filter.clone());
        let now = store.clock.as_ref().map(|clock| clock.now());
        let fails = store.image_fails;
        let found: Vec<String> = store.images.keys().cloned().collect();
        let mut fitting = Vec::new();
        for id in found {
            let Some(image) = store.images.get_mut(&id) else {
                continue;
            };
            // Another's deprecated image shows only to those who ask for such, or for it by its id.
            let others = image
                .owner
                .as_ref()
                .is_some_and(|owner| owner.as_str() != "123456789012");
            let hidden = others && image.deprecated.is_some_and(|at| Some(at) <= now);
            let wanted = if filter.image_ids.is_empty() {
                filter.include_deprecated || !hidden
            } else {
                filter.image_ids.contains(&image.image_id)
            };
            if wanted
                && fits(
                    &image.tags,
                    &filter.filters,
                    &[("name", &image.name), ("image-id", id.as_str())],
                )
            {
                fitting.push(image.clone());
                // The next look finds it further on.
                if image.state == ImageState::Pending {
                    image.state = if fails {
                        ImageState::Failed
                    } else {
                        ImageState::Available
                    };
                }
            }
        }
        Ok(fitting)
    }

    async fn copy_image(&self, request: &CopyRequest) -> Result<ImageId, CloudError> {
        let fault = self.call("CopyImage")?;
        self.store().copies.push(request.clone());
        let known = self.store().tokens.get(&request.client_token).cloned();
        let is_new = known.is_none();
        let id = ImageId::new(known.unwrap_or_else(|| self.id("ami")));
        let snapshot = SnapshotId::new(self.id("snap"));
        let mut store = self.store();
        let source = store.images.get(request.source_image.as_str()).cloned();
        let source = source.ok_or_else(|| error("CopyImage", ErrorKind::NotFound))?;
        if is_new {
            let taken = store
                .images
                .values()
                .any(|image| image.name == request.name);
            if taken {
                return Err(error("CopyImage", ErrorKind::Duplicate));
            }
            let copy = Image {
                image_id: id.clone(),
                name: request.name.clone(),
                description: request.description.clone(),
                state: ImageState::Pending,
                owner: Some("123456789012".into()),
                created: Some(Timestamp::from_second(1_790_000_000).unwrap()),
                snapshots: vec![snapshot.clone()],
                tags: request.image_tags.clone(),
                ..source
            };
            let made = Snapshot {
                volume_gib: 8,
                snapshot_id: snapshot.clone(),
                state: SnapshotState::Pending,
                progress_percent: 50,
                description: String::new(),
                started: None,
                tags: request.snapshot_tags.clone(),
            };
            store
                .tokens
                .insert(request.client_token.clone(), id.to_string());
            store.images.insert(id.to_string(), copy);
            store.snapshots.insert(snapshot.to_string(), made);
        }
        drop(store);
        lost(id, fault)
    }

    async fn create_image(&self, request: &ImageRequest) -> Result<ImageId, CloudError> {
        let fault = self.call("CreateImage")?;
        self.store().captures.push(request.clone());
        if self
            .store()
            .images
            .values()
            .any(|image| image.name == request.name)
        {
            return Err(error("CreateImage", ErrorKind::Duplicate));
        }
        let stopped = self
            .store()
            .instances
            .get(request.instance_id.as_str())
            .map(|i| i.state);
        assert_eq!(
            stopped,
            Some(InstanceState::Stopped),
            "only a stopped instance is captured"
        );
        let (id, snapshot) = (
            ImageId::new(self.id("ami")),
            SnapshotId::new(self.id("snap")),
        );
        let mut store = self.store();
        store.snapshots.insert(
            snapshot.to_string(),
            Snapshot {
                volume_gib: 8,
                snapshot_id: snapshot.clone(),
                state: SnapshotState::Pending,
                progress_percent: 50,
                description: String::new(),
                started: None,
                tags: request.snapshot_tags.clone(),
            },
        );
        let image = Image {
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: None,
            virtualization: "hvm".into(),
            volumes: Vec::new(),
            image_id: id.clone(),
            name: request.name.clone(),
            description: request.description.clone(),
            state: ImageState::Pending,
            state_reason: None,
            created: Some(Timestamp::from_second(1_790_000_000).unwrap()),
            owner: None,
            architecture: "x86_64".into(),
            root_device: Some("/dev/sda1".into()),
            snapshots: vec![snapshot],
            tags: request.image_tags.clone(),
        };
        store.images.insert(id.to_string(), image);
        drop(store);
        lost(id, fault)
    }

    async fn deregister_image(&self, image: &ImageId) -> Result<(), CloudError> {
        let fault = self.call("DeregisterImage")?;
        self.store().images.remove(image.as_str());
        lost((), fault)
    }

    async fn change_image_permissions(
        &self,
        image: &ImageId,
        _grant: Grant,
        permissions: &Permissions,
    ) -> Result<(), CloudError> {
        let fault = self.call("ModifyImageAttribute")?;
        self.store().shared.extend(
            permissions
                .accounts
                .iter()
                .map(|account| format!("{image} {account}")),
        );
        lost((), fault)
    }

    async fn snapshots(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<Snapshot>, CloudError> {
        self.call("DescribeSnapshots")?;
        Ok(self
            .store()
            .snapshots
            .values()
            .filter(|s| fits(&s.tags, filters, &[]))
            .cloned()
            .collect())
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), CloudError> {
        let fault = self.call("DeleteSnapshot")?;
        let mut store = self.store();
        if store
            .images
            .values()
            .any(|image| image.snapshots.contains(snapshot))
        {
            return Err(error("DeleteSnapshot", ErrorKind::Dependency));
        }
        store.snapshots.remove(snapshot.as_str());
        drop(store);
        lost((), fault)
    }

    async fn change_snapshot_permissions(
        &self,
        snapshot: &SnapshotId,
        _grant: Grant,
        permissions: &Permissions,
    ) -> Result<(), CloudError> {
        let fault = self.call("ModifySnapshotAttribute")?;
        self.store().shared.extend(
            permissions
                .accounts
                .iter()
                .map(|account| format!("{snapshot} {account}")),
        );
        lost((), fault)
    }

    async fn volumes(&self, _filters: &[(String, Vec<String>)]) -> Result<Vec<Volume>, CloudError> {
        self.call("DescribeVolumes")?;
        Ok(Vec::new())
    }

    async fn delete_volume(&self, _volume: &VolumeId) -> Result<(), CloudError> {
        let fault = self.call("DeleteVolume")?;
        lost((), fault)
    }

    async fn vpcs(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Vpc>, CloudError> {
        self.call("DescribeVpcs")?;
        Ok(self.store().network.vpcs(filters))
    }

    async fn subnets(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Subnet>, CloudError> {
        self.call("DescribeSubnets")?;
        Ok(self.store().network.subnets(filters))
    }

    async fn instance_types(
        &self,
        names: &[String],
    ) -> Result<Vec<InstanceTypeDescription>, CloudError> {
        self.call("DescribeInstanceTypes")?;
        Ok(self.store().network.instance_types(names))
    }

    async fn offerings(&self, instance_types: &[String]) -> Result<Vec<Offering>, CloudError> {
        self.call("DescribeInstanceTypeOfferings")?;
        Ok(self.store().network.offerings(instance_types))
    }

    async fn security_groups(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<SecurityGroup>, CloudError> {
        self.call("DescribeSecurityGroups")?;
        Ok(self
            .store()
            .groups
            .values()
            .filter(|g| {
                fits(
                    &g.tags,
                    filters,
                    &[
                        ("group-name", &g.name),
                        ("group-id", g.group_id.as_str()),
                        ("vpc-id", g.vpc_id.as_ref().map_or("", VpcId::as_str)),
                    ],
                )
            })
            .cloned()
            .collect())
    }

    async fn create_security_group(
        &self,
        name: &str,
        _description: &str,
        vpc: &VpcId,
        tags: &Tags,
    ) -> Result<SecurityGroupId, CloudError> {
        let fault = self.call("CreateSecurityGroup")?;
        if self.store().groups.values().any(|group| group.name == name) {
            return Err(error("CreateSecurityGroup", ErrorKind::Duplicate));
        }
        let id = SecurityGroupId::new(self.id("sg"));
        let group = SecurityGroup {
            group_id: id.clone(),
            name: name.into(),
            vpc_id: Some(vpc.clone()),
            tags: tags.clone(),
        };
        self.store().groups.insert(id.to_string(), group);
        lost(id, fault)
    }

    async fn authorize_ingress(
        &self,
        _group: &SecurityGroupId,
        rule: &IngressRule,
    ) -> Result<(), CloudError> {
        let fault = self.call("AuthorizeSecurityGroupIngress")?;
        self.store().ingress.push(rule.clone());
        lost((), fault)
    }

    async fn delete_security_group(&self, group: &SecurityGroupId) -> Result<(), CloudError> {
        let fault = self.call("DeleteSecurityGroup")?;
        let mut store = self.store();
        let used = store
            .instances
            .values()
            .any(|i| i.state != InstanceState::Terminated && i.security_groups.contains(group));
        if used {
            return Err(error("DeleteSecurityGroup", ErrorKind::Dependency));
        }
        store.groups.remove(group.as_str());
        drop(store);
        lost((), fault)
    }

    async fn key_pairs(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<KeyPairDescription>, CloudError> {
        self.call("DescribeKeyPairs")?;
        Ok(self
            .store()
            .key_pairs
            .values()
            .filter(|k| {
                fits(
                    &k.tags,
                    filters,
                    &[
                        ("key-name", &k.name),
                        ("key-pair-id", k.key_pair_id.as_str()),
                    ],
                )
            })
            .cloned()
            .collect())
    }

    async fn import_key_pair(
        &self,
        name: &str,
        public_key: &str,
        tags: &Tags,
    ) -> Result<KeyPairId, CloudError> {
        let fault = self.call("ImportKeyPair")?;
        assert!(
            public_key.starts_with("ssh-ed25519 "),
            "EC2 takes ed25519 and RSA only"
        );
        if self
            .store()
            .key_pairs
            .values()
            .any(|pair| pair.name == name)
        {
            return Err(error("ImportKeyPair", ErrorKind::Duplicate));
        }
        let id = KeyPairId::new(self.id("key"));
        let pair = KeyPairDescription {
            key_pair_id: id.clone(),
            name: name.into(),
            tags: tags.clone(),
        };
        self.store().key_pairs.insert(id.to_string(), pair);
        lost(id, fault)
    }

    async fn delete_key_pair(&self, key_pair: &KeyPairId) -> Result<(), CloudError> {
        let fault = self.call("DeleteKeyPair")?;
        self.store().key_pairs.remove(key_pair.as_str());
        lost((), fault)
    }

    async fn addresses(&self, filter: &AddressFilter) -> Result<Vec<Address>, CloudError> {
        self.call("DescribeAddresses")?;
        let mut store = self.store();
        let running = store
            .instances
            .values()
            .find(|i| i.state == InstanceState::Running)
            .map(|i| i.instance_id.clone());
        if let (true, Some(instance)) = (store.binds_by_itself, running) {
            for address in store
                .addresses
                .values_mut()
                .filter(|address| address.binding.is_none())
            {
                address.binding = Some(AddressBinding {
                    association_id: "eipassoc-1".into(),
                    instance_id: Some(instance.clone()),
                });
            }
        }
        Ok(store
            .addresses
            .values()
            .filter(|a| {
                let ids = &filter.allocation_ids;
                let wanted = ids.is_empty() || ids.contains(&a.allocation_id);
                let bound = a.binding.as_ref().and_then(|b| b.instance_id.as_ref());
                wanted
                    && fits(
                        &a.tags,
                        &filter.filters,
                        &[("instance-id", bound.map_or("", InstanceId::as_str))],
                    )
            })
            .cloned()
            .collect())
    }

    async fn associate_address(
        &self,
        allocation: &AllocationId,
        instance: &InstanceId,
    ) -> Result<AssociationId, CloudError> {
        let fault = self.call("AssociateAddress")?;
        let mut store = self.store();
        let address = store
            .addresses
            .get_mut(allocation.as_str())
            .ok_or_else(|| error("AssociateAddress", ErrorKind::NotFound))?;
        if address.binding.is_some() {
            return Err(error("AssociateAddress", ErrorKind::AddressInUse));
        }
        let id = AssociationId::new(format!("eipassoc-{instance}"));
        address.binding = Some(AddressBinding {
            association_id: id.clone(),
            instance_id: Some(instance.clone()),
        });
        let bound = (allocation.to_string(), instance.to_string());
        store.bound.push(bound);
        let now = store.addresses.values().filter(|a| a.binding.is_some());
        store.most_bound = store.most_bound.max(now.count());
        drop(store);
        lost(id, fault)
    }

    async fn disassociate_address(&self, association: &AssociationId) -> Result<(), CloudError> {
        let fault = self.call("DisassociateAddress")?;
        let mut store = self.store();
        store.binds_by_itself = false;
        for address in store.addresses.values_mut() {
            if address
                .binding
                .as_ref()
                .is_some_and(|b| b.association_id == *association)
            {
                address.binding = None;
            }
        }
        drop(store);
        lost((), fault)
    }

    async fn run_instance(&self, request: &LaunchRequest) -> Result<Instance, CloudError> {
        let fault = self.call("RunInstances")?;
        assert!(request.client_token.len() <= 64 && request.client_token.is_ascii());
        self.store().launches.push(request.clone());
        if let Some(name) = request
            .instance_profile
            .as_deref()
            .filter(|name| name.starts_with("qib-"))
        {
            let mut store = self.store();
            let ready = store
                .iam
                .profiles
                .get(name)
                .is_some_and(|kept| !kept.profile.roles.is_empty());
            if !ready || store.iam.unknown_to_ec2 > 0 {
                store.iam.unknown_to_ec2 = store.iam.unknown_to_ec2.saturating_sub(1);
                return Err(unknown_profile(name));
            }
        }
        let known = self.store().tokens.get(&request.client_token).cloned();
        let id = known.unwrap_or_else(|| self.id("i"));
        let instance = Instance {
            availability_zone: None,
            instance_type: request.instance_type.clone(),
            ipv6: request.ipv6.then(|| "2001:db8::5".parse().unwrap()),
            instance_id: InstanceId::new(id.clone()),
            state: InstanceState::Pending,
            state_reason: None,
            image_id: Some(request.image_id.clone()),
            public_ip: Some(Ipv4Addr::new(203, 0, 113, 50)),
            private_ip: Some(Ipv4Addr::new(172, 31, 0, 5)),
            vpc_id: Some("vpc-1".into()),
            security_groups: request.security_groups.clone(),
            launched: None,
            key_name: request.key_name.clone(),
            tags: request.tags.instance.clone(),
            purchase: request.purchase,
        };
        let mut store = self.store();
        store
            .tokens
            .insert(request.client_token.clone(), id.clone());
        store.instances.insert(id, instance.clone());
        drop(store);
        lost(instance, fault)
    }

    async fn instances(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, CloudError> {
        self.call("DescribeInstances")?;
        let mut store = self.store();
        if !store.instances.is_empty() && store.shows_late > 0 {
            store.shows_late -= 1;
            return Ok(Vec::new());
        }
        let tokens = store.tokens.clone();
        let mut found = Vec::new();
        for (id, instance) in &mut store.instances {
            let wanted = filter.instance_ids.is_empty()
                || filter.instance_ids.contains(&instance.instance_id);
            let token = tokens
                .iter()
                .find(|(_, of)| *of == id)
                .map_or("", |(token, _)| token.as_str());
            if wanted
                && fits(
                    &instance.tags,
                    &filter.filters,
                    &[("client-token", token), ("instance-id", id)],
                )
            {
                found.push(instance.clone());
                instance.state = match instance.state {
                    InstanceState::Pending => InstanceState::Running,
                    InstanceState::Stopping => InstanceState::Stopped,
                    InstanceState::ShuttingDown => InstanceState::Terminated,
                    state => state,
                };
            }
        }
        Ok(found)
    }

    async fn set_instance_groups(
        &self,
        instance: &InstanceId,
        groups: &[SecurityGroupId],
    ) -> Result<(), CloudError> {
        let fault = self.call("ModifyInstanceAttribute")?;
        if let Some(instance) = self.store().instances.get_mut(instance.as_str()) {
            instance.security_groups = groups.to_vec();
        }
        lost((), fault)
    }

    async fn stop_instance(&self, instance: &InstanceId) -> Result<(), CloudError> {
        let fault = self.call("StopInstances")?;
        if let Some(instance) = self.store().instances.get_mut(instance.as_str()) {
            instance.state = InstanceState::Stopping;
        }
        lost((), fault)
    }

    async fn terminate_instance(&self, instance: &InstanceId) -> Result<(), CloudError> {
        let fault = self.call("TerminateInstances")?;
        let mut store = self.store();
        if store.shows_late > 0 {
            store.shows_late -= 1;
            // As the adapter has it: what is not found is gone.
            return Ok(());
        }
        if let Some(known) = store.instances.get_mut(instance.as_str()) {
            known.state = InstanceState::ShuttingDown;
        }
        for address in store.addresses.values_mut() {
            if address
                .binding
                .as_ref()
                .is_some_and(|b| b.instance_id.as_ref() == Some(instance))
            {
                address.binding = None;
            }
        }
        drop(store);
        // A termination goes on by itself.
        if let Some(known) = self.store().instances.get_mut(instance.as_str()) {
            known.state = InstanceState::Terminated;
        }
        lost((), fault)
    }

    async fn console_output(&self, _instance: &InstanceId) -> Result<String, CloudError> {
        self.call("GetConsoleOutput")?;
        Ok(self.store().console.clone())
    }

    async fn create_tags(&self, resources: &[String], tags: &Tags) -> Result<(), CloudError> {
        let fault = self.call("CreateTags")?;
        let mut store = self.store();
        for resource in resources {
            if let Some(image) = store.images.get_mut(resource) {
                image.tags = image.tags.clone().merged(tags);
            }
            if let Some(instance) = store.instances.get_mut(resource) {
                instance.tags = instance.tags.clone().merged(tags);
            }
        }
        drop(store);
        lost((), fault)
    }

    async fn parameter(&self, name: &str) -> Result<Option<Parameter>, CloudError> {
        self.call("GetParameter")?;
        let store = self.store();
        Ok(store.parameters.get(name).map(|w| shown(&store, name, w)))
    }

    async fn parameters_below(
        &self,
        path: &str,
        depth: Depth,
    ) -> Result<Vec<Parameter>, CloudError> {
        self.call("GetParametersByPath")?;
        let store = self.store();
        let below = store.parameters.iter().filter(|(name, _)| {
            name.strip_prefix(path)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|rest| depth == Depth::All || !rest.contains('/'))
        });
        Ok(below.map(|(name, w)| shown(&store, name, w)).collect())
    }

    async fn put_parameter(
        &self,
        name: &str,
        value: &str,
        write: ParameterWrite,
    ) -> Result<i64, CloudError> {
        let fault = self.call("PutParameter")?;
        let mut store = self.store();
        let version = store.parameters.get(name).map_or(0, |w| w.version) + 1;
        if version > 1 && write == ParameterWrite::CreateOnly {
            return Err(error("PutParameter", ErrorKind::Duplicate));
        }
        let written = Written {
            value: value.into(),
            version,
            at: store.clock.as_ref().map(|clock| clock.now()),
        };
        store.parameters.insert(name.into(), written);
        drop(store);
        lost(version, fault)
    }

    async fn delete_parameter(&self, name: &str) -> Result<(), CloudError> {
        let fault = self.call("DeleteParameter")?;
        self.store().parameters.remove(name);
        lost((), fault)
    }
}

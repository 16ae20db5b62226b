//! An account in memory: as strict as the steps need it, with faults by call.

use super::blocks::Blocks;
use super::iam::FakeIam;
use super::import_tasks::Tasks;
use super::network::{Network, matches};
use super::objects::Buckets;
use async_trait::async_trait;
use cloud::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
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
    pub kind: ParameterKind,
}

#[derive(Default)]
pub struct Store {
    pub instances: BTreeMap<String, Instance>,
    pub tokens: BTreeMap<String, String>,
    pub key_pairs: BTreeMap<String, KeyPairDescription>,
    pub groups: BTreeMap<String, SecurityGroup>,
    pub images: BTreeMap<String, Image>,
    pub snapshots: BTreeMap<String, Snapshot>,
    /// The volumes of CreateSnapshots, by snapshot.
    pub snapshot_volumes: BTreeMap<String, VolumeId>,
    pub addresses: BTreeMap<String, Address>,
    pub network: Network,
    /// What images were looked for by.
    pub searches: Vec<ImageFilter>,
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
    /// IAM; only the home region's counts.
    pub iam: FakeIam,
    /// Who may use images and snapshots, by id; `shared` is the log of what was given.
    pub permissions: BTreeMap<String, Permissions>,
    /// What CreateImage was asked for.
    pub captures: Vec<ImageRequest>,
    /// What CopyImage was asked for.
    pub copies: Vec<CopyRequest>,
    /// What RegisterImage was asked for.
    pub registrations: Vec<RegisterRequest>,
    /// Images whose instances speak IMDSv2 only.
    pub imds_v2_required: BTreeSet<ImageId>,
    /// What was asked for of instances' networks.
    pub networking: BTreeMap<InstanceId, EnhancedNetworking>,
    pub last_launched: BTreeMap<ImageId, Timestamp>,
    pub launch_template_images: Vec<LaunchTemplateImage>,
    pub public_images: PublicSharing,
    pub public_snapshots: PublicSharing,
    /// Instance types that do not exist.
    pub unknown_types: Vec<String>,
    /// Instance types that no zone has.
    pub not_offered: Vec<String>,
    pub vpcs: Vec<Vpc>,
    /// Limits by service and code.
    pub quotas: BTreeMap<(String, String), Quota>,
    /// KMS keys by what they are asked for by.
    pub kms_keys: BTreeMap<String, KmsKey>,
    /// KMS keys that EBS may not be let use.
    pub ungranted_keys: Vec<String>,
    /// The content of snapshots.
    pub blocks: Blocks,
    /// So many looks at snapshots see none.
    pub snapshots_show_late: u32,
    /// Objects in S3.
    pub buckets: Buckets,
    /// Imports of objects.
    pub tasks: Tasks,
}

impl Store {
    /// What the region begins with.
    fn new() -> Self {
        let default = SecurityGroup {
            group_id: "sg-default".into(),
            name: "default".into(),
            vpc_id: Some("vpc-1".into()),
            tags: Tags::new(),
        };
        Self {
            groups: [("sg-default".into(), default)].into(),
            vpcs: vec![Vpc {
                vpc_id: "vpc-1".into(),
                is_default: true,
                tags: Tags::new(),
            }],
            ..Self::default()
        }
    }

    /// The service's time; a fixed one where it has no clock.
    pub fn now(&self) -> Option<Timestamp> {
        match &self.clock {
            Some(clock) => Some(clock.now()),
            None => Timestamp::from_second(1_790_000_000).ok(),
        }
    }
}

/// What all regions of an account share.
#[derive(Default)]
struct Regions {
    stores: Mutex<BTreeMap<RegionName, Arc<Mutex<Store>>>>,
    /// Counts ids, which are unique among all regions.
    next: AtomicU64,
}

/// The account, and one of its regions: the home region, unless it was asked for another one.
#[derive(Clone)]
pub struct FakeAccount {
    pub store: Arc<Mutex<Store>>,
    name: RegionName,
    regions: Arc<Regions>,
}

impl FakeAccount {
    pub fn new() -> Self {
        let mut store = Store::new();
        let address = Address {
            allocation_id: "eipalloc-1".into(),
            public_ip: Ipv4Addr::new(198, 51, 100, 9),
            binding: None,
            tags: Tags::new(),
        };
        store.addresses.insert("eipalloc-1".into(), address);
        let (store, name) = (Arc::new(Mutex::new(store)), RegionName::from("us-east-2"));
        let regions = Regions::default();
        let home = (name.clone(), store.clone());
        regions.stores.lock().unwrap().extend([home]);
        Self {
            store,
            name,
            regions: Arc::new(regions),
        }
    }

    /// The account as it is in this region, with a store of its own. One that nobody has asked for before has no address,
    /// and the clock of the region that it is asked for from.
    pub fn in_region(&self, name: &RegionName) -> Self {
        let clock = self.store().clock.clone();
        let mut stores = self.regions.stores.lock().unwrap();
        let store = stores.entry(name.clone()).or_insert_with(|| {
            Arc::new(Mutex::new(Store {
                clock,
                ..Store::new()
            }))
        });
        Self {
            store: store.clone(),
            name: name.clone(),
            regions: self.regions.clone(),
        }
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// Everything that a run may have made and that is still there, in all regions.
    pub fn holdings(&self) -> Vec<String> {
        let stores = self.regions.stores.lock().unwrap();
        stores
            .values()
            .flat_map(|store| Self::held(&store.lock().unwrap()))
            .collect()
    }

    fn held(store: &Store) -> Vec<String> {
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
        let tasks = store.tasks.all.values().map(|kept| &kept.task);
        let importing = tasks
            .filter(|task| task.state == ImportState::Active)
            .map(|task| task.task_id.to_string());
        alive
            .chain(store.key_pairs.keys().cloned())
            .chain(groups)
            .chain(store.images.keys().cloned())
            .chain(store.snapshots.keys().cloned())
            .chain(store.parameters.keys().cloned())
            .chain(store.iam.holdings())
            .chain(bound)
            .chain(store.buckets.objects.keys().map(|(_, key)| key.clone()))
            .chain(store.buckets.uploads.keys().cloned())
            .chain(importing)
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

    pub(super) fn id(&self, prefix: &str) -> String {
        let number = self.regions.next.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{prefix}-{number}")
    }
}

impl FakeAccount {
    fn written(
        &self,
        name: &str,
        value: &str,
        kind: ParameterKind,
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
            kind,
        };
        store.parameters.insert(name.into(), written);
        drop(store);
        lost(version, fault)
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
        kind: written.kind,
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
        Arc::new(self.clone())
    }

    fn region(&self, name: &RegionName) -> Arc<dyn Region> {
        Arc::new(self.in_region(name))
    }
}

#[async_trait]
impl Region for FakeAccount {
    fn name(&self) -> &RegionName {
        &self.name
    }

    fn blocks(&self) -> Arc<dyn SnapshotBlocks> {
        self.own_blocks()
    }

    fn objects(&self) -> Arc<dyn Objects> {
        Arc::new(self.clone())
    }

    async fn import_snapshot(&self, request: &ImportRequest) -> Result<ImportTaskId, CloudError> {
        self.import_begun(request)
    }

    async fn import_tasks(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<ImportTask>, CloudError> {
        assert!(filters.is_empty(), "EC2 documents no filter: {filters:?}");
        self.import_tasks_seen()
    }

    async fn cancel_import(&self, task: &ImportTaskId) -> Result<(), CloudError> {
        self.import_cancelled(task)
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

    async fn create_image(&self, request: &ImageRequest) -> Result<ImageId, CloudError> {
        let fault = self.call("CreateImage")?;
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
        let id = ImageId::new(self.id("ami"));
        let snapshot = self.begin_snapshot(&request.snapshot_tags, "");
        let mut store = self.store();
        store.captures.push(request.clone());
        let root = EbsVolume {
            device: "/dev/sda1".into(),
            size_gib: Some(8),
            snapshot_id: Some(snapshot.clone()),
            ..EbsVolume::default()
        };
        let image = Image {
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: None,
            virtualization: "hvm".into(),
            volumes: vec![root],
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
        let mut store = self.store();
        let protected = store
            .images
            .get(image.as_str())
            .is_some_and(|i| i.protected);
        if protected {
            return Err(error("DeregisterImage", ErrorKind::WrongState));
        }
        store.images.remove(image.as_str());
        drop(store);
        lost((), fault)
    }

    async fn copy_image(&self, request: &CopyRequest) -> Result<ImageId, CloudError> {
        self.copied(request)
    }

    async fn register_image(&self, request: &RegisterRequest) -> Result<ImageId, CloudError> {
        self.registered(request)
    }

    async fn image_permissions(&self, image: &ImageId) -> Result<Permissions, CloudError> {
        self.permissions("DescribeImageAttribute", image.as_str())
    }

    async fn change_image_permissions(
        &self,
        image: &ImageId,
        grant: Grant,
        permissions: &Permissions,
    ) -> Result<(), CloudError> {
        self.change_permissions("ModifyImageAttribute", image.as_str(), grant, permissions)
    }

    async fn require_imds_v2(&self, image: &ImageId) -> Result<(), CloudError> {
        self.imds_v2_required(image)
    }

    async fn image_last_launched(&self, image: &ImageId) -> Result<Option<Timestamp>, CloudError> {
        self.last_launched(image)
    }

    async fn set_image_deprecation(
        &self,
        image: &ImageId,
        at: Option<Timestamp>,
    ) -> Result<(), CloudError> {
        let operation = match at {
            Some(_) => "EnableImageDeprecation",
            None => "DisableImageDeprecation",
        };
        self.change_image(operation, image, |image| image.deprecated = at)
    }

    async fn set_deregistration_protection(
        &self,
        image: &ImageId,
        protection: DeregistrationProtection,
    ) -> Result<(), CloudError> {
        let (operation, protected) = match protection {
            DeregistrationProtection::On { .. } => ("EnableImageDeregistrationProtection", true),
            DeregistrationProtection::Off => ("DisableImageDeregistrationProtection", false),
        };
        self.change_image(operation, image, |image| image.protected = protected)
    }

    async fn public_images(&self) -> Result<PublicSharing, CloudError> {
        self.call("GetImageBlockPublicAccessState")?;
        Ok(self.store().public_images)
    }

    async fn launch_template_images(&self) -> Result<Vec<LaunchTemplateImage>, CloudError> {
        self.call("DescribeLaunchTemplateVersions")?;
        Ok(self.store().launch_template_images.clone())
    }

    async fn snapshots(
        &self,
        filters: &[(String, Vec<String>)],
    ) -> Result<Vec<Snapshot>, CloudError> {
        self.call("DescribeSnapshots")?;
        let mut found = Vec::new();
        let mut store = self.store();
        if !store.snapshots.is_empty() && store.snapshots_show_late > 0 {
            store.snapshots_show_late -= 1;
            return Ok(found);
        }
        let volumes = store.snapshot_volumes.clone();
        let open = store.blocks.open.clone();
        for (id, snapshot) in &mut store.snapshots {
            let volume = volumes.get(id).map_or("", |volume| volume.as_str());
            let description = snapshot.description.clone();
            let named = [
                ("snapshot-id", id.as_str()),
                ("volume-id", volume),
                ("description", description.as_str()),
            ];
            if fits(&snapshot.tags, filters, &named) {
                found.push(snapshot.clone());
                // The next look finds it whole, unless blocks are still to come.
                if snapshot.state == SnapshotState::Pending && !open.contains(id) {
                    snapshot.state = SnapshotState::Completed;
                    snapshot.progress_percent = 100;
                }
            }
        }
        Ok(found)
    }

    async fn create_snapshots(
        &self,
        request: &SnapshotsRequest,
    ) -> Result<Vec<VolumeSnapshot>, CloudError> {
        self.snapshots_begun(request)
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
        store.blocks.open.remove(snapshot.as_str());
        drop(store);
        lost((), fault)
    }

    async fn snapshot_permissions(&self, snapshot: &SnapshotId) -> Result<Permissions, CloudError> {
        self.permissions("DescribeSnapshotAttribute", snapshot.as_str())
    }

    async fn change_snapshot_permissions(
        &self,
        snapshot: &SnapshotId,
        grant: Grant,
        permissions: &Permissions,
    ) -> Result<(), CloudError> {
        let operation = "ModifySnapshotAttribute";
        self.change_permissions(operation, snapshot.as_str(), grant, permissions)
    }

    async fn public_snapshots(&self) -> Result<PublicSharing, CloudError> {
        self.call("GetSnapshotBlockPublicAccessState")?;
        Ok(self.store().public_snapshots)
    }

    async fn volumes(&self, filters: &[(String, Vec<String>)]) -> Result<Vec<Volume>, CloudError> {
        self.call("DescribeVolumes")?;
        // Those that are attached, if one asks for an instance's.
        let wanted = |name: &str| {
            let filter = filters.iter().find(|(filter, _)| filter == name);
            filter.map(|(_, values)| values.clone()).unwrap_or_default()
        };
        let devices = wanted("attachment.device");
        let mut found = Vec::new();
        for id in wanted("attachment.instance-id") {
            let instance = InstanceId::new(id);
            let attached = self.volumes_attached(&instance);
            let asked_for = |(device, _): &(String, VolumeId)| devices.contains(device);
            found.extend(
                attached
                    .into_iter()
                    .filter(asked_for)
                    .map(|(_, volume_id)| Volume {
                        volume_id,
                        state: "in-use".into(),
                        attached_to: vec![instance.clone()],
                        created: None,
                        tags: Tags::new(),
                    }),
            );
        }
        Ok(found)
    }

    async fn delete_volume(&self, _volume: &VolumeId) -> Result<(), CloudError> {
        let fault = self.call("DeleteVolume")?;
        lost((), fault)
    }

    async fn regions(&self) -> Result<Vec<RegionDescription>, CloudError> {
        self.call("DescribeRegions")?;
        let described = |(name, opt_in): (&str, OptIn)| RegionDescription {
            name: name.into(),
            opt_in,
        };
        let regions = [
            ("ap-east-1", OptIn::NotOptedIn),
            ("ap-northeast-1", OptIn::NotRequired),
            ("ap-southeast-1", OptIn::NotRequired),
            ("eu-central-1", OptIn::NotRequired),
            ("eu-west-1", OptIn::NotRequired),
            ("sa-east-1", OptIn::NotRequired),
            ("us-east-1", OptIn::NotRequired),
            ("us-east-2", OptIn::NotRequired),
            ("us-west-1", OptIn::NotRequired),
            ("us-west-2", OptIn::NotRequired),
        ];
        Ok(regions.into_iter().map(described).collect())
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
        if let Some(name) = &request.instance_profile {
            let iam = &mut self.store().iam;
            let role = iam.profiles.get(name).map(|kept| kept.role.is_some());
            let is_unknown = match role {
                Some(has_role) => !has_role || iam.profiles_show_late > 0,
                // Others that a test does not make are taken to be there.
                None => name.starts_with("qib-"),
            };
            if is_unknown {
                iam.profiles_show_late = iam.profiles_show_late.saturating_sub(1);
                return Err(CloudError {
                    code: "InvalidParameterValue".into(),
                    message: format!(
                        "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
                    ),
                    ..error("RunInstances", ErrorKind::InvalidInput)
                });
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

    async fn set_enhanced_networking(
        &self,
        instance: &InstanceId,
        networking: EnhancedNetworking,
    ) -> Result<(), CloudError> {
        let fault = self.call("ModifyInstanceAttribute")?;
        let mut store = self.store();
        match store.instances.get(instance.as_str()).map(|i| i.state) {
            None => return Err(error("ModifyInstanceAttribute", ErrorKind::NotFound)),
            Some(InstanceState::Stopped) => {}
            Some(_) => return Err(error("ModifyInstanceAttribute", ErrorKind::WrongState)),
        }
        store.networking.insert(instance.clone(), networking);
        drop(store);
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
            if let Some(snapshot) = store.snapshots.get_mut(resource) {
                snapshot.tags = snapshot.tags.clone().merged(tags);
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
        self.written(name, value, ParameterKind::Text, write)
    }

    async fn put_image_parameter(
        &self,
        name: &str,
        image: &ImageId,
        write: ParameterWrite,
    ) -> Result<i64, CloudError> {
        self.written(name, image.as_str(), ParameterKind::Image, write)
    }

    async fn delete_parameter(&self, name: &str) -> Result<(), CloudError> {
        let fault = self.call("DeleteParameter")?;
        self.store().parameters.remove(name);
        lost((), fault)
    }

    async fn dry_run(&self, call: &DryRun) -> Result<Verdict, CloudError> {
        self.verdict(call)
    }

    async fn quota(&self, service: &str, code: &str) -> Result<Option<Quota>, CloudError> {
        self.call("GetServiceQuota")?;
        let store = self.store();
        Ok(store.quotas.get(&(service.into(), code.into())).cloned())
    }

    async fn kms_key(&self, key: &str) -> Result<Option<KmsKey>, CloudError> {
        self.call("DescribeKey")?;
        Ok(self.store().kms_keys.get(key).cloned())
    }

    async fn kms_grant(&self, key: &str) -> Result<Verdict, CloudError> {
        self.call("CreateGrant")?;
        let store = self.store();
        Ok(if store.ungranted_keys.iter().any(|k| k == key) {
            Verdict::Denied(String::from("not authorized to perform: kms:CreateGrant"))
        } else {
            Verdict::Allowed
        })
    }
}

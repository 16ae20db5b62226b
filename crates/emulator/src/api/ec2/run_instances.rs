//! Launching instances.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>

use super::block_devices::{self, DeviceRequest};
use super::client_token::ClientToken;
use super::launch_options::{Network, metadata_options, profile, shutdown_behavior, user_data};
use super::network::subnet_not_found;
use super::params::Scope;
use super::security_groups::not_found as group_not_found;
use super::snapshots;
use super::spot::{self, SpotLaunch};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use super::{Action, images, instance_view, key_pairs};
use crate::account::iam;
use crate::account::image::{DeviceMapping, Image, Volume};
use crate::account::instance::{
    Instance, Interface, LoginKey, MetadataOptions, ProfileAssociation, ShutdownBehavior,
    VolumeAttachment,
};
use crate::account::instance_types::{self, InstanceType};
use crate::account::lifecycle::InstanceState;
use crate::account::network::Subnet;
use crate::account::region::Region;
use crate::account::spot::SpotRequest;
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::faults::service::{CapacityRequest, NoCapacity, Purchase};
use crate::ids::{
    GroupId, ImageId, InstanceId, InterfaceAttachmentId, InterfaceId, ProfileAssociationId,
    ReservationId, SpotRequestId, VolumeId,
};
use std::net::Ipv4Addr;

pub(crate) struct RunInstances {
    image: ImageId,
    least: u32,
    most: u32,
    instance_type: &'static InstanceType,
    key_name: Option<String>,
    network: Network,
    zone: Option<String>,
    user_data: Vec<u8>,
    profile: Option<&'static iam::InstanceProfile>,
    metadata: MetadataOptions,
    shutdown_behavior: ShutdownBehavior,
    ebs_optimized: bool,
    disable_api_termination: bool,
    devices: Vec<DeviceRequest>,
    spot: Option<SpotLaunch>,
    tags: TagSpecs,
    token: Option<ClientToken>,
}

impl Action for RunInstances {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let name = p.text("InstanceType").unwrap_or("m1.small");
        let instance_type = instance_types::find(name).ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!("Invalid value '{name}' for InstanceType."),
            )
        })?;
        let count = |name: &str| p.number(name)?.ok_or_else(|| ApiError::missing(name));
        let (least, most): (u32, u32) = (count("MinCount")?, count("MaxCount")?);
        if least == 0 || most < least {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Invalid value '{least}' for MinCount or '{most}' for MaxCount."),
            ));
        }
        let monitoring = p.inside("Monitoring").flag("Enabled")?;
        if monitoring == Some(true) {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "Detailed monitoring is not part of the local EC2",
            ));
        }
        let placement = p.inside("Placement");
        placement.word("Tenancy", &["default"])?;
        let spot = spot::launch(&p.inside("InstanceMarketOptions"))?;
        let mut taggable = vec!["instance", "volume", "network-interface"];
        taggable.extend(spot.as_ref().map(|_| "spot-instances-request"));
        Ok(Self {
            image: ImageId::parse(p.required("ImageId")?)?,
            least,
            most,
            instance_type,
            key_name: p.text("KeyName").map(str::to_owned),
            network: Network::parse(p)?,
            zone: placement.text("AvailabilityZone").map(str::to_owned),
            user_data: user_data(p.text("UserData").unwrap_or_default())?,
            profile: profile(&p.inside("IamInstanceProfile"))?,
            metadata: metadata_options(&p.inside("MetadataOptions"), MetadataOptions::default())?,
            shutdown_behavior: shutdown_behavior(p.text("InstanceInitiatedShutdownBehavior"))?,
            ebs_optimized: p.flag("EbsOptimized")?.unwrap_or(instance_type.nitro),
            disable_api_termination: p.flag("DisableApiTermination")?.unwrap_or(false),
            devices: block_devices::parse(p)?,
            spot,
            tags: TagSpecs::parse(p, &taggable)?,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        if let Some(token) = &self.token
            && let Some(reservation) = token.made_before(cx, "RunInstances")?
        {
            let region = &*cx.region();
            let instances = region
                .instances
                .values()
                .filter(|i| i.reservation.as_str() == reservation)
                .collect::<Vec<_>>();
            let mut x = Xml::new();
            instance_view::reservation(&mut x, region, &instances);
            return Ok(x);
        }
        let image = images::launchable(cx, &self.image)?;
        self.check_image(&image)?;
        let devices = block_devices::overlay(&image.mappings, &self.devices, |id| {
            snapshots::usable(cx, id).map(|s| s.size_gib)
        })?;
        let layers = match image.root().and_then(|m| m.ebs.snapshot.clone()) {
            Some(id) => cx
                .region()
                .snapshots
                .get(&id)
                .map(|s| s.layers.clone())
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let key = self.key(cx)?;
        let (subnet, groups) = self.place(cx)?;
        let reservation = ReservationId::random();
        let count = self.count(cx, &subnet)?;
        for index in 0..count {
            let plan = Plan {
                image: &image,
                devices: &devices,
                subnet: &subnet,
                groups: &groups,
                reservation: &reservation,
                key: &key,
                layers: &layers,
            };
            self.launch(cx, &plan, index)?;
        }
        if let Some(token) = self.token {
            token.remember(cx, "RunInstances", reservation.as_str());
        }
        let region = &*cx.region();
        let mut x = Xml::new();
        instance_view::reservation(&mut x, region, &region.reservation(&reservation));
        Ok(x)
    }
}

struct Plan<'a> {
    image: &'a Image,
    devices: &'a [DeviceMapping],
    subnet: &'a Subnet,
    groups: &'a [GroupId],
    reservation: &'a ReservationId,
    key: &'a Option<LoginKey>,
    layers: &'a [crate::ids::LayerId],
}

impl RunInstances {
    fn check_image(&self, image: &Image) -> Result<(), ApiError> {
        if image.architecture != self.instance_type.architecture {
            let message = format!(
                "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI.",
                self.instance_type.architecture, image.architecture
            );
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        Ok(())
    }

    fn key(&self, cx: &mut Cx<'_>) -> Result<Option<LoginKey>, ApiError> {
        let Some(name) = &self.key_name else {
            return Ok(None);
        };
        let pair = cx
            .region()
            .key_pairs
            .values()
            .find(|k| k.name == *name)
            .ok_or_else(|| key_pairs::not_found(name))?;
        Ok(Some(LoginKey {
            name: name.clone(),
            public_key: pair.public_key.clone(),
        }))
    }

    /// The subnet and groups. Without a subnet it is the default one of the zone, or of any zone that has capacity.
    fn place(&self, cx: &mut Cx<'_>) -> Result<(Subnet, Vec<GroupId>), ApiError> {
        let asked = self.subnet(cx.region())?.cloned();
        let subnet = self.with_capacity(cx, asked)?;
        Ok((subnet, self.groups(cx.region())?))
    }

    /// The subnet that the request names, by itself or by its zone.
    fn subnet<'r>(&self, region: &'r Region) -> Result<Option<&'r Subnet>, ApiError> {
        match (&self.network.subnet, &self.zone) {
            (Some(id), zone) => {
                let subnet = region.subnets.get(id).ok_or_else(|| subnet_not_found(id))?;
                if zone.as_ref().is_some_and(|z| *z != subnet.zone) {
                    let message =
                        "The specified subnet does not belong to the specified availability zone.";
                    return Err(ApiError::combination(message));
                }
                Ok(Some(subnet))
            }
            (None, Some(zone)) => {
                let subnet = region.subnets.values().find(|s| s.zone == *zone);
                let invalid = || {
                    ApiError::new(
                        "InvalidParameterValue",
                        format!("Invalid availability zone: [{zone}]"),
                    )
                };
                subnet.map(Some).ok_or_else(invalid)
            }
            (None, None) => Ok(None),
        }
    }

    /// The subnet asked for if its zone has capacity, else one of a zone that has.
    fn with_capacity(&self, cx: &mut Cx<'_>, asked: Option<Subnet>) -> Result<Subnet, ApiError> {
        let capacity = cx.capacity;
        let region = &*cx.region();
        let mut zones: Vec<&str> = region.subnets.values().map(|s| s.zone.as_str()).collect();
        zones.sort_unstable();
        let request = CapacityRequest {
            instance_type: self.instance_type.name,
            purchase: match self.spot {
                Some(_) => Purchase::Spot,
                None => Purchase::OnDemand,
            },
            zones: &zones,
            asked: asked.as_ref().map(|s| s.zone.as_str()),
        };
        let zone = capacity(&request)?.map_err(|e| no_capacity(&request, &e))?;
        let any = || region.subnets.values().find(|s| s.zone == zone).cloned();
        asked.or_else(any).ok_or_else(|| {
            ApiError::new(
                "MissingInput",
                "No subnets found for the default VPC. Please specify a subnet.",
            )
        })
    }

    fn groups(&self, region: &Region) -> Result<Vec<GroupId>, ApiError> {
        let mut groups = Vec::new();
        for id in &self.network.groups {
            groups.push(
                region
                    .groups
                    .get(id)
                    .ok_or_else(|| group_not_found(id.as_str()))?
                    .id
                    .clone(),
            );
        }
        for name in &self.network.group_names {
            groups.push(
                region
                    .groups
                    .values()
                    .find(|g| g.name == *name)
                    .ok_or_else(|| group_not_found(name))?
                    .id
                    .clone(),
            );
        }
        if groups.is_empty() {
            groups.extend(region.default_group().map(|g| g.id.clone()));
        }
        Ok(groups)
    }

    /// How many fit: as many as asked, or at least the least.
    fn count(&self, cx: &mut Cx<'_>, subnet: &Subnet) -> Result<u32, ApiError> {
        let live = cx.account.regions.get(cx.region).map_or(0, |r| {
            r.instances.values().filter(|i| i.holds_disk()).count()
        });
        let room = MOST_INSTANCES.saturating_sub(u32::try_from(live).unwrap_or(u32::MAX));
        if room < self.least {
            let message = format!(
                "You have requested more instances ({}) than your current instance limit of {MOST_INSTANCES} allows",
                self.most
            );
            return Err(ApiError::new("InstanceLimitExceeded", message));
        }
        if let Some(ip) = self.network.private_ip {
            if self.most > 1 {
                return Err(ApiError::combination(
                    "Private IP address cannot be given for more than one instance",
                ));
            }
            if !subnet.cidr.contains(ip) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("Address {ip} does not fall within the subnet's address range"),
                ));
            }
            if cx.region().private_ip_taken(ip) {
                return Err(ApiError::new(
                    "InvalidIPAddress.InUse",
                    format!("Address {ip} is in use."),
                ));
            }
        }
        Ok(self.most.min(room))
    }

    fn launch(&self, cx: &mut Cx<'_>, plan: &Plan<'_>, index: u32) -> Result<(), ApiError> {
        let now = cx.now;
        let id = InstanceId::random();
        // "AssociatePublicIpAddress … the default value is true for a default subnet."
        let wants_public_ip = self.network.public_ip.unwrap_or(plan.subnet.map_public_ip);
        let public_ip = wants_public_ip.then(|| cx.account.free_public_ip());
        let full = || {
            ApiError::new(
                "InsufficientFreeAddressesInSubnet",
                format!(
                    "There are no free addresses in subnet '{}'.",
                    plan.subnet.id
                ),
            )
        };
        let region = cx.region();
        let private_ip = self
            .network
            .private_ip
            .or_else(|| region.free_private_ip(plan.subnet))
            .ok_or_else(full)?;
        let mut volumes = Vec::new();
        for mapping in plan.devices {
            let volume = volume(
                &mapping.ebs,
                &plan.subnet.zone,
                &id,
                now,
                self.tags.of("volume"),
            );
            volumes.push(VolumeAttachment {
                device: mapping.device.clone(),
                volume: volume.id.clone(),
                delete_on_termination: mapping.ebs.delete_on_termination,
                attached: now,
            });
            region.volumes.insert(volume.id.clone(), volume);
        }
        let spot = self.spot.as_ref().map(|asked| SpotRequest {
            id: SpotRequestId::random(),
            instance: id.clone(),
            created: now,
            cancelled: None,
            max_price: asked.max_price.clone(),
            image: plan.image.id.clone(),
            instance_type: self.instance_type.name.to_owned(),
            zone: plan.subnet.zone.clone(),
            tags: self.tags.of("spot-instances-request"),
        });
        let interface = Interface {
            id: InterfaceId::random(),
            attachment: InterfaceAttachmentId::random(),
            description: self.network.description.clone(),
            vpc: plan.subnet.vpc.clone(),
            subnet: plan.subnet.id.clone(),
            groups: plan.groups.to_vec(),
            private_ip,
            public_ip,
            wants_public_ip,
            mac: mac(private_ip),
            source_dest_check: true,
            tags: self.tags.of("network-interface"),
        };
        let instance = Instance {
            id: id.clone(),
            reservation: plan.reservation.clone(),
            launch_index: index,
            client_token: self
                .token
                .as_ref()
                .map(|t| t.text().to_owned())
                .unwrap_or_default(),
            image: plan.image.id.clone(),
            state: InstanceState::Pending,
            state_reason: None,
            transition_reason: String::new(),
            created: now,
            launched: now,
            since: now,
            instance_type: self.instance_type.name.to_owned(),
            architecture: plan.image.architecture.clone(),
            key: plan.key.clone(),
            interface,
            zone: plan.subnet.zone.clone(),
            user_data: self.user_data.clone(),
            profile: self.profile.map(|p| ProfileAssociation {
                id: ProfileAssociationId::random(),
                name: p.name.to_owned(),
            }),
            // A one-time spot instance cannot be stopped, so a shutdown from inside can only end it.
            shutdown_behavior: match &spot {
                Some(_) => ShutdownBehavior::Terminate,
                None => self.shutdown_behavior,
            },
            metadata: MetadataOptions {
                // An image with ImdsSupport=v2.0 makes tokens required unless the request says otherwise.
                tokens_required: self.metadata.tokens_required || plan.image.imds_support.is_some(),
                ..self.metadata.clone()
            },
            ebs_optimized: self.ebs_optimized,
            ena_support: plan.image.ena_support,
            sriov_net_support: plan.image.sriov_net_support.clone(),
            disable_api_termination: self.disable_api_termination,
            root_device: plan.image.root_device.clone(),
            volumes,
            layers: plan.layers.to_vec(),
            default_user: plan.image.default_user.clone(),
            spot: spot.as_ref().map(|r| r.id.clone()),
            agent: plan.image.agent,
            interruption: None,
            tags: self.tags.of("instance"),
        };
        region.spot_requests.extend(spot.map(|r| (r.id.clone(), r)));
        region.instances.insert(id.clone(), instance);
        cx.effects.push(Effect::Boot(id));
        Ok(())
    }
}

/// EC2's words for want of capacity, a server's error, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html#troubleshooting-launch-capacity>.
fn no_capacity(request: &CapacityRequest<'_>, found: &NoCapacity) -> ApiError {
    let name = request.instance_type;
    let message = match (request.purchase, request.asked) {
        (Purchase::Spot, _) => {
            "There is no Spot capacity available that matches your request.".to_owned()
        }
        (Purchase::OnDemand, None) => format!(
            "We currently do not have sufficient {name} capacity in the Availability Zones you requested. Our system will \
             be working on provisioning additional capacity."
        ),
        (Purchase::OnDemand, Some(zone)) => {
            let mut message = format!(
                "We currently do not have sufficient {name} capacity in the Availability Zone you requested ({zone}). Our \
                 system will be working on provisioning additional capacity."
            );
            if !found.elsewhere.is_empty() {
                message.push_str(&format!(
                    " You can currently get {name} capacity by not specifying an Availability Zone in your request or \
                     choosing {}.",
                    found.elsewhere.join(", ")
                ));
            }
            message
        }
    };
    ApiError::new("InsufficientInstanceCapacity", message).with_status(500)
}

/// Most instances of a region that are not terminated: each is a real guest on this machine.
const MOST_INSTANCES: u32 = 64;

fn volume(
    ebs: &crate::account::image::EbsDevice,
    zone: &str,
    instance: &InstanceId,
    now: jiff::Timestamp,
    tags: crate::account::tags::Tags,
) -> Volume {
    Volume {
        id: VolumeId::random(),
        size_gib: ebs.size_gib,
        volume_type: ebs.volume_type.clone(),
        iops: ebs.iops.or((ebs.volume_type == "gp3").then_some(3_000)),
        throughput: ebs.throughput.or((ebs.volume_type == "gp3").then_some(125)),
        encrypted: ebs.encrypted,
        snapshot: ebs.snapshot.clone(),
        zone: zone.to_owned(),
        created: now,
        attached_to: Some(instance.clone()),
        client_token: None,
        tags,
    }
}

fn mac(ip: Ipv4Addr) -> String {
    let [a, b, c, d] = ip.octets();
    format!("02:ec:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

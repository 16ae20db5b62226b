//! Launching instances.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>
//!
//! | file | subject |
//! |---|---|
//! | `launch_checks` | which images run on which types, and how much may run |
//! | `launch_place` | subnet, groups and addresses |
//! | `launch_hosting` | the machine and its neighbourhood |
//! | `launch_options` | user-data, profile and metadata service |

use super::block_devices::{self, DeviceRequest, DeviceWish, Devices};
use super::client_token::ClientToken;
use super::launch_options::{
    MetadataWish, ProfileWish, check_metadata_tags, shutdown_behavior, user_data,
};
use super::launch_place::{Network, Seeking};
use super::params::Scope;
use super::spot::{self, SpotLaunch};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use super::{Action, images, instance_view, key_pairs, launch_checks, launch_hosting, snapshots};
use crate::account::image::{EbsDevice, Image, ImportedDisk, Volume};
use crate::account::instance::{
    Hosting, Instance, Interface, LoginKey, ProfileAssociation, ShutdownBehavior, StateReason,
    VolumeAttachment,
};
use crate::account::instance_types::{self, InstanceType};
use crate::account::lifecycle::InstanceState;
use crate::account::network::Subnet;
use crate::account::spot::SpotRequest;
use crate::account::tags::Tags;
use crate::api::error::ApiError;
use crate::api::{Cx, Effect};
use crate::faults::service::Purchase;
use crate::ids::{
    GroupId, ImageId, InstanceId, InterfaceAttachmentId, InterfaceId, LayerId, ReservationId,
    SpotRequestId, VolumeId,
};
use crate::imported::{self, NoRoot};
use jiff::Timestamp;
use std::net::Ipv4Addr;

pub(crate) struct RunInstances {
    image: ImageId,
    least: u32,
    most: u32,
    instance_type: &'static InstanceType,
    key_name: Option<String>,
    network: Network,
    zone: Option<String>,
    hosting: Hosting,
    user_data: Vec<u8>,
    profile: Option<ProfileWish>,
    metadata: MetadataWish,
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
        if p.inside("LaunchTemplate").given() {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "The local EC2 keeps launch templates but does not launch by them: name the image and the instance type",
            ));
        }
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
        let spot = spot::launch(&p.inside("InstanceMarketOptions"))?;
        let mut taggable = vec!["instance", "volume", "network-interface"];
        taggable.extend(spot.as_ref().map(|_| "spot-instances-request"));
        let tags = TagSpecs::parse(p, &taggable)?;
        let metadata = MetadataWish::parse(&p.inside("MetadataOptions"))?;
        if metadata.tags == Some(true) {
            check_metadata_tags(&tags.of("instance"))?;
        }
        Ok(Self {
            image: ImageId::parse(p.required("ImageId")?)?,
            least,
            most,
            instance_type,
            key_name: p.text("KeyName").map(str::to_owned),
            network: Network::parse(p)?,
            zone: p
                .inside("Placement")
                .text("AvailabilityZone")
                .map(str::to_owned),
            hosting: launch_hosting::parse(p)?,
            user_data: user_data(p.text("UserData").unwrap_or_default())?,
            profile: ProfileWish::parse(&p.inside("IamInstanceProfile"))?,
            metadata,
            shutdown_behavior: shutdown_behavior(p.text("InstanceInitiatedShutdownBehavior"))?,
            ebs_optimized: p.flag("EbsOptimized")?.unwrap_or(instance_type.nitro()),
            disable_api_termination: p.flag("DisableApiTermination")?.unwrap_or(false),
            devices: block_devices::parse(p)?,
            spot,
            tags,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        if let Some(token) = &self.token
            && let Some(made) = token.made_before(cx, "RunInstances")?
        {
            let region = &*cx.region();
            let instances = region
                .instances
                .values()
                .filter(|i| i.reservation.as_str() == made)
                .collect::<Vec<_>>();
            let mut x = Xml::new();
            instance_view::reservation(&mut x, region, &instances);
            return Ok(x);
        }
        let image = images::launchable(cx, &self.image)?;
        launch_checks::image_and_type(&image, self.instance_type)?;
        let (devices, doom) = self.devices(cx, &image)?;
        let key = self.key(cx)?;
        let profile = self.profile.as_ref().map(|p| p.find(cx)).transpose()?;
        let seeking = Seeking {
            network: &self.network,
            zone: self.zone.as_deref(),
            machine: self.instance_type,
            purchase: match self.spot {
                Some(_) => Purchase::Spot,
                None => Purchase::OnDemand,
            },
        };
        let subnet = seeking.subnet(cx)?;
        let groups = self.network.groups(cx.region(), &subnet)?;
        let asked = (self.least, self.most);
        let count = launch_checks::room(cx, self.instance_type, self.spot.is_some(), asked)?;
        self.network
            .check_private_ip(cx.region(), &subnet, self.most)?;
        let hosting = launch_hosting::settle(
            self.hosting.clone(),
            cx.region(),
            self.instance_type,
            &subnet,
            count,
        )?;
        let reservation = ReservationId::random();
        let (layers, imported) = root(cx, &image, &devices)?;
        let plan = Plan {
            layers,
            imported,
            image,
            devices,
            subnet,
            groups,
            reservation: reservation.clone(),
            key,
            profile,
            hosting,
            doom,
        };
        for index in 0..count {
            self.launch(cx, &plan, index)?;
        }
        note_launch(cx, &plan.image);
        if let Some(token) = self.token {
            token.remember(cx, "RunInstances", reservation.as_str());
        }
        let region = &*cx.region();
        let mut x = Xml::new();
        instance_view::reservation(&mut x, region, &region.reservation(&reservation));
        Ok(x)
    }
}

/// What an image's root device consists of.
///
/// # Errors
/// `UnsupportedOperation` for a disk that was written by blocks and that no guest can be made of: EC2 would launch it, and
/// only its console would say what is wrong.
fn root(
    cx: &Cx<'_>,
    image: &Image,
    devices: &Devices,
) -> Result<(Vec<LayerId>, Option<ImportedDisk>), ApiError> {
    let snapshot = image.root().and_then(|m| m.ebs.snapshot.as_ref());
    let Some(snapshot) = snapshot.and_then(|id| cx.snapshot_in(cx.region, id)) else {
        return Ok((Vec::new(), None));
    };
    if snapshot.blocks.is_empty() {
        return Ok((snapshot.layers, None));
    }
    let device = devices.ebs.iter().find(|m| m.device == image.root_device);
    let encrypted = snapshot.encrypted || device.is_some_and(|m| m.ebs.encrypted);
    let disk = ImportedDisk::of(&snapshot, encrypted);
    let volume = disk.volume(cx.blocks).map_err(NoRoot::Unreadable);
    match volume.and_then(|v| imported::find_root(&v)) {
        Ok(_) => Ok((vec![disk.layer.clone()], Some(disk))),
        Err(why) => Err(ApiError::new(
            "UnsupportedOperation",
            format!(
                "The local EC2 keeps the image '{}' as data and cannot launch it: {why}",
                image.id
            ),
        )),
    }
}

/// An image of whichever account remembers that it was launched from.
fn note_launch(cx: &mut Cx<'_>, image: &Image) {
    let (now, name) = (cx.now, cx.region);
    let regions = cx.account.regions.values_mut().filter(|r| r.name == name);
    for kept in regions.filter_map(|r| r.images.get_mut(&image.id)) {
        kept.last_launched = Some(now);
    }
}

/// What all instances of a launch have in common.
struct Plan {
    image: Image,
    devices: Devices,
    subnet: Subnet,
    groups: Vec<GroupId>,
    reservation: ReservationId,
    key: Option<LoginKey>,
    layers: Vec<LayerId>,
    imported: Option<ImportedDisk>,
    profile: Option<ProfileAssociation>,
    hosting: Hosting,
    doom: Option<StateReason>,
}

impl RunInstances {
    /// The devices, and why the launch fails if a key of theirs cannot be used: that shows later, as EC2 asks KMS later.
    fn devices(
        &self,
        cx: &mut Cx<'_>,
        image: &Image,
    ) -> Result<(Devices, Option<StateReason>), ApiError> {
        let left_out = self
            .devices
            .iter()
            .any(|d| d.device == image.root_device && !matches!(d.what, DeviceWish::Volume(_)));
        if left_out {
            return Err(ApiError::new(
                "InvalidBlockDeviceMapping",
                format!("The root device '{}' cannot be left out", image.root_device),
            ));
        }
        let mut devices = block_devices::overlay(&image.mappings, &self.devices, |id| {
            snapshots::usable(cx, id)
        })?;
        // "For M3 instances, you must specify instance store volumes in the block device mapping for the instance. … we ignore
        // any instance store volumes specified in the block device mapping for the AMI." Others than the type has are ignored.
        if self.instance_type.family() != "m3" {
            for (device, name) in &image.ephemeral {
                let asked = self.devices.iter().any(|d| d.device == *device);
                if !asked {
                    devices.ephemeral.insert(device.clone(), name.clone());
                }
            }
        }
        let there: Vec<String> = (0..self.instance_type.instance_store)
            .map(|n| format!("ephemeral{n}"))
            .collect();
        devices.ephemeral.retain(|_, name| there.contains(name));
        let mut doom = None;
        for mapping in &mut devices.ebs {
            if block_devices::find_key(cx, &mut mapping.ebs).is_err() {
                doom = Some(StateReason::unusable_key());
            }
        }
        Ok((devices, doom))
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

    fn launch(&self, cx: &mut Cx<'_>, plan: &Plan, index: u32) -> Result<(), ApiError> {
        let now = cx.now;
        let id = InstanceId::random();
        let interface = self.interface(cx, plan)?;
        let region = cx.region();
        let mut volumes = Vec::new();
        for mapping in &plan.devices.ebs {
            let tags = self.tags.of("volume");
            let volume = volume(&mapping.ebs, &plan.subnet.zone, &id, now, tags);
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
        let token = self.token.as_ref().map(|t| t.text().to_owned());
        let instance = Instance {
            id: id.clone(),
            reservation: plan.reservation.clone(),
            launch_index: index,
            client_token: token.unwrap_or_default(),
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
            profile: plan.profile.as_ref().map(ProfileAssociation::again),
            // A one-time spot instance cannot be stopped, so a shutdown from inside can only end it.
            shutdown_behavior: match &spot {
                Some(_) => ShutdownBehavior::Terminate,
                None => self.shutdown_behavior,
            },
            metadata: self.metadata.of_image(&plan.image),
            ebs_optimized: self.ebs_optimized,
            ena_support: plan.image.ena_support,
            sriov_net_support: plan.image.sriov_net_support.clone(),
            disable_api_termination: self.disable_api_termination,
            root_device: plan.image.root_device.clone(),
            volumes,
            layers: plan.layers.clone(),
            imported: plan.imported.clone(),
            default_user: plan.image.default_user.clone(),
            spot: spot.as_ref().map(|r| r.id.clone()),
            virtualization: plan.image.virtualization,
            kernel: plan.image.kernel.clone(),
            product_codes: plan.image.product_codes.clone(),
            platform_details: plan.image.platform_details.clone(),
            usage_operation: plan.image.usage_operation.clone(),
            ephemeral: plan.devices.ephemeral.clone(),
            hosting: plan.hosting.clone(),
            doom: plan.doom.clone(),
            agent: plan.image.agent,
            interruption: None,
            tags: self.tags.of("instance"),
        };
        region.spot_requests.extend(spot.map(|r| (r.id.clone(), r)));
        region.instances.insert(id.clone(), instance);
        cx.effects.push(Effect::Boot(id));
        Ok(())
    }

    fn interface(&self, cx: &mut Cx<'_>, plan: &Plan) -> Result<Interface, ApiError> {
        let subnet = &plan.subnet;
        // "AssociatePublicIpAddress … the default value is true for a default subnet."
        let wants_public_ip = self.network.public_ip.unwrap_or(subnet.map_public_ip);
        let public_ip = wants_public_ip.then(|| cx.account.free_public_ip());
        let full = || {
            ApiError::new(
                "InsufficientFreeAddressesInSubnet",
                format!("There are no free addresses in subnet '{}'.", subnet.id),
            )
        };
        let region = cx.region();
        let asked = self.network.private_ip;
        let private_ip = asked
            .or_else(|| region.free_private_ip(subnet))
            .ok_or_else(full)?;
        Ok(Interface {
            id: InterfaceId::random(),
            attachment: InterfaceAttachmentId::random(),
            description: self.network.description.clone(),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            groups: plan.groups.clone(),
            private_ip,
            ipv6: self.network.ipv6(region, subnet, self.instance_type)?,
            public_ip,
            wants_public_ip,
            mac: mac(private_ip),
            source_dest_check: true,
            tags: self.tags.of("network-interface"),
        })
    }
}

fn volume(
    ebs: &EbsDevice,
    zone: &str,
    instance: &InstanceId,
    now: Timestamp,
    tags: Tags,
) -> Volume {
    Volume {
        id: VolumeId::random(),
        size_gib: ebs.size_gib,
        volume_type: ebs.volume_type.clone(),
        iops: ebs.iops.or((ebs.volume_type == "gp3").then_some(3_000)),
        throughput: ebs.throughput.or((ebs.volume_type == "gp3").then_some(125)),
        encrypted: ebs.encrypted,
        kms_key: ebs.kms_key.clone(),
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

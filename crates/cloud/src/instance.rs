//! Instances and how they are launched.

use crate::{
    AvailabilityZone, ImageId, InstanceId, SecurityGroupId, SnapshotId, SubnetId, TagSpecification,
    Tags, Timestamp, VpcId,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An instance's state, in EC2's words.
///
/// ```text
///  Pending ──▶ Running ──▶ Stopping ──▶ Stopped
///     │           │            │           │
///     └───────────┴────────────┴───────────┴──▶ ShuttingDown ──▶ Terminated
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InstanceState {
    /// It is being started.
    Pending,
    /// It runs; its operating system may still be booting.
    Running,
    /// It is being stopped.
    Stopping,
    /// It is stopped and can be captured.
    Stopped,
    /// It is being terminated.
    ShuttingDown,
    /// It is gone.
    Terminated,
}

impl InstanceState {
    /// EC2's own name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }

    /// Whether it can never run again.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub instance_id: InstanceId,
    /// Its state.
    pub state: InstanceState,
    /// Why it is in that state, if EC2 says so.
    pub state_reason: Option<String>,
    /// What it was launched from.
    pub image_id: Option<ImageId>,
    /// Its public address now, which an Elastic IP replaces.
    pub public_ip: Option<Ipv4Addr>,
    /// Its private address.
    pub private_ip: Option<Ipv4Addr>,
    /// Its first IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// What it is, such as `m5.xlarge`.
    pub instance_type: String,
    /// Where it is.
    pub availability_zone: Option<AvailabilityZone>,
    /// Its VPC.
    pub vpc_id: Option<VpcId>,
    /// Its groups.
    pub security_groups: Vec<SecurityGroupId>,
    /// When it was launched.
    pub launched: Option<Timestamp>,
    /// The name of its key pair.
    pub key_name: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// How it is paid for, which decides whether it can be stopped.
    pub purchase: Purchase,
}

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purchase {
    /// At the fixed price.
    #[default]
    OnDemand,
    /// As a one-time spot instance, which EC2 may take back and which cannot be stopped.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html>
    Spot,
}

/// What a shutdown from inside the guest does to the instance (`InstanceInitiatedShutdownBehavior`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GuestShutdown {
    /// It stops.
    #[default]
    Stop,
    /// It is terminated: how an instance ends by itself when qib is gone.
    Terminate,
}

/// Which instances to describe. Every given part must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Exactly these; unknown ones are left out of the answer rather than an error. Empty for any.
    pub instance_ids: Vec<InstanceId>,
    /// EC2 filters by name, such as `tag:qib:run`.
    pub filters: Vec<(String, Vec<String>)>,
}

/// The kind of an EBS volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeType(pub String);

/// One EBS volume of an instance or an image. A part that is none keeps what the source image says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EbsVolume {
    /// The device it is attached as, such as `/dev/sda1`.
    pub device: String,
    /// Its size in GiB.
    pub size_gib: Option<u32>,
    /// Its kind, such as `gp3`.
    pub volume_type: Option<VolumeType>,
    /// Operations per second.
    pub iops: Option<u32>,
    /// Throughput in MiB/s.
    pub throughput: Option<u32>,
    /// Whether it is encrypted.
    pub encrypted: Option<bool>,
    /// The KMS key to encrypt it with.
    pub kms_key_id: Option<String>,
    /// Whether it goes with the instance.
    pub delete_on_termination: Option<bool>,
    /// The snapshot that it is made from; none for the source image's, or an empty volume.
    pub snapshot_id: Option<SnapshotId>,
}

/// Where an instance is launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The subnet, which fixes VPC and zone.
    pub subnet_id: SubnetId,
    /// The zone of that subnet, for messages.
    pub availability_zone: AvailabilityZone,
}

/// What RunInstances is to launch: always one instance, IMDSv2 required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// The same token with the same parameters launches nothing twice: at most 64 ASCII characters.
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>
    pub client_token: String,
    /// What to launch from.
    pub image_id: ImageId,
    /// The machine, such as `m5.xlarge`.
    pub instance_type: String,
    /// Where.
    pub placement: Placement,
    /// Whether it gets a random public address.
    pub public_ip: bool,
    /// Its groups.
    pub security_groups: Vec<SecurityGroupId>,
    /// The key pair that EC2 hands to the guest; none if user-data carries the key.
    pub key_name: Option<String>,
    /// The instance profile's name.
    pub instance_profile: Option<String>,
    /// Raw user-data, at most 16,384 bytes; the adapter encodes it.
    pub user_data: Vec<u8>,
    /// Volumes that differ from the image's.
    pub volumes: Vec<EbsVolume>,
    /// Whether EBS gets bandwidth of its own; none leaves the type's default.
    pub ebs_optimized: Option<bool>,
    /// How it is paid for.
    pub purchase: Purchase,
    /// The most to pay per hour for a spot instance, in US dollars; none for the on-demand price.
    pub spot_max_price: Option<String>,
    /// What a shutdown from inside does.
    pub guest_shutdown: GuestShutdown,
    /// Tags of the instance and what comes with it.
    pub tags: TagSpecification,
    /// Devices of the image that the instance leaves out (`NoDevice`).
    pub left_out_devices: Vec<String>,
    /// Whether it gets an IPv6 address.
    pub ipv6: bool,
    /// What of the machine and its neighbourhood is not left to EC2.
    pub hosting: Hosting,
    /// How the instance metadata service answers.
    pub metadata: MetadataOptions,
}

/// What of the machine and its neighbourhood is not left to EC2. A part that is none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosting {
    /// Which capacity reservation is used.
    pub capacity_reservation: Option<CapacityReservation>,
    /// `default`, `dedicated` or `host`.
    pub tenancy: Option<String>,
    /// The dedicated host: `h-…`.
    pub host_id: Option<String>,
    /// The ARN of a host resource group.
    pub host_resource_group: Option<String>,
    /// The placement group's name.
    pub placement_group: Option<String>,
    /// Whether a burstable instance may spend more than its credits: `standard` or `unlimited`.
    pub cpu_credits: Option<String>,
}

/// Which capacity reservation an instance uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapacityReservation {
    /// Any open one that fits.
    Open,
    /// None.
    None,
    /// This one: `cr-…`.
    Id(String),
    /// One of this group's, by the resource group's ARN.
    Group(String),
}

/// How the instance metadata service answers. IMDSv2's token is always required.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMetadataOptionsRequest.html>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataOptions {
    /// How many network hops an answer may take, 1 to 64; none for 2, which reaches a container in the instance.
    pub hop_limit: Option<u8>,
    /// Whether the instance sees its own tags.
    pub instance_tags: Option<bool>,
}

/// A kind of machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceTypeDescription {
    /// Its name, such as `m5.xlarge`.
    pub name: String,
    /// Architectures, in EC2's words.
    pub architectures: Vec<String>,
    /// Virtualisations, in EC2's words.
    pub virtualizations: Vec<String>,
    /// Boot modes, in EC2's words.
    pub boot_modes: Vec<String>,
    /// How many virtual processors it has by default: what the quotas count.
    pub vcpus: u32,
    /// Whether it runs on the Nitro system.
    pub nitro: bool,
    /// Whether its processor credits can be configured (T types).
    pub burstable: bool,
    /// Whether it can be a spot instance.
    pub spot: bool,
}

/// A kind of machine and a zone that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offering {
    /// The machine, such as `m5.xlarge`.
    pub instance_type: String,
    /// The zone.
    pub availability_zone: AvailabilityZone,
}

/// Enhanced networking of an instance, which its image takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnhancedNetworking {
    /// ENA on or off; none leaves it as it is.
    pub ena: Option<bool>,
    /// Whether the Intel 82599 VF interface is turned on (`sriovNetSupport=simple`); it cannot be turned off.
    pub sriov: bool,
}

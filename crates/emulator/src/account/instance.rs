//! An instance as the account remembers it.

use super::image::{ImportedDisk, ProductCode, Virtualization};
use super::lifecycle::InstanceState;
use super::tags::Tags;
use crate::ids::{
    GroupId, ImageId, InstanceId, InterfaceAttachmentId, InterfaceId, LayerId,
    ProfileAssociationId, ReservationId, SpotRequestId, SubnetId, VolumeId, VpcId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The RunInstances that made it.
    pub reservation: ReservationId,
    /// Its number within the reservation, from 0.
    pub launch_index: u32,
    /// The ClientToken it was launched with; empty if none.
    pub client_token: String,
    /// The image it was launched from.
    pub image: ImageId,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Why it is in that state, if EC2 would say so.
    pub state_reason: Option<StateReason>,
    /// The same in EC2's older form, such as `User initiated (2026-01-01 00:00:00 GMT)`.
    pub transition_reason: String,
    /// When RunInstances made it.
    pub created: Timestamp,
    /// When it was last started.
    pub launched: Timestamp,
    /// When it came to its state.
    pub since: Timestamp,
    /// Such as `m5.xlarge`.
    pub instance_type: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// The key pair's name and public key at launch (the key stays when the pair is deleted).
    pub key: Option<LoginKey>,
    /// Its one network interface.
    pub interface: Interface,
    /// Where it is.
    pub zone: String,
    /// User-data as given, not encoded.
    #[serde(with = "crate::account::bytes")]
    pub user_data: Vec<u8>,
    /// The name of its instance profile.
    pub profile: Option<ProfileAssociation>,
    /// What a shutdown from inside does.
    pub shutdown_behavior: ShutdownBehavior,
    /// How its metadata service answers.
    pub metadata: MetadataOptions,
    /// Whether it has dedicated bandwidth to its volumes. Nothing depends on it here.
    pub ebs_optimized: bool,
    /// Enhanced networking by ENA. Nothing depends on it here.
    pub ena_support: bool,
    /// Enhanced networking by SR-IOV: `simple` or nothing.
    pub sriov_net_support: Option<String>,
    /// Whether TerminateInstances is refused.
    pub disable_api_termination: bool,
    /// Such as `/dev/sda1`.
    pub root_device: String,
    /// Its volumes, by device name.
    pub volumes: Vec<VolumeAttachment>,
    /// The layers it was launched on, topmost first.
    pub layers: Vec<LayerId>,
    /// The disk that the lowest of them is made of, if it was written by blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<ImportedDisk>,
    /// The user that the image's cloud-init sets up.
    pub default_user: String,
    /// The spot request that it fulfils, if it is a spot instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<SpotRequestId>,
    /// How it is virtualised.
    #[serde(default)]
    pub virtualization: Virtualization,
    /// The kernel of a paravirtual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Its image's product codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_codes: Vec<ProductCode>,
    /// Such as `Red Hat Enterprise Linux`.
    #[serde(default = "linux")]
    pub platform_details: String,
    /// Such as `RunInstances:0010`.
    #[serde(default = "plain_launch")]
    pub usage_operation: String,
    /// Instance store volumes: `ephemeral0` by device name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ephemeral: BTreeMap<String, String>,
    /// What of the machine and its neighbourhood was asked for.
    #[serde(default)]
    pub hosting: Hosting,
    /// Why it cannot come to run, if that was clear at its launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doom: Option<StateReason>,
    /// Who carries out user-data.
    pub agent: crate::guest::BootAgent,
    /// When AWS takes it back, once that has been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interruption: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
}

fn linux() -> String {
    "Linux/UNIX".to_owned()
}

fn plain_launch() -> String {
    "RunInstances".to_owned()
}

/// What of the machine and its neighbourhood was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Hosting {
    /// `dedicated` or `host`; nothing is `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenancy: Option<String>,
    /// The dedicated host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_id: Option<String>,
    /// The ARN of the host resource group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_resource_group: Option<String>,
    /// The placement group's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_group: Option<String>,
    /// `open` or `none`, if it names no reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation_preference: Option<String>,
    /// The ARN of the resource group of reservations that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation_group: Option<String>,
    /// The capacity reservation that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation_target: Option<String>,
    /// The capacity reservation that it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// `standard` or `unlimited`, for burstable types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_credits: Option<String>,
}

/// Why an instance is in its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateReason {
    /// Such as `Client.UserInitiatedShutdown`.
    pub code: String,
    /// For the person.
    pub message: String,
}

impl StateReason {
    /// Stopped or terminated through the API.
    pub fn by_user() -> Self {
        Self {
            code: "Client.UserInitiatedShutdown".into(),
            message: "Client.UserInitiatedShutdown: User initiated shutdown".into(),
        }
    }

    /// Shut down from inside.
    pub fn from_inside() -> Self {
        Self {
            code: "Client.InstanceInitiatedShutdown".into(),
            message: "Client.InstanceInitiatedShutdown: Instance initiated shutdown".into(),
        }
    }

    /// A volume's key cannot be used, see
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html>.
    pub fn unusable_key() -> Self {
        Self {
            code: "Client.InvalidKMSKey.InvalidState".into(),
            message:
                "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state"
                    .into(),
        }
    }

    /// AWS took a spot instance back.
    pub fn spot_termination() -> Self {
        Self {
            code: "Server.SpotInstanceTermination".into(),
            message: "Server.SpotInstanceTermination: Spot instance termination".into(),
        }
    }

    /// EC2's own failure; `why` is added so that the reader need not guess.
    pub fn internal(why: &str) -> Self {
        Self {
            code: "Server.InternalError".into(),
            message: format!("Server.InternalError: Internal error on launch: {why}"),
        }
    }
}

/// A key pair as the instance knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginKey {
    /// The pair's name.
    pub name: String,
    /// The public key in OpenSSH's form, as the metadata service shows it.
    pub public_key: String,
}

/// An instance's network interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interface {
    /// Its id.
    pub id: InterfaceId,
    /// Its attachment's id.
    pub attachment: InterfaceAttachmentId,
    /// Its description.
    pub description: String,
    /// The VPC it is in.
    pub vpc: VpcId,
    /// The subnet it is in.
    pub subnet: SubnetId,
    /// The groups that filter its traffic.
    pub groups: Vec<GroupId>,
    /// Its address inside the VPC.
    pub private_ip: Ipv4Addr,
    /// Its IPv6 addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6: Vec<Ipv6Addr>,
    /// Its random public address, while it has one. An Elastic IP takes its place.
    pub public_ip: Option<Ipv4Addr>,
    /// Whether a start gives it a random public address.
    pub wants_public_ip: bool,
    /// Its hardware address.
    pub mac: String,
    /// Whether it drops traffic not addressed to it. Nothing depends on it here.
    pub source_dest_check: bool,
    /// Its tags.
    pub tags: Tags,
}

/// An instance profile in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileAssociation {
    /// The association's id.
    pub id: ProfileAssociationId,
    /// The profile's name.
    pub name: String,
    /// The profile's ARN.
    #[serde(default)]
    pub arn: String,
    /// The profile's id.
    #[serde(default)]
    pub profile_id: String,
}

impl ProfileAssociation {
    /// The same profile in use by another instance.
    pub fn again(&self) -> Self {
        Self {
            id: ProfileAssociationId::random(),
            ..self.clone()
        }
    }

    /// The profile's ARN. Instances of earlier versions remember the name only.
    pub fn arn(&self, owner: &str) -> String {
        match self.arn.is_empty() {
            true => format!("arn:aws:iam::{owner}:instance-profile/{}", self.name),
            false => self.arn.clone(),
        }
    }
}

/// What a shutdown from inside the guest does, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingInstanceInitiatedShutdownBehavior.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShutdownBehavior {
    /// The instance is stopped.
    #[default]
    Stop,
    /// The instance is terminated.
    Terminate,
}

impl ShutdownBehavior {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        }
    }
}

/// How the metadata service answers, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMetadataOptionsRequest.html>.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// Whether it answers at all.
    pub enabled: bool,
    /// Whether a request needs a token (version 2 only).
    pub tokens_required: bool,
    /// How many hops a token's reply may travel, 1 to 64. A guest here is one hop away.
    pub hop_limit: u8,
    /// Whether tags are shown.
    pub tags: bool,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            tokens_required: false,
            hop_limit: 1,
            tags: false,
        }
    }
}

/// A volume of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VolumeAttachment {
    /// Such as `/dev/sda1`.
    pub device: String,
    /// The volume.
    pub volume: VolumeId,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
    /// When it was attached.
    pub attached: Timestamp,
}

impl Instance {
    /// Whether the guest's disk is this instance's own (it is, until it is terminated).
    pub fn holds_disk(&self) -> bool {
        self.state != InstanceState::Terminated
    }

    /// The host name inside the VPC, such as `ip-172-31-0-5.us-east-2.compute.internal`.
    pub fn private_dns(&self, region: &str) -> String {
        let name = self.private_ip_dashed();
        match region {
            "us-east-1" => format!("ip-{name}.ec2.internal"),
            _ => format!("ip-{name}.{region}.compute.internal"),
        }
    }

    fn private_ip_dashed(&self) -> String {
        self.interface.private_ip.to_string().replace('.', "-")
    }
}

/// The host name of a public address, such as `ec2-127-4-5-6.us-east-2.compute.amazonaws.com`.
pub fn public_dns(address: Ipv4Addr, region: &str) -> String {
    let dashed = address.to_string().replace('.', "-");
    match region {
        "us-east-1" => format!("ec2-{dashed}.compute-1.amazonaws.com"),
        _ => format!("ec2-{dashed}.{region}.compute.amazonaws.com"),
    }
}

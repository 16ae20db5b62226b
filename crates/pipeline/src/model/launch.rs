//! The instance to build on.

use super::user_data::UserDataChoice;
use super::{
    CapacityReservation, Cidr, Credits, GroupChoice, InstanceProfile, InstanceType, Lifetime,
    Located, Metadata, OnShutdown, Placement, Spot, SubnetChoice, Tags, UserData, Volume,
    VpcChoice,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The instance to build on. (EC2 API, RunInstances.)
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "LaunchFile")]
pub struct Launch {
    /// The instance types, the preferred one first; at least one. A later one is taken when EC2 has no capacity for those
    /// before it.
    pub instance_types: Vec<Located<InstanceType>>,
    /// The VPC that subnets and groups are looked for in; without it the default VPC.
    pub vpc: Option<Located<VpcChoice>>,
    /// Where in the network the instance may go, the preferred place first; at least one.
    pub subnets: Vec<Located<SubnetChoice>>,
    /// Whether the instance is bought as a spot instance.
    pub spot: Spot,
    /// After how long the instance terminates itself.
    pub max_lifetime: Lifetime,
    /// Security groups to use. Without any, qib makes one for the run that lets in SSH from `ssh_from` only.
    pub security_groups: Vec<Located<GroupChoice>>,
    /// The instance profile whose role the instance has.
    pub instance_profile: Option<Located<InstanceProfile>>,
    /// Block devices of the instance, and of the image unless `image.volumes` says otherwise.
    pub volumes: Vec<Volume>,
    /// Who may reach the instance's SSH port, when qib makes the security group.
    pub ssh_from: SshFrom,
    /// User-data of the user's own.
    pub user_data: Option<UserData>,
    /// Whether the instance is EBS-optimised. Without it the instance type decides.
    pub ebs_optimized: Option<bool>,
    /// Whether the instance gets a public address of its own at launch (`AssociatePublicIpAddress`).
    pub public_ip: bool,
    /// Whether the instance gets an IPv6 address.
    pub ipv6: bool,
    /// The way out that an instance without a public address has.
    pub egress: Option<Egress>,
    /// Which capacity reservation the instance uses. Without it EC2's default: any open one that fits.
    pub capacity_reservation: Option<Located<CapacityReservation>>,
    /// On which hardware, and beside whom, the instance runs.
    pub placement: Option<Located<Placement>>,
    /// What a burstable instance does when its processor credits are spent.
    pub credits: Option<Located<Credits>>,
    /// How the instance metadata service answers.
    pub metadata: Metadata,
    /// What a shutdown from inside does to the instance.
    pub on_shutdown: OnShutdown,
    /// Tags for the instance and its volumes, besides the stage's.
    pub tags: Tags,
}

/// The instance to build on: exactly one of `instance_type` and `instance_types`, and at most one of `subnet` and
/// `subnets`. (EC2 API, RunInstances.)
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Launch")]
pub(crate) struct LaunchFile {
    /// The instance type, for example `m5.xlarge`. Either this or `instance_types` is required.
    instance_type: Option<Located<InstanceType>>,
    /// Several instance types, the preferred one first. When EC2 has no capacity for one in any of the subnets, the next
    /// is tried.
    #[schemars(length(min = 1))]
    instance_types: Option<Vec<Located<InstanceType>>>,
    /// The VPC in which subnets and groups are looked for. Without it: the default VPC. Exactly one VPC of the region may
    /// fit a filter.
    vpc: Option<Located<VpcChoice>>,
    /// Where in the network the instance goes. Without it: in `vpc` the subnet with the most free addresses; without
    /// that the default subnet of the default VPC, in the first zone that has the instance type.
    subnet: Option<Located<SubnetChoice>>,
    /// Several subnets of one VPC, the preferred one first. When EC2 has no capacity for an instance type in one, the
    /// next is tried.
    #[schemars(length(min = 1))]
    subnets: Option<Vec<Located<SubnetChoice>>>,
    /// Whether to buy spare capacity, which costs less and which EC2 may take back at any time. `true` stands for all
    /// the defaults.
    #[serde(default)]
    spot: Spot,
    /// After how long the instance terminates itself, whatever has become of qib: at least `10m`. It must leave room for
    /// connecting, provisioning and the image. `qib runs extend` lengthens the life of a kept instance.
    #[serde(default)]
    max_lifetime: Lifetime,
    /// Security groups to use. Without any, qib makes one for the run that lets in SSH from `ssh_from` only.
    #[serde(default)]
    security_groups: Vec<Located<GroupChoice>>,
    /// The role that the instance has: the name of an instance profile, or a policy of which qib makes a role and a
    /// profile for the time of the build.
    instance_profile: Option<Located<InstanceProfile>>,
    /// Block devices of the instance, and of the image unless `image.volumes` says otherwise.
    #[serde(default)]
    volumes: Vec<Volume>,
    /// Who may reach the instance's SSH port, when qib makes the security group.
    #[serde(default)]
    ssh_from: SshFrom,
    /// Your own user-data (a script, cloud-config, MIME multipart or anything else that cloud-init takes): the path of a
    /// file, relative to the pipeline's file, or `{ content: TEXT }`. qib's own parts run before it.
    user_data: Option<Located<UserDataChoice>>,
    /// Whether the instance is EBS-optimised. Without it the instance type decides.
    ebs_optimized: Option<bool>,
    /// Whether the instance gets a public address of its own at launch (`AssociatePublicIpAddress`).
    #[serde(default = "yes")]
    public_ip: bool,
    /// Whether the instance gets an IPv6 address of its subnet's range, which the subnet must have.
    #[serde(default)]
    ipv6: bool,
    /// The way out that an instance without a public address has: a NAT, or VPC endpoints. qib cannot see it, and
    /// binding an Elastic IP from user-data needs one.
    egress: Option<Egress>,
    /// Which capacity reservation the instance uses: `open`, `none`, the id of one, or `{ group: ARN }` of a resource
    /// group of them. Without it EC2's default, which is `open`. Spot instances use none.
    capacity_reservation: Option<Located<CapacityReservation>>,
    /// On which hardware, and beside whom, the instance runs. Without it on EC2's shared hardware.
    placement: Option<Located<Placement>>,
    /// What a burstable instance (T types) does when its processor credits are spent. Without it the account's default.
    credits: Option<Located<Credits>>,
    /// How the instance metadata service answers.
    #[serde(default)]
    metadata: Metadata,
    /// What a shutdown from inside does to the instance.
    #[serde(default)]
    on_shutdown: OnShutdown,
    /// Tags for the instance and its volumes, besides the stage's.
    #[serde(default)]
    tags: Tags,
}

const fn yes() -> bool {
    true
}

impl TryFrom<LaunchFile> for Launch {
    type Error = &'static str;

    fn try_from(file: LaunchFile) -> Result<Self, Self::Error> {
        let instance_types = match (file.instance_type, file.instance_types) {
            (Some(only), None) => vec![only],
            (None, Some(several)) if several.is_empty() => return Err("`instance_types` is empty"),
            (None, Some(several)) => several,
            _ => return Err("`launch` has exactly one of `instance_type` and `instance_types`"),
        };
        let subnets = match (file.subnet, file.subnets) {
            (None, None) if file.vpc.is_some() => {
                vec![Located::new(SubnetChoice::any(), crate::Span::START)]
            }
            (None, None) => vec![Located::default()],
            (Some(only), None) => vec![only],
            (None, Some(several)) if several.is_empty() => return Err("`subnets` is empty"),
            (None, Some(several)) => several,
            (Some(_), Some(_)) => return Err("`launch` has at most one of `subnet` and `subnets`"),
        };
        Ok(Self {
            instance_types,
            vpc: file.vpc,
            subnets,
            spot: file.spot,
            max_lifetime: file.max_lifetime,
            security_groups: file.security_groups,
            instance_profile: file.instance_profile,
            volumes: file.volumes,
            ssh_from: file.ssh_from,
            user_data: file.user_data.map(UserDataChoice::placed),
            ebs_optimized: file.ebs_optimized,
            public_ip: file.public_ip,
            ipv6: file.ipv6,
            egress: file.egress,
            capacity_reservation: file.capacity_reservation,
            placement: file.placement,
            credits: file.credits,
            metadata: file.metadata,
            on_shutdown: file.on_shutdown,
            tags: file.tags,
        })
    }
}

impl JsonSchema for Launch {
    fn schema_name() -> Cow<'static, str> {
        "Launch".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        LaunchFile::json_schema(generator)
    }
}

/// How an instance without a public address reaches the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Through a NAT gateway or instance.
    Nat,
    /// Through VPC endpoints: EC2's API, and no more.
    Endpoint,
}

/// Who may reach the instance's SSH port.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SshFrom {
    /// The address that qib itself is seen with from outside.
    #[default]
    Caller,
    /// Everyone: `0.0.0.0/0` and `::/0`.
    Anywhere,
    /// These networks.
    Networks(Vec<Cidr>),
}

impl<'de> Deserialize<'de> for SshFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SshFromVisitor;

        impl<'de> Visitor<'de> for SshFromVisitor {
            type Value = SshFrom;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("caller, anywhere or a list of networks such as [203.0.113.0/24]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SshFrom, E> {
                match text {
                    "caller" => Ok(SshFrom::Caller),
                    "anywhere" => Ok(SshFrom::Anywhere),
                    network => Cidr::parse(network)
                        .map(|n| SshFrom::Networks(vec![n]))
                        .map_err(|why| {
                            E::custom(format!(
                                "{why}; `ssh_from` is caller, anywhere or a list of networks"
                            ))
                        }),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SshFrom, A::Error> {
                let mut networks = Vec::new();
                while let Some(network) = seq.next_element()? {
                    networks.push(network);
                }
                if networks.is_empty() {
                    return Err(de::Error::custom(
                        "an empty `ssh_from` lets nobody in, qib neither",
                    ));
                }
                Ok(SshFrom::Networks(networks))
            }
        }

        deserializer.deserialize_any(SshFromVisitor)
    }
}

impl JsonSchema for SshFrom {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "SshFrom".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let network = Cidr::json_schema(generator);
        json_schema!({
            "default": "caller",
            "anyOf": [
                { "type": "string", "enum": ["caller", "anywhere"] },
                network,
                { "type": "array", "items": network, "minItems": 1 },
            ],
        })
    }
}

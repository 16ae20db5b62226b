//! The instance to build on.

use super::{
    Cidr, InstanceProfileName, InstanceType, Located, SecurityGroupId, SubnetId, Tags,
    UserDataFile, Volume, ZoneLetter,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The instance to build on. (EC2 API, RunInstances.)
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// The instance type, for example `m5.xlarge`.
    pub instance_type: Located<InstanceType>,
    /// Where in the network the instance goes. Without it: the default subnet of the default VPC, in a zone of EC2's
    /// choice.
    #[serde(default)]
    pub subnet: SubnetChoice,
    /// Security groups to use. Without any, qib makes one for the run that lets in SSH from `ssh_from` only.
    #[serde(default)]
    pub security_groups: Vec<Located<SecurityGroupId>>,
    /// The instance profile whose role the instance has.
    pub instance_profile: Option<Located<InstanceProfileName>>,
    /// Block devices of the instance, and of the image unless `image.volumes` says otherwise.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Who may reach the instance's SSH port, when qib makes the security group.
    #[serde(default)]
    pub ssh_from: SshFrom,
    /// A file of your own user-data (a script, cloud-config or MIME multipart), relative to the pipeline's file.
    /// qib's own parts run before it.
    pub user_data: Option<UserDataFile>,
    /// Whether the instance is EBS-optimised. Without it the instance type decides.
    pub ebs_optimized: Option<bool>,
    /// Whether the instance gets a public address of its own at launch (`AssociatePublicIpAddress`).
    #[serde(default = "yes")]
    pub public_ip: bool,
    /// The way out that an instance without a public address has: a NAT, or VPC endpoints. qib cannot see it, and
    /// binding an Elastic IP from user-data needs one.
    pub egress: Option<Egress>,
    /// Tags for the instance and its volumes, besides the stage's.
    #[serde(default)]
    pub tags: Tags,
}

const fn yes() -> bool {
    true
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

/// Where in the network an instance goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubnetChoice {
    /// This subnet.
    Id(SubnetId),
    /// The default subnet of the default VPC.
    DefaultVpc {
        /// In this zone of the region; without it EC2 chooses.
        zone: Option<ZoneLetter>,
    },
}

impl Default for SubnetChoice {
    fn default() -> Self {
        Self::DefaultVpc { zone: None }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DefaultVpcFile {
    /// Take the default subnet of the default VPC; only `true` has a meaning.
    default_vpc: bool,
    /// The zone's letter within the region, for example `c`. Without it EC2 chooses.
    zone: Option<ZoneLetter>,
}

impl<'de> Deserialize<'de> for SubnetChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SubnetVisitor;

        impl<'de> Visitor<'de> for SubnetVisitor {
            type Value = SubnetChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a subnet id or { default_vpc: true, zone: LETTER }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SubnetChoice, E> {
                SubnetId::new(text).map(SubnetChoice::Id).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SubnetChoice, A::Error> {
                let file = DefaultVpcFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if !file.default_vpc {
                    return Err(de::Error::custom(
                        "`default_vpc: false` says no subnet; give a subnet id instead",
                    ));
                }
                Ok(SubnetChoice::DefaultVpc { zone: file.zone })
            }
        }

        deserializer.deserialize_any(SubnetVisitor)
    }
}

impl JsonSchema for SubnetChoice {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "SubnetChoice".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let id = SubnetId::json_schema(generator);
        let default_vpc = DefaultVpcFile::json_schema(generator);
        json_schema!({ "anyOf": [id, default_vpc] })
    }
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

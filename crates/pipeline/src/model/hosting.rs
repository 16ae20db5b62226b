//! What of the machine and its neighbourhood is not left to EC2, and what a shutdown does.

use super::word_or_map::WordOrMap;
use super::{CapacityReservationId, HostId, Located, PlacementGroupName, ResourceGroupArn};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;

/// Which capacity reservation the instance uses. (EC2 API, CapacityReservationSpecification.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapacityReservation {
    /// Any open one that fits; without one the instance is launched all the same.
    Open,
    /// None.
    None,
    /// This one.
    Id(CapacityReservationId),
    /// One of a resource group's.
    Group(ResourceGroupArn),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CapacityReservationFile {
    /// The ARN of a resource group of capacity reservations.
    group: ResourceGroupArn,
}

impl<'de> Deserialize<'de> for CapacityReservation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "open, none, a capacity reservation's id or { group: ARN }",
            word: |text| match text {
                "open" => Ok(Self::Open),
                "none" => Ok(Self::None),
                id => CapacityReservationId::new(id).map(Self::Id).map_err(|why| {
                    format!(
                        "{why}; `capacity_reservation` is open, none, an id or {{ group: ARN }}"
                    )
                }),
            },
            map: |file: CapacityReservationFile| Ok(Self::Group(file.group)),
        }
        .read(deserializer)
    }
}

impl JsonSchema for CapacityReservation {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "CapacityReservation".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let id = CapacityReservationId::json_schema(generator);
        let file = CapacityReservationFile::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "string", "enum": ["open", "none"] }, id, file] })
    }
}

/// On which hardware, and beside whom, the instance runs. (EC2 API, Placement.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Whether the hardware is shared with other accounts.
    pub tenancy: Option<Tenancy>,
    /// The dedicated host to run on: `h-…`. It implies `tenancy: host`.
    pub host: Option<Located<HostId>>,
    /// The ARN of a host resource group, of which EC2 chooses the host. It implies `tenancy: host`.
    pub host_resource_group: Option<Located<ResourceGroupArn>>,
    /// The name of a placement group.
    pub group: Option<Located<PlacementGroupName>>,
}

/// Whether the hardware is shared, in EC2's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tenancy {
    /// It is shared with other accounts.
    Default,
    /// It is this account's alone.
    Dedicated,
    /// It is a host that this account has allocated.
    Host,
}

impl Tenancy {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Dedicated => "dedicated",
            Self::Host => "host",
        }
    }
}

/// What a burstable instance (T types) does when its processor credits are spent. (EC2 User Guide, "Burstable
/// performance instances".)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Credits {
    /// It slows down.
    Standard,
    /// It goes on at full speed, which may cost more.
    Unlimited,
}

impl Credits {
    /// The word that EC2 uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Unlimited => "unlimited",
        }
    }
}

/// How the instance metadata service answers. IMDSv2 with its token is always required. (EC2 API,
/// InstanceMetadataOptionsRequest.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// How many network hops an answer may take, 1 to 64: 2 lets containers on the instance ask. Without it the image's
    /// or the account's default.
    pub hop_limit: Option<HopLimit>,
    /// Whether the instance sees its own tags. Their keys may then have letters, digits and `+ - = . , _ : @` only.
    pub instance_tags: Option<Located<bool>>,
}

/// A number of network hops, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HopLimit(u8);

impl HopLimit {
    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for HopLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            hops @ 1..=64 => Ok(Self(hops as u8)),
            hops => Err(de::Error::custom(format!(
                "a hop limit is 1 to 64, not {hops}"
            ))),
        }
    }
}

impl JsonSchema for HopLimit {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HopLimit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 64 })
    }
}

/// What a shutdown from inside does to the instance. (EC2 API, RunInstances, `InstanceInitiatedShutdownBehavior`.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnShutdown {
    /// It is terminated: also what `max_lifetime` relies on.
    #[default]
    Terminate,
    /// It stops, and stays. When `max_lifetime` is over it stops, too, and goes only by `qib sweep`.
    Stop,
}

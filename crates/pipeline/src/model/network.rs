//! Where in the network an instance goes: by id, or by what the VPC, subnet or group must be.

use super::word_or_map::WordOrMap;
use super::{SecurityGroupId, SubnetId, VpcId, ZoneLetter};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Which VPC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VpcChoice {
    /// This one.
    Id(VpcId),
    /// The only one that is all of this.
    Filter(VpcFilter),
}

/// What a VPC must be to be found; exactly one may be. (EC2 API, DescribeVpcs.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VpcFilter {
    /// Tags that it carries, key and value; in a value `*` stands for any characters and `?` for one.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// Its first range of IPv4 addresses, for example `10.0.0.0/16`.
    pub cidr: Option<String>,
}

/// Which subnet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubnetChoice {
    /// This one.
    Id(SubnetId),
    /// The default subnet of the default VPC.
    DefaultVpc {
        /// In this zone of the region; without it one that has the instance type.
        zone: Option<ZoneLetter>,
    },
    /// One that is all of this.
    Filter {
        /// What it must be.
        filter: SubnetFilter,
        /// Which one to take when several are.
        pick: PickSubnet,
    },
}

impl Default for SubnetChoice {
    fn default() -> Self {
        Self::DefaultVpc { zone: None }
    }
}

impl SubnetChoice {
    /// Any subnet of a VPC: the one with the most free addresses.
    pub fn any() -> Self {
        Self::Filter {
            filter: SubnetFilter::default(),
            pick: PickSubnet::MostFree,
        }
    }
}

/// What a subnet of the VPC must be to be found. (EC2 API, DescribeSubnets.)
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetFilter {
    /// Tags that it carries, key and value; in a value `*` stands for any characters and `?` for one.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// The zone's letter within the region, for example `c`.
    pub zone: Option<ZoneLetter>,
    /// Its range of IPv4 addresses, for example `10.0.1.0/24`.
    pub cidr: Option<String>,
}

/// Which subnet to take when a filter finds several.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PickSubnet {
    /// There must be exactly one.
    #[default]
    Only,
    /// The one with the most free IPv4 addresses.
    MostFree,
    /// The first by zone, then by id.
    First,
}

impl PickSubnet {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::MostFree => "most_free",
            Self::First => "first",
        }
    }
}

/// Which security group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupChoice {
    /// This one.
    Id(SecurityGroupId),
    /// The only one of the VPC that is all of this.
    Filter(GroupFilter),
}

/// What a security group of the VPC must be to be found; exactly one may be. (EC2 API, DescribeSecurityGroups.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupFilter {
    /// Tags that it carries, key and value; in a value `*` stands for any characters and `?` for one.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its name (`group-name`, not the tag `Name`).
    pub name: Option<String>,
}

/// `KEY: VALUE` pairs as they stand in a flow map, for messages.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn of(tags: &BTreeMap<String, String>, more: &[(&str, Option<&str>)]) -> Self {
        let mut pairs = Vec::new();
        if !tags.is_empty() {
            let tags = tags.iter().map(|(key, value)| format!("{key}: {value}"));
            let tags = tags.collect::<Vec<_>>().join(", ");
            pairs.push(("tags".to_owned(), format!("{{ {tags} }}")));
        }
        for (key, value) in more {
            pairs.extend(value.map(|value| ((*key).to_owned(), value.to_owned())));
        }
        Self(pairs)
    }
}

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("{}");
        }
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        write!(f, "{{ {} }}", pairs.join(", "))
    }
}

impl fmt::Display for VpcFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = [
            ("name", self.name.as_deref()),
            ("cidr", self.cidr.as_deref()),
        ];
        Pairs::of(&self.tags, &more).fmt(f)
    }
}

impl fmt::Display for SubnetFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = [
            ("name", self.name.as_deref()),
            ("zone", self.zone.as_ref().map(ZoneLetter::as_str)),
            ("cidr", self.cidr.as_deref()),
        ];
        Pairs::of(&self.tags, &more).fmt(f)
    }
}

impl fmt::Display for GroupFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Pairs::of(&self.tags, &[("name", self.name.as_deref())]).fmt(f)
    }
}

impl fmt::Display for VpcChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Filter(filter) => write!(f, "{{ filter: {filter} }}"),
        }
    }
}

impl fmt::Display for SubnetChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::DefaultVpc { zone: None } => f.write_str("{ default_vpc: true }"),
            Self::DefaultVpc { zone: Some(zone) } => {
                write!(f, "{{ default_vpc: true, zone: {zone} }}")
            }
            Self::Filter { filter, pick } => {
                write!(f, "{{ filter: {filter}, pick: {} }}", pick.as_str())
            }
        }
    }
}

impl fmt::Display for GroupChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Filter(filter) => write!(f, "{{ filter: {filter} }}"),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VpcFile {
    /// What the VPC must be; exactly one of the region may be.
    filter: VpcFilter,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SubnetFile {
    /// Take the default subnet of the default VPC; only `true` has a meaning.
    default_vpc: Option<bool>,
    /// With `default_vpc`: the zone's letter within the region, for example `c`. Without it: the first zone that has the
    /// instance type.
    zone: Option<ZoneLetter>,
    /// What the subnet must be, instead of `default_vpc`: looked for in `launch.vpc`, else in the default VPC.
    filter: Option<SubnetFilter>,
    /// With `filter`: which subnet to take when several fit (default `only`).
    pick: Option<PickSubnet>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupFile {
    /// What the group must be; exactly one of the VPC may be.
    filter: GroupFilter,
}

/// A filter with nothing in it finds everything.
const SAYS_NOTHING: &str = "this filter says nothing; give it `tags` or a `name`";

impl<'de> Deserialize<'de> for VpcChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "a VPC id or { filter: { tags: { KEY: VALUE } } }",
            word: |text| VpcId::new(text).map(Self::Id),
            map: |file: VpcFile| match file.filter {
                VpcFilter {
                    tags,
                    name: None,
                    cidr: None,
                } if tags.is_empty() => {
                    Err("this filter says nothing; give it `tags`, a `name` or a `cidr`".to_owned())
                }
                filter => Ok(Self::Filter(filter)),
            },
        }
        .read(deserializer)
    }
}

impl<'de> Deserialize<'de> for SubnetChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "a subnet id, { default_vpc: true, zone: LETTER } or { filter: { tags: { KEY: VALUE } } }",
            word: |text| SubnetId::new(text).map(Self::Id),
            map: Self::from_file,
        }
        .read(deserializer)
    }
}

impl SubnetChoice {
    fn from_file(file: SubnetFile) -> Result<Self, String> {
        let why = match file {
            SubnetFile {
                default_vpc: Some(true),
                zone,
                filter: None,
                pick: None,
            } => {
                return Ok(Self::DefaultVpc { zone });
            }
            SubnetFile {
                default_vpc: None,
                zone: None,
                filter: Some(filter),
                pick,
            } => {
                let pick = pick.unwrap_or_default();
                return Ok(Self::Filter { filter, pick });
            }
            SubnetFile {
                default_vpc: Some(false),
                ..
            } => "`default_vpc: false` says no subnet; give a subnet id or a filter instead",
            SubnetFile {
                filter: Some(_),
                zone: Some(_),
                ..
            } => "beside `filter`, the zone belongs into it: { filter: { zone: LETTER } }",
            SubnetFile {
                filter: None,
                pick: Some(_),
                ..
            } => "`pick` goes with `filter` only",
            _ => "a subnet is exactly one of an id, `default_vpc: true` and `filter`",
        };
        Err(why.to_owned())
    }
}

impl<'de> Deserialize<'de> for GroupChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "a security group id or { filter: { name: NAME } }",
            word: |text| SecurityGroupId::new(text).map(Self::Id),
            map: |file: GroupFile| match file.filter {
                GroupFilter { tags, name: None } if tags.is_empty() => Err(SAYS_NOTHING.to_owned()),
                filter => Ok(Self::Filter(filter)),
            },
        }
        .read(deserializer)
    }
}

macro_rules! word_or_map_schema {
    ($($kind:ident = $word:ty, $map:ty;)*) => {$(
        impl JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let (word, map) = (<$word>::json_schema(generator), <$map>::json_schema(generator));
                json_schema!({ "anyOf": [word, map] })
            }
        }
    )*};
}

word_or_map_schema! {
    VpcChoice = VpcId, VpcFile;
    SubnetChoice = SubnetId, SubnetFile;
    GroupChoice = SecurityGroupId, GroupFile;
}

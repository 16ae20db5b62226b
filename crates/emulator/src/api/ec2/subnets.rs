//! Subnets.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/configure-subnets.html>

use super::Action;
use super::filter::Filters;
use super::network::{subnet_not_found, vpc_not_found};
use super::page::{Page, write_token};
use super::params::Scope;
use super::places;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::network::{Cidr, Ipv6Cidr, Subnet};
use crate::account::region::{Region, ZONES};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{SubnetId, VpcId};

fn zone_id(region: &Region, zone: &str) -> String {
    places::zone_id(&region.name, zone.chars().last().unwrap_or('a'))
}

fn arn(region: &Region, subnet: &Subnet) -> String {
    format!(
        "arn:aws:ec2:{}:{}:subnet/{}",
        region.name, region.owner, subnet.id
    )
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html>
pub(crate) struct DescribeSubnets {
    ids: Vec<SubnetId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeSubnets {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("SubnetId")
            .into_iter()
            .map(SubnetId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let filters = Filters::parse(
            p,
            &[
                "assign-ipv6-address-on-creation",
                "availability-zone",
                "availabilityZone",
                "availability-zone-id",
                "availabilityZoneId",
                "available-ip-address-count",
                "cidr",
                "cidr-block",
                "cidrBlock",
                "default-for-az",
                "defaultForAz",
                "ipv6-cidr-block-association.ipv6-cidr-block",
                "ipv6-cidr-block-association.state",
                "ipv6-native",
                "map-public-ip-on-launch",
                "owner-id",
                "state",
                "subnet-arn",
                "subnet-id",
                "vpc-id",
            ],
        )?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("subnetIds", ids.len())?;
        Ok(Self { ids, filters, page })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        if let Some(unknown) = self.ids.iter().find(|id| !region.subnets.contains_key(id)) {
            return Err(subnet_not_found(unknown));
        }
        let chosen = region
            .subnets
            .values()
            .filter(|s| self.ids.is_empty() || self.ids.contains(&s.id))
            .filter(|s| self.filters.pass(&s.tags, |name| values(region, s, name)));
        let (page, token) = self.page.cut(chosen.collect(), |s| s.id.to_string());
        let mut x = Xml::new();
        x.list("subnetSet", page, |x, s| write(x, region, s));
        write_token(&mut x, token);
        Ok(x)
    }
}

fn values(region: &Region, s: &Subnet, filter: &str) -> Vec<String> {
    match filter {
        "assign-ipv6-address-on-creation" => vec![s.assign_ipv6.to_string()],
        "availability-zone" | "availabilityZone" => vec![s.zone.clone()],
        "availability-zone-id" | "availabilityZoneId" => vec![zone_id(region, &s.zone)],
        "available-ip-address-count" => vec![region.free_addresses(s).to_string()],
        "cidr" | "cidr-block" | "cidrBlock" => vec![s.cidr.to_string()],
        "default-for-az" | "defaultForAz" => vec![s.default_for_zone.to_string()],
        "ipv6-cidr-block-association.ipv6-cidr-block" => {
            s.ipv6.iter().map(ToString::to_string).collect()
        }
        "ipv6-cidr-block-association.state" => {
            s.ipv6.iter().map(|_| "associated".to_owned()).collect()
        }
        "ipv6-native" => vec!["false".to_owned()],
        "map-public-ip-on-launch" => vec![s.map_public_ip.to_string()],
        "owner-id" => vec![region.owner.clone()],
        "state" => vec!["available".to_owned()],
        "subnet-arn" => vec![arn(region, s)],
        "vpc-id" => vec![s.vpc.to_string()],
        _ => vec![s.id.to_string()],
    }
}

fn write(x: &mut Xml, region: &Region, s: &Subnet) {
    x.put("subnetId", &s.id).put("subnetArn", arn(region, s));
    x.put("state", "available")
        .put("ownerId", &region.owner)
        .put("vpcId", &s.vpc)
        .put("cidrBlock", s.cidr);
    x.list("ipv6CidrBlockAssociationSet", s.ipv6, |x, cidr| {
        ipv6_association(x, &s.id, cidr);
    });
    x.put("availableIpAddressCount", region.free_addresses(s))
        .put("availabilityZone", &s.zone)
        .put("availabilityZoneId", zone_id(region, &s.zone));
    x.put("defaultForAz", s.default_for_zone)
        .put("mapPublicIpOnLaunch", s.map_public_ip)
        .put("assignIpv6AddressOnCreation", s.assign_ipv6)
        .put("ipv6Native", false);
    write_tags(x, &s.tags);
}

fn ipv6_association(x: &mut Xml, subnet: &SubnetId, cidr: Ipv6Cidr) {
    let digits = subnet.as_str().rsplit('-').next().unwrap_or_default();
    x.put("associationId", format!("subnet-cidr-assoc-{digits}"))
        .put("ipv6CidrBlock", cidr)
        .node("ipv6CidrBlockState", |x| {
            x.put("state", "associated");
        });
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSubnet.html>
pub(crate) struct CreateSubnet {
    vpc: VpcId,
    cidr: Cidr,
    ipv6: Option<Ipv6Cidr>,
    zone: Option<String>,
    zone_id: Option<String>,
    tags: TagSpecs,
}

impl Action for CreateSubnet {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let text = p.required("CidrBlock")?;
        let cidr: Cidr = text.parse().map_err(|_| {
            ApiError::invalid_value("cidrBlock", text, "This is not a valid CIDR block.")
        })?;
        // "The allowed block size is between a /28 netmask and /16 netmask."
        if !(16..=28).contains(&cidr.prefix) {
            return Err(ApiError::new(
                "InvalidSubnet.Range",
                format!("The CIDR '{cidr}' is invalid."),
            ));
        }
        let owned = |name: &str| p.text(name).map(str::to_owned);
        Ok(Self {
            vpc: VpcId::parse(p.required("VpcId")?)?,
            cidr,
            ipv6: ipv6_block(p)?,
            zone: owned("AvailabilityZone"),
            zone_id: owned("AvailabilityZoneId"),
            tags: TagSpecs::parse(p, &["subnet"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        let vpc = region
            .find_vpc(&self.vpc)
            .ok_or_else(|| vpc_not_found(&self.vpc))?;
        if !vpc.cidr.covers(self.cidr) {
            return Err(ApiError::new(
                "InvalidSubnet.Range",
                format!("The CIDR '{}' is invalid.", self.cidr),
            ));
        }
        if let Some(ipv6) = self.ipv6 {
            check_ipv6(region, &self.vpc, ipv6)?;
        }
        let conflict = |s: &&Subnet| s.vpc == self.vpc && s.cidr.overlaps(self.cidr);
        if let Some(other) = region.subnets.values().find(conflict) {
            return Err(ApiError::new(
                "InvalidSubnet.Conflict",
                format!(
                    "The CIDR '{}' conflicts with another subnet ({})",
                    self.cidr, other.id
                ),
            ));
        }
        let zone = self.zone(region)?;
        let subnet = Subnet {
            id: SubnetId::random(),
            vpc: self.vpc,
            zone,
            cidr: self.cidr,
            default_for_zone: false,
            map_public_ip: false,
            ipv6: self.ipv6,
            assign_ipv6: false,
            tags: self.tags.of("subnet"),
        };
        let mut x = Xml::new();
        x.node("subnet", |x| write(x, region, &subnet));
        region.subnets.insert(subnet.id.clone(), subnet);
        Ok(x)
    }
}

impl CreateSubnet {
    /// The zone asked for, or the first.
    fn zone(&self, region: &Region) -> Result<String, ApiError> {
        let named = |letter: &char| format!("{}{letter}", region.name);
        let asked = match (&self.zone, &self.zone_id) {
            (None, None) => return Ok(named(&ZONES[0])),
            (Some(zone), _) => ZONES.iter().map(named).find(|z| z == zone),
            (None, Some(id)) => ZONES.iter().map(named).find(|z| zone_id(region, z) == *id),
        };
        asked.ok_or_else(|| {
            let asked = self.zone.as_ref().or(self.zone_id.as_ref());
            ApiError::invalid_value(
                "availabilityZone",
                asked.map_or("", String::as_str),
                "Subnets can currently only be created in the zones of this region.",
            )
        })
    }
}

fn ipv6_block(p: &Scope<'_>) -> Result<Option<Ipv6Cidr>, ApiError> {
    let Some(text) = p.text("Ipv6CidrBlock") else {
        return Ok(None);
    };
    let bad = || ApiError::invalid_value("ipv6CidrBlock", text, "This is not a valid IPv6 block.");
    let block: Ipv6Cidr = text.parse().map_err(|_| bad())?;
    match block.prefix {
        64 => Ok(Some(block)),
        _ => Err(bad()),
    }
}

fn check_ipv6(region: &Region, vpc: &VpcId, block: Ipv6Cidr) -> Result<(), ApiError> {
    let of_vpc = region.find_vpc(vpc).and_then(|v| v.ipv6);
    if !of_vpc.is_some_and(|range| range.covers(block)) {
        return Err(ApiError::new(
            "InvalidSubnet.Range",
            format!("The CIDR '{block}' is invalid."),
        ));
    }
    let mut subnets = region.subnets.values().filter(|s| s.vpc == *vpc);
    match subnets.find(|s| s.ipv6 == Some(block)) {
        Some(_) => Err(ApiError::new(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{block}' conflicts with another subnet"),
        )),
        None => Ok(()),
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSubnet.html>
pub(crate) struct DeleteSubnet {
    id: SubnetId,
}

impl Action for DeleteSubnet {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: SubnetId::parse(p.required("SubnetId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        if !region.subnets.contains_key(&self.id) {
            return Err(subnet_not_found(&self.id));
        }
        let mut live = region.instances.values().filter(|i| i.holds_disk());
        if live.any(|i| i.interface.subnet == self.id) {
            return Err(ApiError::new(
                "DependencyViolation",
                format!(
                    "The subnet '{}' has dependencies and cannot be deleted.",
                    self.id
                ),
            ));
        }
        region.subnets.remove(&self.id);
        Ok(super::done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySubnetAttribute.html>: "You can only modify one attribute at
/// a time."
pub(crate) struct ModifySubnetAttribute {
    id: SubnetId,
    change: Change,
}

enum Change {
    MapPublicIp(bool),
    AssignIpv6(bool),
}

impl Action for ModifySubnetAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let flag = |name: &str| p.inside(name).flag("Value");
        let (public, ipv6) = (
            flag("MapPublicIpOnLaunch")?,
            flag("AssignIpv6AddressOnCreation")?,
        );
        let change = match (public, ipv6) {
            (Some(on), None) => Change::MapPublicIp(on),
            (None, Some(on)) => Change::AssignIpv6(on),
            (None, None) => return Err(ApiError::missing("MapPublicIpOnLaunch")),
            (Some(_), Some(_)) => {
                return Err(ApiError::combination(
                    "Only one subnet attribute can be modified at a time",
                ));
            }
        };
        Ok(Self {
            id: SubnetId::parse(p.required("SubnetId")?)?,
            change,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let subnets = &mut cx.region().subnets;
        let subnet = subnets
            .get_mut(&self.id)
            .ok_or_else(|| subnet_not_found(&self.id))?;
        match self.change {
            Change::MapPublicIp(on) => subnet.map_public_ip = on,
            Change::AssignIpv6(true) if subnet.ipv6.is_none() => {
                return Err(ApiError::invalid_value(
                    "assignIpv6AddressOnCreation",
                    "true",
                    "The subnet has no IPv6 CIDR block.",
                ));
            }
            Change::AssignIpv6(on) => subnet.assign_ipv6 = on,
        }
        Ok(super::done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateSubnetCidrBlock.html>
pub(crate) struct AssociateSubnetCidrBlock {
    id: SubnetId,
    block: Ipv6Cidr,
}

impl Action for AssociateSubnetCidrBlock {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: SubnetId::parse(p.required("SubnetId")?)?,
            block: ipv6_block(p)?.ok_or_else(|| ApiError::missing("Ipv6CidrBlock"))?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        let subnet = region
            .subnets
            .get(&self.id)
            .ok_or_else(|| subnet_not_found(&self.id))?;
        if subnet.ipv6.is_some() {
            return Err(ApiError::new(
                "CidrLimitExceeded",
                format!("The subnet '{}' has an IPv6 CIDR block already", self.id),
            ));
        }
        check_ipv6(region, &subnet.vpc, self.block)?;
        if let Some(subnet) = region.subnets.get_mut(&self.id) {
            subnet.ipv6 = Some(self.block);
        }
        let mut x = Xml::new();
        x.node("ipv6CidrBlockAssociation", |x| {
            ipv6_association(x, &self.id, self.block)
        });
        x.put("subnetId", &self.id);
        Ok(x)
    }
}

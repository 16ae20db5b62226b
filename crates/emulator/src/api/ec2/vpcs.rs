//! VPCs.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/configure-your-vpc.html>

use super::Action;
use super::filter::Filters;
use super::network::vpc_not_found;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::network::{Cidr, Ipv6Cidr, Vpc};
use crate::account::quotas::Quota;
use crate::account::region::{Region, default_group_of};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::VpcId;
use std::net::Ipv6Addr;

/// A new range of IPv6 addresses for a VPC. AWS's are public; these are of the block for local use
/// (<https://www.rfc-editor.org/rfc/rfc4193>), because nobody outside reaches a guest over IPv6.
fn amazon_provided() -> Ipv6Cidr {
    let random: [u8; 6] = rand::random();
    let [a, b, c, d, e, f] = random.map(u16::from);
    let network = Ipv6Addr::new(0xfd00 | a, b << 8 | c, d << 8 | e, f << 8, 0, 0, 0, 0);
    Ipv6Cidr {
        network,
        prefix: 56,
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcs.html>
pub(crate) struct DescribeVpcs {
    ids: Vec<VpcId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeVpcs {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("VpcId")
            .into_iter()
            .map(VpcId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let filters = Filters::parse(
            p,
            &[
                "cidr",
                "cidr-block",
                "cidr-block-association.cidr-block",
                "cidr-block-association.state",
                "dhcp-options-id",
                "ipv6-cidr-block-association.ipv6-cidr-block",
                "ipv6-cidr-block-association.state",
                "is-default",
                "isDefault",
                "owner-id",
                "state",
                "vpc-id",
            ],
        )?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("vpcIds", ids.len())?;
        Ok(Self { ids, filters, page })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        if let Some(unknown) = self.ids.iter().find(|id| region.find_vpc(id).is_none()) {
            return Err(vpc_not_found(unknown));
        }
        let chosen = region
            .all_vpcs()
            .filter(|v| self.ids.is_empty() || self.ids.contains(&v.id))
            .filter(|v| self.filters.pass(&v.tags, |name| values(region, v, name)));
        let (page, token) = self.page.cut(chosen.collect(), |v| v.id.to_string());
        let mut x = Xml::new();
        x.list("vpcSet", page, |x, vpc| write(x, region, vpc));
        write_token(&mut x, token);
        Ok(x)
    }
}

fn values(region: &Region, vpc: &Vpc, filter: &str) -> Vec<String> {
    match filter {
        "cidr" | "cidr-block" | "cidr-block-association.cidr-block" => vec![vpc.cidr.to_string()],
        "cidr-block-association.state" => vec!["associated".to_owned()],
        "dhcp-options-id" => vec!["default".to_owned()],
        "ipv6-cidr-block-association.ipv6-cidr-block" => {
            vpc.ipv6.iter().map(ToString::to_string).collect()
        }
        "ipv6-cidr-block-association.state" => {
            vpc.ipv6.iter().map(|_| "associated".to_owned()).collect()
        }
        "is-default" | "isDefault" => vec![region.is_default(&vpc.id).to_string()],
        "owner-id" => vec![region.owner.clone()],
        "state" => vec!["available".to_owned()],
        _ => vec![vpc.id.to_string()],
    }
}

/// An association's id: nothing is done by it here.
fn association(kind: &str, id: &str) -> String {
    let digits = id.rsplit('-').next().unwrap_or_default();
    format!("{kind}-cidr-assoc-{digits}")
}

fn write(x: &mut Xml, region: &Region, vpc: &Vpc) {
    x.put("vpcId", &vpc.id)
        .put("ownerId", &region.owner)
        .put("state", "available")
        .put("cidrBlock", vpc.cidr);
    x.list("cidrBlockAssociationSet", [vpc.cidr], |x, cidr| {
        x.put("associationId", association("vpc", vpc.id.as_str()))
            .put("cidrBlock", cidr)
            .node("cidrBlockState", |x| {
                x.put("state", "associated");
            });
    });
    if vpc.ipv6.is_some() {
        x.list("ipv6CidrBlockAssociationSet", vpc.ipv6, |x, cidr| {
            ipv6_association(x, &region.name, &vpc.id, cidr);
        });
    }
    x.put("dhcpOptionsId", "default")
        .put("instanceTenancy", "default")
        .put("isDefault", region.is_default(&vpc.id));
    write_tags(x, &vpc.tags);
}

fn ipv6_association(x: &mut Xml, region: &str, vpc: &VpcId, cidr: Ipv6Cidr) {
    x.put("associationId", association("vpc", vpc.as_str()))
        .put("ipv6CidrBlock", cidr)
        .node("ipv6CidrBlockState", |x| {
            x.put("state", "associated");
        });
    x.put("networkBorderGroup", region)
        .put("ipv6Pool", "Amazon");
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpc.html>: a block between /16 and /28.
pub(crate) struct CreateVpc {
    cidr: Cidr,
    ipv6: bool,
    tags: TagSpecs,
}

impl Action for CreateVpc {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let text = p.required("CidrBlock")?;
        let cidr: Cidr = text.parse().map_err(|_| {
            ApiError::invalid_value("cidrBlock", text, "This is not a valid CIDR block.")
        })?;
        if !(16..=28).contains(&cidr.prefix) {
            return Err(ApiError::new(
                "InvalidVpc.Range",
                format!("The CIDR '{cidr}' is invalid."),
            ));
        }
        p.word("InstanceTenancy", &["default"])?;
        Ok(Self {
            cidr,
            ipv6: p.flag("AmazonProvidedIpv6CidrBlock")?.unwrap_or(false),
            tags: TagSpecs::parse(p, &["vpc"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        check_room(cx)?;
        let now = cx.now;
        let region = cx.region();
        let vpc = Vpc {
            id: VpcId::random(),
            cidr: self.cidr,
            ipv6: self.ipv6.then(amazon_provided),
            tags: self.tags.of("vpc"),
        };
        let group = default_group_of(&vpc.id, now);
        region.groups.insert(group.id.clone(), group);
        let mut x = Xml::new();
        x.node("vpc", |x| write(x, region, &vpc));
        region.vpcs.insert(vpc.id.clone(), vpc);
        Ok(x)
    }
}

fn check_room(cx: &mut Cx<'_>) -> Result<(), ApiError> {
    let most = cx.quotas().count(Quota::Vpcs);
    match cx.region().all_vpcs().count() >= most {
        true => Err(ApiError::new(
            "VpcLimitExceeded",
            "The maximum number of VPCs has been reached.",
        )),
        false => Ok(()),
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDefaultVpc.html>
pub(crate) struct CreateDefaultVpc;

impl Action for CreateDefaultVpc {
    fn parse(_: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        if cx.region().vpc.is_some() {
            return Err(ApiError::new(
                "DefaultVpcAlreadyExists",
                "A Default VPC already exists for this account in this region.",
            ));
        }
        check_room(cx)?;
        let fresh = Region::new(cx.owner(), cx.region);
        let region = cx.region();
        region.groups.extend(fresh.groups);
        region.subnets.extend(fresh.subnets);
        region.vpc = fresh.vpc;
        let region = &*region;
        let mut x = Xml::new();
        if let Some(vpc) = &region.vpc {
            x.node("vpc", |x| write(x, region, vpc));
        }
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpc.html>: the default one too. Its default group goes with
/// it.
pub(crate) struct DeleteVpc {
    id: VpcId,
}

impl Action for DeleteVpc {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: VpcId::parse(p.required("VpcId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        if region.find_vpc(&self.id).is_none() {
            return Err(vpc_not_found(&self.id));
        }
        let subnets = region.subnets.values().any(|s| s.vpc == self.id);
        let groups = region
            .groups
            .values()
            .any(|g| g.vpc == self.id && g.name != "default");
        if subnets || groups {
            return Err(ApiError::new(
                "DependencyViolation",
                format!(
                    "The vpc '{}' has dependencies and cannot be deleted.",
                    self.id
                ),
            ));
        }
        region.groups.retain(|_, g| g.vpc != self.id);
        match region.is_default(&self.id) {
            true => region.vpc = None,
            false => drop(region.vpcs.remove(&self.id)),
        }
        Ok(super::done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateVpcCidrBlock.html>: an Amazon-provided IPv6 block.
pub(crate) struct AssociateVpcCidrBlock {
    id: VpcId,
}

impl Action for AssociateVpcCidrBlock {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        if p.flag("AmazonProvidedIpv6CidrBlock")? != Some(true) {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "The local EC2 associates Amazon-provided IPv6 blocks only",
            ));
        }
        Ok(Self {
            id: VpcId::parse(p.required("VpcId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let name = cx.region;
        let region = cx.region();
        let vpc = region
            .find_vpc_mut(&self.id)
            .ok_or_else(|| vpc_not_found(&self.id))?;
        if vpc.ipv6.is_some() {
            return Err(ApiError::new(
                "CidrLimitExceeded",
                format!(
                    "This network '{}' has met its maximum number of allowed CIDRs: 1",
                    self.id
                ),
            ));
        }
        let cidr = *vpc.ipv6.insert(amazon_provided());
        let mut x = Xml::new();
        x.node("ipv6CidrBlockAssociation", |x| {
            ipv6_association(x, name, &self.id, cidr)
        });
        x.put("vpcId", &self.id);
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provided_blocks_are_for_local_use_and_differ() {
        let (a, b) = (amazon_provided(), amazon_provided());
        assert_ne!(a, b);
        for block in [a, b] {
            assert_eq!(block.network.segments()[0] & 0xff00, 0xfd00, "{block}");
            assert_eq!(block.to_string().parse(), Ok(block));
        }
    }
}

//! VPCs, subnets and network interfaces.

use super::filter::Filters;
use super::instance_view;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::write_tags;
use super::xml::Xml;
use super::{Action, places};
use crate::account::ACCOUNT_ID;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{InterfaceId, SubnetId, VpcId};

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
        let vpc = &cx.region().vpc;
        if let Some(unknown) = self.ids.iter().find(|id| **id != vpc.id) {
            return Err(vpc_not_found(unknown));
        }
        let passes = self.filters.pass(&vpc.tags, |name| {
            vec![match name {
                "cidr" | "cidr-block" => vpc.cidr.to_string(),
                "is-default" | "isDefault" => "true".to_owned(),
                "owner-id" => ACCOUNT_ID.to_owned(),
                "state" => "available".to_owned(),
                _ => vpc.id.to_string(),
            }]
        });
        let (page, token) = self
            .page
            .cut(passes.then_some(vpc).into_iter().collect(), |v| {
                v.id.to_string()
            });
        let mut x = Xml::new();
        x.list("vpcSet", page, |x, vpc| {
            x.put("vpcId", &vpc.id)
                .put("ownerId", ACCOUNT_ID)
                .put("state", "available")
                .put("cidrBlock", vpc.cidr);
            x.put("dhcpOptionsId", "default")
                .put("instanceTenancy", "default")
                .put("isDefault", true);
            write_tags(x, &vpc.tags);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

/// EC2's answer to a VPC that is not there.
pub(crate) fn vpc_not_found(id: &VpcId) -> ApiError {
    ApiError::new(
        "InvalidVpcID.NotFound",
        format!("The vpc ID '{id}' does not exist"),
    )
}

/// EC2's answer to a subnet that is not there.
pub(crate) fn subnet_not_found(id: &SubnetId) -> ApiError {
    ApiError::new(
        "InvalidSubnetID.NotFound",
        format!("The subnet ID '{id}' does not exist"),
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
                "availability-zone",
                "availabilityZone",
                "availability-zone-id",
                "cidr",
                "cidr-block",
                "cidrBlock",
                "default-for-az",
                "defaultForAz",
                "map-public-ip-on-launch",
                "owner-id",
                "state",
                "subnet-id",
                "vpc-id",
            ],
        )?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("subnetIds", ids.len())?;
        Ok(Self { ids, filters, page })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region;
        let state = &*cx.region();
        if let Some(unknown) = self.ids.iter().find(|id| !state.subnets.contains_key(id)) {
            return Err(subnet_not_found(unknown));
        }
        let zone_id = |zone: &str| places::zone_id(region, zone.chars().last().unwrap_or('a'));
        let chosen = state
            .subnets
            .values()
            .filter(|s| self.ids.is_empty() || self.ids.contains(&s.id))
            .filter(|s| {
                self.filters.pass(&s.tags, |name| {
                    vec![match name {
                        "availability-zone" | "availabilityZone" => s.zone.clone(),
                        "availability-zone-id" => zone_id(&s.zone),
                        "cidr" | "cidr-block" | "cidrBlock" => s.cidr.to_string(),
                        "default-for-az" | "defaultForAz" => "true".to_owned(),
                        "map-public-ip-on-launch" => s.map_public_ip.to_string(),
                        "owner-id" => ACCOUNT_ID.to_owned(),
                        "state" => "available".to_owned(),
                        "vpc-id" => s.vpc.to_string(),
                        _ => s.id.to_string(),
                    }]
                })
            });
        let (page, token) = self.page.cut(chosen.collect(), |s| s.id.to_string());
        let mut x = Xml::new();
        x.list("subnetSet", page, |x, s| {
            let used = state
                .instances
                .values()
                .filter(|i| i.holds_disk() && i.interface.subnet == s.id)
                .count();
            // All addresses but the five that EC2 keeps.
            let free = (1usize << (32 - u32::from(s.cidr.prefix))).saturating_sub(5 + used);
            x.put("subnetId", &s.id).put(
                "subnetArn",
                format!("arn:aws:ec2:{region}:{ACCOUNT_ID}:subnet/{}", s.id),
            );
            x.put("state", "available")
                .put("ownerId", ACCOUNT_ID)
                .put("vpcId", &s.vpc)
                .put("cidrBlock", s.cidr);
            x.put("availableIpAddressCount", free)
                .put("availabilityZone", &s.zone)
                .put("availabilityZoneId", zone_id(&s.zone));
            x.put("defaultForAz", true)
                .put("mapPublicIpOnLaunch", s.map_public_ip)
                .put("assignIpv6AddressOnCreation", false);
            write_tags(x, &s.tags);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html>
pub(crate) struct DescribeNetworkInterfaces {
    ids: Vec<InterfaceId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeNetworkInterfaces {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("NetworkInterfaceId")
            .into_iter()
            .map(InterfaceId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let filters = Filters::parse(
            p,
            &[
                "attachment.instance-id",
                "availability-zone",
                "group-id",
                "network-interface-id",
                "private-ip-address",
                "status",
                "subnet-id",
                "vpc-id",
            ],
        )?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("networkInterfaceIds", ids.len())?;
        Ok(Self { ids, filters, page })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let state = &*cx.region();
        // An interface made by RunInstances goes with its instance.
        let all: Vec<_> = state
            .instances
            .values()
            .filter(|i| i.holds_disk())
            .collect();
        if let Some(unknown) = self
            .ids
            .iter()
            .find(|id| !all.iter().any(|i| i.interface.id == **id))
        {
            let message = format!("The networkInterface ID '{unknown}' does not exist");
            return Err(ApiError::new("InvalidNetworkInterfaceID.NotFound", message));
        }
        let chosen = all
            .into_iter()
            .filter(|i| self.ids.is_empty() || self.ids.contains(&i.interface.id))
            .filter(|i| {
                self.filters.pass(&i.interface.tags, |name| match name {
                    "attachment.instance-id" => vec![i.id.to_string()],
                    "availability-zone" => vec![i.zone.clone()],
                    "group-id" => i.interface.groups.iter().map(ToString::to_string).collect(),
                    "private-ip-address" => vec![i.interface.private_ip.to_string()],
                    "status" => vec!["in-use".to_owned()],
                    "subnet-id" => vec![i.interface.subnet.to_string()],
                    "vpc-id" => vec![i.interface.vpc.to_string()],
                    _ => vec![i.interface.id.to_string()],
                })
            });
        let (page, token) = self
            .page
            .cut(chosen.collect(), |i| i.interface.id.to_string());
        let mut x = Xml::new();
        x.list("networkInterfaceSet", page, |x, i| {
            instance_view::interface(x, state, i, instance_view::InterfaceOf::Region);
            x.put("availabilityZone", &i.zone);
            write_tags(x, &i.interface.tags);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

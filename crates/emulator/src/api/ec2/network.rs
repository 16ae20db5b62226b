//! Network interfaces, and what is said of networks that are not there.

use super::Action;
use super::filter::Filters;
use super::instance_view;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::write_tags;
use super::xml::Xml;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{InterfaceId, SubnetId, VpcId};

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

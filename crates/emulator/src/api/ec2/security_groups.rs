//! Security groups.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-security-groups.html>

use super::Action;
use super::filter::Filters;
use super::network::vpc_not_found;
use super::page::{Page, write_token};
use super::params::Scope;
use super::security_rules_view::write_permissions;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::network::{Cidr, Direction, GroupRule, Peer, SecurityGroup, Traffic};
use crate::account::quotas::Quota;
use crate::account::region::Region;
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{GroupId, GroupRuleId, VpcId};
use std::net::Ipv4Addr;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>
pub(crate) struct CreateSecurityGroup {
    name: String,
    description: String,
    vpc: Option<VpcId>,
    tags: TagSpecs,
}

impl Action for CreateSecurityGroup {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let name = p.required("GroupName")?;
        if name.starts_with("sg-") {
            return Err(ApiError::invalid_value(
                "GroupName",
                name,
                "Group names may not be in the format sg-*.",
            ));
        }
        let description = p.required("GroupDescription")?;
        for (parameter, text) in [("GroupName", name), ("GroupDescription", description)] {
            check_text(parameter, text)?;
        }
        Ok(Self {
            name: name.trim_end().to_owned(),
            description: description.to_owned(),
            vpc: p.text("VpcId").map(VpcId::parse).transpose()?,
            tags: TagSpecs::parse(p, &["security-group"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, most) = (cx.now, cx.quotas().count(Quota::Groups));
        let region = cx.region();
        let vpc = match (self.vpc, &region.vpc) {
            (Some(vpc), _) => vpc,
            (None, Some(default)) => default.id.clone(),
            (None, None) => {
                return Err(ApiError::new(
                    "VPCIdNotSpecified",
                    "No default VPC for this user",
                ));
            }
        };
        if region.find_vpc(&vpc).is_none() {
            return Err(vpc_not_found(&vpc));
        }
        if region.groups.len() >= most {
            return Err(ApiError::new(
                "SecurityGroupLimitExceeded",
                "The maximum number of security groups has been reached.",
            ));
        }
        if region
            .groups
            .values()
            .any(|g| g.name == self.name && g.vpc == vpc)
        {
            let message = format!(
                "The security group '{}' already exists for VPC '{vpc}'",
                self.name
            );
            return Err(ApiError::new("InvalidGroup.Duplicate", message));
        }
        let everywhere = Peer::Ipv4(Cidr {
            network: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
        });
        let out = GroupRule {
            id: GroupRuleId::random(),
            direction: Direction::Egress,
            traffic: Traffic {
                protocol: "-1".into(),
                from: None,
                to: None,
                peer: everywhere,
            },
            description: None,
            tags: Tags::default(),
        };
        let group = SecurityGroup {
            id: GroupId::random(),
            name: self.name,
            description: self.description,
            vpc,
            created: now,
            rules: vec![out],
            tags: self.tags.of("security-group"),
        };
        let mut x = super::done();
        x.put("groupId", &group.id)
            .put("securityGroupArn", arn(region, &group.id));
        write_tags(&mut x, &group.tags);
        region.groups.insert(group.id.clone(), group);
        Ok(x)
    }
}

/// "Up to 255 characters in length. Valid characters: a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$*".
fn check_text(parameter: &str, text: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.len() > 255 || !text.chars().all(allowed) {
        let why = "Up to 255 characters from a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$* are allowed.";
        return Err(ApiError::invalid_value(parameter, text, why));
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html>
pub(crate) struct DescribeSecurityGroups {
    ids: Vec<GroupId>,
    names: Vec<String>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeSecurityGroups {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("GroupId")
            .into_iter()
            .map(GroupId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = p
            .texts("GroupName")
            .into_iter()
            .map(str::to_owned)
            .collect();
        let filters = Filters::parse(
            p,
            &[
                "description",
                "egress.ip-permission.cidr",
                "egress.ip-permission.from-port",
                "egress.ip-permission.group-id",
                "egress.ip-permission.group-name",
                "egress.ip-permission.ipv6-cidr",
                "egress.ip-permission.protocol",
                "egress.ip-permission.to-port",
                "egress.ip-permission.user-id",
                "group-id",
                "group-name",
                "ip-permission.cidr",
                "ip-permission.from-port",
                "ip-permission.group-id",
                "ip-permission.group-name",
                "ip-permission.ipv6-cidr",
                "ip-permission.protocol",
                "ip-permission.to-port",
                "ip-permission.user-id",
                "owner-id",
                "vpc-id",
            ],
        )?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("groupIds", ids.len() + names.len())?;
        Ok(Self {
            ids,
            names,
            filters,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, visibility) = (cx.now, cx.timing.visibility);
        let region = &*cx.region();
        let seen: Vec<&SecurityGroup> = region
            .groups
            .values()
            .filter(|g| now.duration_since(g.created).unsigned_abs() >= visibility)
            .collect();
        if let Some(id) = self
            .ids
            .iter()
            .find(|id| !seen.iter().any(|g| g.id == **id))
        {
            return Err(not_found(id.as_str()));
        }
        if let Some(name) = self
            .names
            .iter()
            .find(|n| !seen.iter().any(|g| g.name == **n))
        {
            return Err(not_found(name));
        }
        let chosen = seen.into_iter().filter(|g| {
            let asked = self.ids.is_empty() && self.names.is_empty()
                || self.ids.contains(&g.id)
                || self.names.contains(&g.name);
            asked && self.filters.pass(&g.tags, |name| values(region, g, name))
        });
        let (page, token) = self.page.cut(chosen.collect(), |g| g.id.to_string());
        let mut x = Xml::new();
        x.list("securityGroupInfo", page, |x, g| {
            x.put("ownerId", &region.owner)
                .put("groupId", &g.id)
                .put("groupName", &g.name)
                .put("groupDescription", &g.description);
            x.put("vpcId", &g.vpc)
                .put("securityGroupArn", arn(region, &g.id));
            write_permissions(x, &region.owner, "ipPermissions", g, Direction::Ingress);
            write_permissions(
                x,
                &region.owner,
                "ipPermissionsEgress",
                g,
                Direction::Egress,
            );
            write_tags(x, &g.tags);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

fn values(region: &Region, g: &SecurityGroup, filter: &str) -> Vec<String> {
    let (direction, field) = match filter.strip_prefix("egress.") {
        Some(rest) => (Direction::Egress, rest),
        None => (Direction::Ingress, filter),
    };
    let traffic = || {
        g.rules
            .iter()
            .filter(move |r| r.direction == direction)
            .map(|r| &r.traffic)
    };
    let peers = || {
        traffic().filter_map(|t| match &t.peer {
            Peer::Group(id) => Some(id),
            Peer::Ipv4(_) | Peer::Ipv6(_) => None,
        })
    };
    match field {
        "description" => vec![g.description.clone()],
        "group-name" => vec![g.name.clone()],
        "ip-permission.cidr" => traffic()
            .filter_map(|t| {
                if let Peer::Ipv4(c) = &t.peer {
                    Some(c.to_string())
                } else {
                    None
                }
            })
            .collect(),
        "ip-permission.from-port" => traffic()
            .filter_map(|t| t.from)
            .map(|p| p.to_string())
            .collect(),
        "ip-permission.to-port" => traffic()
            .filter_map(|t| t.to)
            .map(|p| p.to_string())
            .collect(),
        "ip-permission.protocol" => traffic().map(|t| t.protocol.clone()).collect(),
        "ip-permission.group-id" => traffic()
            .filter_map(|t| {
                if let Peer::Group(id) = &t.peer {
                    Some(id.to_string())
                } else {
                    None
                }
            })
            .collect(),
        "ip-permission.group-name" => peers()
            .filter_map(|id| region.groups.get(id))
            .map(|g| g.name.clone())
            .collect(),
        "ip-permission.ipv6-cidr" => traffic()
            .filter_map(|t| match &t.peer {
                Peer::Ipv6(cidr) => Some(cidr.clone()),
                Peer::Ipv4(_) | Peer::Group(_) => None,
            })
            .collect(),
        "ip-permission.user-id" => peers().map(|_| region.owner.clone()).collect(),
        "owner-id" => vec![region.owner.clone()],
        "vpc-id" => vec![g.vpc.to_string()],
        _ => vec![g.id.to_string()],
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html>
pub(crate) struct DeleteSecurityGroup {
    group: GroupRef,
}

impl Action for DeleteSecurityGroup {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            group: GroupRef::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        let group = self.group.find(region)?;
        let id = group.id.clone();
        if group.name == "default" {
            let message = format!(
                "the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"
            );
            return Err(ApiError::new("CannotDelete", message));
        }
        // An interface keeps its groups until it is gone; so does a rule of another group that names this one.
        let used = region
            .instances
            .values()
            .any(|i| i.holds_disk() && i.interface.groups.contains(&id));
        let named = region
            .groups
            .values()
            .filter(|g| g.id != id)
            .flat_map(|g| &g.rules)
            .any(|r| r.traffic.peer == Peer::Group(id.clone()));
        if used || named {
            return Err(ApiError::new(
                "DependencyViolation",
                format!("resource {id} has a dependent object"),
            ));
        }
        region.groups.remove(&id);
        let mut x = super::done();
        x.put("groupId", id);
        Ok(x)
    }
}

/// A group as a request names it.
pub(crate) enum GroupRef {
    Id(GroupId),
    Name(String),
}

impl GroupRef {
    /// Reads `GroupId` or `GroupName`.
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        match (p.text("GroupId"), p.text("GroupName")) {
            (Some(id), None) => Ok(Self::Id(GroupId::parse(id)?)),
            (None, Some(name)) => Ok(Self::Name(name.to_owned())),
            (None, None) => Err(ApiError::missing("GroupId")),
            (Some(_), Some(_)) => Err(ApiError::combination(
                "The parameters GroupName and GroupId cannot be used together",
            )),
        }
    }

    /// The group.
    pub(crate) fn find<'a>(&self, region: &'a Region) -> Result<&'a SecurityGroup, ApiError> {
        match self {
            Self::Id(id) => region.groups.get(id).ok_or_else(|| not_found(id.as_str())),
            Self::Name(name) => region
                .groups
                .values()
                .find(|g| g.name == *name)
                .ok_or_else(|| not_found(name)),
        }
    }
}

/// EC2's answer to a group that is not there.
pub(crate) fn not_found(id: &str) -> ApiError {
    ApiError::new(
        "InvalidGroup.NotFound",
        format!("The security group '{id}' does not exist"),
    )
}

fn arn(region: &Region, id: &GroupId) -> String {
    let (name, owner) = (&region.name, &region.owner);
    format!("arn:aws:ec2:{name}:{owner}:security-group/{id}")
}

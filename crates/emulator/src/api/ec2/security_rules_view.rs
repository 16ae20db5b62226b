//! Rules of security groups as EC2 shows them.

use super::Action;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::write_tags;
use super::xml::Xml;
use crate::account::network::{Direction, GroupRule, Peer, SecurityGroup, Traffic};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{GroupId, GroupRuleId};

/// A rule as EC2 words it in `InvalidPermission.Duplicate`.
pub(super) fn in_words(t: &Traffic) -> String {
    let peer = match &t.peer {
        Peer::Ipv4(cidr) => cidr.to_string(),
        Peer::Ipv6(cidr) => cidr.clone(),
        Peer::Group(id) => id.to_string(),
    };
    match (t.from, t.to) {
        (Some(from), Some(to)) => format!(
            "peer: {peer}, {}, from port: {from}, to port: {to}, ALLOW",
            t.protocol.to_uppercase()
        ),
        _ => format!("peer: {peer}, ALL, ALLOW"),
    }
}

/// Writes a rule.
pub(super) fn write_rule(x: &mut Xml, owner: &str, group: &GroupId, rule: &GroupRule) {
    x.put("securityGroupRuleId", &rule.id)
        .put("groupId", group)
        .put("groupOwnerId", owner);
    x.put("isEgress", rule.direction == Direction::Egress)
        .put("ipProtocol", &rule.traffic.protocol);
    x.put("fromPort", rule.traffic.from.unwrap_or(-1))
        .put("toPort", rule.traffic.to.unwrap_or(-1));
    match &rule.traffic.peer {
        Peer::Ipv4(cidr) => x.put("cidrIpv4", cidr),
        Peer::Ipv6(cidr) => x.put("cidrIpv6", cidr),
        Peer::Group(id) => x.node("referencedGroupInfo", |x| {
            x.put("groupId", id).put("userId", owner);
        }),
    };
    x.maybe("description", rule.description.as_ref());
    write_tags(x, &rule.tags);
}

/// Writes a group's rules as DescribeSecurityGroups shows them: those with the same ports together.
pub(crate) fn write_permissions(
    x: &mut Xml,
    owner: &str,
    name: &str,
    group: &SecurityGroup,
    direction: Direction,
) {
    let mut ports: Vec<(&str, Option<i32>, Option<i32>)> = Vec::new();
    let rules: Vec<&GroupRule> = group
        .rules
        .iter()
        .filter(|r| r.direction == direction)
        .collect();
    for rule in &rules {
        let key = (
            rule.traffic.protocol.as_str(),
            rule.traffic.from,
            rule.traffic.to,
        );
        if !ports.contains(&key) {
            ports.push(key);
        }
    }
    x.list(name, ports, |x, key| {
        let same: Vec<_> = rules
            .iter()
            .filter(|r| (r.traffic.protocol.as_str(), r.traffic.from, r.traffic.to) == key)
            .collect();
        x.put("ipProtocol", key.0)
            .maybe("fromPort", key.1)
            .maybe("toPort", key.2);
        let ranges = same.iter().filter_map(|r| {
            if let Peer::Ipv4(cidr) = &r.traffic.peer {
                Some((cidr, &r.description))
            } else {
                None
            }
        });
        x.list("ipRanges", ranges, |x, (cidr, description)| {
            x.put("cidrIp", cidr)
                .maybe("description", description.as_ref());
        });
        let ranges = same.iter().filter_map(|r| {
            if let Peer::Ipv6(cidr) = &r.traffic.peer {
                Some((cidr, &r.description))
            } else {
                None
            }
        });
        x.list("ipv6Ranges", ranges, |x, (cidr, description)| {
            x.put("cidrIpv6", cidr)
                .maybe("description", description.as_ref());
        });
        let groups = same.iter().filter_map(|r| {
            if let Peer::Group(id) = &r.traffic.peer {
                Some((id, &r.description))
            } else {
                None
            }
        });
        x.list("groups", groups, |x, (id, description)| {
            x.put("groupId", id)
                .put("userId", owner)
                .maybe("description", description.as_ref());
        });
        x.list("prefixListIds", None::<()>, |_, ()| {});
    });
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html>
pub(crate) struct DescribeSecurityGroupRules {
    ids: Vec<GroupRuleId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeSecurityGroupRules {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("SecurityGroupRuleId")
            .into_iter()
            .map(GroupRuleId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let filters = Filters::parse(p, &["group-id", "security-group-rule-id"])?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("securityGroupRuleIds", ids.len())?;
        Ok(Self { ids, filters, page })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        let all: Vec<(&GroupId, &GroupRule)> = region
            .groups
            .values()
            .flat_map(|g| g.rules.iter().map(|r| (&g.id, r)))
            .collect();
        if let Some(id) = self
            .ids
            .iter()
            .find(|id| !all.iter().any(|(_, r)| r.id == **id))
        {
            return Err(ApiError::new(
                "InvalidSecurityGroupRuleId.NotFound",
                format!("The security group rule ID '{id}' does not exist"),
            ));
        }
        let chosen = all.into_iter().filter(|(group, r)| {
            let asked = self.ids.is_empty() || self.ids.contains(&r.id);
            asked
                && self.filters.pass(&r.tags, |name| {
                    vec![if name == "group-id" {
                        group.to_string()
                    } else {
                        r.id.to_string()
                    }]
                })
        });
        let (page, token) = self.page.cut(chosen.collect(), |(_, r)| r.id.to_string());
        let mut x = Xml::new();
        x.list("securityGroupRuleSet", page, |x, (group, rule)| {
            write_rule(x, &region.owner, group, rule)
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

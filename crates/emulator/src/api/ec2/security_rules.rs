//! Rules of security groups.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html>

use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::security_groups::{GroupRef, not_found};
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use super::{Action, done};
use crate::account::ACCOUNT_ID;
use crate::account::network::{Direction, GroupRule, Peer, SecurityGroup, Traffic};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{GroupId, GroupRuleId};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html>
pub(crate) struct AuthorizeIngress(Authorize);
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupEgress.html>
pub(crate) struct AuthorizeEgress(Authorize);
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html>
pub(crate) struct RevokeIngress(Revoke);
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupEgress.html>
pub(crate) struct RevokeEgress(Revoke);

impl Action for AuthorizeIngress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Authorize::parse(p).map(Self)
    }
    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        self.0.run(cx, Direction::Ingress)
    }
}

impl Action for AuthorizeEgress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Authorize::parse(p).map(Self)
    }
    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        self.0.run(cx, Direction::Egress)
    }
}

impl Action for RevokeIngress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Revoke::parse(p).map(Self)
    }
    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        self.0.run(cx, Direction::Ingress)
    }
}

impl Action for RevokeEgress {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Revoke::parse(p).map(Self)
    }
    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        self.0.run(cx, Direction::Egress)
    }
}

struct Authorize {
    group: GroupRef,
    rules: Vec<(Traffic, Option<String>)>,
    tags: TagSpecs,
}

/// Most rules of a group, see <https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>.
const MOST_RULES: usize = 60;

impl Authorize {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let rules = permissions(p)?;
        if rules.is_empty() {
            return Err(ApiError::missing("IpPermissions"));
        }
        Ok(Self {
            group: GroupRef::parse(p)?,
            rules,
            tags: TagSpecs::parse(p, &["security-group-rule"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>, direction: Direction) -> Result<Xml, ApiError> {
        let region = cx.region();
        let id = self.group.find(region)?.id.clone();
        for (traffic, _) in &self.rules {
            if let Peer::Group(peer) = &traffic.peer
                && !region.groups.contains_key(peer)
            {
                return Err(not_found(peer.as_str()));
            }
        }
        let group = region
            .groups
            .get_mut(&id)
            .ok_or_else(|| not_found(id.as_str()))?;
        let mut made = Vec::new();
        for (traffic, description) in self.rules {
            if group
                .rules
                .iter()
                .any(|r| r.direction == direction && r.traffic == traffic)
            {
                let message = format!(
                    "the specified rule \"{}\" already exists",
                    in_words(&traffic)
                );
                return Err(ApiError::new("InvalidPermission.Duplicate", message));
            }
            let tags = self.tags.of("security-group-rule");
            let rule = GroupRule {
                id: GroupRuleId::random(),
                direction,
                traffic,
                description,
                tags,
            };
            group.rules.push(rule.clone());
            made.push(rule);
        }
        if group
            .rules
            .iter()
            .filter(|r| r.direction == direction)
            .count()
            > MOST_RULES
        {
            return Err(ApiError::new(
                "RulesPerSecurityGroupLimitExceeded",
                "The maximum number of rules per security group has been reached.",
            ));
        }
        let mut x = done();
        x.list("securityGroupRuleSet", &made, |x, rule| {
            write_rule(x, &id, rule)
        });
        Ok(x)
    }
}

struct Revoke {
    group: GroupRef,
    rules: Vec<Traffic>,
    ids: Vec<GroupRuleId>,
}

impl Revoke {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let rules: Vec<Traffic> = permissions(p)?
            .into_iter()
            .map(|(traffic, _)| traffic)
            .collect();
        let ids = p
            .texts("SecurityGroupRuleId")
            .into_iter()
            .map(GroupRuleId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if rules.is_empty() && ids.is_empty() {
            return Err(ApiError::missing("IpPermissions"));
        }
        Ok(Self {
            group: GroupRef::parse(p)?,
            rules,
            ids,
        })
    }

    fn run(self, cx: &mut Cx<'_>, direction: Direction) -> Result<Xml, ApiError> {
        let region = cx.region();
        let id = self.group.find(region)?.id.clone();
        let group = region
            .groups
            .get_mut(&id)
            .ok_or_else(|| not_found(id.as_str()))?;
        for traffic in &self.rules {
            let at = group
                .rules
                .iter()
                .position(|r| r.direction == direction && r.traffic == *traffic);
            let message = "The specified rule does not exist in this security group.";
            group
                .rules
                .remove(at.ok_or_else(|| ApiError::new("InvalidPermission.NotFound", message))?);
        }
        for rule in &self.ids {
            let at = group
                .rules
                .iter()
                .position(|r| r.direction == direction && r.id == *rule);
            let missing = || {
                ApiError::new(
                    "InvalidSecurityGroupRuleId.NotFound",
                    format!("The security group rule ID '{rule}' does not exist"),
                )
            };
            group.rules.remove(at.ok_or_else(missing)?);
        }
        Ok(done())
    }
}

/// Reads `IpPermissions.N`, or the old form of one rule at the top. Each peer is a rule of its own.
fn permissions(p: &Scope<'_>) -> Result<Vec<(Traffic, Option<String>)>, ApiError> {
    let mut rules = Vec::new();
    if let Some(cidr) = p.text("CidrIp") {
        let (protocol, from, to) = ports(p)?;
        rules.push((
            Traffic {
                protocol,
                from,
                to,
                peer: ipv4("CidrIp", cidr)?,
            },
            None,
        ));
    }
    for permission in p.each("IpPermissions") {
        let (protocol, from, to) = ports(&permission)?;
        let before = rules.len();
        let mut push = |peer: Peer, description: Option<&str>| {
            rules.push((
                Traffic {
                    protocol: protocol.clone(),
                    from,
                    to,
                    peer,
                },
                description.map(str::to_owned),
            ));
        };
        for range in permission.each("IpRanges") {
            push(
                ipv4("CidrIp", range.required("CidrIp")?)?,
                range.text("Description"),
            );
        }
        for range in permission.each("Ipv6Ranges") {
            let cidr = range.required("CidrIpv6")?;
            let valid = cidr.split_once('/').is_some_and(|(a, n)| {
                a.parse::<std::net::Ipv6Addr>().is_ok() && n.parse::<u8>().is_ok_and(|n| n <= 128)
            });
            if !valid {
                return Err(ApiError::invalid_value(
                    "CidrIpv6",
                    cidr,
                    "This is not a valid IPv6 CIDR block.",
                ));
            }
            push(Peer::Ipv6(cidr.to_owned()), range.text("Description"));
        }
        for group in permission.each("Groups") {
            if group.text("UserId").is_some_and(|user| user != ACCOUNT_ID) {
                return Err(not_found(group.text("GroupId").unwrap_or_default()));
            }
            push(
                Peer::Group(GroupId::parse(group.required("GroupId")?)?),
                group.text("Description"),
            );
        }
        if rules.len() == before {
            return Err(ApiError::missing(&permission.name("IpRanges")));
        }
    }
    Ok(rules)
}

fn ipv4(parameter: &str, text: &str) -> Result<Peer, ApiError> {
    let bad = |_| ApiError::invalid_value(parameter, text, "This is not a valid IPv4 CIDR block.");
    text.parse().map(Peer::Ipv4).map_err(bad)
}

/// Reads protocol and ports, see <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html>.
fn ports(p: &Scope<'_>) -> Result<(String, Option<i32>, Option<i32>), ApiError> {
    let protocol = match p.required("IpProtocol")?.to_ascii_lowercase().as_str() {
        "6" => "tcp".to_owned(),
        "17" => "udp".to_owned(),
        "1" => "icmp".to_owned(),
        "58" => "icmpv6".to_owned(),
        "all" => "-1".to_owned(),
        known @ ("tcp" | "udp" | "icmp" | "icmpv6" | "-1") => known.to_owned(),
        number if number.parse::<u8>().is_ok() => number.to_owned(),
        other => {
            return Err(ApiError::invalid_value(
                "IpProtocol",
                other,
                "Unknown protocol.",
            ));
        }
    };
    let (from, to): (Option<i32>, Option<i32>) = (p.number("FromPort")?, p.number("ToPort")?);
    if !matches!(protocol.as_str(), "tcp" | "udp" | "icmp" | "icmpv6") {
        // "If the protocol is another one, all ports are included."
        return Ok((protocol, None, None));
    }
    let (Some(low), Some(high)) = (from, to) else {
        return Err(ApiError::missing(if from.is_none() {
            "FromPort"
        } else {
            "ToPort"
        }));
    };
    let ports = matches!(protocol.as_str(), "tcp" | "udp");
    let valid = if ports {
        (0..=65_535).contains(&low) && low <= high && high <= 65_535
    } else {
        (-1..=255).contains(&low) && (-1..=255).contains(&high)
    };
    if !valid {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("Invalid {protocol} port range ({low}-{high})"),
        ));
    }
    Ok((protocol, from, to))
}

/// A rule as EC2 words it in `InvalidPermission.Duplicate`.
fn in_words(t: &Traffic) -> String {
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

fn write_rule(x: &mut Xml, group: &GroupId, rule: &GroupRule) {
    x.put("securityGroupRuleId", &rule.id)
        .put("groupId", group)
        .put("groupOwnerId", ACCOUNT_ID);
    x.put("isEgress", rule.direction == Direction::Egress)
        .put("ipProtocol", &rule.traffic.protocol);
    x.put("fromPort", rule.traffic.from.unwrap_or(-1))
        .put("toPort", rule.traffic.to.unwrap_or(-1));
    match &rule.traffic.peer {
        Peer::Ipv4(cidr) => x.put("cidrIpv4", cidr),
        Peer::Ipv6(cidr) => x.put("cidrIpv6", cidr),
        Peer::Group(id) => x.node("referencedGroupInfo", |x| {
            x.put("groupId", id).put("userId", ACCOUNT_ID);
        }),
    };
    x.maybe("description", rule.description.as_ref());
    write_tags(x, &rule.tags);
}

/// Writes a group's rules as DescribeSecurityGroups shows them: those with the same ports together.
pub(crate) fn write_permissions(
    x: &mut Xml,
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
                .put("userId", ACCOUNT_ID)
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
            write_rule(x, group, rule)
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

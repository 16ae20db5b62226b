//! Rules of security groups.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html>

use super::params::Scope;
use super::security_groups::{GroupRef, not_found};
use super::security_rules_view::{in_words, write_rule};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use super::{Action, done};
use crate::account::ACCOUNT_ID;
use crate::account::network::{Direction, GroupRule, Peer, Traffic};
use crate::account::quotas::Quota;
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
        let (owner, most) = (cx.owner(), cx.quotas().count(Quota::GroupRules));
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
            > most
        {
            return Err(ApiError::new(
                "RulesPerSecurityGroupLimitExceeded",
                "The maximum number of rules per security group has been reached.",
            ));
        }
        let mut x = done();
        x.list("securityGroupRuleSet", &made, |x, rule| {
            write_rule(x, owner, &id, rule)
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

//! Security groups: DescribeSecurityGroups, CreateSecurityGroup, AuthorizeSecurityGroupIngress, DeleteSecurityGroup.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, IpPermission, IpRange, Ipv6Range, ResourceType};
use cloud::port::Result;
use cloud::{ErrorKind, IngressRule, SecurityGroup, SecurityGroupId, Tags, VpcId};

pub(crate) async fn describe(
    ec2: &Client,
    given: &[(String, Vec<String>)],
) -> Result<Vec<SecurityGroup>> {
    const CALL: &str = "DescribeSecurityGroups";
    let mut pages = ec2
        .describe_security_groups()
        .set_filters(filters::filters(given))
        .into_paginator()
        .page_size(filters::PAGE)
        .items()
        .send();
    let mut groups = Vec::new();
    while let Some(answered) = pages.try_next().await.map_err(failed(CALL))? {
        groups.push(group(&answered).map_err(BadAnswer::to(CALL))?);
    }
    Ok(groups)
}

fn group(answered: &types::SecurityGroup) -> std::result::Result<SecurityGroup, BadAnswer> {
    Ok(SecurityGroup {
        group_id: SecurityGroupId::from(required(answered.group_id(), "groupId")?),
        name: required(answered.group_name(), "groupName")?.to_owned(),
        vpc_id: answered.vpc_id().map(VpcId::from),
        tags: tagging::tags(answered.tags()),
    })
}

pub(crate) async fn create(
    ec2: &Client,
    name: &str,
    description: &str,
    vpc: &VpcId,
    tags: &Tags,
) -> Result<SecurityGroupId> {
    const CALL: &str = "CreateSecurityGroup";
    let answer = ec2
        .create_security_group()
        .group_name(name)
        .description(description)
        .vpc_id(vpc.as_str())
        .set_tag_specifications(tagging::specifications([(
            ResourceType::SecurityGroup,
            tags.clone(),
        )]))
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(name))?;
    required(answer.group_id(), "groupId")
        .map(SecurityGroupId::from)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(name))
}

pub(crate) async fn authorize_ingress(
    ec2: &Client,
    group: &SecurityGroupId,
    rule: &IngressRule,
) -> Result<()> {
    if rule.from.is_empty() {
        return Ok(());
    }
    match authorize(ec2, group, rule, &rule.from).await {
        Err(error) if error.kind == ErrorKind::Duplicate => {}
        other => return other,
    }
    if rule.from.len() == 1 {
        return Ok(());
    }
    // EC2 refuses the whole call if one of its ranges is there already, so the others are still missing.
    for range in &rule.from {
        match authorize(ec2, group, rule, std::slice::from_ref(range)).await {
            Err(error) if error.kind == ErrorKind::Duplicate => {}
            other => other?,
        }
    }
    Ok(())
}

async fn authorize(
    ec2: &Client,
    group: &SecurityGroupId,
    rule: &IngressRule,
    ranges: &[String],
) -> Result<()> {
    ec2.authorize_security_group_ingress()
        .group_id(group.as_str())
        .ip_permissions(permission(rule, ranges))
        .send()
        .await
        .map_err(|error| failed("AuthorizeSecurityGroupIngress")(error).about(group))?;
    Ok(())
}

/// IPv4 and IPv6 ranges have lists of their own.
fn permission(rule: &IngressRule, ranges: &[String]) -> IpPermission {
    let description = (!rule.description.is_empty()).then(|| rule.description.clone());
    let (v6, v4): (Vec<_>, Vec<_>) = ranges.iter().partition(|range| range.contains(':'));
    let v4 = v4.into_iter().map(|range| {
        let one = IpRange::builder().cidr_ip(range);
        one.set_description(description.clone()).build()
    });
    let v6 = v6.into_iter().map(|range| {
        let one = Ipv6Range::builder().cidr_ipv6(range);
        one.set_description(description.clone()).build()
    });
    let (v4, v6): (Vec<_>, Vec<_>) = (v4.collect(), v6.collect());
    IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(rule.port.into())
        .to_port(rule.port.into())
        .set_ip_ranges((!v4.is_empty()).then_some(v4))
        .set_ipv6_ranges((!v6.is_empty()).then_some(v6))
        .build()
}

pub(crate) async fn delete(ec2: &Client, group: &SecurityGroupId) -> Result<()> {
    match ec2
        .delete_security_group()
        .group_id(group.as_str())
        .send()
        .await
        .map_err(failed("DeleteSecurityGroup"))
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(group)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_tcp_port_for_each_range() {
        let rule = IngressRule {
            port: 22,
            from: vec!["203.0.113.7/32".to_owned(), "198.51.100.0/24".to_owned()],
            description: "qib".to_owned(),
        };
        let permission = permission(&rule, &rule.from);
        assert_eq!(permission.ip_protocol(), Some("tcp"));
        assert_eq!(permission.from_port(), Some(22));
        assert_eq!(permission.to_port(), Some(22));
        assert_eq!(permission.ip_ranges().len(), 2);
        assert_eq!(permission.ip_ranges()[1].description(), Some("qib"));
    }
}

//! The resources that a request is about, as policies name them.
//!
//! ARNs and which actions have them:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html> and its neighbours.

use super::{Asked, Authority};
use crate::account::policy::Context;
use crate::account::region::Region;
use crate::api::caller::USER;
use crate::api::ec2::{self, Access};
use crate::api::protocol::Service;
use crate::ids::ImageId;
use serde_json::Value;
use std::collections::BTreeSet;

/// A resource and what conditions about it are checked against.
pub(super) struct Resource {
    pub(super) arn: String,
    pub(super) context: Context,
}

/// Kinds of EC2's resources by the prefix of their ids.
const KINDS: [(&str, &str); 16] = [
    ("ami", "image"),
    ("cr", "capacity-reservation"),
    ("eipalloc", "elastic-ip"),
    ("eni", "network-interface"),
    ("h", "dedicated-host"),
    ("i", "instance"),
    ("import-snap", "import-snapshot-task"),
    ("key", "key-pair"),
    ("lt", "launch-template"),
    ("pg", "placement-group"),
    ("sg", "security-group"),
    ("sir", "spot-instances-request"),
    ("snap", "snapshot"),
    ("subnet", "subnet"),
    ("vol", "volume"),
    ("vpc", "vpc"),
];

/// Actions that make something, and what they make.
const MAKES: [(&str, &[&str]); 17] = [
    ("AllocateAddress", &["elastic-ip"]),
    ("CopyImage", &["image"]),
    ("CopySnapshot", &["snapshot"]),
    ("CreateImage", &["image", "snapshot"]),
    ("CreateKeyPair", &["key-pair"]),
    ("CreateLaunchTemplate", &["launch-template"]),
    ("CreatePlacementGroup", &["placement-group"]),
    ("CreateSecurityGroup", &["security-group"]),
    ("CreateSnapshot", &["snapshot"]),
    ("CreateSnapshots", &["snapshot"]),
    ("CreateSubnet", &["subnet"]),
    ("CreateVolume", &["volume"]),
    ("CreateVpc", &["vpc"]),
    ("ImportKeyPair", &["key-pair"]),
    ("ImportSnapshot", &["import-snapshot-task"]),
    ("RegisterImage", &["image"]),
    ("RunInstances", &["instance", "network-interface", "volume"]),
];

/// Looking actions that are about a resource; the others are about none.
const LOOKS_AT: [&str; 4] = [
    "DescribeImageAttribute",
    "DescribeInstanceAttribute",
    "DescribeSnapshotAttribute",
    "GetConsoleOutput",
];

/// The resources of a request; the one `*` if it is about none.
pub(super) fn of(authority: &Authority<'_>, asked: Asked<'_>) -> Vec<Resource> {
    let arns: BTreeSet<String> = match asked.service {
        Service::Ec2 => ec2(authority, asked),
        Service::Sts => query(asked, "RoleArn").into_iter().collect(),
        Service::Iam => iam(authority, asked),
        Service::Ssm => ssm(asked),
        Service::Kms => kms(authority, asked),
        Service::Quotas => BTreeSet::new(),
        Service::Ebs => ebs(asked),
        // Whoever reads its requests knows what they are about.
        Service::S3 => query(asked, "Arn").into_iter().collect(),
    };
    let arns = match arns.is_empty() {
        true => BTreeSet::from(["*".to_owned()]),
        false => arns,
    };
    arns.into_iter()
        .map(|arn| Resource {
            context: context(authority, asked, &arn),
            arn,
        })
        .collect()
}

/// What the request tags as it makes it.
pub(super) fn tagged(authority: &Authority<'_>, asked: Asked<'_>) -> Vec<Resource> {
    specifications(asked)
        .into_iter()
        .map(|(kind, _)| {
            let named = named(asked, &kind);
            let arn = arn_of(asked, &kind, named.as_deref().unwrap_or("*"));
            let context = context(authority, asked, &arn).with("ec2:CreateAction", asked.action);
            Resource { arn, context }
        })
        .collect()
}

/// What StartSnapshot tags as it makes it: `ec2:CreateTags` on the snapshot
/// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-permissions.html>).
pub(super) fn tagged_blocks(authority: &Authority<'_>, asked: Asked<'_>) -> Vec<Resource> {
    match ebs_tags(asked).is_empty() {
        true => Vec::new(),
        false => {
            let arn = arn_of(asked, "snapshot", "*");
            let context = context(authority, asked, &arn).with("ec2:CreateAction", asked.action);
            vec![Resource { arn, context }]
        }
    }
}

/// The role that the request passes to EC2.
pub(super) fn passed(authority: &Authority<'_>, asked: Asked<'_>) -> Vec<Resource> {
    let account = asked.caller.account();
    let iam = authority.account.iam.get(account);
    let profile = iam.and_then(|iam| {
        let name = query(asked, "IamInstanceProfile.Name");
        let arn = query(asked, "IamInstanceProfile.Arn");
        iam.profiles
            .values()
            .find(|p| Some(&p.name) == name.as_ref() || Some(p.arn(account)) == arn)
    });
    let role = profile
        .zip(iam)
        .and_then(|(p, iam)| iam.role_of_profile(&p.name));
    role.map(|role| {
        let arn = role.arn(account);
        let context = context(authority, asked, &arn);
        Resource {
            context: context.with("iam:PassedToService", "ec2.amazonaws.com"),
            arn,
        }
    })
    .into_iter()
    .collect()
}

/// The name of what is made, where ARNs of its kind have names rather than ids.
fn named(asked: Asked<'_>, kind: &str) -> Option<String> {
    match kind {
        "key-pair" => query(asked, "KeyName"),
        "placement-group" => query(asked, "GroupName"),
        _ => None,
    }
}

fn query(asked: Asked<'_>, name: &str) -> Option<String> {
    asked.params.all().get(name).cloned()
}

fn arn_of(asked: Asked<'_>, kind: &str, id: &str) -> String {
    // "Images and snapshots have no account in their ARNs."
    let account = match kind {
        "image" | "snapshot" => "",
        _ => asked.caller.account(),
    };
    format!("arn:aws:ec2:{}:{account}:{kind}/{id}", asked.region)
}

fn ec2(authority: &Authority<'_>, asked: Asked<'_>) -> BTreeSet<String> {
    let looks = ec2::find(asked.action).is_some_and(|e| e.access == Access::Read);
    if looks && !LOOKS_AT.contains(&asked.action) {
        return BTreeSet::new();
    }
    let mut arns = BTreeSet::new();
    let made = MAKES.iter().find(|(action, _)| *action == asked.action);
    for kind in made.map_or(&[][..], |(_, kinds)| kinds) {
        let named = named(asked, kind);
        arns.insert(arn_of(asked, kind, named.as_deref().unwrap_or("*")));
    }
    for (name, value) in asked.params.all() {
        if name == "KeyName" || name == "LaunchTemplateName" {
            let kind = match name.as_str() {
                "KeyName" => "key-pair",
                _ => "launch-template",
            };
            arns.insert(arn_of(asked, kind, value));
        }
        // `InstanceId`, `ResourceId.2`, `NetworkInterface.1.SecurityGroupId.1`: the last word that is no number.
        let mut words = name.rsplit('.').skip_while(|w| w.parse::<u32>().is_ok());
        if !words.next().is_some_and(|w| w.ends_with("Id")) {
            continue;
        }
        let prefix = value.rsplit_once('-').map_or("", |(prefix, _)| prefix);
        if let Some((_, kind)) = KINDS.iter().find(|(p, _)| *p == prefix) {
            arns.insert(arn_of(asked, kind, value));
        }
    }
    if asked.action == "RunInstances" {
        // Where the request names none, EC2 takes the default ones, and asks about them too.
        for kind in ["security-group", "subnet"] {
            let named = |arn: &String| arn.contains(&format!(":{kind}/"));
            if !arns.iter().any(named) {
                arns.insert(arn_of(asked, kind, "*"));
            }
        }
    }
    if asked.action == "DisassociateAddress" {
        arns.extend(disassociated(authority, asked));
    }
    arns
}

/// DisassociateAddress names neither the address nor the instance, but is about both.
fn disassociated(authority: &Authority<'_>, asked: Asked<'_>) -> Vec<String> {
    let (association, ip) = (query(asked, "AssociationId"), query(asked, "PublicIp"));
    let Some(region) = region(authority, asked) else {
        return Vec::new();
    };
    let bound = region.addresses.values().find_map(|a| {
        let bound = a.bound()?;
        let meant = Some(bound.id.as_str()) == association.as_deref()
            || Some(a.public_ip.to_string()) == ip;
        meant.then_some((a.allocation.as_str(), bound.instance.as_str()))
    });
    bound.map_or_else(Vec::new, |(allocation, instance)| {
        vec![
            arn_of(asked, "elastic-ip", allocation),
            arn_of(asked, "instance", instance),
        ]
    })
}

fn region<'a>(authority: &Authority<'a>, asked: Asked<'_>) -> Option<&'a Region> {
    let mut regions = authority.account.everywhere(asked.region);
    regions.find(|r| r.owner == asked.caller.account())
}

fn iam(authority: &Authority<'_>, asked: Asked<'_>) -> BTreeSet<String> {
    let account = asked.caller.account();
    let iam = authority.account.iam.get(account);
    let path = query(asked, "Path").unwrap_or_else(|| "/".to_owned());
    let mut arns = BTreeSet::new();
    if let Some(name) = query(asked, "RoleName") {
        let known = iam.and_then(|i| i.roles.get(&name)).map(|r| r.arn(account));
        let made = || format!("arn:aws:iam::{account}:role{path}{name}");
        arns.insert(known.unwrap_or_else(made));
    }
    if let Some(name) = query(asked, "InstanceProfileName") {
        let known = iam.and_then(|i| i.profiles.get(&name));
        let made = || format!("arn:aws:iam::{account}:instance-profile{path}{name}");
        arns.insert(known.map_or_else(made, |p| p.arn(account)));
    }
    if let Some(principal) = query(asked, "PolicySourceArn") {
        arns.insert(principal);
    }
    if asked.action == "GetUser" {
        arns.insert(format!("arn:aws:iam::{account}:user/{USER}"));
    }
    arns
}

fn ssm(asked: Asked<'_>) -> BTreeSet<String> {
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    let arn = |name: &str| {
        let slash = if name.starts_with('/') { "" } else { "/" };
        let (region, account) = (asked.region, asked.caller.account());
        // Public parameters are nobody's.
        let account = match name.starts_with("/aws/service/") {
            true => "",
            false => account,
        };
        format!("arn:aws:ssm:{region}:{account}:parameter{slash}{name}")
    };
    let one = ["Name", "Path"].iter().filter_map(|k| body[*k].as_str());
    let many = body["Names"].as_array().into_iter().flatten();
    one.chain(many.filter_map(Value::as_str)).map(arn).collect()
}

/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticblockstore.html>
fn ebs(asked: Asked<'_>) -> BTreeSet<String> {
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    if asked.action == "StartSnapshot" {
        return BTreeSet::from([arn_of(asked, "snapshot", "*")]);
    }
    ["SnapshotId", "FirstSnapshotId", "SecondSnapshotId"]
        .iter()
        .filter_map(|member| body[*member].as_str())
        .map(|id| arn_of(asked, "snapshot", id))
        .collect()
}

fn ebs_tags(asked: Asked<'_>) -> Vec<(String, String)> {
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    let tags = body["Tags"].as_array().into_iter().flatten();
    let pair = |tag: &Value| {
        let value = tag["Value"].as_str().unwrap_or_default();
        Some((tag["Key"].as_str()?.to_owned(), value.to_owned()))
    };
    tags.filter_map(pair).collect()
}

fn kms(authority: &Authority<'_>, asked: Asked<'_>) -> BTreeSet<String> {
    let body: Value = serde_json::from_slice(asked.body).unwrap_or_default();
    let named = body["KeyId"].as_str().or(body["TargetKeyId"].as_str());
    let key = named.and_then(|name| region(authority, asked)?.keys.find(name));
    key.map(|k| k.arn.clone()).into_iter().collect()
}

/// The tags that the request gives as it makes something, by kind.
fn specifications(asked: Asked<'_>) -> Vec<(String, Vec<(String, String)>)> {
    let top = asked.params.top();
    let specifications = top.each("TagSpecification");
    let kinds = specifications.iter().filter_map(|spec| {
        let kind = query(asked, &spec.name("ResourceType"))?;
        let tags = tags_below(asked, &spec.name("Tag"));
        Some((kind, tags))
    });
    kinds.collect()
}

fn tags_below(asked: Asked<'_>, list: &str) -> Vec<(String, String)> {
    let tags = asked.params.top().each(list);
    let pairs = tags.iter().filter_map(|tag| {
        let value = query(asked, &tag.name("Value")).unwrap_or_default();
        Some((query(asked, &tag.name("Key"))?, value))
    });
    pairs.collect()
}

/// What conditions about a resource are checked against.
fn context(authority: &Authority<'_>, asked: Asked<'_>, arn: &str) -> Context {
    let caller = asked.caller;
    let mut context = Context::default()
        .with("aws:RequestedRegion", asked.region)
        .with("ec2:Region", asked.region)
        .with("aws:PrincipalAccount", caller.account())
        .with("aws:PrincipalArn", caller.arn());
    if let Some(mfa) = caller.mfa() {
        context.add("aws:MultiFactorAuthPresent", mfa.to_string());
    }
    if caller.role().is_none() {
        context.add("aws:username", USER);
    }
    let (kind, id) = arn
        .rsplit_once(':')
        .and_then(|(_, rest)| rest.split_once('/'))
        .unwrap_or(("", ""));
    let requested = match asked.service {
        Service::Ec2 if asked.action == "CreateTags" || asked.action == "DeleteTags" => {
            tags_below(asked, "Tag")
        }
        Service::Ec2 => specifications(asked)
            .into_iter()
            .filter(|(of, _)| of == kind)
            .flat_map(|(_, tags)| tags)
            .collect(),
        Service::Iam => tags_below(asked, "Tags.member"),
        Service::Ebs => ebs_tags(asked),
        Service::Sts | Service::Ssm | Service::Kms | Service::Quotas | Service::S3 => Vec::new(),
    };
    for (key, value) in requested {
        context.add(&format!("aws:RequestTag/{key}"), value);
        context.add("aws:TagKeys", key);
    }
    for (key, value) in resource_tags(authority, asked, kind, id) {
        context.add(&format!("aws:ResourceTag/{key}"), &value);
        context.add(&format!("ec2:ResourceTag/{key}"), value);
    }
    match asked.service {
        Service::Ec2 => describe(authority, asked, (kind, id), &mut context),
        Service::Kms => describe_key(authority, asked, id, &mut context),
        Service::Sts
        | Service::Iam
        | Service::Ssm
        | Service::Quotas
        | Service::Ebs
        | Service::S3 => {}
    }
    context
}

/// KMS's own keys. <https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html>
fn describe_key(authority: &Authority<'_>, asked: Asked<'_>, id: &str, context: &mut Context) {
    if let Some(region) = region(authority, asked) {
        for alias in region.keys.aliases_of(id) {
            context.add("kms:ResourceAliases", alias);
        }
    }
    if asked.action == "CreateGrant" {
        // It is true of those that a service asks for in the caller's name.
        context.add("kms:GrantIsForAWSResource", "false");
    }
}

/// EC2's own keys.
fn describe(
    authority: &Authority<'_>,
    asked: Asked<'_>,
    (kind, id): (&str, &str),
    context: &mut Context,
) {
    match kind {
        "instance" if id == "*" => {
            for (key, parameter) in [
                ("ec2:InstanceType", "InstanceType"),
                ("ec2:MetadataHttpTokens", "MetadataOptions.HttpTokens"),
            ] {
                if let Some(value) = query(asked, parameter) {
                    context.add(key, value);
                }
            }
        }
        "instance" => {
            let instance = region(authority, asked)
                .and_then(|r| r.instances.values().find(|i| i.id.as_str() == id));
            if let Some(instance) = instance {
                context.add("ec2:InstanceType", &instance.instance_type);
            }
        }
        "image" => {
            context.add("ec2:ImageID", id);
            let image = ImageId::parse(id).ok().and_then(|id| {
                let mut regions = authority.account.everywhere(asked.region);
                regions.find_map(|r| r.images.get(&id))
            });
            if let Some(image) = image {
                context.add("ec2:Owner", &image.owner);
            }
        }
        "volume" => {
            let size = query(asked, "Size")
                .or_else(|| query(asked, "BlockDeviceMapping.1.Ebs.VolumeSize"));
            if let Some(size) = size {
                context.add("ec2:VolumeSize", size);
            }
        }
        _ => {}
    }
}

fn resource_tags(
    authority: &Authority<'_>,
    asked: Asked<'_>,
    kind: &str,
    id: &str,
) -> Vec<(String, String)> {
    let owned = |(k, v): (&str, &str)| (k.to_owned(), v.to_owned());
    let iam = authority.account.iam.get(asked.caller.account());
    match kind {
        "role" => {
            let name = id.rsplit('/').next().unwrap_or(id);
            let role = iam.and_then(|i| i.roles.get(name));
            role.map_or_else(Vec::new, |r| r.tags.iter().map(owned).collect())
        }
        "instance-profile" => {
            let name = id.rsplit('/').next().unwrap_or(id);
            let profile = iam.and_then(|i| i.profiles.get(name));
            profile.map_or_else(Vec::new, |p| p.tags.iter().map(owned).collect())
        }
        _ => {
            let Some(region) = region(authority, asked) else {
                return Vec::new();
            };
            let all = region.all_tags();
            let found = all.iter().find(|(of, _, _)| *of == id);
            found.map_or_else(Vec::new, |(_, _, tags)| tags.iter().map(owned).collect())
        }
    }
}

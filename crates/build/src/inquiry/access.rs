//! From a policy's statements to what is asked about one action: on which of the resources, under which conditions.
//!
//! A statement's resources are for all of its actions together. What of them one action is about is in [`ABOUT`]: asked
//! about a volume, a policy that lets qib stop instances says no.

use crate::names::tag;
use crate::permissions::Statement;
use crate::run::PLANNED_RUN;
use cloud::RegionName;
use std::collections::BTreeMap;

/// One action on what it is needed for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Need {
    /// The action.
    pub action: String,
    /// The one statement that permits it, with this action alone, on what it is about.
    pub statement: Statement,
}

impl Need {
    /// Of `ec2:CreateTags`: the call that gives the tags.
    pub(super) fn creating(&self) -> Option<&str> {
        let keys = self.statement.condition.get("StringEquals")?;
        keys.get("ec2:CreateAction")?.first().map(String::as_str)
    }
}

/// What EC2's actions make, and what they are about that a run has made.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>
const ABOUT: &[(&str, &[&str], &[&str])] = &[
    ("AssociateAddress", &[], &["instance"]),
    ("AuthorizeSecurityGroupIngress", &[], &["security-group"]),
    ("CreateImage", &["image", "snapshot"], &["instance"]),
    ("CreateSecurityGroup", &["security-group"], &[]),
    ("CreateSnapshots", &["snapshot"], &["instance", "volume"]),
    ("CreateTags", &[], &["image", "instance", "snapshot"]),
    ("CopyImage", &["image", "snapshot"], &[]),
    ("DeleteKeyPair", &[], &["key-pair"]),
    ("DeleteSecurityGroup", &[], &["security-group"]),
    ("DeleteSnapshot", &[], &["snapshot"]),
    ("DeleteVolume", &[], &["volume"]),
    ("DeregisterImage", &[], &["image"]),
    ("DescribeImageAttribute", &[], &["image"]),
    ("DescribeSnapshotAttribute", &[], &["snapshot"]),
    ("DisableImageDeregistrationProtection", &[], &["image"]),
    ("DisassociateAddress", &[], &["instance"]),
    ("EnableImageDeprecation", &[], &["image"]),
    ("EnableImageDeregistrationProtection", &[], &["image"]),
    ("GetConsoleOutput", &[], &["instance"]),
    ("ImportKeyPair", &["key-pair"], &[]),
    ("ModifyImageAttribute", &[], &["image"]),
    ("ModifyInstanceAttribute", &[], &["instance"]),
    ("ModifySnapshotAttribute", &[], &["snapshot"]),
    ("RegisterImage", &["image"], &["snapshot"]),
    (
        "RunInstances",
        &[
            "instance",
            "network-interface",
            "spot-instances-request",
            "volume",
        ],
        &[],
    ),
    ("StopInstances", &[], &["instance"]),
    ("TerminateInstances", &[], &["instance"]),
];

fn about(action: &str) -> (&'static [&'static str], &'static [&'static str]) {
    let bare = action.strip_prefix("ec2:").unwrap_or(action);
    let found = ABOUT.iter().find(|(of, _, _)| *of == bare);
    found.map_or((&[], &[]), |(_, makes, changes)| (makes, changes))
}

/// What is needed of each action of `statements`.
pub(super) fn needs(statements: &[Statement]) -> Vec<Need> {
    statements.iter().flat_map(of_statement).collect()
}

fn of_statement(statement: &Statement) -> Vec<Need> {
    let creating = statement
        .condition
        .get("StringEquals")
        .and_then(|keys| keys.get("ec2:CreateAction"));
    if let Some(creating) = creating {
        return creating
            .iter()
            .filter_map(|call| {
                let mut narrowed = narrowed(statement, "ec2:CreateTags", about(call).0)?;
                let keys = narrowed.condition.entry("StringEquals").or_default();
                keys.insert("ec2:CreateAction".to_owned(), vec![call.clone()]);
                Some(Need {
                    action: "ec2:CreateTags".to_owned(),
                    statement: narrowed,
                })
            })
            .collect();
    }
    let on = |side: &str| format!("aws:{side}/{}", tag::RUN);
    let null = statement.condition.get("Null");
    let asks = |side: &str| null.is_some_and(|keys| keys.contains_key(&on(side)));
    statement
        .action
        .iter()
        .filter_map(|action| {
            let (makes, changes) = about(action);
            let narrowed = match (asks("RequestTag"), asks("ResourceTag")) {
                (true, _) => narrowed(statement, action, makes)?,
                (_, true) => narrowed(statement, action, changes)?,
                (false, false) => Statement {
                    action: vec![action.clone()],
                    ..statement.clone()
                },
            };
            Some(Need {
                action: action.clone(),
                statement: narrowed,
            })
        })
        .collect()
}

/// The statement for one action on resources of these kinds; none if it has none of them.
fn narrowed(statement: &Statement, action: &str, kinds: &[&str]) -> Option<Statement> {
    let is_of = |arn: &String| {
        let kind = arn.rsplit(':').next().and_then(|rest| rest.split_once('/'));
        kind.is_some_and(|(kind, _)| kinds.contains(&kind))
    };
    let resource: Vec<String> = statement
        .resource
        .iter()
        .filter(|r| is_of(r))
        .cloned()
        .collect();
    (!resource.is_empty()).then(|| Statement {
        action: vec![action.to_owned()],
        resource,
        ..statement.clone()
    })
}

/// The condition keys as they would be in a run's request that this statement permits.
pub(super) fn context(statement: &Statement, region: &RegionName) -> BTreeMap<String, String> {
    let mut context = BTreeMap::from([("aws:RequestedRegion".to_owned(), region.to_string())]);
    for (operator, keys) in &statement.condition {
        for (key, values) in keys {
            if key == "aws:RequestedRegion" {
                continue;
            }
            let value = match (*operator, values.first()) {
                // "It must be there": any run's id will do.
                ("Null", _) => PLANNED_RUN.to_owned(),
                (_, Some(value)) => value.clone(),
                (_, None) => continue,
            };
            context.insert(key.clone(), value.clone());
            // Policies say it either way.
            if let Some(rest) = key.strip_prefix("aws:ResourceTag/") {
                context.insert(format!("ec2:ResourceTag/{rest}"), value);
            }
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(kind: &str) -> String {
        format!("arn:aws:ec2:us-east-2:1:{kind}/*")
    }

    #[test]
    fn an_action_is_asked_about_what_it_is_about() {
        let own = Statement::allow("Own", ["ec2:StopInstances", "ec2:DeleteSnapshot"])
            .on([arn("instance"), arn("volume"), arn("snapshot")])
            .only_if("Null", "aws:ResourceTag/qib:run", ["false"]);
        let needs = needs(&[own]);
        let resources: Vec<&[String]> = needs
            .iter()
            .map(|need| need.statement.resource.as_slice())
            .collect();
        assert_eq!(resources, [[arn("snapshot")], [arn("instance")]]);
        let context = context(&needs[0].statement, &"us-east-2".into());
        assert_eq!(context["aws:ResourceTag/qib:run"], PLANNED_RUN);
        assert_eq!(context["ec2:ResourceTag/qib:run"], PLANNED_RUN);
        assert_eq!(context["aws:RequestedRegion"], "us-east-2");
    }

    #[test]
    fn tags_are_asked_about_for_each_call_that_gives_them() {
        let tags = Statement::allow("Tag", ["ec2:CreateTags"])
            .on([arn("instance"), arn("key-pair")])
            .only_if(
                "StringEquals",
                "ec2:CreateAction",
                ["RunInstances", "ImportKeyPair"],
            );
        let needs = needs(&[tags]);
        assert_eq!(needs[0].statement.resource, [arn("instance")]);
        assert_eq!(needs[1].statement.resource, [arn("key-pair")]);
        let context = context(&needs[1].statement, &"us-east-2".into());
        assert_eq!(context["ec2:CreateAction"], "ImportKeyPair");
    }
}

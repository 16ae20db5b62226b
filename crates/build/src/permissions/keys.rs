//! What encrypting with a KMS key of one's own takes.
//!
//! EBS asks KMS in the caller's name: for grants, and for the data keys of volumes, snapshots and copies.
//! <https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AMIEncryption.html>

use super::arn::Arns;
use super::features::Features;
use super::policy::Statement;
use std::collections::{BTreeMap, BTreeSet};

/// What EBS does with the key in the caller's name.
const USE: [&str; 5] = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
];
const GRANT: &str = "kms:CreateGrant";

/// Which keys: the resources, and the aliases that tell those that the pipeline means.
fn resources(features: &Features, arns: &Arns) -> BTreeMap<BTreeSet<String>, BTreeSet<String>> {
    let mut by_alias: BTreeMap<BTreeSet<String>, BTreeSet<String>> = BTreeMap::new();
    for (region, key) in &features.keys {
        let named = key.split(':').next_back().unwrap_or(key);
        let (aliases, arn) = if named.starts_with("alias/") {
            // A policy's resource is never an alias: it says which key of any the alias belongs to.
            let any = match key.strip_suffix(named) {
                Some(arn) if !arn.is_empty() => format!("{arn}key/*"),
                Some(_) | None => arns.kms(region.as_str(), "key/*"),
            };
            (BTreeSet::from([named.to_owned()]), any)
        } else if key.starts_with("arn:") {
            (BTreeSet::new(), key.clone())
        } else {
            (
                BTreeSet::new(),
                arns.kms(region.as_str(), &format!("key/{key}")),
            )
        };
        by_alias.entry(aliases).or_default().insert(arn);
    }
    by_alias
}

/// For encrypting with the pipeline's keys.
pub(super) fn statements(features: &Features, arns: &Arns) -> Vec<Statement> {
    let mut statements = Vec::new();
    for (aliases, keys) in resources(features, arns) {
        let about = |statement: Statement| {
            let statement = statement.on(keys.iter().cloned());
            if aliases.is_empty() {
                statement
            } else {
                statement.only_if(
                    "ForAnyValue:StringEquals",
                    "kms:ResourceAliases",
                    aliases.iter().cloned(),
                )
            }
        };
        statements.push(about(Statement::allow("EncryptWithKey", USE)));
        let grants = about(Statement::allow("LetEbsUseKey", [GRANT]));
        statements.push(grants.only_if("Bool", "kms:GrantIsForAWSResource", ["true"]));
    }
    numbered(statements)
}

/// A policy's statements have different ids; those for further keys have none of their own kind left, and get a number.
fn numbered(mut statements: Vec<Statement>) -> Vec<Statement> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for statement in &mut statements {
        let times = seen.entry(statement.sid.clone()).or_default();
        *times += 1;
        if *times > 1 {
            statement.sid = format!("{}{times}", statement.sid);
        }
    }
    statements
}

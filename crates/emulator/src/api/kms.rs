//! KMS: keys, their aliases and grants, JSON 1.1.
//!
//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html>. Nothing is encrypted here, see
//! [`crate::account::kms`].

use super::Cx;
use super::ec2::Access;
use super::error::ApiError;
use super::json::{invalid, page, read, unknown_action, with};
use crate::account::kms::{EBS_ALIAS, Key, Manager};
use crate::account::tags::Tags;
use serde::Deserialize;
use serde_json::{Value, json};

/// Every action there is.
pub const ACTIONS: [&str; 9] = [
    "CreateAlias",
    "CreateGrant",
    "CreateKey",
    "DeleteAlias",
    "DescribeKey",
    "DisableKey",
    "EnableKey",
    "ListAliases",
    "ListKeys",
];

/// Whether an action may change something.
pub fn access(action: &str) -> Access {
    match action {
        "CreateAlias" | "CreateKey" | "DeleteAlias" | "DisableKey" | "EnableKey" => Access::Write,
        _ => Access::Read,
    }
}

/// Carries out an action; its answer's JSON.
///
/// # Errors
/// KMS's codes; those of [`super::json`].
pub fn run(action: &str, body: &[u8], cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    match action {
        "CreateAlias" => create_alias(&read(body)?, cx),
        "CreateGrant" => create_grant(&read(body)?, cx),
        "CreateKey" => create_key(read(body)?, cx),
        "DeleteAlias" => delete_alias(&read(body)?, cx),
        "DescribeKey" => {
            let request: OneKey = read(body)?;
            let key = key(cx, &request.key_id)?.clone();
            Ok(json!({ "KeyMetadata": metadata(&key, cx) }))
        }
        "DisableKey" => switch(&read(body)?, cx, false),
        "EnableKey" => switch(&read(body)?, cx, true),
        "ListAliases" => list_aliases(&read(body)?, cx),
        "ListKeys" => list_keys(&read(body)?, cx),
        _ => Err(unknown_action("KMS", action)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct OneKey {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct CreateKey {
    #[serde(default)]
    description: String,
    key_usage: Option<String>,
    key_spec: Option<String>,
    #[serde(default)]
    tags: Vec<KeyTag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct KeyTag {
    tag_key: String,
    tag_value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct CreateAlias {
    alias_name: String,
    target_key_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DeleteAlias {
    alias_name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct CreateGrant {
    key_id: String,
    grantee_principal: String,
    operations: Vec<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct List {
    key_id: Option<String>,
    #[serde(default = "fifty")]
    limit: usize,
    marker: Option<String>,
}

fn fifty() -> usize {
    50
}

fn error(code: &'static str, message: String) -> ApiError {
    ApiError::new(code, message)
}

/// A key by any of its names. "If you specify a predefined AWS alias, KMS associates the alias with an AWS managed key."
fn key<'a>(cx: &'a mut Cx<'_>, name: &str) -> Result<&'a mut Key, ApiError> {
    let (region, owner, now) = (cx.region, cx.owner(), cx.now);
    let keys = &mut cx.region().keys;
    if name.ends_with(EBS_ALIAS) {
        keys.ebs(owner, region, now);
    }
    keys.find_mut(name).ok_or_else(|| {
        let missing = match name.strip_prefix("alias/") {
            Some(_) => {
                format!("Alias arn:aws:kms:{region}:{owner}:{name} is not found.")
            }
            None if name.starts_with("arn:") => format!("Key '{name}' does not exist"),
            None => format!("Key 'arn:aws:kms:{region}:{owner}:key/{name}' does not exist"),
        };
        error("NotFoundException", missing)
    })
}

fn metadata(key: &Key, cx: &Cx<'_>) -> Value {
    let state = if key.enabled { "Enabled" } else { "Disabled" };
    json!({
        "AWSAccountId": cx.owner(), "KeyId": key.id, "Arn": key.arn, "Description": key.description,
        "CreationDate": key.created.as_millisecond() as f64 / 1000.0, "Enabled": key.enabled, "KeyState": state,
        "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "Origin": "AWS_KMS", "KeyManager": key.manager, "MultiRegion": false,
    })
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html>. Only what EBS can use.
fn create_key(request: CreateKey, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let usual = |given: Option<String>, usual: &str, member: &str| match given {
        Some(other) if other != usual => Err(error(
            "UnsupportedOperationException",
            format!("The local EC2's keys have the {member} {usual}, not {other}"),
        )),
        _ => Ok(()),
    };
    usual(request.key_usage, "ENCRYPT_DECRYPT", "KeyUsage")?;
    usual(request.key_spec, "SYMMETRIC_DEFAULT", "KeySpec")?;
    let pairs: Vec<_> = request
        .tags
        .into_iter()
        .map(|t| (t.tag_key, t.tag_value))
        .collect();
    let mut tags = Tags::default();
    tags.set_all(&pairs)
        .map_err(|e| error("TagException", e.message().to_owned()))?;
    let (region, owner, now) = (cx.region, cx.owner(), cx.now);
    let keys = &mut cx.region().keys;
    let key = keys
        .create(owner, region, request.description, tags, now)
        .clone();
    Ok(json!({ "KeyMetadata": metadata(&key, cx) }))
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>: "It must begin with alias/ followed by a name
/// … alphanumeric characters, forward slashes, underscores and dashes. It cannot begin with alias/aws/."
fn create_alias(request: &CreateAlias, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let name = &request.alias_name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let own = name.strip_prefix("alias/").filter(|n| !n.is_empty());
    if !own.is_some_and(|n| n.len() <= 250 && n.chars().all(allowed)) {
        return Err(error(
            "InvalidAliasNameException",
            "Alias must start with the prefix \"alias/\" and hold letters, digits and /_- only. Please see http://docs.aws.amazon.com/kms/latest/developerguide/programming-aliases.html".to_owned(),
        ));
    }
    if name.starts_with("alias/aws/") {
        return Err(error(
            "NotAuthorizedException",
            "The alias prefix alias/aws/ is reserved for AWS".to_owned(),
        ));
    }
    let (region, owner) = (cx.region, cx.owner());
    if request.target_key_id.contains("alias/") {
        return Err(invalid("TargetKeyId must be a key, not an alias"));
    }
    let id = key(cx, &request.target_key_id)?.id.clone();
    let aliases = &mut cx.region().keys.aliases;
    if aliases.contains_key(name) {
        return Err(error(
            "AlreadyExistsException",
            format!("An alias with the name arn:aws:kms:{region}:{owner}:{name} already exists"),
        ));
    }
    aliases.insert(name.clone(), id);
    Ok(json!({}))
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_DeleteAlias.html>
fn delete_alias(request: &DeleteAlias, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let (region, owner, name) = (cx.region, cx.owner(), &request.alias_name);
    match cx.region().keys.aliases.remove(name) {
        Some(_) => Ok(json!({})),
        None => Err(error(
            "NotFoundException",
            format!("Alias arn:aws:kms:{region}:{owner}:{name} is not found."),
        )),
    }
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKey.html>,
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html>
fn switch(request: &OneKey, cx: &mut Cx<'_>, enabled: bool) -> Result<Value, ApiError> {
    let key = key(cx, &request.key_id)?;
    if key.manager == Manager::Aws {
        return Err(aws_managed(&key.arn));
    }
    key.enabled = enabled;
    Ok(json!({}))
}

fn aws_managed(arn: &str) -> ApiError {
    error(
        "AccessDeniedException",
        format!("{arn} is managed by AWS and cannot be changed"),
    )
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html>. Grants are not kept here, so that only the
/// question whether one could be made is answered.
fn create_grant(request: &CreateGrant, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let known = [
        "CreateGrant",
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "ReEncryptFrom",
        "ReEncryptTo",
        "RetireGrant",
    ];
    if let Some(unknown) = request
        .operations
        .iter()
        .find(|o| !known.contains(&o.as_str()))
    {
        return Err(invalid(format!(
            "Value '{unknown}' at 'operations' failed to satisfy constraint: Member must satisfy enum value set: {known:?}"
        )));
    }
    if !request.grantee_principal.starts_with("arn:") {
        return Err(error(
            "InvalidArnException",
            format!("{} is not an ARN", request.grantee_principal),
        ));
    }
    let key = key(cx, &request.key_id)?;
    if !key.enabled {
        return Err(error(
            "DisabledException",
            format!("{} is disabled.", key.arn),
        ));
    }
    if key.manager == Manager::Aws {
        return Err(aws_managed(&key.arn));
    }
    match request.dry_run {
        true => Err(error(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.".to_owned(),
        )),
        false => Err(error(
            "UnsupportedOperationException",
            "The local EC2 keeps no grants: it answers CreateGrant with DryRun only".to_owned(),
        )),
    }
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListAliases.html>
fn list_aliases(request: &List, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    check_limit(request.limit, 100)?;
    let (region, owner) = (cx.region, cx.owner());
    let only = match &request.key_id {
        Some(name) => Some(key(cx, name)?.id.clone()),
        None => None,
    };
    let aliases = cx.region().keys.aliases.clone();
    let chosen = aliases
        .iter()
        .filter(|(_, id)| only.as_ref().is_none_or(|only| only == *id));
    let (page, next) = page(
        chosen,
        |(name, _)| (*name).clone(),
        request.limit,
        request.marker.as_deref(),
    );
    let shown: Vec<Value> = page
        .iter()
        .map(|(name, id)| {
            let arn = format!("arn:aws:kms:{region}:{owner}:{name}");
            json!({ "AliasName": name, "AliasArn": arn, "TargetKeyId": id })
        })
        .collect();
    let answer = json!({ "Aliases": shown, "Truncated": next.is_some() });
    Ok(with(answer, "NextMarker", next))
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_ListKeys.html>
fn list_keys(request: &List, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    check_limit(request.limit, 1_000)?;
    if request.key_id.is_some() {
        return Err(invalid("unknown field `KeyId`"));
    }
    let keys: Vec<Key> = cx.region().keys.keys.values().cloned().collect();
    let (page, next) = page(
        keys,
        |k| k.id.clone(),
        request.limit,
        request.marker.as_deref(),
    );
    let shown: Vec<Value> = page
        .iter()
        .map(|k| json!({ "KeyId": k.id, "KeyArn": k.arn }))
        .collect();
    let answer = json!({ "Keys": shown, "Truncated": next.is_some() });
    Ok(with(answer, "NextMarker", next))
}

fn check_limit(asked: usize, most: usize) -> Result<(), ApiError> {
    match (1..=most).contains(&asked) {
        true => Ok(()),
        false => Err(invalid(format!(
            "Value '{asked}' at 'limit' failed to satisfy constraint: between 1 and {most}"
        ))),
    }
}

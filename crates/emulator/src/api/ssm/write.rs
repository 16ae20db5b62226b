//! Writing and removing parameters.

use super::not_found;
use super::tags::{Tag, pairs};
use crate::account::parameter::{Parameter, PendingParameter};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::api::json::invalid;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct PutParameter {
    name: String,
    value: String,
    #[serde(rename = "Type")]
    kind: Option<String>,
    description: Option<String>,
    #[serde(default)]
    overwrite: bool,
    data_type: Option<String>,
    tier: Option<String>,
    allowed_pattern: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct DeleteParameter {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct DeleteParameters {
    names: Vec<String>,
}

/// The data type whose values are images.
const IMAGE: &str = "aws:ec2:image";

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>
pub(super) fn put(request: PutParameter, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let (now, by) = (cx.now, cx.caller.arn());
    let due = now.checked_add(cx.timing.validation).unwrap_or(now);
    check_name(&request.name)?;
    check_value(&request)?;
    let region = cx.region();
    let old = region.parameters.get(&request.name);
    if old.is_some() && !request.overwrite {
        let message = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
        return Err(ApiError::new("ParameterAlreadyExists", message));
    }
    if request.overwrite && !request.tags.is_empty() {
        return Err(invalid(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
        ));
    }
    let kind = kind(&request, old)?;
    let data_type = data_type(&request, old)?;
    // "Data type: … for a String parameter."
    if data_type == IMAGE && kind != "String" {
        return Err(invalid(format!(
            "The data type {IMAGE} is for parameters of type String, not {kind}"
        )));
    }
    let mut tags = old.map(|o| o.tags.clone()).unwrap_or_default();
    tags.set_all(&pairs(request.tags))?;
    let version = old.map_or(1, |o| o.version + 1);
    let description = request
        .description
        .or_else(|| old.and_then(|o| o.description.clone()));
    let parameter = Parameter {
        name: request.name,
        kind,
        value: request.value,
        description,
        data_type,
        version,
        modified: now,
        modified_by: by,
        tags,
    };
    match parameter.data_type == IMAGE {
        true => region
            .pending_parameters
            .push(PendingParameter { parameter, due }),
        false => {
            region.parameters.insert(parameter.name.clone(), parameter);
        }
    }
    // What takes no time is over before the answer.
    super::settle(cx);
    Ok(json!({ "Version": version, "Tier": "Standard" }))
}

fn check_value(request: &PutParameter) -> Result<(), ApiError> {
    let tier = request.tier.as_deref();
    if tier.is_some_and(|t| t != "Standard" && t != "Intelligent-Tiering") {
        return Err(invalid("The local EC2's parameters are of tier Standard"));
    }
    if request.allowed_pattern.is_some() {
        return Err(invalid("The local EC2's parameters have no AllowedPattern"));
    }
    // "Standard parameters have a content limit of 4 KB."
    if request.value.is_empty() || request.value.len() > 4096 {
        return Err(invalid(
            "Standard tier parameters support a maximum parameter value of 4096 characters.",
        ));
    }
    Ok(())
}

fn kind(request: &PutParameter, old: Option<&Parameter>) -> Result<String, ApiError> {
    match (&request.kind, old) {
        (Some(kind), Some(old)) if *kind != old.kind => Err(ApiError::new(
            "HierarchyTypeMismatchException",
            "Parameter Store doesn't support changing a parameter type in a hierarchy.",
        )),
        (Some(kind), _) if ["String", "StringList", "SecureString"].contains(&kind.as_str()) => {
            Ok(kind.clone())
        }
        (Some(kind), _) => Err(ApiError::new(
            "UnsupportedParameterType",
            format!("The parameter type {kind} is not supported."),
        )),
        (None, Some(old)) => Ok(old.kind.clone()),
        (None, None) => Err(invalid(
            "A parameter type is required when you create a parameter.",
        )),
    }
}

/// "You can't change a parameter to or from either of these data types"
/// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-data-types.html>).
fn data_type(request: &PutParameter, old: Option<&Parameter>) -> Result<String, ApiError> {
    let asked = request.data_type.as_deref();
    let data_type = match (asked, old) {
        (Some(asked), _) => asked,
        (None, Some(old)) => &old.data_type,
        (None, None) => "text",
    };
    if !["text", IMAGE].contains(&data_type) {
        return Err(invalid(format!(
            "The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        )));
    }
    match old {
        Some(old) if old.data_type != data_type => Err(invalid(format!(
            "The data type of a parameter can't be changed from {} to {data_type}",
            old.data_type
        ))),
        _ => Ok(data_type.to_owned()),
    }
}

/// "Parameter names are case sensitive … a-zA-Z0-9_.-/, up to 15 levels, 1011 characters; the prefixes `aws` and `ssm` are reserved."
fn check_name(name: &str) -> Result<(), ApiError> {
    let bad = |message: String| Err(invalid(message));
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if name.is_empty() || name.len() > 1011 || !name.chars().all(allowed) {
        return bad(format!(
            "Parameter name '{name}' must be 1 to 1011 characters from a-zA-Z0-9_.-/"
        ));
    }
    let inner = name.trim_start_matches('/').to_ascii_lowercase();
    if inner.starts_with("aws") || inner.starts_with("ssm") {
        return Err(ApiError::new(
            "AccessDeniedException",
            format!("No access to reserved parameter name: {name}."),
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return bad("Parameter name must be a fully qualified name.".to_owned());
    }
    if name.matches('/').count() > 15 {
        return Err(ApiError::new(
            "HierarchyLevelLimitExceededException",
            "A hierarchy can have a maximum of 15 levels.",
        ));
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html>
pub(super) fn delete_one(request: &DeleteParameter, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    cx.region()
        .parameters
        .remove(&request.name)
        .ok_or_else(|| not_found(&request.name))?;
    Ok(json!({}))
}

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html>
pub(super) fn delete_many(request: &DeleteParameters, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    if !(1..=10).contains(&request.names.len()) {
        return Err(invalid(format!(
            "{} value(s) at 'names' failed to satisfy constraint: between 1 and 10",
            request.names.len()
        )));
    }
    let parameters = &mut cx.region().parameters;
    let (mut deleted, mut missing) = (Vec::new(), Vec::new());
    for name in &request.names {
        match parameters.remove(name) {
            Some(_) => deleted.push(name),
            None => missing.push(name),
        }
    }
    Ok(json!({ "DeletedParameters": deleted, "InvalidParameters": missing }))
}

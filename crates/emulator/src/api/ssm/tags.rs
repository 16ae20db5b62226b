//! Tags of parameters.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_AddTagsToResource.html>

use crate::account::parameter::Parameter;
use crate::api::Cx;
use crate::api::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Add {
    resource_type: String,
    resource_id: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Remove {
    resource_type: String,
    resource_id: String,
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct List {
    resource_type: String,
    resource_id: String,
}

fn parameter<'a>(
    cx: &'a mut Cx<'_>,
    kind: &str,
    name: &str,
) -> Result<&'a mut Parameter, ApiError> {
    if kind != "Parameter" {
        return Err(ApiError::new(
            "InvalidResourceType",
            format!("The local EC2's SSM has tags of the resource type Parameter, not {kind}"),
        ));
    }
    cx.region().parameters.get_mut(name).ok_or_else(|| {
        ApiError::new(
            "InvalidResourceId",
            format!("The resource ID \"{name}\" is not valid. Verify the ID and try again."),
        )
    })
}

pub(super) fn pairs(tags: Vec<Tag>) -> Vec<(String, String)> {
    tags.into_iter().map(|t| (t.key, t.value)).collect()
}

pub(super) fn add(request: Add, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let parameter = parameter(cx, &request.resource_type, &request.resource_id)?;
    parameter.tags.set_all(&pairs(request.tags))?;
    Ok(json!({}))
}

pub(super) fn remove(request: &Remove, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let parameter = parameter(cx, &request.resource_type, &request.resource_id)?;
    for key in &request.tag_keys {
        parameter.tags.remove(key, None);
    }
    Ok(json!({}))
}

pub(super) fn list(request: &List, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let parameter = parameter(cx, &request.resource_type, &request.resource_id)?;
    let tags = parameter.tags.iter();
    let tags: Vec<Value> = tags
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    Ok(json!({ "TagList": tags }))
}

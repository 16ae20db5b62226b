//! Looking at parameters.

use super::filters::Filter;
use super::{Known, Shown, arn, find, not_found};
use crate::account::parameter::Parameter;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::api::json::{invalid, page, with};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct GetParameter {
    name: String,
    /// Values are not encrypted here, so there is nothing to decrypt.
    #[serde(default, rename = "WithDecryption")]
    _with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct GetParameters {
    names: Vec<String>,
    #[serde(default, rename = "WithDecryption")]
    _with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct ByPath {
    path: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default, rename = "WithDecryption")]
    _with_decryption: bool,
    #[serde(default = "ten")]
    max_results: usize,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Describe {
    #[serde(default)]
    parameter_filters: Vec<Filter>,
    #[serde(default = "fifty")]
    max_results: usize,
    next_token: Option<String>,
}

fn ten() -> usize {
    10
}

fn fifty() -> usize {
    50
}

/// A parameter by what a request calls it: a name, an ARN, or either with `:<version>`. Older versions and labels are not
/// kept here.
fn asked(cx: &mut Cx<'_>, name: &str) -> Result<Known, ApiError> {
    let name = match name.strip_prefix("arn:aws:ssm:") {
        Some(rest) => rest
            .splitn(3, ':')
            .nth(2)
            .and_then(|r| r.strip_prefix("parameter"))
            .ok_or_else(|| not_found(name))?,
        None => name,
    };
    let (plain, version) = match name.rsplit_once(':') {
        Some((plain, version)) => (plain, Some(version)),
        None => (name, None),
    };
    let bare = plain.strip_prefix('/').unwrap_or(plain);
    let known = match find(cx, plain) {
        Some(known) => known,
        None => find(cx, bare).ok_or_else(|| not_found(name))?,
    };
    let newest = match &known {
        Known::Own(p) => p.version,
        Known::Public(p) => p.version,
    };
    match version {
        Some(asked) if asked != newest.to_string() => Err(ApiError::new(
            "ParameterVersionNotFound",
            format!("Systems Manager could not find version {asked} of {plain}."),
        )),
        _ => Ok(known),
    }
}

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>
pub(super) fn get_one(request: &GetParameter, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let parameter = asked(cx, &request.name)?;
    Ok(json!({ "Parameter": Shown::by(cx).value(&parameter) }))
}

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>
pub(super) fn get_many(request: &GetParameters, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    // "Array Members: Minimum number of 1 item. Maximum number of 10 items."
    if !(1..=10).contains(&request.names.len()) {
        return Err(invalid(format!(
            "{} value(s) at 'names' failed to satisfy constraint: between 1 and 10",
            request.names.len()
        )));
    }
    let shown = Shown::by(cx);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &request.names {
        match asked(cx, name) {
            Ok(parameter) => found.push(shown.value(&parameter)),
            Err(_) => missing.push(name),
        }
    }
    Ok(json!({ "Parameters": found, "InvalidParameters": missing }))
}

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html>
pub(super) fn by_path(request: &ByPath, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    if !request.path.starts_with('/') {
        return Err(invalid(
            "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".",
        ));
    }
    check_page(request.max_results, 10)?;
    let shown = Shown::by(cx);
    let below = format!("{}/", request.path.trim_end_matches('/'));
    let public = cx.catalogue.parameters(cx.region);
    let own: Vec<Parameter> = cx.region().parameters.values().cloned().collect();
    let all = own
        .into_iter()
        .map(Known::Own)
        .chain(public.into_iter().map(Known::Public));
    let inside = all.filter(|p| {
        p.name()
            .strip_prefix(&below)
            .is_some_and(|rest| request.recursive || !rest.contains('/'))
    });
    let (page, next) = page(
        inside,
        |p| p.name().to_owned(),
        request.max_results,
        request.next_token.as_deref(),
    );
    let parameters: Vec<Value> = page.iter().map(|p| shown.value(p)).collect();
    Ok(with(json!({ "Parameters": parameters }), "NextToken", next))
}

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html>: the account's own.
pub(super) fn describe(request: &Describe, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    check_page(request.max_results, 50)?;
    for filter in &request.parameter_filters {
        filter.check()?;
    }
    let seen = Shown::by(cx);
    let all = cx.region().parameters.values();
    let chosen = all.filter(|p| request.parameter_filters.iter().all(|f| f.pass(p)));
    let (page, next) = page(
        chosen,
        |p| p.name.clone(),
        request.max_results,
        request.next_token.as_deref(),
    );
    let shown: Vec<Value> = page
        .iter()
        .map(|p| {
            json!({
                "Name": p.name, "Type": p.kind, "Version": p.version, "DataType": p.data_type,
                "LastModifiedDate": seen.seconds(p.modified), "LastModifiedUser": p.modified_by,
                "Description": p.description.as_deref().unwrap_or_default(), "Tier": "Standard",
                "ARN": arn(&p.name, seen.region, seen.owner), "Policies": [],
            })
        })
        .collect();
    Ok(with(json!({ "Parameters": shown }), "NextToken", next))
}

fn check_page(asked: usize, most: usize) -> Result<(), ApiError> {
    match (1..=most).contains(&asked) {
        true => Ok(()),
        false => Err(invalid(format!(
            "Value '{asked}' at 'maxResults' failed to satisfy constraint: between 1 and {most}"
        ))),
    }
}

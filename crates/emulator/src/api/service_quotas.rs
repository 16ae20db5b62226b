//! Service Quotas, JSON 1.1.
//!
//! <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_Operations.html>

use super::Cx;
use super::error::ApiError;
use super::json::{invalid, page, read, unknown_action, with};
use crate::account::quotas::{QUOTAS, QuotaInfo, SERVICES};
use serde::Deserialize;
use serde_json::{Value, json};

/// Every action there is.
pub const ACTIONS: [&str; 5] = [
    "GetAWSDefaultServiceQuota",
    "GetServiceQuota",
    "ListAWSDefaultServiceQuotas",
    "ListServiceQuotas",
    "ListServices",
];

/// Carries out an action; its answer's JSON.
///
/// # Errors
/// `NoSuchResourceException` for a service or quota that there is not; those of [`super::json`].
pub fn run(action: &str, body: &[u8], cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    match action {
        "GetServiceQuota" => one(&read(body)?, cx, Which::Applied),
        "GetAWSDefaultServiceQuota" => one(&read(body)?, cx, Which::Default),
        "ListServiceQuotas" => list(&read(body)?, cx, Which::Applied),
        "ListAWSDefaultServiceQuotas" => list(&read(body)?, cx, Which::Default),
        "ListServices" => services(&read(body)?),
        _ => Err(unknown_action("Service Quotas", action)),
    }
}

/// Which value of a quota is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// The account's.
    Applied,
    /// AWS's default.
    Default,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct One {
    service_code: String,
    quota_code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Many {
    service_code: String,
    #[serde(default = "hundred")]
    max_results: usize,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Services {
    #[serde(default = "hundred")]
    max_results: usize,
    next_token: Option<String>,
}

fn hundred() -> usize {
    100
}

fn no_such(message: String) -> ApiError {
    ApiError::new("NoSuchResourceException", message)
}

fn service_name(code: &str) -> Result<&'static str, ApiError> {
    let service = SERVICES.iter().find(|(known, _)| *known == code);
    service.map(|(_, name)| *name).ok_or_else(|| {
        no_such(format!(
            "The request failed because service '{code}' does not exist."
        ))
    })
}

fn one(request: &One, cx: &Cx<'_>, which: Which) -> Result<Value, ApiError> {
    service_name(&request.service_code)?;
    let quota = QUOTAS
        .iter()
        .find(|q| q.service == request.service_code && q.code == request.quota_code)
        .ok_or_else(|| {
            no_such(
                "The request failed because the specified service quota does not exist.".to_owned(),
            )
        })?;
    Ok(json!({ "Quota": shown(quota, cx, which)? }))
}

fn list(request: &Many, cx: &Cx<'_>, which: Which) -> Result<Value, ApiError> {
    service_name(&request.service_code)?;
    check_page(request.max_results)?;
    let own = QUOTAS.iter().filter(|q| q.service == request.service_code);
    let (page, next) = page(
        own,
        |q| q.code.to_owned(),
        request.max_results,
        request.next_token.as_deref(),
    );
    let quotas: Vec<Value> = page
        .into_iter()
        .map(|q| shown(q, cx, which))
        .collect::<Result<_, _>>()?;
    Ok(with(json!({ "Quotas": quotas }), "NextToken", next))
}

fn services(request: &Services) -> Result<Value, ApiError> {
    check_page(request.max_results)?;
    let (page, next) = page(
        SERVICES.iter(),
        |(code, _)| (*code).to_owned(),
        request.max_results,
        request.next_token.as_deref(),
    );
    let services: Vec<Value> = page
        .iter()
        .map(|(code, name)| json!({ "ServiceCode": code, "ServiceName": name }))
        .collect();
    Ok(with(json!({ "Services": services }), "NextToken", next))
}

fn check_page(most: usize) -> Result<(), ApiError> {
    match (1..=100).contains(&most) {
        true => Ok(()),
        false => Err(invalid(format!(
            "Value '{most}' at 'maxResults' failed to satisfy constraint: between 1 and 100"
        ))),
    }
}

fn shown(quota: &QuotaInfo, cx: &Cx<'_>, which: Which) -> Result<Value, ApiError> {
    let (region, owner) = (cx.region, cx.owner());
    let value = match which {
        Which::Applied => cx.quotas().value(quota),
        Which::Default => quota.default,
    };
    let (service, code) = (quota.service, quota.code);
    Ok(json!({
        "ServiceCode": service, "ServiceName": service_name(service)?, "QuotaCode": code, "QuotaName": quota.name,
        "QuotaArn": format!("arn:aws:servicequotas:{region}:{owner}:{service}/{code}"),
        "Value": value, "Unit": "None", "Adjustable": true, "GlobalQuota": false,
    }))
}

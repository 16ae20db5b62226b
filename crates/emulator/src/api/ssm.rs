//! SSM's parameter store, JSON 1.1.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html> and its neighbours.

use super::Cx;
use super::error::ApiError;
use crate::account::ACCOUNT_ID;
use crate::account::parameter::Parameter;
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Every action there is.
pub const ACTIONS: [&str; 7] = [
    "DeleteParameter",
    "DeleteParameters",
    "DescribeParameters",
    "GetParameter",
    "GetParameters",
    "GetParametersByPath",
    "PutParameter",
];

/// Whether an action may change something.
pub fn writes(action: &str) -> bool {
    matches!(
        action,
        "PutParameter" | "DeleteParameter" | "DeleteParameters"
    )
}

/// Carries out an action; its answer's JSON.
///
/// # Errors
/// SSM's codes; `UnknownOperationException` for an action that is none, `ValidationException` for a member it does not have.
pub fn run(action: &str, body: &[u8], cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    match action {
        "GetParameter" => get_one(&read(body)?, cx),
        "GetParameters" => Ok(get_many(&read(body)?, cx)),
        "GetParametersByPath" => by_path(&read(body)?, cx),
        "DescribeParameters" => describe(&read(body)?, cx),
        "PutParameter" => put(read(body)?, cx),
        "DeleteParameter" => delete_one(&read(body)?, cx),
        "DeleteParameters" => Ok(delete_many(&read(body)?, cx)),
        _ => Err(ApiError::new(
            "UnknownOperationException",
            format!("The local EC2's SSM has no action {action}"),
        )),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::new("ValidationException", e.to_string()))
}

fn not_found(name: &str) -> ApiError {
    ApiError::new("ParameterNotFound", format!("Parameter {name} not found."))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetParameter {
    name: String,
    /// Values are not encrypted here, so there is nothing to decrypt.
    #[serde(default, rename = "WithDecryption")]
    _with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetParameters {
    names: Vec<String>,
    #[serde(default, rename = "WithDecryption")]
    _with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ByPath {
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
struct Describe {
    #[serde(default = "fifty")]
    max_results: usize,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PutParameter {
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
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DeleteParameter {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DeleteParameters {
    names: Vec<String>,
}

fn ten() -> usize {
    10
}

fn fifty() -> usize {
    50
}

/// Who shows parameters: a region, by its own clock.
#[derive(Clone, Copy)]
struct Shown<'a> {
    region: &'a str,
    skew: SignedDuration,
}

impl<'a> Shown<'a> {
    fn by(cx: &Cx<'a>) -> Self {
        Self {
            region: cx.region,
            skew: cx.faults.clock_skew(),
        }
    }

    fn value(self, p: &Parameter) -> Value {
        json!({
            "Name": p.name, "Type": p.kind, "Value": p.value, "Version": p.version, "DataType": p.data_type,
            "LastModifiedDate": self.seconds(p), "ARN": arn(&p.name, self.region),
        })
    }

    /// Times are seconds with a fraction in JSON 1.1.
    fn seconds(self, p: &Parameter) -> f64 {
        let shown = p.modified.checked_add(self.skew).unwrap_or(p.modified);
        shown.as_millisecond() as f64 / 1000.0
    }
}

fn arn(name: &str, region: &str) -> String {
    format!(
        "arn:aws:ssm:{region}:{ACCOUNT_ID}:parameter{}{name}",
        if name.starts_with('/') { "" } else { "/" }
    )
}

fn get_one(request: &GetParameter, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let shown = Shown::by(cx);
    let parameter = cx
        .region()
        .parameters
        .get(&request.name)
        .ok_or_else(|| not_found(&request.name))?;
    Ok(json!({ "Parameter": shown.value(parameter) }))
}

fn get_many(request: &GetParameters, cx: &mut Cx<'_>) -> Value {
    let shown = Shown::by(cx);
    let parameters = &cx.region().parameters;
    let found: Vec<Value> = request
        .names
        .iter()
        .filter_map(|n| parameters.get(n))
        .map(|p| shown.value(p))
        .collect();
    let invalid: Vec<&String> = request
        .names
        .iter()
        .filter(|n| !parameters.contains_key(*n))
        .collect();
    json!({ "Parameters": found, "InvalidParameters": invalid })
}

fn by_path(request: &ByPath, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    if !request.path.starts_with('/') {
        let message = "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".";
        return Err(ApiError::new("ValidationException", message));
    }
    check_page(request.max_results, 10)?;
    let shown = Shown::by(cx);
    let below = format!("{}/", request.path.trim_end_matches('/'));
    let all = cx.region().parameters.values();
    let inside = all.filter(|p| {
        p.name
            .strip_prefix(&below)
            .is_some_and(|rest| request.recursive || !rest.contains('/'))
    });
    let (page, next) = cut(inside, request.max_results, request.next_token.as_deref());
    Ok(with_token(
        json!({ "Parameters": page.iter().map(|p| shown.value(p)).collect::<Vec<_>>() }),
        next,
    ))
}

fn describe(request: &Describe, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    check_page(request.max_results, 50)?;
    let seen = Shown::by(cx);
    let (page, next) = cut(
        cx.region().parameters.values(),
        request.max_results,
        request.next_token.as_deref(),
    );
    let shown: Vec<Value> = page
        .iter()
        .map(|p| {
            json!({
                "Name": p.name, "Type": p.kind, "Version": p.version, "DataType": p.data_type, "LastModifiedDate": seen.seconds(p),
                "LastModifiedUser": p.modified_by, "Description": p.description.as_deref().unwrap_or_default(), "Tier": "Standard",
                "ARN": arn(&p.name, seen.region), "Policies": [],
            })
        })
        .collect();
    Ok(with_token(json!({ "Parameters": shown }), next))
}

fn check_page(asked: usize, most: usize) -> Result<(), ApiError> {
    if (1..=most).contains(&asked) {
        return Ok(());
    }
    Err(ApiError::new(
        "ValidationException",
        format!(
            "Value '{asked}' at 'maxResults' failed to satisfy constraint: between 1 and {most}"
        ),
    ))
}

/// A page in the order of names. The token is the last name of the page before.
fn cut<'a>(
    all: impl Iterator<Item = &'a Parameter>,
    most: usize,
    after: Option<&str>,
) -> (Vec<&'a Parameter>, Option<String>) {
    let mut page: Vec<&Parameter> = all
        .filter(|p| after.is_none_or(|a| p.name.as_str() > a))
        .collect();
    let more = page.len() > most;
    page.truncate(most);
    let next = page.last().filter(|_| more).map(|p| p.name.clone());
    (page, next)
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let (Some(next), Some(map)) = (next, answer.as_object_mut()) {
        map.insert("NextToken".to_owned(), Value::String(next));
    }
    answer
}

fn put(request: PutParameter, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let now = cx.now;
    let by = cx.caller.arn();
    check_name(&request.name)?;
    if request
        .tier
        .as_deref()
        .is_some_and(|t| t != "Standard" && t != "Intelligent-Tiering")
    {
        return Err(ApiError::new(
            "ValidationException",
            "The local EC2's parameters are of tier Standard",
        ));
    }
    if request.allowed_pattern.is_some() {
        return Err(ApiError::new(
            "ValidationException",
            "The local EC2's parameters have no AllowedPattern",
        ));
    }
    // "Standard parameters have a content limit of 4 KB."
    if request.value.is_empty() || request.value.len() > 4096 {
        return Err(ApiError::new(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters.",
        ));
    }
    let data_type = request.data_type.unwrap_or_else(|| "text".to_owned());
    if !["text", "aws:ec2:image"].contains(&data_type.as_str()) {
        return Err(ApiError::new(
            "ValidationException",
            format!("The following data type is not supported: {data_type}"),
        ));
    }
    // https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html: the value must be an
    // image that is there.
    if data_type == "aws:ec2:image" {
        let id = crate::ids::ImageId::parse(&request.value)
            .map_err(|e| ApiError::new("ValidationException", e.message().to_owned()))?;
        if cx.image(&id).is_none() {
            return Err(ApiError::new(
                "ValidationException",
                format!("The image {id} does not exist in this region"),
            ));
        }
    }
    let parameters = &mut cx.region().parameters;
    let old = parameters.get(&request.name);
    if old.is_some() && !request.overwrite {
        let message = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
        return Err(ApiError::new("ParameterAlreadyExists", message));
    }
    if old.is_some() && !request.tags.is_empty() {
        return Err(ApiError::new(
            "ValidationException",
            "Invalid request: tags and overwrite can't be used together.",
        ));
    }
    let kind = match (request.kind, old) {
        (Some(kind), _) if ["String", "StringList", "SecureString"].contains(&kind.as_str()) => {
            kind
        }
        (Some(kind), _) => {
            return Err(ApiError::new(
                "UnsupportedParameterType",
                format!("The parameter type {kind} is not supported."),
            ));
        }
        (None, Some(old)) => old.kind.clone(),
        (None, None) => {
            return Err(ApiError::new(
                "ValidationException",
                "A parameter type is required when you create a parameter.",
            ));
        }
    };
    let mut tags = old.map(|o| o.tags.clone()).unwrap_or_default();
    tags.set_all(
        &request
            .tags
            .into_iter()
            .map(|t| (t.key, t.value))
            .collect::<Vec<_>>(),
    )?;
    let version = old.map_or(1, |o| o.version + 1);
    let parameter = Parameter {
        name: request.name.clone(),
        kind,
        value: request.value,
        description: request
            .description
            .or_else(|| old.and_then(|o| o.description.clone())),
        data_type,
        version,
        modified: now,
        modified_by: by,
        tags,
    };
    parameters.insert(request.name, parameter);
    Ok(json!({ "Version": version, "Tier": "Standard" }))
}

/// "Parameter names are case sensitive … a-zA-Z0-9_.-/, up to 15 levels, 1011 characters; the prefixes `aws` and `ssm` are reserved."
fn check_name(name: &str) -> Result<(), ApiError> {
    let bad = |message: String| Err(ApiError::new("ValidationException", message));
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

fn delete_one(request: &DeleteParameter, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    cx.region()
        .parameters
        .remove(&request.name)
        .ok_or_else(|| not_found(&request.name))?;
    Ok(json!({}))
}

fn delete_many(request: &DeleteParameters, cx: &mut Cx<'_>) -> Value {
    let parameters = &mut cx.region().parameters;
    let (mut deleted, mut invalid) = (Vec::new(), Vec::new());
    for name in &request.names {
        match parameters.remove(name) {
            Some(_) => deleted.push(name),
            None => invalid.push(name),
        }
    }
    json!({ "DeletedParameters": deleted, "InvalidParameters": invalid })
}

//! SSM's parameter store, JSON 1.1.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html> and its neighbours. Beside the
//! account's own parameters there are the public ones that name images of the catalogue.

mod filters;
mod read;
mod tags;
mod write;

use super::Cx;
use super::ec2::Access;
use super::error::ApiError;
use super::json::{self, unknown_action};
use crate::account::parameter::{Parameter, PendingParameter};
use crate::catalogue::PublicParameter;
use crate::ids::ImageId;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Every action there is.
pub const ACTIONS: [&str; 10] = [
    "AddTagsToResource",
    "DeleteParameter",
    "DeleteParameters",
    "DescribeParameters",
    "GetParameter",
    "GetParameters",
    "GetParametersByPath",
    "ListTagsForResource",
    "PutParameter",
    "RemoveTagsFromResource",
];

/// Whether an action may change something.
pub fn access(action: &str) -> Access {
    match action {
        "PutParameter"
        | "DeleteParameter"
        | "DeleteParameters"
        | "AddTagsToResource"
        | "RemoveTagsFromResource" => Access::Write,
        _ => Access::Read,
    }
}

/// Carries out an action; its answer's JSON.
///
/// # Errors
/// SSM's codes; `UnknownOperationException` for an action that is none, `ValidationException` for a member it does not have.
pub fn run(action: &str, body: &[u8], cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    settle(cx);
    match action {
        "AddTagsToResource" => tags::add(json::read(body)?, cx),
        "DeleteParameter" => write::delete_one(&json::read(body)?, cx),
        "DeleteParameters" => write::delete_many(&json::read(body)?, cx),
        "DescribeParameters" => read::describe(&json::read(body)?, cx),
        "GetParameter" => read::get_one(&json::read(body)?, cx),
        "GetParameters" => read::get_many(&json::read(body)?, cx),
        "GetParametersByPath" => read::by_path(&json::read(body)?, cx),
        "ListTagsForResource" => tags::list(&json::read(body)?, cx),
        "PutParameter" => write::put(json::read(body)?, cx),
        "RemoveTagsFromResource" => tags::remove(&json::read(body)?, cx),
        _ => Err(unknown_action("SSM", action)),
    }
}

fn not_found(name: &str) -> ApiError {
    ApiError::new("ParameterNotFound", format!("Parameter {name} not found."))
}

/// Ends the checks of values that are due: "The aws:ec2:image value is validated asynchronously … If you submit an invalid
/// AMI value, the PutParameter operation will return success, but the asynchronous validation will fail and the parameter
/// will not be created or updated"
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>).
fn settle(cx: &mut Cx<'_>) {
    let now = cx.now;
    let pending = &mut cx.region().pending_parameters;
    let (due, later): (Vec<PendingParameter>, Vec<_>) = std::mem::take(pending)
        .into_iter()
        .partition(|p| p.due <= now);
    *pending = later;
    for PendingParameter { mut parameter, .. } in due {
        let image = ImageId::parse(&parameter.value)
            .ok()
            .and_then(|id| cx.image_in(cx.region, &id));
        if !image.is_some_and(|i| cx.may_use(&i)) {
            continue;
        }
        let parameters = &mut cx.region().parameters;
        let old = parameters.get(&parameter.name);
        parameter.version = old.map_or(1, |o| o.version + 1);
        parameters.insert(parameter.name.clone(), parameter);
    }
}

/// A parameter as somebody may read it.
#[derive(Clone, Debug)]
enum Known {
    /// The account's.
    Own(Parameter),
    /// AWS's.
    Public(PublicParameter),
}

impl Known {
    fn name(&self) -> &str {
        match self {
            Self::Own(p) => &p.name,
            Self::Public(p) => p.name,
        }
    }
}

/// A parameter by its name.
fn find(cx: &mut Cx<'_>, name: &str) -> Option<Known> {
    let own = cx.region().parameters.get(name).cloned();
    let public = || {
        let all = cx.catalogue.parameters(cx.region);
        all.into_iter().find(|p| p.name == name)
    };
    own.map(Known::Own).or_else(|| public().map(Known::Public))
}

/// The image that `resolve:ssm:NAME` or `resolve:ssm:NAME:VERSION` stands for; none if there is no such parameter.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-systems-manager-parameter-to-find-AMI.html>
pub(crate) fn resolve(cx: &mut Cx<'_>, alias: &str) -> Option<String> {
    settle(cx);
    let named = alias.strip_prefix("resolve:ssm:")?;
    let (name, version) = match named.rsplit_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (named, None),
    };
    let (value, current) = match find(cx, name)? {
        Known::Own(p) => (p.value, p.version),
        Known::Public(p) => (p.value, p.version),
    };
    // Earlier versions are not kept here.
    let is_asked_for = version.is_none_or(|version| version == current.to_string());
    is_asked_for.then_some(value)
}

/// Who shows parameters: a region, by its own clock.
#[derive(Clone, Copy)]
struct Shown<'a> {
    owner: &'a str,
    region: &'a str,
    skew: SignedDuration,
}

impl<'a> Shown<'a> {
    fn by(cx: &Cx<'a>) -> Self {
        Self {
            owner: cx.owner(),
            region: cx.region,
            skew: cx.faults.clock_skew(),
        }
    }

    fn value(self, known: &Known) -> Value {
        match known {
            Known::Own(p) => json!({
                "Name": p.name, "Type": p.kind, "Value": p.value, "Version": p.version, "DataType": p.data_type,
                "LastModifiedDate": self.seconds(p.modified), "ARN": arn(&p.name, self.region, self.owner),
            }),
            // "Public parameters" have no account in their ARNs. Canonical's are checked, Amazon's are plain text.
            Known::Public(p) => json!({
                "Name": p.name, "Type": "String", "Value": p.value, "Version": p.version,
                "DataType": if p.name.starts_with("/aws/service/canonical/") { "aws:ec2:image" } else { "text" },
                "LastModifiedDate": self.seconds(p.modified), "ARN": arn(p.name, self.region, ""),
            }),
        }
    }

    /// Times are seconds with a fraction in JSON 1.1.
    fn seconds(self, at: Timestamp) -> f64 {
        let shown = at.checked_add(self.skew).unwrap_or(at);
        shown.as_millisecond() as f64 / 1000.0
    }
}

fn arn(name: &str, region: &str, owner: &str) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    format!("arn:aws:ssm:{region}:{owner}:parameter{slash}{name}")
}

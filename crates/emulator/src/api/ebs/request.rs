//! A request's place, query and headers as an action's members.

use super::invalid;
use crate::api::error::ApiError;
use crate::api::protocol::HttpRequest;
use serde_json::{Map, Value};

/// Where a member stands.
type Places = &'static [(&'static str, &'static str)];

const PUT: Places = &[
    ("x-amz-data-length", "DataLength"),
    ("x-amz-progress", "Progress"),
    ("x-amz-checksum", "Checksum"),
    ("x-amz-checksum-algorithm", "ChecksumAlgorithm"),
];
const COMPLETE: Places = &[
    ("x-amz-changedblockscount", "ChangedBlocksCount"),
    ("x-amz-checksum", "Checksum"),
    ("x-amz-checksum-algorithm", "ChecksumAlgorithm"),
    (
        "x-amz-checksum-aggregation-method",
        "ChecksumAggregationMethod",
    ),
];
const GET: Places = &[("blockToken", "BlockToken")];
const LIST: Places = &[
    ("pageToken", "NextToken"),
    ("maxResults", "MaxResults"),
    ("startingBlockIndex", "StartingBlockIndex"),
];
const CHANGED: Places = &[
    ("firstSnapshotId", "FirstSnapshotId"),
    ("pageToken", "NextToken"),
    ("maxResults", "MaxResults"),
    ("startingBlockIndex", "StartingBlockIndex"),
];

/// The members that are numbers.
const NUMBERS: [&str; 6] = [
    "BlockIndex",
    "ChangedBlocksCount",
    "DataLength",
    "MaxResults",
    "Progress",
    "StartingBlockIndex",
];

/// The action that a request's method and path name, and its path's members.
fn route<'a>(method: &str, path: &'a str) -> Option<(&'static str, Vec<(&'static str, &'a str)>)> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    Some(match (method, parts.as_slice()) {
        ("POST", ["snapshots"]) => ("StartSnapshot", Vec::new()),
        ("POST", ["snapshots", "completion", id]) => {
            ("CompleteSnapshot", vec![("SnapshotId", *id)])
        }
        ("PUT", ["snapshots", id, "blocks", index]) => (
            "PutSnapshotBlock",
            vec![("SnapshotId", *id), ("BlockIndex", *index)],
        ),
        ("GET", ["snapshots", id, "blocks", index]) => (
            "GetSnapshotBlock",
            vec![("SnapshotId", *id), ("BlockIndex", *index)],
        ),
        ("GET", ["snapshots", id, "blocks"]) => ("ListSnapshotBlocks", vec![("SnapshotId", *id)]),
        ("GET", ["snapshots", id, "changedblocks"]) => {
            ("ListChangedBlocks", vec![("SecondSnapshotId", *id)])
        }
        _ => return None,
    })
}

/// The action that a request's method and path name, if they name one.
pub fn action(method: &str, path: &str) -> Option<&'static str> {
    route(method, path).map(|(action, _)| action)
}

/// Reads a request: its action, and the action's members as one JSON object. The bytes of a block are not among them.
///
/// # Errors
/// `UnknownOperationException` (HTTP 404) for a place that is none; `ValidationException` for a part of the query that the
/// action does not have.
pub fn read(request: &HttpRequest) -> Result<(&'static str, Vec<u8>), ApiError> {
    let (action, path) = route(&request.method, &request.path).ok_or_else(|| {
        let (method, path) = (&request.method, &request.path);
        let message = format!("EBS direct APIs have no action at {method} {path}");
        ApiError::new("UnknownOperationException", message).with_status(404)
    })?;
    if action == "StartSnapshot" {
        return Ok((action, request.body.clone()));
    }
    let mut members = Map::new();
    let mut put = |name: &str, text: &str| {
        let number = NUMBERS.contains(&name).then(|| text.parse::<i64>().ok());
        let value = number
            .flatten()
            .map_or_else(|| Value::from(text), Value::from);
        members.insert(name.to_owned(), value)
    };
    for (name, text) in path {
        put(name, text);
    }
    let (headers, query): (Places, Places) = match action {
        "PutSnapshotBlock" => (PUT, &[]),
        "CompleteSnapshot" => (COMPLETE, &[]),
        "GetSnapshotBlock" => (&[], GET),
        "ListSnapshotBlocks" => (&[], LIST),
        _ => (&[], CHANGED),
    };
    for (header, name) in headers {
        if let Some(text) = request.header(header) {
            put(name, text);
        }
    }
    for (key, text) in form_urlencoded::parse(request.query.as_bytes()) {
        let known = query.iter().find(|(k, _)| *k == key);
        let Some((_, name)) = known else {
            let message = format!("{action} has no parameter {key}");
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        };
        if put(name, &text).is_some() {
            let message = format!("The parameter {key} is given twice");
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
    }
    Ok((action, Value::Object(members).to_string().into_bytes()))
}

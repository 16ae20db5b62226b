//! StartSnapshot.

use super::{Finder, broken, has_blocks, invalid};
use crate::account::image::{Permission, Progress, Snapshot};
use crate::account::quotas::Quota;
use crate::account::region::TokenUse;
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::ec2::block_devices;
use crate::api::ec2::snapshot_copy::OF_A_COPY;
use crate::api::error::ApiError;
use crate::blocks::BLOCK_SIZE;
use crate::ids::SnapshotId;
use serde::Deserialize;
use serde_json::{Value, json};

/// "The maximum size is 65536 GiB (64 TiB)."
const MOST_GIB: i64 = 65_536;

/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html>
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct StartSnapshot {
    volume_size: i64,
    parent_snapshot_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    description: Option<String>,
    client_token: Option<String>,
    encrypted: Option<bool>,
    kms_key_arn: Option<String>,
    timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// A request whose values are what they may be.
struct Checked {
    size_gib: u32,
    timeout_minutes: u32,
    description: String,
    tags: Tags,
}

/// Carries it out.
pub(crate) fn start(
    request: StartSnapshot,
    body: &[u8],
    cx: &mut Cx<'_>,
) -> Result<Value, ApiError> {
    let checked = request.check()?;
    let token = request.client_token.as_ref();
    let key = token.map(|token| format!("StartSnapshot {token}"));
    let fingerprint = fingerprint(body);
    if let Some(used) = key.as_ref().and_then(|k| cx.region().client_tokens.get(k)) {
        // "If you retry a request with the same client token, but change one or more of the request parameters, the
        // ConflictException error is returned."
        // (https://docs.aws.amazon.com/ebs/latest/userguide/ebs-direct-api-idempotency.html)
        if used.fingerprint != fingerprint {
            let message =
                "The request uses the same client token as a previous, but non-identical request.";
            return Err(ApiError::new("ConflictException", message).with_status(409));
        }
        // "The result of the original request is returned."
        let made = serde_json::from_str(&used.made);
        return made.map_err(|e| broken("read an earlier answer", &e.into()));
    }
    let parent = request.parent(&checked, cx)?;
    let kms_key = request.key(parent.as_ref(), cx)?;
    check_room(cx)?;
    let id = SnapshotId::random();
    let mut blocks = vec![id.clone()];
    blocks.extend(parent.iter().flat_map(|p| p.blocks.iter().cloned()));
    let snapshot = Snapshot {
        id: id.clone(),
        owner: cx.owner().to_owned(),
        // A snapshot that was made of no volume says so in the way of a copy.
        volume: OF_A_COPY.to_owned(),
        size_gib: checked.size_gib,
        description: checked.description,
        started: cx.now,
        progress: Progress::Writing {
            timeout_minutes: checked.timeout_minutes,
            percent: 0,
        },
        encrypted: kms_key.is_some(),
        kms_key,
        create_volume_permission: Permission::default(),
        layers: Vec::new(),
        blocks,
        disk: None,
        tags: checked.tags,
    };
    cx.blocks
        .create(&id, checked.size_gib, cx.now)
        .map_err(|e| broken("make room for the snapshot's blocks", &e))?;
    let answer = answer(&snapshot, parent.as_ref());
    cx.region().snapshots.insert(id, snapshot);
    if let Some(key) = key {
        let used = TokenUse {
            fingerprint,
            made: answer.to_string(),
            at: cx.now,
        };
        cx.region().client_tokens.insert(key, used);
    }
    Ok(answer)
}

fn answer(snapshot: &Snapshot, parent: Option<&Snapshot>) -> Value {
    let tags = snapshot.tags.iter();
    let tags: Vec<Value> = tags
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    let mut answer = json!({
        "SnapshotId": snapshot.id.as_str(),
        "OwnerId": snapshot.owner,
        "Status": "pending",
        // Times are in seconds: https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
        "StartTime": seconds(snapshot.started),
        "VolumeSize": snapshot.size_gib,
        "BlockSize": BLOCK_SIZE,
    });
    if let Some(map) = answer.as_object_mut() {
        if !tags.is_empty() {
            map.insert("Tags".to_owned(), tags.into());
        }
        if !snapshot.description.is_empty() {
            map.insert(
                "Description".to_owned(),
                snapshot.description.clone().into(),
            );
        }
        if let Some(parent) = parent {
            map.insert("ParentSnapshotId".to_owned(), parent.id.as_str().into());
        }
        if let Some(key) = &snapshot.kms_key {
            map.insert("KmsKeyArn".to_owned(), key.as_str().into());
        }
    }
    answer
}

/// A time in seconds, with thousandths.
pub(super) fn seconds(time: jiff::Timestamp) -> f64 {
    // Exact for as long as there are fewer than 2^53 of them.
    time.as_millisecond() as f64 / 1000.0
}

/// What the request asks for, whatever the order of its members.
fn fingerprint(body: &[u8]) -> String {
    let mut members: serde_json::Map<String, Value> =
        serde_json::from_slice(body).unwrap_or_default();
    members.remove("ClientToken");
    Value::Object(members).to_string()
}

/// "Pending snapshots per account: 100" (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html>).
fn check_room(cx: &mut Cx<'_>) -> Result<(), ApiError> {
    let (now, most) = (cx.now, cx.quotas().count(Quota::PendingSnapshots));
    let snapshots = cx.region().snapshots.values();
    let pending = snapshots.filter(|s| s.state(now) == "pending").count();
    match pending < most {
        true => Ok(()),
        false => Err(ApiError::new(
            "ConcurrentLimitExceededException",
            format!(
                "The account has {pending} pending snapshots in this Region, and may have {most}."
            ),
        )),
    }
}

impl StartSnapshot {
    fn check(&self) -> Result<Checked, ApiError> {
        let size_gib = match self.volume_size {
            gib @ 1..=MOST_GIB => u32::try_from(gib).unwrap_or(u32::MAX),
            other => {
                let message = format!("The volume size {other} GiB is not from 1 to {MOST_GIB}.");
                return Err(invalid("INVALID_VOLUME_SIZE", message));
            }
        };
        let wrong = |message: String| Err(invalid("INVALID_PARAMETER_VALUE", message));
        // "Valid Range: Minimum value of 10. Maximum value of 4320. … the timeout defaults to 60 minutes."
        let timeout_minutes = match self.timeout.unwrap_or(60) {
            minutes @ 10..=4320 => u32::try_from(minutes).unwrap_or(60),
            other => {
                return wrong(format!(
                    "The timeout of {other} minutes is not from 10 to 4320."
                ));
            }
        };
        // "Length Constraints: Maximum length of 255. Pattern: ^[\S\s]+$"
        let description = self.description.clone().unwrap_or_default();
        if description.chars().count() > 255 {
            return wrong("The description is longer than 255 characters.".to_owned());
        }
        // "Length Constraints: Maximum length of 255. Pattern: ^[\S]+$"
        if let Some(token) = &self.client_token
            && (token.is_empty()
                || token.chars().count() > 255
                || token.chars().any(char::is_whitespace))
        {
            return wrong("The client token is not 1 to 255 characters without space.".to_owned());
        }
        Ok(Checked {
            size_gib,
            timeout_minutes,
            description,
            tags: self.tags()?,
        })
    }

    fn tags(&self) -> Result<Tags, ApiError> {
        let refuse = |message: String| invalid("INVALID_TAG", message);
        for tag in &self.tags {
            // https://docs.aws.amazon.com/ebs/latest/APIReference/API_Tag.html
            if tag.key.chars().count() > 127 || tag.value.chars().count() > 255 {
                let key = &tag.key;
                return Err(refuse(format!(
                    "The tag '{key}' has more than 127 characters, or its value more than 255."
                )));
            }
            if self.tags.iter().filter(|t| t.key == tag.key).count() > 1 {
                return Err(refuse(format!("The tag '{}' is given twice.", tag.key)));
            }
        }
        let pairs: Vec<(String, String)> = self
            .tags
            .iter()
            .map(|t| (t.key.clone(), t.value.clone()))
            .collect();
        let mut tags = Tags::default();
        tags.set_all(&pairs)
            .map_err(|e| refuse(e.message().to_owned()))?;
        Ok(tags)
    }

    fn parent(&self, checked: &Checked, cx: &Cx<'_>) -> Result<Option<Snapshot>, ApiError> {
        let Some(id) = &self.parent_snapshot_id else {
            return Ok(None);
        };
        // "You can't specify ParentSnapshotId and Encrypted in the same request. If you specify both parameters, the request
        // fails with ValidationException." A key beside a parent fails likewise:
        // https://docs.aws.amazon.com/ebs/latest/userguide/ebsapis-using-encryption.html
        if self.encrypted.is_some() || self.kms_key_arn.is_some() {
            let message = "A request with ParentSnapshotId can have neither Encrypted nor KmsKeyArn: the snapshot is encrypted as its parent is.";
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
        let finder = Finder::of(cx);
        let parent = finder.find(id)?;
        if parent.owner != cx.owner() {
            return Err(super::not_found(id));
        }
        let wrong = |reason, message: String| Err(invalid(reason, message));
        match parent.state(cx.now) {
            "completed" => {}
            state => {
                return wrong(
                    "INVALID_SNAPSHOT_ID",
                    format!("The parent snapshot '{id}' is in the state {state}, not completed."),
                );
            }
        }
        has_blocks(parent)?;
        if checked.size_gib < parent.size_gib {
            return wrong(
                "INVALID_VOLUME_SIZE",
                format!(
                    "The volume size {} GiB is less than the parent snapshot's, {} GiB.",
                    checked.size_gib, parent.size_gib
                ),
            );
        }
        Ok(Some(parent.clone()))
    }

    /// The key it is encrypted with: the parent's, the one named, or the account's
    /// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebsapis-using-encryption.html>).
    fn key(&self, parent: Option<&Snapshot>, cx: &mut Cx<'_>) -> Result<Option<String>, ApiError> {
        if let Some(parent) = parent {
            return Ok(parent.kms_key.clone().filter(|_| parent.encrypted));
        }
        match (self.encrypted, &self.kms_key_arn) {
            (Some(true), key) => {
                if let Some(arn) = key.as_ref().filter(|arn| !is_key_arn(arn)) {
                    let message = format!("'{arn}' is not the ARN of a KMS key.");
                    return Err(invalid("INVALID_CUSTOMER_KEY", message));
                }
                let found = block_devices::key(cx, key.as_deref());
                found.map(Some).map_err(|_| {
                    let named = key.as_deref().unwrap_or("the account's own");
                    let message = format!("The KMS key {named} is not there, or not enabled.");
                    invalid("INVALID_CUSTOMER_KEY", message)
                })
            }
            (_, Some(_)) => Err(invalid(
                "INVALID_PARAMETER_VALUE",
                "KmsKeyArn needs Encrypted to be true.",
            )),
            (_, None) => Ok(None),
        }
    }
}

/// "Pattern: arn:aws[a-z\-]*:kms:.*:[0-9]{12}:key/.*"
fn is_key_arn(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    next() == "arn"
        && next().starts_with("aws")
        && next() == "kms"
        && !next().is_empty()
        && next().len() == 12
        && next().starts_with("key/")
}

//! EBS direct APIs: snapshots written and read by blocks, REST with JSON, version 2019-11-02.
//!
//! <https://docs.aws.amazon.com/ebs/latest/APIReference/Welcome.html>,
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html>.
//!
//! ```text
//!  StartSnapshot ─► Writing ──CompleteSnapshot──► Done (pending until EC2's delay is over, then completed)
//!                     │  ▲
//!                     │  └─ PutSnapshotBlock
//!                     └─ nothing for `Timeout` minutes ─► Failed (error)
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`request`] | a request's place, query and headers as an action's members |
//! | [`start`] | StartSnapshot |
//! | [`put`] | PutSnapshotBlock |
//! | [`complete`] | CompleteSnapshot |
//! | [`list`] | ListSnapshotBlocks and ListChangedBlocks |
//! | [`get`] | GetSnapshotBlock |
//! | [`tokens`] | tokens of blocks and of pages |

pub mod complete;
pub mod get;
pub mod list;
pub mod put;
pub mod request;
pub mod start;
pub mod tokens;

use super::Cx;
use super::caller::Caller;
use super::ec2::Access;
use super::error::ApiError;
use crate::account::Account;
use crate::account::image::{Progress, Snapshot};
use crate::blocks::chain::Chain;
use crate::config::Timing;
use crate::ids::SnapshotId;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Every action there is.
pub const ACTIONS: [&str; 6] = [
    "CompleteSnapshot",
    "GetSnapshotBlock",
    "ListChangedBlocks",
    "ListSnapshotBlocks",
    "PutSnapshotBlock",
    "StartSnapshot",
];

/// Whether an action may change the account. The two about single blocks do not go through it, see
/// [`crate::engine`].
pub fn access(action: &str) -> Access {
    match action {
        "CompleteSnapshot" | "StartSnapshot" => Access::Write,
        _ => Access::Read,
    }
}

/// Whether an action is about a single block.
pub fn is_about_a_block(action: &str) -> bool {
    matches!(action, "GetSnapshotBlock" | "PutSnapshotBlock")
}

/// The HTTP status of an action that was carried out.
pub fn status(action: &str) -> u16 {
    match action {
        "PutSnapshotBlock" | "StartSnapshot" => 201,
        "CompleteSnapshot" => 202,
        _ => 200,
    }
}

/// The header that names the request.
pub fn identified(request_id: &str) -> Vec<(&'static str, String)> {
    vec![("x-amzn-RequestId", request_id.to_owned())]
}

/// The body of a refusal, see
/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_PutSnapshotBlock.html#API_PutSnapshotBlock_Errors>.
pub fn refusal(error: &ApiError) -> Value {
    // "ErrorMessage: Length Constraints: Maximum length of 256."
    let message: String = error.message().chars().take(256).collect();
    match error.reason() {
        Some(reason) => json!({ "Message": message, "Reason": reason }),
        None => json!({ "Message": message }),
    }
}

/// Carries out an action that is not about a single block; its answer's JSON.
///
/// # Errors
/// EBS's codes.
pub fn run(action: &str, body: &[u8], cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    match action {
        "StartSnapshot" => start::start(read(body)?, body, cx),
        "CompleteSnapshot" => complete::complete(&read(body)?, cx),
        "ListSnapshotBlocks" => list::blocks(&read(body)?, cx),
        "ListChangedBlocks" => list::changed(&read(body)?, cx),
        _ => Err(super::json::unknown_action("EBS", action)),
    }
}

/// Reads an action's members.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    super::json::read(body).map_err(|e| e.with_reason("INVALID_PARAMETER_VALUE"))
}

/// A refusal of what a request says, with EBS's word for what is wrong.
pub(crate) fn invalid(reason: &'static str, message: impl Into<String>) -> ApiError {
    super::json::invalid(message).with_reason(reason)
}

/// The disk did not do as it was told.
pub(crate) fn broken(doing: &str, why: &std::io::Error) -> ApiError {
    let message = format!("The local EC2 cannot {doing}: {why}");
    ApiError::new("InternalServerException", message).with_status(500)
}

/// EBS's answer to a snapshot that is not there, or not there yet.
pub(crate) fn not_found(id: &str) -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        format!("The snapshot '{id}' does not exist."),
    )
    .with_status(404)
    .with_reason("SNAPSHOT_NOT_FOUND")
}

/// What a snapshot is looked for with.
#[derive(Clone, Copy)]
pub struct Finder<'a> {
    /// The accounts.
    pub account: &'a Account,
    /// The region that the request was signed for.
    pub region: &'a str,
    /// Who sent it.
    pub caller: &'a Caller,
    /// The time.
    pub now: Timestamp,
    /// EC2's delays.
    pub timing: &'a Timing,
}

impl<'a> Finder<'a> {
    /// The same for an action on the account.
    pub(crate) fn of(cx: &'a Cx<'_>) -> Self {
        Self {
            account: cx.account,
            region: cx.region,
            caller: cx.caller,
            now: cx.now,
            timing: cx.timing,
        }
    }

    /// A snapshot that the caller may use. "You can call the APIs on … snapshots that you own or that are shared with you",
    /// and public snapshots are not supported (<https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-faq.html>).
    ///
    /// # Errors
    /// `ResourceNotFoundException`, also for a new snapshot that other requests do not know yet.
    pub(crate) fn find(&self, id: &str) -> Result<&'a Snapshot, ApiError> {
        let caller = self.caller.account();
        let parsed = SnapshotId::parse(id)
            .map_err(|e| invalid("INVALID_SNAPSHOT_ID", e.message().to_owned()))?;
        let mut regions = self.account.everywhere(self.region);
        let found = regions.find_map(|r| r.snapshots.get(&parsed));
        let visible = |s: &&Snapshot| {
            let age = self.now.duration_since(s.started);
            age.unsigned_abs() >= self.timing.visibility || age.is_negative()
        };
        let may = |s: &&Snapshot| s.owner == caller || s.create_volume_permission.names(caller);
        found
            .filter(visible)
            .filter(may)
            .ok_or_else(|| not_found(id))
    }

    /// A snapshot of the caller's own that is being written.
    ///
    /// # Errors
    /// As [`Finder::find`]; `ValidationException` if it is not being written: "The target snapshot must be in the pending
    /// state", and "you cannot write new blocks to a snapshot after it has been completed".
    pub(crate) fn writing(&self, id: &str) -> Result<&'a Snapshot, ApiError> {
        let snapshot = self.find(id)?;
        if snapshot.owner != self.caller.account() {
            return Err(not_found(id));
        }
        match &snapshot.progress {
            Progress::Writing { .. } => Ok(snapshot),
            _ => Err(not_writing(id, snapshot.state(self.now))),
        }
    }

    /// A snapshot whose blocks can be read: "The snapshot can be accessed only if it has a completed status"
    /// (<https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-faq.html>).
    ///
    /// # Errors
    /// As [`Finder::find`]; `ValidationException` if it is not completed, or of a guest.
    pub(crate) fn readable(&self, id: &str) -> Result<&'a Snapshot, ApiError> {
        let snapshot = self.find(id)?;
        match snapshot.state(self.now) {
            "completed" => {}
            state => {
                let message =
                    format!("The snapshot '{id}' is in the state {state}, not completed.");
                return Err(invalid("INVALID_SNAPSHOT_ID", message));
            }
        }
        has_blocks(snapshot)?;
        Ok(snapshot)
    }
}

/// Refuses a snapshot that is known as files and not as blocks.
pub(crate) fn has_blocks(snapshot: &Snapshot) -> Result<(), ApiError> {
    if !snapshot.blocks.is_empty() {
        return Ok(());
    }
    let message = format!(
        "The local EC2 has the snapshot '{}' as a guest's files and not as blocks: only snapshots from StartSnapshot, \
         and copies of those, can be read by blocks.",
        snapshot.id
    );
    Err(invalid("INVALID_SNAPSHOT_ID", message))
}

/// A snapshot that takes no blocks.
pub(crate) fn not_writing(id: &str, state: &str) -> ApiError {
    let message = format!(
        "The snapshot '{id}' is not being written: its state is {state}, and it was completed, timed out, or never started by StartSnapshot."
    );
    invalid("INVALID_SNAPSHOT_ID", message)
}

/// A snapshot's blocks, those of its parents below.
pub(crate) fn chain(
    store: &crate::blocks::BlockStore,
    snapshot: &Snapshot,
) -> Result<Chain, ApiError> {
    store
        .chain(&snapshot.blocks)
        .map_err(|e| broken("read the snapshot's blocks", &e))
}

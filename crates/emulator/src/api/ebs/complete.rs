//! CompleteSnapshot.

use super::{Finder, broken, invalid};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::blocks::set::BlockSet;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde_json::{Value, json};

/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_CompleteSnapshot.html>
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct CompleteSnapshot {
    snapshot_id: String,
    changed_blocks_count: i64,
    checksum: Option<String>,
    checksum_algorithm: Option<String>,
    checksum_aggregation_method: Option<String>,
}

/// Carries it out: "Seals and completes the snapshot after all of the required blocks of data have been written to it."
/// What is not as the client says stays as it is, open for blocks.
pub(crate) fn complete(request: &CompleteSnapshot, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let linear = request.linear()?;
    let snapshot = Finder::of(cx).writing(&request.snapshot_id)?.clone();
    let set = cx
        .blocks
        .get(&snapshot.id)
        .map_err(|e| broken("open the snapshot's blocks", &e))?;
    set.seal();
    if let Err(refused) = request.verify(&set, linear.as_deref()) {
        set.unseal();
        return Err(refused);
    }
    let (now, progress) = (cx.now, cx.making(&snapshot.tags).snapshot);
    let snapshots = &mut cx.region().snapshots;
    let Some(snapshot) = snapshots.get_mut(&snapshot.id) else {
        return Err(super::not_found(&request.snapshot_id));
    };
    snapshot.progress = progress;
    Ok(json!({ "Status": snapshot.state(now) }))
}

impl CompleteSnapshot {
    /// The checksum over all blocks, if there is one: its three members go together.
    fn linear(&self) -> Result<Option<Vec<u8>>, ApiError> {
        let wrong = |message: &str| Err(invalid("INVALID_PARAMETER_VALUE", message));
        match (
            &self.checksum,
            self.checksum_algorithm.as_deref(),
            self.checksum_aggregation_method.as_deref(),
        ) {
            (None, None, None) => Ok(None),
            (Some(checksum), Some("SHA256"), Some("LINEAR")) => {
                match BASE64_STANDARD
                    .decode(checksum)
                    .ok()
                    .filter(|c| c.len() == 32)
                {
                    Some(checksum) => Ok(Some(checksum)),
                    None => wrong("The checksum is no SHA256 in Base64."),
                }
            }
            (Some(_), Some(_), Some(_)) => wrong(
                "The only checksum algorithm is SHA256, and the only aggregation method is LINEAR.",
            ),
            _ => wrong(
                "Checksum, ChecksumAlgorithm and ChecksumAggregationMethod go together: give all three or none.",
            ),
        }
    }

    fn verify(&self, set: &BlockSet, linear: Option<&[u8]>) -> Result<(), ApiError> {
        // "The number of blocks that were written to the snapshot."
        let count = set.count();
        if u64::try_from(self.changed_blocks_count).ok() != Some(count) {
            let message = format!(
                "The changed blocks count {} is not the number of blocks that were written, {count}.",
                self.changed_blocks_count
            );
            return Err(invalid("INVALID_PARAMETER_VALUE", message));
        }
        if let Some(given) = linear {
            let own = set
                .linear()
                .map_err(|e| broken("read the blocks' checksums", &e))?;
            if given != own {
                let message =
                    "The aggregated checksum is not that of the blocks that were written.";
                return Err(invalid("INVALID_PARAMETER_VALUE", message));
            }
        }
        Ok(())
    }
}

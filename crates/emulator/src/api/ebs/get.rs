//! GetSnapshotBlock.

use super::put::checksum_headers;
use super::tokens::Sealer;
use super::{broken, invalid};
use crate::api::error::ApiError;
use crate::blocks::BLOCK_SIZE;
use crate::blocks::chain::Chain;
use crate::blocks::digest::sha256;
use serde::Deserialize;

/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_GetSnapshotBlock.html>
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct GetSnapshotBlock {
    /// The snapshot.
    pub snapshot_id: String,
    block_index: i64,
    block_token: String,
}

/// A block's bytes, and the headers that say what they are.
pub(crate) type Found = (Vec<u8>, Vec<(&'static str, String)>);

impl GetSnapshotBlock {
    /// Reads the block.
    ///
    /// # Errors
    /// `ValidationException` for a block that is not there or a token of another; `InternalServerException` if what is on
    /// the disk is not what was put.
    pub(crate) fn read(&self, sealer: &Sealer, chain: &Chain) -> Result<Found, ApiError> {
        let absent = || {
            let message = format!("The snapshot has no block {}.", self.block_index);
            invalid("INVALID_BLOCK", message)
        };
        let index = u32::try_from(self.block_index).map_err(|_| absent())?;
        sealer.check_block(&self.block_token, &self.snapshot_id, index)?;
        let read = chain
            .whole(index)
            .map_err(|e| broken("read the block", &e))?;
        let (bytes, block) = read.ok_or_else(absent)?;
        // Of zeros there are no bytes on the disk that could be wrong.
        if !block.zero && sha256(&bytes) != block.digest {
            let why = std::io::Error::other("its data is not what was put");
            return Err(broken("read the block", &why));
        }
        let mut headers = checksum_headers(&block.digest);
        headers.push(("x-amz-Data-Length", BLOCK_SIZE.to_string()));
        Ok((bytes, headers))
    }
}

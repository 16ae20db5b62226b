//! What is in a parent snapshot, block by block: what of a new image need not be sent. Of one whose digests are not kept on
//! this machine every block is read once.

use super::kept_digests;
use crate::failure::{ImportError, StepError};
use crate::steps::context::CellContext;
use crate::transfer::acknowledged::AcknowledgedError;
use crate::transfer::download::{DownloadError, download, list};
use crate::transfer::{Acknowledged, Transferred, Watch};
use cloud::{Snapshot, SnapshotId, SnapshotState};
use disk::blocks::BLOCK;

/// The parent, if a snapshot can be written as the difference to it.
pub(super) async fn usable(
    context: &CellContext,
    parent: &SnapshotId,
) -> Result<Snapshot, StepError> {
    let refuse = |why: String| ImportError::Parent {
        parent: parent.to_string(),
        why,
    };
    let filters = vec![("snapshot-id".to_owned(), vec![parent.to_string()])];
    let found = context.race(context.region().snapshots(&filters)).await??;
    let Some(found) = found.into_iter().next() else {
        return Err(refuse(String::from(
            "there is no such snapshot of this account here",
        ))
        .into());
    };
    if found.state != SnapshotState::Completed {
        return Err(refuse(format!("it is {:?}, not completed", found.state)).into());
    }
    if found.kms_key_id.is_some() {
        return Err(refuse(String::from("it is encrypted")).into());
    }
    Ok(found)
}

/// The digests of the parent's blocks. It must be such that a snapshot of `volume_gib` can have it as its parent.
pub(super) async fn known_blocks(
    context: &CellContext,
    parent: &SnapshotId,
    volume_gib: u32,
) -> Result<Acknowledged, StepError> {
    let refuse = |why: String| ImportError::Parent {
        parent: parent.to_string(),
        why,
    };
    let found = usable(context, parent).await?;
    if found.volume_gib > volume_gib {
        let why = format!(
            "it is of {} GiB, and the new snapshot is of {volume_gib}",
            found.volume_gib
        );
        return Err(refuse(why).into());
    }
    let blocks = u32::try_from((u64::from(found.volume_gib) << 30).div_ceil(BLOCK as u64))
        .map_err(|error| refuse(error.to_string()))?;
    let mut known = match kept_digests::open(context, parent, blocks) {
        Ok(known) => known,
        Err(error) => {
            context.note(format!(
                "the digests of {parent} cannot be kept here, so it is read: {error}"
            ));
            let folder = context.run().directory.cell(context.cell())?;
            let content = kept_digests::content_of(context, parent);
            Acknowledged::open(&folder.join("parent-blocks"), &content, blocks)
                .map_err(ImportError::Record)?
        }
    };
    let service = context.region().blocks();
    let listed = context.race(list::<AcknowledgedError>(service.as_ref(), parent));
    let listed = listed.await?.map_err(|error| refuse(reason(&error)))?;
    let unknown: Vec<_> = listed
        .blocks
        .into_iter()
        .filter(|block| !known.has(block.index))
        .collect();
    if !unknown.is_empty() {
        context.note(format!(
            "{} blocks of {parent} are read, for their digests are not known here",
            unknown.len()
        ));
        let clock = &context.run().ports.clock;
        let read = download(
            &service,
            clock,
            parent,
            unknown,
            &Unwatched,
            async |index, digest, _| known.add(index, digest),
        );
        let read = context.race(read).await?;
        read.map_err(|error| refuse(reason(&error)))?;
    }
    Ok(known)
}

fn reason(error: &DownloadError<AcknowledgedError>) -> String {
    error.to_string()
}

struct Unwatched;

impl Watch for Unwatched {
    fn moved(&self, _: Transferred) {}
}

//! Into a snapshot by the EBS direct APIs: no bucket, no role, no converter.
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html>

use super::content::{Content, short_hash};
use super::parent::known_blocks;
use super::told::Told;
use super::{ImportOrder, description};
use crate::failure::{ImportError, StepError};
use crate::journal::{Effect, EffectState};
use crate::names::tag;
use crate::spec::Encryption;
use crate::steps::context::CellContext;
use crate::transfer::{self, Acknowledged, Upload, UploadError};
use crate::undo::own_started;
use cloud::{
    BLOCK_BYTES, CloudError, ErrorKind, Sha256Digest, Snapshot, SnapshotEncryption, SnapshotId,
    SnapshotState, StartRequest, Timestamp, Written,
};
use disk::blocks::block_count;
use pipeline::model::{self, Holes, Located};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// How long EBS waits for the next block before it gives the snapshot up, in minutes: as long as a run may be dead and
/// still be gone on with. <https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html>
const IDLE_MINUTES: u32 = 60;
const BLOCKS_PER_GIB: u32 = 2048;
/// How many threads read and hash: on more the disk is the limit, or the line.
const READERS: NonZeroUsize = NonZeroUsize::new(2).expect("two is not zero");

/// Makes the snapshot. It may not be whole yet.
pub(super) async fn snapshot(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    holes: Holes,
    parent: Option<&Located<model::SnapshotId>>,
) -> Result<SnapshotId, StepError> {
    if holes == Holes::Skip {
        context.warn(
            "blocks of zeros are not sent (`holes: skip`): a volume that is encrypted reads something else there than zeros, \
             also one that is made encrypted of this image later",
        );
    }
    let parent_id = parent.map(|id| SnapshotId::new(id.as_str()));
    let known = match &parent_id {
        Some(parent) => Some(known_blocks(context, parent, content.volume_gib).await?),
        None => None,
    };
    let identity = format!(
        "{}\n{holes:?}\n{:?}\n{:?}",
        content.identity, parent_id, order.image.encryption
    );
    let blocks = block_count(content.disk.size()).map_err(|error| ImportError::Upload {
        snapshot: String::from("(not started)"),
        error: Box::new(error.into()),
    })?;
    let mut started = begin(context, order, content, &identity, parent_id.as_ref()).await?;
    // Blocks behind the disk's end may be the parent's.
    let volume_blocks = content.volume_gib * BLOCKS_PER_GIB;
    let mut acknowledged = started.acknowledged(context, &identity, volume_blocks)?;
    if acknowledged.count() > 0 {
        context.note(format!(
            "goes on: EBS has {} of {blocks} blocks",
            acknowledged.count()
        ));
    }
    let written = loop {
        let written = write(
            context,
            content,
            &started,
            holes,
            &mut acknowledged,
            known.as_ref(),
        )
        .await;
        match written {
            Ok(written) => break written,
            // A snapshot that nothing was written to for an hour is given up by EBS, and one that was begun by an earlier
            // process may be that.
            Err(error) if started.earlier && is_given_up(&error) => {
                context.warn(format!(
                    "{} is not to be gone on with ({error}): another one is begun",
                    started.snapshot
                ));
                context.effects().unmake(started.number).await?;
                started = begin(context, order, content, &identity, parent_id.as_ref()).await?;
                acknowledged = started.acknowledged(context, &identity, volume_blocks)?;
            }
            Err(error) => return Err(error),
        }
    };
    context.note(format!(
        "{}: {} blocks are written, of {blocks} that the disk image has",
        started.snapshot, written.blocks
    ));
    super::kept_digests::keep(
        context,
        &started.snapshot,
        &acknowledged,
        known.as_ref(),
        volume_blocks,
    );
    Ok(started.snapshot)
}

/// A snapshot that is being written.
struct Started {
    number: crate::journal::EffectNumber,
    snapshot: SnapshotId,
    /// Whether an earlier process of the run had started it.
    earlier: bool,
    /// When it was started, or gone on with: the earlier process may have died the moment before.
    at: Timestamp,
}

impl Started {
    /// What is known to be in it.
    fn acknowledged(
        &self,
        context: &CellContext,
        identity: &str,
        blocks: u32,
    ) -> Result<Acknowledged, StepError> {
        let path = record_path(context)?;
        // Of another snapshot nothing counts.
        let content = format!("{}\n{identity}", self.snapshot);
        Ok(Acknowledged::open(&path, &content, blocks).map_err(ImportError::Record)?)
    }
}

fn record_path(context: &CellContext) -> Result<PathBuf, StepError> {
    Ok(context
        .run()
        .directory
        .cell(context.cell())?
        .join("acknowledged-blocks"))
}

fn is_given_up(error: &StepError) -> bool {
    let error = match error {
        StepError::Cloud(error) => error,
        StepError::Import(error) => match error.as_ref() {
            ImportError::Upload { error, .. } => match error.as_ref() {
                UploadError::Cloud(error) => error,
                _ => return false,
            },
            _ => return false,
        },
        _ => return false,
    };
    matches!(
        error.kind,
        ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::WrongState
    )
}

/// Sends what is not there yet, and tells EBS that this is all.
async fn write(
    context: &CellContext,
    content: &Content,
    started: &Started,
    holes: Holes,
    acknowledged: &mut Acknowledged,
    known: Option<&Acknowledged>,
) -> Result<Written, StepError> {
    send(context, content, started, holes, acknowledged, known).await?;
    let digest = acknowledged.linear().map_err(ImportError::Record)?;
    let written = Written {
        blocks: acknowledged.count(),
        digest: Sha256Digest(*digest.as_bytes()),
    };
    if let Some(known) = content.known
        && is_whole(content, written)
        && known != written.digest
    {
        return Err(ImportError::Changed {
            file: content.file.clone(),
        }
        .into());
    }
    complete(context, &started.snapshot, written).await?;
    Ok(written)
}

/// Whether all of the disk's blocks were sent.
fn is_whole(content: &Content, written: Written) -> bool {
    block_count(content.disk.size()).is_ok_and(|all| all == written.blocks)
}

async fn begin(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    identity: &str,
    parent: Option<&SnapshotId>,
) -> Result<Started, StepError> {
    let wanted = short_hash(identity);
    // What an earlier process began with other content is not gone on with.
    let others = context.standing(
        |earlier| matches!(earlier, Effect::StartSnapshot { content, .. } if *content != wanted),
    );
    for number in others {
        context.effects().unmake(number).await?;
    }
    // Whatever was removed has a description of its own, by which it is found; and a token of its own, for EBS would answer
    // one that it knows with a snapshot that is gone.
    let attempt = context
        .effects()
        .state()
        .effects()
        .filter(|(_, entry)| {
            entry.cell == *context.cell()
                && matches!(entry.effect, Effect::StartSnapshot { .. })
                && entry.state == EffectState::Undone
        })
        .count();
    let mut request = StartRequest {
        client_token: String::new(),
        volume_gib: content.volume_gib,
        description: format!("{}, {attempt}", description(context, order, content)),
        parent: parent.cloned(),
        encryption: match &order.image.encryption {
            Encryption::AsSource => SnapshotEncryption::AsAccount,
            Encryption::With(key) => SnapshotEncryption::With(key.clone()),
        },
        idle_minutes: IDLE_MINUTES,
        tags: order.snapshot_tags.clone(),
    };
    request.client_token = client_token(context, &request);
    let effect = Effect::StartSnapshot {
        region: context.region().name().clone(),
        client_token: request.client_token.clone(),
        description: request.description.clone(),
        content: wanted,
    };
    let earlier = !context
        .standing(|earlier| matches!(earlier, Effect::StartSnapshot { .. }))
        .is_empty();
    let at = context.clock().now();
    let blocks = context.region().blocks();
    let block_bytes = Cell::new(BLOCK_BYTES);
    let made = context
        .effects()
        .make(
            context.cell(),
            effect,
            async || {
                let started = blocks.start(&request).await?;
                block_bytes.set(started.block_bytes);
                Ok(started.snapshot_id)
            },
            async || own_started(context.region(), &request.description, context.run_id()).await,
        )
        .await?;
    // The journal knows the snapshot by now, so that it goes.
    if block_bytes.get() != BLOCK_BYTES {
        return Err(ImportError::BlockSize {
            snapshot: made.value.to_string(),
            found: block_bytes.get(),
        }
        .into());
    }
    context.note(format!("snapshot {} is being written", made.value));
    Ok(Started {
        number: made.number,
        snapshot: made.value,
        earlier,
        at,
    })
}

/// Hash of run, cell, step and all parameters but the time: new whenever one of them changes.
fn client_token(context: &CellContext, request: &StartRequest) -> String {
    let mut steady = request.clone();
    steady.tags.0.remove(tag::EXPIRES);
    steady.tags.0.remove(tag::LEASE);
    let mut hash = Sha256::new();
    hash.update(format!(
        "{}\n{}\nstart-snapshot\n{steady:?}",
        context.run_id(),
        context.cell()
    ));
    hex::encode(hash.finalize())
}

async fn send(
    context: &CellContext,
    content: &Content,
    started: &Started,
    holes: Holes,
    acknowledged: &mut Acknowledged,
    known: Option<&Acknowledged>,
) -> Result<(), ImportError> {
    let fail = |error| ImportError::Upload {
        snapshot: started.snapshot.to_string(),
        error: Box::new(error),
    };
    let upload = Upload {
        blocks: context.region().blocks(),
        clock: context.run().ports.clock.clone(),
        snapshot: started.snapshot.clone(),
        started: Some(started.at),
        disk: content.disk.clone(),
        holes: match holes {
            Holes::Send => transfer::Holes::Send,
            Holes::Skip => transfer::Holes::Skip,
        },
        readers: READERS,
    };
    let told = Told::new(context);
    let sent = context.race(transfer::upload(&upload, acknowledged, known, &told));
    match sent.await {
        Ok(sent) => sent.map_err(fail),
        Err(StepError::Cancelled(why)) => Err(ImportError::Stopped(why)),
        Err(other) => Err(fail(UploadError::Ended(other.to_string()))),
    }
}

async fn complete(
    context: &CellContext,
    snapshot: &SnapshotId,
    written: Written,
) -> Result<(), StepError> {
    let effect = Effect::CompleteSnapshot {
        region: context.region().name().clone(),
        snapshot: snapshot.clone(),
    };
    let blocks = context.region().blocks();
    context
        .effects()
        .set(context.cell(), effect, async || {
            match blocks.complete(snapshot, written).await {
                // The first call's answer was lost, or that of an earlier process: what it was about is done, and shows soon.
                Err(error) if may_be_done(&error) && is_complete(context, snapshot).await => {
                    context.note(format!(
                        "{snapshot} was completed already: the answer had been lost"
                    ));
                    Ok(())
                }
                ended => ended,
            }
        })
        .await?;
    Ok(())
}

fn may_be_done(error: &CloudError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Transient | ErrorKind::InvalidInput | ErrorKind::WrongState
    )
}

/// How long a snapshot of which all blocks are there may take until it shows as completed, if that was asked for.
const COMPLETE_WITHIN: Duration = Duration::from_secs(60);

async fn is_complete(context: &CellContext, snapshot: &SnapshotId) -> bool {
    let filters = crate::undo::own("snapshot-id", snapshot.as_str(), context.run_id());
    let until = context.deadline(COMPLETE_WITHIN);
    loop {
        let found = context.region().snapshots(&filters).await;
        let state = found.ok().and_then(|found| found.into_iter().next());
        match state.map(|snapshot| snapshot.state) {
            Some(SnapshotState::Completed) => return true,
            Some(SnapshotState::Failed(_)) => return false,
            Some(SnapshotState::Pending) | None if context.clock().now() >= until => return false,
            Some(SnapshotState::Pending) | None => context.clock().sleep(LOOK_EVERY).await,
        }
    }
}

/// How often it is looked whether a snapshot is whole.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Waits until EBS says that the snapshot is whole.
pub(super) async fn whole(
    context: &CellContext,
    order: &ImportOrder<'_>,
    snapshot: &SnapshotId,
) -> Result<Snapshot, StepError> {
    let deadline = context.deadline(order.image.wait);
    let filters = vec![("snapshot-id".to_owned(), vec![snapshot.to_string()])];
    loop {
        let seen = match context.race(context.region().snapshots(&filters)).await? {
            Ok(seen) => seen.into_iter().next(),
            Err(error) if error.is_passing() || error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(seen) = seen {
            match seen.state {
                SnapshotState::Completed => return Ok(seen),
                SnapshotState::Failed(reason) => {
                    return Err(ImportError::SnapshotFailed {
                        snapshot: snapshot.to_string(),
                        reason,
                    }
                    .into());
                }
                SnapshotState::Pending => {}
            }
        }
        if context.clock().now() >= deadline {
            return Err(ImportError::SnapshotSlow {
                snapshot: snapshot.to_string(),
                waited: order.image.wait,
            }
            .into());
        }
        context.pause(LOOK_EVERY).await?;
    }
}

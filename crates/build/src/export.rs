//! A snapshot as a file on this machine: block by block out of EBS, each compared with its digest.
//! <https://docs.aws.amazon.com/ebs/latest/userguide/readsnapshots.html>
//!
//! ```text
//!   image ─▶ its snapshot ─▶ listed blocks ── written by an earlier process ─▶ (not read again)
//!                                 └─▶ read, many at once ─▶ compared ─▶ writer's thread ─▶ finished file
//! ```
//!
//! It changes nothing in the account, and so needs no journal: what was written stands beside the file until it is whole.

use crate::cancel::{Cancellation, Cancelled};
use crate::failure::with_causes;
use crate::transfer::Watch;
use crate::transfer::download::{DownloadError, download, list};
use bytes::Bytes;
use cloud::{
    Clock, CloudError, Image, ImageFilter, ImageId, ImageState, Region, Snapshot, SnapshotId,
    SnapshotState,
};
use disk::Format;
use disk::blocks::BlockIndex;
use disk::digest::BlockDigest;
use disk::sink::{Sink, SinkError};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exported {
    /// A volume of an image: that of this device; without one the root device.
    Image {
        /// The image.
        image: ImageId,
        /// The device.
        device: Option<String>,
    },
    /// A snapshot.
    Snapshot(SnapshotId),
}

/// What is to be done.
pub struct Export {
    /// What is exported.
    pub what: Exported,
    /// The file.
    pub file: PathBuf,
    /// Its format: raw or qcow2.
    pub format: Format,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExportReport {
    /// The image, if one was asked for.
    pub image_id: Option<String>,
    /// The snapshot.
    pub snapshot_id: String,
    /// The file.
    pub file: String,
    /// `raw` or `qcow2`.
    pub format: String,
    /// The size of the disk, in bytes.
    pub bytes: u64,
    /// How many blocks of 512 KiB the snapshot has.
    pub blocks: u64,
    /// How many of them were read by this process.
    pub blocks_read: u64,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum ExportError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(
        "stopped on request; what was read is kept beside {file}, and the same command goes on with it"
    )]
    Cancelled { file: String, why: Cancelled },
    #[error("there is no image {image} in {region} that these credentials may see")]
    NoImage { image: String, region: String },
    #[error("the image {image} is {state}, not available")]
    ImageState { image: String, state: String },
    #[error("the image {image} has no snapshot of {device}; it has: {devices}")]
    NoDevice {
        image: String,
        device: String,
        devices: String,
    },
    #[error("the snapshot {snapshot} is not completed: {state}")]
    SnapshotState { snapshot: String, state: String },
    #[error("{snapshot} cannot be exported: {reason}")]
    Download { snapshot: String, reason: String },
    /// There cannot be such a file: nothing was read.
    #[error("{reason}")]
    File { reason: String },
    /// The file was begun and could not be written to its end.
    #[error("{snapshot} cannot be exported: {reason}")]
    Written { snapshot: String, reason: String },
}

impl ExportError {
    /// What the reader can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cloud(error) => error.hint().map(str::to_owned),
            Self::NoImage { .. } => Some(String::from(
                "An image's id is good in one region only: --region names another.",
            )),
            Self::Download { .. } | Self::Written { .. } => Some(String::from(
                "The same command goes on where this one stopped.",
            )),
            _ => None,
        }
    }

    /// Whether it is the caller's to mend, and nothing was begun.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::NoDevice { .. } | Self::File { .. })
    }
}

/// Exports it.
///
/// # Errors
/// If there is nothing to export, EBS refuses, or the file cannot be written.
pub async fn export(
    region: &dyn Region,
    clock: &Arc<dyn Clock>,
    export: &Export,
    cancellation: &Cancellation,
    watch: &dyn Watch,
) -> Result<ExportReport, ExportError> {
    let (image_id, snapshot) = match &export.what {
        Exported::Snapshot(snapshot) => (None, snapshot.clone()),
        Exported::Image { image, device } => {
            let found = image_of(region, image).await?;
            (
                Some(image.to_string()),
                snapshot_of(&found, device.as_deref())?,
            )
        }
    };
    if let Some(seen) = own_snapshot(region, &snapshot).await?
        && seen.state != SnapshotState::Completed
    {
        return Err(ExportError::SnapshotState {
            snapshot: snapshot.to_string(),
            state: format!("{:?}", seen.state),
        });
    }
    let refused = |error: &dyn std::error::Error| ExportError::Download {
        snapshot: snapshot.to_string(),
        reason: with_causes(error),
    };
    let blocks = region.blocks();
    let listing =
        list::<Stopped>(blocks.as_ref(), &snapshot)
            .await
            .map_err(|error| match error {
                // Nothing was begun.
                DownloadError::Cloud(error) => ExportError::Cloud(error),
                other => refused(&other),
            })?;
    let all = listing.blocks.len() as u64;
    let sink = open(export, listing.volume_bytes, &snapshot).await?;
    let wanted: Vec<_> = listing
        .blocks
        .into_iter()
        .filter(|block| !sink.has(BlockIndex(block.index)))
        .collect();
    let blocks_read = wanted.len() as u64;
    let (sender, receiver) = mpsc::channel(QUEUE);
    let writer = tokio::task::spawn_blocking(move || write(sink, receiver));
    let reading = download(
        &blocks,
        clock,
        &snapshot,
        wanted,
        watch,
        async |index, digest, content| {
            let sent = sender.send((index, digest, content)).await;
            sent.map_err(|_| Stopped)
        },
    );
    let read = cancellation.race(reading).await;
    // The writer ends when nobody sends any more; what it has is then on stable storage.
    drop(sender);
    let unwritten = |error: &dyn std::error::Error| ExportError::Written {
        snapshot: snapshot.to_string(),
        reason: with_causes(error),
    };
    let written = writer.await.map_err(|error| unwritten(&error))?;
    let sink = written.map_err(|error| unwritten(&error))?;
    match read {
        Err(why) => {
            return Err(ExportError::Cancelled {
                file: export.file.display().to_string(),
                why,
            });
        }
        Ok(Err(error)) => return Err(refused(&error)),
        Ok(Ok(())) => {}
    }
    let finished = tokio::task::spawn_blocking(move || sink.finish());
    finished
        .await
        .map_err(|error| unwritten(&error))?
        .map_err(|error| unwritten(&error))?;
    Ok(ExportReport {
        image_id,
        snapshot_id: snapshot.to_string(),
        file: export.file.display().to_string(),
        format: export.format.to_string(),
        bytes: listing.volume_bytes,
        blocks: all,
        blocks_read,
    })
}

/// Blocks that were read and wait to be written.
const QUEUE: usize = 16;

/// The writer has ended; why, it says itself.
#[derive(Debug, thiserror::Error)]
#[error("the file could not be written")]
struct Stopped;

async fn open(export: &Export, size: u64, snapshot: &SnapshotId) -> Result<Sink, ExportError> {
    let (file, format) = (export.file.clone(), export.format);
    let identity = snapshot.to_string();
    // Blocks of an interrupted export are read again and compared, which takes its time.
    let opened = tokio::task::spawn_blocking(move || Sink::open(&file, format, size, &identity));
    let no_file = |error: &dyn std::error::Error| ExportError::File {
        reason: with_causes(error),
    };
    opened
        .await
        .map_err(|error| no_file(&error))?
        .map_err(|error| no_file(&error))
}

fn write(
    mut sink: Sink,
    mut blocks: mpsc::Receiver<(u32, BlockDigest, Bytes)>,
) -> Result<Sink, SinkError> {
    while let Some((index, digest, content)) = blocks.blocking_recv() {
        let written = if digest == BlockDigest::of_zeros() {
            sink.write_zeros(BlockIndex(index))
        } else {
            sink.write(BlockIndex(index), &content, digest)
        };
        if let Err(error) = written {
            // Those before it are there: the next attempt need not read them. If that cannot be noted either, it reads them.
            let _ = sink.checkpoint();
            return Err(error);
        }
    }
    sink.checkpoint()?;
    Ok(sink)
}

async fn image_of(region: &dyn Region, id: &ImageId) -> Result<Image, ExportError> {
    let filter = ImageFilter {
        image_ids: vec![id.clone()],
        include_deprecated: true,
        ..ImageFilter::default()
    };
    let found = region.images(&filter).await?.into_iter().next();
    let image = found.ok_or_else(|| ExportError::NoImage {
        image: id.to_string(),
        region: region.name().to_string(),
    })?;
    match image.state {
        ImageState::Available => Ok(image),
        other => Err(ExportError::ImageState {
            image: id.to_string(),
            state: format!("{other:?}"),
        }),
    }
}

/// The snapshot of one of the image's devices.
fn snapshot_of(image: &Image, device: Option<&str>) -> Result<SnapshotId, ExportError> {
    let bare = |device: &str| device.trim_start_matches("/dev/").to_owned();
    let wanted = device.or(image.root_device.as_deref()).unwrap_or_default();
    let with_snapshots = || {
        let volumes = image.volumes.iter();
        volumes.filter_map(|volume| Some((volume.device.as_str(), volume.snapshot_id.as_ref()?)))
    };
    let found = with_snapshots().find(|(device, _)| bare(device) == bare(wanted));
    found
        .map(|(_, snapshot)| snapshot.clone())
        .ok_or_else(|| ExportError::NoDevice {
            image: image.image_id.to_string(),
            device: wanted.to_owned(),
            devices: with_snapshots()
                .map(|(device, _)| device)
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// The snapshot as EC2 describes it; none if it is another account's.
async fn own_snapshot(
    region: &dyn Region,
    snapshot: &SnapshotId,
) -> Result<Option<Snapshot>, CloudError> {
    let filters = vec![("snapshot-id".to_owned(), vec![snapshot.to_string()])];
    Ok(region.snapshots(&filters).await?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud::{EbsVolume, Tags};

    #[test]
    fn a_device_is_found_however_it_is_written() {
        let volume = |device: &str, snapshot: Option<&str>| EbsVolume {
            device: device.to_owned(),
            snapshot_id: snapshot.map(SnapshotId::from),
            ..EbsVolume::default()
        };
        let image = Image {
            image_id: "ami-1".into(),
            name: String::new(),
            description: String::new(),
            state: ImageState::Available,
            state_reason: None,
            created: None,
            owner: None,
            architecture: String::new(),
            root_device: Some(String::from("/dev/sda1")),
            snapshots: Vec::new(),
            tags: Tags::new(),
            deprecated: None,
            protected: false,
            public: false,
            boot_mode: None,
            virtualization: String::new(),
            volumes: vec![
                volume("/dev/sda1", Some("snap-1")),
                volume("/dev/sdb", Some("snap-2")),
                volume("/dev/sdc", None),
            ],
        };
        assert_eq!(snapshot_of(&image, None).unwrap(), "snap-1".into());
        assert_eq!(snapshot_of(&image, Some("sdb")).unwrap(), "snap-2".into());
        let error = snapshot_of(&image, Some("/dev/sdc")).unwrap_err();
        assert!(error.to_string().contains("/dev/sda1, /dev/sdb"), "{error}");
        assert!(error.is_bad_input());
    }
}

//! The disk image on this machine: fetched, opened, looked at.

use super::ImportOrder;
use super::told::Told;
use crate::failure::{ImportError, StepError};
use crate::steps::context::CellContext;
use cloud::{Sha256Digest, Timestamp};
use disk::partition::{BootMode, Layout, Table, layout};
use disk::probe::NotADisk;
use disk::{Disk, Files, Format, OpenOptions};
use pipeline::model::{self, ImportFormat};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many bytes a GiB has.
pub(super) const GIB: u64 = 1 << 30;

/// A disk image that can be read.
pub(super) struct Content {
    /// What it is called in messages.
    pub file: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// What it is read from.
    pub files: Files,
    /// What is in it.
    pub disk: Arc<dyn Disk>,
    /// The digest over all of its blocks, if that is what it is known by.
    pub known: Option<Sha256Digest>,
    /// What tells it from another: what was fetched, and how it is read.
    pub identity: String,
    /// The size of a volume that it fits into, in GiB.
    pub volume_gib: u32,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// How it boots, in EC2's words; none where the pipeline and the partition table say nothing.
    pub boot_mode: Option<String>,
}

/// The digest over all blocks that the image's identity is, where it lies on this machine and nothing else identifies it.
fn known_content(order: &ImportOrder<'_>, path: &Path) -> Option<Sha256Digest> {
    let in_place = order.import.checksum.is_none()
        && order.import.origin.file().map(|file| file.path()) == Some(path);
    let digits = order
        .source
        .image_id
        .as_str()
        .strip_prefix("import:sha256:");
    let bytes = hex::decode(digits.filter(|_| in_place)?).ok()?;
    bytes.try_into().ok().map(Sha256Digest)
}

/// The first characters of a hash: enough to tell apart what one run makes.
pub(super) fn short_hash(text: &str) -> String {
    let mut hash = hex::encode(Sha256::digest(text));
    hash.truncate(12);
    hash
}

/// Fetches the disk image and looks at it.
pub(super) async fn fetch(
    context: &CellContext,
    order: &ImportOrder<'_>,
) -> Result<Content, StepError> {
    let import = order.import;
    let told = Told::new(context);
    let images = &context.run().ports.host.disk_images;
    let fetched = context.race(images.fetch(import, &told)).await?;
    let fetched = fetched.map_err(ImportError::Image)?;
    let file = import.origin.file_name().to_owned();
    let options = disk_options(import);
    let path = fetched.path.clone();
    let name = file.clone();
    // Files may be slow, and a table of a large image takes many reads.
    let opened = tokio::task::spawn_blocking(move || open(&path, &name, &options));
    let opened = context.race(opened).await?.map_err(ended)?;
    let (disk, layout) = opened?;
    for oddity in &layout.oddities {
        context.warn(format!("{file}: {oddity}"));
    }
    let size = disk.disk.size();
    let gib = size.div_ceil(GIB);
    let volume_gib = u32::try_from(gib).ok().filter(|gib| *gib <= 65_536);
    let volume_gib = volume_gib.ok_or_else(|| ImportError::TooLarge {
        file: file.clone(),
        gib,
    })?;
    covers_all(import, disk.files)?;
    let architecture = architecture(import, &layout)?;
    if let Some(seen) = layout.architecture
        && seen.to_string() != architecture
    {
        context.warn(format!(
            "{file} is for {seen}, as its partition table says, and is registered for {architecture}"
        ));
    }
    let boot_mode = boot_mode(
        order.image.properties.boot_mode.as_deref(),
        &layout,
        &architecture,
    );
    let content = Content {
        identity: identity(order, context.clock().now()),
        known: known_content(order, &fetched.path),
        path: fetched.path,
        format: disk.format,
        files: disk.files,
        disk: disk.disk,
        volume_gib,
        architecture,
        boot_mode,
        file,
    };
    context.note(format!(
        "{} of {}: {} bytes of {}, {}, boot mode {}{}",
        content.format,
        content.file,
        size,
        table_words(&layout),
        content.architecture,
        content.boot_mode.as_deref().unwrap_or("unsaid"),
        if fetched.from_cache {
            "; it was here already"
        } else {
            ""
        }
    ));
    Ok(content)
}

/// Looks into a disk image on this machine, before anything is made. What is compressed is looked into once it is unpacked.
pub(crate) async fn look_into(import: &model::Import) -> Result<(), StepError> {
    let Some(file) = import.origin.file() else {
        return Ok(());
    };
    let path = file.path().to_owned();
    let name = import.origin.file_name().to_owned();
    let options = disk_options(import);
    let opened = tokio::task::spawn_blocking(move || open(&path, &name, &options));
    match opened.await.map_err(ended)? {
        Err(ImportError::Unusable {
            error:
                disk::OpenError::NotADisk {
                    found: NotADisk::Gzip | NotADisk::Xz | NotADisk::Zstd,
                    ..
                },
            ..
        }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok((opened, layout)) => {
            covers_all(import, opened.files)?;
            architecture(import, &layout)?;
            Ok(())
        }
    }
}

/// A checksum is of one file.
fn covers_all(import: &model::Import, files: Files) -> Result<(), ImportError> {
    if files == Files::Several && import.checksum.is_some() {
        return Err(ImportError::ChecksumOfPart {
            file: import.origin.file_name().to_owned(),
        });
    }
    Ok(())
}

/// As the pipeline says; else as the partition table does.
fn architecture(import: &model::Import, layout: &Layout) -> Result<String, ImportError> {
    match (&import.arch, layout.architecture) {
        (Some(said), _) => Ok(said.as_str().to_owned()),
        (None, Some(seen)) => Ok(seen.to_string()),
        (None, None) => Err(ImportError::Architecture {
            file: import.origin.file_name().to_owned(),
            seen: table_words(layout).to_owned(),
        }),
    }
}

fn table_words(layout: &Layout) -> &'static str {
    match layout.table {
        Table::Gpt => "a GUID partition table",
        Table::Mbr => "a master boot record",
        Table::None => "no partition table",
    }
}

/// As the pipeline says; else as the partition table does; and an arm64 instance knows UEFI alone.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-boot.html>
fn boot_mode(said: Option<&str>, layout: &Layout, architecture: &str) -> Option<String> {
    if let Some(said) = said {
        return Some(said.to_owned());
    }
    if architecture == "arm64" {
        return Some(BootMode::Uefi.to_string());
    }
    match layout.boot_mode() {
        BootMode::Unknown => None,
        mode => Some(mode.to_string()),
    }
}

/// How the disk image is opened.
pub fn disk_options(import: &model::Import) -> OpenOptions {
    OpenOptions {
        format: import.format.as_ref().map(|format| match format.value {
            ImportFormat::Raw => Format::Raw,
            ImportFormat::Qcow2 => Format::Qcow2,
            ImportFormat::Vmdk => Format::Vmdk,
            ImportFormat::Vhd => Format::Vhd,
            ImportFormat::Vhdx => Format::Vhdx,
        }),
        backing_file: match import.backing_file {
            model::BackingFile::Refused => disk::BackingFile::Refused,
            model::BackingFile::Allowed => disk::BackingFile::Allowed,
        },
    }
}

/// What is read: the file by its digest, and how.
pub(super) fn source_identity(order: &ImportOrder<'_>) -> String {
    format!(
        "{}\n{:?}",
        order.source.image_id,
        disk_options(order.import)
    )
}

/// What is in the snapshot. What is in the image's backing files, if it may have some, no digest says: then nothing that was
/// begun at another time is gone on with.
fn identity(order: &ImportOrder<'_>, now: Timestamp) -> String {
    let known = source_identity(order);
    match order.import.backing_file {
        model::BackingFile::Refused => known,
        model::BackingFile::Allowed => format!("{known}\nas of {now}"),
    }
}

/// Opens it, looks at all its tables, so that what is truncated is found before anything is sent, and at its partitions.
fn open(
    path: &Path,
    name: &str,
    options: &OpenOptions,
) -> Result<(disk::OpenedDisk, Layout), ImportError> {
    let unreadable = |error| ImportError::Unreadable {
        file: name.to_owned(),
        error,
    };
    let opened = disk::open(path, options).map_err(|error| ImportError::Unusable {
        file: name.to_owned(),
        error,
    })?;
    if opened.disk.size() == 0 {
        return Err(ImportError::Empty {
            file: name.to_owned(),
        });
    }
    disk::survey(opened.disk.as_ref()).map_err(unreadable)?;
    let layout = layout(opened.disk.as_ref()).map_err(unreadable)?;
    Ok((opened, layout))
}

/// A thread that ended early: it panicked, or the run is ending.
pub(super) fn ended(error: tokio::task::JoinError) -> StepError {
    StepError::CannotGoOn {
        why: format!("reading the disk image ended early: {error}"),
    }
}

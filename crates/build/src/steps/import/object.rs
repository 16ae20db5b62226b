//! The disk image as an object in S3, in parts that are each compared by SHA-256.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>
//!
//! ```text
//!   create upload ─▶ parts: S3 has it, with the same digest ─▶ (not sent)
//!                         └─ else ─▶ UploadPart, several at once ─▶ finish ─▶ size and checksum compared
//! ```

use super::ImportOrder;
use super::content::{Content, ended, short_hash};
use super::told::Told;
use crate::event::Transfer;
use crate::failure::{ImportError, StepError};
use crate::journal::{Effect, EffectNumber};
use crate::steps::context::CellContext;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use cloud::{
    Clock, CloudError, ErrorKind, ObjectPlace, Objects, PartWrite, Sha256Digest, UploadId,
    UploadedPart,
};
use disk::Disk;
use pipeline::model::UploadAs;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const MIB: u64 = 1 << 20;
/// The usual size of a part: S3 takes 5 MiB to 5 GiB.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART: u64 = 16 * MIB;
/// The largest that is held in memory.
const LARGEST_PART: u64 = 64 * MIB;
/// How many parts an object has at most.
const MOST_PARTS: u64 = 10_000;
/// What the parts under way may take of memory.
const MEMORY: u64 = 128 * MIB;

/// An object that is there, and its effect in the journal.
pub(super) struct Uploaded {
    pub place: ObjectPlace,
    pub format: &'static str,
    pub number: EffectNumber,
}

/// What is uploaded.
#[derive(Clone)]
enum Bytewise {
    /// The disk's own bytes.
    Disk(Arc<dyn Disk>),
    /// The file as it is.
    File(Arc<File>, u64),
}

impl Bytewise {
    fn size(&self) -> u64 {
        match self {
            Self::Disk(disk) => disk.size(),
            Self::File(_, size) => *size,
        }
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, String> {
        let mut part = vec![0; length];
        match self {
            Self::Disk(disk) => disk
                .read_at(&mut part, offset)
                .map_err(|error| error.to_string())?,
            Self::File(file, _) => file
                .read_exact_at(&mut part, offset)
                .map_err(|error| error.to_string())?,
        }
        Ok(part)
    }
}

/// The formats that EC2 takes as they are. <https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html>
fn original(content: &Content) -> Result<&'static str, ImportError> {
    match content.format {
        disk::Format::Raw => Ok("RAW"),
        disk::Format::Vhd => Ok("VHD"),
        disk::Format::Vhdx => Ok("VHDX"),
        disk::Format::Vmdk if content.files == disk::Files::One => Ok("VMDK"),
        disk::Format::Vmdk => Err(ImportError::OriginalFormat {
            format: String::from("VMDK in several files"),
        }),
        other => Err(ImportError::OriginalFormat {
            format: other.to_string(),
        }),
    }
}

/// What tells one object from another: what is in it, and what becomes of it.
pub(super) fn content_hash(order: &ImportOrder<'_>, content: &Content) -> String {
    short_hash(&format!(
        "{}\n{:?}",
        content.identity, order.image.encryption
    ))
}

/// The format that the object has, in EC2's words.
fn format_of(content: &Content, upload_as: UploadAs) -> Result<&'static str, ImportError> {
    match upload_as {
        UploadAs::Raw => Ok("RAW"),
        UploadAs::Original => original(content),
    }
}

/// Where the disk image goes as number `number`.
pub(super) fn place(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    bucket: &str,
    upload_as: UploadAs,
    number: u32,
) -> Result<ObjectPlace, ImportError> {
    let format = format_of(content, upload_as)?;
    Ok(ObjectPlace {
        bucket: bucket.to_owned(),
        key: format!(
            "{}{}-{}-{number}.{}",
            crate::names::object_prefix(context.run_id()),
            order.import.name().replace(
                |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-',
                "_"
            ),
            short_hash(&format!(
                "{}\n{}",
                context.cell(),
                content_hash(order, content)
            )),
            format.to_ascii_lowercase()
        ),
    })
}

/// Puts the disk image into the bucket. None if the upload that was gone on with is no more: then it is undone, and the next
/// one has another key.
pub(super) async fn upload(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    place: ObjectPlace,
    upload_as: UploadAs,
) -> Result<Option<Uploaded>, StepError> {
    let format = format_of(content, upload_as)?;
    let bytes = match upload_as {
        UploadAs::Raw => Bytewise::Disk(content.disk.clone()),
        UploadAs::Original => {
            let unreadable = |error: std::io::Error| StepError::LocalFile {
                path: content.path.display().to_string(),
                reason: error.to_string(),
            };
            let file = File::open(&content.path).map_err(unreadable)?;
            let size = file.metadata().map_err(unreadable)?.len();
            Bytewise::File(Arc::new(file), size)
        }
    };
    let part_bytes = part_bytes(bytes.size())?;
    let effect = Effect::UploadObject {
        region: context.region().name().clone(),
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        content: content_hash(order, content),
    };
    let objects = context.region().objects();
    let begun = context
        .effects()
        .make(
            context.cell(),
            effect,
            async || objects.begin_upload(&place).await,
            async || {
                let uploads = objects.uploads(&place.bucket, &place.key).await?;
                let ours = uploads.into_iter().find(|(at, _)| *at == place);
                Ok(ours.map(|(_, upload)| upload))
            },
        )
        .await?;
    context.note(format!("{place} is being written"));
    let whole = Upload {
        objects,
        place: place.clone(),
        upload: begun.value,
        bytes,
        part_bytes,
    };
    let told = Told::new(context);
    if !is_finished(context, begun.number) {
        let parts = match context.race(whole.send(context, &told)).await?? {
            Some(parts) => parts,
            // An upload that was finished is no more, and neither is one that somebody has aborted.
            None if whole.objects.facts(&whole.place).await?.is_some() => {
                context.race(whole.hashed()).await??
            }
            None => {
                context.warn(format!("the upload of {place} is no more: it begins anew"));
                context.effects().unmake(begun.number).await?;
                return Ok(None);
            }
        };
        finish(context, &whole, begun.number, &parts).await?;
    }
    Ok(Some(Uploaded {
        place,
        format,
        number: begun.number,
    }))
}

fn part_bytes(size: u64) -> Result<u64, ImportError> {
    let least = size.div_ceil(MOST_PARTS);
    let part = least.max(PART).div_ceil(MIB) * MIB;
    if part > LARGEST_PART {
        return Err(ImportError::ObjectTooLarge {
            gib: size.div_ceil(super::content::GIB),
            part_mib: LARGEST_PART / MIB,
        });
    }
    Ok(part)
}

fn is_finished(context: &CellContext, number: EffectNumber) -> bool {
    let state = context.effects().state();
    state.effects().any(|(_, entry)| {
        matches!(&entry.effect, Effect::FinishUpload { of, .. } if *of == number)
            && entry.state.outcome().is_some()
    })
}

/// An upload under way.
struct Upload {
    objects: Arc<dyn Objects>,
    place: ObjectPlace,
    upload: UploadId,
    bytes: Bytewise,
    part_bytes: u64,
}

impl Upload {
    /// How many parts there are.
    fn count(&self) -> u32 {
        let parts = self.bytes.size().div_ceil(self.part_bytes).max(1);
        u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// Sends what S3 has not. Gives all parts, by number; none if there is no such upload.
    async fn send(
        &self,
        context: &CellContext,
        told: &Told<'_>,
    ) -> Result<Option<Vec<UploadedPart>>, StepError> {
        let size = self.bytes.size();
        let count = self.count();
        let there: BTreeMap<u32, UploadedPart> =
            match self.objects.parts(&self.place, &self.upload).await {
                Ok(parts) => parts.into_iter().map(|part| (part.number, part)).collect(),
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        if !there.is_empty() {
            context.note(format!("goes on: S3 has {} of {count} parts", there.len()));
        }
        let at_once = usize::try_from((MEMORY / self.part_bytes).clamp(1, 8)).unwrap_or(1);
        let mut under_way: JoinSet<Result<UploadedPart, StepError>> = JoinSet::new();
        let mut parts = BTreeMap::new();
        let mut next = 1;
        let mut done = 0;
        told.tell(Transfer::Upload, 0, Some(size));
        loop {
            while under_way.len() < at_once && next <= count {
                under_way.spawn(self.part(next, there.get(&next).cloned()));
                next += 1;
            }
            let Some(part) = under_way.join_next().await else {
                break;
            };
            let part = part.map_err(ended)??;
            done += part.bytes;
            told.tell(Transfer::Upload, done, Some(size));
            parts.insert(part.number, part);
        }
        Ok(Some(parts.into_values().collect()))
    }

    /// The parts as they would be sent, to be compared with an object that is there.
    async fn hashed(&self) -> Result<Vec<UploadedPart>, StepError> {
        let mut parts = Vec::new();
        for number in 1..=self.count() {
            let (content, digest) = self.read(number).await?;
            parts.push(UploadedPart {
                number,
                etag: String::new(),
                bytes: content.len() as u64,
                digest: Some(digest),
            });
        }
        Ok(parts)
    }

    /// Reads and hashes one part.
    fn read(
        &self,
        number: u32,
    ) -> impl Future<Output = Result<(Bytes, Sha256Digest), StepError>> + Send + 'static {
        let offset = u64::from(number - 1) * self.part_bytes;
        let left = self.bytes.size().saturating_sub(offset);
        let length = usize::try_from(self.part_bytes.min(left)).unwrap_or_default();
        let (bytes, place) = (self.bytes.clone(), self.place.to_string());
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let content = bytes.read(offset, length)?;
                let digest = Sha256Digest(Sha256::digest(&content).into());
                Ok((Bytes::from(content), digest))
            });
            let unreadable = |reason: String| StepError::LocalFile {
                path: place,
                reason,
            };
            read.await.map_err(ended)?.map_err(unreadable)
        }
    }

    /// Reads, hashes and sends one part, unless S3 has it with the same digest.
    fn part(
        &self,
        number: u32,
        there: Option<UploadedPart>,
    ) -> impl Future<Output = Result<UploadedPart, StepError>> + Send + 'static {
        let (read, objects) = (self.read(number), self.objects.clone());
        let (place, upload) = (self.place.clone(), self.upload.clone());
        async move {
            let (content, digest) = read.await?;
            if let Some(there) = there
                && there.bytes == content.len() as u64
                && there.digest == Some(digest)
            {
                return Ok(there);
            }
            let part = PartWrite {
                number,
                content,
                digest,
            };
            let sent = objects.put_part(&place, &upload, &part).await?;
            match sent.digest {
                Some(found) if found != digest => Err(ImportError::ObjectDiffers {
                    object: place.to_string(),
                    what: format!(
                        "part {number} has the SHA-256 {found:?}, and should have {digest:?}"
                    ),
                }
                .into()),
                _ => Ok(UploadedPart {
                    digest: Some(digest),
                    ..sent
                }),
            }
        }
    }

    /// The checksum that S3 gives an object of these parts.
    fn checksum(parts: &[UploadedPart]) -> String {
        let mut hash = Sha256::new();
        for digest in parts.iter().filter_map(|part| part.digest) {
            hash.update(digest.0);
        }
        format!("{}-{}", BASE64.encode(hash.finalize()), parts.len())
    }

    /// In what the object that S3 has differs from what was sent; none if it does not.
    async fn difference(&self, parts: &[UploadedPart]) -> Result<Option<String>, CloudError> {
        let Some(facts) = self.objects.facts(&self.place).await? else {
            return Ok(Some(String::from("there is no such object")));
        };
        let size = self.bytes.size();
        if facts.bytes != size {
            let what = format!("it has {} bytes, and should have {size}", facts.bytes);
            return Ok(Some(what));
        }
        let wanted = Self::checksum(parts);
        Ok(facts
            .checksum
            .filter(|found| *found != wanted)
            .map(|found| format!("its checksum is {found}, and should be {wanted}")))
    }

    /// Joins the parts. An answer that was lost, or that of an earlier process, is made up for by a look.
    async fn join(&self, clock: &dyn Clock, parts: &[UploadedPart]) -> Result<(), CloudError> {
        let mut tries = 0;
        loop {
            let joined = self
                .objects
                .finish_upload(&self.place, &self.upload, parts)
                .await;
            tries += 1;
            let error = match joined {
                Err(error) if may_be_done(&error) => error,
                joined => return joined,
            };
            if self.objects.facts(&self.place).await?.is_some() {
                return Ok(());
            }
            if error.kind != ErrorKind::Transient || tries >= TRIES {
                return Err(error);
            }
            clock.sleep(PAUSE * tries).await;
        }
    }
}

/// How often the parts are joined that S3 does not answer about.
const TRIES: u32 = 4;
/// The pause before they are joined again.
const PAUSE: Duration = Duration::from_secs(2);

/// Joins the parts, and looks that S3 has what was sent: before that, it does not count as there.
async fn finish(
    context: &CellContext,
    upload: &Upload,
    of: EffectNumber,
    parts: &[UploadedPart],
) -> Result<(), StepError> {
    let effect = Effect::FinishUpload {
        region: context.region().name().clone(),
        of,
    };
    let mut different = None;
    let finished = context
        .effects()
        .set(context.cell(), effect, async || {
            upload.join(context.clock(), parts).await?;
            different = upload.difference(parts).await?;
            match &different {
                None => Ok(()),
                Some(what) => Err(CloudError {
                    operation: "CompleteMultipartUpload",
                    resource: Some(upload.place.to_string()),
                    kind: ErrorKind::Other,
                    code: String::new(),
                    message: what.clone(),
                    request_id: None,
                }),
            }
        })
        .await;
    match different {
        Some(what) => Err(ImportError::ObjectDiffers {
            object: upload.place.to_string(),
            what,
        }
        .into()),
        None => finished.map(|_| ()),
    }
}

fn may_be_done(error: &CloudError) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::Transient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_large_as_the_object_needs_and_no_larger_than_memory_allows() {
        assert_eq!(part_bytes(1).unwrap(), PART);
        assert_eq!(part_bytes(PART * MOST_PARTS).unwrap(), PART);
        assert_eq!(part_bytes(PART * MOST_PARTS + 1).unwrap(), 17 * MIB);
        assert!(part_bytes(LARGEST_PART * MOST_PARTS).is_ok());
        assert!(part_bytes(LARGEST_PART * MOST_PARTS + 1).is_err());
    }

    #[test]
    fn the_checksum_of_the_whole_is_made_of_those_of_the_parts() {
        let part = |number, byte| UploadedPart {
            number,
            etag: String::new(),
            bytes: 1,
            digest: Some(Sha256Digest([byte; 32])),
        };
        let mut hash = Sha256::new();
        hash.update([1; 32]);
        hash.update([2; 32]);
        let wanted = format!("{}-2", BASE64.encode(hash.finalize()));
        assert_eq!(Upload::checksum(&[part(1, 1), part(2, 2)]), wanted);
    }
}

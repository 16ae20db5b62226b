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
    CloudError, ErrorKind, ObjectPlace, Objects, PartWrite, Sha256Digest, UploadId, UploadedPart,
};
use disk::Disk;
use pipeline::model::UploadAs;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
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
        disk::Format::Vmdk => Ok("VMDK"),
        other => Err(ImportError::OriginalFormat {
            format: other.to_string(),
        }),
    }
}

/// Puts the disk image into the bucket.
pub(super) async fn upload(
    context: &CellContext,
    order: &ImportOrder<'_>,
    content: &Content,
    bucket: &str,
    upload_as: UploadAs,
    attempt: u32,
) -> Result<Uploaded, StepError> {
    let (bytes, format) = match upload_as {
        UploadAs::Raw => (Bytewise::Disk(content.disk.clone()), "RAW"),
        UploadAs::Original => {
            let format = original(content)?;
            let unreadable = |error: std::io::Error| StepError::LocalFile {
                path: content.path.display().to_string(),
                reason: error.to_string(),
            };
            let file = File::open(&content.path).map_err(unreadable)?;
            let size = file.metadata().map_err(unreadable)?.len();
            (Bytewise::File(Arc::new(file), size), format)
        }
    };
    let part_bytes = part_bytes(bytes.size())?;
    let place = ObjectPlace {
        bucket: bucket.to_owned(),
        key: format!(
            "qib/{}/{}-{}-{attempt}.{}",
            context.run_id(),
            order.import.name().replace(
                |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-',
                "_"
            ),
            short_hash(&format!("{}\n{}", context.cell(), content.identity)),
            format.to_ascii_lowercase()
        ),
    };
    let effect = Effect::UploadObject {
        region: context.region().name().clone(),
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        content: short_hash(&content.identity),
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
        let parts = context.race(whole.send(context, &told)).await??;
        finish(context, &whole, begun.number, &parts).await?;
    }
    Ok(Uploaded {
        place,
        format,
        number: begun.number,
    })
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
    /// Sends what S3 has not. Gives all parts, by number.
    async fn send(
        &self,
        context: &CellContext,
        told: &Told<'_>,
    ) -> Result<Vec<UploadedPart>, StepError> {
        let size = self.bytes.size();
        let count = u32::try_from(size.div_ceil(self.part_bytes).max(1)).unwrap_or(u32::MAX);
        let there: BTreeMap<u32, UploadedPart> =
            match self.objects.parts(&self.place, &self.upload).await {
                Ok(parts) => parts.into_iter().map(|part| (part.number, part)).collect(),
                // An upload that was finished has no parts any more: what became of it is seen at the end.
                Err(error) if error.kind == ErrorKind::NotFound => BTreeMap::new(),
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
                under_way.spawn(self.part(next, size, there.get(&next).cloned()));
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
        Ok(parts.into_values().collect())
    }

    /// Reads, hashes and sends one part, unless S3 has it with the same digest.
    fn part(
        &self,
        number: u32,
        size: u64,
        there: Option<UploadedPart>,
    ) -> impl Future<Output = Result<UploadedPart, StepError>> + Send + 'static {
        let offset = u64::from(number - 1) * self.part_bytes;
        let length = usize::try_from(self.part_bytes.min(size - offset)).unwrap_or_default();
        let (bytes, objects) = (self.bytes.clone(), self.objects.clone());
        let (place, upload) = (self.place.clone(), self.upload.clone());
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let content = bytes.read(offset, length)?;
                let digest = Sha256Digest(Sha256::digest(&content).into());
                Ok((Bytes::from(content), digest))
            });
            let (content, digest) =
                read.await
                    .map_err(ended)?
                    .map_err(|reason: String| StepError::LocalFile {
                        path: place.to_string(),
                        reason,
                    })?;
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

    /// Compares what S3 says of the object with what was sent.
    async fn compare(&self, parts: &[UploadedPart]) -> Result<(), StepError> {
        let differs = |what: String| ImportError::ObjectDiffers {
            object: self.place.to_string(),
            what,
        };
        let facts = self.objects.facts(&self.place).await?;
        let Some(facts) = facts else {
            return Err(differs(String::from("there is no such object")).into());
        };
        if facts.bytes != self.bytes.size() {
            return Err(differs(format!(
                "it has {} bytes, and should have {}",
                facts.bytes,
                self.bytes.size()
            ))
            .into());
        }
        let wanted = Self::checksum(parts);
        match facts.checksum {
            Some(found) if found != wanted => {
                Err(differs(format!("its checksum is {found}, and should be {wanted}")).into())
            }
            _ => Ok(()),
        }
    }
}

/// Joins the parts, and looks that S3 has what was sent.
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
    context
        .effects()
        .set(context.cell(), effect, async || {
            let finished = upload
                .objects
                .finish_upload(&upload.place, &upload.upload, parts)
                .await;
            match finished {
                // Its answer was lost, or that of an earlier process: then the object is there.
                Err(error) if may_be_done(&error) => {
                    match upload.objects.facts(&upload.place).await? {
                        Some(_) => Ok(()),
                        None => Err(error),
                    }
                }
                ended => ended,
            }
        })
        .await?;
    upload.compare(parts).await
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

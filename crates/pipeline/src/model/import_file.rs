//! An import as the file has it: which of its keys go together.

use super::word_or_map::WordOrMap;
use super::{
    Architecture, BackingFile, BucketName, Checksum, ChecksumList, DeviceName, DownloadUrl, Holes,
    Import, ImportAttempts, ImportChecksum, ImportFormat, ImportOrigin, ListedName, LocalFile,
    Located, RoleName, SnapshotId, TimeSpan, UploadAs, Via,
};
use crate::Span;
use crate::decode::Refusal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// A disk image to start from: exactly one of `url` and `file`. Compression (`.xz`, `.zst`, `.gz`) is told from the
/// content.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Import", transform = keys_that_go_together)]
pub(crate) struct ImportFile {
    /// Where the image is downloaded from: `https://…` or `http://…`. It needs a `checksum`.
    url: Option<Located<DownloadUrl>>,
    /// The image's file, relative to the pipeline's file.
    file: Option<LocalFile>,
    /// What the file's content is known by: `sha256:HEX`, `sha512:HEX`, or a checksum file that names it. Without it, a
    /// `file` is known by what it holds. It is the checksum of the file as it is, compressed if it is so.
    checksum: Option<Located<ChecksumWord>>,
    /// The image's format. Without it, its content tells.
    format: Option<Located<ImportFormat>>,
    /// The processor architecture. Without it, the image's partition table tells, where it can.
    arch: Option<Located<Architecture>>,
    /// The AMI's root device.
    #[serde(default = "sda1")]
    #[schemars(default = "sda1_word")]
    root_device: Located<DeviceName>,
    /// Whether the image may be made on top of another file, which is beside it (default `refused`). Only for a
    /// qcow2 that is a `file`.
    backing_file: Option<Located<BackingFile>>,
    /// How the image gets into an EBS snapshot (default `ebs`).
    via: Option<Located<ViaWord>>,
    /// With `via: ebs`: what becomes of blocks that hold nothing but zeroes (default `send`).
    holes: Option<Located<Holes>>,
    /// With `via: ebs`: a snapshot of an earlier state of the same disk; only the blocks that differ from it are sent. Not
    /// with `image.encrypted`: the new snapshot is encrypted as the parent is.
    parent: Option<Located<SnapshotId>>,
    /// With `via: s3`, required: the bucket, in the stage's region, that the image is uploaded into. It is removed from
    /// there afterwards.
    bucket: Option<Located<BucketName>>,
    /// With `via: s3`: the role that EC2 reads the bucket with (default `vmimport`).
    role: Option<Located<RoleName>>,
    /// With `via: s3`: what is uploaded (default `raw`).
    upload_as: Option<Located<UploadAs>>,
    /// With `via: s3`: how long one import task may take (default `30m`).
    timeout: Option<Located<TimeSpan>>,
    /// With `via: s3`: how many import tasks are started at most (default 3). EC2 fails some of them for reasons that pass.
    attempts: Option<Located<ImportAttempts>>,
}

fn sda1() -> Located<DeviceName> {
    Located::new(DeviceName::fixed(sda1_word()), Span::START)
}

const fn sda1_word() -> &'static str {
    "/dev/sda1"
}

/// How long one import task may take where the pipeline does not say.
const TIMEOUT: TimeSpan = TimeSpan::from_secs(1_800);

/// The role of EC2's own documentation. (VM Import/Export User Guide, "Required service role".)
const ROLE: &str = "vmimport";

/// How an image gets into an EBS snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ViaWord {
    /// By the EBS direct APIs: neither a bucket nor a role is needed.
    #[default]
    Ebs,
    /// By an object in S3 and ImportSnapshot.
    S3,
}

/// A checksum file that names the image: exactly one of `url` and `file`. It is in the style of `sha256sum`
/// (`HEX  NAME`) or of BSD (`SHA256 (NAME) = HEX`).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChecksumFile", extend("oneOf" = [{ "required": ["url"] }, { "required": ["file"] }]))]
pub(crate) struct ChecksumListFile {
    /// Where the checksum file is downloaded from: `https://…` or `http://…`.
    url: Option<Located<DownloadUrl>>,
    /// The checksum file, relative to the pipeline's file.
    file: Option<LocalFile>,
    /// What the image is called in it (default: the last part of the image's `url` or `file`; a checksum file of one digest
    /// then need not name it).
    name: Option<ListedName>,
    /// A file with OpenPGP public keys, relative to the pipeline's file: one of them must have signed the checksum file,
    /// within it or in a file beside it (`.asc`, `.sig`, `.gpg`, `.sign`). Needs the program `gpgv`.
    signed_by: Option<LocalFile>,
}

/// `checksum` as the file has it: in a list the image's name may be left out.
pub(crate) enum ChecksumWord {
    Digest(Checksum),
    Listed(ChecksumListFile),
}

impl<'de> Deserialize<'de> for ChecksumWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "sha256:HEX, sha512:HEX or { url: …, name: …, signed_by: … }",
            word: |text| Checksum::parse(text).map(Self::Digest),
            map: |list| Ok(Self::Listed(list)),
        }
        .read(deserializer)
    }
}

impl JsonSchema for ChecksumWord {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ImportChecksum".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (digest, list) = (
            Checksum::json_schema(generator),
            ChecksumListFile::json_schema(generator),
        );
        json_schema!({ "anyOf": [digest, list] })
    }
}

/// What the types of the keys do not say: which of them must be there together, and which must not.
fn keys_that_go_together(schema: &mut Schema) {
    let ebs = "^ebs$|\\$\\{\\{";
    let s3 = "^s3$|\\$\\{\\{";
    let with_bucket = serde_json::json!({ "required": ["bucket"] });
    schema.insert(
        "oneOf".into(),
        serde_json::json!([{ "required": ["url", "checksum"] }, { "required": ["file"] }]),
    );
    schema.insert(
        "dependentSchemas".into(),
        serde_json::json!({
            "url": { "properties": { "file": false, "backing_file": { "pattern": "^refused$|\\$\\{\\{" } } },
            "via": { "anyOf": [with_bucket, { "properties": { "via": { "pattern": ebs } } }] },
            "holes": { "properties": { "via": { "pattern": ebs } } },
            "parent": { "properties": { "via": { "pattern": ebs } } },
            "bucket": { "required": ["via"], "properties": { "via": { "pattern": s3 } } },
            "role": with_bucket,
            "upload_as": with_bucket,
            "timeout": with_bucket,
            "attempts": with_bucket,
        }),
    );
}

const ONE_ORIGIN: &str = "has exactly one of `url` and `file`";

/// Where the `what` is.
fn origin(
    what: &str,
    url: Option<Located<DownloadUrl>>,
    file: Option<LocalFile>,
) -> Result<ImportOrigin, Refusal> {
    match (url, file) {
        (Some(url), None) => Ok(ImportOrigin::Url(url)),
        (None, Some(file)) => Ok(ImportOrigin::File(file)),
        (Some(_), Some(file)) => Err(Refusal::new(format!("{what} {ONE_ORIGIN}"))
            .at(file.written.span)
            .hint("leave one of the two out")),
        (None, None) => Err(Refusal::new(format!("{what} {ONE_ORIGIN}"))
            .hint("`url: https://…` downloads it, `file: PATH` takes it from this machine")),
    }
}

impl TryFrom<ImportFile> for Import {
    type Error = Refusal;

    fn try_from(mut file: ImportFile) -> Result<Self, Refusal> {
        let via = via(&mut file)?;
        let origin = origin("an import", file.url, file.file)?;
        if let ImportOrigin::Url(url) = &origin {
            if url.file_name().is_empty() {
                return Err(Refusal::new("the URL of an image ends in a file's name").at(url.span));
            }
            if file.checksum.is_none() {
                return Err(Refusal::new("an image that is downloaded needs a `checksum`")
                    .at(url.span)
                    .hint(
                        "write `checksum: sha256:HEX`, `checksum: sha512:HEX`, or name the publisher's checksum file: \
                         `checksum: { url: https://…/SHA256SUMS }`, with `signed_by: KEY.asc` if it is signed",
                    ));
            }
        }
        let checksum = match file.checksum {
            None => None,
            Some(checksum) => Some(checksum_of(checksum)?),
        };
        let import = Self {
            origin,
            checksum,
            format: file.format,
            arch: file.arch,
            root_device: file.root_device,
            backing_file: file
                .backing_file
                .as_ref()
                .map_or(BackingFile::Refused, |word| word.value),
            via,
        };
        if let Some(word) = &file.backing_file {
            backing_file(&import, word)?;
        }
        upload_as(&import, file.upload_as.as_ref())?;
        Ok(import)
    }
}

fn checksum_of(checksum: Located<ChecksumWord>) -> Result<ImportChecksum, Refusal> {
    let list = match checksum.value {
        ChecksumWord::Digest(digest) => return Ok(ImportChecksum::Digest(digest)),
        ChecksumWord::Listed(list) => list,
    };
    let origin =
        origin("a checksum file", list.url, list.file).map_err(|why| why.or_at(checksum.span))?;
    Ok(ImportChecksum::Listed(ChecksumList {
        origin,
        name: list.name.map(|name| name.as_str().to_owned()),
        signed_by: list.signed_by,
    }))
}

/// Takes the keys that say how the image gets into a snapshot. None of the other way's may be there.
fn via(file: &mut ImportFile) -> Result<Via, Refusal> {
    let word = file.via.as_ref().map(|word| word.value).unwrap_or_default();
    let ebs = [
        ("holes", file.holes.as_ref().map(|key| key.span)),
        ("parent", file.parent.as_ref().map(|key| key.span)),
    ];
    let s3 = [
        ("bucket", file.bucket.as_ref().map(|key| key.span)),
        ("role", file.role.as_ref().map(|key| key.span)),
        ("upload_as", file.upload_as.as_ref().map(|key| key.span)),
        ("timeout", file.timeout.as_ref().map(|key| key.span)),
        ("attempts", file.attempts.as_ref().map(|key| key.span)),
    ];
    let first = |keys: &[(&'static str, Option<Span>)]| {
        keys.iter()
            .find_map(|(key, span)| span.map(|span| (*key, span)))
    };
    match word {
        ViaWord::Ebs => match first(&s3) {
            Some((key, span)) => Err(Refusal::new(format!("`{key}` goes with `via: s3` only"))
                .at(span)
                .hint(
                    "write `via: s3` beside it, or leave it out: `via: ebs`, the default, needs neither a bucket nor a role",
                )),
            None => Ok(Via::Ebs {
                holes: file.holes.take().map(Located::into_value).unwrap_or_default(),
                parent: file.parent.take(),
            }),
        },
        ViaWord::S3 => {
            if let Some((key, span)) = first(&ebs) {
                return Err(Refusal::new(format!("`{key}` goes with `via: ebs` only"))
                    .at(span)
                    .hint("leave it out: by S3 the whole image is uploaded and imported"));
            }
            let bucket = file.bucket.take().ok_or_else(|| {
                let missing = Refusal::new("`via: s3` needs a `bucket`").hint(
                    "name one in the stage's region: the image is uploaded into it, imported, and removed from it; \
                     `via: ebs` needs none",
                );
                match &file.via {
                    Some(word) => missing.at(word.span),
                    None => missing,
                }
            })?;
            Ok(Via::S3 {
                bucket,
                role: match file.role.take() {
                    Some(role) => role.value,
                    None => RoleName::fixed(ROLE),
                },
                upload_as: file.upload_as.as_ref().map(|word| word.value).unwrap_or_default(),
                timeout: file.timeout.take().map_or(TIMEOUT, Located::into_value),
                attempts: file.attempts.take().map(Located::into_value).unwrap_or_default(),
            })
        }
    }
}

/// What is beside an image is known only of one on this machine, and only qcow2 is read so.
fn backing_file(import: &Import, word: &Located<BackingFile>) -> Result<(), Refusal> {
    if word.value == BackingFile::Refused {
        return Ok(());
    }
    let refuse = |message: &str, hint: &str| Err(Refusal::new(message).at(word.span).hint(hint));
    match (&import.origin, &import.format) {
        (ImportOrigin::Url(_), _) => refuse(
            "a downloaded image has no other file beside it",
            "leave `backing_file` out, or download the files yourself and name the upper one with `file`",
        ),
        (ImportOrigin::File(_), Some(format)) if format.value != ImportFormat::Qcow2 => refuse(
            "only a qcow2 is read with its backing file",
            "leave `backing_file` out",
        ),
        (ImportOrigin::File(_), _) => Ok(()),
    }
}

/// VM Import/Export User Guide, "Importing a disk as a snapshot": VHD, VHDX, VMDK and RAW.
fn upload_as(import: &Import, word: Option<&Located<UploadAs>>) -> Result<(), Refusal> {
    let Some(word) = word.filter(|word| word.value == UploadAs::Original) else {
        return Ok(());
    };
    let is_qcow2 = import
        .format
        .as_ref()
        .is_some_and(|format| format.value == ImportFormat::Qcow2);
    if is_qcow2 || import.backing_file == BackingFile::Allowed {
        return Err(Refusal::new("EC2 imports VHD, VHDX, VMDK and raw images, not qcow2")
            .at(word.span)
            .hint("leave `upload_as` out: the disk's bytes are then read from the image and uploaded"));
    }
    Ok(())
}

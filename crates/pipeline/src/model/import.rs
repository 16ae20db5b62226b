//! A disk image that becomes an AMI.

use super::{
    Architecture, BucketName, Checksum, DeviceName, DownloadUrl, ImportFile, LocalFile, Located,
    RoleName, SnapshotId, TimeSpan,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;
use std::num::NonZeroU32;

/// A disk image that a stage starts from: where it is, by what it is known, and how it gets into an EBS snapshot.
///
/// A stage without `launch` registers the AMI of that snapshot. One with `launch` starts its instance from a temporary
/// AMI of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ImportFile")]
pub struct Import {
    /// Where the image is.
    pub origin: ImportOrigin,
    /// By what its file is known. There always is one where the image is downloaded.
    pub checksum: Option<ImportChecksum>,
    /// Its format; without it the file's content tells.
    pub format: Option<Located<ImportFormat>>,
    /// The processor architecture; without it the image's partition table tells.
    pub arch: Option<Located<Architecture>>,
    /// The AMI's root device.
    pub root_device: Located<DeviceName>,
    /// Whether the image may be made on top of another file.
    pub backing_file: BackingFile,
    /// How it gets into a snapshot.
    pub via: Via,
}

impl Import {
    /// What a person calls it, as `source.name` has it: the name of its file, without what says format and compression.
    pub fn name(&self) -> &str {
        let name = self.origin.file_name();
        let packed = ["xz", "zst", "gz"];
        let formats = ["raw", "img", "qcow2", "vmdk", "vhd", "vpc", "vhdx"];
        let bare = without_extension(name, &packed);
        without_extension(bare, &formats)
    }

    /// The files on this machine that it names.
    pub fn files(&self) -> impl Iterator<Item = &LocalFile> {
        let listed = match &self.checksum {
            Some(ImportChecksum::Listed(list)) => Some(list),
            Some(ImportChecksum::Digest(_)) | None => None,
        };
        let of_list = listed.and_then(|list| list.origin.file());
        let key = listed.and_then(|list| list.signed_by.as_ref());
        self.origin.file().into_iter().chain(of_list).chain(key)
    }

    /// The same, to find out where they are: each with what to call it in messages.
    pub(crate) fn files_mut(&mut self) -> Vec<(&mut LocalFile, &'static str)> {
        let mut files = Vec::new();
        if let ImportOrigin::File(file) = &mut self.origin {
            files.push((file, "disk image"));
        }
        if let Some(ImportChecksum::Listed(list)) = &mut self.checksum {
            if let ImportOrigin::File(file) = &mut list.origin {
                files.push((file, "checksum file"));
            }
            if let Some(key) = &mut list.signed_by {
                files.push((key, "key file"));
            }
        }
        files
    }
}

/// `name` without its last part, if that is one of these and something is left.
fn without_extension<'n>(name: &'n str, known: &[&str]) -> &'n str {
    match name.rsplit_once('.') {
        Some((bare, last))
            if !bare.is_empty() && known.iter().any(|one| last.eq_ignore_ascii_case(one)) =>
        {
            bare
        }
        _ => name,
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportOrigin {
    /// It is downloaded.
    Url(Located<DownloadUrl>),
    /// It is on this machine.
    File(LocalFile),
}

impl ImportOrigin {
    /// The file on this machine, if it is one.
    pub fn file(&self) -> Option<&LocalFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Url(_) => None,
        }
    }

    /// The last part of its path.
    pub fn file_name(&self) -> &str {
        match self {
            Self::Url(url) => url.file_name(),
            Self::File(file) => file.written.rsplit('/').next().unwrap_or_default(),
        }
    }
}

/// By what a file is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportChecksum {
    /// By this digest.
    Digest(Checksum),
    /// By the digest that a checksum file has for it.
    Listed(ChecksumList),
}

/// A checksum file, in the style of `sha256sum` or of BSD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumList {
    /// Where it is.
    pub origin: ImportOrigin,
    /// What the image is called in it. Without it, it is the last part of the image's URL (with its percent-encoding
    /// undone) or path; a checksum file of one digest then need not name it.
    pub name: Option<String>,
    /// A file with OpenPGP public keys, one of which the checksum file must be signed by.
    pub signed_by: Option<LocalFile>,
}

/// A format of disk images.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImportFormat {
    /// The disk's bytes as they are.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VMware's.
    Vmdk,
    /// Microsoft's older one.
    Vhd,
    /// Microsoft's newer one.
    Vhdx,
}

impl ImportFormat {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
        }
    }
}

/// Whether an image may be made on top of another file, which then holds what it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackingFile {
    /// It may not: such an image is refused.
    #[default]
    Refused,
    /// It may, if that file is beside it.
    Allowed,
}

impl BackingFile {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Allowed => "allowed",
        }
    }
}

/// How an image gets into an EBS snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// By the EBS direct APIs.
    Ebs {
        /// What becomes of blocks that hold nothing.
        holes: Holes,
        /// The snapshot that the new one is told as the difference to.
        parent: Option<Located<SnapshotId>>,
    },
    /// By an object in S3 and ImportSnapshot.
    S3 {
        /// The bucket that the object is put into, for as long as it takes.
        bucket: Located<BucketName>,
        /// The role that EC2 reads it with.
        role: RoleName,
        /// What is uploaded.
        upload_as: UploadAs,
        /// How long one import task may take.
        timeout: TimeSpan,
        /// How many tasks there are at most.
        attempts: ImportAttempts,
    },
}

impl Via {
    /// The word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ebs { .. } => "ebs",
            Self::S3 { .. } => "s3",
        }
    }

    /// What becomes of blocks that hold nothing: all are sent, unless it is by EBS and says otherwise.
    pub const fn holes(&self) -> Holes {
        match self {
            Self::Ebs { holes, .. } => *holes,
            Self::S3 { .. } => Holes::Send,
        }
    }
}

/// What becomes of blocks that hold nothing but zeroes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Holes {
    /// They are sent as all others.
    #[default]
    Send,
    /// They are left out, which is faster. What a volume reads there is up to EBS.
    Skip,
}

impl Holes {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Skip => "skip",
        }
    }
}

/// What is uploaded to S3.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UploadAs {
    /// The disk's bytes, whatever the image's format.
    #[default]
    Raw,
    /// The image's file as it is: VHDX, VMDK, VHD or raw.
    Original,
}

/// How many import tasks there are at most for one image: 1 to 10.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImportAttempts(NonZeroU32);

impl ImportAttempts {
    /// More of them are not bad luck but a bad image.
    const MOST: u32 = 10;

    /// Checks a number of attempts.
    ///
    /// # Errors
    /// When it is 0 or over 10.
    pub fn new(times: u32) -> Result<Self, String> {
        NonZeroU32::new(times)
            .filter(|times| times.get() <= Self::MOST)
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "an image is imported in 1 to {} attempts, not {times}",
                    Self::MOST
                )
            })
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for ImportAttempts {
    fn default() -> Self {
        Self(const { NonZeroU32::new(3).unwrap() })
    }
}

impl Serialize for ImportAttempts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.get())
    }
}

impl<'de> Deserialize<'de> for ImportAttempts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for ImportAttempts {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ImportAttempts".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Self::MOST })
    }
}

impl JsonSchema for Import {
    fn schema_name() -> Cow<'static, str> {
        "Import".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ImportFile::json_schema(generator)
    }
}

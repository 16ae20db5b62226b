//! `qib import`.

use super::account::AccountArgs;
use super::variables::assignment;
use clap::{Args, ValueEnum};
use std::num::NonZeroU32;

/// Makes an image of a disk image: raw, qcow2, VMDK, VHD or VHDX, also packed with xz, zstd or gzip.
///
/// The disk image goes into an EBS snapshot block by block, without a bucket or a role, and the snapshot is registered. An
/// import that was interrupted is gone on with by `qib runs resume`; one that was done before is found again.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// The disk image: a file, or an http(s) address.
    #[arg(value_name = "FILE|URL")]
    pub image: String,
    /// The image's name.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What the file's content must be: sha256:HEX, sha512:HEX, or a checksum file or its address. Required with an address.
    #[arg(long, value_name = "CHECKSUM")]
    pub checksum: Option<String>,
    /// The OpenPGP public key that the checksum file must be signed with.
    #[arg(long, value_name = "FILE", requires = "checksum")]
    pub signed_by: Option<String>,
    /// The disk image's format. Without it, its content tells.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The processor architecture. Without it, the partition table tells.
    #[arg(long, value_enum, value_name = "ARCH")]
    pub arch: Option<Arch>,
    /// How instances of it boot. Without it, the partition table tells; arm64 boots with UEFI.
    #[arg(long, value_enum, value_name = "MODE")]
    pub boot_mode: Option<BootMode>,
    /// The root device.
    #[arg(long, value_name = "DEVICE")]
    pub root_device: Option<String>,
    /// The size of the root volume, in GiB. Without it, the disk image's.
    #[arg(long, value_name = "GIB")]
    pub size: Option<NonZeroU32>,
    /// The type of the root volume, such as gp3.
    #[arg(long, value_name = "TYPE")]
    pub volume_type: Option<String>,
    /// Instances of it have a NitroTPM; needs UEFI.
    #[arg(long)]
    pub tpm: bool,
    /// Instances of it speak IMDSv2 only.
    #[arg(long)]
    pub imds_v2: bool,
    /// What the image says of itself.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A tag of the image and its snapshot. Can be given several times.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = assignment)]
    pub tags: Vec<(String, String)>,
    /// Encrypts the snapshot with the account's key for EBS.
    #[arg(long)]
    pub encrypt: bool,
    /// The KMS key to encrypt the snapshot with: its id, alias/NAME or ARN.
    #[arg(long, value_name = "KEY")]
    pub kms_key: Option<String>,
    /// How the disk image gets into a snapshot.
    #[arg(long, value_enum, value_name = "WAY", default_value_t = Way::Ebs)]
    pub via: Way,
    /// What becomes of blocks of zeros. A volume that is encrypted reads something else than zeros where nothing was sent.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub holes: Option<Holes>,
    /// A snapshot that the new one is written as the difference to.
    #[arg(long, value_name = "SNAPSHOT")]
    pub parent: Option<String>,
    /// The bucket that the disk image goes through, with --via s3.
    #[arg(long, value_name = "BUCKET")]
    pub bucket: Option<String>,
    /// The role that EC2 reads the bucket as, with --via s3; `vmimport` without it.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// What is done when another image has the name.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnConflict::Fail)]
    pub on_conflict: OnConflict,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON object per line on stdout, the last with the result.
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qib import disk.qcow2 --name my-image
  qib import https://example.org/cloud.raw.xz --checksum https://example.org/SHA256SUMS --name cloud --arch arm64
  qib import disk.vhdx --name my-image --via s3 --bucket my-bucket
  qib import --local disk.qcow2 --name try-it

Exit codes are those of `run`.";

/// A format of disk images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Format {
    Raw,
    Qcow2,
    Vmdk,
    Vhd,
    Vhdx,
}

/// A processor architecture, in EC2's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "arm64")]
    Arm64,
}

/// How instances boot, in EC2's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum BootMode {
    LegacyBios,
    Uefi,
    UefiPreferred,
}

/// How a disk image gets into a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// By the EBS direct APIs.
    Ebs,
    /// By an object in S3 and ImportSnapshot.
    S3,
}

/// What becomes of blocks of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Holes {
    /// They are sent.
    Send,
    /// They are left out.
    Skip,
}

/// What is done when another image has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// The import fails, before anything is fetched.
    Fail,
    /// That image is the result.
    Skip,
    /// The new image takes the name, if the old one was imported under it, too.
    Replace,
}

//! `qib export`.

use super::account::AccountArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Writes an image's disk, or a snapshot, to a file.
///
/// Every block is compared with its checksum. An export that was interrupted goes on where it was when the same command is
/// given again.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct ExportArgs {
    /// The image, or the snapshot.
    #[arg(value_name = "IMAGE|SNAPSHOT", value_parser = exported)]
    pub what: What,
    /// The file. It must not be there yet.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file's format. Without it, a name that ends in .qcow2 says so, one that ends as other formats do is refused, and any other means raw.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ExportFormat>,
    /// Which of an image's volumes. Without it, that of the root device.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    the file is there, and whole
  1    it is not
  2    bad input
  130  interrupted by Ctrl-C; the same command goes on
  143  ended by SIGTERM or SIGHUP; the same command goes on";

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An image.
    Image(cloud::ImageId),
    /// A snapshot.
    Snapshot(cloud::SnapshotId),
}

fn exported(text: &str) -> Result<What, String> {
    let is_id = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit());
    match text.split_once('-') {
        Some(("ami", rest)) if is_id(rest) => Ok(What::Image(cloud::ImageId::new(text))),
        Some(("snap", rest)) if is_id(rest) => Ok(What::Snapshot(cloud::SnapshotId::new(text))),
        _ => Err(String::from(
            "it is an image's id (ami-…) or a snapshot's (snap-…)",
        )),
    }
}

/// A format that qib writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The disk's bytes, in a sparse file.
    Raw,
    /// QEMU's format.
    Qcow2,
}

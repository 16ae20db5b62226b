//! `qib images`.

use super::account::AccountArgs;
use super::account::region;
use super::variables::assignment;
use crate::edge::mfa_prompt::code;
use clap::{ArgGroup, Args, Subcommand};
use cloud::{AccountId, ImageId, RegionName, Timestamp};
use pipeline::model::TimeSpan;
use std::path::PathBuf;

/// Works with the images that qib made.
#[derive(Args, Debug)]
pub struct ImagesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: ImagesCommand,
}

/// What to do with the images.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    Ls(ListArgs),
    Show(ShowArgs),
    Rm(RemoveArgs),
    Prune(PruneArgs),
    Copy(CopyArgs),
    Share(ShareArgs),
    Deprecate(DeprecateArgs),
    Verify(VerifyArgs),
}

/// Lists the account's own images that carry qib's tags, newest first.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only those of this stage.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Only those with this tag. Can be given several times: all must be there.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = assignment)]
    pub tags: Vec<(String, String)>,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Shows one image: its tags, its snapshots, who may use it and what does, whether and when it is deprecated.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The image.
    #[arg(value_name = "IMAGE", value_parser = image)]
    pub image: ImageId,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Removes images with their snapshots; shows them first, and removes nothing without --yes.
///
/// A snapshot that another image of the account uses stays. An image that is protected stays, and so does one that an
/// instance or a launch template uses, unless --used is given.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct RemoveArgs {
    /// The images.
    #[arg(value_name = "IMAGE", required = true, value_parser = image)]
    pub images: Vec<ImageId>,
    /// Also what an instance or a launch template uses.
    #[arg(long)]
    pub used: bool,
    /// Removes them.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Removes images that have had their time, with their snapshots; shows them first, and removes nothing without --yes.
///
/// Only images of qib, unless --tag names others. All conditions that are given must hold. What is protected, shared,
/// public, or used by an instance or a launch template stays, and so does what no run has finished.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES, group = ArgGroup::new("bounds").required(true).multiple(true).args(["keep", "older_than", "not_launched_for"]))]
pub struct PruneArgs {
    /// Keeps the newest N of each set.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Only what is older than this, such as 30d.
    #[arg(long, value_name = "TIME", value_parser = TimeSpan::parse)]
    pub older_than: Option<TimeSpan>,
    /// Only what no instance was launched from for so long. What never was counts from its creation.
    #[arg(long, value_name = "TIME", value_parser = TimeSpan::parse)]
    pub not_launched_for: Option<TimeSpan>,
    /// A tag whose values make the sets that --keep counts in. Can be given several times. Without it: pipeline, stage and
    /// cell.
    #[arg(long = "per", value_name = "TAG")]
    pub per: Vec<String>,
    /// Only images of this pipeline.
    #[arg(long, value_name = "PIPELINE")]
    pub pipeline: Option<String>,
    /// Only images of this stage.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Only images with this tag. Can be given several times: all must be there.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = assignment)]
    pub tags: Vec<(String, String)>,
    /// Keeps images with this tag, whatever their age. Can be given several times.
    #[arg(long = "except-tag", value_name = "KEY[=VALUE]", value_parser = tag_or_key)]
    pub except: Vec<(String, Option<String>)>,
    /// Also what is shared with other accounts.
    #[arg(long)]
    pub shared: bool,
    /// Also what is public.
    #[arg(long)]
    pub public: bool,
    /// Removes them.
    #[arg(long)]
    pub yes: bool,
    /// A region to look at. Can be given several times. Without it: AWS_REGION, then the profile's.
    #[arg(long = "region", value_name = "REGION", value_parser = region)]
    pub regions: Vec<RegionName>,
    /// Works on the local EC2 instead of AWS, and starts it if it does not run.
    #[arg(long)]
    pub local: bool,
    /// The profile of the AWS configuration files to take credentials from, as AWS_PROFILE does.
    #[arg(long, value_name = "PROFILE", conflicts_with = "local")]
    pub profile: Option<String>,
    /// The present code of the MFA device that the profile's role wants (`mfa_serial`). Without it, it is asked for on the
    /// terminal.
    #[arg(long, value_name = "CODE", conflicts_with = "local", value_parser = code)]
    pub mfa_code: Option<String>,
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Copies an image with its snapshots and tags to other regions, all at once, and waits until the copies are available.
///
/// A region that fails leaves the others. The same command again finds what is there already, and copies nothing twice: a
/// copy is known by its name and its tag qib:copy-of.
#[derive(Args, Debug)]
#[command(after_help = COPY_EXIT_CODES)]
pub struct CopyArgs {
    /// The image.
    #[arg(value_name = "IMAGE", value_parser = image)]
    pub image: ImageId,
    /// The regions. With --name also the image's own.
    #[arg(long = "to", value_name = "REGION", required = true, num_args = 1.., value_parser = region)]
    pub to: Vec<RegionName>,
    /// The copies' name. Without it: the image's.
    #[arg(long, value_name = "NAME", value_parser = image_name)]
    pub name: Option<String>,
    /// Encrypts the copies: with the key that --kms-key names for a region, else with the account's default key for EBS there.
    /// The copy of an encrypted image is encrypted anyway.
    #[arg(long)]
    pub encrypt: bool,
    /// Encrypts a region's copy with this KMS key of that region (an id, alias/NAME or an ARN). Can be given several times;
    /// without --encrypt every region needs one.
    #[arg(long = "kms-key", value_name = "REGION=KEY", value_parser = key_of_region)]
    pub kms_keys: Vec<(RegionName, String)>,
    /// A tag for the copies and their snapshots, besides those that they take over. Can be given several times.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub tags: Vec<(String, String)>,
    /// How long to wait in each region, for a turn and for the copy.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = TimeSpan::parse)]
    pub wait: TimeSpan,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Lets others use an image, or takes that back with --remove.
///
/// With accounts its snapshots are shared too, first, so that whoever may launch it may also copy it; --no-snapshots leaves
/// them out. With everyone only the image is, unless --snapshots is given.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("whom").required(true).multiple(true).args(["accounts", "organizations", "organizational_units", "public"]))]
pub struct ShareArgs {
    /// The image.
    #[arg(value_name = "IMAGE", value_parser = image)]
    pub image: ImageId,
    /// An account. Can be given several times.
    #[arg(long = "with-account", value_name = "ACCOUNT", value_parser = account)]
    pub accounts: Vec<AccountId>,
    /// An organisation's ARN; of the image only, since EC2 shares no snapshots so. Can be given several times.
    #[arg(long = "with-organization", value_name = "ARN", value_parser = organization)]
    pub organizations: Vec<String>,
    /// An organisational unit's ARN; of the image only. Can be given several times.
    #[arg(long = "with-organizational-unit", value_name = "ARN", value_parser = organizational_unit)]
    pub organizational_units: Vec<String>,
    /// Everyone.
    #[arg(long)]
    pub public: bool,
    /// With --public: lets everyone make volumes from the snapshots, too.
    #[arg(long, requires = "public", conflicts_with = "no_snapshots")]
    pub snapshots: bool,
    /// Leaves the snapshots as they are.
    #[arg(long)]
    pub no_snapshots: bool,
    /// Takes the right away.
    #[arg(long)]
    pub remove: bool,
    #[command(flatten)]
    pub account: AccountArgs,
}

/// Deprecates an image: from then on EC2 shows it to its owner only. Who knows its id can still launch it.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("when").required(true).args(["after", "at", "never"]))]
pub struct DeprecateArgs {
    /// The image.
    #[arg(value_name = "IMAGE", value_parser = image)]
    pub image: ImageId,
    /// So long from now, such as 30d.
    #[arg(long, value_name = "TIME", value_parser = TimeSpan::parse)]
    pub after: Option<TimeSpan>,
    /// At this time, such as 2027-03-01T00:00:00Z. EC2 takes whole minutes.
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// Takes a deprecation back.
    #[arg(long)]
    pub never: bool,
    #[command(flatten)]
    pub account: AccountArgs,
}

/// Compares a manifest, as `outputs` writes it, with the account: each image is correct, incorrect, missing, unexpected or
/// unreachable.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes:\n  0  every image is correct\n  1  one is not\n  2  bad input")]
pub struct VerifyArgs {
    /// The manifest.
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    #[command(flatten)]
    pub account: AccountArgs,
    /// Prints one JSON array on stdout.
    #[arg(long)]
    pub json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or shown; also if there was nothing to remove
  1  the account could not be looked at, and nothing was removed
  2  bad input
  3  something could not be removed: each is named, with the command that removes it";

const COPY_EXIT_CODES: &str = "\
Exit codes:
  0  the image is available in every region
  1  in one it is not
  2  bad input
  3  a copy came to nothing, and what there is of it could not be removed: it is named";

/// An image's id.
fn image(text: &str) -> Result<ImageId, String> {
    pipeline::model::ImageId::new(text).map(|id| id.as_str().into())
}

/// An account's id.
fn account(text: &str) -> Result<AccountId, String> {
    pipeline::model::AccountId::new(text).map(|id| id.as_str().into())
}

fn image_name(text: &str) -> Result<String, String> {
    match pipeline::check_image_name(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// `REGION=KEY`. A key's ARN names its region, which must be the same.
fn key_of_region(text: &str) -> Result<(RegionName, String), String> {
    let (name, key) = text
        .split_once('=')
        .ok_or("it is written REGION=KEY, such as us-west-2=alias/images")?;
    let name = region(name)?;
    let key = pipeline::model::KmsKeyId::new(key)?;
    let of_arn = key.as_str().strip_prefix("arn:").and_then(|rest| {
        // arn:PARTITION:kms:REGION:ACCOUNT:key/ID
        rest.split(':').nth(2)
    });
    match of_arn {
        Some(other) if other != name.as_str() => Err(format!(
            "this key is in {other}; EC2 takes one of the copy's own region, {name}"
        )),
        Some(_) | None => Ok((name, key.as_str().to_owned())),
    }
}

/// `KEY=VALUE` for a tag that a person gives.
fn tag(text: &str) -> Result<(String, String), String> {
    const LONGEST_VALUE: usize = 256;
    let (key, value) = assignment(text)?;
    pipeline::model::TagKey::new(&key)?;
    if value.chars().count() > LONGEST_VALUE {
        return Err(format!("EC2 takes {LONGEST_VALUE} characters"));
    }
    Ok((key, value))
}

/// <https://docs.aws.amazon.com/organizations/latest/APIReference/API_Organization.html>
fn organization(text: &str) -> Result<String, String> {
    of_organizations(text, ":organization/o-")
}

fn organizational_unit(text: &str) -> Result<String, String> {
    of_organizations(text, ":ou/o-")
}

fn of_organizations(text: &str, part: &str) -> Result<String, String> {
    if text.starts_with("arn:") && text.contains(":organizations::") && text.contains(part) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "its ARN is written like arn:aws:organizations::ACCOUNT{part}…"
        ))
    }
}

/// `KEY` or `KEY=VALUE`.
fn tag_or_key(text: &str) -> Result<(String, Option<String>), String> {
    match text.split_once('=') {
        None if !text.is_empty() => Ok((text.to_owned(), None)),
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        _ => Err(String::from("it is written KEY or KEY=VALUE")),
    }
}

impl PruneArgs {
    /// The account to work on.
    pub fn account(&self) -> AccountArgs {
        AccountArgs {
            local: self.local,
            region: self.regions.first().cloned(),
            profile: self.profile.clone(),
            mfa_code: self.mfa_code.clone(),
        }
    }
}

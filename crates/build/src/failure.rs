//! Why a step failed, for the person who reads it at 3 a.m.

mod causes;
mod import;
mod site;
mod source;

pub use causes::with_causes;
pub use import::ImportError;
pub use site::SiteError;
pub use source::SourceError;

use crate::cancel::Cancelled;
use crate::event::Step;
use crate::journal::JournalError;
use crate::lease::Lost;
use crate::names::CellName;
use crate::selection::SelectionError;
use crate::spec::AddressChoice;
use cloud::{CloudError, RegionName};
use std::time::Duration;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum StepError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error("stopped on request")]
    Cancelled(Cancelled),
    #[error("it was to wait for a person {at}, and there is no terminal to ask at")]
    NobodyToAsk { at: String },
    #[error(
        "the run belongs to account {wanted}{wanted_at}, and these credentials are of account {found}{found_at}"
    )]
    OtherAccount {
        wanted: String,
        wanted_at: String,
        found: String,
        found_at: String,
    },
    #[error("no machine is to be had; tried: {tried}", tried = .tried.join("; "))]
    NoCapacity { tried: Vec<String> },
    #[error("the playbook {playbook} runs on this machine, which has no Ansible: {why}")]
    NoAnsible { playbook: String, why: String },
    #[error("what an earlier process of this run had begun cannot be gone on with: {why}")]
    CannotGoOn { why: String },

    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Import(Box<ImportError>),
    #[error("the stage {stage} has no `launch`: it copies its source, and builds nothing")]
    Unlaunched { stage: String },
    #[error("no image in {region} matches the source: {wanted}")]
    NoImageMatches { region: String, wanted: String },
    #[error(
        "{count} images in {region} match the source, and `pick: only` wants exactly one: {wanted}"
    )]
    SeveralImagesMatch {
        region: String,
        wanted: String,
        count: usize,
    },
    #[error("the source image {image} is {state}, not available")]
    SourceNotAvailable { image: String, state: String },
    #[error("there is no subnet in {region} for `{wanted}`")]
    NoSubnet { region: String, wanted: String },
    #[error("the subnets of a stage must be in one VPC: {subnets}")]
    SeveralVpcs { subnets: String },
    #[error("the VPC {vpc} has no default security group that the instance could be moved to")]
    NoDefaultGroup { vpc: String },
    #[error("the image name `{name}` is taken {}", .taken.join(" and "))]
    NameTaken {
        name: String,
        /// Where, and by which image.
        taken: Vec<String>,
    },
    #[error("the image {image} ({name}) in {region} cannot be replaced: {why}")]
    NotReplaceable {
        name: String,
        region: String,
        image: String,
        why: String,
    },
    #[error("{other} is to have the same image name in {region}: `{name}`")]
    SameName {
        name: String,
        region: String,
        other: String,
    },
    #[error("the parameter {name} in {region} is not this stage's: {why}")]
    ParameterHeld {
        name: String,
        region: String,
        why: String,
    },
    #[error(
        "SSM took {image} for the parameter {name} in {region}, and after {waited:?} it still holds {holds}"
    )]
    ParameterNotTaken {
        name: String,
        region: String,
        image: String,
        holds: String,
        waited: Duration,
    },
    #[error("the account lets no {what} be shared with everyone in {region}")]
    PublicSharingBlocked { what: &'static str, region: String },
    #[error("`{field}` cannot be filled in: {reason}")]
    Template { field: String, reason: String },
    #[error("the caller's own address is not known: {reason}")]
    CallerAddress { reason: String },

    #[error("there is no Elastic IP {allocation} in {region}")]
    AddressUnknown { allocation: String, region: String },
    #[error("the Elastic IP {address} ({allocation}) stayed bound to {holder} for {waited:?}")]
    AddressHeld {
        allocation: String,
        address: String,
        holder: String,
        waited: Duration,
        free_with: String,
    },
    #[error("no Elastic IP in {region} carries the {tags}")]
    EmptyPool { tags: String, region: String },
    #[error("the lease of {what} was lost ({lease}): {lost}; another run may use it by now")]
    LeaseLost {
        what: String,
        lease: String,
        lost: Lost,
    },
    #[error("the address was not bound: {reason}")]
    AddressNotBound { reason: String, log: Vec<String> },

    #[error("the stage's own user-data cannot be used: {reason}")]
    UserData { reason: String },
    #[error("user-data has {size} bytes after compression, and EC2 takes at most {limit}")]
    UserDataTooLarge { size: usize, limit: usize },
    #[error("a file of the pipeline cannot be read: {path}: {reason}")]
    LocalFile { path: String, reason: String },
    #[error("the key cannot be used: {0}")]
    Key(String),
    #[error("instance {instance} is {state}{reason}", reason = .reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    InstanceGone {
        instance: String,
        state: String,
        reason: Option<String>,
    },
    #[error("instance {instance} did not become {wanted} within {waited:?}: {detail}")]
    InstanceSlow {
        instance: String,
        wanted: &'static str,
        waited: Duration,
        detail: String,
    },

    #[error("SSH never came up on {destination} within {waited:?}; the last attempt: {last}")]
    SshNeverCameUp {
        destination: String,
        waited: Duration,
        last: String,
        console: Vec<String>,
    },
    #[error(
        "THE HOST KEY OF {destination} IS NOT THE ONE THIS RUN EXPECTS: {detail}. Somebody may be between you and the instance; nothing was sent."
    )]
    HostKeyMismatch { destination: String, detail: String },
    #[error("{destination} refuses the key of user `{user}`: {detail}")]
    AuthenticationRefused {
        destination: String,
        user: String,
        detail: String,
    },
    #[error("the SSH connection broke while {doing}: {detail}. A provisioner is never run twice.")]
    ConnectionLost { doing: String, detail: String },
    #[error("cloud-init in the guest ended with an error: {detail}")]
    CloudInit { detail: String },
    #[error("provisioner `{name}` {how}")]
    Provisioner {
        name: String,
        how: String,
        last_lines: Vec<String>,
    },
    #[error("after `preflight` the pipeline cannot be read again: {reason}")]
    ReadAgain { reason: String },
    #[error("`preflight` was to make what is not there: {files}")]
    NotMade { files: String },
    #[error("upload of {from} to {to} failed: {reason}")]
    Upload {
        from: String,
        to: String,
        reason: String,
    },
    #[error("download of {from} to {to} failed: {reason}")]
    Download {
        from: String,
        to: String,
        reason: String,
    },
    #[error("qib's keys and user-data could not be removed from the guest: {reason}")]
    Scrub {
        reason: String,
        last_lines: Vec<String>,
    },

    #[error("no EBS volume of instance {instance} was found that an image could be made of")]
    NoVolumes { instance: String },
    #[error("snapshot {snapshot} of {volume} failed: {reason}")]
    SnapshotFailed {
        snapshot: String,
        volume: String,
        reason: String,
    },
    #[error("image {image} ({name}) failed: {reason}")]
    ImageFailed {
        image: String,
        name: String,
        reason: String,
    },
    #[error("image {image} ({name}) was not available after {waited:?}: {detail}")]
    ImageSlow {
        image: String,
        name: String,
        waited: Duration,
        detail: String,
    },
    #[error("image {image} failed its test while {doing}: {error}")]
    Test {
        image: String,
        doing: &'static str,
        error: Box<StepError>,
    },
    #[error("the checks did not end within {waited:?}, which is test.timeout")]
    TestTooLong { waited: Duration },
    #[error("what was left of an earlier try of the test could not be removed: {why}")]
    TestLeftOver { why: String },
    #[error("the image {image} is complete, but not all that was to become of it was done: {}", .reasons.join("; "))]
    NotPublished {
        image: String,
        /// In which region what failed, and why.
        reasons: Vec<String>,
        /// What to do about the first.
        hint: Option<String>,
    },
    #[error("the output {path} cannot be written: {reason}")]
    Output { path: String, reason: String },
}

impl From<Cancelled> for StepError {
    fn from(why: Cancelled) -> Self {
        Self::Cancelled(why)
    }
}

impl From<ImportError> for StepError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Stopped(why) => Self::Cancelled(why),
            error => Self::Import(Box::new(error)),
        }
    }
}

impl StepError {
    /// There is no address of this choice in `region`.
    pub fn from_choice(choice: &AddressChoice, region: &RegionName) -> Self {
        let region = region.to_string();
        match choice {
            AddressChoice::One(allocation) => Self::AddressUnknown {
                allocation: allocation.to_string(),
                region,
            },
            AddressChoice::Pool(tags) => {
                let tags: Vec<String> = tags
                    .iter()
                    .map(|(key, value)| format!("tag {key}={value}"))
                    .collect();
                Self::EmptyPool {
                    tags: tags.join(" and the "),
                    region,
                }
            }
        }
    }

    /// What the reader can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Cloud(error) => return error.hint().map(str::to_owned),
            Self::Selection(error) => return Some(error.hint()),
            Self::Site(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Import(error) => return error.hint(),
            Self::NoImageMatches { .. } => {
                "Check the owner, the name pattern and the region of `source.filter`; `aws ec2 describe-images` with the same filter shows what there is."
            }
            Self::SeveralImagesMatch { .. } => "Narrow the filter, or say `pick: newest`.",
            Self::OtherAccount { .. } => {
                "Give the credentials that the run was begun with: `qib runs resume --profile PROFILE`."
            }
            Self::NoCapacity { .. } => {
                "Name more of them in launch.instance_types or launch.subnets, or try later."
            }
            Self::NoSubnet { .. } => {
                "Give `launch.subnet` as `subnet-…`, or make a default VPC with `aws ec2 create-default-vpc`."
            }
            Self::SeveralVpcs { .. } => {
                "Take the subnets of other VPCs out of launch.subnets: the instance's security group belongs to one VPC."
            }
            Self::NameTaken { .. } => {
                "Put ${{ run.time | date('…') }} or ${{ run.id }} into image.name, or say `image.on_conflict: replace` or `skip`; on the command line, another `--name`, or `--on-conflict`."
            }
            Self::SameName { .. } => {
                "Put `${{ cell }}` into image.name, or the axes by which the cells differ."
            }
            Self::NotReplaceable { .. } => {
                "Deregister it by hand, or say `on_conflict: { replace: { force: true } }` in a pipeline if it may go all the same."
            }
            Self::ParameterHeld { .. } => {
                "Say `overwrite: true` for the parameter if it may be overwritten, or give it another name."
            }
            Self::ParameterNotTaken { .. } => {
                "SSM checks an image's id after the call: the caller needs ec2:DescribeImages, and the image must be there."
            }
            Self::PublicSharingBlocked { .. } => {
                "See `aws ec2 get-image-block-public-access-state` and `get-snapshot-block-public-access-state`; an administrator can lift them."
            }
            Self::Test { error, .. } => return error.hint(),
            Self::CallerAddress { .. } => {
                "Say where SSH may come from: `launch.ssh_from: [203.0.113.7/32]`."
            }
            Self::AddressUnknown { .. } => {
                "`aws ec2 describe-addresses` lists the allocations of the region."
            }
            Self::EmptyPool { .. } => {
                "Tag the addresses of the pool: `aws ec2 create-tags --resources eipalloc-… --tags Key=…,Value=…`."
            }
            Self::LeaseLost { .. } => {
                "SSM could not be reached from here for two minutes, or this machine slept. Run again: it stands in line anew."
            }
            Self::AddressHeld { free_with, .. } => return Some(format!("To free it: {free_with}")),
            Self::AddressNotBound { .. } => {
                "Check that the instance profile may call ec2:AssociateAddress and that the instance has a way out at boot, or say `bind: api`."
            }
            Self::UserData { .. } => {
                "`launch.user_data` takes what cloud-init takes: a script, cloud-config, or a MIME message of several parts."
            }
            Self::UserDataTooLarge { .. } => {
                "Move the content of launch.user_data into a provisioner."
            }
            Self::SshNeverCameUp { .. } => {
                "May this machine reach the address? A firewall may let known ones through only: `connect.address: { elastic_ip: … }` gives one (the local EC2's does so where there is an Elastic IP). Else run again with --keep-on-failure, and look at the console: `aws ec2 get-console-output`."
            }
            Self::HostKeyMismatch { .. } => {
                "Check `connect.host`, and whether another machine holds the address."
            }
            Self::AuthenticationRefused { .. } => {
                "Check `connect.user`: it must be the image's default user, or one that the image's cloud-init configures."
            }
            Self::NoAnsible { .. } => {
                "Install it (`pip install ansible-core`), name it with `ansible_playbook: /path/to/ansible-playbook`, or run the playbook inside the instance with `ansible_local`."
            }
            Self::Provisioner { .. } => {
                "Run again with --keep-on-failure to look around in the guest with `qib ssh`."
            }
            Self::NotMade { .. } => {
                "It names them in `creates`; make sure that its commands write them there, relative to the pipeline's file."
            }
            Self::NotPublished { hint, .. } => {
                let again = "Run again: the image is found by its cache key, and only what is missing is done.";
                return Some(match hint {
                    Some(hint) => format!("{hint} {again}"),
                    None => again.to_owned(),
                });
            }
            Self::InstanceGone { .. } => {
                "The instance was ended from outside, or ended itself; the EC2 console's state reason and CloudTrail say by whom."
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The error, and below it what shows it, indented.
    pub fn with_evidence(&self) -> String {
        let mut text = self.to_string();
        for line in self.evidence() {
            text.push_str("\n    ");
            text.push_str(line);
        }
        text
    }

    /// Lines that show what happened: a provisioner's last output, a console's end.
    pub fn evidence(&self) -> &[String] {
        match self {
            Self::Test { error, .. } => error.evidence(),
            Self::AddressNotBound { log, .. } => log,
            Self::SshNeverCameUp { console, .. } => console,
            Self::Provisioner { last_lines, .. } | Self::Scrub { last_lines, .. } => last_lines,
            _ => &[],
        }
    }
}

/// A cell's failure: where, in which step, why.
#[derive(Debug)]
pub struct CellFailure {
    /// The cell.
    pub cell: CellName,
    /// The step.
    pub step: Step,
    /// Why.
    pub error: Box<StepError>,
}

impl CellFailure {
    /// The failure of `step` of `cell`.
    pub fn new(cell: CellName, step: Step, error: StepError) -> Self {
        Self {
            cell,
            step,
            error: Box::new(error),
        }
    }
}

impl CellFailure {
    /// The whole message: what was being done, why it failed, and what shows it.
    pub fn message(&self) -> String {
        format!(
            "{} failed while {}: {}",
            self.cell,
            self.step.describe(),
            self.error.with_evidence()
        )
    }
}

//! The AWS services that the local EC2 speaks, from the bytes of a request to the bytes of its answer.
//!
//! An action is a value: it is read from the request, then carried out against the [`crate::account::Account`].
//! What has to be done in the world besides is returned as [`Effect`]s.

pub mod authorize;
pub mod caller;
pub mod ebs;
pub mod ec2;
pub mod error;
pub mod iam;
pub mod json;
pub mod kms;
pub mod protocol;
pub mod s3;
pub mod service_quotas;
pub mod session;
pub mod sigv4;
pub mod ssm;
pub mod sts;

use crate::account::Account;
use crate::account::image::{Image, Snapshot};
use crate::account::import_task::ImportFate;
use crate::account::quotas::Quotas;
use crate::account::region::Region;
use crate::account::tags::Tags;
use crate::blocks::BlockStore;
use crate::catalogue::Catalogue;
use crate::config::{EmulatorConfig, Timing};
use crate::faults::Faults;
use crate::faults::service::{CapacityRequest, NoCapacity};
use crate::guest::StopKind;
use crate::ids::{ImageId, ImportTaskId, InstanceId, LayerId, SnapshotId};
use crate::instance_faults::{Making, Subject};
use crate::storage::Storage;
use caller::Caller;
use error::ApiError;
use jiff::Timestamp;
use std::time::Duration;

/// Finds a zone with capacity; an error of its own if the faults cannot be read.
pub type Capacity<'a> =
    dyn Fn(&CapacityRequest<'_>) -> Result<Result<String, NoCapacity>, ApiError> + 'a;

/// What a fault makes of the next import task.
pub type ImportFates<'a> = dyn Fn() -> Result<Option<ImportFate>, ApiError> + 'a;

/// What an action has to go by.
pub struct Cx<'a> {
    /// The account, which the action may change.
    pub account: &'a mut Account,
    /// The region that the request was signed for.
    pub region: &'a str,
    /// Who sent it.
    pub caller: &'a Caller,
    /// The time.
    pub now: Timestamp,
    /// The settings.
    pub config: &'a EmulatorConfig,
    /// EC2's delays.
    pub timing: &'a Timing,
    /// Public images.
    pub catalogue: &'a Catalogue,
    /// What is to go wrong.
    pub faults: &'a Faults,
    /// What was written by blocks.
    pub blocks: &'a BlockStore,
    /// S3's buckets.
    pub storage: &'a Storage,
    /// What becomes of the next import task.
    pub import_fate: &'a ImportFates<'a>,
    /// Finds a zone with capacity for a launch.
    pub capacity: &'a Capacity<'a>,
    /// Reads the end of an instance's console.
    pub console: &'a dyn Fn(&InstanceId) -> std::io::Result<Vec<u8>>,
    /// What has to be done in the world once the account is written down.
    pub effects: Vec<Effect>,
}

/// Something that has to be done in the world. Effects on one instance are carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start its guest.
    Boot(InstanceId),
    /// End its guest.
    Halt(InstanceId, StopKind),
    /// End its guest and start it again.
    Reboot(InstanceId),
    /// Let bindings of addresses take effect that are due after this time.
    BindLater(Duration),
    /// Remove layers that nothing needs any more.
    SweepLayers,
    /// Let an import task go on.
    Import(ImportTaskId),
    /// Freeze its disk into a layer, ending its guest before and starting it again after, if it runs.
    Capture(InstanceId, LayerId),
}

impl<'a> Cx<'a> {
    /// The account that asks.
    pub fn owner(&self) -> &'a str {
        self.caller.account()
    }

    /// The request's region, as the caller's account has it.
    pub fn region(&mut self) -> &mut Region {
        self.account.region_of(self.caller.account(), self.region)
    }

    /// The quotas in force.
    pub fn quotas(&self) -> Quotas<'_> {
        Quotas {
            set: &self.account.quotas,
            configured: &self.config.quotas,
        }
    }

    /// Whether what was made at `created` is already known to other requests.
    pub fn visible(&self, created: Timestamp) -> bool {
        self.now.duration_since(created).unsigned_abs() >= self.timing.visibility
            || created > self.now
    }

    /// An image of a region, whoever owns it.
    pub fn image_in(&self, region: &str, id: &ImageId) -> Option<Image> {
        let made = self
            .account
            .everywhere(region)
            .find_map(|r| r.images.get(id));
        made.cloned().or_else(|| self.catalogue.find(region, id))
    }

    /// Whether the caller's account may launch an image.
    pub fn may_use(&self, image: &Image) -> bool {
        image.owner == self.owner() || image.launch_permission.covers(self.owner())
    }

    /// A snapshot of a region, whoever owns it. None for one of a public image's: there is nothing of it here.
    pub fn snapshot_in(&self, region: &str, id: &SnapshotId) -> Option<Snapshot> {
        let mut accounts = self.account.everywhere(region);
        accounts.find_map(|r| r.snapshots.get(id)).cloned()
    }

    /// How something goes on that is made from now on and from no instance, such as a snapshot of a volume by itself. Faults
    /// that are for some instances are for those with such tags here.
    pub fn making(&self, tags: &Tags) -> Making {
        self.making_in(tags, self.timing.image)
    }

    /// How a copy goes on that is made from now on.
    pub fn copying(&self, tags: &Tags) -> Making {
        self.making_in(tags, self.timing.copy)
    }

    fn making_in(&self, tags: &Tags, usual: Duration) -> Making {
        let subject = Subject {
            instance: None,
            tags,
        };
        let faults = self.faults.instances.of(subject).images;
        faults.making(self.now, usual)
    }
}

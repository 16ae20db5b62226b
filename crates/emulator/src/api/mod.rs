//! The AWS services that the local EC2 speaks, from the bytes of a request to the bytes of its answer.
//!
//! An action is a value: it is read from the request, then carried out against the [`crate::account::Account`].
//! What has to be done in the world besides is returned as [`Effect`]s.

pub mod caller;
pub mod ec2;
pub mod error;
pub mod protocol;
pub mod session;
pub mod sigv4;
pub mod ssm;
pub mod sts;

use crate::account::Account;
use crate::account::image::Image;
use crate::account::region::Region;
use crate::account::tags::Tags;
use crate::catalogue::Catalogue;
use crate::config::Timing;
use crate::faults::Faults;
use crate::faults::service::{CapacityRequest, NoCapacity};
use crate::guest::StopKind;
use crate::ids::{ImageId, InstanceId, LayerId};
use crate::instance_faults::{Making, Subject};
use caller::Caller;
use error::ApiError;
use jiff::Timestamp;
use std::time::Duration;

/// Finds a zone with capacity; an error of its own if the faults cannot be read.
pub type Capacity<'a> =
    dyn Fn(&CapacityRequest<'_>) -> Result<Result<String, NoCapacity>, ApiError> + 'a;

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
    /// EC2's delays.
    pub timing: &'a Timing,
    /// Public images.
    pub catalogue: &'a Catalogue,
    /// What is to go wrong.
    pub faults: &'a Faults,
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
    /// Freeze its disk into a layer, ending its guest before and starting it again after, if it runs.
    Capture(InstanceId, LayerId),
}

impl Cx<'_> {
    /// The request's region.
    pub fn region(&mut self) -> &mut Region {
        self.account.region_mut(self.region)
    }

    /// Whether what was made at `created` is already known to other requests.
    pub fn visible(&self, created: Timestamp) -> bool {
        self.now.duration_since(created).unsigned_abs() >= self.timing.visibility
            || created > self.now
    }

    /// An image of the region: the account's own or a public one.
    pub fn image(&mut self, id: &ImageId) -> Option<Image> {
        let own = self.region().images.get(id).cloned();
        own.or_else(|| self.catalogue.find(self.region, id))
    }

    /// How something goes on that is made from now on and from no instance: a copy, or a snapshot of a volume by itself.
    /// Faults that are for some instances are for those with such tags here.
    pub fn making(&self, tags: &Tags) -> Making {
        let subject = Subject {
            instance: None,
            tags,
        };
        let faults = self.faults.instances.of(subject).images;
        faults.making(self.now, self.timing.image)
    }
}

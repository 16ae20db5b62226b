//! Capacity reservations, dedicated hosts and placement groups as the account remembers them.

use super::instance::Instance;
use super::lifecycle::InstanceState;
use super::region::Region;
use super::tags::Tags;
use crate::ids::{CapacityReservationId, HostId, PlacementGroupId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A capacity reservation, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html>.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CapacityReservation {
    /// Its id.
    pub id: CapacityReservationId,
    /// What it is for.
    pub instance_type: String,
    /// Such as `Linux/UNIX`.
    pub platform: String,
    /// Where.
    pub zone: String,
    /// For how many instances.
    pub total: u32,
    /// Whether only launches that name it use it.
    pub targeted: bool,
    /// Whether it has been cancelled.
    pub cancelled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}

/// A dedicated host, see <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/dedicated-hosts-overview.html>.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DedicatedHost {
    /// Its id.
    pub id: HostId,
    /// Where it is.
    pub zone: String,
    /// The one type, or the family, of instances that it takes.
    pub takes: String,
    /// Whether it takes instances that name no host.
    pub auto_placement: bool,
    /// When it was allocated.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}

/// A placement group, see <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html>.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlacementGroup {
    /// Its id.
    pub id: PlacementGroupId,
    /// Its name.
    pub name: String,
    /// `cluster`, `spread` or `partition`.
    pub strategy: String,
    /// How many partitions it has, if it has any.
    pub partitions: Option<u32>,
    /// Its tags.
    pub tags: Tags,
}

impl CapacityReservation {
    /// How many more instances it is good for.
    pub fn available(&self, region: &Region) -> u32 {
        let uses = |i: &&Instance| {
            matches!(
                i.state,
                InstanceState::Pending | InstanceState::Running | InstanceState::Stopping
            ) && i.hosting.reservation.as_deref() == Some(self.id.as_str())
        };
        let used = region.instances.values().filter(uses).count();
        match self.cancelled {
            true => 0,
            false => self
                .total
                .saturating_sub(u32::try_from(used).unwrap_or(u32::MAX)),
        }
    }

    /// EC2's word for its state.
    pub fn state(&self) -> &'static str {
        if self.cancelled {
            "cancelled"
        } else {
            "active"
        }
    }
}

impl DedicatedHost {
    /// Whether it takes instances of a type.
    pub fn takes(&self, instance_type: &str) -> bool {
        self.takes == instance_type || instance_type.split('.').next() == Some(&self.takes)
    }
}

//! Spot requests as the account remembers them.
//!
//! Every one is a one-time request that RunInstances has fulfilled with one instance. Its state follows from that
//! instance, so that nothing need be written down when the instance ends:
//!
//! ```text
//!  RunInstances ─► active ──the instance is over──► closed
//!                    │ CancelSpotInstanceRequests
//!                    ▼
//!                cancelled (the instance runs on)
//! ```
//!
//! Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html>.

use super::instance::Instance;
use super::tags::Tags;
use crate::ids::{ImageId, InstanceId, SpotRequestId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A spot request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpotRequest {
    /// Its id.
    pub id: SpotRequestId,
    /// The instance that it was fulfilled with.
    pub instance: InstanceId,
    /// When it was made.
    pub created: Timestamp,
    /// When it was cancelled.
    pub cancelled: Option<Timestamp>,
    /// The most to pay per hour in US dollars, as given; the on-demand price if none.
    pub max_price: Option<String>,
    /// The image of its launch specification.
    pub image: ImageId,
    /// The instance type of its launch specification.
    pub instance_type: String,
    /// The zone that the instance was launched in.
    pub zone: String,
    /// Its tags.
    pub tags: Tags,
}

/// Where a spot request is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpotState {
    /// Its instance is there.
    Active,
    /// Its instance is over.
    Closed,
    /// It was cancelled while its instance was there.
    Cancelled,
}

impl SpotState {
    /// EC2's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What EC2 says of a spot request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpotStatus {
    /// Where it is in its life.
    pub state: SpotState,
    /// Such as `instance-terminated-by-user`.
    pub code: &'static str,
    /// For the person.
    pub message: &'static str,
    /// Since when.
    pub updated: Timestamp,
}

impl SpotRequest {
    /// What EC2 says of it. `instance` is its instance, if that is still remembered.
    pub fn status(&self, instance: Option<&Instance>) -> SpotStatus {
        let state = match (self.cancelled, instance) {
            (Some(_), _) => SpotState::Cancelled,
            (None, Some(i)) if !i.state.is_over() => SpotState::Active,
            (None, _) => SpotState::Closed,
        };
        let over = instance.is_none_or(|i| i.state.is_over());
        let taken_back = instance
            .and_then(|i| i.state_reason.as_ref())
            .is_some_and(|r| r.code == "Server.SpotInstanceTermination");
        let (code, message) = match (over, taken_back) {
            (true, true) => (
                "instance-terminated-no-capacity",
                "Your Spot Instance was terminated because there is no Spot capacity available.",
            ),
            (true, false) => (
                "instance-terminated-by-user",
                "Your Spot Instance was terminated.",
            ),
            (false, _) if state == SpotState::Cancelled => (
                "request-canceled-and-instance-running",
                "Your Spot request is canceled, but your instance is still running.",
            ),
            (false, _) => ("fulfilled", "Your Spot request is fulfilled."),
        };
        let updated = match (over, instance) {
            (true, Some(i)) => i.since,
            _ => self.cancelled.unwrap_or(self.created),
        };
        SpotStatus {
            state,
            code,
            message,
            updated,
        }
    }
}

//! An instance's life.
//!
//! ```text
//!   RunInstances                   StartInstances
//!        │            ┌──────────────────────────────────────┐
//!        ▼            ▼                                      │
//!     ┌─────────────────┐  Booted   ┌─────────┐  Stop    ┌──────────┐ Halted ┌─────────┐
//!     │     pending     │──────────▶│ running │─────────▶│ stopping │───────▶│ stopped │
//!     └─────────────────┘           └─────────┘          └──────────┘        └─────────┘
//!        │           │                │ Reboot ↺              │                  │
//!        │ Stop      │ Terminate      │ Terminate             │ Terminate        │ Terminate
//!        ▼           ▼                ▼                       ▼                  │
//!     stopping    ┌───────────────────────────────────────────────┐   Halted     ▼
//!                 │                shutting-down                  │────────▶ terminated
//!                 └───────────────────────────────────────────────┘
//! ```
//!
//! Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>. A request that asks for
//! the state an instance is in, or is on its way to, changes nothing and is no error, except that a terminated
//! instance can only be terminated again.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Being started.
    Pending,
    /// Started.
    Running,
    /// Being terminated.
    ShuttingDown,
    /// Gone; still shown for a while.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Stopped; its volumes remain.
    Stopped,
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// StartInstances.
    Start,
    /// The guest is up.
    Booted,
    /// RebootInstances.
    Reboot,
    /// StopInstances, or the guest shut itself down with behaviour `stop`.
    Stop,
    /// TerminateInstances, or the guest shut itself down with behaviour `terminate`, or the launch failed.
    Terminate,
    /// The guest is down.
    Halted,
}

/// An event that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not possible when {state}")]
pub struct IllegalEvent {
    /// Where the instance is.
    pub state: InstanceState,
    /// What was asked.
    pub event: LifeEvent,
}

impl InstanceState {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::ShuttingDown,
        Self::Terminated,
        Self::Stopping,
        Self::Stopped,
    ];

    /// The state after `event`.
    ///
    /// # Errors
    /// If the state does not allow the event.
    pub fn after(self, event: LifeEvent) -> Result<Self, IllegalEvent> {
        use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
        let next = match (self, event) {
            (Stopped, LifeEvent::Start) => Pending,
            (Pending | Running, LifeEvent::Start) => self,
            (Pending, LifeEvent::Booted) => Running,
            (Running | Pending, LifeEvent::Reboot) => self,
            (Pending | Running, LifeEvent::Stop) => Stopping,
            (Stopping | Stopped, LifeEvent::Stop) => self,
            (Pending | Running | Stopping, LifeEvent::Terminate) => ShuttingDown,
            (Stopped, LifeEvent::Terminate) => Terminated,
            (ShuttingDown | Terminated, LifeEvent::Terminate) => self,
            (Stopping, LifeEvent::Halted) => Stopped,
            (ShuttingDown, LifeEvent::Halted) => Terminated,
            (state, event) => return Err(IllegalEvent { state, event }),
        };
        Ok(next)
    }

    /// EC2's number for the state, see
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html>.
    pub fn code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// EC2's word for the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the instance is terminated or about to be: it holds nothing any more and cannot come back.
    pub fn is_over(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENTS: [LifeEvent; 6] = [
        LifeEvent::Start,
        LifeEvent::Booted,
        LifeEvent::Reboot,
        LifeEvent::Stop,
        LifeEvent::Terminate,
        LifeEvent::Halted,
    ];

    fn walk(events: &[usize]) -> Vec<InstanceState> {
        let mut state = InstanceState::Pending;
        let mut seen = vec![state];
        for event in events {
            if let Ok(next) = state.after(EVENTS[*event]) {
                state = next;
            }
            seen.push(state);
        }
        seen
    }

    #[test]
    fn the_ordinary_life() {
        use LifeEvent::{Booted, Halted, Start, Stop, Terminate};
        let mut state = InstanceState::Pending;
        for (event, then) in [
            (Booted, InstanceState::Running),
            (Stop, InstanceState::Stopping),
            (Halted, InstanceState::Stopped),
            (Start, InstanceState::Pending),
            (Booted, InstanceState::Running),
            (Terminate, InstanceState::ShuttingDown),
            (Halted, InstanceState::Terminated),
        ] {
            state = state.after(event).unwrap();
            assert_eq!(state, then);
        }
        assert!(
            state.after(Start).is_err(),
            "a terminated instance never starts again"
        );
    }

    proptest! {
        #[test]
        fn nothing_comes_back_from_termination(events in proptest::collection::vec(0..6usize, 0..40)) {
            let seen = walk(&events);
            let over = seen.iter().position(|s| s.is_over()).unwrap_or(seen.len());
            prop_assert!(seen[over..].iter().all(|s| s.is_over()));
            let gone = seen.iter().position(|s| *s == InstanceState::Terminated).unwrap_or(seen.len());
            prop_assert!(seen[gone..].iter().all(|s| *s == InstanceState::Terminated));
        }

        #[test]
        fn every_instance_can_be_terminated(events in proptest::collection::vec(0..6usize, 0..40)) {
            let state = *walk(&events).last().unwrap();
            let asked = state.after(LifeEvent::Terminate).unwrap();
            prop_assert!(asked.is_over());
            prop_assert!(asked == InstanceState::Terminated || asked.after(LifeEvent::Halted) == Ok(InstanceState::Terminated));
        }

        #[test]
        fn running_is_reached_only_by_booting(events in proptest::collection::vec(0..6usize, 1..40)) {
            let seen = walk(&events);
            for (at, pair) in seen.windows(2).enumerate() {
                if pair[1] == InstanceState::Running && pair[0] != InstanceState::Running {
                    prop_assert_eq!(EVENTS[events[at]], LifeEvent::Booted);
                }
            }
        }
    }
}

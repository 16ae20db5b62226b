//! What process 1 is doing, as a state machine without effects.
//!
//! ```text
//!   Early ── early stage done ──► Serving(final stage runs) ── final stage done ──► Serving(idle)
//!     │                              │                                               │
//!     └──────────── stop, power-off, reboot ─────────────────────────────────────────┘
//!                                    ▼
//!                               Stopping(why) ── no process left, or out of time ──► Ended(why)
//! ```
//!
//! SSH connections are accepted in `Serving` only: on EC2 too, sshd is ordered after cloud-init's early stage.

/// Why a guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The daemon asked for it.
    Asked,
    /// `poweroff`, `halt` or `shutdown` in the guest.
    PowerOff,
    /// `reboot` in the guest.
    Reboot,
}

/// How far the boot has come once SSH is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalStage {
    /// User scripts are running.
    Runs,
    /// Nothing is left of the boot.
    Done,
}

/// What process 1 is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Host keys, users and files are being put in place.
    Early,
    /// SSH is up.
    Serving(FinalStage),
    /// Processes are asked to end.
    Stopping(Why),
    /// Process 1 may exit.
    Ended(Why),
}

/// What can happen to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The boot agent's early stage ended, well or badly.
    EarlyStageDone,
    /// The boot agent's final stage ended.
    FinalStageDone,
    /// Something wants the guest to end.
    End(Why),
    /// No process is left but process 1.
    NoProcessLeft,
    /// The time for ending in order is over.
    OutOfTime,
}

impl Phase {
    /// The phase after `event`. What does not apply in a phase leaves it as it is: a boot agent may finish while the guest stops,
    /// and there are moments without processes all through a boot.
    #[must_use]
    pub fn after(self, event: Event) -> Phase {
        match (self, event) {
            (Phase::Early, Event::EarlyStageDone) => Phase::Serving(FinalStage::Runs),
            (Phase::Serving(_), Event::FinalStageDone) => Phase::Serving(FinalStage::Done),
            (Phase::Early | Phase::Serving(_), Event::End(why)) => Phase::Stopping(why),
            (Phase::Stopping(why), Event::NoProcessLeft | Event::OutOfTime) => Phase::Ended(why),
            (phase, _) => phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::EarlyStageDone),
            Just(Event::FinalStageDone),
            Just(Event::NoProcessLeft),
            Just(Event::OutOfTime),
            prop_oneof![Just(Why::Asked), Just(Why::PowerOff), Just(Why::Reboot)]
                .prop_map(Event::End),
        ]
    }

    proptest! {
        #[test]
        fn ssh_is_served_only_between_the_early_stage_and_the_end(events in prop::collection::vec(event(), 0..12)) {
            let phase = events.iter().fold(Phase::Early, |phase, event| phase.after(*event));
            let early = events.iter().position(|e| *e == Event::EarlyStageDone);
            let end = events.iter().position(|e| matches!(e, Event::End(_)));
            prop_assert_eq!(matches!(phase, Phase::Serving(_)), early.is_some() && end.is_none());
        }

        #[test]
        fn the_first_reason_to_end_is_kept(events in prop::collection::vec(event(), 0..12)) {
            let phase = events.iter().fold(Phase::Early, |phase, event| phase.after(*event));
            let first = events.iter().find_map(|e| if let Event::End(why) = e { Some(*why) } else { None });
            match phase {
                Phase::Stopping(why) | Phase::Ended(why) => prop_assert_eq!(Some(why), first),
                Phase::Early | Phase::Serving(_) => prop_assert_eq!(first, None),
            }
        }
    }
}

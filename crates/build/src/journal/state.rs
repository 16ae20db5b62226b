//! From records to what is known. Pure.

use super::effect::{Effect, Outcome};
use super::record::{EffectNumber, FORMAT_VERSION, Invocation, Record, RunStatus};
use crate::names::{CellName, RunId};
use cloud::{RegionName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

impl Opened {
    /// Whether the run was begun at this endpoint. The local EC2 may come up on another port, and is the same.
    pub fn is_at(&self, endpoint: Option<&str>) -> bool {
        const LOCAL: &str = "http://127.0.0.1:";
        match (self.endpoint.as_deref(), endpoint) {
            (Some(then), Some(now)) if then.starts_with(LOCAL) => now.starts_with(LOCAL),
            (then, now) => then == now,
        }
    }
}

/// How far an effect has come; the diagram is in the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectState {
    /// It was about to be tried and nothing more is known: it may have happened.
    InFlight,
    /// EC2 refused it.
    NotDone,
    /// No answer came: it may have happened.
    Unknown,
    /// It happened.
    Done(Outcome),
    /// What it made is gone.
    Undone,
    /// What it made stays for a person.
    Kept(Outcome),
    /// What it made is part of the result.
    Delivered(Outcome),
}

impl EffectState {
    /// What the effect made, if that is known.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Done(outcome) | Self::Kept(outcome) | Self::Delivered(outcome) => Some(outcome),
            Self::InFlight | Self::NotDone | Self::Unknown | Self::Undone => None,
        }
    }

    /// Whether the effect has happened, or may have, and was neither undone, kept nor delivered.
    pub fn may_stand(&self) -> bool {
        matches!(self, Self::InFlight | Self::Unknown | Self::Done(_))
    }

    /// The state after `record`; none if that record cannot follow.
    fn next(&self, record: &Record) -> Option<Self> {
        Some(match (self, record) {
            // What was not known was looked up: it had happened, or it had not.
            (Self::InFlight | Self::Unknown, Record::Succeeded { outcome, .. }) => {
                Self::Done(outcome.clone())
            }
            (Self::InFlight | Self::Unknown, Record::Refused { .. }) => Self::NotDone,
            (Self::InFlight | Self::Unknown, Record::Unanswered { .. }) => Self::Unknown,
            (
                Self::InFlight | Self::Unknown | Self::Done(_) | Self::Kept(_),
                Record::Undone { .. },
            ) => Self::Undone,
            (
                Self::InFlight | Self::Unknown | Self::Done(_) | Self::Kept(_),
                Record::UndoFailed { .. },
            ) => self.clone(),
            (Self::Done(outcome), Record::Kept { .. }) => Self::Kept(outcome.clone()),
            (Self::Done(outcome), Record::Delivered { .. }) => Self::Delivered(outcome.clone()),
            _ => return None,
        })
    }
}

/// An effect and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectEntry {
    /// Which cell it belongs to.
    pub cell: CellName,
    /// What it is.
    pub effect: Effect,
    /// How far it has come.
    pub state: EffectState,
}

/// A record that cannot follow those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum IllegalRecord {
    #[error("the journal does not begin with its opening record")]
    NotOpened,
    #[error("the journal is opened a second time")]
    OpenedTwice,
    #[error(
        "the journal has format {found}, and this qib reads format {FORMAT_VERSION} and older: use the qib that wrote it, or a later one"
    )]
    NewerFormat { found: u32 },
    #[error("effect {0:?} is begun a second time or out of order")]
    OutOfOrder(EffectNumber),
    #[error("a record is about effect {0:?}, which was never begun")]
    NeverBegun(EffectNumber),
    #[error("effect {number:?} cannot come to `{record}` from {state}")]
    Impossible {
        number: EffectNumber,
        state: String,
        record: String,
    },
    #[error("a record follows the closing one")]
    AfterClose,
    #[error("a run that succeeded is taken up again")]
    ResumedAfterSuccess,
}

/// What the opening record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The run.
    pub run: RunId,
    /// The pipeline's name.
    pub pipeline: String,
    /// Its file.
    pub file: String,
    /// The account.
    pub account: String,
    /// The main region.
    pub region: String,
    /// The endpoint, if it is not AWS's own.
    pub endpoint: Option<String>,
    /// When.
    pub at: Timestamp,
    /// How it was asked for.
    pub invocation: Invocation,
}

/// What a journal says: the run, its effects, and whether it has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalState {
    opened: Option<Opened>,
    effects: BTreeMap<EffectNumber, EffectEntry>,
    closed: Option<RunStatus>,
    resumed: Vec<Timestamp>,
}

impl JournalState {
    /// The state after `record`. On error the state is as before.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        if let Record::Opened {
            version,
            run,
            pipeline,
            file,
            account,
            region,
            endpoint,
            at,
            invocation,
        } = record
        {
            if self.opened.is_some() {
                return Err(IllegalRecord::OpenedTwice);
            }
            if *version > FORMAT_VERSION {
                return Err(IllegalRecord::NewerFormat { found: *version });
            }
            self.opened = Some(Opened {
                run: run.clone(),
                pipeline: pipeline.clone(),
                file: file.clone(),
                account: account.clone(),
                region: region.clone(),
                endpoint: endpoint.clone(),
                at: *at,
                invocation: invocation.clone(),
            });
            return Ok(());
        }
        if self.opened.is_none() {
            return Err(IllegalRecord::NotOpened);
        }
        // What was left or kept may be removed later, which changes how the run has ended; and a run that did not
        // succeed may be taken up again.
        let may_follow_the_end = matches!(
            record,
            Record::Undone { .. }
                | Record::UndoFailed { .. }
                | Record::Delivered { .. }
                | Record::Resumed { .. }
                | Record::Closed {
                    status: RunStatus::Swept,
                    ..
                }
        );
        if self.closed.is_some() && !may_follow_the_end {
            return Err(IllegalRecord::AfterClose);
        }
        match record {
            Record::Opened { .. } => Ok(()),
            Record::Resumed { at } => {
                if self.closed == Some(RunStatus::Succeeded) {
                    return Err(IllegalRecord::ResumedAfterSuccess);
                }
                self.closed = None;
                self.resumed.push(*at);
                Ok(())
            }
            Record::Intent {
                number,
                cell,
                effect,
                ..
            } => {
                if *number != self.next_number() {
                    return Err(IllegalRecord::OutOfOrder(*number));
                }
                let entry = EffectEntry {
                    cell: cell.clone(),
                    effect: effect.clone(),
                    state: EffectState::InFlight,
                };
                self.effects.insert(*number, entry);
                Ok(())
            }
            Record::Succeeded { number, .. }
            | Record::Refused { number, .. }
            | Record::Unanswered { number, .. }
            | Record::Undone { number }
            | Record::UndoFailed { number, .. }
            | Record::Kept { number }
            | Record::Delivered { number } => {
                let entry = self
                    .effects
                    .get_mut(number)
                    .ok_or(IllegalRecord::NeverBegun(*number))?;
                let next = entry
                    .state
                    .next(record)
                    .ok_or_else(|| IllegalRecord::Impossible {
                        number: *number,
                        state: format!("{:?}", entry.state),
                        record: format!("{record:?}"),
                    })?;
                entry.state = next;
                Ok(())
            }
            Record::Closed { status, .. } => {
                self.closed = Some(*status);
                Ok(())
            }
        }
    }

    /// The number that the next effect must have.
    pub fn next_number(&self) -> EffectNumber {
        EffectNumber(
            self.effects
                .last_key_value()
                .map_or(1, |(last, _)| last.0 + 1),
        )
    }

    /// The run, once the journal is opened.
    pub fn run(&self) -> Option<&RunId> {
        self.opened.as_ref().map(|opened| &opened.run)
    }

    /// When the run started.
    pub fn started(&self) -> Option<Timestamp> {
        self.opened.as_ref().map(|opened| opened.at)
    }

    /// The regions that the run works in, by its first record and its effects.
    pub fn regions(&self) -> BTreeSet<RegionName> {
        let opened = self
            .opened
            .iter()
            .map(|opened| RegionName::new(&opened.region));
        let effects = self
            .effects
            .values()
            .map(|entry| entry.effect.region().clone());
        opened.chain(effects).collect()
    }

    /// What the opening record says; none if the journal holds no whole record.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// When the run was taken up again, if it was.
    pub fn resumed(&self) -> &[Timestamp] {
        &self.resumed
    }

    /// All effects, in the order in which they were begun.
    pub fn effects(&self) -> impl DoubleEndedIterator<Item = (EffectNumber, &EffectEntry)> {
        self.effects.iter().map(|(number, entry)| (*number, entry))
    }

    /// The latest effect of `cell` that is `effect` and that has happened, or may have, and was not undone.
    pub fn earlier(
        &self,
        cell: &CellName,
        effect: &Effect,
    ) -> Option<(EffectNumber, &EffectEntry)> {
        self.effects().rev().find(|(_, entry)| {
            entry.cell == *cell && entry.state.may_stand() && effect.is(&entry.effect)
        })
    }

    /// How the run ended; none if it is still going, or died.
    pub fn closed(&self) -> Option<RunStatus> {
        self.closed
    }

    /// An effect.
    pub fn effect(&self, number: EffectNumber) -> Option<&EffectEntry> {
        self.effects.get(&number)
    }

    /// What must be undone, latest first: everything that left or may have left something, but what is part of the
    /// result or kept.
    pub fn outstanding(&self) -> Vec<(EffectNumber, &EffectEntry)> {
        self.remaining(EffectState::may_stand)
    }

    /// What stays for a person, latest first.
    pub fn kept(&self) -> Vec<(EffectNumber, &EffectEntry)> {
        self.remaining(|state| matches!(state, EffectState::Kept(_)))
    }

    /// What is part of the result.
    pub fn delivered(&self) -> Vec<&EffectEntry> {
        self.effects
            .values()
            .filter(|entry| matches!(entry.state, EffectState::Delivered(_)))
            .collect()
    }

    fn remaining(
        &self,
        wanted: impl Fn(&EffectState) -> bool,
    ) -> Vec<(EffectNumber, &EffectEntry)> {
        self.effects
            .iter()
            .rev()
            .filter(|(_, entry)| entry.effect.leaves_something() && wanted(&entry.state))
            .map(|(number, entry)| (*number, entry))
            .collect()
    }
}

#[cfg(test)]
mod tests;

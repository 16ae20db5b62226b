//! The only way in which a step changes the account: intent, call, result; and undo through the same journal.

use crate::failure::StepError;
use crate::journal::{
    Effect, EffectNumber, EffectState, Journal, JournalError, JournalState, Outcome, Record,
    RunStatus,
};
use crate::names::{CellName, RunId};
use crate::report::LeftResource;
use crate::undo;
use cloud::{Account, Clock, CloudError, ErrorKind};
use std::sync::Arc;

/// Does effects for one run and writes them down.
#[derive(Clone)]
pub struct Effects {
    run: RunId,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    account: Arc<dyn Account>,
    /// The endpoint that the commands in messages must name, if it is not AWS's own.
    endpoint: Option<String>,
}

/// What an effect made, and its number in the journal.
#[derive(Clone, Debug)]
pub struct Made<T> {
    /// Its number in the journal.
    pub number: EffectNumber,
    /// What the call gave.
    pub value: T,
}

impl Effects {
    /// Effects of `run`, written to `journal`.
    pub fn new(
        run: RunId,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
        account: Arc<dyn Account>,
        endpoint: Option<String>,
    ) -> Self {
        Self {
            run,
            journal,
            clock,
            account,
            endpoint,
        }
    }

    /// The run whose effects these are.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Announces `effect`. The caller must then settle it.
    pub fn announce(&self, cell: &CellName, effect: Effect) -> Result<EffectNumber, JournalError> {
        self.journal.intend(cell, effect, self.clock.now())
    }

    /// Records how the effect `number` ended.
    pub fn settle<T>(
        &self,
        number: EffectNumber,
        result: &Result<T, CloudError>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> Result<(), JournalError> {
        match result {
            Ok(value) => self.journal.succeeded(number, outcome(value)),
            Err(error) if error.kind == ErrorKind::Transient => {
                self.journal.append(&Record::Unanswered {
                    number,
                    error: error.to_string(),
                })
            }
            Err(error) => self.journal.append(&Record::Refused {
                number,
                error: error.to_string(),
            }),
        }
    }

    /// Announces `effect`, does it with `call`, and records how it ended. Never interrupted in between: a call that
    /// creates something is short, and giving it up half-way would leave open what it made.
    pub async fn make<T>(
        &self,
        cell: &CellName,
        effect: Effect,
        call: impl Future<Output = Result<T, CloudError>>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> Result<Made<T>, StepError> {
        let number = self.announce(cell, effect)?;
        let result = call.await;
        self.settle(number, &result, outcome)?;
        Ok(Made {
            number,
            value: result?,
        })
    }

    /// Removes what effect `number` made, if it is still there, and records it.
    pub async fn unmake(&self, number: EffectNumber) -> Result<(), StepError> {
        let state = self.journal.state();
        let Some(entry) = state.effect(number) else {
            return Ok(());
        };
        if matches!(entry.state, EffectState::Undone | EffectState::NotDone) {
            return Ok(());
        }
        let region = self.account.region(entry.effect.region());
        let result = undo::undo(
            region.as_ref(),
            self.clock.as_ref(),
            &self.run,
            &entry.cell,
            &entry.effect,
            &entry.state,
        )
        .await;
        match result {
            Ok(()) => self
                .journal
                .append(&Record::Undone { number })
                .map_err(StepError::from),
            Err(error) => {
                self.journal.append(&Record::UndoFailed {
                    number,
                    error: error.to_string(),
                })?;
                Err(error.into())
            }
        }
    }

    /// Leaves what effect `number` made for a person to look at.
    pub fn keep(&self, number: EffectNumber) -> Result<(), JournalError> {
        self.journal.append(&Record::Kept { number })
    }

    /// Declares what effect `number` made to be part of the result.
    pub fn deliver(&self, number: EffectNumber) -> Result<(), JournalError> {
        self.journal.append(&Record::Delivered { number })
    }

    /// Undoes everything outstanding of `cell` (of all cells if none is given), latest first. Gives what could not be
    /// removed.
    pub async fn unmake_all(&self, cell: Option<&CellName>) -> Vec<LeftResource> {
        let state = self.journal.state();
        let mut left = Vec::new();
        for (number, entry) in state.outstanding() {
            if cell.is_some_and(|cell| entry.cell != *cell) {
                continue;
            }
            if let Err(error) = self.unmake(number).await {
                left.push(undo::left_resource(
                    &entry.effect,
                    &entry.state,
                    error.to_string(),
                    self.endpoint.as_deref(),
                ));
            }
        }
        left
    }

    /// What the journal says now.
    pub fn state(&self) -> JournalState {
        self.journal.state()
    }

    /// The image of `cell` that is part of the result: its id and name.
    pub fn delivered(&self, cell: &CellName) -> Option<(String, String)> {
        let state = self.journal.state();
        state
            .delivered()
            .into_iter()
            .find_map(|entry| match (&entry.effect, &entry.state) {
                (
                    Effect::CreateImage { name, .. },
                    EffectState::Delivered(Outcome::Image { id }),
                ) if entry.cell == *cell => Some((id.to_string(), name.clone())),
                _ => None,
            })
    }

    /// Ends the journal.
    pub fn close(&self, status: RunStatus) -> Result<(), JournalError> {
        self.journal.close(status, self.clock.now())
    }

    /// What is kept on purpose, as a person would remove it.
    pub fn kept(&self) -> Vec<LeftResource> {
        let state = self.journal.state();
        let kept = state.kept();
        kept.into_iter()
            .map(|(_, entry)| {
                let reason = String::from("kept by --keep-on-failure");
                undo::left_resource(
                    &entry.effect,
                    &entry.state,
                    reason,
                    self.endpoint.as_deref(),
                )
            })
            .collect()
    }
}

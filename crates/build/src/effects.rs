//! The only way in which a step changes the account: intent, call, result; and undo through the same journal.
//!
//! ```text
//!   make ─▶ did an earlier process do it? ── done ─────────────▶ its result
//!             │ no                 │ perhaps
//!             │                    └─▶ look ── there ──────────▶ its result
//!             ▼                          └── not there ─┐
//!          intent ─▶ call ── answer ───────────────────────────▶ result
//!             ▲        └── no answer ─▶ look ── there ─────────▶ result
//!             └──────────────────────────── not there
//! ```
//!
//! A call without an answer may have had its effect, so nothing is called again before one has looked. Which calls
//! without effect are repeated is the port's affair.

use crate::failure::StepError;
use crate::journal::{
    Effect, EffectNumber, EffectState, Journal, JournalError, JournalState, Outcome, Record,
    Recorded, RunStatus,
};
use crate::names::{CellName, RunId};
use crate::report::LeftResource;
use crate::undo::{self, Undone};
use cloud::{Account, Clock, CloudError, ErrorKind, ImageId, Region, RegionName};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a call that makes something and gets no answer is made, with a look before each repetition. The port does
/// not repeat such a call.
const TRIES: u32 = 4;
/// The pause before it is made again; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);

/// Does effects for one run and writes them down.
#[derive(Clone)]
pub struct Effects {
    run: RunId,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    account: Arc<dyn Account>,
    /// The endpoint that the commands in messages must name, if it is not AWS's own.
    endpoint: Option<String>,
    /// Why the journal could not be written while something was removed: the removal goes on nevertheless.
    unwritten: Arc<Mutex<Option<String>>>,
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
            unwritten: Arc::default(),
        }
    }

    /// A region of the account.
    pub fn region(&self, name: &RegionName) -> Arc<dyn Region> {
        self.account.region(name)
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
            Err(error) => self.refused(number, error.to_string()),
        }
    }

    /// Records that the effect `number` did not happen.
    pub fn refused(&self, number: EffectNumber, error: String) -> Result<(), JournalError> {
        self.journal.append(&Record::Refused { number, error })
    }

    /// Does `effect` once: with `call`, unless it was done before. Where it is not known whether it was done, because
    /// no answer came or the process that did it died, `find` looks before anything is called again.
    ///
    /// Never interrupted in between: a call that creates something is short, and giving it up half-way would leave open
    /// what it made.
    pub async fn make<T: Recorded>(
        &self,
        cell: &CellName,
        effect: Effect,
        mut call: impl AsyncFnMut() -> Result<T, CloudError>,
        mut find: impl AsyncFnMut() -> Result<Option<T>, CloudError>,
    ) -> Result<Made<T>, StepError> {
        let state = self.journal.state();
        if let Some((number, entry)) = state.earlier(cell, &effect) {
            if let Some(value) = entry.state.outcome().and_then(T::recorded) {
                return Ok(Made { number, value });
            }
            if let Some(value) = self.look(number, &mut find).await? {
                return Ok(Made { number, value });
            }
        }
        // With a client token the port has repeated it already.
        let most = match &effect {
            Effect::LaunchInstance { .. }
            | Effect::CopyImage { .. }
            | Effect::StartSnapshot { .. }
            | Effect::ImportSnapshot { .. } => 1,
            _ => TRIES,
        };
        let mut tries = 0;
        loop {
            let number = self.announce(cell, effect.clone())?;
            let result = call().await;
            self.settle(number, &result, T::outcome)?;
            tries += 1;
            match result {
                Ok(value) => return Ok(Made { number, value }),
                Err(error) if error.kind == ErrorKind::Transient && tries < most => {
                    if let Some(value) = self.look(number, &mut find).await? {
                        return Ok(Made { number, value });
                    }
                }
                Err(error) if error.kind == ErrorKind::Transient => {
                    // The last try. What does not show now may show later: it is left open, and undo looks again.
                    let found = undo::looked_for(self.clock.as_ref(), &mut find).await?;
                    let Some(value) = found else {
                        return Err(error.into());
                    };
                    self.journal.succeeded(number, value.outcome())?;
                    return Ok(Made { number, value });
                }
                Err(error) => return Err(error.into()),
            }
            self.clock.sleep(PAUSE * 2_u32.pow(tries)).await;
        }
    }

    /// Does `effect`, which is the same whether it is done once or twice, such as setting a tag. What an earlier
    /// process is known to have done is not done again.
    pub async fn set(
        &self,
        cell: &CellName,
        effect: Effect,
        mut call: impl AsyncFnMut() -> Result<(), CloudError>,
    ) -> Result<Made<()>, StepError> {
        const AGAIN: &str = "not known whether it was done: it is done again, which is the same";
        let state = self.journal.state();
        if let Some((number, entry)) = state.earlier(cell, &effect) {
            if entry.state.outcome().is_some() {
                return Ok(Made { number, value: () });
            }
            self.refused(number, AGAIN.to_owned())?;
        }
        let number = self.announce(cell, effect)?;
        let result = call().await;
        self.settle(number, &result, |()| Outcome::Done)?;
        result?;
        Ok(Made { number, value: () })
    }

    /// Finds out what became of effect `number`, and records it.
    async fn look<T: Recorded>(
        &self,
        number: EffectNumber,
        find: &mut impl AsyncFnMut() -> Result<Option<T>, CloudError>,
    ) -> Result<Option<T>, StepError> {
        let found = undo::looked_for(self.clock.as_ref(), find).await?;
        match &found {
            Some(value) => self.journal.succeeded(number, value.outcome())?,
            None => self.refused(number, String::from("looked for, and not there"))?,
        }
        Ok(found)
    }

    /// Removes what effect `number` made, if it is still there, and records it. An image that turns out to be complete
    /// is not removed but declared part of the result.
    pub async fn unmake(&self, number: EffectNumber) -> Result<(), StepError> {
        let state = self.journal.state();
        let Some(entry) = state.effect(number) else {
            return Ok(());
        };
        if matches!(
            entry.state,
            EffectState::Undone | EffectState::NotDone | EffectState::Delivered(_)
        ) {
            return Ok(());
        }
        let region = self.account.region(entry.effect.region());
        let result = undo::undo(
            region.as_ref(),
            self.account.iam().as_ref(),
            self.clock.as_ref(),
            &self.run,
            &entry.cell,
            &entry.effect,
            &entry.state,
        )
        .await;
        // What is removed is removed, also when that cannot be written down: on a full disk above all.
        match result {
            Ok(Undone::Gone) => {
                self.write_down(&Record::Undone { number });
                Ok(())
            }
            Ok(Undone::Complete(image)) => {
                if entry.state.outcome().is_none() {
                    self.write_down(&Record::Succeeded {
                        number,
                        outcome: image.outcome(),
                    });
                }
                self.write_down(&Record::Delivered { number });
                Ok(())
            }
            Err(error) => {
                self.write_down(&Record::UndoFailed {
                    number,
                    error: error.to_string(),
                });
                Err(error.into())
            }
        }
    }

    fn write_down(&self, record: &Record) {
        if let Err(error) = self.journal.append(record) {
            self.unwritten
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error.to_string());
        }
    }

    /// Why removals could not be written down, if so.
    pub fn unwritten(&self) -> Option<String> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
    /// removed, after [`undo::UNDO_ALL_TIME`] at the latest.
    pub async fn unmake_all(&self, cell: Option<&CellName>) -> Vec<LeftResource> {
        self.unmake_within(cell, undo::UNDO_ALL_TIME).await
    }

    /// The same once more for what resisted, which is not waited for as long again.
    pub async fn unmake_once_more(&self, cell: &CellName) -> Vec<LeftResource> {
        self.unmake_within(Some(cell), undo::ONCE_MORE_TIME).await
    }

    async fn unmake_within(&self, cell: Option<&CellName>, within: Duration) -> Vec<LeftResource> {
        let state = self.journal.state();
        let until = cloud::wait::deadline(self.clock.as_ref(), within);
        let mut left = Vec::new();
        for (number, entry) in state.outstanding() {
            if cell.is_some_and(|cell| entry.cell != *cell) {
                continue;
            }
            let allowed = cloud::clock::between(self.clock.now(), until);
            let undone = tokio::select! {
                biased;
                undone = self.unmake(number) => undone.map_err(|error| error.to_string()),
                () = self.clock.sleep(allowed) => Err(format!(
                    "the clean-up did not come to its end within {within:?}"
                )),
            };
            if let Err(why) = undone {
                left.push(undo::left_resource(
                    &entry.effect,
                    &entry.state,
                    why,
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

    /// The image of `cell` in `region` that is part of the result: its id and name. Of several the latest: one that
    /// another took the place of came before it.
    pub fn delivered(&self, cell: &CellName, region: &RegionName) -> Option<(String, String)> {
        let state = self.journal.state();
        state
            .delivered()
            .into_iter()
            .rev()
            .filter(|entry| entry.cell == *cell && entry.effect.region() == region)
            .find_map(|entry| match (entry.effect.makes_image(), &entry.state) {
                (Some(name), EffectState::Delivered(Outcome::Image { id })) => {
                    Some((id.to_string(), name.to_owned()))
                }
                _ => None,
            })
    }

    /// Declares the image `id` to be part of the result, and the snapshots that it was registered from, if the run made it.
    pub fn deliver_image(&self, region: &RegionName, id: &ImageId) -> Result<(), JournalError> {
        let state = self.journal.state();
        let made = state.effects().find(|(_, entry)| {
            entry.effect.region() == region
                && matches!(&entry.state, EffectState::Done(Outcome::Image { id: made }) if made == id)
        });
        let Some((number, entry)) = made else {
            return Ok(());
        };
        let cell = entry.cell.clone();
        if let Effect::RegisterImage { instance, .. } = &entry.effect {
            for (number, snapshots) in state.effects() {
                let of_image = matches!(
                    &snapshots.effect,
                    Effect::CreateSnapshots { instance: of, .. } if of == instance
                );
                if of_image
                    && snapshots.cell == cell
                    && matches!(snapshots.state, EffectState::Done(_))
                {
                    self.deliver(number)?;
                }
            }
        }
        if let Effect::RegisterSnapshot { snapshot, .. } = &entry.effect {
            // The image stands on what was imported for it, and on nothing else that the cell may have begun.
            let imported = state.effects().rev().find(|(_, imported)| {
                imported.cell == cell
                    && match (&imported.effect, &imported.state) {
                        (
                            Effect::StartSnapshot { .. },
                            EffectState::Done(Outcome::Snapshot { id }),
                        ) => id == snapshot,
                        _ => false,
                    }
            });
            let imported = imported.or_else(|| {
                state.effects().rev().find(|(_, imported)| {
                    imported.cell == cell
                        && matches!(imported.effect, Effect::ImportSnapshot { .. })
                        && matches!(imported.state, EffectState::Done(_))
                })
            });
            if let Some((number, _)) = imported {
                self.deliver(number)?;
            }
        }
        self.deliver(number)
    }

    /// Notes that the run was taken up again.
    pub fn resumed(&self) -> Result<(), JournalError> {
        let at = self.clock.now();
        self.journal.append(&Record::Resumed { at })
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

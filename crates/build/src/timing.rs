//! How long each step and provisioner of each cell took, and what it came to, from the run's events.
//!
//! ```text
//!   step-started ─▶ open ── step-finished ──────────────▶ passed
//!                     ├──── another step starts, failed ▶ failed, with the failure's message once that is told
//!   provisioner-started ─▶ open ── provisioner-finished ─▶ as that says
//!                            └──── the step fails ─▶ failed
//! ```

use crate::event::{Event, Step};
use crate::names::CellName;
use crate::report::{ReportedStep, StepOutcome};
use cloud::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The steps of a run so far.
#[derive(Debug, Default)]
pub struct StepLog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    open: HashMap<CellName, Open>,
    ended: Vec<ReportedStep>,
}

#[derive(Debug)]
struct Open {
    step: Step,
    begun: Timestamp,
    provisioner: Option<(String, Timestamp)>,
}

impl StepLog {
    /// Takes note of an event that happens at `now`.
    pub fn note(&self, event: &Event, now: Timestamp) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StepStarted { cell, step } => {
                log.close(cell, StepOutcome::Failed, now);
                let open = Open {
                    step: *step,
                    begun: now,
                    provisioner: None,
                };
                log.open.insert(cell.clone(), open);
            }
            Event::StepFinished { cell, .. } => log.close(cell, StepOutcome::Passed, now),
            Event::ProvisionerStarted { cell, provisioner } => {
                log.close_provisioner(cell, StepOutcome::Passed, now);
                if let Some(open) = log.open.get_mut(cell) {
                    open.provisioner = Some((provisioner.clone(), now));
                }
            }
            Event::ProvisionerSkipped {
                cell,
                provisioner,
                needs,
            } => {
                log.close_provisioner(cell, StepOutcome::Passed, now);
                let reason = format!("this guest has not what it needs: {}", needs.join(", "));
                let skipped = Some(provisioner.clone());
                let step = row(cell, Step::Provision, skipped, 0.0, StepOutcome::Skipped);
                log.ended.push(ReportedStep {
                    reason: Some(reason),
                    ..step
                });
            }
            Event::ProvisionerFinished {
                cell,
                outcome,
                reason,
                ..
            } => log.end_provisioner(cell, *outcome, reason.as_deref(), now),
            Event::Failed {
                cell, step, error, ..
            } => log.fail(cell, *step, error, now),
            Event::Skipped { cell, reason } => {
                let step = row(cell, Step::Resolve, None, 0.0, StepOutcome::Skipped);
                log.ended.push(ReportedStep {
                    reason: Some(reason.clone()),
                    ..step
                });
            }
            Event::Started { .. }
            | Event::Note { .. }
            | Event::Warning { .. }
            | Event::Output { .. }
            | Event::ImageProgress { .. }
            | Event::Transfer { .. }
            | Event::Cached { .. }
            | Event::Built { .. }
            | Event::Paused { .. }
            | Event::Finished(_) => {}
        }
    }

    /// Every step that has ended, in the order in which they ended.
    pub fn ended(&self) -> Vec<ReportedStep> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut steps = log.ended.clone();
        for step in &mut steps {
            if step.outcome == StepOutcome::Failed && step.reason.is_none() {
                // Of a cell that fails on its own the failure is told.
                step.reason = Some(String::from("stopped on request"));
            }
        }
        steps
    }
}

impl Log {
    fn close(&mut self, cell: &CellName, outcome: StepOutcome, now: Timestamp) {
        self.close_provisioner(cell, outcome, now);
        if let Some(open) = self.open.remove(cell) {
            let took = between(open.begun, now);
            self.ended.push(row(cell, open.step, None, took, outcome));
        }
    }

    /// A provisioner's own end. One that was skipped has been noted when that was said.
    fn end_provisioner(
        &mut self,
        cell: &CellName,
        outcome: StepOutcome,
        reason: Option<&str>,
        now: Timestamp,
    ) {
        let before = self.ended.len();
        self.close_provisioner(cell, outcome, now);
        if let (Some(ended), Some(reason)) = (self.ended.get_mut(before), reason) {
            ended.reason = Some(reason.to_owned());
        }
    }

    fn close_provisioner(&mut self, cell: &CellName, outcome: StepOutcome, now: Timestamp) {
        if let Some(open) = self.open.get_mut(cell)
            && let Some((name, begun)) = open.provisioner.take()
        {
            let step = open.step;
            self.ended
                .push(row(cell, step, Some(name), between(begun, now), outcome));
        }
    }

    fn fail(&mut self, cell: &CellName, step: Step, error: &str, now: Timestamp) {
        if self.open.get(cell).is_some_and(|open| open.step == step) {
            self.close(cell, StepOutcome::Failed, now);
        }
        let mut known = false;
        for ended in &mut self.ended {
            if ended.stage == cell.stage
                && ended.cell == cell.cell
                && ended.step == step.name()
                && ended.outcome == StepOutcome::Failed
                && ended.reason.is_none()
            {
                ended.reason = Some(error.to_owned());
                known = true;
            }
        }
        if !known {
            self.ended.push(ReportedStep {
                reason: Some(error.to_owned()),
                ..row(cell, step, None, 0.0, StepOutcome::Failed)
            });
        }
    }
}

fn between(begun: Timestamp, now: Timestamp) -> f64 {
    cloud::clock::between(begun, now).as_secs_f64()
}

fn row(
    cell: &CellName,
    step: Step,
    provisioner: Option<String>,
    seconds: f64,
    outcome: StepOutcome,
) -> ReportedStep {
    ReportedStep {
        stage: cell.stage.clone(),
        cell: cell.cell.clone(),
        step: step.name().to_owned(),
        provisioner,
        seconds,
        outcome,
        reason: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> CellName {
        CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        }
    }

    fn log(events: Vec<(i64, Event)>) -> Vec<(String, Option<String>, f64, StepOutcome)> {
        let log = StepLog::default();
        for (at, event) in events {
            log.note(&event, Timestamp::from_second(at).unwrap());
        }
        log.ended()
            .into_iter()
            .map(|step| {
                (
                    step.step,
                    step.provisioner.or(step.reason),
                    step.seconds,
                    step.outcome,
                )
            })
            .collect()
    }

    fn started(step: Step) -> Event {
        Event::StepStarted { cell: cell(), step }
    }

    fn finished(step: Step) -> Event {
        Event::StepFinished { cell: cell(), step }
    }

    fn provisioner(name: &str) -> Event {
        Event::ProvisionerStarted {
            cell: cell(),
            provisioner: name.into(),
        }
    }

    fn failed(step: Step) -> Event {
        Event::Failed {
            cell: cell(),
            step,
            error: "it broke".into(),
            hint: None,
        }
    }

    #[test]
    fn steps_and_provisioners_have_their_times() {
        let seen = log(vec![
            (0, started(Step::Launch)),
            (7, finished(Step::Launch)),
            (8, started(Step::Provision)),
            (8, provisioner("one")),
            (11, provisioner("two")),
            (20, finished(Step::Provision)),
        ]);
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(
            seen,
            [
                ("launch".into(), None, 7.0, StepOutcome::Passed),
                ("provision".into(), some("one"), 3.0, StepOutcome::Passed),
                ("provision".into(), some("two"), 9.0, StepOutcome::Passed),
                ("provision".into(), None, 12.0, StepOutcome::Passed),
            ]
        );
    }

    #[test]
    fn a_failure_ends_where_the_clean_up_begins_and_has_its_message() {
        let log = StepLog::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        log.note(&started(Step::Provision), at(0));
        log.note(&provisioner("one"), at(1));
        log.note(&started(Step::CleanUp), at(5));
        log.note(&finished(Step::CleanUp), at(9));
        log.note(&failed(Step::Provision), at(9));
        let ended = log.ended();
        let rows: Vec<_> = ended
            .iter()
            .map(|step| {
                (
                    step.step.as_str(),
                    step.provisioner.as_deref(),
                    step.seconds,
                    step.reason.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("provision", Some("one"), 4.0, Some("it broke")),
                ("provision", None, 5.0, Some("it broke")),
                ("clean-up", None, 4.0, None),
            ]
        );
    }

    #[test]
    fn a_step_that_was_given_up_says_so_and_one_that_never_began_is_there() {
        let seen = log(vec![
            (0, started(Step::Stop)),
            (3, started(Step::CleanUp)),
            (4, finished(Step::CleanUp)),
        ]);
        assert_eq!(seen[0].1.as_deref(), Some("stopped on request"));
        let seen = log(vec![(0, failed(Step::Resolve))]);
        assert_eq!(
            seen,
            [(
                "resolve".into(),
                Some("it broke".into()),
                0.0,
                StepOutcome::Failed
            )]
        );
    }
}

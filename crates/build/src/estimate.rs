//! How long what is still to be done will take, from earlier runs of the same pipeline on this machine.
//!
//! `durations.json` in the state folder has the last times of each step that succeeded, by place, pipeline and stage. It
//! is a statistic: two runs that end at the same moment may lose one's entry, and a file that cannot be read counts as
//! none.

use crate::options::Venue;
use crate::report::{Report, ReportedStep, StepOutcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

const FILE_NAME: &str = "durations.json";
/// So many times of each step are kept.
const KEPT: usize = 5;

/// How long the steps of earlier runs took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Durations(BTreeMap<String, StageDurations>);

/// How long the steps of one stage took, in the order in which they are done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageDurations(Vec<StepDurations>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StepDurations {
    step: String,
    /// In seconds, the latest last.
    seconds: Vec<f64>,
}

impl Durations {
    /// Reads them; none if there are none, or they cannot be read.
    pub fn read(state_dir: &Path) -> Self {
        std::fs::read(state_dir.join(FILE_NAME))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Adds what `report` says of cells that were built, and writes them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn record(
        state_dir: &Path,
        venue: Venue,
        pipeline: &str,
        report: &Report,
    ) -> io::Result<()> {
        let mut all = Self::read(state_dir);
        let before = all.clone();
        all.add(venue, pipeline, report);
        if all == before {
            return Ok(());
        }
        let path = state_dir.join(FILE_NAME);
        // Written beside and renamed, so that nobody ever reads half a file.
        let partial = state_dir.join(format!("{FILE_NAME}.{}", report.run));
        std::fs::write(&partial, serde_json::to_vec_pretty(&all)?)?;
        std::fs::rename(&partial, &path)
    }

    /// The steps of a stage.
    pub fn of(&self, venue: Venue, pipeline: &str, stage: &str) -> Option<&StageDurations> {
        self.0.get(&key(venue, pipeline, stage))
    }

    fn add(&mut self, venue: Venue, pipeline: &str, report: &Report) {
        for image in report.images.iter().filter(|image| !image.cached) {
            let of_cell = |stage: &str, cell: &str| stage == image.stage && cell == image.cell;
            if report
                .failures
                .iter()
                .any(|failure| of_cell(&failure.stage, &failure.cell))
            {
                continue;
            }
            let steps = report
                .steps
                .iter()
                .filter(|step| of_cell(&step.stage, &step.cell));
            self.0
                .entry(key(venue, pipeline, &image.stage))
                .or_default()
                .add(steps);
        }
    }
}

/// Rehearsals take a small part of the time: they are kept apart.
fn key(venue: Venue, pipeline: &str, stage: &str) -> String {
    let place = match venue {
        Venue::Aws => "aws",
        Venue::Rehearsal => "local",
    };
    format!("{place}/{pipeline}/{stage}")
}

impl StageDurations {
    fn add<'s>(&mut self, steps: impl Iterator<Item = &'s ReportedStep>) {
        let mut next = 0;
        for step in steps {
            if step.provisioner.is_some() || step.outcome != StepOutcome::Passed {
                continue;
            }
            let known = self.0.iter().position(|one| one.step == step.step);
            let at = known.unwrap_or_else(|| {
                let new = StepDurations {
                    step: step.step.clone(),
                    seconds: Vec::new(),
                };
                self.0.insert(next, new);
                next
            });
            let seconds = &mut self.0[at].seconds;
            seconds.push(step.seconds);
            let surplus = seconds.len().saturating_sub(KEPT);
            seconds.drain(..surplus);
            next = at + 1;
        }
    }

    /// How long it takes to the end of the stage from the step that is under way since `elapsed`. None if nothing is
    /// known of this step.
    pub fn remaining(&self, step: &str, elapsed: Duration) -> Option<Duration> {
        let at = self.0.iter().position(|one| one.step == step)?;
        let mut steps = self.0[at..].iter().filter_map(StepDurations::median);
        let present = steps.next()?.saturating_sub(elapsed);
        Some(steps.fold(present, Duration::saturating_add))
    }
}

impl StepDurations {
    fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<f64> = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len().checked_sub(1)? / 2;
        // A file may hold what no clock ever told.
        Duration::try_from_secs_f64(sorted[middle]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RunId;
    use crate::report::{ExitCode, ReportedFailure, ReportedImage};

    fn image(cell: &str, cached: bool) -> ReportedImage {
        ReportedImage {
            stage: "base".into(),
            cell: cell.into(),
            region: "us-east-2".into(),
            image_id: "ami-1".into(),
            name: "n".into(),
            cached,
            skipped: Vec::new(),
            matrix: BTreeMap::new(),
            source_image: None,
            snapshots: Vec::new(),
            tags: BTreeMap::new(),
            copies: Vec::new(),
        }
    }

    fn report(cells: &[(&str, bool)], steps: &[(&str, &str, f64)]) -> Report {
        Report {
            status: "succeeded",
            run: RunId::from_random(1),
            images: cells
                .iter()
                .map(|(cell, cached)| image(cell, *cached))
                .collect(),
            skipped_preflight: Vec::new(),
            failures: Vec::new(),
            skipped: Vec::new(),
            kept: Vec::new(),
            ways_in: Vec::new(),
            left_behind: Vec::new(),
            steps: steps
                .iter()
                .map(|(cell, step, seconds)| ReportedStep {
                    stage: "base".into(),
                    cell: (*cell).into(),
                    step: (*step).into(),
                    provisioner: None,
                    seconds: *seconds,
                    outcome: StepOutcome::Passed,
                    reason: None,
                })
                .collect(),
            exit: ExitCode::Done,
        }
    }

    fn remaining(all: &Durations, step: &str, elapsed: u64) -> Option<u64> {
        let stage = all.of(Venue::Aws, "p", "base")?;
        let left = stage.remaining(step, Duration::from_secs(elapsed))?;
        Some(left.as_secs())
    }

    #[test]
    fn the_middle_of_the_last_five_counts_and_nothing_is_negative() {
        let dir = tempfile::tempdir().unwrap();
        for (launch, image) in [
            (900, 900),
            (10, 60),
            (20, 70),
            (30, 80),
            (40, 90),
            (500, 999),
        ] {
            let report = report(
                &[("a", false)],
                &[
                    ("a", "launch", f64::from(launch)),
                    ("a", "create-image", f64::from(image)),
                ],
            );
            Durations::record(dir.path(), Venue::Aws, "p", &report).unwrap();
        }
        let all = Durations::read(dir.path());
        assert_eq!(remaining(&all, "launch", 0), Some(30 + 80));
        assert_eq!(remaining(&all, "launch", 12), Some(18 + 80));
        assert_eq!(remaining(&all, "launch", 99), Some(80));
        assert_eq!(remaining(&all, "create-image", 81), Some(0));
        assert_eq!(remaining(&all, "share", 0), None);
        assert!(all.of(Venue::Rehearsal, "p", "base").is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_what_was_built_and_did_not_fail_counts() {
        let steps = [("a", "resolve", 5.0)];
        let mut all = Durations::default();
        all.add(Venue::Aws, "p", &report(&[("a", true)], &steps));
        all.add(Venue::Aws, "p", &report(&[("b", false)], &steps));
        assert_eq!(remaining(&all, "resolve", 0), None);
        let mut failed = report(&[("a", false)], &steps);
        failed.failures.push(ReportedFailure {
            stage: "base".into(),
            cell: "a".into(),
            region: "us-east-2".into(),
            step: "share".into(),
            error: String::new(),
            hint: None,
        });
        all.add(Venue::Aws, "p", &failed);
        assert_eq!(remaining(&all, "resolve", 0), None);
        all.add(Venue::Aws, "p", &report(&[("a", false)], &steps));
        assert_eq!(remaining(&all, "resolve", 0), Some(5));
    }

    #[test]
    fn a_step_that_is_new_has_its_place() {
        let mut all = Durations::default();
        for steps in [
            vec![("a", "launch", 1.0), ("a", "share", 4.0)],
            vec![
                ("a", "launch", 1.0),
                ("a", "stop", 2.0),
                ("a", "share", 4.0),
            ],
        ] {
            all.add(Venue::Aws, "p", &report(&[("a", false)], &steps));
        }
        assert_eq!(remaining(&all, "launch", 0), Some(7));
        assert_eq!(remaining(&all, "stop", 0), Some(6));
    }

    #[test]
    fn a_file_that_cannot_be_read_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "{\"aws/p/base\": 7}").unwrap();
        assert_eq!(Durations::read(dir.path()), Durations::default());
        std::fs::write(
            dir.path().join(FILE_NAME),
            r#"{"aws/p/base": [{"step":"launch","seconds":[-7.0]}]}"#,
        )
        .unwrap();
        assert_eq!(remaining(&Durations::read(dir.path()), "launch", 0), None);
    }
}

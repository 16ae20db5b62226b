//! A whole run: the account, the journal, the cells in the order of their sources, and what is said at the end.
//!
//! ```text
//!  identity ─▶ journal ─▶ preflight ─▶ leases ─▶ names free? ─▶ ┌ cell: source ─▶ cache? ──hit──▶ reuse ─┐
//!                                 one in each      in each     │                   └──miss─▶ build ─────┼─▶ outputs ─▶ report
//!                                   region         region      └ a cell starts when its source is there ┘
//!                                                                            │ failure or cancellation
//!                                                                            └─▶ undo of that cell, latest effect first (or keep)
//! ```

mod aftermath;
mod cell;
mod collisions;
mod convert;
mod copy;
mod credentials;
mod decided;
mod finished;
mod import;
mod layer;
mod leases;
mod outputs;
mod preflight;
mod publication;
mod recovery;
mod schedule;
mod tools;

use crate::cancel::{Cancellation, Cancelled};
use crate::effects::Effects;
use crate::estimate::Durations;
use crate::event::{Event, StartedCell, Step};
use crate::failure::{CellFailure, StepError};
use crate::journal::{Journal, JournalReader, Opened, Opening, RunDirectory};
use crate::lease::Leases;
use crate::mask::Mask;
use crate::names::{CellName, RunId};
use crate::options::{RunOptions, Venue};
use crate::ports::Ports;
use crate::report::*;
use crate::selection::{Selection, Why};
use crate::steps::{Pollers, RunContext};
use crate::timing::StepLog;
use cloud::CallerIdentity;
use pipeline::Loaded;
use pipeline::model::Pipeline;
use schedule::{Results, run_cells};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use convert::{PLANNED_RUN, cell_spec_for, copy_spec_for, planned_facts};

/// Does one run, whatever happens to its end: the report says what is there, what failed and what is left.
pub async fn run(
    loaded: Arc<Loaded>,
    run: RunId,
    options: RunOptions,
    ports: Ports,
    cancellation: Cancellation,
) -> Report {
    conduct(Start::New, loaded, run, options, ports, cancellation).await
}

/// Goes on with a run whose process died, from the last effect that its journal says was finished.
pub async fn resume(
    loaded: Arc<Loaded>,
    run: RunId,
    options: RunOptions,
    ports: Ports,
    cancellation: Cancellation,
) -> Report {
    conduct(Start::Again, loaded, run, options, ports, cancellation).await
}

/// Whether a run begins, or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    New,
    Again,
}

async fn conduct(
    start: Start,
    loaded: Arc<Loaded>,
    run: RunId,
    options: RunOptions,
    ports: Ports,
    cancellation: Cancellation,
) -> Report {
    let pipeline = &loaded.pipeline;
    let mask = Mask::new(
        loaded
            .values
            .secrets()
            .map(pipeline::template::Secret::expose),
    );
    let asked = Asked {
        start,
        loaded: &loaded,
        run: &run,
        options: &options,
        ports: &ports,
        cancellation: &cancellation,
        mask: &mask,
    };
    let choice = &options.cells.choice;
    let selection = match Selection::choose(pipeline, &options.region, choice) {
        Ok(selection) => selection,
        Err(error) => return asked.never_begun(error.into()),
    };
    let (context, identity) = match asked.begin(&selection).await {
        Ok(begun) => begun,
        Err(error) => return asked.never_begun(error),
    };
    let context = Arc::new(context);
    let prepared = preflight::prepare(&context, start, loaded.clone(), &identity).await;
    let (loaded, skipped) = match prepared {
        Ok(prepared) => (prepared.loaded, prepared.skipped),
        Err(error) => {
            let results = without_cells(&context, pipeline, Step::Preflight, error);
            return finish(pipeline, &context, results).await;
        }
    };
    let pipeline = &loaded.pipeline;
    // What preflight has made may be part of what is built: the cells are those of the pipeline as it is now.
    let selection = match Selection::choose(pipeline, &options.region, choice) {
        Ok(selection) => selection,
        Err(error) => {
            let results = without_cells(&context, pipeline, Step::Resolve, error.into());
            return finish(pipeline, &context, results).await;
        }
    };
    let work = async {
        let mut results = build(&selection, &context, &identity, pipeline).await;
        results.skipped_preflight = skipped;
        finish(pipeline, &context, results).await
    };
    // Also while the run clears up after itself: whoever takes it for dead would do the same at the same time.
    tokio::select! {
        biased;
        report = work => report,
        never = leases::keep_renewing(&context) => match never {},
    }
}

/// Everything between the run's first record and its end.
async fn build(
    selection: &Selection<'_>,
    context: &Arc<RunContext>,
    identity: &CallerIdentity,
    pipeline: &Pipeline,
) -> Results {
    let unusable = match leases::begin(context, selection).await {
        Ok(unusable) => unusable,
        Err(error) => return without_cells(context, pipeline, Step::Resolve, error),
    };
    credentials::warn_if_short(context, selection).await;
    let dead = recovery::find(context, identity.account.as_str());
    recovery::finish_available_images(context, &dead).await;
    let work = async {
        match collisions::find(selection, &unusable, context, identity).await {
            Some(results) => results,
            None => run_cells(selection, &unusable, context, identity).await,
        }
    };
    let (results, ()) = futures::join!(work, recovery::clear(context, dead));
    results
}

/// What a run comes to that failed before its first cell.
fn without_cells(
    context: &RunContext,
    pipeline: &Pipeline,
    step: Step,
    error: StepError,
) -> Results {
    if let StepError::Cancelled(why) = error {
        return Results {
            cancelled: Some(why),
            ..Results::default()
        };
    }
    let hint = match (step, &error) {
        // It ran here: there is no guest to keep.
        (Step::Preflight, StepError::Provisioner { .. }) => None,
        _ => error.hint(),
    };
    let region = &context.options.region;
    let cell = CellName {
        stage: pipeline.name.to_string(),
        cell: match step {
            Step::Preflight => preflight::CELL.to_owned(),
            _ => region.to_string(),
        },
    };
    let mut results = Results::default();
    let failure = CellFailure::new(cell, step, error);
    results.fail(context, failure, region, hint);
    results
}

/// What was asked for.
struct Asked<'a> {
    start: Start,
    loaded: &'a Loaded,
    run: &'a RunId,
    options: &'a RunOptions,
    ports: &'a Ports,
    cancellation: &'a Cancellation,
    mask: &'a Mask,
}

impl Asked<'_> {
    async fn begin(
        &self,
        selection: &Selection<'_>,
    ) -> Result<(RunContext, CallerIdentity), StepError> {
        let Self {
            loaded,
            run,
            options,
            ports,
            cancellation,
            ..
        } = *self;
        let pipeline = &loaded.pipeline;
        cancellation
            .race(tools::look(pipeline, options.venue, ports))
            .await??;
        let identity = cancellation.race(ports.account.caller_identity()).await??;
        ports.observer.observe(&Event::Started {
            run: run.clone(),
            pipeline: pipeline.name.to_string(),
            account: identity.account.to_string(),
            identity: identity.arn.clone(),
            // Shown where it is known; who cannot say it says nothing.
            credentials_end: ports.account.credentials_expiry().await.ok().flatten(),
            region: options.region.to_string(),
            rehearsal: options.venue == Venue::Rehearsal,
            cells: selection
                .cells
                .iter()
                .map(|chosen| StartedCell {
                    cell: chosen.name.clone(),
                    region: chosen.region.to_string(),
                    needed_by: match &chosen.why {
                        Why::Asked => None,
                        Why::NeededBy(cell) => Some(cell.to_string()),
                    },
                })
                .collect(),
        });
        let directory = RunDirectory::of(&options.state_dir, run);
        let watch = ports.journal_watch.clone();
        let (journal, started) = match self.start {
            Start::New => {
                let started = ports.clock.now();
                let opening = Opening {
                    pipeline: pipeline.name.to_string(),
                    file: loaded.file.display().to_string(),
                    account: identity.account.to_string(),
                    region: options.region.to_string(),
                    endpoint: options.endpoint.clone(),
                    invocation: options.invocation.clone(),
                };
                let journal = Journal::create(&directory, run, opening, started, watch)?;
                (journal, started)
            }
            Start::Again => {
                let journal = Journal::reopen(&directory, run, watch)?;
                let state = journal.state();
                let opened = state.opened().ok_or(StepError::CannotGoOn {
                    why: String::from(
                        "its journal ends before its first record: nothing was begun",
                    ),
                })?;
                refuse_another_account(opened, &identity, options)?;
                (journal, opened.at)
            }
        };
        let journal = Arc::new(journal);
        let effects = Effects::new(
            run.clone(),
            journal,
            ports.clock.clone(),
            ports.account.clone(),
            options.endpoint.clone(),
        );
        if self.start == Start::Again {
            effects.resumed()?;
        }
        let context = RunContext {
            options: options.clone(),
            effects,
            cancellation: cancellation.clone(),
            mask: self.mask.clone(),
            directory,
            folder: folder_of(&loaded.file),
            pipeline: pipeline.name.to_string(),
            started,
            leases: Leases::default(),
            pollers: Pollers::new(ports.clock.clone()),
            steps: StepLog::default(),
            ports: ports.clone(),
        };
        Ok((context, identity))
    }

    /// The report of a run that ended before it could create anything.
    fn never_begun(&self, error: StepError) -> Report {
        let Self {
            loaded,
            run,
            options,
            ports,
            cancellation,
            mask,
            ..
        } = *self;
        let pipeline = &loaded.pipeline;
        let hint = error.hint();
        // A folder that cannot be written or another account's run are the caller's to mend.
        let by_caller = matches!(
            error,
            StepError::Journal(_)
                | StepError::OtherAccount { .. }
                | StepError::CannotGoOn { .. }
                | StepError::Selection(_)
                | StepError::NoAnsible { .. }
        ) || matches!(&error, StepError::Import(error) if error.is_bad_input());
        let cell = CellName {
            stage: pipeline.name.to_string(),
            cell: options.region.to_string(),
        };
        let failure = CellFailure::new(cell.clone(), Step::Resolve, error);
        let message = mask.apply(&failure.message()).into_owned();
        let exit = match exit_code(cancellation.requested(), true, false) {
            ExitCode::Failed if by_caller => ExitCode::BadInput,
            other => other,
        };
        ports.observer.observe(&Event::Failed {
            cell: cell.clone(),
            step: Step::Resolve,
            error: message.clone(),
            hint: hint.clone(),
        });
        let report = Report {
            status: exit.status().as_str(),
            run: run.clone(),
            images: Vec::new(),
            skipped_preflight: Vec::new(),
            failures: vec![ReportedFailure {
                stage: cell.stage,
                cell: cell.cell,
                region: options.region.to_string(),
                step: Step::Resolve.name().to_owned(),
                error: message,
                hint,
            }],
            skipped: Vec::new(),
            kept: Vec::new(),
            ways_in: Vec::new(),
            left_behind: Vec::new(),
            steps: Vec::new(),
            exit,
        };
        ports.observer.observe(&Event::Finished(report.clone()));
        report
    }
}

/// The folder of the pipeline's file.
fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        // A name alone is in the folder that qib is called in.
        Some(_) | None => PathBuf::from("."),
    }
}

/// What a run made lies in one account, at one endpoint: with other credentials nothing of it would be found.
fn refuse_another_account(
    opened: &Opened,
    identity: &CallerIdentity,
    options: &RunOptions,
) -> Result<(), StepError> {
    let found = identity.account.as_str();
    if opened.account == found && opened.is_at(options.endpoint.as_deref()) {
        return Ok(());
    }
    let at = |endpoint: &Option<String>| {
        endpoint
            .as_ref()
            .map(|url| format!(" at {url}"))
            .unwrap_or_default()
    };
    Err(StepError::OtherAccount {
        wanted: opened.account.clone(),
        wanted_at: at(&opened.endpoint),
        found: found.to_owned(),
        found_at: at(&options.endpoint),
    })
}

async fn finish(pipeline: &Pipeline, context: &Arc<RunContext>, mut results: Results) -> Report {
    // Cells undo after themselves; what is outstanding now belongs to none, or resisted and is tried once more.
    let resisted = leases::end(context).await;
    let mut left_behind = resisted;
    left_behind.retain(|resource| !resource.id.is_empty());
    let cancelled = results.cancelled.or(context.cancellation.requested());
    let make_report = |results: &Results, left_behind: Vec<LeftResource>| {
        let exit = exit_code(
            cancelled,
            !results.failures.is_empty(),
            !left_behind.is_empty(),
        );
        Report {
            status: exit.status().as_str(),
            run: context.effects.run().clone(),
            images: results.images.clone(),
            skipped_preflight: results.skipped_preflight.clone(),
            failures: results.failures.clone(),
            skipped: results.skipped.clone(),
            kept: context.effects.kept(),
            ways_in: results.ways_in.clone(),
            left_behind,
            steps: context.steps.ended(),
            exit,
        }
    };
    let draft = make_report(&results, left_behind.clone());
    for (output, error) in outputs::write_all(pipeline, context, &draft) {
        let cell = CellName {
            stage: pipeline.name.to_string(),
            cell: output,
        };
        let failure = CellFailure::new(cell, Step::Outputs, *error);
        results.fail(context, failure, &context.options.region, None);
    }
    if let Some(why) = context.effects.unwritten() {
        let cell = CellName {
            stage: pipeline.name.to_string(),
            cell: String::from("journal"),
        };
        let text = format!(
            "what was removed could not be written down: {why} `qib runs` and `qib sweep` may look for it once more."
        );
        context.tell(Event::Warning { cell, text });
    }
    let report = make_report(&results, left_behind);
    if let Err(error) = context.effects.close(report.exit.status()) {
        let cell = CellName {
            stage: pipeline.name.to_string(),
            cell: String::from("journal"),
        };
        context.tell(Event::Warning {
            cell,
            text: error.to_string(),
        });
    }
    let state_dir = &context.options.state_dir;
    let venue = context.options.venue;
    if let Err(error) = Durations::record(state_dir, venue, &context.pipeline, &report) {
        let cell = CellName {
            stage: pipeline.name.to_string(),
            cell: String::from("durations"),
        };
        let text = format!("how long the steps took could not be written down: {error}");
        context.tell(Event::Warning { cell, text });
    }
    context.tell(Event::Finished(report.clone()));
    report
}

fn exit_code(cancelled: Option<Cancelled>, failed: bool, left: bool) -> ExitCode {
    match (left, cancelled, failed) {
        (true, _, _) => ExitCode::LeftBehind,
        (false, Some(Cancelled::Interrupted), _) => ExitCode::Interrupted,
        (false, Some(Cancelled::Terminated), _) => ExitCode::Terminated,
        (false, None, true) => ExitCode::Failed,
        (false, None, false) => ExitCode::Done,
    }
}

/// What a run that is being given up holds at this moment, from its journal alone.
pub fn left_now(state_dir: &Path, run: &RunId, endpoint: Option<&str>) -> Vec<LeftResource> {
    let Ok(state) = JournalReader::read(&RunDirectory::of(state_dir, run)) else {
        return Vec::new();
    };
    let outstanding = state.outstanding();
    outstanding
        .into_iter()
        .map(|(_, entry)| {
            crate::undo::left_resource(
                &entry.effect,
                &entry.state,
                String::from("the run was given up before it was removed"),
                endpoint,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_before_all_other_exit_codes() {
        assert_eq!(
            exit_code(Some(Cancelled::Interrupted), true, true),
            ExitCode::LeftBehind
        );
        assert_eq!(
            exit_code(Some(Cancelled::Terminated), true, false),
            ExitCode::Terminated
        );
        assert_eq!(exit_code(None, true, false), ExitCode::Failed);
        assert_eq!(exit_code(None, false, false), ExitCode::Done);
    }
}

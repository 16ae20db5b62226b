//! A whole run: the account, the journal, the stages in the order of their sources, and what is said at the end.
//!
//! ```text
//!  identity ─▶ journal ─▶ preflight ─▶ ┌ stage: source ─▶ cache? ──hit──▶ reuse ─┐
//!                                      │                    └──miss─▶ build ─────┼─▶ outputs ─▶ report
//!                                      └ a stage starts when its source is known ┘
//!                                                     │ failure or cancellation
//!                                                     └─▶ undo of that cell, latest effect first (or keep)
//! ```

mod convert;
mod copy;
mod credentials;
mod leases;
mod outputs;
mod preflight;
mod recovery;
mod stage;
mod tools;

use crate::cancel::{Cancellation, Cancelled};
use crate::effects::Effects;
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::journal::{Journal, JournalReader, Opened, Opening, RunDirectory};
use crate::lease::Leases;
use crate::mask::Mask;
use crate::names::{CellName, RunId};
use crate::options::{RunOptions, Venue};
use crate::ports::Ports;
use crate::report::*;
use crate::steps::RunContext;
use cloud::{CallerIdentity, Region};
use futures::stream::{FuturesUnordered, StreamExt};
use pipeline::Loaded;
use pipeline::model::{Pipeline, Source};
use stage::{StageOutcome, run_stage};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use convert::{cell_name, cell_spec_for, copy_spec_for, plan_facts};

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
    let begun = begin(
        start,
        &loaded,
        &run,
        &options,
        &ports,
        &cancellation,
        mask.clone(),
    )
    .await;
    let (context, identity) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            return never_begun(pipeline, run, &options, &ports, &mask, &cancellation, error);
        }
    };
    let context = Arc::new(context);
    let prepared = preflight::prepare(&context, start, loaded.clone(), &identity).await;
    let (loaded, skipped) = match prepared {
        Ok(prepared) => (prepared.loaded, prepared.skipped),
        Err(error) => {
            let results = without_stages(&context, pipeline, Step::Preflight, error);
            return finish(pipeline, &context, results).await;
        }
    };
    let pipeline = &loaded.pipeline;
    let work = async {
        let mut results = match leases::begin(&context, pipeline).await {
            Ok(()) => {
                credentials::warn_if_short(&context, pipeline).await;
                let dead = recovery::find(&context, identity.account.as_str());
                recovery::finish_available_images(&context, &dead).await;
                let stages = run_stages(pipeline, &context, &identity);
                let (results, ()) = futures::join!(stages, recovery::clear(&context, dead));
                results
            }
            Err(error) => without_stages(&context, pipeline, Step::Resolve, error),
        };
        results.skipped_preflight = skipped;
        finish(pipeline, &context, results).await
    };
    // Also while the run clears up after itself: whoever takes it for dead would do the same at the same time.
    tokio::select! {
        report = work => report,
        never = leases::keep_renewing(&context) => match never {},
    }
}

/// What a run comes to that failed before its first stage.
fn without_stages(
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
    let hint = error.hint();
    let cell = CellName {
        stage: pipeline.name.to_string(),
        cell: match step {
            Step::Preflight => preflight::CELL.to_owned(),
            _ => context.options.region.to_string(),
        },
    };
    let failure = CellFailure::new(cell, step, error);
    let message = context.masked(&failure.message());
    context.tell(Event::Failed {
        cell: failure.cell.clone(),
        step: failure.step,
        error: message.clone(),
        hint: hint.clone(),
    });
    Results {
        failures: vec![ReportedFailure {
            stage: failure.cell.stage,
            cell: failure.cell.cell,
            step: failure.step.name().to_owned(),
            error: message,
            hint,
        }],
        ..Results::default()
    }
}

/// What the stages came to.
#[derive(Default)]
struct Results {
    images: Vec<ReportedImage>,
    skipped_preflight: Vec<String>,
    failures: Vec<ReportedFailure>,
    ways_in: Vec<WayIn>,
    left_behind: Vec<LeftResource>,
    cancelled: Option<Cancelled>,
}

async fn begin(
    start: Start,
    loaded: &Loaded,
    run: &RunId,
    options: &RunOptions,
    ports: &Ports,
    cancellation: &Cancellation,
    mask: Mask,
) -> Result<(RunContext, CallerIdentity), StepError> {
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
    });
    let directory = RunDirectory::of(&options.state_dir, run);
    let watch = ports.journal_watch.clone();
    let (journal, started) = match start {
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
                why: String::from("its journal ends before its first record: nothing was begun"),
            })?;
            refuse_another_account(opened, &identity, options)?;
            (journal, opened.at)
        }
    };
    let journal = Arc::new(journal);
    let region = ports.account.region(&options.region);
    let effects = Effects::new(
        run.clone(),
        journal,
        ports.clock.clone(),
        ports.account.clone(),
        options.endpoint.clone(),
    );
    if start == Start::Again {
        effects.resumed()?;
    }
    let context = RunContext {
        options: options.clone(),
        effects,
        cancellation: cancellation.clone(),
        mask,
        directory,
        folder: folder_of(&loaded.file),
        pipeline: pipeline.name.to_string(),
        started,
        leases: Leases::default(),
        instances: cloud::wait::instance_poller(region.clone(), ports.clock.clone()),
        images: cloud::wait::image_poller(region, ports.clock.clone()),
        ports: ports.clone(),
    };
    Ok((context, identity))
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

/// The report of a run that ended before it could create anything.
fn never_begun(
    pipeline: &Pipeline,
    run: RunId,
    options: &RunOptions,
    ports: &Ports,
    mask: &Mask,
    cancellation: &Cancellation,
    error: StepError,
) -> Report {
    let hint = error.hint();
    // A folder that cannot be written or another account's run are the caller's to mend.
    let by_caller = matches!(
        error,
        StepError::Journal(_)
            | StepError::OtherAccount { .. }
            | StepError::CannotGoOn { .. }
            | StepError::NoAnsible { .. }
    );
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
        run,
        images: Vec::new(),
        skipped_preflight: Vec::new(),
        failures: vec![ReportedFailure {
            stage: cell.stage,
            cell: cell.cell,
            step: Step::Resolve.name().to_owned(),
            error: message,
            hint,
        }],
        kept: Vec::new(),
        ways_in: Vec::new(),
        left_behind: Vec::new(),
        steps: Vec::new(),
        exit,
    };
    ports.observer.observe(&Event::Finished(report.clone()));
    report
}

/// Runs every stage as soon as its source is known. One stage's failure stops those that start from it, and no others.
async fn run_stages(
    pipeline: &Pipeline,
    context: &Arc<RunContext>,
    identity: &CallerIdentity,
) -> Results {
    let region: Arc<dyn Region> = context.ports.account.region(&context.options.region);
    let mut results = Results::default();
    let mut done: HashMap<String, cloud::Image> = HashMap::new();
    let mut waiting: Vec<_> = pipeline.stages.iter().collect();
    let mut running = FuturesUnordered::new();
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) =
            waiting
                .into_iter()
                .partition(|stage| match &stage.source.value {
                    Source::Stage(name) => done.contains_key(name.as_str()),
                    _ => true,
                });
        waiting = rest;
        for stage in ready {
            let source = match &stage.source.value {
                Source::Stage(name) => done.get(name.as_str()).cloned(),
                _ => None,
            };
            running.push(run_stage(
                context.clone(),
                region.clone(),
                stage,
                source,
                identity,
            ));
        }
        let Some((stage, outcome)) = running.next().await else {
            break;
        };
        match outcome {
            StageOutcome::Done { image, reported } => {
                done.insert(stage.to_owned(), image);
                results.images.push(reported);
            }
            StageOutcome::Failed {
                failure,
                delivered,
                way_in,
                left,
            } => {
                results.images.extend(delivered);
                results.ways_in.extend(way_in);
                results.left_behind.extend(left);
                if let StepError::Cancelled(why) = *failure.error {
                    results.cancelled.get_or_insert(why);
                } else {
                    let message = context.masked(&failure.message());
                    // Whoever asked to keep the instance has it already.
                    let hint = if results.ways_in.is_empty() {
                        failure.error.hint()
                    } else {
                        None
                    };
                    context.tell(Event::Failed {
                        cell: failure.cell.clone(),
                        step: failure.step,
                        error: message.clone(),
                        hint: hint.clone(),
                    });
                    results.failures.push(ReportedFailure {
                        stage: failure.cell.stage,
                        cell: failure.cell.cell,
                        step: failure.step.name().to_owned(),
                        error: message,
                        hint,
                    });
                }
            }
        }
    }
    results
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
            kept: context.effects.kept(),
            ways_in: results.ways_in.clone(),
            left_behind,
            steps: Vec::new(),
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
        let message = context.masked(&failure.message());
        context.tell(Event::Failed {
            cell: failure.cell.clone(),
            step: Step::Outputs,
            error: message.clone(),
            hint: None,
        });
        results.failures.push(ReportedFailure {
            stage: failure.cell.stage,
            cell: failure.cell.cell,
            step: Step::Outputs.name().to_owned(),
            error: message,
            hint: None,
        });
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

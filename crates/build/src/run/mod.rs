//! A whole run: the account, the journal, the stages in the order of their sources, and what is said at the end.
//!
//! ```text
//!  identity ─▶ journal ─▶ ┌ stage: source ─▶ cache? ──hit──▶ reuse ─┐
//!                         │                    └──miss─▶ build ─────┼─▶ outputs ─▶ report
//!                         └ a stage starts when its source is known ┘
//!                                        │ failure or cancellation
//!                                        └─▶ undo of that cell, latest effect first (or keep)
//! ```

mod convert;
mod outputs;
mod stage;

use crate::cancel::{Cancellation, Cancelled};
use crate::effects::Effects;
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::journal::{Journal, JournalReader, Opening, RunDirectory};
use crate::lease::{release_lease, renew};
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
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use convert::{cell_name, cell_spec_for, plan_facts};

/// How often a held lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// Does one run, whatever happens to its end: the report says what is there, what failed and what is left.
pub async fn run(
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
    let begun = begin(&loaded, &run, &options, &ports, &cancellation, mask.clone()).await;
    let (context, identity) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            return never_begun(pipeline, run, &options, &ports, &mask, &cancellation, error);
        }
    };
    let context = Arc::new(context);
    let results = {
        let stages = run_stages(pipeline, &context, &identity);
        tokio::select! {
            results = stages => results,
            never = renew_leases(&context) => match never {},
        }
    };
    finish(pipeline, &context, results).await
}

/// What the stages came to.
#[derive(Default)]
struct Results {
    images: Vec<ReportedImage>,
    failures: Vec<ReportedFailure>,
    ways_in: Vec<WayIn>,
    left_behind: Vec<LeftResource>,
    cancelled: Option<Cancelled>,
}

async fn begin(
    loaded: &Loaded,
    run: &RunId,
    options: &RunOptions,
    ports: &Ports,
    cancellation: &Cancellation,
    mask: Mask,
) -> Result<(RunContext, CallerIdentity), StepError> {
    let pipeline = &loaded.pipeline;
    let identity = cancellation.race(ports.account.caller_identity()).await??;
    ports.observer.observe(&Event::Started {
        run: run.clone(),
        pipeline: pipeline.name.to_string(),
        account: identity.account.to_string(),
        identity: identity.arn.clone(),
        region: options.region.to_string(),
        rehearsal: options.venue == Venue::Rehearsal,
    });
    let directory = RunDirectory::of(&options.state_dir, run);
    let started = ports.clock.now();
    let opening = Opening {
        pipeline: pipeline.name.to_string(),
        file: loaded.file.display().to_string(),
        account: identity.account.to_string(),
        region: options.region.to_string(),
        endpoint: options.endpoint.clone(),
    };
    let journal = Arc::new(Journal::create(&directory, run, opening, started)?);
    let region = ports.account.region(&options.region);
    let effects = Effects::new(
        run.clone(),
        journal,
        ports.clock.clone(),
        ports.account.clone(),
        options.endpoint.clone(),
    );
    let context = RunContext {
        options: options.clone(),
        effects,
        cancellation: cancellation.clone(),
        mask,
        directory,
        pipeline: pipeline.name.to_string(),
        started,
        leases: Mutex::new(BTreeMap::new()),
        instances: cloud::wait::instance_poller(region.clone(), ports.clock.clone()),
        images: cloud::wait::image_poller(region, ports.clock.clone()),
        ports: ports.clone(),
    };
    Ok((context, identity))
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
    let cell = CellName {
        stage: pipeline.name.to_string(),
        cell: options.region.to_string(),
    };
    let failure = CellFailure::new(cell.clone(), Step::Resolve, error);
    let message = mask.apply(&failure.message()).into_owned();
    let exit = exit_code(cancellation.requested(), true, false);
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
                    Source::ImageId(_) | Source::Filter { .. } => true,
                });
        waiting = rest;
        for stage in ready {
            let source = match &stage.source.value {
                Source::Stage(name) => done.get(name.as_str()).cloned(),
                Source::ImageId(_) | Source::Filter { .. } => None,
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

/// Renews the leases that the run holds, for as long as it is polled.
async fn renew_leases(context: &RunContext) -> std::convert::Infallible {
    let region = context.ports.account.region(&context.options.region);
    loop {
        context.ports.clock.sleep(RENEW_EVERY).await;
        let held: Vec<_> = context
            .leases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        for mut lease in held {
            // A renewal that fails is tried again in time: a holder counts as dead only after four misses.
            if renew(region.as_ref(), &mut lease).await.is_err() {
                continue;
            }
            let given_back = {
                let mut leases = context
                    .leases
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                match leases.get_mut(&lease.name) {
                    Some(known) => {
                        *known = lease.clone();
                        false
                    }
                    None => true,
                }
            };
            // Given back while it was renewed: the renewal has made it anew. If this fails, waiters take it over after
            // two minutes.
            if given_back
                && let Err(error) =
                    release_lease(region.as_ref(), &lease.name, context.effects.run()).await
            {
                let cell = CellName {
                    stage: context.pipeline.clone(),
                    cell: lease.name.clone(),
                };
                context.tell(Event::Warning {
                    cell,
                    text: error.to_string(),
                });
            }
        }
    }
}

async fn finish(pipeline: &Pipeline, context: &Arc<RunContext>, mut results: Results) -> Report {
    // Cells undo after themselves; what is outstanding now belongs to none, or resisted and is tried once more.
    let resisted = context.effects.unmake_all(None).await;
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
            failures: results.failures.clone(),
            kept: context.effects.kept(),
            ways_in: results.ways_in.clone(),
            left_behind,
            exit,
        }
    };
    let draft = make_report(&results, left_behind.clone());
    if let Err((output, error)) = outputs::write_all(pipeline, context, &draft) {
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

//! Which cell is run when.
//!
//! ```text
//!   waiting ── its source is done, and fewer than `jobs` run ──▶ running ──▶ done
//!      │                                                            └──────▶ failed
//!      ├── its source failed or was skipped ───────▶ skipped
//!      ├── another failed, under --fail-fast ──────▶ skipped
//!      └── the run is to stop ─────────────────────▶ skipped
//! ```
//!
//! One cell's failure stops those that start from it, and no others.

use super::cell::{CellOutcome, run_cell};
use super::leases::Unusable;
use crate::cancel::Cancelled;
use crate::event::{Event, Step};
use crate::failure::{CellFailure, StepError};
use crate::options::AfterFailure;
use crate::report::{ReportedFailure, ReportedImage, ReportedSkip, WayIn};
use crate::selection::{ChosenCell, Selection};
use crate::steps::RunContext;
use cloud::{CallerIdentity, Image, ImageFilter, ImageId, RegionName};
use futures::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;

/// What the cells came to.
#[derive(Default)]
pub(super) struct Results {
    pub(super) images: Vec<ReportedImage>,
    /// Entries of `preflight` that a rehearsal left out.
    pub(super) skipped_preflight: Vec<String>,
    pub(super) failures: Vec<ReportedFailure>,
    pub(super) skipped: Vec<ReportedSkip>,
    pub(super) ways_in: Vec<WayIn>,
    pub(super) cancelled: Option<Cancelled>,
}

/// How far a cell is.
enum State {
    Waiting,
    Running,
    /// Its image, and where copies of it are.
    Done(Box<Image>, Vec<(RegionName, ImageId)>),
    /// There is none to start from.
    Without,
}

/// Why a cell that waits will not run.
enum Hindrance {
    Source(String),
    FailFast(String),
    Stopped,
}

impl Hindrance {
    fn describe(&self) -> String {
        match self {
            Self::Source(cell) => format!("it starts from {cell}, of which there is no image"),
            Self::FailFast(cell) => {
                format!("{cell} failed, and --fail-fast lets no other cell begin")
            }
            Self::Stopped => String::from("the run was stopped before it began"),
        }
    }
}

/// Runs the cells.
pub(super) async fn run_cells(
    selection: &Selection<'_>,
    unusable: &Unusable,
    context: &Arc<RunContext>,
    identity: &CallerIdentity,
) -> Results {
    let cells = &selection.cells;
    let jobs = context.options.cells.jobs.get();
    let mut results = Results::default();
    let mut states: Vec<State> = cells.iter().map(|_| State::Waiting).collect();
    let mut first_failed: Option<String> = None;
    let mut running = FuturesUnordered::new();
    loop {
        for at in 0..cells.len() {
            if let State::Waiting = states[at]
                && let Some(why) =
                    hindrance(selection, &states, at, &first_failed, context, &results)
            {
                states[at] = State::Without;
                results.skip(context, &cells[at], &why);
            }
        }
        while running.len() < jobs
            && let Some(at) = next(selection, &states)
        {
            let source = cells[at].source.and_then(|source| match &states[source] {
                State::Done(image, copies) => Some(Source {
                    image: image.clone(),
                    copies: copies.clone(),
                    region: cells[source].region.clone(),
                }),
                State::Waiting | State::Running | State::Without => None,
            });
            states[at] = State::Running;
            let work = start(context.clone(), unusable, &cells[at], source, identity);
            running.push(async move { (at, work.await) });
        }
        let Some((at, outcome)) = running.next().await else {
            results.sort(selection);
            return results;
        };
        let failed = matches!(outcome, CellOutcome::Failed { .. });
        states[at] = results.add(context, &cells[at], outcome);
        if failed && context.options.cells.after_failure == AfterFailure::NoneBegins {
            first_failed.get_or_insert_with(|| cells[at].name.to_string());
        }
    }
}

/// The first cell that waits and can run.
fn next(selection: &Selection<'_>, states: &[State]) -> Option<usize> {
    let is_ready = |at: &usize| {
        matches!(states[*at], State::Waiting)
            && selection.cells[*at]
                .source
                .is_none_or(|source| matches!(states[source], State::Done(..)))
    };
    (0..states.len()).find(is_ready)
}

fn hindrance(
    selection: &Selection<'_>,
    states: &[State],
    at: usize,
    first_failed: &Option<String>,
    context: &RunContext,
    results: &Results,
) -> Option<Hindrance> {
    if results.cancelled.is_some() || context.cancellation.requested().is_some() {
        return Some(Hindrance::Stopped);
    }
    if let Some(source) = selection.cells[at].source
        && let State::Without = states[source]
    {
        return Some(Hindrance::Source(selection.cells[source].name.to_string()));
    }
    first_failed.clone().map(Hindrance::FailFast)
}

/// The image that a cell starts from, and where it is.
struct Source {
    image: Box<Image>,
    copies: Vec<(RegionName, ImageId)>,
    region: RegionName,
}

async fn start(
    context: Arc<RunContext>,
    unusable: &Unusable,
    chosen: &ChosenCell<'_>,
    source: Option<Source>,
    identity: &CallerIdentity,
) -> CellOutcome {
    let failed = |error: StepError| CellOutcome::Failed {
        failure: CellFailure::new(chosen.name.clone(), Step::Resolve, error),
        delivered: None,
        way_in: None,
    };
    if let Some(error) = unusable.get(&chosen.region) {
        return failed(error.clone().into());
    }
    let source = match source {
        None => None,
        Some(source) if source.region == chosen.region => Some(*source.image),
        Some(source) => match copy_in(&context, chosen, &source).await {
            Ok(image) => Some(image),
            Err(error) => return failed(error),
        },
    };
    run_cell(context, chosen, source, identity).await
}

/// The copy of the source's image in the region of the cell that starts from it.
async fn copy_in(
    context: &RunContext,
    chosen: &ChosenCell<'_>,
    source: &Source,
) -> Result<Image, StepError> {
    let there = source
        .copies
        .iter()
        .find(|(region, _)| *region == chosen.region);
    let missing = || StepError::NoImageMatches {
        region: chosen.region.to_string(),
        wanted: format!("a copy of {} of {}", source.image.image_id, source.region),
    };
    let (_, id) = there.ok_or_else(missing)?;
    let filter = ImageFilter {
        image_ids: vec![id.clone()],
        ..ImageFilter::default()
    };
    let region = context.ports.account.region(&chosen.region);
    let found = region.images(&filter).await?;
    found.into_iter().next().ok_or_else(missing)
}

impl Results {
    /// In the order of the cells, not that in which they ended: what is written about two runs must be alike.
    fn sort(&mut self, selection: &Selection<'_>) {
        let place = |stage: &str, cell: &str| {
            let mut cells = selection.cells.iter();
            cells.position(|one| one.name.stage == stage && one.name.cell == cell)
        };
        self.images
            .sort_by_key(|image| place(&image.stage, &image.cell));
        self.failures
            .sort_by_key(|failure| place(&failure.stage, &failure.cell));
        self.skipped
            .sort_by_key(|skip| place(&skip.stage, &skip.cell));
    }

    fn add(
        &mut self,
        context: &RunContext,
        chosen: &ChosenCell<'_>,
        outcome: CellOutcome,
    ) -> State {
        match outcome {
            CellOutcome::Done { image, reported } => {
                let copies = reported.copies.iter();
                let copies = copies.filter_map(|copy| {
                    let id = copy.image_id.as_ref()?;
                    Some((RegionName::new(&copy.region), ImageId::new(id)))
                });
                let copies = copies.collect();
                self.images.push(reported);
                State::Done(image, copies)
            }
            CellOutcome::Failed {
                failure,
                delivered,
                way_in,
            } => {
                self.images.extend(delivered.map(|image| *image));
                if let StepError::Cancelled(why) = *failure.error {
                    self.cancelled.get_or_insert(why);
                } else {
                    // Whoever asked to keep the instance has it already.
                    let hint = match &way_in {
                        Some(_) => None,
                        None => failure.error.hint(),
                    };
                    self.fail(context, failure, &chosen.region, hint);
                }
                self.ways_in.extend(way_in);
                State::Without
            }
        }
    }

    /// Tells of a failure and notes it.
    pub(super) fn fail(
        &mut self,
        context: &RunContext,
        failure: CellFailure,
        region: &RegionName,
        hint: Option<String>,
    ) {
        let message = context.masked(&failure.message());
        context.tell(Event::Failed {
            cell: failure.cell.clone(),
            step: failure.step,
            error: message.clone(),
            hint: hint.clone(),
        });
        self.failures.push(ReportedFailure {
            stage: failure.cell.stage,
            cell: failure.cell.cell,
            region: region.to_string(),
            step: failure.step.name().to_owned(),
            error: message,
            hint,
        });
    }

    fn skip(&mut self, context: &RunContext, chosen: &ChosenCell<'_>, why: &Hindrance) {
        self.skip_because(context, chosen, why.describe());
    }

    /// Tells that a cell is not built and notes it.
    pub(super) fn skip_because(
        &mut self,
        context: &RunContext,
        chosen: &ChosenCell<'_>,
        reason: String,
    ) {
        let reason = context.masked(&reason);
        context.tell(Event::Skipped {
            cell: chosen.name.clone(),
            reason: reason.clone(),
        });
        self.skipped.push(ReportedSkip {
            stage: chosen.name.stage.clone(),
            cell: chosen.name.cell.clone(),
            region: chosen.region.to_string(),
            reason,
        });
    }
}

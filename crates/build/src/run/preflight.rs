//! What a pipeline does on this machine before anything is created in the account.
//!
//! ```text
//!  loaded, with files that may not be there yet ─▶ entries, one after another ─▶ the pipeline is loaded again
//!                                                        │ failure                   │ a file is still not there
//!                                                        ▼                           ▼
//!                                             the run fails (exit 1); there is nothing to undo
//! ```
//!
//! A run that is taken up again does not do it once more if it has come to its first effect: then it was done, and what it
//! made is on this machine's disk.

use super::Start;
use super::convert::provision;
use crate::failure::StepError;
use crate::names::CellName;
use crate::options::Venue;
use crate::spec::ActionSpec;
use crate::steps::provision::environment::{About, AttemptId, List};
use crate::steps::provision::limit::{Limit, attempts};
use crate::steps::provision::local::run_local;
use crate::steps::provision::wait_for::wait_on_host;
use crate::steps::provision::{Attempt, skips, told};
use crate::steps::{CellContext, RunContext};
use cloud::CallerIdentity;
use pipeline::Loaded;
use pipeline::model::{LocalFile, Pipeline, Presence};
use pipeline::template::{RunFacts, Secret};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands in place of a cell's name in events.
pub(super) const CELL: &str = "preflight";

/// A pipeline whose files are there.
pub(super) struct Prepared {
    pub(super) loaded: Arc<Loaded>,
    /// The entries that a rehearsal skipped.
    pub(super) skipped: Vec<String>,
}

/// Does what has to be done before the stages.
pub(super) async fn prepare(
    context: &Arc<RunContext>,
    start: Start,
    loaded: Arc<Loaded>,
    identity: &CallerIdentity,
) -> Result<Prepared, StepError> {
    let rehearsal = context.options.venue == Venue::Rehearsal;
    let begun_before = start == Start::Again && context.effects.state().effects().next().is_some();
    let mut prepared = Prepared {
        loaded,
        skipped: Vec::new(),
    };
    if !prepared.loaded.pipeline.preflight.is_empty() && !begun_before {
        prepared.skipped = run_entries(context, &prepared.loaded.pipeline, identity).await?;
        let again = context.ports.host.pipeline.read_again();
        let again = again.map_err(|reason| StepError::ReadAgain { reason })?;
        context.mask.add(again.values.secrets().map(Secret::expose));
        prepared.loaded = Arc::new(again);
    }
    let missing = missing(&prepared.loaded.pipeline, rehearsal);
    if missing.is_empty() {
        Ok(prepared)
    } else {
        Err(StepError::NotMade {
            files: missing.into_iter().collect::<Vec<_>>().join(", "),
        })
    }
}

/// The files that `preflight` was to make, that are used, and that are not there.
fn missing(pipeline: &Pipeline, rehearsal: bool) -> BTreeSet<String> {
    let used = pipeline
        .stages
        .iter()
        .flat_map(|cell| cell.files(rehearsal));
    used.filter(|file| file.presence == Presence::ToBeMade)
        .map(|file| file.written.value.clone())
        .collect()
}

async fn run_entries(
    run: &Arc<RunContext>,
    pipeline: &Pipeline,
    identity: &CallerIdentity,
) -> Result<Vec<String>, StepError> {
    let cell = CellName {
        stage: run.pipeline.clone(),
        cell: CELL.to_owned(),
    };
    let region = run.ports.account.region(&run.options.region);
    let context = CellContext::new(run.clone(), cell, region);
    let facts = RunFacts {
        run_id: Some(context.run_id().to_string()),
        run_time: Some(run.started),
        account_id: Some(identity.account.to_string()),
        region: Some(run.options.region.to_string()),
        ..RunFacts::default()
    };
    let about = About {
        instance: None,
        host: None,
        build_name: None,
        error: None,
    };
    let mut skipped = Vec::new();
    for (place, entry) in pipeline.preflight.iter().enumerate() {
        let spec = provision::preflight(entry, &facts)?;
        if skips(&context, &spec) {
            skipped.push(spec.name);
            continue;
        }
        let work = attempts(
            &context,
            &spec.name,
            &spec.schedule,
            async |number: u32, limit: Limit| {
                let attempt = Attempt {
                    context: &context,
                    name: &spec.name,
                    limit,
                    id: AttemptId {
                        run: context.run_id().clone(),
                        entry: (List::Preflight, place),
                        attempt: number,
                    },
                    about: &about,
                };
                match &spec.action {
                    ActionSpec::Local(run) => {
                        run_local(&attempt, run).await?;
                        made(&spec.name, entry.creates())
                    }
                    ActionSpec::WaitFor(wait) => wait_on_host(&attempt, wait).await,
                    other => Err(StepError::CannotGoOn {
                        why: format!("preflight cannot do {other:?}"),
                    }),
                }
            },
        );
        told(&context, &spec.name, work).await?;
    }
    Ok(skipped)
}

/// Errs unless everything is there that was to be made.
fn made(name: &str, creates: &[LocalFile]) -> Result<(), StepError> {
    for file in creates {
        if let Err(why) = is_there(file) {
            return Err(StepError::Provisioner {
                name: name.to_owned(),
                how: format!(
                    "ended well, but did not make `{}`: {why}",
                    file.written.value
                ),
                last_lines: Vec::new(),
            });
        }
    }
    Ok(())
}

fn is_there(file: &LocalFile) -> Result<(), String> {
    let path = file.path();
    let seen = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let empty = match (file.is_written_as_folder(), seen.is_dir()) {
        (true, false) => return Err(format!("{} is not a folder", path.display())),
        (false, true) => return Err(format!("{} is a folder", path.display())),
        (false, false) => seen.len() == 0,
        (true, true) => std::fs::read_dir(path)
            .map_err(|error| format!("{}: {error}", path.display()))?
            .next()
            .is_none(),
    };
    if empty {
        Err(format!("{} is empty", path.display()))
    } else {
        Ok(())
    }
}

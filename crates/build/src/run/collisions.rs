//! Image names, before anything is launched: in all regions at once, so that nobody finds out after an hour of building
//! that another hour was in vain.

use super::leases::Unusable;
use super::schedule::Results;
use crate::event::Step;
use crate::failure::{CellFailure, StepError};
use crate::names::tag;
use crate::plan::names::{Target, clashes, taken};
use crate::plan::survey::Survey;
use crate::plan::targets;
use crate::selection::{ChosenCell, Selection};
use crate::steps::RunContext;
use cloud::CallerIdentity;
use pipeline::model::OnConflict;
use std::sync::Arc;

/// What the run comes to if names are taken, or wanted twice: the cells that want them fail, and nothing is launched. None
/// if all are free.
///
/// A single cell asks for its own name before it launches.
pub(super) async fn find(
    selection: &Selection<'_>,
    unusable: &Unusable,
    context: &Arc<RunContext>,
    identity: &CallerIdentity,
) -> Option<Results> {
    if selection.cells.len() < 2 {
        return None;
    }
    let account = context.ports.account.as_ref();
    let survey = Survey {
        account,
        identity,
        options: &context.options,
        run: context.effects.run().as_str(),
        now: context.started,
        images: context.ports.host.disk_images.as_ref(),
    };
    let looks = async {
        let surveyed = survey.look(selection, unusable).await;
        let targets = targets(selection, &surveyed, &context.options.region);
        let taken = taken(account, &targets).await;
        (targets, taken)
    };
    // Whoever stops the run now stops each cell before it begins.
    let (targets, taken) = context.cancellation.race(looks).await.ok()?;
    let mut refusals: Vec<(Target, StepError)> = Vec::new();
    for clash in clashes(&targets) {
        let error = StepError::SameName {
            name: clash.name.clone(),
            region: clash.region.to_string(),
            other: clash.first.to_string(),
        };
        let target = Target {
            cell: clash.second,
            region: clash.region,
            name: clash.name,
        };
        refusals.push((target, error));
    }
    for one in taken {
        // What an earlier process of this run made is gone on with.
        if one.by.tags.get(tag::RUN) == Some(context.effects.run().as_str()) {
            continue;
        }
        // Whether it stays or is replaced is the cell's affair, before it launches anything.
        let fails = |chosen: &&ChosenCell<'_>| {
            chosen.name == one.target.cell
                && chosen.cell.image.on_conflict.value == OnConflict::Fail
        };
        if !selection.cells.iter().any(|chosen| fails(&chosen)) {
            continue;
        }
        let error = StepError::NameTaken {
            name: one.target.name.clone(),
            taken: vec![format!("in {} by {}", one.target.region, one.by.image_id)],
        };
        refusals.push((one.target, error));
    }
    if refusals.is_empty() {
        return None;
    }
    let mut results = Results::default();
    for (target, error) in refusals {
        let hint = error.hint();
        let failure = CellFailure::new(target.cell, Step::Resolve, error);
        results.fail(context, failure, &target.region, hint);
    }
    for chosen in &selection.cells {
        let failed = results
            .failures
            .iter()
            .any(|one| one.stage == chosen.name.stage && one.cell == chosen.name.cell);
        if !failed {
            let reason = String::from("nothing is launched while other cells' names are taken");
            results.skip_because(context, chosen, reason);
        }
    }
    Some(results)
}

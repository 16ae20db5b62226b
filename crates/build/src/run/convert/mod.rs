//! From the pipeline's model to what the steps need: run-time expressions filled in, types of the port.

mod ansible;
mod connect;
mod image;
mod launch;
pub(crate) mod provision;
mod test;
mod volumes;

pub(in crate::run) use image::encrypt_at_launch;

use crate::failure::StepError;
use crate::names::CellName;
use crate::options::Venue;
use crate::selection::ChosenCell;
use crate::spec::{CellSpec, PublicationSpec};
use crate::steps::{CellContext, RunContext};
use cloud::{CallerIdentity, Image, RegionName, Tags, Timestamp};
use pipeline::model::{self, Cell};
use pipeline::template::{RunFacts, SecretTemplate, SourceTags, Template};

/// What stands for a run's id in a plan, where there is no run yet.
pub(crate) const PLANNED_RUN: &str = "r-00000000";
/// What stands for the source's id and name in a plan while it has to be built first.
const PLANNED_SOURCE: &str = "(built first)";

/// What run-time expressions of a cell may refer to.
pub(crate) fn facts_for(
    context: &CellContext,
    identity: &CallerIdentity,
    source: &Image,
) -> RunFacts {
    RunFacts {
        run_id: Some(context.run_id().to_string()),
        run_time: Some(context.run().started),
        source_id: Some(source_id(source)),
        source_name: Some(source.name.clone()),
        source_created: source.created,
        source_owner: source.owner.as_ref().map(ToString::to_string),
        source_tags: SourceTags::Known(source.tags.0.clone()),
        account_id: Some(identity.account.to_string()),
        region: Some(context.region().name().to_string()),
        cell: Some(context.cell().cell.clone()),
        image: None,
    }
}

/// The same before the cell is begun: the source may not be there yet.
pub(crate) fn planned_facts(
    run: &str,
    started: Timestamp,
    identity: &CallerIdentity,
    chosen: &ChosenCell<'_>,
    source: Option<&Image>,
) -> RunFacts {
    let planned = || String::from(PLANNED_SOURCE);
    RunFacts {
        run_id: Some(run.to_owned()),
        run_time: Some(started),
        source_id: Some(source.map_or_else(planned, source_id)),
        source_name: Some(source.map_or_else(planned, |image| image.name.clone())),
        // An image that is built first is created by then, and owned by whoever builds it.
        source_created: source.map_or(Some(started), |image| image.created),
        source_owner: source.map_or_else(
            || Some(identity.account.to_string()),
            |image| image.owner.as_ref().map(ToString::to_string),
        ),
        source_tags: source.map_or_else(
            || SourceTags::Planned(planned()),
            |image| SourceTags::Known(image.tags.0.clone()),
        ),
        account_id: Some(identity.account.to_string()),
        region: Some(chosen.region.to_string()),
        cell: Some(chosen.name.cell.clone()),
        image: None,
    }
}

/// The source's id: an image's, or of a disk image the digest that it is known by.
fn source_id(source: &Image) -> String {
    let id = source.image_id.as_str();
    id.strip_prefix("import:").unwrap_or(id).to_owned()
}

/// What expressions outside of stages may refer to.
pub(in crate::run) fn run_facts(context: &RunContext) -> RunFacts {
    RunFacts {
        run_id: Some(context.effects.run().to_string()),
        run_time: Some(context.started),
        region: Some(context.options.region.to_string()),
        ..RunFacts::default()
    }
}

/// `template` with its run-time expressions filled in.
pub(in crate::run) fn rendered(
    template: &Template,
    field: &str,
    facts: &RunFacts,
) -> Result<String, StepError> {
    template.render(facts).map_err(|error| StepError::Template {
        field: field.to_owned(),
        reason: error.to_string(),
    })
}

fn rendered_secret(
    template: &SecretTemplate,
    field: &str,
    facts: &RunFacts,
) -> Result<String, StepError> {
    template
        .render(facts)
        .map(|secret| secret.expose().to_owned())
        .map_err(|error| StepError::Template {
            field: field.to_owned(),
            reason: error.to_string(),
        })
}

fn rendered_tags(tags: &model::Tags, field: &str, facts: &RunFacts) -> Result<Tags, StepError> {
    tags.iter()
        .map(|(key, value)| {
            Ok((
                key.to_string(),
                rendered(value, &format!("{field}.{key}"), facts)?,
            ))
        })
        .collect()
}

/// What the steps need to know of the cell that `context` builds.
pub(in crate::run) fn cell_spec(
    context: &CellContext,
    cell: &Cell,
    facts: &RunFacts,
) -> Result<CellSpec, StepError> {
    let venue = context.run().options.venue;
    cell_spec_for(context.cell(), context.region().name(), cell, venue, facts)
}

/// What it takes to copy the source of a cell that does nothing else.
pub(crate) fn copy_spec_for(
    name: &CellName,
    region: &RegionName,
    cell: &Cell,
    facts: &RunFacts,
) -> Result<PublicationSpec, StepError> {
    Ok(PublicationSpec {
        cell: name.clone(),
        region: region.clone(),
        image: image::image(&cell.image, facts)?,
        test: None,
        tags: rendered_tags(&cell.tags, "tags", facts)?,
    })
}

/// What the steps need to know of a cell that builds.
///
/// # Errors
/// Also if the stage has no `launch`: such a one is copied.
pub(crate) fn cell_spec_for(
    name: &CellName,
    region: &RegionName,
    cell: &Cell,
    venue: Venue,
    facts: &RunFacts,
) -> Result<CellSpec, StepError> {
    let (Some(launch), Some(connect)) = (&cell.launch, &cell.connect) else {
        return Err(StepError::Unlaunched {
            stage: cell.stage.to_string(),
        });
    };
    let launch = launch::launch(launch, facts)?;
    let connect = connect::connect(connect, facts)?;
    let build_name = cell.name.clone().unwrap_or_else(|| cell.stage.to_string());
    let test = cell
        .test
        .as_ref()
        .map(|test| test::test(test, &launch, &connect, &build_name, venue, facts))
        .transpose()?;
    Ok(CellSpec {
        cell: name.clone(),
        region: region.clone(),
        launch,
        connect,
        test,
        build_name,
        provision: provision::entries(&cell.provision, facts)?,
        on_error: provision::entries(&cell.on_error, facts)?,
        image: image::image(&cell.image, facts)?,
        tags: rendered_tags(&cell.tags, "tags", facts)?,
    })
}

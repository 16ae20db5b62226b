//! What a pipeline's types cannot say: files that must be there, values that must fit each other, EC2's limits.

mod ansible;
mod cells;
mod connect;
mod files;
mod image_name;
mod imports;
mod launch;
mod outputs;
mod parameters;
mod provision;
mod publish;
mod sources;
mod stages;
mod tags;
mod volumes;

pub(crate) use cells::choose_entries;
pub(crate) use files::read_files;
pub(crate) use image_name::is_image_name_character;
pub use image_name::{ImageNameError, check_image_name};
pub use parameters::{ParameterNameError, check_parameter_name};

use crate::model::{Cell, Pipeline, StageName};
use crate::problem::Fault;
use crate::told_once::told_once;

/// All faults of a pipeline's meaning, in no order. `left_out` are the stages that a condition left out.
pub(crate) fn check(pipeline: &Pipeline, left_out: &[StageName]) -> Vec<Fault> {
    let mut faults = stages::circles(pipeline);
    faults.extend(outputs::check(pipeline));
    faults.extend(provision::preflight(pipeline));
    faults.extend(parameters::written_once(pipeline));
    faults.extend(of_each_cell(&pipeline.stages, |cell| {
        let mut faults = stages::details(cell);
        faults.extend(stages::source(pipeline, left_out, cell));
        faults.extend(stages::copies(cell));
        faults.extend(sources::check(&cell.source));
        faults.extend(imports::check(cell));
        faults.extend(provision::check(cell));
        faults.extend(connect::check(cell));
        faults.extend(ansible::check(cell));
        if let Some(launch) = &cell.launch {
            faults.extend(launch::check(cell, launch));
            faults.extend(volumes::check(&launch.volumes));
        }
        faults.extend(volumes::check(&cell.image.volumes));
        faults.extend(image_name::check(&cell.image));
        faults.extend(publish::check(pipeline, cell));
        faults.extend(tags::check(cell));
        faults
    }));
    faults
}

/// What is wrong with each cell, told once where all cells of a stage have it.
pub(crate) fn of_each_cell(
    cells: &[Cell],
    mut find: impl FnMut(&Cell) -> Vec<Fault>,
) -> Vec<Fault> {
    let mut told = Vec::new();
    for stage in cells.chunk_by(|a, b| a.stage.value == b.stage.value) {
        let names: Vec<String> = stage
            .iter()
            .map(|cell| cell.name.clone().unwrap_or_default())
            .collect();
        let faults = stage
            .iter()
            .enumerate()
            .flat_map(|(at, cell)| find(cell).into_iter().map(move |fault| (at, fault)))
            .collect();
        told.extend(told_once(&names, faults));
    }
    told
}

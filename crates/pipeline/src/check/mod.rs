//! What a pipeline's types cannot say: files that must be there, values that must fit each other, EC2's limits.

mod cells;
mod connect;
mod files;
mod image_name;
mod provision;
mod stages;
mod tags;
mod volumes;

pub(crate) use cells::choose_entries;
pub(crate) use files::read_files;
pub(crate) use image_name::is_image_name_character;
pub use image_name::{ImageNameError, check_image_name};

use crate::model::Pipeline;
use crate::problem::Fault;

/// All faults of a pipeline's meaning, in no order.
pub(crate) fn check(pipeline: &Pipeline) -> Vec<Fault> {
    let mut faults = stages::sources(pipeline);
    faults.extend(provision::preflight(pipeline));
    for stage in pipeline.stages.iter() {
        faults.extend(stages::details(stage));
        faults.extend(provision::check(stage));
        faults.extend(connect::check(stage));
        faults.extend(volumes::check(&stage.launch.volumes));
        faults.extend(volumes::check(&stage.image.volumes));
        faults.extend(image_name::check(&stage.image));
        faults.extend(tags::check(stage));
    }
    faults
}

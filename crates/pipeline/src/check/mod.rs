//! What a pipeline's types cannot say: files that must be there, values that must fit each other, EC2's limits.

mod connect;
mod files;
mod image_name;
mod parameters;
mod publish;
mod stages;
mod tags;
mod volumes;

pub(crate) use files::read_files;
pub use image_name::{ImageNameError, check_image_name};
pub use parameters::{ParameterNameError, check_parameter_name};

use crate::model::Pipeline;
use crate::problem::Fault;

/// All faults of a pipeline's meaning, in no order.
pub(crate) fn check(pipeline: &Pipeline) -> Vec<Fault> {
    let mut faults = stages::sources(pipeline);
    faults.extend(parameters::written_once(pipeline));
    for stage in pipeline.stages.iter() {
        faults.extend(stages::details(stage));
        faults.extend(connect::check(stage));
        faults.extend(volumes::check(&stage.launch.volumes));
        faults.extend(volumes::check(&stage.image.volumes));
        faults.extend(image_name::check(&stage.image));
        faults.extend(publish::check(pipeline, stage));
        faults.extend(tags::check(stage));
    }
    faults
}

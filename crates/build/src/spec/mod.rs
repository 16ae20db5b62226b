//! A cell as it is to be built: the pipeline's stage with every run-time expression filled in, in the port's types.

mod ansible;
mod connect;
mod image;
mod launch;
mod provision;

pub use ansible::*;
pub use connect::*;
pub use image::*;
pub use launch::*;
pub use provision::*;

use crate::names::CellName;
use cloud::{RegionName, Tags};

/// Everything that the steps of a cell that builds need to know.
#[derive(Clone, Debug)]
pub struct CellSpec {
    /// The cell.
    pub cell: CellName,
    /// Where it is built.
    pub region: RegionName,
    /// How it is launched.
    pub launch: LaunchSpec,
    /// How one gets in.
    pub connect: ConnectSpec,
    /// What scripts know the build by: the cell's name, and of a stage without a matrix the stage's.
    pub build_name: String,
    /// What is done inside.
    pub provision: Vec<ProvisionerSpec>,
    /// What is done after one of those has failed.
    pub on_error: Vec<ProvisionerSpec>,
    /// What is made of it.
    pub image: ImageSpec,
    /// Tags of the instance, its volumes, the image and its snapshots.
    pub tags: Tags,
}

/// Everything that the steps of a cell that only copies its source need to know.
#[derive(Clone, Debug)]
pub struct CopySpec {
    /// The cell.
    pub cell: CellName,
    /// Where the copy is made.
    pub region: RegionName,
    /// What the copy is called and carries.
    pub image: ImageSpec,
    /// Tags of the image and its snapshots.
    pub tags: Tags,
}

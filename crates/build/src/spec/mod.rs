//! A cell as it is to be built: the pipeline's stage with every run-time expression filled in, in the port's types.

mod connect;
mod image;
mod launch;
mod provision;
mod test;

pub use connect::*;
pub use image::*;
pub use launch::*;
pub use provision::*;
pub use test::*;

use crate::names::CellName;
use cloud::{RegionName, Tags};

/// Everything that the steps of one cell need to know.
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
    /// What is done inside.
    pub provision: Vec<ProvisionerSpec>,
    /// What is made of it.
    pub image: ImageSpec,
    /// What the image must pass before it counts.
    pub test: Option<TestSpec>,
    /// Tags of the instance, its volumes, the image and its snapshots.
    pub tags: Tags,
}

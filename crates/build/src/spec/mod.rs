//! A cell as it is to be built: the pipeline's stage with every run-time expression filled in, in the port's types.

mod ansible;
mod connect;
mod image;
mod launch;
mod provision;
mod test;

pub use ansible::*;
pub use connect::*;
pub use image::*;
pub use launch::*;
pub use provision::*;
pub use test::*;

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
    /// What the image must pass before it counts.
    pub test: Option<TestSpec>,
    /// Tags of the instance, its volumes, the image and its snapshots.
    pub tags: Tags,
}

/// What becomes of a cell's image, however the cell came to it: all that a cell which only copies its source needs to
/// know.
#[derive(Clone, Debug)]
pub struct PublicationSpec {
    /// The cell.
    pub cell: CellName,
    /// Where its image is made.
    pub region: RegionName,
    /// What the image is called and carries, and where else it goes.
    pub image: ImageSpec,
    /// The test that it must pass first.
    pub test: Option<TestSpec>,
    /// Tags of the image and its snapshots.
    pub tags: Tags,
}

impl CellSpec {
    /// What becomes of the cell's image.
    pub fn publication(&self) -> PublicationSpec {
        PublicationSpec {
            cell: self.cell.clone(),
            region: self.region.clone(),
            image: self.image.clone(),
            test: self.test.clone(),
            tags: self.tags.clone(),
        }
    }
}

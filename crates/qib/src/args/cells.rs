//! Which cells a command is about.

use build::glob::Glob;
use clap::Args;

/// Which cells a command is about.
#[derive(Args, Debug, Default)]
pub struct CellArgs {
    /// Only these cells, and what they start from. Compared with the stage, the cell and STAGE/CELL; `*` stands for any
    /// characters, `?` for one. Can be given several times.
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<Glob>,
    /// All cells but these; what another cell starts from is taken in nevertheless. Can be given several times.
    #[arg(long, value_name = "GLOB")]
    pub except: Vec<Glob>,
}

//! A pipeline file, read and checked.
//!
//! ```text
//! bytes ──yaml──▶ tree with places ──include──▶ one tree ──decode──▶ Pipeline ──check──▶ Loaded ──▶ order, cache_key
//!                                                  │        ▲  once per cell of a stage's matrix,
//!                                                  │        │  step sets put in, `when` decided
//!                                                  └──vars──┘ values (template: ${{ … }})
//! ```
//!
//! Pure: no network, no clock, no environment, no output. What a pipeline names on disk is read through [`Files`].

pub mod cache_key;
mod check;
mod decode;
mod files;
mod load;
pub mod model;
mod order;
mod problem;
pub mod schema;
mod sources;
mod span;
mod suggest;
pub mod template;
mod told_once;
mod vars;
mod yaml;

pub use check::{ImageNameError, ParameterNameError, check_image_name, check_parameter_name};
pub use decode::GitFacts;
pub use files::{Disk, FileKind, Files};
pub use load::{LoadOptions, Loaded, load};
pub use order::{CellOrder, cell_order};
pub use problem::{LoadError, Place, Problem, render_problem};
pub use sources::SourceFiles;
pub use span::Span;
pub use vars::{GivenVar, Origin, Value, Values, VarsFile};
pub use yaml::edit as yaml_edit;

//! A pipeline file, read and checked.
//!
//! ```text
//! bytes ──yaml──▶ tree with places ──decode──▶ Pipeline ──check──▶ Loaded ──▶ order, cache_key
//!                    │                  ▲
//!                    └──vars──▶ values ─┘ (template: ${{ … }})
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
mod span;
mod suggest;
pub mod template;
mod vars;
mod yaml;

pub use check::{ImageNameError, ParameterNameError, check_image_name, check_parameter_name};
pub use files::{Disk, FileKind, Files};
pub use load::{LoadOptions, Loaded, load};
pub use order::{StageOrder, stage_order};
pub use problem::{LoadError, Place, Problem, render_problem};
pub use span::Span;
pub use vars::{GivenVar, Origin, Value, Values, VarsFile};

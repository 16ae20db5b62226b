//! Variables: where their values come from, and what they are.

mod derive;
mod given;
mod resolve;
mod values;

pub use given::{GivenVar, VarsFile};
pub(crate) use resolve::{Derived, Sources, resolve};
pub use values::{Origin, Value, Values};

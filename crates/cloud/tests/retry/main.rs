//! The layer that repeats calls, in virtual time.

mod any_errors;
mod rules;
mod scripted;
#[path = "../support/virtual_clock.rs"]
mod virtual_clock;

//! The waiters, in virtual time: a wait of an hour takes no time at all, and every moment can be asserted.

mod any_schedule;
mod rules;
mod simulation;
#[path = "../support/virtual_clock.rs"]
mod virtual_clock;

//! qib's engine, the AWS SDK and the local EC2 in one process, on a clock that does not wait: whatever goes wrong at
//! whatever call, nothing is left behind, nothing is done twice, nothing hangs, and no secret gets out.
//!
//! ```text
//!   case ─▶ world (account, instances, clock) ◀── processes: build::run ─▶ aws (the real SDK) ─▶ wire ─▶ local EC2
//!     │                                                                                   faults, crashes
//!     └─▶ verdict ─▶ one row of the table for each matrix
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an edge: it reads its own settings from the environment, keeps time and prints"
)]

mod calls;
mod cases;
mod clock;
mod crash_points;
mod fault;
mod holdings;
mod machines;
mod process;
mod queues;
mod schedules;
mod shell;
mod sweeping;
mod verdict;
mod wire;
mod world;

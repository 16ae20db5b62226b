//! The end-to-end tests' harness: the real `qib`, as a person or CI runs it, against a local EC2 of the test's own,
//! looked at through other people's clients (the AWS CLI, boto3).
//!
//! ```text
//!   LocalEc2 ──▶ qib …      ──▶ Running ──▶ Ended     exit code, stdout, stderr, events
//!      │                          └─ signals, at a moment that an event names
//!      ├───────▶ aws …      ──▶ Ended
//!      └───────▶ Holdings                             what is in the account
//! ```
//!
//! The crate knows no crate of qib: it sees what a user sees. The folder that holds the tests themselves is the one
//! above `src`, one file for each subject.
#![allow(
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "an edge, and a test's harness: it runs programs with deadlines, and fails by panicking"
)]

pub mod ansible;
pub mod disk_images;
pub mod ended;
pub mod faults;
pub mod holdings;
pub mod import_aids;
pub mod local_ec2;
pub mod one_stage;
pub mod places;
pub mod running;
pub mod service_log;
pub mod shipped;
pub mod small_disk;
pub mod web_server;

pub use ended::Ended;
pub use holdings::Holdings;
pub use local_ec2::{Config, LocalEc2};
pub use one_stage::OneStage;
pub use running::{Running, Signal};

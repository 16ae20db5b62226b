//! Formatting, lints, dependencies, documentation.

use crate::command::{Failure, Program};
use crate::{deny, docs};

/// Runs every check.
///
/// # Errors
/// If one fails.
pub fn check() -> Result<(), Failure> {
    Program::cargo().args(["fmt", "--all", "--check"]).run()?;
    docs::check()?;
    deny::install()?;
    deny::check()?;
    lint()
}

/// Clippy and rustdoc, warnings being errors. The whole workspace at once: another selection of packages would mean
/// other features, and the EC2 SDK would be compiled anew.
fn lint() -> Result<(), Failure> {
    Program::cargo()
        .args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])
        .run()?;
    Program::cargo()
        .args([
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--locked",
        ])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

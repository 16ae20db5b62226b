//! coldsnap, the program that qib's blocks are judged by, and measured against.

use crate::command::{Failure, Program};
use crate::tree;
use std::path::PathBuf;

/// The version that is installed.
pub const VERSION: &str = "0.12.0";

/// How it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quickly, for tests: what it sends and reads is the same.
    Debug,
    /// As its users have it, for figures.
    Release,
}

fn folder(profile: Profile) -> PathBuf {
    let name = match profile {
        Profile::Debug => "coldsnap",
        Profile::Release => "coldsnap-release",
    };
    tree::root().join(".test-tools").join(name)
}

/// The program.
pub fn program(profile: Profile) -> PathBuf {
    folder(profile).join("bin").join("coldsnap")
}

/// Installs it below `.test-tools`, unless it is there.
///
/// # Errors
/// If it cannot be built.
pub fn install(profile: Profile) -> Result<(), Failure> {
    let folder = folder(profile);
    // It cannot be asked for its version; cargo keeps what it has installed there.
    let installed = std::fs::read_to_string(folder.join(".crates.toml")).unwrap_or_default();
    if program(profile).exists() && installed.contains(&format!("coldsnap {VERSION}")) {
        return Ok(());
    }
    let install = Program::cargo()
        .args(["install", "coldsnap", "--locked", "--version", VERSION])
        .args(["--root".as_ref(), folder.as_os_str()])
        // Not into the project's own target folder: a test's build must not wait for it.
        .env("CARGO_TARGET_DIR", folder.join("target"));
    match profile {
        // Its SDK of EC2 is large, and nobody steps through it.
        Profile::Debug => install
            .args(["--debug"])
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_PROFILE_DEV_CODEGEN_UNITS", "16"),
        Profile::Release => install,
    }
    .run()?;
    // What is left of the build is some GiB.
    match std::fs::remove_dir_all(folder.join("target")) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure(format!(
            "removing {}: {error}",
            folder.join("target").display()
        ))),
    }
}

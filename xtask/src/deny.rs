//! cargo-deny: licences, bans and sources always; advisories where their database is to be had.

use crate::command::{Failure, Program};
use crate::tree;
use std::path::PathBuf;

const VERSION: &str = "0.20.2";

fn program() -> PathBuf {
    tree::test_tools().join("bin").join("cargo-deny")
}

/// Installs cargo-deny into the test tools unless that very version is there. It takes some minutes, once.
///
/// # Errors
/// If crates.io is not to be had or the build fails.
pub fn install() -> Result<(), Failure> {
    let there = Program::new(program()).args(["--version"]).stdout();
    if there.is_ok_and(|said| String::from_utf8_lossy(&said).contains(VERSION)) {
        return Ok(());
    }
    Program::cargo()
        // Without optimisation: it runs for seconds, and compiling it well takes minutes.
        .args([
            "install",
            "--locked",
            "--debug",
            "--version",
            VERSION,
            "--root",
        ])
        .args([tree::test_tools()])
        .args(["cargo-deny"])
        // A folder of its own, so that nothing of it is taken for the workspace's.
        .env("CARGO_TARGET_DIR", tree::test_tools().join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .run()?;
    // 1 GiB that nobody needs again. If it stays, only space is lost.
    std::fs::remove_dir_all(tree::test_tools().join("build")).ok();
    Ok(())
}

/// Runs it.
///
/// # Errors
/// If a dependency breaks a rule of `deny.toml`.
pub fn check() -> Result<(), Failure> {
    Program::new(program())
        .args([
            "--workspace",
            "--all-features",
            "check",
            "bans",
            "licenses",
            "sources",
        ])
        .run()?;
    // A database that cannot be fetched must not read as "no advisory applies", nor stop the work of those without
    // the network. A minute is ample for a shallow clone; git would try for much longer.
    let fetched = Program::new("timeout")
        .args(["60"])
        .args([program()])
        .args(["fetch", "db"])
        .status()?;
    if fetched.success() {
        return Program::new(program())
            .args([
                "--workspace",
                "--all-features",
                "check",
                "--disable-fetch",
                "advisories",
            ])
            .run();
    }
    eprintln!(
        "\n*** ADVISORIES WERE NOT CHECKED: the RustSec database could not be fetched from here. ***"
    );
    eprintln!(
        "*** Where it can be: {} check advisories ***",
        program().display()
    );
    Ok(())
}

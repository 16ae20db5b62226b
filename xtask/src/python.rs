//! The AWS CLI, boto3 and Ansible, from PyPI into a folder of the project's own.

use crate::command::{Failure, Program, failed};
use crate::tree;
use std::fs;
use std::path::PathBuf;

/// The list of what is installed, with versions.
const REQUIREMENTS: &str = "tests/requirements.txt";

/// Debian's own, whatever else a PATH has: every user can read it, and it has the `venv` module.
pub const SYSTEM_PYTHON: &str = "/usr/bin/python3";

/// The folder of the virtual environment.
pub fn environment() -> PathBuf {
    tree::test_tools().join("python")
}

/// The Python in it: `-m awscli` is the AWS CLI.
pub fn interpreter() -> PathBuf {
    environment().join("bin").join("python")
}

/// The AWS CLI in it, as a program.
pub fn aws_cli() -> PathBuf {
    environment().join("bin").join("aws")
}

/// Ansible in it, as a program.
pub fn ansible_playbook() -> PathBuf {
    environment().join("bin").join("ansible-playbook")
}

/// Installs what `tests/requirements.txt` lists, unless that very list is installed.
///
/// # Errors
/// If Python, pip or PyPI is not to be had.
pub fn install() -> Result<(), Failure> {
    let environment = environment();
    let wanted = tree::root().join(REQUIREMENTS);
    let installed = environment.join("installed-requirements.txt");
    let wanted_text = fs::read(&wanted)
        .map_err(|error| failed(&format!("reading {}", wanted.display()), &error))?;
    if interpreter().exists() && fs::read(&installed).is_ok_and(|text| text == wanted_text) {
        eprintln!("AWS CLI, boto3 and Ansible: all there");
        return Ok(());
    }
    Program::new(SYSTEM_PYTHON)
        .args(["-m", "venv", "--clear"])
        .args([&environment])
        .run()?;
    Program::new(interpreter())
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            REQUIREMENTS,
        ])
        .run()?;
    // Written last: an install that broke off is done again.
    fs::write(&installed, wanted_text)
        .map_err(|error| failed(&format!("writing {}", installed.display()), &error))
}

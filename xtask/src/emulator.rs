//! A local EC2 of its own for a measurement: nothing of the user's is touched.

use crate::command::{Failure, Program, failed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A local EC2 with its state in a folder of its own, stopped when this is dropped.
pub struct LocalEc2 {
    qib: PathBuf,
    folder: PathBuf,
}

impl LocalEc2 {
    /// Starts one that waits for nothing and has no firewall, so that what is measured is qib.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(qib: &Path) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("qib-bench-{}", std::process::id()));
        let local = folder.join("local");
        fs::create_dir_all(&local)
            .and_then(|()| {
                fs::write(
                    local.join("config.json"),
                    r#"{"delays":"none","firewall":false}"#,
                )
            })
            .map_err(|error| failed(&format!("making {}", folder.display()), &error))?;
        let ec2 = Self {
            qib: qib.to_path_buf(),
            folder,
        };
        ec2.program(&["local", "up"]).stdout()?;
        Ok(ec2)
    }

    /// What goes wrong from now on.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn set_faults(&self, faults: &str) -> Result<(), Failure> {
        let file = self.folder.join("local").join("faults.json");
        fs::write(&file, faults).map_err(|error| failed("writing faults.json", &error))
    }

    /// `qib` with `args`, against this local EC2.
    pub fn program(&self, args: &[&str]) -> Program {
        Program::new(&self.qib)
            .args(args)
            .env("QIB_LOCAL_DIR", self.folder.join("local"))
            .env("QIB_STATE_DIR", self.folder.join("state"))
    }

    /// The same, quiet.
    pub fn quiet(&self, args: &[&str]) -> Command {
        let mut command = self.program(args).into_command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// How many requests it has answered so far.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub fn requests(&self) -> Result<usize, Failure> {
        Ok(self.log()?.lines().count())
    }

    /// The requests after the first `skip`, counted by action.
    ///
    /// # Errors
    /// If its log cannot be read, or a line of it names no action.
    pub fn calls_after(&self, skip: usize) -> Result<BTreeMap<String, usize>, Failure> {
        let mut calls = BTreeMap::new();
        for line in self.log()?.lines().skip(skip) {
            let request: Value = serde_json::from_str(line)
                .map_err(|error| failed("reading requests.jsonl", &error))?;
            let action = request["action"]
                .as_str()
                .ok_or_else(|| Failure(format!("no action in {line}")))?;
            *calls.entry(action.to_owned()).or_insert(0) += 1;
        }
        Ok(calls)
    }

    fn log(&self) -> Result<String, Failure> {
        let log = self.folder.join("local").join("requests.jsonl");
        fs::read_to_string(&log)
            .map_err(|error| failed(&format!("reading {}", log.display()), &error))
    }
}

impl Drop for LocalEc2 {
    fn drop(&mut self) {
        let stopped = self.program(&["local", "reset"]).stdout();
        let down = self.program(&["local", "down"]).stdout();
        if let Err(failure) = stopped.and(down) {
            eprintln!(
                "the local EC2 in {} may still run: {failure}",
                self.folder.display()
            );
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} stays: {error}", self.folder.display());
        }
    }
}

//! Running programs: each is printed before it runs, one at a time, and its failure names it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

/// Why a task stopped, in words for the person who started it.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a [`Failure`] of what was being done and why it failed.
pub fn failed(doing: &str, why: &dyn fmt::Display) -> Failure {
    Failure(format!("{doing}: {why}"))
}

/// A program to run in the checkout.
pub struct Program {
    command: Command,
    shown: Vec<OsString>,
}

impl Program {
    /// `program`, in the checkout's top folder, with no input.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command
            .current_dir(crate::tree::root())
            .stdin(Stdio::null());
        Self {
            command,
            shown: vec![program.to_owned()],
        }
    }

    /// The cargo that runs this.
    pub fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        for arg in args {
            self.command.arg(arg.as_ref());
            self.shown.push(arg.as_ref().to_owned());
        }
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it in `folder`.
    pub fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// The command line, for people.
    pub fn line(&self) -> String {
        self.shown
            .iter()
            .map(|part| part.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// If it cannot be started or does not exit with 0.
    pub fn run(mut self) -> Result<(), Failure> {
        let line = self.announce();
        let status = self
            .command
            .status()
            .map_err(|error| failed(&format!("starting `{line}`"), &error))?;
        ended_well(&line, status)
    }

    /// Runs it to its end and tells how it ended.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn status(mut self) -> Result<ExitStatus, Failure> {
        let line = self.announce();
        self.command
            .status()
            .map_err(|error| failed(&format!("starting `{line}`"), &error))
    }

    /// Runs it quietly and returns what it wrote, whatever its exit code.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn output(mut self) -> Result<Output, Failure> {
        let line = self.line();
        self.command
            .output()
            .map_err(|error| failed(&format!("starting `{line}`"), &error))
    }

    /// Runs it quietly and returns its standard output.
    ///
    /// # Errors
    /// If it cannot be started or does not exit with 0; then with all that it wrote.
    pub fn stdout(self) -> Result<Vec<u8>, Failure> {
        let line = self.line();
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure(format!(
            "`{line}` ended with {}:\n{said}",
            output.status
        )))
    }

    /// The plain command, for those that need more than this.
    pub fn into_command(self) -> Command {
        self.command
    }

    fn announce(&self) -> String {
        let line = self.line();
        eprintln!("\n$ {line}");
        line
    }
}

fn ended_well(line: &str, status: ExitStatus) -> Result<(), Failure> {
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("`{line}` ended with {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::Program;

    #[test]
    fn a_failing_program_is_named_with_its_exit_code() {
        let failure = Program::new("sh")
            .args(["-c", "exit 3"])
            .run()
            .expect_err("it exits 3");
        assert!(
            failure.0.contains("sh -c exit 3") && failure.0.contains('3'),
            "{failure}"
        );
    }

    #[test]
    fn what_a_failing_program_said_is_kept() {
        let failure = Program::new("sh")
            .args(["-c", "echo why >&2; exit 1"])
            .stdout()
            .expect_err("it exits 1");
        assert!(failure.0.contains("why"), "{failure}");
    }
}

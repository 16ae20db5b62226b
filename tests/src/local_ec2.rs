//! A local EC2 of the test's own, and the programs that use it.

use crate::holdings::{self, Holdings};
use crate::{Ended, Running, places};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// How the local EC2 behaves.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// `none`, `short` or `ec2-like`.
    pub delays: &'static str,
    /// Whether only Elastic IPs can be reached.
    pub firewall: bool,
}

impl Config {
    /// Nothing waits, every address can be reached.
    pub const QUICK: Self = Self {
        delays: "none",
        firewall: false,
    };
    /// Nothing waits; where there is an Elastic IP, only such can be reached.
    pub const GUARDED: Self = Self {
        delays: "none",
        firewall: true,
    };
    /// As `--local` has it for everyone: short delays, and only Elastic IPs can be reached.
    pub const USUAL: Self = Self {
        delays: "short",
        firewall: true,
    };
}

/// The region of all tests.
pub const REGION: &str = "us-east-2";

/// A local EC2 with its state, and the home of the person who uses it, in a folder that goes with it.
pub struct LocalEc2 {
    folder: TempDir,
}

impl LocalEc2 {
    /// One that is not started yet: the first `qib … --local` starts it.
    #[track_caller]
    pub fn new(config: Config) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("qib-e2e-")
            .tempdir()
            .expect("a folder below the temporary one");
        let ec2 = Self { folder };
        for part in ["home", "local", "state", "work", "bin"] {
            fs::create_dir(ec2.path(part))
                .unwrap_or_else(|error| panic!("cannot make {part}: {error}"));
        }
        let Config { delays, firewall } = config;
        let text = format!(r#"{{"delays":"{delays}","firewall":{firewall},"port":0}}"#);
        ec2.write("local/config.json", &text);
        // The programs that messages tell people to run: `qib` and `aws`.
        let link = std::os::unix::fs::symlink(places::qib(), ec2.path("bin/qib"));
        link.unwrap_or_else(|error| panic!("cannot link qib: {error}"));
        let aws = format!(
            "#!/bin/sh\nexec '{}' -m awscli \"$@\"\n",
            places::python().display()
        );
        ec2.write("bin/aws", &aws);
        make_executable(&ec2.path("bin/aws"));
        ec2
    }

    /// A path in its folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in its folder and returns its path.
    #[track_caller]
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .unwrap_or_else(|error| panic!("cannot make {}: {error}", parent.display()));
        }
        fs::write(&path, content)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// Writes a pipeline and returns its path.
    #[track_caller]
    pub fn pipeline(&self, text: impl AsRef<str>) -> PathBuf {
        self.write("work/pipeline.yaml", text.as_ref())
    }

    /// Makes things go wrong from now on, see the emulator's `faults.json`.
    #[track_caller]
    pub fn faults(&self, faults: serde_json::Value) {
        self.write("local/faults.json", faults.to_string());
    }

    /// Nothing goes wrong from now on.
    #[track_caller]
    pub fn no_faults(&self) {
        let path = self.path("local/faults.json");
        fs::remove_file(&path)
            .unwrap_or_else(|error| panic!("cannot remove {}: {error}", path.display()));
    }

    /// The binary under test, with this person's environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(places::qib());
        command.args(args);
        command
    }

    /// Any program, with this person's environment and nothing of the test's.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let inherited = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        command
            .env_clear()
            .env(
                "PATH",
                format!("{}:{inherited}", self.path("bin").display()),
            )
            .env("HOME", self.path("home"))
            .env("LANG", "C.UTF-8")
            .env("QIB_LOCAL_DIR", self.path("local"))
            .env("QIB_STATE_DIR", self.path("state"))
            .env("RUST_BACKTRACE", "1")
            .current_dir(self.path("work"));
        command
    }

    /// Starts the binary under test.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(args))
    }

    /// Runs the binary under test to its end.
    #[track_caller]
    pub fn qib<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        self.start(args).end()
    }

    /// `qib run --local --json` on a pipeline, to its end.
    #[track_caller]
    pub fn run(&self, pipeline: &Path) -> Ended {
        self.start_run(pipeline).end()
    }

    /// Starts `qib run --local --json` on a pipeline.
    #[track_caller]
    pub fn start_run(&self, pipeline: &Path) -> Running {
        self.start([
            OsStr::new("run"),
            OsStr::new("--local"),
            OsStr::new("--json"),
            pipeline.as_os_str(),
        ])
    }

    /// Runs a shell script after `eval "$(qib local env)"`, as a person would.
    #[track_caller]
    pub fn shell(&self, script: &str) -> Ended {
        let mut command = self.program("sh");
        command.args(["-euc", &format!("eval \"$(qib local env)\"\n{script}")]);
        Running::start(command).end()
    }

    /// Runs the AWS CLI to its end, pointed here by `qib local env`. Its output is JSON.
    #[track_caller]
    pub fn aws(&self, args: &[&str]) -> Ended {
        let mut command = self.program("sh");
        command
            .args([
                "-euc",
                "eval \"$(qib local env)\"\nexec aws --output json \"$@\"",
                "aws",
            ])
            .args(args);
        Running::start(command).end()
    }

    /// What the account holds.
    #[track_caller]
    pub fn holdings(&self) -> Holdings {
        Holdings::read(&self.python(holdings::LOOK).exits(0))
    }

    /// What the account holds in another region.
    #[track_caller]
    pub fn holdings_in(&self, region: &str) -> Holdings {
        let looked = Running::start(self.python_command(holdings::LOOK, region)).end();
        Holdings::read(&looked.exits(0))
    }

    /// Runs a Python script that has boto3, pointed here by `qib local env`, with the region as its argument.
    #[track_caller]
    pub fn python(&self, script: &str) -> Ended {
        self.start_python(script).end()
    }

    /// The same with more arguments.
    #[track_caller]
    pub fn python_with(&self, script: &str, arguments: &[&str]) -> Ended {
        let mut command = self.python_command(script, REGION);
        command.args(arguments);
        Running::start(command).end()
    }

    /// Starts a Python script as [`python`](Self::python) runs it.
    #[track_caller]
    pub fn start_python(&self, script: &str) -> Running {
        Running::start(self.python_command(script, REGION))
    }

    fn python_command(&self, script: &str, region: &str) -> Command {
        let mut command = self.program("sh");
        command
            .args(["-euc", "eval \"$(qib local env)\"\nexec \"$@\"", "sh"])
            .arg(places::python())
            .args(["-c", script, region]);
        command
    }
}

impl Drop for LocalEc2 {
    fn drop(&mut self) {
        for args in [["local", "reset"], ["local", "down"]] {
            let output = self.command(args).output();
            match output {
                Ok(output) if output.status.success() => {}
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    eprintln!("`qib {}` failed: {said}", args.join(" "));
                }
                Err(error) => eprintln!("`qib {}` cannot be run: {error}", args.join(" ")),
            }
        }
        if std::thread::panicking() {
            self.show_the_daemons_log();
        }
    }
}

impl LocalEc2 {
    /// For whoever looks into a failure: the daemon's log goes with the folder.
    fn show_the_daemons_log(&self) {
        let entries = fs::read_dir(self.path("local"))
            .into_iter()
            .flatten()
            .flatten();
        for log in entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "log"))
        {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(60);
            eprintln!(
                "--- the end of {}:\n{}",
                log.display(),
                lines[from..].join("\n")
            );
        }
    }
}

/// Lets everyone run a file.
#[track_caller]
pub fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .unwrap_or_else(|error| panic!("cannot make {} executable: {error}", path.display()));
}

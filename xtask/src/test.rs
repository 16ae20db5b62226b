//! `cargo xtask test`: installs what the tests need, then runs them all.
//!
//! ```text
//!   Debian packages ─▶ AWS CLI ─▶ check ─▶ guest scripts ─▶ build once ─▶ tests of the crates ─▶ end to end as this user
//!                                                                                                 └▶ … as an unprivileged
//!                                                                                                    one, if root
//! ```

use crate::coldsnap::{self, Profile};
use crate::command::{Failure, Program, failed};
use crate::unprivileged::{TestUser, Workplace};
use crate::{check, debian, deny, python, tree};
use clap::Args;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

/// End-to-end tests that only root can run, each with its reason. They are left out for other users, loudly.
const ROOT_ONLY: &[(&str, &str)] = &[(
    "cloud_init",
    "cloud-init writes as several users, which a guest of one mapped user id has not",
)];

/// End-to-end test files of what is the same for every user: the account, the command line, files of this machine. As root
/// they are not run once more for an unprivileged user, which would cost as long again; the others, in which guests do
/// something, are.
const SAME_FOR_ALL: &[&str] = &[
    "aws_cli",
    "bad_input",
    "capacity",
    "coldsnap",
    "comboami",
    "concurrency",
    "crashes",
    "credentials",
    "export",
    "fedora_import",
    "images",
    "import",
    "import_bad_input",
    "import_kills",
    "import_s3",
    "journal",
    "many_cells",
    "ocp_preflight",
    "output",
    "outputs",
    "preflight",
    "publish",
    "sweep",
];

/// The tests of the scripts that run in guests. Each puts itself into namespaces of its own and touches nothing outside
/// them.
const GUEST_SCRIPTS: &[&str] = &[
    "cloud-init/tests/bind_address.py",
    "cloud-init/tests/lifetime.py",
    "cloud-init/tests/scrub.py",
];

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Leave `cargo xtask check` out.
    #[arg(long)]
    no_check: bool,
    /// Run the end-to-end tests alone.
    #[arg(long)]
    end_to_end: bool,
    /// As root: run the end-to-end tests as an unprivileged user only.
    #[arg(long)]
    unprivileged: bool,
    /// Run only these end-to-end test files (`main_job`, `failures`, …).
    #[arg(long = "file", value_name = "NAME")]
    files: Vec<String>,
}

/// Runs the tests.
///
/// # Errors
/// If a check or a test fails, or something they need cannot be had.
pub fn test(options: &Options) -> Result<(), Failure> {
    let begun = Instant::now();
    let root = own_user_id()? == 0;
    eprintln!(
        "testing as {}",
        if root {
            "root, then as an unprivileged user"
        } else {
            "an unprivileged user"
        }
    );
    let mut phases = Phases { begun, last: begun };

    debian::install_missing(root)?;
    python::install()?;
    deny::install()?;
    coldsnap::install(Profile::Debug)?;
    phases.done("installing what the tests need");
    if !options.no_check {
        check::check()?;
        phases.done("check");
    }
    if !options.end_to_end {
        guest_scripts()?;
        phases.done("the guest scripts' tests");
    }
    let executables = build()?;
    phases.done("building");
    if !options.end_to_end {
        Program::cargo()
            .args(["test", "--workspace", "--exclude", "end-to-end"])
            .args(["--locked", "--no-fail-fast"])
            .env("QIB_TEST_AWS", python::aws_cli())
            .env("QIB_TEST_ANSIBLE", python::ansible_playbook())
            .run()?;
        phases.done("the crates' tests");
    }

    let wanted: Vec<&Executable> = executables
        .iter()
        .filter(|executable| executable.package == Package::EndToEnd)
        .filter(|executable| options.files.is_empty() || options.files.contains(&executable.name))
        .collect();
    if wanted.is_empty() {
        return Err(Failure(format!(
            "no end-to-end test file is named {}",
            options.files.join(", ")
        )));
    }
    let mut failed_files = Vec::new();
    if !(root && options.unprivileged) {
        failed_files = end_to_end(&wanted, Who::Here { root })?;
        phases.done(if root {
            "end to end as root"
        } else {
            "end to end, unprivileged"
        });
    }
    if root {
        let user = TestUser::make()?;
        let place = user.workplace()?;
        // Whoever asks for the unprivileged user, or for these files, gets them all.
        let asked = options.unprivileged || !options.files.is_empty();
        let wanted: Vec<&Executable> = wanted
            .into_iter()
            .filter(|executable| asked || !SAME_FOR_ALL.contains(&executable.name.as_str()))
            .collect();
        failed_files.extend(end_to_end(
            &wanted,
            Who::User {
                user: &user,
                place: &place,
            },
        )?);
        phases.done("end to end, unprivileged");
    }
    if failed_files.is_empty() {
        eprintln!("\nall tests passed in {} s", begun.elapsed().as_secs());
        return Ok(());
    }
    Err(Failure(format!(
        "end-to-end tests failed: {}",
        failed_files.join(", ")
    )))
}

/// Runs the tests of the scripts in `cloud-init/`, with the Python that has botocore: it judges their signatures.
fn guest_scripts() -> Result<(), Failure> {
    for file in GUEST_SCRIPTS {
        Program::new(python::interpreter()).args([file]).run()?;
    }
    Ok(())
}

/// Prints how long each part took.
struct Phases {
    begun: Instant,
    last: Instant,
}

impl Phases {
    fn done(&mut self, what: &str) {
        let now = Instant::now();
        eprintln!(
            "\n[{} s] {what}: {} s",
            (now - self.begun).as_secs(),
            (now - self.last).as_secs()
        );
        self.last = now;
    }
}

/// Whose test it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// `tests/`: the real binary.
    EndToEnd,
    /// `tests/simulation/`: everything in one process.
    Simulation,
}

impl Package {
    /// Its folder in the checkout.
    fn folder(self) -> PathBuf {
        let tests = tree::root().join("tests");
        match self {
            Self::EndToEnd => tests,
            Self::Simulation => tests.join("simulation"),
        }
    }
}

/// One file of tests, compiled.
pub struct Executable {
    /// Whose.
    pub package: Package,
    /// Its name, without a path.
    pub name: String,
    path: PathBuf,
}

impl Executable {
    /// The program, with what its tests need to find.
    pub fn program(&self) -> Program {
        Program::new(&self.path)
            .current_dir(&self.package.folder())
            .env("QIB_BIN", tree::qib())
            .env("QIB_TEST_TREE", tree::root())
            .env("QIB_TEST_PYTHON", python::interpreter())
            .env("QIB_TEST_COLDSNAP", coldsnap::program(Profile::Debug))
    }
}

/// Builds everything once, in the dev profile, and returns the end-to-end tests and the simulation.
///
/// # Errors
/// If it does not compile.
pub fn build() -> Result<Vec<Executable>, Failure> {
    let build = [
        "build",
        "--workspace",
        "--all-targets",
        "--locked",
        "--message-format=json-render-diagnostics",
    ];
    let program = Program::cargo().args(build);
    eprintln!("\n$ {}", program.line());
    let mut child = program
        .into_command()
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed("starting cargo build", &error))?;
    let mut executables = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|error| failed("reading what cargo build says", &error))?;
            executables.extend(test_executable(&line));
        }
    }
    let status = child
        .wait()
        .map_err(|error| failed("waiting for cargo build", &error))?;
    if !status.success() {
        return Err(Failure(format!("cargo build ended with {status}")));
    }
    executables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(executables)
}

/// Reads one of cargo's messages: a compiled file of tests of these packages, or none.
fn test_executable(message: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(message).ok()?;
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let is_test = message["reason"] == "compiler-artifact"
        && message["target"]["kind"] == serde_json::json!(["test"]);
    let package = [Package::EndToEnd, Package::Simulation]
        .into_iter()
        .find(|package| is_test && manifest == package.folder().join("Cargo.toml"))?;
    Some(Executable {
        package,
        name: message["target"]["name"].as_str()?.to_owned(),
        path: PathBuf::from(message["executable"].as_str()?),
    })
}

/// Who runs the end-to-end tests, and on which copy of things.
enum Who<'a> {
    Here {
        root: bool,
    },
    User {
        user: &'a TestUser,
        place: &'a Workplace,
    },
}

/// Runs each file to its end, also after one has failed, and returns the names of those that failed.
fn end_to_end(executables: &[&Executable], who: Who<'_>) -> Result<Vec<String>, Failure> {
    let mut failed_files = Vec::new();
    let (as_root, label) = match &who {
        Who::Here { root: true } => (true, "as root"),
        Who::Here { root: false } => (false, "unprivileged"),
        Who::User { .. } => (false, "unprivileged"),
    };
    for executable in executables {
        let root_only = ROOT_ONLY.iter().find(|(name, _)| *name == executable.name);
        if let (false, Some((name, reason))) = (as_root, root_only) {
            eprintln!("\n*** {name} NOT RUN {label}: {reason} ***");
            continue;
        }
        eprintln!("\n=== end to end, {label}: {}", executable.name);
        let program = match &who {
            Who::Here { .. } => executable.program(),
            Who::User { user, place } => user.program(place, &executable.path)?,
        };
        // Each test has a local EC2 of its own and mostly waits for programs to start: four at once keep two cores busy.
        let status = program.args(["--test-threads=4"]).status()?;
        if !status.success() {
            failed_files.push(format!("{} ({label})", executable.name));
        }
    }
    Ok(failed_files)
}

/// The user id that this runs as.
fn own_user_id() -> Result<u32, Failure> {
    use std::os::unix::fs::MetadataExt;
    let own =
        std::fs::metadata("/proc/self").map_err(|error| failed("reading /proc/self", &error))?;
    Ok(own.uid())
}

#[cfg(test)]
mod tests {
    use super::{GUEST_SCRIPTS, Package, SAME_FOR_ALL, test_executable, tree};

    fn message(manifest: &str, kind: &str) -> String {
        serde_json::json!({
            "reason": "compiler-artifact",
            "manifest_path": tree::root().join(manifest),
            "target": { "name": "main_job", "kind": [kind] },
            "executable": "/somewhere/main_job-0123",
        })
        .to_string()
    }

    #[test]
    fn no_test_of_a_guest_script_is_left_out() {
        let folder = tree::root().join("cloud-init/tests");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("it is there")
            .map(|entry| entry.expect("it can be read").file_name())
            .map(|name| format!("cloud-init/tests/{}", name.to_string_lossy()))
            .filter(|path| path.ends_with(".py"))
            .collect();
        files.sort();
        assert_eq!(files, GUEST_SCRIPTS);
    }

    #[test]
    fn what_is_said_to_be_the_same_for_all_is_there() {
        for name in SAME_FOR_ALL {
            let tests = tree::root().join("tests");
            let places = [format!("{name}.rs"), format!("{name}/main.rs")];
            assert!(
                places.iter().any(|place| tests.join(place).is_file()),
                "{name}"
            );
        }
    }

    #[test]
    fn only_the_end_to_end_crates_test_targets_count() {
        let ours = test_executable(&message("tests/Cargo.toml", "test")).expect("it is one");
        assert_eq!(
            (ours.package, ours.name.as_str()),
            (Package::EndToEnd, "main_job")
        );
        let simulated = test_executable(&message("tests/simulation/Cargo.toml", "test"));
        assert_eq!(simulated.expect("it is one").package, Package::Simulation);
        assert!(test_executable(&message("tests/Cargo.toml", "lib")).is_none());
        assert!(test_executable(&message("crates/ssh/Cargo.toml", "test")).is_none());
        assert!(test_executable("not JSON").is_none());
    }
}

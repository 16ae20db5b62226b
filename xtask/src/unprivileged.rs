//! A user without privileges, for the tests that must also pass without root.

use crate::command::{Failure, Program, failed};
use crate::{python, tree};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The user: one of this process's own, so that two test runs on a machine do not meet. Removed with it.
pub struct TestUser {
    name: String,
    home: PathBuf,
}

/// Copies of what the tests use, where that user may read them: a checkout below root's home is closed to others.
pub struct Workplace {
    folder: PathBuf,
}

impl TestUser {
    /// Makes the user.
    ///
    /// # Errors
    /// If useradd fails or the user has no home.
    pub fn make() -> Result<Self, Failure> {
        let name = format!("qibtest-{}", std::process::id());
        Program::new("useradd")
            .args(["--create-home", "--shell", "/bin/bash"])
            .args([&name])
            .run()?;
        // From here on, whatever fails, it is removed.
        let mut user = Self {
            name,
            home: PathBuf::new(),
        };
        let entry = Program::new("getent")
            .args(["passwd", &user.name])
            .stdout()?;
        let entry = String::from_utf8_lossy(&entry);
        // passwd(5): name, password, uid, gid, comment, home, shell.
        user.home = entry
            .split(':')
            .nth(5)
            .filter(|home| !home.is_empty())
            .map(PathBuf::from)
            .ok_or_else(|| Failure(format!("the user {} has no home: {entry}", user.name)))?;
        Ok(user)
    }

    /// Copies the binary, the pipelines and the AWS CLI to where this user may read them.
    ///
    /// # Errors
    /// If a copy fails.
    pub fn workplace(&self) -> Result<Workplace, Failure> {
        let folder = self.home.join("qib-test");
        let place = Workplace { folder };
        place.fill()?;
        let owner = format!("{}:", self.name);
        Program::new("chown")
            .args(["-R", &owner])
            .args([&place.folder])
            .run()?;
        Ok(place)
    }

    /// A copy of the program at `original`, to be run as this user with a clean environment.
    ///
    /// # Errors
    /// If the copy fails.
    pub fn program(&self, place: &Workplace, original: &Path) -> Result<Program, Failure> {
        let copy = place.copy_program(original)?;
        let program = Program::new("setpriv")
            .args([
                "--reuid",
                &self.name,
                "--regid",
                &self.name,
                "--init-groups",
            ])
            .args(["env", "-i"])
            .args([
                format!("HOME={}", self.home.display()),
                format!("USER={}", self.name),
                format!("LOGNAME={}", self.name),
            ])
            .args([
                "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "LANG=C.UTF-8",
            ])
            .args([
                format!("QIB_BIN={}", place.qib().display()),
                format!("QIB_TEST_TREE={}", place.folder.display()),
                format!("QIB_TEST_PYTHON={}", place.python().display()),
            ])
            .args([copy]);
        Ok(program.current_dir(&place.folder))
    }
}

impl Drop for TestUser {
    fn drop(&mut self) {
        let Self { name, .. } = self;
        // What a failed test left running, such as a local EC2: userdel refuses while there is any. kill(2) with -1
        // reaches all that this user may signal, which is what this user runs.
        let ended = Program::new("setpriv")
            .args(["--reuid", name, "--regid", name, "--init-groups"])
            .args(["sh", "-c", "kill -KILL -- -1"])
            .output();
        let removed = Program::new("userdel").args(["--remove", name]).stdout();
        if let Err(failure) = ended.and(removed) {
            eprintln!(
                "the user {name} stays ({failure}): remove it with `userdel --remove {name}`"
            );
        }
    }
}

impl Workplace {
    fn fill(&self) -> Result<(), Failure> {
        let making =
            |error: &std::io::Error| failed(&format!("making {}", self.folder.display()), error);
        fs::create_dir_all(self.folder.join("bin")).map_err(|error| making(&error))?;
        for folder in ["pipelines", "cloud-init"] {
            copy_recursively(&tree::root().join(folder), &self.folder)?;
        }
        self.copy_program(&tree::qib())?;
        // A virtual environment holds absolute paths, so its packages are copied and run by the system's Python.
        let library = python::environment().join("lib");
        copy_recursively(&library, &self.folder)?;
        let packages = only_entry(&self.folder.join("lib"))?.join("site-packages");
        let wrapper = format!(
            "#!/bin/sh\nPYTHONPATH={} exec {} \"$@\"\n",
            packages.display(),
            python::SYSTEM_PYTHON
        );
        let python = self.python();
        fs::write(&python, wrapper)
            .and_then(|()| fs::set_permissions(&python, fs::Permissions::from_mode(0o755)))
            .map_err(|error| failed(&format!("writing {}", python.display()), &error))
    }

    fn qib(&self) -> PathBuf {
        self.folder.join("bin").join("qib")
    }

    fn python(&self) -> PathBuf {
        self.folder.join("bin").join("python")
    }

    fn copy_program(&self, original: &Path) -> Result<PathBuf, Failure> {
        let name = original
            .file_name()
            .ok_or_else(|| Failure(format!("{} is no program", original.display())))?;
        let copy = self.folder.join("bin").join(name);
        fs::copy(original, &copy)
            .and_then(|_| fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)))
            .map_err(|error| {
                failed(
                    &format!("copying {} to {}", original.display(), copy.display()),
                    &error,
                )
            })?;
        Ok(copy)
    }
}

fn copy_recursively(from: &Path, into: &Path) -> Result<(), Failure> {
    Program::new("cp")
        .args(["-a", "--"])
        .args([from, into])
        .run()
}

/// The one entry of `folder`: `lib` of a virtual environment holds `python3.N` and nothing else.
fn only_entry(folder: &Path) -> Result<PathBuf, Failure> {
    let reading = |error: &std::io::Error| failed(&format!("reading {}", folder.display()), error);
    let mut entries = fs::read_dir(folder).map_err(|error| reading(&error))?;
    match (entries.next(), entries.next()) {
        (Some(entry), None) => entry
            .map(|entry| entry.path())
            .map_err(|error| reading(&error)),
        _ => Err(Failure(format!(
            "{} holds more or less than one folder",
            folder.display()
        ))),
    }
}

//! How a provisioner's script is run: composed here as text and files, without a connection.
//!
//! ```text
//!   stage (no terminal)                  command                                 cleanup
//!   /tmp/qib-ID/         0700    sudo -n -H -u USER -- /bin/sh               rm -rf /tmp/qib-ID
//!     script             0600      /tmp/qib-ID/run </dev/null                after a command that failed
//!     run                0600        sets the environment, removes itself,   or whose connection broke
//!                                    runs INTERPRETER [-e] script,
//!                                    removes /tmp/qib-ID, exits as it did
//! ```
//!
//! The environment is in the file `run`, which is gone before the script begins; no value ever stands on a command line,
//! where everyone on the host could read it. The script is a file too, and its interpreter reads it by name: neither goes
//! through a terminal, which would echo it, and neither needs a file system that allows execution.

mod environment;
mod run;
mod shebang;

pub use environment::{Environment, EnvironmentError, VariableName};
pub use shebang::{Interpreter, ShebangError};

use crate::exec::{PtySize, RemoteCommand, Stdin};
use crate::quote::{shell_quote, through_posix_shell};
use crate::transfer::RemotePath;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Why a script cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Its first line.
    #[error(transparent)]
    Shebang(#[from] ShebangError),
    /// Its environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The user to become.
    #[error("`{0}` is not a user name")]
    UserName(String),
    /// The name of its folder.
    #[error("`{0}` cannot name a script's folder: 1 to 64 letters, digits and hyphens")]
    Id(String),
}

/// The name of a user at the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl FromStr for UserName {
    type Err = ScriptError;

    /// Takes what useradd(8) takes at most: letters, digits, `_`, `.`, `-`, a `$` at the end, no hyphen first.
    fn from_str(text: &str) -> Result<UserName, ScriptError> {
        let body = text.strip_suffix('$').unwrap_or(text);
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if body.is_empty() || body.starts_with('-') || !body.chars().all(good) {
            return Err(ScriptError::UserName(text.to_owned()));
        }
        Ok(UserName(text.to_owned()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As whom a script runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Become {
    /// As the user who logs in.
    #[default]
    LoginUser,
    /// As this user, through `sudo -n -H`. If it is the user who logs in, sudo is not needed and not used.
    User(UserName),
}

impl Become {
    /// The login shell's command that has a POSIX shell run `program` as this user.
    pub(crate) fn run_shell(&self, program: &str) -> String {
        through_posix_shell(&as_user(
            self,
            &format!("/bin/sh -c {}", shell_quote(program)),
        ))
    }
}

/// Whether a script ends at the first command that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errexit {
    /// It does: `-e`, and `-o pipefail` where the shell has it. Has no meaning for interpreters that are not shells
    /// (Python, Perl …): they run as they are ([`Interpreter::has_errexit`]).
    #[default]
    On,
    /// It does not, unless it says so itself.
    Off,
}

/// A script and how it is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its text. Several inline commands that should share variables are one text, joined by newlines.
    pub body: Vec<u8>,
    /// What runs it; if not given, what its first line says, else `/bin/sh`.
    pub interpreter: Option<Interpreter>,
    /// As whom.
    pub become_user: Become,
    /// Whether it ends at the first failure.
    pub errexit: Errexit,
    /// Whether it has a terminal. Its input is empty in any case.
    pub pty: Option<PtySize>,
    /// Its variables, besides those of a login.
    pub environment: Environment,
}

/// Names the folder of one script at the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScriptId(String);

impl ScriptId {
    /// A random one.
    pub fn random() -> ScriptId {
        ScriptId(format!("{:032x}", rand::random::<u128>()))
    }

    /// Its text: letters, digits and `-`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScriptId {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<ScriptId, ScriptError> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if text.is_empty() || text.len() > 64 || !text.chars().all(good) {
            return Err(ScriptError::Id(text.to_owned()));
        }
        Ok(ScriptId(text.to_owned()))
    }
}

/// A file to put in place before the command runs. Its content is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StagedFile {
    pub path: RemotePath,
    pub content: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for StagedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.content.len())
    }
}

/// A script, ready to be run by [`crate::Connection::run_script`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedScript {
    /// Runs the script and removes its files.
    pub command: RemoteCommand,
    /// Removes what is left of the script's files. [`crate::Connection::run_script`] does it while it has its connection;
    /// after a lost connection, a reboot, or a future that was dropped it is the caller's to run. It does no harm when
    /// there is nothing left.
    pub cleanup: RemoteCommand,
    pub(crate) folder: String,
    pub(crate) staged: Vec<StagedFile>,
    /// As whom the files are put in place.
    pub(crate) stage_as: Become,
}

impl Script {
    /// Composes the files and command lines.
    ///
    /// # Errors
    /// If the script's first line is broken.
    pub fn prepare(&self, id: &ScriptId) -> Result<PreparedScript, ScriptError> {
        let interpreter = match &self.interpreter {
            Some(interpreter) => interpreter.clone(),
            None => Interpreter::of_script(&self.body)?,
        };
        let folder = format!("/tmp/qib-{}", id.0);
        // Root can read the login user's files, and some hosts allow sudo on a terminal only, which staging does without.
        let stage_as = match &self.become_user {
            Become::User(user) if user.0 == "root" => Become::LoginUser,
            other => other.clone(),
        };
        let path = |name: &str| -> Result<RemotePath, ScriptError> {
            format!("{folder}/{name}")
                .parse()
                .map_err(|_| ScriptError::Id(id.0.clone()))
        };
        let staged = vec![
            StagedFile {
                path: path("script")?,
                content: Zeroizing::new(self.body.clone()),
            },
            StagedFile {
                path: path("run")?,
                content: runner(&folder, &interpreter, self.errexit, &self.environment),
            },
        ];
        let run = format!("/bin/sh {folder}/run </dev/null");
        let remove = format!("/bin/rm -rf {folder}");
        Ok(PreparedScript {
            command: RemoteCommand {
                command: through_posix_shell(&as_user(&self.become_user, &run)),
                stdin: Stdin::None,
                pty: self.pty,
            },
            cleanup: RemoteCommand::new(through_posix_shell(&as_user(&stage_as, &remove))),
            folder,
            staged,
            stage_as,
        })
    }
}

impl PreparedScript {
    /// The login shell's command that makes the folder, readable by its user only. It fails if the folder is there: then
    /// somebody else made it.
    pub(crate) fn make_folder(&self) -> String {
        through_posix_shell(&as_user(
            &self.stage_as,
            &format!("mkdir -m 700 {}", self.folder),
        ))
    }

    /// The login shell's command that runs a receiving program (see [`crate::transfer`]) as the right user.
    pub(crate) fn receive(&self, program: &str) -> String {
        self.stage_as.run_shell(program)
    }
}

/// Shell text that runs `command` as a user. `sudo -n` asks for no password and fails instead; `-H` sets HOME, which not
/// every sudoers file does. The environment is not passed through sudo: the script's own is set behind it.
fn as_user(become_user: &Become, command: &str) -> String {
    match become_user {
        Become::LoginUser => format!("exec {command}"),
        Become::User(UserName(user)) => {
            let user = shell_quote(user);
            format!(
                "if [ \"$(id -u)\" = \"$(id -u {user} 2>/dev/null)\" ]; then exec {command}; \
                 else exec sudo -n -H -u {user} -- {command}; fi"
            )
        }
    }
}

/// The file `run`: see the module's documentation.
fn runner(
    folder: &str,
    interpreter: &Interpreter,
    errexit: Errexit,
    environment: &Environment,
) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(String::new());
    let words: Vec<String> = interpreter.words().map(shell_quote).collect();
    let program = words.join(" ");
    // Writing to a string cannot fail. The shell has this file open and reads on; it goes before anything can fail, and
    // by its full path: the variables below may hold a PATH without `rm`.
    let _ = writeln!(text, "/bin/rm -f {folder}/run");
    let options = match errexit {
        Errexit::On if interpreter.has_errexit() => {
            // dash has no pipefail before 0.5.13, and refuses to start with an option that it does not know.
            let _ = writeln!(text, "qib_options=-e");
            let _ = writeln!(
                text,
                "if {program} -c 'set -o pipefail' >/dev/null 2>&1; then qib_options='-e -o pipefail'; fi"
            );
            " $qib_options"
        }
        _ => "",
    };
    // In a shell of their own, so that PATH or LD_PRELOAD of the script's do not reach the removal after it.
    let _ = writeln!(text, "(");
    for (name, value) in environment.iter() {
        let _ = writeln!(text, "export {name}={}", shell_quote(value.expose()));
    }
    let _ = writeln!(text, "exec {program}{options} {folder}/script");
    let _ = writeln!(text, ")");
    let _ = writeln!(text, "qib_status=$?");
    let _ = writeln!(text, "/bin/rm -rf {folder}");
    let _ = writeln!(text, "exit \"$qib_status\"");
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}

#[cfg(test)]
mod tests;

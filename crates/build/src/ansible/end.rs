//! How a playbook ended, or why it did not begin.

use crate::guest::{CommandEnd, SessionError};
use crate::host::LocalError;
use std::fmt;
use std::path::PathBuf;

/// Which of the two programs ended badly, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaybookEnd {
    /// The playbook went well.
    Well,
    /// The roles and collections could not be installed.
    Galaxy(CommandEnd),
    /// The playbook failed.
    Playbook(CommandEnd),
}

impl PlaybookEnd {
    /// What went wrong with `playbook`; none if nothing did. The exit codes are ansible-playbook's own (`RunResult` and
    /// `ExitCode` in its sources).
    pub fn complaint(&self, playbook: &str) -> Option<String> {
        let (what, end) = match self {
            Self::Well => return None,
            Self::Galaxy(end) => ("ansible-galaxy for the playbook", end),
            Self::Playbook(end) => ("the playbook", end),
        };
        let how = match end {
            CommandEnd::Signalled(signal) => format!("was ended by signal {signal}"),
            CommandEnd::Exited(code) => {
                let meaning = match (self, code) {
                    (_, 126 | 127) => " (there is no such program, or it may not be run)",
                    (Self::Playbook(_), 2) => " (a task failed)",
                    (Self::Playbook(_), 3 | 4) => " (the guest could not be reached)",
                    (Self::Playbook(_), 5) => " (its options were refused)",
                    (Self::Playbook(_), 250) => " (an error inside Ansible)",
                    _ => "",
                };
                format!("ended with exit code {code}{meaning}")
            }
        };
        Some(format!("did not go well: {what} {playbook} {how}"))
    }
}

/// Why a playbook was not begun, or nobody knows how it ended.
#[derive(Debug)]
pub enum AnsibleError {
    /// A file on this machine stands in the way.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The program on this machine could not be run, or was stopped.
    Local(LocalError),
    /// The guest or the connection to it failed.
    Session {
        /// What was being done.
        doing: &'static str,
        /// What happened.
        error: SessionError,
    },
    /// The folder in the guest could not be made or removed.
    Staging {
        /// What was being done.
        doing: &'static str,
        /// How it ended.
        end: CommandEnd,
        /// What the guest said.
        said: Vec<String>,
    },
}

impl fmt::Display for AnsibleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Local(error) => error.fmt(f),
            Self::Session { doing, error } => write!(f, "{doing}: {error}"),
            Self::Staging { doing, end, said } => {
                let end = match end {
                    CommandEnd::Exited(code) => format!("exit code {code}"),
                    CommandEnd::Signalled(signal) => format!("signal {signal}"),
                };
                write!(f, "{doing} ended with {end}: {}", said.join(" "))
            }
        }
    }
}

impl std::error::Error for AnsibleError {}

impl AnsibleError {
    pub(super) fn session(doing: &'static str) -> impl FnOnce(SessionError) -> Self {
        move |error| Self::Session { doing, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_playbook_is_named_with_what_its_code_means() {
        let end = PlaybookEnd::Playbook(CommandEnd::Exited(2));
        assert_eq!(
            end.complaint("site.yaml").unwrap(),
            "did not go well: the playbook site.yaml ended with exit code 2 (a task failed)"
        );
        assert_eq!(PlaybookEnd::Well.complaint("site.yaml"), None);
    }
}

//! Names of files at the host.

use std::fmt;
use std::str::FromStr;

/// A path at the host. A relative one starts at the user's home folder, where SSH starts commands; `~/x` is the same.
/// A slash at its end says that it is a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemotePath(String);

/// Why text is not a path at the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemotePathError {
    /// There is nothing.
    #[error("the remote path is empty")]
    Empty,
    /// No file name holds a NUL byte.
    #[error("the remote path {0:?} contains a NUL byte")]
    Nul(String),
    /// Only the shell knows other users' homes.
    #[error("the remote path `{0}` starts at another user's home; write it out in full")]
    OtherHome(String),
}

impl RemotePath {
    /// The path as a POSIX program takes it: it never looks like an option.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `name` in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> RemotePath {
        let separator = if self.0.ends_with('/') { "" } else { "/" };
        RemotePath(format!("{}{separator}{name}", self.0))
    }
}

impl FromStr for RemotePath {
    type Err = RemotePathError;

    fn from_str(text: &str) -> Result<RemotePath, RemotePathError> {
        if text.contains('\0') {
            return Err(RemotePathError::Nul(text.to_owned()));
        }
        let path = match text.strip_prefix('~') {
            Some("" | "/") => "./",
            Some(rest) if rest.starts_with('/') => rest.trim_start_matches('/'),
            Some(_) => return Err(RemotePathError::OtherHome(text.to_owned())),
            None => text,
        };
        match path {
            "" => Err(RemotePathError::Empty),
            _ if path.starts_with('-') => Ok(RemotePath(format!("./{path}"))),
            _ => Ok(RemotePath(path.to_owned())),
        }
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Permission bits, including set-user-id and the like: `0o7777` at most.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// `rw-------`: for secrets.
    pub const PRIVATE: FileMode = FileMode(0o600);

    /// Takes the permission bits of `mode` and drops the file type.
    pub fn new(mode: u32) -> FileMode {
        FileMode(mode & 0o7777)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for FileMode {
    /// As `chmod` takes it: `0644`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, RemotePathError> {
        text.parse::<RemotePath>().map(|p| p.to_string())
    }

    #[test]
    fn paths_start_at_home_and_never_look_like_options() {
        assert_eq!(parsed("/etc/x").as_deref(), Ok("/etc/x"));
        assert_eq!(parsed("~/x/").as_deref(), Ok("x/"));
        assert_eq!(parsed("~").as_deref(), Ok("./"));
        assert_eq!(parsed("-rf").as_deref(), Ok("./-rf"));
        assert_eq!(parsed("~/-rf").as_deref(), Ok("./-rf"));
        assert_eq!(
            parsed("~root/x"),
            Err(RemotePathError::OtherHome("~root/x".into()))
        );
        assert_eq!(parsed(""), Err(RemotePathError::Empty));
        assert!(matches!(parsed("a\0b"), Err(RemotePathError::Nul(_))));
    }

    #[test]
    fn modes_are_written_as_chmod_reads_them() {
        assert_eq!(FileMode::new(0o100_644).to_string(), "0644");
        assert_eq!(FileMode::new(0o4755).to_string(), "4755");
    }
}

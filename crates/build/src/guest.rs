//! The guest as a port: what the engine needs of SSH. The `ssh` crate implements it in [`crate::ssh_access`]; tests use a
//! fake.

use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How to prove who one is.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A private key. Cloning shares it.
    Key(Arc<ssh::KeyPair>),
    /// The keys of an agent, at its socket.
    Agent(PathBuf),
}

/// How the host proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// It has one of these public keys, in OpenSSH's one-line format.
    Pinned(Vec<String>),
    /// Its key has this SHA-256 fingerprint.
    Fingerprint(String),
    /// It stands in this file.
    KnownHosts(PathBuf),
    /// Whatever it shows on the first connection; the same after that.
    AcceptFirst,
}

/// Whom to connect to, and how.
#[derive(Clone, Debug)]
pub struct GuestTarget {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// By which way. Clones share a bastion's connection.
    pub dial: ssh::Dial,
    /// User to log in as.
    pub user: String,
    /// How to prove who one is.
    pub identity: Identity,
    /// How the host proves who it is.
    pub host_keys: HostKeys,
}

impl GuestTarget {
    /// `host:port`, for messages.
    pub fn destination(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Nothing answers, or not SSH, or not in time: try again.
    #[error("{0}")]
    NotYet(String),
    /// The host shows a key that it must not have: never try again.
    #[error("{0}")]
    HostKeyMismatch(String),
    /// The host refuses the user's key. The guest may not have written the key yet: try again for a while.
    #[error("{0}")]
    Refused(String),
    /// Trying again cannot help.
    #[error("{0}")]
    Permanent(String),
}

/// A command for the guest.
#[derive(Clone, Debug, Default)]
pub struct GuestCommand {
    /// Shell text.
    pub script: Script,
    /// The user to become, if not the one logged in as.
    pub become_user: Option<String>,
    /// The program that runs the script; none leaves it to the script's first line.
    pub interpreter: Option<String>,
    /// Whether the first failing command ends the script.
    pub errexit: bool,
    /// Whether it gets a terminal.
    pub pty: bool,
    /// Environment; values may be secret and never stand on a command line.
    pub environment: Vec<(String, String)>,
}

/// Where a script's text comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What to call it in messages and in the guest's temporary file name.
    pub name: String,
    /// Its text; a first line `#!` names the interpreter.
    pub text: Vec<u8>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// With an exit code.
    Exited(u32),
    /// By a signal.
    Signalled(String),
}

/// Why it is not known how a command or an upload ended, or why it could not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The connection broke.
    #[error("{0}")]
    ConnectionLost(String),
    /// The guest or the local file system refused.
    #[error("{0}")]
    Refused(String),
}

/// Takes output line by line, as it comes.
pub trait Output: Send {
    /// A line of standard output or standard error, without its end.
    fn line(&mut self, stream: crate::event::OutputStream, line: &str);
}

/// Opens connections to guests.
#[async_trait]
pub trait GuestAccess: Send + Sync {
    /// Connects, checks the host's key before anything is sent, and logs in. Takes at most `within`.
    async fn open(
        &self,
        target: &GuestTarget,
        within: Duration,
    ) -> Result<Box<dyn GuestSession>, OpenError>;
    /// The agent's first public key, in OpenSSH's one-line format; none if it has none.
    async fn agent_keys(&self, socket: &Path) -> Result<Option<String>, String>;
}

/// A connection to a guest.
#[async_trait]
pub trait GuestSession: Send + Sync {
    /// SHA-256 fingerprint of the key that the host showed.
    fn host_fingerprint(&self) -> String;
    /// The public key that was logged in with, in OpenSSH's one-line format; none if that is not known.
    fn login_key(&self) -> Option<String>;
    /// Whether the connection has ended.
    fn is_closed(&self) -> bool;
    /// Runs a command to its end.
    async fn run(
        &self,
        command: &GuestCommand,
        output: &mut dyn Output,
    ) -> Result<CommandEnd, SessionError>;
    /// Uploads one file, with mode and modification time, checked by hash.
    async fn upload_file(
        &self,
        from: &Path,
        to: &str,
        mode: Option<u32>,
    ) -> Result<(), SessionError>;
    /// Uploads a folder's content, checked by hash.
    async fn upload_directory(&self, from: &Path, to: &str) -> Result<(), SessionError>;
    /// Writes bytes to a file that has `mode` from the start, checked by hash.
    async fn upload_bytes(&self, content: &[u8], to: &str, mode: u32) -> Result<(), SessionError>;
    /// Fetches one file to `to`, checked by hash, with the rights of `become_user`. Nothing is there if it fails.
    async fn download_file(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError>;
    /// Fetches a folder's content into the folder `to`, which is there, checked by hash. Nothing is written outside of it,
    /// whatever the guest sends.
    async fn download_directory(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError>;
    /// Lends the connection to programs on this machine that call `ssh`: see [`GuestProxy`].
    async fn proxy(&self) -> Result<Box<dyn GuestProxy>, SessionError>;
    /// Ends the connection.
    async fn close(self: Box<Self>);
}

/// An SSH server on this machine's loopback that passes sessions on over a guest's connection, for as long as it lives. When
/// that connection ends it opens another one by itself, checked as the first was.
pub trait GuestProxy: Send + Sync {
    /// Its port on 127.0.0.1.
    fn port(&self) -> u16;
    /// The only user that may log in.
    fn user(&self) -> String;
    /// The only private key that may log in, in OpenSSH's format.
    fn private_key(&self) -> ssh::Secret;
    /// Its own host key, as a line of `known_hosts`.
    fn known_hosts_line(&self) -> String;
    /// Why a session could not be passed on, if one could not: the last reason.
    fn last_trouble(&self) -> Option<String>;
}

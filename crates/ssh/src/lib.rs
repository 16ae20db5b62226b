//! The SSH client: keys, host-key checking, commands with live output, uploads, and the way a provisioner's script is
//! run. Built on russh; nothing of EC2 is known here.
//!
//! ```text
//!   Destination ── probe_banner ──▶ "SSH-2.0-…"            does anything answer?
//!        │
//!        ▼ ConnectOptions
//!   TCP ──▶ key exchange ──▶ host key checked ──▶ authentication ──▶ Connection
//!                                 │ wrong key                           │
//!                                 ▼                                     ├─ run            RemoteCommand ─▶ CommandExit
//!                      HostKeyMismatch, before                          ├─ run_script     PreparedScript ─▶ CommandExit
//!                      any authentication                               ├─ upload_file / upload_directory / upload_bytes
//!                                                                       └─ download_file
//! ```
//!
//! The way to the host may lead through a SOCKS5 proxy or a bastion ([`Dial`]). A [`Proxy`] lends a connection to programs
//! that only know how to call `ssh`.
//!
//! A connection that drops is reported ([`RunError::ConnectionLost`]) and never re-opened behind the caller's back:
//! only the caller knows whether a command may run twice.
//!
//! What the remote end needs: a POSIX `sh` and `sha256sum`; for directories also `tar` and `gzip`; for `become`, `sudo`.
#![allow(
    clippy::disallowed_methods,
    reason = "this crate is an edge: it times its own connections"
)]

mod connect;
mod dial;
mod exec;
mod host_key;
mod keys;
mod lines;
mod proxy;
mod quote;
mod script;
mod secret;
mod transfer;

pub use connect::{
    ConnectError, ConnectOptions, Connection, Destination, Identity, KEEPALIVES_UNANSWERED, Phase,
    agent_public_keys, probe_banner,
};
pub use dial::{Dial, DialError, Jump, SocksLogin, SocksProxy};
pub use exec::{
    Collected, CommandExit, CommandState, Discard, OutputSink, PtySize, RemoteCommand, RunError,
    Stdin, Stream,
};
pub use host_key::{FirstSeenKey, HostKeyRule, PublicHostKey};
pub use keys::{KeyAlgorithm, KeyError, KeyPair};
pub use lines::{LineSplitter, MAX_LINE_BYTES};
pub use proxy::{Proxy, ProxyError};
pub use quote::shell_quote;
pub use script::{
    Become, Environment, EnvironmentError, Errexit, Interpreter, PreparedScript, Script,
    ScriptError, ScriptId, ShebangError, UserName, VariableName,
};
pub use secret::Secret;
pub use transfer::{FileMode, FileUpload, RemotePath, RemotePathError, UploadError, Uploaded};

//! The guest port, implemented by the `ssh` crate.

use crate::event::OutputStream;
use crate::guest::*;
use async_trait::async_trait;
use ssh::{
    Become, CommandExit, ConnectError, ConnectOptions, Connection, Destination, Environment,
    Errexit, FileMode, FileUpload, HostKeyRule, Interpreter, OutputSink, PtySize, RemotePath,
    RunError, ScriptId, Secret, Stream, UploadError,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a connection may be silent before the host is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Opens SSH connections.
#[derive(Debug, Default)]
pub struct SshAccess {
    /// What each destination showed first, for `host_key: accept-first`: a later connection must see the same.
    first_seen: Mutex<HashMap<Destination, HostKeyRule>>,
}

#[async_trait]
impl GuestAccess for SshAccess {
    async fn open(
        &self,
        target: &GuestTarget,
        within: Duration,
    ) -> Result<Box<dyn GuestSession>, OpenError> {
        let destination = Destination {
            host: target.host.clone(),
            port: target.port,
        };
        let host_key = match &target.host_keys {
            HostKeys::Pinned(keys) => {
                let parsed: Result<Vec<_>, _> = keys.iter().map(|key| key.parse()).collect();
                HostKeyRule::Pinned(parsed.map_err(|error| {
                    OpenError::Permanent(format!(
                        "a host key that was expected cannot be read: {error}"
                    ))
                })?)
            }
            HostKeys::Fingerprint(fingerprint) => HostKeyRule::Fingerprint(fingerprint.clone()),
            HostKeys::KnownHosts(file) => HostKeyRule::KnownHosts { file: file.clone() },
            HostKeys::AcceptFirst => {
                let mut seen = self
                    .first_seen
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                seen.entry(destination.clone())
                    .or_insert_with(HostKeyRule::accept_first)
                    .clone()
            }
        };
        let options = ConnectOptions {
            destination,
            dial: target.dial.clone(),
            user: target.user.clone(),
            identity: match &target.identity {
                Identity::Key(key) => ssh::Identity::Key(key.clone()),
                Identity::Agent(socket) => ssh::Identity::Agent {
                    socket: socket.clone(),
                },
            },
            host_key,
            handshake_timeout: within,
            keepalive: KEEPALIVE,
        };
        match Connection::open(&options).await {
            Ok(connection) => Ok(Box::new(SshSession {
                connection: Arc::new(connection),
                options,
            })),
            Err(error) => Err(match &error {
                ConnectError::HostKeyMismatch { .. } => {
                    OpenError::HostKeyMismatch(error.to_string())
                }
                ConnectError::AuthenticationRefused { .. } => OpenError::Refused(error.to_string()),
                other if other.is_final() => OpenError::Permanent(error.to_string()),
                _ => OpenError::NotYet(error.to_string()),
            }),
        }
    }

    async fn agent_keys(&self, socket: &Path) -> Result<Option<String>, String> {
        let keys = ssh::agent_public_keys(socket)
            .await
            .map_err(|error| error.to_string())?;
        Ok(keys.into_iter().next())
    }
}

struct SshSession {
    connection: Arc<Connection>,
    /// How it was opened.
    options: ConnectOptions,
}

impl GuestProxy for ssh::Proxy {
    fn port(&self) -> u16 {
        self.port()
    }

    fn user(&self) -> String {
        self.user().to_owned()
    }

    fn private_key(&self) -> Secret {
        self.login_key().private_openssh()
    }

    fn known_hosts_line(&self) -> String {
        self.known_hosts_line()
    }

    fn last_trouble(&self) -> Option<String> {
        self.last_trouble()
    }
}

/// Passes the `ssh` crate's lines on to the engine's sink.
struct Lines<'a>(&'a mut dyn Output);

impl OutputSink for Lines<'_> {
    fn line(&mut self, stream: Stream, line: &str) {
        let stream = match stream {
            Stream::Stdout => OutputStream::Stdout,
            Stream::Stderr => OutputStream::Stderr,
        };
        self.0.line(stream, line);
    }
}

fn refused(error: impl std::fmt::Display) -> SessionError {
    SessionError::Refused(error.to_string())
}

fn run_failed(error: &RunError) -> SessionError {
    match error {
        RunError::ConnectionLost { .. } | RunError::NoExitStatus { .. } => {
            SessionError::ConnectionLost(error.to_string())
        }
        RunError::Refused { .. } | RunError::NotStaged { .. } | RunError::InputFailed { .. } => {
            refused(error)
        }
    }
}

fn upload_failed(error: &UploadError) -> SessionError {
    match error {
        UploadError::Run {
            source: RunError::ConnectionLost { .. },
            ..
        } => SessionError::ConnectionLost(error.to_string()),
        _ => refused(error),
    }
}

fn becoming(user: Option<&str>) -> Result<Become, SessionError> {
    Ok(match user {
        Some(user) => Become::User(user.parse().map_err(refused)?),
        None => Become::LoginUser,
    })
}

fn remote_path(to: &str) -> Result<RemotePath, SessionError> {
    to.parse().map_err(refused)
}

#[async_trait]
impl GuestSession for SshSession {
    fn host_fingerprint(&self) -> String {
        self.connection.host_key_fingerprint().to_owned()
    }

    fn login_key(&self) -> Option<String> {
        self.connection.login_key().map(str::to_owned)
    }

    fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    async fn run(
        &self,
        command: &GuestCommand,
        output: &mut dyn Output,
    ) -> Result<CommandEnd, SessionError> {
        let mut environment = Environment::new();
        for (name, value) in &command.environment {
            environment
                .set(name, Secret::new(value.clone()))
                .map_err(refused)?;
        }
        // Written as a first line would be: the program, and all after it as one argument.
        let interpreter = match &command.interpreter {
            Some(words) => {
                Some(Interpreter::of_script(format!("#!{words}\n").as_bytes()).map_err(refused)?)
            }
            None => None,
        };
        let script = ssh::Script {
            body: command.script.text.clone(),
            interpreter,
            become_user: becoming(command.become_user.as_deref())?,
            errexit: if command.errexit {
                Errexit::On
            } else {
                Errexit::Off
            },
            pty: command.pty.then(PtySize::default),
            environment,
        };
        let prepared = script.prepare(&ScriptId::random()).map_err(refused)?;
        let exit = self
            .connection
            .run_script(&prepared, &mut Lines(output))
            .await
            .map_err(|error| run_failed(&error))?;
        Ok(match exit {
            CommandExit::Code(code) => CommandEnd::Exited(code),
            CommandExit::Signal(name) => CommandEnd::Signalled(name),
        })
    }

    async fn upload_file(
        &self,
        from: &Path,
        to: &str,
        mode: Option<u32>,
    ) -> Result<(), SessionError> {
        let options = FileUpload {
            mode: mode.map(FileMode::new),
        };
        let uploaded = self
            .connection
            .upload_file(from, &remote_path(to)?, options)
            .await;
        uploaded.map(|_| ()).map_err(|error| upload_failed(&error))
    }

    async fn upload_directory(&self, from: &Path, to: &str) -> Result<(), SessionError> {
        let uploaded = self
            .connection
            .upload_directory(from, &remote_path(to)?)
            .await;
        uploaded.map(|_| ()).map_err(|error| upload_failed(&error))
    }

    async fn upload_bytes(&self, content: &[u8], to: &str, mode: u32) -> Result<(), SessionError> {
        let uploaded = self
            .connection
            .upload_bytes(content, &remote_path(to)?, FileMode::new(mode))
            .await;
        uploaded.map(|_| ()).map_err(|error| upload_failed(&error))
    }

    async fn download_file(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError> {
        let fetched = self
            .connection
            .download_file(&remote_path(from)?, to, &becoming(become_user)?)
            .await;
        fetched.map(|_| ()).map_err(|error| upload_failed(&error))
    }

    async fn download_directory(
        &self,
        from: &str,
        to: &Path,
        become_user: Option<&str>,
    ) -> Result<(), SessionError> {
        let fetched = self
            .connection
            .download_directory(&remote_path(from)?, to, &becoming(become_user)?)
            .await;
        fetched.map(|_| ()).map_err(|error| upload_failed(&error))
    }

    async fn proxy(&self) -> Result<Box<dyn GuestProxy>, SessionError> {
        let proxy = ssh::Proxy::start(self.connection.clone(), self.options.clone()).await;
        Ok(Box::new(proxy.map_err(refused)?))
    }

    async fn close(self: Box<Self>) {
        self.connection.close().await;
    }
}

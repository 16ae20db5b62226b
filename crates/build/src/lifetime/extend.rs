//! A later end for an instance that was kept: first in its timer, then in its tag.

use super::tag_value;
use crate::dial::dial_again;
use crate::event::OutputStream;
use crate::guest::{
    CommandEnd, GuestAccess, GuestCommand, GuestTarget, HostKeys, Identity, OpenError, Output,
    Script, SessionError,
};
use crate::names::tag;
use crate::report::WayIn;
use cloud::{CloudError, Region, Tags, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Writes the new end inside the guest; see the file.
const EXTEND_SCRIPT: &str = include_str!("../../../../cloud-init/extend-lifetime.sh");
/// Its exit code where no timer runs.
const NO_TIMER: u32 = 3;
/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// Why an instance did not get a later end.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum ExtendError {
    #[error("the private key {path} cannot be used: {reason}", path = path.display())]
    Key { path: PathBuf, reason: String },
    #[error("the key of instance {instance} is in an SSH agent, and SSH_AUTH_SOCK is not set")]
    NoAgent { instance: String },
    #[error(
        "there is no way into instance {instance} at {destination}, so its timer was not changed: {source}"
    )]
    NoConnection {
        instance: String,
        destination: String,
        source: OpenError,
    },
    #[error("there is no way to instance {instance}: {reason}")]
    Way { instance: String, reason: String },
    #[error("no timer runs in instance {instance}: it is shutting down, or was never given one")]
    NoTimer { instance: String },
    #[error(
        "whether the timer of instance {instance} was changed is not known, because the connection broke: {source}; \
         do it again"
    )]
    ConnectionLost {
        instance: String,
        source: SessionError,
    },
    #[error("the timer of instance {instance} was not changed: {reason}")]
    Refused { instance: String, reason: String },
    #[error(
        "instance {instance} now ends at {end}, but its tag {tag} does not say so, and a sweep may take it for abandoned: \
         {source}; do it again", tag = tag::EXPIRES
    )]
    Tag {
        instance: String,
        end: String,
        source: Box<CloudError>,
    },
}

/// Through what an instance's end is changed.
#[derive(Clone, Copy)]
pub struct Extension<'a> {
    /// The instance's region.
    pub region: &'a dyn Region,
    /// Opens connections.
    pub guests: &'a dyn GuestAccess,
    /// The SSH agent's socket, for instances whose key it holds.
    pub agent_socket: Option<&'a Path>,
}

/// Lets the instance at the end of `way_in` live until `end`: in its timer, then in its tag `qib:expires`, so that the
/// tag never promises a life that the instance has not. Doing it twice does no harm.
///
/// # Errors
/// If there is no way in, no timer, or the tag cannot be written; the message says which of the two holds the new end.
pub async fn extend(
    through: Extension<'_>,
    way_in: &WayIn,
    end: Timestamp,
) -> Result<(), ExtendError> {
    set_timer(through, way_in, end).await?;
    let tags = Tags::new().with(tag::EXPIRES, tag_value(end));
    through
        .region
        .create_tags(std::slice::from_ref(&way_in.instance_id), &tags)
        .await
        .map_err(|source| ExtendError::Tag {
            instance: way_in.instance_id.clone(),
            end: tag_value(end),
            source: Box::new(source),
        })
}

async fn set_timer(
    through: Extension<'_>,
    way_in: &WayIn,
    end: Timestamp,
) -> Result<(), ExtendError> {
    let instance = || way_in.instance_id.clone();
    let target = target(way_in, through.agent_socket)?;
    let session = through
        .guests
        .open(&target, CONNECT_WITHIN)
        .await
        .map_err(|source| ExtendError::NoConnection {
            instance: instance(),
            destination: target.destination(),
            source,
        })?;
    let mut said = Said::default();
    let ended = session.run(&command(end), &mut said).await;
    session.close().await;
    let ended = ended.map_err(|source| match source {
        SessionError::ConnectionLost(_) => ExtendError::ConnectionLost {
            instance: instance(),
            source,
        },
        SessionError::Refused(reason) => ExtendError::Refused {
            instance: instance(),
            reason,
        },
    })?;
    let wanted = end.as_second().to_string();
    let reason = match ended {
        CommandEnd::Exited(0) if said.out.last() == Some(&wanted) => return Ok(()),
        CommandEnd::Exited(0) => format!("it ends at {:?}, not at {wanted}", said.out),
        CommandEnd::Exited(NO_TIMER) => {
            return Err(ExtendError::NoTimer {
                instance: instance(),
            });
        }
        CommandEnd::Exited(code) => {
            format!("exit code {code}: {}", said.error.join(" "))
        }
        CommandEnd::Signalled(signal) => format!("the script was ended by {signal}"),
    };
    Err(ExtendError::Refused {
        instance: instance(),
        reason,
    })
}

fn command(end: Timestamp) -> GuestCommand {
    let text = EXTEND_SCRIPT.replace("@@END@@", &end.as_second().to_string());
    GuestCommand {
        script: Script {
            name: String::from("extend-lifetime"),
            text: text.into_bytes(),
        },
        become_user: Some(String::from("root")),
        ..GuestCommand::default()
    }
}

/// Where `way_in` leads, as the guest port takes it.
fn target(way_in: &WayIn, agent_socket: Option<&Path>) -> Result<GuestTarget, ExtendError> {
    let identity = match (&way_in.key_file, agent_socket) {
        (Some(path), _) => Identity::Key(Arc::new(key(Path::new(path))?)),
        (None, Some(socket)) => Identity::Agent(socket.to_owned()),
        (None, None) => {
            return Err(ExtendError::NoAgent {
                instance: way_in.instance_id.clone(),
            });
        }
    };
    let host_keys = match (&way_in.known_hosts, way_in.host_fingerprints.first()) {
        (Some(file), _) => HostKeys::KnownHosts(PathBuf::from(file)),
        (None, Some(fingerprint)) => HostKeys::Fingerprint(fingerprint.clone()),
        // The pipeline asked for it, with `host_key: accept-first`; nothing secret is sent.
        (None, None) => HostKeys::AcceptFirst,
    };
    Ok(GuestTarget {
        host: way_in.host.clone(),
        port: way_in.port,
        dial: dial_again(way_in, agent_socket).map_err(|reason| ExtendError::Way {
            instance: way_in.instance_id.clone(),
            reason,
        })?,
        user: way_in.user.clone(),
        identity,
        host_keys,
    })
}

fn key(path: &Path) -> Result<ssh::KeyPair, ExtendError> {
    let refused = |reason: String| ExtendError::Key {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    ssh::KeyPair::from_openssh(&text).map_err(|error| refused(error.to_string()))
}

/// What the script printed.
#[derive(Default)]
struct Said {
    out: Vec<String>,
    error: Vec<String>,
}

impl Output for Said {
    fn line(&mut self, stream: OutputStream, line: &str) {
        match stream {
            OutputStream::Stdout => self.out.push(line.trim().to_owned()),
            OutputStream::Stderr => self.error.push(line.to_owned()),
        }
    }
}

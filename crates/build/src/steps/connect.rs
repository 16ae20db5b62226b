//! Getting in: the host's key is checked before anything is sent, and the instance is watched while one waits.

use super::Progress;
use super::access::{Access, write_private};
use super::address::ElasticAddress;
use super::context::CellContext;
use super::launch::{Launched, gone};
use crate::dial;
use crate::event::OutputStream;
use crate::failure::StepError;
use crate::guest::*;
use crate::options::Debugging;
use crate::report::WayIn;
use crate::spec::{AddressSpec, CellSpec, HostKeySpec, WaitCloudInit};
use cloud::{InstanceFilter, InstanceState, Timestamp};
use std::net::IpAddr;
use std::time::Duration;

/// How long connecting may take where the pipeline does not say.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(5 * 60);
/// The same for somebody who debugs and comes in from elsewhere.
const DEBUG_CONNECT_WITHIN: Duration = Duration::from_secs(30 * 60);
/// How long one attempt may take.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(15);
/// The pause between two attempts.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How long a host that answers may go on refusing the user's key: cloud-init may still be writing it.
const REFUSED_WITHIN: Duration = Duration::from_secs(60);
/// How much of the console goes into an error.
const CONSOLE_LINES: usize = 40;

/// Connects to the instance and waits for its first boot to end.
pub(super) async fn connect(
    context: &CellContext,
    spec: &CellSpec,
    access: &Access,
    launched: &Launched,
    elastic: Option<&ElasticAddress>,
    progress: &Progress,
) -> Result<GuestLink, StepError> {
    let debugging = context.run().options.debugging != Debugging::Off;
    let allowed = spec.connect.timeout.unwrap_or(if debugging {
        DEBUG_CONNECT_WITHIN
    } else {
        CONNECT_WITHIN
    });
    let deadline = context.deadline(allowed);
    let target = target(context, spec, access, launched, elastic, deadline).await?;
    let way_in = way_in(context, spec, access, launched, &target)?;
    if debugging {
        context.note(super::super::way_in::describe(&way_in));
    }
    progress.set_way_in(way_in);

    let session = open(context, &target, launched, deadline, allowed).await?;
    context.note(format!(
        "connected to {} as {}, host key {}",
        target.destination(),
        target.user,
        session.host_fingerprint()
    ));
    wait_for_cloud_init(context, spec, session.as_ref(), allowed).await?;
    Ok(GuestLink {
        target,
        session,
        allowed,
    })
}

/// A connection that is opened again when it ended between two provisioners.
pub(super) struct GuestLink {
    target: GuestTarget,
    session: Box<dyn GuestSession>,
    allowed: Duration,
}

impl GuestLink {
    /// The connection, opened again if it ended. Whoever asks must not have begun anything in the old one that may not
    /// be done twice.
    pub(super) async fn ready(
        &mut self,
        context: &CellContext,
        launched: &Launched,
    ) -> Result<&dyn GuestSession, StepError> {
        if self.session.is_closed() {
            context.warn(format!(
                "the connection to {} ended; connecting again",
                self.target.destination()
            ));
            let deadline = context.deadline(self.allowed);
            self.session = open(context, &self.target, launched, deadline, self.allowed).await?;
        }
        Ok(self.session.as_ref())
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    /// Name or address that is dialled.
    pub(super) fn host(&self) -> &str {
        &self.target.host
    }

    /// `host:port`, for messages.
    pub(super) fn destination(&self) -> String {
        self.target.destination()
    }

    /// One attempt at another connection to the same host, with the same key expected of it.
    pub(super) async fn try_open(
        &self,
        context: &CellContext,
    ) -> Result<Box<dyn GuestSession>, OpenError> {
        let guests = &context.run().ports.guests;
        guests.open(&self.target, ATTEMPT_WITHIN).await
    }

    /// One attempt at having a connection again.
    pub(super) async fn reopen_once(&mut self, context: &CellContext) -> Result<(), String> {
        let opened = context.race(self.try_open(context)).await;
        let session = opened
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        self.session = session;
        Ok(())
    }

    /// Uses this connection from now on. The one before it is not said farewell to: what was at its other end is gone.
    pub(super) fn replace(&mut self, session: Box<dyn GuestSession>) {
        self.session = session;
    }

    /// The public key that was logged in with.
    pub(super) fn login_key(&self) -> Option<String> {
        self.session.login_key()
    }

    /// Ends the connection.
    pub(super) async fn close(self) {
        self.session.close().await;
    }
}

/// Tries until the host answers, shows the right key and lets the user in.
async fn open(
    context: &CellContext,
    target: &GuestTarget,
    launched: &Launched,
    deadline: Timestamp,
    allowed: Duration,
) -> Result<Box<dyn GuestSession>, StepError> {
    let mut refused_since: Option<Timestamp> = None;
    loop {
        let attempt = context
            .race(context.run().ports.guests.open(target, ATTEMPT_WITHIN))
            .await?;
        let now = context.clock().now();
        let last = match attempt {
            Ok(session) => return Ok(session),
            Err(OpenError::HostKeyMismatch(detail)) => {
                return Err(StepError::HostKeyMismatch {
                    destination: target.destination(),
                    detail,
                });
            }
            Err(OpenError::Permanent(detail)) => {
                return Err(StepError::SshNeverCameUp {
                    destination: target.destination(),
                    waited: Duration::ZERO,
                    last: detail,
                    console: Vec::new(),
                });
            }
            Err(OpenError::Refused(detail)) => {
                let since = *refused_since.get_or_insert(now);
                if cloud::clock::between(since, now) >= REFUSED_WITHIN || now >= deadline {
                    return Err(StepError::AuthenticationRefused {
                        destination: target.destination(),
                        user: target.user.clone(),
                        detail,
                    });
                }
                detail
            }
            Err(OpenError::NotYet(detail)) => detail,
        };
        still_there(context, launched).await?;
        if now >= deadline {
            let console = context
                .console_tail(&launched.instance.instance_id, CONSOLE_LINES)
                .await;
            return Err(StepError::SshNeverCameUp {
                destination: target.destination(),
                waited: allowed,
                last,
                console,
            });
        }
        context.pause(RETRY_EVERY).await?;
    }
}

/// Errs if the instance was stopped or terminated meanwhile. A describe call that fails says nothing.
pub(super) async fn still_there(
    context: &CellContext,
    launched: &Launched,
) -> Result<(), StepError> {
    let filter = InstanceFilter {
        instance_ids: vec![launched.instance.instance_id.clone()],
        ..InstanceFilter::default()
    };
    match context.region().instances(&filter).await {
        Ok(seen) => match seen.first() {
            Some(instance)
                if !matches!(
                    instance.state,
                    InstanceState::Pending | InstanceState::Running
                ) =>
            {
                Err(gone(instance))
            }
            Some(_) | None => Ok(()),
        },
        Err(error) if error.is_passing() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn target(
    context: &CellContext,
    spec: &CellSpec,
    access: &Access,
    launched: &Launched,
    elastic: Option<&ElasticAddress>,
    deadline: Timestamp,
) -> Result<GuestTarget, StepError> {
    let instance = &launched.instance;
    let address: Option<IpAddr> = match (&spec.connect.address, elastic) {
        (AddressSpec::Elastic { .. }, Some(elastic)) => Some(elastic.public_ip.into()),
        (AddressSpec::Private, _) => instance.private_ip.map(IpAddr::from),
        (AddressSpec::Ipv6, _) => instance.ipv6.map(IpAddr::from),
        (AddressSpec::Public | AddressSpec::Elastic { .. }, _) => {
            instance.public_ip.map(IpAddr::from)
        }
    };
    let host = match (&spec.connect.host, address) {
        (Some(host), _) => host.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => {
            return Err(StepError::InstanceSlow {
                instance: instance.instance_id.to_string(),
                wanted: "reachable",
                waited: Duration::ZERO,
                detail: String::from(match spec.connect.address {
                    AddressSpec::Ipv6 => {
                        "EC2 shows no IPv6 address of it; say `launch.ipv6: true` or `connect.host`"
                    }
                    _ => {
                        "it has no public address; say `launch.public_ip: true`, `connect.address: private` or `connect.host`"
                    }
                }),
            });
        }
    };
    let host_keys = match &spec.connect.host_key {
        HostKeySpec::Inject => HostKeys::Pinned(
            access
                .host_public
                .iter()
                .map(|public| public.key.clone())
                .collect(),
        ),
        HostKeySpec::Console => HostKeys::Pinned(console_keys(context, launched, deadline).await?),
        HostKeySpec::AcceptFirst => HostKeys::AcceptFirst,
        HostKeySpec::Fingerprint(fingerprint) => HostKeys::Fingerprint(fingerprint.clone()),
        HostKeySpec::KnownHosts(file) => HostKeys::KnownHosts(file.clone()),
    };
    let dial = dial::dial(
        spec.connect.bastion.as_ref(),
        spec.connect.proxy.as_ref(),
        context.run().options.agent_socket.as_deref(),
    )
    .map_err(StepError::Key)?;
    Ok(GuestTarget {
        host,
        dial,
        port: spec.connect.port.unwrap_or(context.run().options.ssh_port),
        user: spec.connect.user.clone(),
        identity: access.identity.clone(),
        host_keys,
    })
}

/// The host's public keys as cloud-init prints them on the console at the first boot.
async fn console_keys(
    context: &CellContext,
    launched: &Launched,
    deadline: Timestamp,
) -> Result<Vec<String>, StepError> {
    let id = &launched.instance.instance_id;
    loop {
        let console = match context.race(context.region().console_output(id)).await? {
            Ok(console) => console,
            Err(error) if error.is_passing() => String::new(),
            Err(error) => return Err(error.into()),
        };
        let keys = keys_on_console(&console);
        if !keys.is_empty() {
            return Ok(keys);
        }
        still_there(context, launched).await?;
        if context.clock().now() >= deadline {
            let last =
                String::from("the console never showed the host's keys, so nothing was sent to it");
            let console = context.console_tail(id, CONSOLE_LINES).await;
            return Err(StepError::SshNeverCameUp {
                destination: id.to_string(),
                waited: Duration::ZERO,
                last,
                console,
            });
        }
        context.pause(Duration::from_secs(3)).await?;
    }
}

/// The keys between cloud-init's two marker lines; none until the second one is there.
fn keys_on_console(console: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
    const END: &str = "-----END SSH HOST KEY KEYS-----";
    let Some((_, after)) = console.rsplit_once(BEGIN) else {
        return Vec::new();
    };
    let Some((block, _)) = after.split_once(END) else {
        return Vec::new();
    };
    block
        .lines()
        .filter_map(|line| {
            // A console may put a time or a unit's name before each line.
            let start = ["ssh-", "ecdsa-"]
                .iter()
                .filter_map(|kind| line.find(kind))
                .min()?;
            let mut words = line[start..].split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .collect()
}

/// Writes down how a person gets in, and the files for it where they will be needed.
fn way_in(
    context: &CellContext,
    spec: &CellSpec,
    access: &Access,
    launched: &Launched,
    target: &GuestTarget,
) -> Result<WayIn, StepError> {
    let folder = context.run().directory.cell(&spec.cell)?;
    let known_hosts = match &target.host_keys {
        HostKeys::Pinned(keys) => {
            let path = folder.join("known_hosts");
            let host = if target.port == 22 {
                target.host.clone()
            } else {
                format!("[{}]:{}", target.host, target.port)
            };
            let lines: String = keys.iter().map(|key| format!("{host} {key}\n")).collect();
            write_private(&path, lines.as_bytes())?;
            Some(path.display().to_string())
        }
        HostKeys::KnownHosts(path) => Some(path.display().to_string()),
        HostKeys::Fingerprint(_) | HostKeys::AcceptFirst => None,
    };
    let host_fingerprints = match &target.host_keys {
        HostKeys::Pinned(_) => access
            .host_public
            .iter()
            .map(|public| public.fingerprint.clone())
            .collect(),
        HostKeys::Fingerprint(fingerprint) => vec![fingerprint.clone()],
        HostKeys::KnownHosts(_) | HostKeys::AcceptFirst => Vec::new(),
    };
    let way_in = WayIn {
        instance_id: launched.instance.instance_id.to_string(),
        region: spec.region.to_string(),
        host: target.host.clone(),
        port: target.port,
        user: target.user.clone(),
        key_file: access
            .key_file
            .as_ref()
            .map(|path| path.display().to_string()),
        known_hosts,
        host_fingerprints,
        bastion: spec.connect.bastion.as_ref().map(dial::remembered),
        proxy: spec.connect.proxy.as_ref().map(dial::remembered_proxy),
    };
    super::super::way_in::save(&folder, &way_in)?;
    Ok(way_in)
}

/// Asks cloud-init whether its first boot has ended; absent, disabled or not run counts as ended.
const CLOUD_INIT_SCRIPT: &str = r#"#!/bin/sh
if ! command -v cloud-init >/dev/null 2>&1; then
    [ ! -d /var/lib/cloud/instance ] && exit 90
    # Without the command, the file that cloud-init writes last tells.
    left=@SECONDS@
    while [ "$left" -gt 0 ]; do
        [ -e /var/lib/cloud/instance/boot-finished ] && exit 0
        sleep 1
        left=$((left - 1))
    done
    exit 124
fi
if [ -e /etc/cloud/cloud-init.disabled ] || [ -e /run/cloud-init/disabled ]; then exit 91; fi
if [ ! -d /var/lib/cloud/instance ] && [ ! -d /run/cloud-init ]; then exit 91; fi
if command -v timeout >/dev/null 2>&1; then
    timeout @SECONDS@ cloud-init status --wait
else
    cloud-init status --wait
fi
"#;

async fn wait_for_cloud_init(
    context: &CellContext,
    spec: &CellSpec,
    session: &dyn GuestSession,
    allowed: Duration,
) -> Result<(), StepError> {
    let strict = match spec.connect.wait_cloud_init {
        WaitCloudInit::Never => return Ok(()),
        WaitCloudInit::Auto => false,
        WaitCloudInit::Always => true,
    };
    let text = CLOUD_INIT_SCRIPT.replace("@SECONDS@", &allowed.as_secs().to_string());
    let command = GuestCommand {
        script: Script {
            name: String::from("wait-cloud-init"),
            text: text.into_bytes(),
        },
        ..GuestCommand::default()
    };
    let mut output = LastLines::default();
    let end = context.race(session.run(&command, &mut output)).await?;
    let end = end.map_err(|error| StepError::ConnectionLost {
        doing: String::from("waiting for cloud-init"),
        detail: error.to_string(),
    })?;
    let detail = match end {
        CommandEnd::Exited(0) => return Ok(()),
        CommandEnd::Exited(90 | 91) if !strict => return Ok(()),
        CommandEnd::Exited(90) => String::from("it is not installed"),
        CommandEnd::Exited(91) => String::from("it is disabled or did not run"),
        CommandEnd::Exited(124) => {
            format!("it did not end within {allowed:?}, which is connect.timeout")
        }
        CommandEnd::Exited(code) => format!(
            "`cloud-init status --wait` ended with {code}: {}",
            output.0.join(" ")
        ),
        CommandEnd::Signalled(signal) => {
            format!("`cloud-init status --wait` was ended by {signal}")
        }
    };
    if strict {
        return Err(StepError::CloudInit { detail });
    }
    context.warn(format!("cloud-init in the guest did not end well: {detail}; going on (`wait_cloud_init: true` makes this an error)"));
    Ok(())
}

/// Keeps the last lines that came.
#[derive(Default)]
pub(super) struct LastLines(pub Vec<String>);

impl LastLines {
    const KEPT: usize = 20;

    /// Takes a line, and forgets the oldest if there are too many.
    pub(super) fn push(&mut self, line: &str) {
        if self.0.len() == Self::KEPT {
            self.0.remove(0);
        }
        self.0.push(line.to_owned());
    }
}

impl Output for LastLines {
    fn line(&mut self, _stream: OutputStream, line: &str) {
        self.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_read_off_a_console_with_prefixes() {
        let console = "x\n[  3.1] cloud-init[9]: -----BEGIN SSH HOST KEY KEYS-----\n\
            [  3.1] cloud-init[9]: ecdsa-sha2-nistp256 AAAA root@host\nssh-ed25519 BBBB root@host\n\
            -----END SSH HOST KEY KEYS-----\n";
        assert_eq!(
            keys_on_console(console),
            ["ecdsa-sha2-nistp256 AAAA", "ssh-ed25519 BBBB"]
        );
        assert!(keys_on_console("-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 BBBB").is_empty());
    }
}

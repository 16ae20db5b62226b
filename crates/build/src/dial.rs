//! The way to an instance, as the pipeline says it and as a way in remembers it.

use crate::report::{WayIn, WayInBastion, WayInProxy};
use crate::spec::{BastionHostKeySpec, BastionKeySpec, BastionSpec};
use ssh::{
    ConnectOptions, Destination, Dial, HostKeyRule, Identity, Jump, KeyPair, SocksProxy,
    shell_quote,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long logging in to a bastion may take, if whoever wants to get through has that long.
const BASTION_WITHIN: Duration = Duration::from_secs(15);
/// How long a bastion may be silent before it is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The way through a bastion and a proxy. `agent` is the socket of the SSH agent.
///
/// # Errors
/// If the bastion's key cannot be read, or is in an agent that is not there.
pub fn dial(
    bastion: Option<&BastionSpec>,
    proxy: Option<&SocksProxy>,
    agent: Option<&Path>,
) -> Result<Dial, String> {
    let from_here = proxy.map_or(Dial::Direct, |proxy| Dial::Socks(proxy.clone()));
    let Some(bastion) = bastion else {
        return Ok(from_here);
    };
    let identity = match (&bastion.key, agent) {
        (BastionKeySpec::File(path), _) => {
            let failed = |why: String| format!("the bastion's key {}: {why}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            let key = KeyPair::from_openssh(&text).map_err(|error| failed(error.to_string()))?;
            Identity::Key(Arc::new(key))
        }
        (BastionKeySpec::Agent, Some(socket)) => Identity::Agent {
            socket: socket.to_owned(),
        },
        (BastionKeySpec::Agent, None) => {
            return Err(String::from(
                "the bastion's key is in an SSH agent, and SSH_AUTH_SOCK is not set",
            ));
        }
    };
    let host_key = match &bastion.host_key {
        BastionHostKeySpec::Fingerprint(known) => HostKeyRule::Fingerprint(known.clone()),
        BastionHostKeySpec::KnownHosts(file) => HostKeyRule::KnownHosts { file: file.clone() },
        BastionHostKeySpec::AcceptFirst => HostKeyRule::accept_first(),
    };
    Ok(Dial::Jump(Jump::through(ConnectOptions {
        destination: Destination {
            host: bastion.host.clone(),
            port: bastion.port,
        },
        dial: from_here,
        user: bastion.user.clone(),
        identity,
        host_key,
        handshake_timeout: BASTION_WITHIN,
        keepalive: KEEPALIVE,
    })))
}

/// The same for an instance that was kept. A proxy's password is not kept, so one that asks for it refuses.
///
/// # Errors
/// As [`dial`].
pub fn dial_again(way_in: &WayIn, agent: Option<&Path>) -> Result<Dial, String> {
    let proxy = way_in.proxy.as_ref().map(|proxy| SocksProxy {
        destination: Destination {
            host: proxy.host.clone(),
            port: proxy.port,
        },
        login: None,
    });
    let bastion = way_in.bastion.as_ref().map(recalled);
    dial(bastion.as_ref(), proxy.as_ref(), agent)
}

/// A bastion, to be remembered.
pub(crate) fn remembered(bastion: &BastionSpec) -> WayInBastion {
    let shown = |path: &Path| path.display().to_string();
    WayInBastion {
        host: bastion.host.clone(),
        port: bastion.port,
        user: bastion.user.clone(),
        key_file: match &bastion.key {
            BastionKeySpec::File(path) => Some(shown(path)),
            BastionKeySpec::Agent => None,
        },
        known_hosts: match &bastion.host_key {
            BastionHostKeySpec::KnownHosts(path) => Some(shown(path)),
            BastionHostKeySpec::Fingerprint(_) | BastionHostKeySpec::AcceptFirst => None,
        },
        host_fingerprint: match &bastion.host_key {
            BastionHostKeySpec::Fingerprint(known) => Some(known.clone()),
            BastionHostKeySpec::KnownHosts(_) | BastionHostKeySpec::AcceptFirst => None,
        },
    }
}

fn recalled(bastion: &WayInBastion) -> BastionSpec {
    BastionSpec {
        host: bastion.host.clone(),
        port: bastion.port,
        user: bastion.user.clone(),
        key: match &bastion.key_file {
            Some(file) => BastionKeySpec::File(file.into()),
            None => BastionKeySpec::Agent,
        },
        host_key: match (&bastion.known_hosts, &bastion.host_fingerprint) {
            (Some(file), _) => BastionHostKeySpec::KnownHosts(file.into()),
            (None, Some(known)) => BastionHostKeySpec::Fingerprint(known.clone()),
            // The pipeline asked for it, with `host_key: accept-first`.
            (None, None) => BastionHostKeySpec::AcceptFirst,
        },
    }
}

/// A proxy, to be remembered without its password.
pub(crate) fn remembered_proxy(proxy: &SocksProxy) -> WayInProxy {
    WayInProxy {
        host: proxy.destination.host.clone(),
        port: proxy.destination.port,
    }
}

/// What OpenSSH's `ProxyCommand` must be to go the same way; none if the way is straight.
///
/// `nc` is OpenBSD's, which is the one that knows SOCKS5. (ssh_config(5), ProxyCommand: a shell runs it, `%h` and `%p` are
/// replaced and `%%` is one `%`.)
pub fn proxy_command(way_in: &WayIn) -> Option<String> {
    let nc = way_in.proxy.as_ref().map(|proxy| {
        let host = if proxy.host.contains(':') {
            format!("[{}]", proxy.host)
        } else {
            proxy.host.clone()
        };
        let place = shell_quote(&format!("{host}:{}", proxy.port));
        format!("nc -X 5 -x {place} %h %p")
    });
    let Some(bastion) = &way_in.bastion else {
        return nc;
    };
    let mut words = vec![String::from("ssh")];
    let mut option = |text: String| {
        words.extend([String::from("-o"), escaped(&text)]);
    };
    match &bastion.known_hosts {
        Some(file) => {
            option(format!("UserKnownHostsFile=\"{file}\""));
            option(String::from("StrictHostKeyChecking=yes"));
        }
        None => option(String::from("StrictHostKeyChecking=ask")),
    }
    if let Some(nc) = nc {
        option(format!("ProxyCommand={nc}"));
    }
    if let Some(key) = &bastion.key_file {
        option(String::from("IdentitiesOnly=yes"));
        words.extend([String::from("-i"), escaped(key)]);
    }
    words.extend([String::from("-p"), bastion.port.to_string()]);
    words.extend([String::from("-l"), escaped(&bastion.user)]);
    words.extend([String::from("-W"), String::from("'[%h]:%p'")]);
    words.extend([String::from("--"), escaped(&bastion.host)]);
    Some(words.join(" "))
}

/// One word of a shell's inside a `ProxyCommand`.
fn escaped(word: &str) -> String {
    shell_quote(&word.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bastion() -> BastionSpec {
        BastionSpec {
            host: "jump.example".into(),
            port: 2200,
            user: "me".into(),
            key: BastionKeySpec::File("/keys/my jump".into()),
            host_key: BastionHostKeySpec::KnownHosts("/keys/known".into()),
        }
    }

    fn way_in(bastion: Option<&BastionSpec>, proxy: Option<WayInProxy>) -> WayIn {
        WayIn {
            instance_id: "i-1".into(),
            region: "us-east-2".into(),
            host: "10.0.0.7".into(),
            port: 22,
            user: "ec2-user".into(),
            key_file: None,
            known_hosts: None,
            host_fingerprints: Vec::new(),
            bastion: bastion.map(remembered),
            proxy,
        }
    }

    #[test]
    fn a_bastion_is_remembered_in_full() {
        let others = [
            BastionSpec {
                key: BastionKeySpec::Agent,
                host_key: BastionHostKeySpec::Fingerprint("SHA256:abc".into()),
                ..bastion()
            },
            BastionSpec {
                host_key: BastionHostKeySpec::AcceptFirst,
                ..bastion()
            },
        ];
        for spec in others.iter().chain([&bastion()]) {
            assert_eq!(recalled(&remembered(spec)), *spec);
        }
    }

    #[test]
    fn ssh_is_told_the_same_way() {
        assert_eq!(proxy_command(&way_in(None, None)), None);
        let proxy = || {
            Some(WayInProxy {
                host: "fd00::1".into(),
                port: 1080,
            })
        };
        assert_eq!(
            proxy_command(&way_in(None, proxy())).unwrap(),
            "nc -X 5 -x '[fd00::1]:1080' %h %p"
        );
        assert_eq!(
            proxy_command(&way_in(Some(&bastion()), None)).unwrap(),
            "ssh -o 'UserKnownHostsFile=\"/keys/known\"' -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes \
             -i '/keys/my jump' -p 2200 -l me -W '[%h]:%p' -- jump.example"
        );
        // The inner command's tokens are the inner ssh's.
        let both = proxy_command(&way_in(Some(&bastion()), proxy())).unwrap();
        assert!(both.contains("%%h %%p"), "{both}");
    }

    #[test]
    fn a_bastions_key_that_is_not_there_is_named() {
        let why = dial(Some(&bastion()), None, None).unwrap_err();
        assert!(why.contains("/keys/my jump"), "{why}");
        let agent = BastionSpec {
            key: BastionKeySpec::Agent,
            ..bastion()
        };
        let why = dial(Some(&agent), None, None).unwrap_err();
        assert!(why.contains("SSH_AUTH_SOCK"), "{why}");
    }
}

//! Proving who one is, with a key or with an agent.

use super::handler::{Client, Observed};
use super::{ConnectError, ConnectOptions, Identity, Phase};
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKey};
use std::path::Path;
use tokio::net::UnixStream;

/// Gives the public key that was accepted, in OpenSSH's format if it has one.
pub async fn authenticate(
    handle: &mut Handle<Client>,
    options: &ConnectOptions,
    observed: &Observed,
) -> Result<Option<String>, ConnectError> {
    match &options.identity {
        Identity::Key(key) => {
            let public = key.public_openssh();
            let key = PrivateKeyWithHashAlg::new(key.private(), None);
            let result = handle
                .authenticate_publickey(&options.user, key)
                .await
                .map_err(|e| broken(options, observed, &e.to_string()))?;
            conclude(
                handle,
                options,
                observed,
                &result,
                options.identity.to_string(),
            )?;
            Ok(Some(public))
        }
        Identity::Agent { socket } => with_agent(handle, options, observed, socket).await,
    }
}

async fn with_agent(
    handle: &mut Handle<Client>,
    options: &ConnectOptions,
    observed: &Observed,
    socket: &Path,
) -> Result<Option<String>, ConnectError> {
    let mut agent = connect_agent(socket)
        .await
        .map_err(|detail| agent_error(socket, detail))?;
    if let Some(binding) = handle.agent_session_binding() {
        // Agents other than OpenSSH's do not know session binding; they offer all their keys without it.
        if let Err(error) = agent.bind_session(binding, false).await {
            tracing::debug!(%error, "the agent does not bind sessions");
        }
    }
    let keys = public_keys(&mut agent)
        .await
        .map_err(|detail| agent_error(socket, detail))?;
    if keys.is_empty() {
        return Err(agent_error(
            socket,
            "it holds no keys; add one with `ssh-add FILE`".into(),
        ));
    }
    let mut offered = Vec::new();
    for key in keys {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        offered.push(format!("{} {fingerprint}", key.algorithm()));
        let hash = if key.algorithm().is_rsa() {
            rsa_hash(handle, options, observed).await?
        } else {
            None
        };
        let public = key.to_openssh().ok();
        match handle
            .authenticate_publickey_with(&options.user, key, hash, &mut agent)
            .await
        {
            Ok(AuthResult::Success) => return Ok(public),
            Ok(AuthResult::Failure { .. }) if handle.is_closed() => break,
            Ok(AuthResult::Failure { .. }) => {}
            // The user may have declined this key, or it needs a card that is not there: the next may do.
            Err(error) => tracing::debug!(%error, %fingerprint, "the agent did not sign"),
        }
    }
    Err(refused(
        options,
        observed,
        format!("{}: {}", options.identity, offered.join(", ")),
    ))
}

/// Which hash an RSA key signs with. SHA-1 is never used, even if a host asks for nothing better.
async fn rsa_hash(
    handle: &Handle<Client>,
    options: &ConnectOptions,
    observed: &Observed,
) -> Result<Option<HashAlg>, ConnectError> {
    let best = handle
        .best_supported_rsa_hash()
        .await
        .map_err(|e| broken(options, observed, &e.to_string()))?;
    Ok(Some(best.flatten().unwrap_or(HashAlg::Sha512)))
}

/// The public keys that an agent holds, each on one line in OpenSSH's format. Certificates are left out.
///
/// # Errors
/// [`ConnectError::Agent`] if the agent cannot be reached or does not answer as one.
pub async fn agent_public_keys(socket: &Path) -> Result<Vec<String>, ConnectError> {
    let mut agent = connect_agent(socket)
        .await
        .map_err(|detail| agent_error(socket, detail))?;
    let keys = public_keys(&mut agent)
        .await
        .map_err(|detail| agent_error(socket, detail))?;
    keys.iter()
        .map(|key| {
            key.to_openssh().map_err(|e| {
                agent_error(
                    socket,
                    format!("one of its keys cannot be written out: {e}"),
                )
            })
        })
        .collect()
}

async fn connect_agent(socket: &Path) -> Result<AgentClient<UnixStream>, String> {
    AgentClient::connect_uds(socket).await.map_err(|e| {
        format!("{e}; start one (`eval \"$(ssh-agent)\"`) and point SSH_AUTH_SOCK at it")
    })
}

async fn public_keys(agent: &mut AgentClient<UnixStream>) -> Result<Vec<PublicKey>, String> {
    let identities = agent
        .request_identities()
        .await
        .map_err(|e| format!("asking for its keys failed: {e}"))?;
    Ok(identities
        .into_iter()
        .filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, comment } => {
                let mut key = key;
                key.set_comment(comment);
                Some(key)
            }
            AgentIdentity::Certificate { .. } => None,
        })
        .collect())
}

fn conclude(
    handle: &Handle<Client>,
    options: &ConnectOptions,
    observed: &Observed,
    result: &AuthResult,
    identity: String,
) -> Result<(), ConnectError> {
    match result {
        AuthResult::Success => Ok(()),
        // russh reports a connection that broke while it waited as a refusal without further methods.
        AuthResult::Failure {
            remaining_methods, ..
        } if remaining_methods.is_empty() && handle.is_closed() => {
            Err(broken(options, observed, "the host closed the connection"))
        }
        AuthResult::Failure { .. } => Err(refused(options, observed, identity)),
    }
}

fn refused(
    options: &ConnectOptions,
    observed: &Observed,
    identity_description: String,
) -> ConnectError {
    ConnectError::AuthenticationRefused {
        user: options.user.clone(),
        destination: options.destination.clone(),
        identity_description,
        // The reason of a disconnect ("too many failures") says more than a banner that greets everyone.
        server_said: observed.reason().or_else(|| observed.auth_banner()),
    }
}

fn broken(options: &ConnectOptions, observed: &Observed, detail: &str) -> ConnectError {
    ConnectError::Protocol {
        destination: options.destination.clone(),
        phase: Phase::Authenticate,
        detail: observed.reason().unwrap_or_else(|| detail.to_owned()),
    }
}

fn agent_error(socket: &Path, detail: String) -> ConnectError {
    ConnectError::Agent {
        socket: socket.to_owned(),
        detail,
    }
}

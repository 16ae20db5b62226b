//! The keys of a cell: the one to log in with, and the ones by which the host proves who it is.

use super::context::CellContext;
use crate::failure::StepError;
use crate::guest::Identity;
use crate::journal::{Effect, JournalError};
use crate::names::{resource_name, tag};
use crate::spec::{CellSpec, HostKeySpec, KeySpec};
use crate::undo::own;
use crate::way_in;
use cloud::{CloudError, ErrorKind, KeyPairId};
use serde::{Deserialize, Serialize};
use ssh::{KeyAlgorithm, KeyPair};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How this cell gets in.
pub(super) struct Access {
    /// How qib proves who it is.
    pub identity: Identity,
    /// The public key that the guest must take; none if the image or the agent's owner has seen to it.
    pub login_key: Option<String>,
    /// The key pair's name in EC2, if EC2 hands the key to the guest.
    pub key_name: Option<String>,
    /// Whose that key pair is.
    pub key_pair_owner: KeyPairOwner,
    /// The host keys made for this cell (`host_key: inject`), to be put into the instance that is launched now; none if
    /// it was launched before.
    pub host_keys: Vec<Arc<KeyPair>>,
    /// Their public halves, by which the host proves who it is.
    pub host_public: Vec<HostPublic>,
    /// The private key's file; none if an agent holds the key.
    pub key_file: Option<PathBuf>,
}

/// Whose the key pair is that an instance is launched with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPairOwner {
    /// The run's: it was imported for the cell.
    Run,
    /// The user's: it was there before (`connect.key_pair`) and stays.
    User,
}

/// The public half of a host key that was made for the cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostPublic {
    /// In OpenSSH's format.
    pub key: String,
    /// Its SHA-256 fingerprint.
    pub fingerprint: String,
}

/// Whether the cell's instance is there already, launched by an earlier process of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instance {
    /// It is to be launched: keys may be made.
    ToBeLaunched,
    /// It is there, and knows the keys that were made for it.
    Launched,
}

/// Makes the keys, and the key pair in EC2 where EC2 is to hand the key to the guest.
///
/// The login key and the host's public keys are in the cell's folder before anything knows them, so that a run that is
/// taken up again still gets in. They go when the cell ends.
///
/// EC2's ImportKeyPair takes RSA and ed25519 only, so an ECDSA key goes in by user-data and the instance is launched
/// without a key name. <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html>
pub(super) async fn prepare(
    context: &CellContext,
    spec: &CellSpec,
    instance: Instance,
) -> Result<Access, StepError> {
    let folder = context.run().directory.cell(context.cell())?;
    let (host_keys, host_public) = host_keys(&folder, &spec.connect.host_key, instance)?;
    let (identity, login_key, key_file) = match &spec.connect.key {
        KeySpec::Generated(algorithm) => {
            let path = folder.join(way_in::LOGIN_KEY);
            let key = match saved_key(&path, *algorithm)? {
                Some(key) => key,
                None if instance == Instance::Launched => {
                    return Err(StepError::CannotGoOn {
                        why: format!("its login key {} is gone", path.display()),
                    });
                }
                None => new_key(context, &path, *algorithm).await?,
            };
            let public = key.public_openssh();
            (Identity::Key(Arc::new(key)), Some(public), Some(path))
        }
        KeySpec::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| StepError::LocalFile {
                path: path.display().to_string(),
                reason: error.to_string(),
            })?;
            let key = KeyPair::from_openssh(&text)
                .map_err(|error| StepError::Key(format!("{}: {error}", path.display())))?;
            let public = key.public_openssh();
            (
                Identity::Key(Arc::new(key)),
                Some(public),
                Some(path.clone()),
            )
        }
        KeySpec::Agent => {
            let socket = context.run().options.agent_socket.clone().ok_or_else(|| {
                StepError::Key(String::from(
                    "`connect.key: agent` needs an SSH agent, and SSH_AUTH_SOCK is not set",
                ))
            })?;
            let login_key = context
                .run()
                .ports
                .guests
                .agent_keys(&socket)
                .await
                .map_err(StepError::Key)?;
            (Identity::Agent(socket), login_key, None)
        }
    };
    let mut access = Access {
        identity,
        login_key,
        key_name: None,
        key_pair_owner: KeyPairOwner::Run,
        host_keys,
        host_public,
        key_file,
    };
    if let Some(name) = &spec.connect.key_pair {
        find_existing(context, name).await?;
        access.key_name = Some(name.clone());
        access.key_pair_owner = KeyPairOwner::User;
        return Ok(access);
    }
    let by_key_pair = access
        .login_key
        .as_ref()
        .is_some_and(|key| key.starts_with("ssh-ed25519 ") || key.starts_with("ssh-rsa "));
    if let (true, Some(public)) = (by_key_pair, access.login_key.clone()) {
        let name = resource_name(context.run_id(), &spec.cell);
        if instance == Instance::ToBeLaunched {
            import_key_pair(context, spec, &name, &public).await?;
        }
        access.key_name = Some(name);
    }
    Ok(access)
}

/// The host keys to put in, and their public halves.
fn host_keys(
    folder: &Path,
    wanted: &HostKeySpec,
    instance: Instance,
) -> Result<(Vec<Arc<KeyPair>>, Vec<HostPublic>), StepError> {
    match wanted {
        HostKeySpec::Inject => {}
        HostKeySpec::Console
        | HostKeySpec::AcceptFirst
        | HostKeySpec::Fingerprint(_)
        | HostKeySpec::KnownHosts(_) => return Ok((Vec::new(), Vec::new())),
    }
    let path = folder.join(way_in::HOST_KEYS);
    if instance == Instance::Launched {
        let public = std::fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()))
            .map_err(|why| StepError::CannotGoOn {
                why: format!("its host keys {} are gone: {why}", path.display()),
            })?;
        return Ok((Vec::new(), public));
    }
    // Both kinds: cloud-init removes every host key that it is not given, and a host in FIPS mode has no ed25519.
    let keys = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519]
        .map(|kind| Arc::new(KeyPair::generate(kind)))
        .to_vec();
    let public: Vec<HostPublic> = keys
        .iter()
        .map(|key| HostPublic {
            key: key.public_openssh(),
            fingerprint: key.fingerprint(),
        })
        .collect();
    let text = serde_json::to_vec(&public).map_err(|error| StepError::LocalFile {
        path: path.display().to_string(),
        reason: error.to_string(),
    })?;
    write_private(&path, &text)?;
    Ok((keys, public))
}

/// The login key that an earlier process of the run made; none if there is none, or it is of another kind.
fn saved_key(path: &Path, algorithm: KeyAlgorithm) -> Result<Option<KeyPair>, StepError> {
    match std::fs::read_to_string(path) {
        // A file that was cut off by a crash is no key.
        Ok(text) => Ok(KeyPair::from_openssh(&text)
            .ok()
            .filter(|key| key.algorithm() == algorithm)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StepError::LocalFile {
            path: path.display().to_string(),
            reason: error.to_string(),
        }),
    }
}

/// A new login key, written down. A key pair of a lost key goes first: it has the name that the new one needs.
async fn new_key(
    context: &CellContext,
    path: &Path,
    algorithm: KeyAlgorithm,
) -> Result<KeyPair, StepError> {
    for number in context.standing(|effect| matches!(effect, Effect::ImportKeyPair { .. })) {
        context.effects().unmake(number).await?;
    }
    let key = KeyPair::generate(algorithm);
    write_private(path, key.private_openssh().expose().as_bytes())?;
    Ok(key)
}

async fn import_key_pair(
    context: &CellContext,
    spec: &CellSpec,
    name: &str,
    public: &str,
) -> Result<(), StepError> {
    let effect = Effect::ImportKeyPair {
        region: spec.region.clone(),
        name: name.to_owned(),
    };
    let tags = spec.tags.clone().merged(&context.own_tags());
    let made = context
        .effects()
        .make(
            &spec.cell,
            effect,
            async || import(context, name, public, &tags).await,
            async || find(context, name).await,
        )
        .await?;
    context.note(format!("key pair {name} ({})", made.value));
    Ok(())
}

/// Errs if there is no key pair of the user's own by that name: better now than when the group is there already.
async fn find_existing(context: &CellContext, name: &str) -> Result<(), StepError> {
    let filter = [(String::from("key-name"), vec![name.to_owned()])];
    let found = context.race(context.region().key_pairs(&filter)).await??;
    if found.iter().any(|pair| pair.name == name) {
        return Ok(());
    }
    Err(StepError::Key(format!(
        "there is no key pair {name:?} in {} (connect.key_pair); `aws ec2 describe-key-pairs` lists them",
        context.region().name()
    )))
}

/// Imports the key. A key pair of that name that carries the run's tag is the one of a lost reply.
async fn import(
    context: &CellContext,
    name: &str,
    public: &str,
    tags: &cloud::Tags,
) -> Result<KeyPairId, CloudError> {
    match context.region().import_key_pair(name, public, tags).await {
        Err(error) if error.kind == ErrorKind::Duplicate => find(context, name).await?.ok_or(error),
        result => result,
    }
}

/// The run's own key pair of that name.
async fn find(context: &CellContext, name: &str) -> Result<Option<KeyPairId>, CloudError> {
    let found = context
        .region()
        .key_pairs(&own("key-name", name, context.run_id()))
        .await?;
    let ours = found
        .into_iter()
        .find(|pair| pair.tags.get(tag::RUN) == Some(context.run_id().as_str()));
    Ok(ours.map(|pair| pair.key_pair_id))
}

/// Writes a file that only its owner can read, from the first byte on.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), JournalError> {
    let io = |source| JournalError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(io)?;
    file.write_all(content).map_err(io)
}

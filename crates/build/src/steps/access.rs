//! The keys of a cell: the one to log in with, and the ones by which the host proves who it is.

use super::context::CellContext;
use crate::failure::StepError;
use crate::guest::Identity;
use crate::journal::{Effect, EffectNumber, JournalError, Outcome};
use crate::names::{resource_name, tag};
use crate::spec::{CellSpec, HostKeySpec, KeySpec};
use crate::undo::own;
use cloud::{CloudError, ErrorKind};
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
    /// The key pair in EC2.
    pub key_pair: Option<EffectNumber>,
    /// The host keys made for this cell (`host_key: inject`).
    pub host_keys: Vec<Arc<KeyPair>>,
    /// The private key's file, once it is written.
    pub key_file: Option<PathBuf>,
}

/// Makes the keys, and the key pair in EC2 where EC2 is to hand the key to the guest.
///
/// EC2's ImportKeyPair takes RSA and ed25519 only, so an ECDSA key goes in by user-data and the instance is launched
/// without a key name. <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html>
pub(super) async fn prepare(context: &CellContext, spec: &CellSpec) -> Result<Access, StepError> {
    let host_keys = match spec.connect.host_key {
        // Both kinds: cloud-init removes every host key that it is not given, and a host in FIPS mode has no ed25519.
        HostKeySpec::Inject => [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519]
            .map(|kind| Arc::new(KeyPair::generate(kind)))
            .to_vec(),
        HostKeySpec::Console
        | HostKeySpec::AcceptFirst
        | HostKeySpec::Fingerprint(_)
        | HostKeySpec::KnownHosts(_) => Vec::new(),
    };
    let mut access = match &spec.connect.key {
        KeySpec::Generated(algorithm) => {
            let key = Arc::new(KeyPair::generate(*algorithm));
            let login_key = Some(key.public_openssh());
            Access {
                identity: Identity::Key(key),
                login_key,
                key_name: None,
                key_pair: None,
                host_keys,
                key_file: None,
            }
        }
        KeySpec::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| StepError::LocalFile {
                path: path.display().to_string(),
                reason: error.to_string(),
            })?;
            let key = KeyPair::from_openssh(&text)
                .map_err(|error| StepError::Key(format!("{}: {error}", path.display())))?;
            let key = Arc::new(key);
            let login_key = Some(key.public_openssh());
            let key_file = Some(path.clone());
            Access {
                identity: Identity::Key(key),
                login_key,
                key_name: None,
                key_pair: None,
                host_keys,
                key_file,
            }
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
            Access {
                identity: Identity::Agent(socket),
                login_key,
                key_name: None,
                key_pair: None,
                host_keys,
                key_file: None,
            }
        }
    };
    let by_key_pair = access
        .login_key
        .as_ref()
        .is_some_and(|key| key.starts_with("ssh-ed25519 ") || key.starts_with("ssh-rsa "));
    if let (true, Some(public)) = (by_key_pair, access.login_key.clone()) {
        let name = resource_name(context.run_id(), &spec.cell);
        let effect = Effect::ImportKeyPair {
            region: spec.region.clone(),
            name: name.clone(),
        };
        let tags = spec.tags.clone().merged(&context.own_tags());
        let made = context
            .effects()
            .make(
                &spec.cell,
                effect,
                import(context, &name, &public, &tags),
                |id| Outcome::KeyPair { id: id.clone() },
            )
            .await?;
        context.note(format!("key pair {name} ({})", made.value));
        access.key_name = Some(name);
        access.key_pair = Some(made.number);
    }
    Ok(access)
}

/// Imports the key. A key pair of that name that carries the run's tag is the one of a lost reply.
async fn import(
    context: &CellContext,
    name: &str,
    public: &str,
    tags: &cloud::Tags,
) -> Result<cloud::KeyPairId, CloudError> {
    match context.region().import_key_pair(name, public, tags).await {
        Err(error) if error.kind == ErrorKind::Duplicate => {
            let found = context
                .region()
                .key_pairs(&own("key-name", name, context.run_id()))
                .await?;
            let ours = found
                .into_iter()
                .find(|pair| pair.tags.get(tag::RUN) == Some(context.run_id().as_str()));
            ours.map(|pair| pair.key_pair_id).ok_or(error)
        }
        result => result,
    }
}

impl Access {
    /// Writes the private key to the cell's folder, mode 0600, for a person to use. Gives its path; none if an agent
    /// holds the key.
    pub(super) fn write_key(&self, folder: &Path) -> Result<Option<PathBuf>, StepError> {
        if self.key_file.is_some() {
            return Ok(self.key_file.clone());
        }
        let Identity::Key(key) = &self.identity else {
            return Ok(None);
        };
        let path = folder.join("id");
        write_private(&path, key.private_openssh().expose().as_bytes())?;
        Ok(Some(path))
    }
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

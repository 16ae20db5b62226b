//! Key pairs that prove who connects.

use crate::secret::Secret;
use russh::keys::ssh_key::{self, LineEnding};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use std::fmt;
use std::sync::Arc;

/// Which kind of key to make.
///
/// RSA is missing on purpose: its only pure-Rust implementation has an advisory without a patch (RUSTSEC-2023-0071).
/// An existing RSA key works through an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// `ssh-ed25519`: what EC2's ImportKeyPair takes. Refused by hosts in FIPS mode.
    Ed25519,
    /// `ecdsa-sha2-nistp256`: accepted in FIPS mode. Not accepted by ImportKeyPair.
    EcdsaP256,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyAlgorithm::Ed25519 => "ssh-ed25519",
            KeyAlgorithm::EcdsaP256 => "ecdsa-sha2-nistp256",
        })
    }
}

/// Why a key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a private key in a format that is read here.
    #[error(
        "this is not a private key in OpenSSH's format ({0}); `ssh-keygen -p -f FILE` rewrites an old PEM key"
    )]
    Unreadable(String),
    /// The key needs a passphrase.
    #[error(
        "the private key is encrypted; load it into an agent (`ssh-add FILE`) and connect with `key: agent`"
    )]
    Encrypted,
    /// The key is of a kind that is not used from a file.
    #[error(
        "{algorithm} private keys are not read from a file; load the key into an agent (`ssh-add FILE`) and connect \
         with `key: agent`, or make an ed25519 or ecdsa-p256 key"
    )]
    Unsupported {
        /// The key's algorithm, by its SSH name.
        algorithm: String,
    },
}

/// A private key and its public key. `Debug` shows the public part only.
#[derive(Clone)]
pub struct KeyPair {
    algorithm: KeyAlgorithm,
    key: Arc<PrivateKey>,
}

impl KeyPair {
    /// Makes a key from the system's random numbers.
    ///
    /// # Panics
    /// If the system has no random numbers to give, in which case no key must be made.
    #[allow(
        clippy::expect_used,
        reason = "no input takes part: only the algorithm, and both are compiled in"
    )]
    pub fn generate(algorithm: KeyAlgorithm) -> KeyPair {
        let wanted = match algorithm {
            KeyAlgorithm::Ed25519 => Algorithm::Ed25519,
            KeyAlgorithm::EcdsaP256 => Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            },
        };
        let key = PrivateKey::random(&mut rand::rng(), wanted)
            .expect("a key of a compiled-in algorithm can be made");
        KeyPair {
            algorithm,
            key: Arc::new(key),
        }
    }

    /// The same key with a comment: it ends the public key's line, and tells whoever finds it in an `authorized_keys`
    /// file where it came from. Line breaks are taken out.
    #[must_use]
    pub fn with_comment(&self, comment: &str) -> KeyPair {
        let mut key = PrivateKey::clone(&self.key);
        key.set_comment(comment.replace(['\n', '\r'], " "));
        KeyPair {
            algorithm: self.algorithm,
            key: Arc::new(key),
        }
    }

    /// Reads an unencrypted private key: OpenSSH's own format (`-----BEGIN OPENSSH PRIVATE KEY-----`), or the PEM
    /// formats that russh reads.
    ///
    /// # Errors
    /// [`KeyError::Encrypted`] and [`KeyError::Unsupported`] (RSA, other curves) say to use an agent.
    pub fn from_openssh(text: &str) -> Result<KeyPair, KeyError> {
        refuse_rsa_pem(text)?;
        let key = match PrivateKey::from_openssh(text) {
            Ok(key) => key,
            Err(ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. }) => {
                return Err(KeyError::Unsupported {
                    algorithm: "such".into(),
                });
            }
            Err(_) => russh::keys::decode_secret_key(text, None).map_err(|e| match e {
                russh::keys::Error::KeyIsEncrypted => KeyError::Encrypted,
                other => KeyError::Unreadable(other.to_string()),
            })?,
        };
        if key.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        let algorithm = match key.algorithm() {
            Algorithm::Ed25519 => KeyAlgorithm::Ed25519,
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            } => KeyAlgorithm::EcdsaP256,
            other => {
                return Err(KeyError::Unsupported {
                    algorithm: other.to_string(),
                });
            }
        };
        Ok(KeyPair {
            algorithm,
            key: Arc::new(key),
        })
    }

    /// The public key on one line, as `authorized_keys` has it: `ssh-ed25519 AAAA… comment`.
    #[allow(
        clippy::expect_used,
        reason = "the algorithms were checked when the key was made or read"
    )]
    pub fn public_openssh(&self) -> String {
        self.key
            .public_key()
            .to_openssh()
            .expect("an ed25519 or P-256 key has an OpenSSH form")
    }

    /// The private key in OpenSSH's format, ending in a newline as `ssh` wants it in a file (mode 0600).
    #[allow(
        clippy::expect_used,
        reason = "the algorithms were checked when the key was made or read"
    )]
    pub fn private_openssh(&self) -> Secret {
        Secret::from(
            self.key
                .to_openssh(LineEnding::LF)
                .expect("an ed25519 or P-256 key has an OpenSSH form"),
        )
    }

    /// The public key's SHA-256 fingerprint, as `ssh-keygen -l` prints it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Which kind of key this is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    pub(crate) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("algorithm", &self.algorithm)
            .field("fingerprint", &self.fingerprint())
            .finish()
    }
}

/// EC2's own key pairs come as `BEGIN RSA PRIVATE KEY`, so this deserves better than "cannot be read".
fn refuse_rsa_pem(text: &str) -> Result<(), KeyError> {
    if text.contains("BEGIN RSA PRIVATE KEY") {
        return Err(KeyError::Unsupported {
            algorithm: "RSA".into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text() {
        for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::EcdsaP256] {
            let key = KeyPair::generate(algorithm).with_comment("qib\nrun");
            let text = key.private_openssh();
            assert!(
                text.expose()
                    .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n")
            );
            let back = KeyPair::from_openssh(text.expose()).expect("own text is read");
            assert_eq!(back.public_openssh(), key.public_openssh());
            assert_eq!(back.algorithm(), algorithm);
            assert!(
                key.public_openssh()
                    .starts_with(&format!("{algorithm} AAAA"))
            );
            assert!(key.public_openssh().ends_with(" qib run"));
            assert!(key.fingerprint().starts_with("SHA256:"));
        }
    }

    #[test]
    fn two_keys_differ() {
        let [a, b] = [(); 2].map(|()| KeyPair::generate(KeyAlgorithm::Ed25519));
        assert_ne!(a.public_openssh(), b.public_openssh());
    }

    #[test]
    fn debug_shows_no_private_part() {
        let key = KeyPair::generate(KeyAlgorithm::Ed25519);
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.fingerprint()), "{shown}");
        assert!(shown.len() < 140, "{shown}");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(matches!(
            KeyPair::from_openssh("hello"),
            Err(KeyError::Unreadable(_))
        ));
        assert!(matches!(
            KeyPair::from_openssh(""),
            Err(KeyError::Unreadable(_))
        ));
        let rsa = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n";
        let error = KeyPair::from_openssh(rsa)
            .expect_err("RSA is refused")
            .to_string();
        assert!(error.contains("ssh-add"), "{error}");
    }
}

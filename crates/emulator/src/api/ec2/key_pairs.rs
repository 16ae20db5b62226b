//! Key pairs.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-key-pairs.html>

use super::Action;
use super::filter::Filters;
use super::params::Scope;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::key_pair::{KeyKind, KeyPair};
use crate::account::region::Region;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::KeyPairId;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportKeyPair.html>
pub(crate) struct ImportKeyPair {
    name: String,
    key: PublicKey,
    kind: KeyKind,
    tags: TagSpecs,
}

impl Action for ImportKeyPair {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let name = key_name(p.required("KeyName")?)?;
        let bad = || {
            ApiError::new(
                "InvalidKey.Format",
                "Key is not in valid OpenSSH public key format",
            )
        };
        let material = BASE64_STANDARD
            .decode(p.required("PublicKeyMaterial")?)
            .map_err(|_| bad())?;
        let text = String::from_utf8(material).map_err(|_| bad())?;
        let key = PublicKey::from_openssh(text.trim()).map_err(|_| bad())?;
        // "You can import RSA and ED25519 keys"; others are InvalidKey.Format.
        let kind = match key.key_data() {
            KeyData::Ed25519(_) => KeyKind::Ed25519,
            KeyData::Rsa(_) => KeyKind::Rsa,
            _ => return Err(bad()),
        };
        Ok(Self {
            name,
            key,
            kind,
            tags: TagSpecs::parse(p, &["key-pair"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let fingerprint = match &self.key.key_data() {
            KeyData::Rsa(rsa) => md5_fingerprint(&rsa_spki(rsa.e().as_bytes(), rsa.n().as_bytes())),
            _ => ed25519_fingerprint(&self.key),
        };
        // The comment is what the guest's authorized_keys shows; EC2 puts the key pair's name there.
        let mut key = self.key;
        key.set_comment(self.name.clone());
        let public_key = key
            .to_openssh()
            .map_err(|e| ApiError::new("InvalidKey.Format", e.to_string()))?;
        let pair = KeyPair {
            id: KeyPairId::random(),
            name: self.name,
            kind: self.kind,
            fingerprint,
            public_key,
            created: cx.now,
            tags: self.tags.of("key-pair"),
        };
        let mut x = Xml::new();
        write(&mut x, &pair);
        insert(cx.region(), pair)?;
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateKeyPair.html>
///
/// Only `ed25519` in `pem` (which is OpenSSH's format for such a key): making RSA keys is what `ImportKeyPair` is for.
pub(crate) struct CreateKeyPair {
    name: String,
    tags: TagSpecs,
}

impl Action for CreateKeyPair {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let name = key_name(p.required("KeyName")?)?;
        if p.word("KeyType", &["rsa", "ed25519"])? != Some("ed25519") {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "The local EC2 makes keys of KeyType ed25519 only; import an RSA key instead",
            ));
        }
        p.word("KeyFormat", &["pem"])?;
        Ok(Self {
            name,
            tags: TagSpecs::parse(p, &["key-pair"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let internal = |e: russh::keys::ssh_key::Error| {
            ApiError::new("InternalError", format!("cannot make a key: {e}")).with_status(500)
        };
        let mut private =
            PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(internal)?;
        private.set_comment(self.name.clone());
        let public = private.public_key().clone();
        let pair = KeyPair {
            id: KeyPairId::random(),
            name: self.name,
            kind: KeyKind::Ed25519,
            fingerprint: ed25519_fingerprint(&public),
            public_key: public.to_openssh().map_err(internal)?,
            created: cx.now,
            tags: self.tags.of("key-pair"),
        };
        let mut x = Xml::new();
        write(&mut x, &pair);
        let pem = private
            .to_openssh(russh::keys::ssh_key::LineEnding::LF)
            .map_err(internal)?;
        x.put("keyMaterial", pem.as_str());
        insert(cx.region(), pair)?;
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeKeyPairs.html>
pub(crate) struct DescribeKeyPairs {
    names: Vec<String>,
    ids: Vec<KeyPairId>,
    public_keys: bool,
    filters: Filters,
}

impl Action for DescribeKeyPairs {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            names: p.texts("KeyName").into_iter().map(str::to_owned).collect(),
            ids: p
                .texts("KeyPairId")
                .into_iter()
                .map(KeyPairId::parse)
                .collect::<Result<Vec<_>, _>>()?,
            public_keys: p.flag("IncludePublicKey")?.unwrap_or(false),
            filters: Filters::parse(p, &["fingerprint", "key-name", "key-pair-id"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, visibility) = (cx.now, cx.timing.visibility);
        let region = &*cx.region();
        let seen: Vec<&KeyPair> = region
            .key_pairs
            .values()
            .filter(|k| now.duration_since(k.created).unsigned_abs() >= visibility)
            .collect();
        if let Some(name) = self
            .names
            .iter()
            .find(|n| !seen.iter().any(|k| k.name == **n))
        {
            return Err(not_found(name));
        }
        if let Some(id) = self
            .ids
            .iter()
            .find(|id| !seen.iter().any(|k| k.id == **id))
        {
            return Err(ApiError::new(
                "InvalidKeyPair.NotFound",
                format!("The key pair with id '{id}' does not exist"),
            ));
        }
        let chosen = seen.into_iter().filter(|k| {
            let asked = self.names.is_empty() && self.ids.is_empty()
                || self.names.contains(&k.name)
                || self.ids.contains(&k.id);
            asked
                && self.filters.pass(&k.tags, |name| {
                    vec![match name {
                        "fingerprint" => k.fingerprint.clone(),
                        "key-name" => k.name.clone(),
                        _ => k.id.to_string(),
                    }]
                })
        });
        let mut x = Xml::new();
        x.list("keySet", chosen, |x, k| {
            write(x, k);
            x.put("keyType", k.kind.name()).put("createTime", k.created);
            if self.public_keys {
                x.put("publicKey", &k.public_key);
            }
        });
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteKeyPair.html>
pub(crate) struct DeleteKeyPair {
    name: Option<String>,
    id: Option<KeyPairId>,
}

impl Action for DeleteKeyPair {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let id = p.text("KeyPairId").map(KeyPairId::parse).transpose()?;
        let name = p.text("KeyName").map(str::to_owned);
        match (&name, &id) {
            (None, None) => Err(ApiError::missing("KeyName")),
            (Some(_), Some(_)) => Err(ApiError::combination(
                "Specify either KeyName or KeyPairId, not both",
            )),
            _ => Ok(Self { name, id }),
        }
    }

    /// Deleting what is not there succeeds.
    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let pairs = &mut cx.region().key_pairs;
        let found = pairs
            .values()
            .find(|k| Some(&k.name) == self.name.as_ref() || Some(&k.id) == self.id.as_ref())
            .map(|k| k.id.clone());
        let mut x = super::done();
        if let Some(id) = found {
            pairs.remove(&id);
            x.put("keyPairId", id);
        }
        Ok(x)
    }
}

/// EC2's answer to a key pair that is not there.
pub(crate) fn not_found(name: &str) -> ApiError {
    ApiError::new(
        "InvalidKeyPair.NotFound",
        format!("The key pair '{name}' does not exist"),
    )
}

fn insert(region: &mut Region, pair: KeyPair) -> Result<(), ApiError> {
    if region.key_pairs.values().any(|k| k.name == pair.name) {
        return Err(ApiError::new(
            "InvalidKeyPair.Duplicate",
            format!("The keypair '{}' already exists.", pair.name),
        ));
    }
    region.key_pairs.insert(pair.id.clone(), pair);
    Ok(())
}

fn write(x: &mut Xml, pair: &KeyPair) {
    x.put("keyName", &pair.name)
        .put("keyPairId", &pair.id)
        .put("keyFingerprint", &pair.fingerprint);
    write_tags(x, &pair.tags);
}

/// "Up to 255 ASCII characters. The name can't include leading or trailing spaces."
fn key_name(name: &str) -> Result<String, ApiError> {
    if name.len() > 255 || !name.is_ascii() || name.trim() != name {
        return Err(ApiError::invalid_value(
            "KeyName",
            name,
            "Up to 255 ASCII characters without leading or trailing spaces.",
        ));
    }
    Ok(name.to_owned())
}

/// For ED25519 the fingerprint is SHA-256 of the key, in base64, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html>.
fn ed25519_fingerprint(key: &PublicKey) -> String {
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    // EC2 shows the padding and leaves `SHA256:` out.
    BASE64_STANDARD_NO_PAD.encode(fingerprint.as_bytes()) + "="
}

/// For an imported RSA key it is MD5 of the public key in DER.
fn md5_fingerprint(der: &[u8]) -> String {
    let digest = md5::compute(der).0;
    digest
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<Vec<_>>()
        .join(":")
}

/// SubjectPublicKeyInfo of an RSA key (RFC 5280, 4.1).
fn rsa_spki(e: &[u8], n: &[u8]) -> Vec<u8> {
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        let length = content.len().to_be_bytes();
        let significant = &length[length
            .iter()
            .position(|b| *b != 0)
            .unwrap_or(length.len() - 1)..];
        if content.len() < 0x80 {
            out.extend(significant);
        } else {
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
            out.extend(significant);
        }
        out.extend(content);
        out
    }
    /// The object identifier rsaEncryption and its NULL parameters.
    const ALGORITHM: [u8; 13] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let key = der(0x30, &[der(0x02, n), der(0x02, e)].concat());
    let bits = der(0x03, &[&[0u8][..], &key].concat());
    der(0x30, &[der(0x30, &ALGORITHM), bits].concat())
}

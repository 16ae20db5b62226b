//! The keys of one region.
//!
//! Nothing is encrypted here. What a key decides is who may use what: a volume or snapshot of a key that is disabled, or is
//! not there, cannot be made or used, and what is encrypted with the account's own EBS key cannot be shared
//! (<https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html>).

use super::tags::Tags;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The alias of the key that EBS uses where no other is named.
pub const EBS_ALIAS: &str = "alias/aws/ebs";

/// Who manages a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Manager {
    /// AWS, for one of its services.
    Aws,
    /// The account.
    Customer,
}

/// A key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    /// A UUID.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Its description.
    pub description: String,
    /// Whether it can be used.
    pub enabled: bool,
    /// Who manages it.
    pub manager: Manager,
    /// When it was made.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}

/// The keys of one region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Keys {
    /// By id.
    pub keys: BTreeMap<String, Key>,
    /// Key ids by alias, such as `alias/mine`.
    pub aliases: BTreeMap<String, String>,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// There is none.
    Missing,
    /// It is disabled.
    Disabled,
}

impl Keys {
    /// The key that EBS uses where no other is named, made on its first use.
    pub fn ebs(&mut self, owner: &str, region: &str, now: Timestamp) -> &Key {
        let id = uuid(&derived(owner, region));
        self.aliases.insert(EBS_ALIAS.to_owned(), id.clone());
        self.keys.entry(id.clone()).or_insert_with(|| Key {
            arn: arn(owner, region, &id),
            id,
            description: "Default key that protects my EBS volumes when no other key is defined"
                .to_owned(),
            enabled: true,
            manager: Manager::Aws,
            created: now,
            tags: Tags::default(),
        })
    }

    /// A new key of the account's.
    pub fn create(
        &mut self,
        owner: &str,
        region: &str,
        description: String,
        tags: Tags,
        now: Timestamp,
    ) -> &Key {
        let random: [u8; 16] = rand::random();
        let id = uuid(&random);
        self.keys.entry(id.clone()).or_insert_with(|| Key {
            arn: arn(owner, region, &id),
            id,
            description,
            enabled: true,
            manager: Manager::Customer,
            created: now,
            tags,
        })
    }

    /// A key by what EC2 and KMS take: its id or ARN, an alias or an alias's ARN.
    pub fn find(&self, name: &str) -> Option<&Key> {
        let id = self.id_of(name)?;
        self.keys.get(&id)
    }

    /// The same, to be changed.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut Key> {
        let id = self.id_of(name)?;
        self.keys.get_mut(&id)
    }

    fn id_of(&self, name: &str) -> Option<String> {
        if let Some(key) = self.keys.values().find(|k| k.arn == name) {
            return Some(key.id.clone());
        }
        let of_arn = name
            .strip_prefix("arn:aws:kms:")
            .and_then(|rest| rest.splitn(3, ':').nth(2));
        let name = of_arn.unwrap_or(name);
        match name.starts_with("alias/") {
            true => self.aliases.get(name).cloned(),
            false => of_arn.is_none().then(|| name.to_owned()),
        }
    }

    /// A key that something can be encrypted with.
    ///
    /// # Errors
    /// If there is none or it is disabled.
    pub fn usable(&self, name: &str) -> Result<&Key, Unusable> {
        let key = self.find(name).ok_or(Unusable::Missing)?;
        match key.enabled {
            true => Ok(key),
            false => Err(Unusable::Disabled),
        }
    }

    /// Whether what is encrypted with this key can be shared: AWS's own keys are their account's alone. What says no key
    /// has the account's EBS key.
    pub fn is_shareable(&self, arn: Option<&str>) -> bool {
        let key = arn.and_then(|arn| self.find(arn));
        key.is_some_and(|k| k.manager == Manager::Customer)
    }

    /// A key's aliases.
    pub fn aliases_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a str> {
        self.aliases
            .iter()
            .filter(move |(_, key)| *key == id)
            .map(|(alias, _)| alias.as_str())
    }
}

fn arn(owner: &str, region: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:{owner}:key/{id}")
}

fn derived(owner: &str, region: &str) -> [u8; 16] {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(format!("{EBS_ALIAS} {owner} {region}"));
    std::array::from_fn(|n| hash[n])
}

/// A UUID of version 4.
fn uuid(bytes: &[u8; 16]) -> String {
    let text = hex::encode(bytes);
    format!(
        "{}-{}-4{}-8{}-{}",
        &text[..8],
        &text[8..12],
        &text[13..16],
        &text[17..20],
        &text[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_id_arn_alias_and_the_aliass_arn() {
        let mut keys = Keys::default();
        let own = keys
            .create(
                "1",
                "us-east-2",
                String::new(),
                Tags::default(),
                Timestamp::UNIX_EPOCH,
            )
            .clone();
        keys.aliases.insert("alias/mine".into(), own.id.clone());
        for name in [
            own.id.as_str(),
            own.arn.as_str(),
            "alias/mine",
            "arn:aws:kms:us-east-2:1:alias/mine",
        ] {
            assert_eq!(keys.find(name).map(|k| &k.id), Some(&own.id), "{name}");
        }
        for name in ["", "mine", "alias/other", "arn:aws:kms:us-east-2:1:key/x"] {
            assert_eq!(keys.usable(name).err(), Some(Unusable::Missing), "{name}");
        }
    }

    #[test]
    fn what_aws_manages_cannot_be_shared() {
        let mut keys = Keys::default();
        let managed = keys
            .ebs("1", "us-east-2", Timestamp::UNIX_EPOCH)
            .arn
            .clone();
        assert!(!keys.is_shareable(None) && !keys.is_shareable(Some(&managed)));
        assert!(keys.find(EBS_ALIAS).is_some());
    }
}

//! Tags: how qib finds again what it made, with no state of its own.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The tags of one resource, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(pub BTreeMap<String, String>);

impl Tags {
    /// No tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`, if the resource has it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets `key`, replacing an earlier value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// These tags with `key` set.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(key, value);
        self
    }

    /// These tags with all of `others`; the others win.
    #[must_use]
    pub fn merged(mut self, others: &Tags) -> Self {
        self.0
            .extend(others.0.iter().map(|(k, v)| (k.clone(), v.clone())));
        self
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Tags {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// What a creating call tags, in EC2's `TagSpecification` sense: one entry per kind of resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSpecification {
    /// Tags of the instance (RunInstances).
    pub instance: Tags,
    /// Tags of each volume (RunInstances).
    pub volume: Tags,
    /// Tags of each network interface (RunInstances).
    pub network_interface: Tags,
}

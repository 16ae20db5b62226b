//! What is in the account, as boto3 sees it.

use crate::Ended;
use std::collections::BTreeMap;

/// The script that looks.
pub(crate) const LOOK: &str = include_str!("holdings.py");

/// Ids by kind; kinds without one are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings(BTreeMap<String, Vec<String>>);

impl Holdings {
    /// Reads what [`LOOK`] prints.
    #[track_caller]
    pub(crate) fn read(looked: &Ended) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = serde_json::from_value(looked.json())
            .unwrap_or_else(|error| panic!("not holdings: {error}{looked}"));
        all.retain(|_, ids| !ids.is_empty());
        Self(all)
    }

    /// The ids of one kind.
    pub fn of(&self, kind: &str) -> &[String] {
        self.0.get(kind).map_or(&[], Vec::as_slice)
    }

    /// Fails if there is anything, with what `after` said.
    #[track_caller]
    pub fn assert_none(&self, after: &Ended) {
        assert!(
            self.0.is_empty(),
            "left in the account: {:?}{after}",
            self.0
        );
    }

    /// Fails unless these kinds are there, as often as told, and nothing else.
    #[track_caller]
    pub fn assert_counts(&self, wanted: &[(&str, usize)], after: &Ended) {
        let there: BTreeMap<&str, usize> = self
            .0
            .iter()
            .map(|(kind, ids)| (kind.as_str(), ids.len()))
            .collect();
        let wanted: BTreeMap<&str, usize> = wanted.iter().copied().collect();
        assert_eq!(there, wanted, "in the account: {:?}{after}", self.0);
    }
}

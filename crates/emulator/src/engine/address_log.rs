//! Who held which Elastic IP when: `addresses.jsonl`, one JSON object a line.
//!
//! It is made by comparing the account before and after each change, so that no way of losing an address is left out.
//! The lines of one allocation are bound and freed in turn; an address that goes from one instance to another is freed
//! first. What took it is the `cause`.

use crate::account::Account;
use crate::json_lines::{self, JsonLines};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// An Elastic IP came to an instance or left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRecord {
    /// When.
    pub time: Timestamp,
    /// Such as `eipalloc-0local`.
    pub allocation: String,
    /// The instance.
    pub instance: String,
    /// Which of the two.
    pub what: AddressChange,
    /// The action that did it, such as `AssociateAddress`; `guest` if the instance ended by itself.
    pub cause: String,
}

/// What happened to an Elastic IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressChange {
    /// It came to the instance.
    Bound,
    /// It left the instance.
    Freed,
}

/// Which instance holds each allocation.
pub type Bindings = BTreeMap<String, String>;

/// Which instance holds each allocation of an account.
pub fn bindings(account: &Account) -> Bindings {
    let addresses = account.regions.values().flat_map(|r| r.addresses.values());
    addresses
        .filter_map(|a| {
            let bound = a.association.as_ref()?;
            Some((a.allocation.to_string(), bound.instance.to_string()))
        })
        .collect()
}

/// What happened between two moments: first what was freed, then what was bound.
fn changes(before: &Bindings, after: &Bindings) -> Vec<(String, String, AddressChange)> {
    let only_in = |here: &Bindings, there: &Bindings, what| {
        here.iter()
            .filter(|(allocation, instance)| there.get(*allocation) != Some(*instance))
            .map(|(allocation, instance)| (allocation.clone(), instance.clone(), what))
            .collect::<Vec<_>>()
    };
    let mut all = only_in(before, after, AddressChange::Freed);
    all.extend(only_in(after, before, AddressChange::Bound));
    all
}

/// The log being written.
#[derive(Debug)]
pub struct AddressLog(JsonLines<AddressRecord>);

const FILE: &str = "addresses.jsonl";

impl AddressLog {
    /// Opens the log of a local EC2's folder.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        JsonLines::open(&dir.join(FILE)).map(Self)
    }

    /// Adds what changed. Call it while the account is held, so that the lines are in the order of the changes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(
        &self,
        before: &Bindings,
        after: &Bindings,
        time: Timestamp,
        cause: &str,
    ) -> io::Result<()> {
        let records: Vec<AddressRecord> = changes(before, after)
            .into_iter()
            .map(|(allocation, instance, what)| AddressRecord {
                time,
                allocation,
                instance,
                what,
                cause: cause.to_owned(),
            })
            .collect();
        self.0.add(&records)
    }
}

/// Reads the log of a local EC2's folder; empty if there is none.
///
/// # Errors
/// If it cannot be read. A line that is cut off, as a killed daemon leaves it, ends the reading.
pub fn read(dir: &Path) -> io::Result<Vec<AddressRecord>> {
    json_lines::read(&dir.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_bindings() -> impl Strategy<Value = Bindings> {
        proptest::collection::btree_map("e[0-3]", "i[0-3]", 0..4)
    }

    proptest! {
        #[test]
        fn the_changes_lead_from_one_to_the_other_and_no_address_is_held_twice(before in some_bindings(), after in some_bindings()) {
            let mut held = before.clone();
            for (allocation, instance, what) in changes(&before, &after) {
                match what {
                    AddressChange::Freed => prop_assert_eq!(held.remove(&allocation), Some(instance)),
                    AddressChange::Bound => prop_assert_eq!(held.insert(allocation, instance), None),
                }
            }
            prop_assert_eq!(held, after);
        }
    }
}

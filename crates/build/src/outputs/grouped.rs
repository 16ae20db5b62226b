//! Entries in lists by group, as one JSON object.

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::collections::BTreeMap;

/// The entries by group, groups and the keys of entries sorted, entries within a group in the order given; indented by
/// four spaces, with a line end at its end: what Python's `json.dumps(…, sort_keys=True, indent=4)` prints.
pub fn grouped(entries: &[(String, BTreeMap<String, String>)]) -> Vec<u8> {
    let mut groups: BTreeMap<&str, Vec<&BTreeMap<String, String>>> = BTreeMap::new();
    for (group, entry) in entries {
        groups.entry(group).or_default().push(entry);
    }
    let value = Value::from_iter(groups.into_iter().map(|(group, entries)| {
        let entries = entries.into_iter().map(|entry| {
            Value::from_iter(
                entry
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            )
        });
        (group.to_owned(), Value::from_iter(entries))
    }));
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = Serializer::with_formatter(&mut text, formatter);
    // Texts, lists and maps with text keys, into memory: nothing in it can fail.
    let _ = value.serialize(&mut serializer);
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_the_one_that_comboami_s_extractor_prints() {
        let entry = |release: &str, virt: &str, id: &str| {
            BTreeMap::from([
                ("Distributor ID".to_owned(), "Ubuntu".to_owned()),
                ("Release".to_owned(), release.to_owned()),
                ("id".to_owned(), id.to_owned()),
                ("virtualization type".to_owned(), virt.to_owned()),
            ])
        };
        let written = grouped(&[
            ("us-west-1".to_owned(), entry("1404", "pv", "ami-1")),
            ("eu-west-1".to_owned(), entry("1404", "hvm", "ami-2")),
            ("us-west-1".to_owned(), entry("1204", "hvm", "ami-3")),
        ]);
        let expected = r#"{
    "eu-west-1": [
        {
            "Distributor ID": "Ubuntu",
            "Release": "1404",
            "id": "ami-2",
            "virtualization type": "hvm"
        }
    ],
    "us-west-1": [
        {
            "Distributor ID": "Ubuntu",
            "Release": "1404",
            "id": "ami-1",
            "virtualization type": "pv"
        },
        {
            "Distributor ID": "Ubuntu",
            "Release": "1204",
            "id": "ami-3",
            "virtualization type": "hvm"
        }
    ]
}
"#;
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}

//! Values set in a file that a person keeps: only their bytes change.

use pipeline::yaml_edit::{EditError, ValuePath, set_values};
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEPT: &str = "# A cluster, kept by hand.\r
bastion:   # the way in\r
      machine_image:\r
            id:    ami-0000000000000old   # pasted in March\r
            user: &user 'centos'\r
cluster:\r
  machine_image: {id: \"ami-0000000000000old\", user: *user}   # same image\r
  nodes:\r
  - &first\r
    image: 'ami-0000000000000old'\r
  -   image:        # none yet\r
  - <<: *first\r
    \"odd.key\": ~\r
notes: |\r
  id: not this one\r
";

fn set(text: &str, values: &[(&str, &str)]) -> Result<String, EditError> {
    let values: BTreeMap<ValuePath, String> = values
        .iter()
        .map(|(path, value)| (ValuePath::parse(path).unwrap(), (*value).to_owned()))
        .collect();
    set_values(text, &values)
}

/// The lines that differ, old and new.
fn difference(old: &str, new: &str) -> Vec<(String, String)> {
    let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(old), lines(new));
    assert_eq!(old.len(), new.len());
    old.into_iter().zip(new).filter(|(a, b)| a != b).collect()
}

#[test]
fn two_paths_change_and_nothing_else() {
    let new = "ami-00000000000000new";
    let edited = set(
        KEPT,
        &[
            ("bastion.machine_image.id", new),
            ("cluster.machine_image.id", new),
        ],
    )
    .unwrap();
    let expected = KEPT.replacen("ami-0000000000000old", new, 2);
    assert_eq!(edited, expected);
}

#[test]
fn a_value_keeps_its_quotes_and_a_missing_one_goes_before_its_comment() {
    let edited = set(
        KEPT,
        &[
            ("cluster.nodes[0].image", "ami-1"),
            ("cluster.nodes[1].image", "ami-2"),
            ("cluster.nodes[2].\"odd.key\"", "it's \"odd\""),
        ],
    );
    // The first entry is an anchor's map; its value is a scalar of its own, whose alias merges the map.
    let edited = edited.unwrap();
    assert_eq!(
        difference(KEPT, &edited),
        [
            (
                "    image: 'ami-0000000000000old'\r".to_owned(),
                "    image: 'ami-1'\r".to_owned()
            ),
            (
                "  -   image:        # none yet\r".to_owned(),
                "  -   image: ami-2        # none yet\r".to_owned()
            ),
            (
                "    \"odd.key\": ~\r".to_owned(),
                "    \"odd.key\": \"it's \\\"odd\\\"\"\r".to_owned()
            ),
        ]
    );
}

#[test]
fn a_value_with_an_anchor_keeps_it() {
    let edited = set(KEPT, &[("bastion.machine_image.user", "ec2-user")]).unwrap();
    assert_eq!(edited, KEPT.replacen("'centos'", "'ec2-user'", 1));
}

#[test]
fn only_the_asked_for_use_of_an_alias_changes() {
    let edited = set(KEPT, &[("cluster.machine_image.user", "ec2-user")]).unwrap();
    assert_eq!(edited, KEPT.replacen("*user", "ec2-user", 1));
}

#[test]
fn what_would_change_more_is_refused() {
    for (path, part) in [
        ("bastion.machine_image", "it is a map"),
        ("cluster.nodes", "it is a list"),
        ("notes", "a block of several lines"),
        ("cluster.nodes[2].image", "has no key `image` of its own"),
        ("cluster.nodes.image", "its entries are written [0]"),
        ("cluster.nodes[7].image", "has 3 entries"),
        ("bastion.image.id", "has no key `image`"),
        ("bastion.machine_image.id.x", "is no map"),
    ] {
        let error = set(KEPT, &[(path, "ami-1")]).unwrap_err().to_string();
        assert!(error.contains(part), "{path}: {error}");
    }
    let several = set("a: 1\n---\na: 2\n", &[("a", "x")])
        .unwrap_err()
        .to_string();
    assert!(several.contains("several documents"), "{several}");
    assert_eq!(
        set("b: 1\n---\na: 2\n", &[("a", "x")]).unwrap(),
        "b: 1\n---\na: x\n"
    );
    let twice = set("a: 1\na: 2\n", &[("a", "x")]).unwrap_err().to_string();
    assert!(twice.contains("twice"), "{twice}");
    assert!(matches!(
        set("a: [1\n", &[("a", "x")]),
        Err(EditError::NotYaml { .. })
    ));
}

#[test]
fn a_path_is_read_or_its_fault_is_named() {
    for (text, part) in [
        ("", "a path is written like"),
        ("a..b", "empty key"),
        ("a.", "ends in a dot"),
        ("a[x]", "no place in a list"),
        ("a[0", "without `]`"),
        ("\"a", "without its other"),
        ("\"a\"b", "lacks a dot"),
    ] {
        let error = ValuePath::parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    for text in ["a.b.c", "a[0].b", "a[0][1]", "\"x.y\".z"] {
        assert_eq!(ValuePath::parse(text).unwrap().to_string(), text);
    }
}

/// A value's text in each of YAML's styles, and what else may stand around it.
fn a_line() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[a-z0-9][a-z0-9-]{0,8}",
        "'[a-z :#]{0,6}'",
        "\"[a-z :#]{0,6}\"",
        Just(String::new()),
        Just(String::from("~"))
    ];
    let comment = prop_oneof![Just(String::new()), "   # [a-z:'\"]{0,8}"];
    (value, comment, " {1,5}").prop_map(|(value, comment, gap)| format!(":{gap}{value}{comment}"))
}

proptest! {
    #[test]
    fn any_text_is_set_and_read_back_and_other_lines_keep_their_bytes(
        lines in prop::collection::vec(a_line(), 1..8),
        chosen in any::<prop::sample::Index>(),
        value in any::<String>(),
        indent in 1..7usize,
    ) {
        let chosen = chosen.index(lines.len());
        let pad = " ".repeat(indent);
        let text: String = std::iter::once(String::from("top: # here\n"))
            .chain(lines.iter().enumerate().map(|(n, line)| format!("{pad}k{n}{line}\n")))
            .collect();
        let path = ValuePath::parse(&format!("top.k{chosen}")).unwrap();
        let edited = set_values(&text, &BTreeMap::from([(path.clone(), value.clone())]));
        let edited = match edited {
            Ok(edited) => edited,
            Err(why) => {
                // YAML has no way to write some characters.
                prop_assert!(matches!(why, EditError::ChangesMore { .. }), "{why}");
                return Ok(());
            }
        };
        for (n, (old, new)) in text.split('\n').zip(edited.split('\n')).enumerate() {
            if n != chosen + 1 {
                prop_assert_eq!(old, new);
            }
        }
        // Setting it again changes nothing.
        let again = set_values(&edited, &BTreeMap::from([(path, value)])).unwrap();
        prop_assert_eq!(again, edited);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", path in "\\PC{1,12}") {
        if let Ok(path) = ValuePath::parse(&path) {
            let _ = set_values(&text, &BTreeMap::from([(path, String::from("x"))]));
        }
    }
}

//! Patterns for the names of cells.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::fmt;

/// A pattern for whole names: `*` stands for any characters, also none, and `?` for exactly one. Everything else means
/// itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob(String);

impl Glob {
    /// Takes a pattern.
    ///
    /// # Errors
    /// When it is empty, or holds characters by which other programs' patterns choose (`[`, `{`, `!`): here they would
    /// mean themselves, and no cell has them in its name.
    pub fn new(pattern: impl Into<String>) -> Result<Self, String> {
        let pattern = pattern.into();
        if pattern.is_empty() {
            return Err(String::from("a pattern without a character fits nothing"));
        }
        match pattern.chars().find(|c| "[]{}!^\\".contains(*c)) {
            Some(found) => Err(format!(
                "{pattern:?}: `{found}` means nothing in a pattern; `*` stands for any characters, `?` for one"
            )),
            None => Ok(Self(pattern)),
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        // Where the last `*` stood, and how far the name was taken when it stood there: on a mismatch it takes one more.
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match star {
                    Some((at, taken)) => {
                        star = Some((at, taken + 1));
                        p = at + 1;
                        n = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Glob {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Glob".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, name: &str) -> bool {
        Glob::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, name) in [
            ("*", "x"),
            ("us-east-1-*", "us-east-1-1404-hvm"),
            ("*-hvm", "us-east-1-1404-hvm"),
            ("us-*-1404-*", "us-east-1-1404-hvm"),
            ("a?c", "abc"),
            ("*aab", "aaaab"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("us-east-1", "us-east-1-1404-hvm"),
            ("*-hvm", "us-east-1-hvm-1404"),
            ("a?c", "ac"),
            ("A*", "abc"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_other_patterns_mean_by_brackets_is_refused() {
        for pattern in ["", "us-[ew]ast", "{a,b}", "!x"] {
            assert!(Glob::new(pattern).is_err(), "{pattern:?}");
        }
    }

    /// The same by recursion, slow and plain.
    fn plainly(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                plainly(rest, name) || (!name.is_empty() && plainly(pattern, &name[1..]))
            }
            (['?', rest @ ..], [_, tail @ ..]) => plainly(rest, tail),
            ([c, rest @ ..], [d, tail @ ..]) if c == d => plainly(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_definition(pattern in "[ab*?]{1,8}", name in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&pattern, &name), plainly(&chars(&pattern), &chars(&name)));
        }
    }
}

//! Patterns by which cells are chosen on the command line: `*` stands for any characters, `?` for one.

use std::fmt;
use std::str::FromStr;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Whether all of `text` fits.
    pub fn fits(&self, text: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) =
            (self.0.chars().collect(), text.chars().collect());
        let (mut p, mut t) = (0, 0);
        // Where to go on after a mismatch: behind the latest star, which then stands for one character more.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p + 1, t));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match star {
                    Some((behind, from)) => {
                        star = Some((behind, from + 1));
                        p = behind;
                        t = from + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(String::from("it is empty, and no cell has an empty name"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, text: &str) -> bool {
        pattern.parse::<Glob>().unwrap().fits(text)
    }

    #[test]
    fn stars_and_question_marks_stand_for_what_they_say() {
        assert!(fits("us-east-1-*", "us-east-1-1404-hvm"));
        assert!(!fits("us-east-1-*", "us-east-2-1404-hvm"));
        assert!(fits("*-1404-*", "us-east-1-1404-hvm"));
        assert!(fits("base", "base") && !fits("base", "bases") && !fits("base", "a-base"));
        assert!(fits("us-????-1", "us-west-1") && !fits("us-????-1", "us-east-10"));
        assert!(fits("*a*b", "xaxbxab") && !fits("*a*b", "xaxbxa"));
        assert!(fits("**", "") && !fits("?", ""));
        assert!("".parse::<Glob>().is_err());
    }

    /// As the definition has it, however slow.
    fn slowly(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| slowly(rest, &text[n..])),
            Some((c, rest)) => text
                .split_first()
                .is_some_and(|(first, more)| (*c == '?' || c == first) && slowly(rest, more)),
        }
    }

    proptest! {
        #[test]
        fn fits_what_the_definition_says(pattern in "[ab*?]{1,8}", text in "[ab]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(fits(&pattern, &text), slowly(&p, &t));
        }
    }
}

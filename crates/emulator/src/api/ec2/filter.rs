//! EC2's filters: named, any of the values, with `*` and `?`.
//!
//! Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>: values of one filter are
//! alternatives, filters must all hold, wildcards are `*` and `?`, a backslash makes them ordinary, case matters.

use super::params::Scope;
use crate::account::tags::Tags;
use crate::api::error::ApiError;

/// A request's filters.
#[derive(Clone, Debug, Default)]
pub struct Filters(Vec<Filter>);

#[derive(Clone, Debug)]
struct Filter {
    name: String,
    values: Vec<String>,
}

/// Most values in one request's filters.
const MOST_VALUES: usize = 200;

impl Filters {
    /// Reads `Filter.N`. `known` are the filters of the action, beside those for tags.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a filter the action does not have, `MissingParameter`, `FilterLimitExceeded`.
    pub fn parse(p: &Scope<'_>, known: &[&str]) -> Result<Self, ApiError> {
        Self::parse_list(p, "Filter", known)
    }

    /// The same where the list has another name.
    ///
    /// # Errors
    /// As [`Filters::parse`].
    pub fn parse_list(p: &Scope<'_>, list: &str, known: &[&str]) -> Result<Self, ApiError> {
        let mut filters = Vec::new();
        let mut count = 0;
        for scope in p.each(list) {
            let name = scope.required("Name")?.to_owned();
            if !known.contains(&name.as_str())
                && !matches!(name.as_str(), "tag-key" | "tag-value")
                && !name.starts_with("tag:")
            {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("The filter '{name}' is invalid"),
                ));
            }
            let values: Vec<String> = scope
                .texts("Value")
                .into_iter()
                .map(str::to_owned)
                .collect();
            if values.is_empty() {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("The filter '{name}' must have at least one value"),
                ));
            }
            count += values.len();
            filters.push(Filter { name, values });
        }
        if count > MOST_VALUES {
            return Err(ApiError::new(
                "FilterLimitExceeded",
                format!(
                    "The maximum number of filter values specified on a single call is {MOST_VALUES}"
                ),
            ));
        }
        Ok(Self(filters))
    }

    /// Whether a resource passes. `values` gives what the resource has for a filter's name.
    pub fn pass(&self, tags: &Tags, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|filter| {
            let have = match (filter.name.as_str(), filter.name.strip_prefix("tag:")) {
                (_, Some(key)) => tags.get(key).map(str::to_owned).into_iter().collect(),
                ("tag-key", _) => tags.iter().map(|(k, _)| k.to_owned()).collect(),
                ("tag-value", _) => tags.iter().map(|(_, v)| v.to_owned()).collect(),
                (name, _) => values(name),
            };
            filter
                .values
                .iter()
                .any(|pattern| have.iter().any(|value| matches(pattern, value)))
        })
    }
}

/// Whether `value` is what `pattern` describes.
pub fn matches(pattern: &str, value: &str) -> bool {
    let pattern = tokens(pattern);
    let value: Vec<char> = value.chars().collect();
    // Where to go on after the last `*`: linear in both lengths but for the restarts, and no recursion.
    let (mut p, mut v, mut star): (usize, usize, Option<(usize, usize)>) = (0, 0, None);
    while v < value.len() {
        match pattern.get(p) {
            Some(Token::Many) => {
                star = Some((p, v));
                p += 1;
            }
            Some(Token::One) => (p, v) = (p + 1, v + 1),
            Some(Token::Exactly(c)) if *c == value[v] => (p, v) = (p + 1, v + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, v) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|t| *t == Token::Many)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Exactly(char),
    One,
    Many,
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Exactly(chars.next().unwrap_or('\\')),
            c => Token::Exactly(c),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::super::params::Params;
    use super::*;
    use proptest::prelude::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Filters, ApiError> {
        let p = Params::new(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        let filters = Filters::parse(&p.top(), &["state", "name"])?;
        p.finish()?;
        Ok(filters)
    }

    #[test]
    fn values_are_alternatives_and_filters_all_hold() {
        let f = parse(&[
            ("Filter.1.Name", "state"),
            ("Filter.1.Value.1", "a"),
            ("Filter.1.Value.2", "b"),
            ("Filter.2.Name", "tag:Owner"),
            ("Filter.2.Value.1", "m?"),
        ])
        .unwrap();
        let tags = Tags::of(&[("Owner", "me")]);
        assert!(f.pass(&tags, |_| vec!["b".into()]));
        assert!(!f.pass(&tags, |_| vec!["c".into()]));
        assert!(!f.pass(&Tags::default(), |_| vec!["b".into()]));
    }

    #[test]
    fn a_filter_that_is_unknown_or_empty_is_refused() {
        assert_eq!(
            parse(&[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")])
                .unwrap_err()
                .message(),
            "The filter 'colour' is invalid"
        );
        assert_eq!(
            parse(&[("Filter.1.Name", "state")]).unwrap_err().code(),
            "InvalidParameterValue"
        );
        assert_eq!(
            parse(&[("Filter.1.Value.1", "x")]).unwrap_err().code(),
            "MissingParameter"
        );
    }

    #[test]
    fn wildcards() {
        for (pattern, value) in [
            (
                "RHEL-8.7*HVM-*Hourly*",
                "RHEL-8.7.0_HVM-2023-x86_64-56-Hourly2-GP2",
            ),
            ("a\\*b", "a*b"),
            ("*", ""),
            ("?", "é"),
            ("a*b*c", "abxbc"),
        ] {
            assert!(matches(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in [
            ("RHEL-8.7*", "rhel-8.7"),
            ("a\\*b", "axb"),
            ("?", ""),
            ("a", "ab"),
            ("", "a"),
            ("a*b", "a"),
        ] {
            assert!(!matches(pattern, value), "{pattern} {value}");
        }
    }

    /// The same, written plainly and slowly.
    fn plainly(p: &[Token], v: &[char]) -> bool {
        match (p.split_first(), v.split_first()) {
            (None, None) => true,
            (Some((Token::Many, rest)), _) => {
                plainly(rest, v) || (!v.is_empty() && plainly(p, &v[1..]))
            }
            (Some((Token::One, rest)), Some((_, more))) => plainly(rest, more),
            (Some((Token::Exactly(c), rest)), Some((d, more))) => c == d && plainly(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_definition(pattern in "[ab*?\\\\]{0,9}", value in "[ab*?]{0,9}") {
            let chars: Vec<char> = value.chars().collect();
            prop_assert_eq!(matches(&pattern, &value), plainly(&tokens(&pattern), &chars));
        }

        #[test]
        fn an_escaped_text_matches_itself_only(text in "[ab*?\\\\]{0,9}", other in "[ab*?\\\\]{0,9}") {
            let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
            prop_assert_eq!(matches(&escaped, &other), text == other);
        }
    }
}

//! Conditions of a statement.
//!
//! Operators: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>;
//! keys: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html#amazonec2-policy-keys>.

use super::document::{Malformed, texts};
use super::like;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a condition does with a key's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Exactly the same text; also `ArnEquals`' and `Bool`'s business, which are told apart when they are read.
    Equals,
    /// Another text.
    NotEquals,
    /// The same text but for case.
    EqualsIgnoreCase,
    /// What a pattern describes.
    Like,
    /// What a pattern does not describe.
    NotLike,
    /// Whether the key is absent.
    Null,
    /// A number below.
    Less,
    /// A number at most.
    AtMost,
    /// A number above.
    More,
    /// A number at least.
    AtLeast,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "StringEquals" | "Bool" | "NumericEquals" => Self::Equals,
            "StringNotEquals" | "NumericNotEquals" => Self::NotEquals,
            "StringEqualsIgnoreCase" => Self::EqualsIgnoreCase,
            // "ArnEquals and ArnLike behave identically."
            "StringLike" | "ArnLike" | "ArnEquals" => Self::Like,
            "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => Self::NotLike,
            "Null" => Self::Null,
            "NumericLessThan" => Self::Less,
            "NumericLessThanEquals" => Self::AtMost,
            "NumericGreaterThan" => Self::More,
            "NumericGreaterThanEquals" => Self::AtLeast,
            _ => return None,
        })
    }

    /// "Negated matching": it holds if no value matches, and where there is no such key.
    fn is_negated(self) -> bool {
        matches!(self, Self::NotEquals | Self::NotLike)
    }

    fn matches(self, wanted: &str, have: &str) -> bool {
        let number = |test: fn(f64, f64) -> bool| match (have.parse(), wanted.parse()) {
            (Ok(have), Ok(wanted)) => test(have, wanted),
            _ => false,
        };
        match self {
            Self::Equals | Self::NotEquals => wanted == have,
            Self::EqualsIgnoreCase => wanted.eq_ignore_ascii_case(have),
            Self::Like | Self::NotLike => like(wanted, have),
            Self::Less => number(|a, b| a < b),
            Self::AtMost => number(|a, b| a <= b),
            Self::More => number(|a, b| a > b),
            Self::AtLeast => number(|a, b| a >= b),
            Self::Null => false,
        }
    }
}

/// How a key with several values is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// One of its values must match.
    Any,
    /// Every one of its values must match; none is fine.
    All,
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    set: Set,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

/// Reads a statement's conditions.
pub(super) fn parse(value: Option<&Value>) -> Result<Vec<Condition>, Malformed> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let bad = |why: &str| Malformed(format!("Syntax errors in policy. ({why})"));
    let mut conditions = Vec::new();
    for (name, keys) in value.as_object().ok_or_else(|| bad("Condition"))? {
        let (set, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Set::All, rest),
            Some(("ForAnyValue", rest)) => (Set::Any, rest),
            Some(_) => return Err(bad(name)),
            None => (Set::Any, name.as_str()),
        };
        let (operator, if_exists) = match rest.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (rest, false),
        };
        let operator = Operator::parse(operator)
            .ok_or_else(|| bad(&format!("the local EC2 knows no condition operator {name}")))?;
        for (key, values) in keys.as_object().ok_or_else(|| bad(name))? {
            conditions.push(Condition {
                operator,
                set,
                if_exists,
                key: key.clone(),
                values: texts(values)?,
            });
        }
    }
    Ok(conditions)
}

/// Whether all conditions hold.
///
/// # Errors
/// The key of one that the local EC2 does not know.
pub(super) fn hold(conditions: &[Condition], context: &Context) -> Result<bool, String> {
    for condition in conditions {
        if !Context::knows(&condition.key) {
            return Err(condition.key.clone());
        }
        if !condition.holds(context.get(&condition.key)) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Condition {
    fn holds(&self, have: &[String]) -> bool {
        if self.operator == Operator::Null {
            return self.values.iter().any(|v| v == "true") == have.is_empty();
        }
        if have.is_empty() {
            return self.if_exists || self.set == Set::All || self.operator.is_negated();
        }
        let matched = |h: &String| self.values.iter().any(|w| self.operator.matches(w, h));
        let good = |h: &String| matched(h) != self.operator.is_negated();
        match self.set {
            Set::All => have.iter().all(good),
            Set::Any if self.operator.is_negated() => have.iter().all(good),
            Set::Any => have.iter().any(good),
        }
    }
}

/// Keys that the local EC2 knows, in lower case; those that end in `/` stand for all that begin so.
const KEYS: [&str; 22] = [
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:resourcetag/",
    "aws:tagkeys",
    "aws:username",
    "ec2:createaction",
    "ec2:imageid",
    "ec2:instancetype",
    "ec2:metadatahttptokens",
    "ec2:owner",
    "ec2:region",
    "ec2:resourcetag/",
    "ec2:volumesize",
    "iam:awsservicename",
    "iam:passedtoservice",
    "kms:grantisforawsresource",
    "kms:resourcealiases",
    "sts:externalid",
];

/// The keys' values in a request.
#[derive(Clone, Debug, Default)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    /// Whether a key is one that the local EC2 knows; whether a request has a value for it is another question.
    pub fn knows(key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        KEYS.iter().any(|k| match k.ends_with('/') {
            true => key.starts_with(k),
            false => key == *k,
        })
    }

    /// The same with one more value. Keys are the same in either case.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// Adds a value.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        let values = self.0.entry(key.to_ascii_lowercase()).or_default();
        values.push(value.into());
    }

    fn get(&self, key: &str) -> &[String] {
        self.0
            .get(&key.to_ascii_lowercase())
            .map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, context: &Context) -> bool {
        let value: Value = serde_json::from_str(condition).unwrap();
        hold(&parse(Some(&value)).unwrap(), context).unwrap()
    }

    #[test]
    fn operators() {
        let context = Context::default()
            .with("aws:TagKeys", "a")
            .with("aws:TagKeys", "b")
            .with("ec2:InstanceType", "m5.large")
            .with("ec2:VolumeSize", "50");
        for (condition, expected) in [
            (r#"{"StringEquals":{"ec2:instancetype":"m5.large"}}"#, true),
            (r#"{"StringEquals":{"ec2:InstanceType":"M5.large"}}"#, false),
            (
                r#"{"StringEqualsIgnoreCase":{"ec2:InstanceType":"M5.large"}}"#,
                true,
            ),
            (
                r#"{"StringLike":{"ec2:InstanceType":["t3.*","m5.*"]}}"#,
                true,
            ),
            (
                r#"{"StringNotLike":{"ec2:InstanceType":["t3.*","m5.*"]}}"#,
                false,
            ),
            (r#"{"StringNotEquals":{"ec2:Owner":"amazon"}}"#, true),
            (r#"{"StringEquals":{"ec2:Owner":"amazon"}}"#, false),
            (r#"{"StringEqualsIfExists":{"ec2:Owner":"amazon"}}"#, true),
            (
                r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}"#,
                true,
            ),
            (
                r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}"#,
                false,
            ),
            (
                r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["a"]}}"#,
                true,
            ),
            (r#"{"Null":{"ec2:Owner":"true"}}"#, true),
            (r#"{"Null":{"ec2:InstanceType":"true"}}"#, false),
            (r#"{"NumericLessThanEquals":{"ec2:VolumeSize":"50"}}"#, true),
            (r#"{"NumericLessThan":{"ec2:VolumeSize":50}}"#, false),
            (
                r#"{"StringEquals":{"ec2:InstanceType":"m5.large"},"Null":{"aws:TagKeys":true}}"#,
                false,
            ),
        ] {
            assert_eq!(holds(condition, &context), expected, "{condition}");
        }
    }
}

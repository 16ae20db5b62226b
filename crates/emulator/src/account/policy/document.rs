//! A policy's document: read and checked as IAM checks it.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use super::condition::{self, Condition};
use super::like;
use serde_json::{Map, Value};

/// What a policy is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user or a role: it says what they may do.
    Identity,
    /// A role, as its trust policy: it says who may assume it.
    Trust,
}

/// A document that IAM refuses; its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// One statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    pub(super) actions: Patterns,
    pub(super) resources: Patterns,
    pub(super) conditions: Vec<Condition>,
    principals: Vec<String>,
}

/// Patterns, or all but them.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    all_but: bool,
    patterns: Vec<String>,
}

impl Patterns {
    /// Whether `value` is one of them.
    pub(super) fn covers(&self, value: &str, ignore_case: bool) -> bool {
        let found = self.patterns.iter().any(|p| match ignore_case {
            true => like(&p.to_lowercase(), &value.to_lowercase()),
            false => like(p, value),
        });
        found != self.all_but
    }
}

impl Statement {
    /// Whether it names a principal: an account names its users and roles as well.
    pub(super) fn trusts(&self, principal: &str) -> bool {
        let account = principal.split(':').nth(4);
        self.principals.iter().any(|p| {
            let root = p
                .strip_prefix("arn:aws:iam::")
                .and_then(|r| r.strip_suffix(":root"));
            let named = root.unwrap_or(p);
            named == "*" || named == principal || account == Some(named)
        })
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// If IAM would refuse it.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_str(text)
            .map_err(|_| Malformed("This policy contains invalid Json".to_owned()))?;
        Self::of_value(&value, kind)
    }

    /// The same, from JSON that has been read.
    ///
    /// # Errors
    /// If IAM would refuse it.
    pub fn of_value(value: &Value, kind: Kind) -> Result<Self, Malformed> {
        let Value::Object(document) = value else {
            return refuse("Syntax errors in policy.");
        };
        only(document, &["Version", "Id", "Statement"])?;
        if let Some(version) = document.get("Version")
            && !["2012-10-17", "2008-10-17"].iter().any(|v| version == v)
        {
            return refuse("Policy document must be version 2012-10-17 or greater.");
        }
        let statements: Vec<&Value> = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return refuse("Syntax errors in policy."),
        };
        if statements.is_empty() {
            return refuse("Syntax errors in policy.");
        }
        let statements = statements.into_iter().map(|s| statement(s, kind));
        Ok(Self {
            statements: statements.collect::<Result<_, _>>()?,
        })
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), Malformed> {
    match object.keys().find(|k| !known.contains(&k.as_str())) {
        Some(other) => refuse(format!(
            "Syntax errors in policy. (unknown element {other})"
        )),
        None => Ok(()),
    }
}

fn statement(value: &Value, kind: Kind) -> Result<Statement, Malformed> {
    let Value::Object(s) = value else {
        return refuse("Syntax errors in policy.");
    };
    only(
        s,
        &[
            "Sid",
            "Effect",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
            "Principal",
            "NotPrincipal",
        ],
    )?;
    let effect = match s.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return refuse("Syntax errors in policy. (Effect is Allow or Deny)"),
    };
    let actions = patterns(s, "Action")?
        .ok_or_else(|| Malformed("Policy statement must contain actions.".to_owned()))?;
    let vendor = |a: &String| {
        a == "*"
            || a.split_once(':')
                .is_some_and(|(v, n)| !v.is_empty() && !n.is_empty())
    };
    if !actions.patterns.iter().all(vendor) {
        return refuse(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        );
    }
    let resources = patterns(s, "Resource")?;
    let principal = s.get("Principal");
    let (resources, principals) = match kind {
        Kind::Identity => {
            if principal.is_some() || s.contains_key("NotPrincipal") {
                return refuse("Policy document should not specify a principal.");
            }
            let resources = resources
                .ok_or_else(|| Malformed("Policy statement must contain resources.".to_owned()))?;
            let arn = |r: &String| r == "*" || r.starts_with("arn:");
            if let Some(bad) = resources.patterns.iter().find(|r| !arn(r)) {
                return refuse(format!("Resource {bad} must be in ARN format or \"*\"."));
            }
            (resources, Vec::new())
        }
        Kind::Trust => {
            if resources.is_some() {
                return refuse("Has prohibited field Resource");
            }
            let all = Patterns {
                all_but: true,
                patterns: Vec::new(),
            };
            (all, principals(principal)?)
        }
    };
    Ok(Statement {
        effect,
        actions,
        resources,
        conditions: condition::parse(s.get("Condition"))?,
        principals,
    })
}

/// `Action` or `NotAction`, and so on: exactly one of them, if any.
fn patterns(s: &Map<String, Value>, name: &str) -> Result<Option<Patterns>, Malformed> {
    let negative = format!("Not{name}");
    let (all_but, value) = match (s.get(name), s.get(&negative)) {
        (None, None) => return Ok(None),
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        (Some(_), Some(_)) => {
            return refuse(format!("Statement has both {name} and {negative}"));
        }
    };
    let patterns = texts(value)?;
    match patterns.is_empty() {
        true => refuse(format!("{name} cannot be empty!")),
        false => Ok(Some(Patterns { all_but, patterns })),
    }
}

/// A text or a list of texts.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, Malformed> {
    let one = |v: &Value| match v {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(v.to_string()),
        _ => refuse("Syntax errors in policy."),
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        one_value => Ok(vec![one(one_value)?]),
    }
}

fn principals(value: Option<&Value>) -> Result<Vec<String>, Malformed> {
    match value {
        None => refuse("Missing required field Principal"),
        Some(Value::String(all)) if all == "*" => Ok(vec![all.clone()]),
        Some(Value::Object(kinds)) => {
            let mut principals = Vec::new();
            for (kind, names) in kinds {
                let names = texts(names)?;
                let bad = match kind.as_str() {
                    "AWS" => names.iter().find(|n| !is_aws_principal(n)),
                    "Service" => names.iter().find(|n| !n.ends_with(".amazonaws.com")),
                    other => return refuse(format!("Invalid principal in policy: {other}")),
                };
                if let Some(bad) = bad {
                    return refuse(format!("Invalid principal in policy: \"{kind}\":\"{bad}\""));
                }
                principals.extend(names);
            }
            Ok(principals)
        }
        Some(_) => refuse("Invalid principal in policy."),
    }
}

fn is_aws_principal(name: &str) -> bool {
    let number = name.len() == 12 && name.bytes().all(|b| b.is_ascii_digit());
    name == "*" || number || name.starts_with("arn:aws:iam::") || name.starts_with("arn:aws:sts::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iam_refuses_is_refused() {
        for (text, why) in [
            ("", "Json"),
            ("[]", "Syntax"),
            ("{}", "Syntax"),
            (r#"{"Statement":[]}"#, "Syntax"),
            (r#"{"Version":"2020-01-01","Statement":[]}"#, "version"),
            (
                r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
                "actions",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"ec2:*"}}"#,
                "resources",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"RunInstances","Resource":"*"}}"#,
                "vendor",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"i-1"}}"#,
                "ARN format",
            ),
            (
                r#"{"Statement":{"Effect":"Maybe","Action":"ec2:*","Resource":"*"}}"#,
                "Effect",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*","Colour":1}}"#,
                "Colour",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*","Principal":"*"}}"#,
                "principal",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"ec2:*","NotAction":"ec2:X","Resource":"*"}}"#,
                "both",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}"#,
                "empty",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*","Condition":{"StringAlmost":{"aws:TagKeys":"a"}}}}"#,
                "StringAlmost",
            ),
        ] {
            let refused = Policy::parse(text, Kind::Identity).unwrap_err();
            assert!(refused.0.contains(why), "{text}: {refused}");
        }
        for (text, why) in [
            (
                r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#,
                "Principal",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*"}}"#,
                "Resource",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2"}}}"#,
                "ec2",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"me"}}}"#,
                "me",
            ),
        ] {
            let refused = Policy::parse(text, Kind::Trust).unwrap_err();
            assert!(refused.0.contains(why), "{text}: {refused}");
        }
    }
}

//! IAM policies as JSON.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use serde::Serialize;
use std::collections::BTreeMap;

/// Where a policy fits; blanks are not counted.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Length {
    /// In a managed policy: at most 6,144 characters.
    Managed,
    /// In a role's inline policies alone, which have at most 10,240 characters together.
    RoleInline,
    /// Nowhere whole.
    TooLong,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// Always `2012-10-17`.
    pub version: &'static str,
    /// What it allows.
    pub statement: Vec<Statement>,
}

/// One thing that a policy allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// What it is for, in letters and digits.
    pub sid: String,
    /// Always `Allow`.
    pub effect: &'static str,
    /// The actions, sorted.
    pub action: Vec<String>,
    /// What they may be done to.
    pub resource: Vec<String>,
    /// Under which conditions: operator, key, values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
}

impl Policy {
    /// A policy of the statements that allow anything.
    pub fn new(statements: impl IntoIterator<Item = Statement>) -> Self {
        Self {
            version: "2012-10-17",
            statement: statements
                .into_iter()
                .filter(|statement| !statement.action.is_empty())
                .collect(),
        }
    }

    /// Where it fits.
    pub fn length(&self) -> Length {
        // Statements are made of texts alone, and those serialise.
        let text = serde_json::to_string(self).unwrap_or_default();
        match text.chars().filter(|c| !c.is_whitespace()).count() {
            0..=6_144 => Length::Managed,
            6_145..=10_240 => Length::RoleInline,
            _ => Length::TooLong,
        }
    }

    /// Every action that it allows.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.statement
            .iter()
            .flat_map(|statement| statement.action.iter().map(String::as_str))
    }
}

impl Statement {
    /// Allows `actions` on everything.
    pub fn allow<A: Into<String>>(sid: &str, actions: impl IntoIterator<Item = A>) -> Self {
        let mut action: Vec<String> = actions.into_iter().map(Into::into).collect();
        action.sort();
        action.dedup();
        Self {
            sid: sid.into(),
            effect: "Allow",
            action,
            resource: vec![String::from("*")],
            condition: BTreeMap::new(),
        }
    }

    /// Only on these resources.
    #[must_use]
    pub fn on<R: Into<String>>(mut self, resources: impl IntoIterator<Item = R>) -> Self {
        self.resource = resources.into_iter().map(Into::into).collect();
        self
    }

    /// Only if the condition holds, besides those that are asked for already.
    #[must_use]
    pub fn only_if<V: Into<String>>(
        mut self,
        operator: &'static str,
        key: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.condition
            .entry(operator)
            .or_default()
            .insert(key.into(), values);
        self
    }
}

//! What was asked, and what the account says.

use crate::permissions::Statement;
use serde::Serialize;

/// One question and its answer, as a flat object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What it is about.
    pub kind: Kind,
    /// Where; none for what has no region.
    pub region: Option<String>,
    /// What was asked for: an action, a quota's name, a key, a cell.
    pub asked: String,
    /// What the account says.
    #[serde(rename = "verdict")]
    pub answer: Answer,
    /// How that is known, or why not.
    pub detail: String,
    /// Of a quota.
    #[serde(flatten)]
    pub quantity: Quantity,
    /// What to do about it.
    pub next: Option<String>,
    /// Of a permission that is missing: the statements that give it.
    pub statements: Vec<Statement>,
}

/// How much; none where it is not known, or not a matter of how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantity {
    /// How much may be used.
    pub limit: Option<f64>,
    /// How much is used now.
    pub used: Option<f64>,
    /// How much the pipeline needs at once, besides.
    pub needed: Option<f64>,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// How long the credentials last.
    Credentials,
    /// Whether the account uses a region.
    Region,
    /// Whether a cell can be built.
    Cell,
    /// Whether an image's name is free.
    Name,
    /// Whether a zone has the instance types.
    Offering,
    /// Whether images or snapshots may be public.
    Sharing,
    /// Whether EC2 would do what is asked for.
    Call,
    /// Whether an action is permitted.
    Permission,
    /// Whether an instance profile is there.
    Profile,
    /// How much may be used.
    Quota,
    /// Whether a KMS key can be used.
    Key,
}

/// What the account says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is possible.
    Allowed,
    /// It is not.
    Denied,
    /// It cannot be told beforehand.
    Unknown,
    /// It is possible, and a person should know something.
    Warning,
}

impl Check {
    /// A question with its answer, and nothing besides.
    pub(super) fn new(
        kind: Kind,
        region: Option<&cloud::RegionName>,
        asked: impl Into<String>,
        answer: Answer,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            region: region.map(ToString::to_string),
            asked: asked.into(),
            answer,
            detail: detail.into(),
            quantity: Quantity::default(),
            next: None,
            statements: Vec::new(),
        }
    }

    /// The same with what to do about it.
    pub(super) fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

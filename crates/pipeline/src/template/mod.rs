//! `${{ … }}`: expressions in a pipeline's text.
//!
//! ```text
//! text       = { literal | "$${{" (a literal "${{") | "${{" expression "}}" }
//! expression = name { "|" filter }
//! name       = word { "." word } | function "(" string ")" | "source.tags[" string "]"
//! filter     = word [ "(" string { "," string } ")" ]
//! string     = "'" … "'" | '"' … '"'         a quote is doubled to stand inside
//! ```
//!
//! Names are known at two times:
//!
//! | known | names | may stand in |
//! |---|---|---|
//! | when the file is loaded | `vars.NAME`, `matrix.NAME`, `pipeline.name`, `stage.name`, `git.…`, `file()`, `env()`, `hash()` | every value |
//! | when a stage is built | `run.…`, `source.…`, `account.id`, `region`, `cell` | [`Template`] fields |
//!
//! Anything that is not `${{` stays as it is: a shell's `${x}` is the shell's.

mod condition;
mod cursor;
mod expression;
mod facts;
mod filter;
mod parse;
mod secret;
mod text;

pub use condition::{Comparison, Condition, ConditionError, Operand, parse_condition};
pub(crate) use expression::FIXED_NAMES_WITH_TIME;
pub use expression::{Expression, GitFact, Name};
pub use facts::{ImageFacts, RenderError, RunFacts, SourceTags};
pub use filter::{Filter, VersionPart};
pub use parse::{Part, TemplateError, parse};
pub use secret::Secret;
pub(crate) use text::Segment;
pub use text::{SecretTemplate, Template};

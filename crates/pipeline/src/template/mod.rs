//! `${{ … }}`: expressions in a pipeline's text.
//!
//! ```text
//! text       = { literal | "$${{" (a literal "${{") | "${{" expression "}}" }
//! expression = path { "|" filter }
//! path       = word { "." word }
//! filter     = word [ "(" string { "," string } ")" ]
//! string     = "'" … "'" | '"' … '"'         a quote is doubled to stand inside
//! ```
//!
//! Names are known at two times:
//!
//! | known | names | may stand in |
//! |---|---|---|
//! | when the file is loaded | `vars.NAME`, `pipeline.name`, `stage.name` | every value |
//! | when a stage is built | `run.id`, `run.time`, `source.id`, `source.name`, `account.id`, `region`, `cell` | [`Template`] fields |
//!
//! Anything that is not `${{` stays as it is: a shell's `${x}` is the shell's.

mod expression;
mod facts;
mod filter;
mod parse;
mod secret;
mod text;

pub(crate) use expression::FIXED_NAMES_WITH_TIME;
pub use expression::{Expression, Name};
pub use facts::{RenderError, RunFacts};
pub use filter::Filter;
pub use parse::{Part, TemplateError, parse};
pub use secret::Secret;
pub(crate) use text::Segment;
pub use text::{SecretTemplate, Template};

//! Which permissions a pipeline needs: the least policy for qib itself, and that of its instances' roles. Pure.
//!
//! ```text
//!   the pipeline's cells ─▶ features: what of qib they use, and where ─▶ statements: what that calls, on what
//!                                                                            ▲
//!   the port's calls ─▶ calls: the actions of each ─────────── a test ───────┘
//! ```
//!
//! [`calls`] is the list that cannot be incomplete: a test compares it with the port's traits, another with what
//! [`statements()`] allows to a pipeline that uses everything, a third with the table in `docs/guide/aws.md`.

mod arn;
pub mod calls;
mod features;
mod keys;
mod policy;
mod profile;
mod statements;

pub use arn::{Arns, partition_of_region};
pub use features::{ANY_REGION, Features, Groups, Network};
pub use policy::{Length, Policy, Statement};
pub use profile::{ProfileNeed, RolePolicy, profile_needs, roles_policy};
pub use statements::{Questions, statements};

/// The least policy by which qib can do what `features` are of.
pub fn policy(features: &Features, arns: &Arns, questions: Questions) -> Policy {
    Policy::new(statements(features, arns, questions))
}

#[cfg(test)]
mod tests;

//! IAM policies: what a document says, and what follows from it for a request.
//!
//! Language: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>; evaluation:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>. A request is denied unless
//! a statement allows it, and a statement that denies it goes before all that allow it.
//!
//! Of conditions, the local EC2 knows the operators of [`Operator`] and the keys that [`Context`] lists. An operator that is
//! not known makes a document malformed; a key that is not known denies what its statement is about, and says so.

mod condition;
mod document;

pub use condition::{Context, Operator};
pub use document::{Kind, Malformed, Policy};

use document::{Effect, Statement};

/// A request, as far as policies are asked about it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Such as `ec2:RunInstances`.
    pub action: &'a str,
    /// An ARN, or `*` for an action that is about no resource.
    pub resource: &'a str,
    /// What conditions are checked against.
    pub context: &'a Context,
}

/// What policies say to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allowed,
    /// No statement is about it.
    Unmentioned,
    /// A statement denies it.
    Denied,
    /// A statement that is about it has a condition whose key the local EC2 does not know.
    UnknownKey(String),
}

/// What several policies of one caller say together.
pub fn judge<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    question: Question<'_>,
) -> Verdict {
    let mut verdict = Verdict::Unmentioned;
    for statement in policies.into_iter().flat_map(|p| &p.statements) {
        if !statement.is_about(question) {
            continue;
        }
        match (
            condition::hold(&statement.conditions, question.context),
            statement.effect,
        ) {
            (Err(key), _) => return Verdict::UnknownKey(key),
            (Ok(false), _) => {}
            (Ok(true), Effect::Deny) => return Verdict::Denied,
            (Ok(true), Effect::Allow) => verdict = Verdict::Allowed,
        }
    }
    verdict
}

impl Policy {
    /// Whether a role's trust policy lets `principal` assume it: an ARN, an account, or a service such as
    /// `ec2.amazonaws.com`.
    ///
    /// # Errors
    /// The key of a condition that the local EC2 does not know.
    pub fn trusts(&self, principal: &str, context: &Context) -> Result<bool, String> {
        let mut trusted = false;
        for statement in &self.statements {
            let asked = statement.trusts(principal) && statement.has_action("sts:AssumeRole");
            if asked && condition::hold(&statement.conditions, context)? {
                match statement.effect {
                    Effect::Allow => trusted = true,
                    Effect::Deny => return Ok(false),
                }
            }
        }
        Ok(trusted)
    }
}

impl Statement {
    fn is_about(&self, question: Question<'_>) -> bool {
        self.has_action(question.action) && self.resources.covers(question.resource, false)
    }

    fn has_action(&self, action: &str) -> bool {
        self.actions.covers(action, true)
    }
}

/// Whether `value` is what `pattern` describes: `*` for any text, `?` for any character. Nothing escapes them.
fn like(pattern: &str, value: &str) -> bool {
    let escaped = pattern.replace('\\', "\\\\");
    crate::api::ec2::filter::matches(&escaped, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::parse(text, Kind::Identity).unwrap()
    }

    fn asked(policies: &[Policy], action: &str, resource: &str, context: &Context) -> Verdict {
        let question = Question {
            action,
            resource,
            context,
        };
        judge(policies, question)
    }

    #[test]
    fn a_denial_goes_before_what_is_allowed() {
        let policies = [
            policy(
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}"#,
            ),
            policy(
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["ec2:copyimage"],"Resource":"*"}]}"#,
            ),
        ];
        let context = Context::default();
        assert_eq!(
            asked(&policies, "ec2:CopyImage", "*", &context),
            Verdict::Denied
        );
        assert_eq!(
            asked(&policies, "ec2:RunInstances", "*", &context),
            Verdict::Allowed
        );
        assert_eq!(
            asked(&policies, "ssm:GetParameter", "*", &context),
            Verdict::Unmentioned
        );
    }

    #[test]
    fn resources_are_patterns_and_their_exceptions() {
        let only = [policy(
            r#"{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":["arn:aws:ec2:*:*:instance/*"]}}"#,
        )];
        let but = [policy(
            r#"{"Statement":{"Effect":"Allow","NotAction":"iam:*","NotResource":"arn:aws:ec2:*:*:volume/*"}}"#,
        )];
        let context = Context::default();
        for (policies, action, resource, expected) in [
            (
                &only,
                "ec2:RunInstances",
                "arn:aws:ec2:us-east-2:1:instance/i-1",
                Verdict::Allowed,
            ),
            (
                &only,
                "ec2:RunInstances",
                "arn:aws:ec2:us-east-2:1:volume/*",
                Verdict::Unmentioned,
            ),
            (&only, "ec2:DescribeImages", "*", Verdict::Unmentioned),
            (
                &but,
                "ec2:RunInstances",
                "arn:aws:ec2:us-east-2:1:instance/i-1",
                Verdict::Allowed,
            ),
            (
                &but,
                "ec2:RunInstances",
                "arn:aws:ec2:us-east-2:1:volume/*",
                Verdict::Unmentioned,
            ),
            (&but, "iam:CreateRole", "*", Verdict::Unmentioned),
        ] {
            assert_eq!(
                asked(policies, action, resource, &context),
                expected,
                "{action} {resource}"
            );
        }
    }

    #[test]
    fn conditions_hold_or_not_and_unknown_keys_are_named() {
        let tagged = [policy(
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/Team":["a","b"]}}}}"#,
        )];
        let strange = [policy(
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"ec2:Moon":"full"}}}}"#,
        )];
        let team = |t: &str| Context::default().with("aws:RequestTag/Team", t);
        assert_eq!(asked(&tagged, "ec2:X", "*", &team("b")), Verdict::Allowed);
        assert_eq!(
            asked(&tagged, "ec2:X", "*", &team("c")),
            Verdict::Unmentioned
        );
        assert_eq!(
            asked(&tagged, "ec2:X", "*", &Context::default()),
            Verdict::Unmentioned
        );
        assert_eq!(
            asked(&strange, "ec2:X", "*", &Context::default()),
            Verdict::UnknownKey("ec2:Moon".into())
        );
    }

    #[test]
    fn trust() {
        let trust = |text: &str| Policy::parse(text, Kind::Trust).unwrap();
        let ec2 = trust(
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"ec2.amazonaws.com"}}}"#,
        );
        let context = Context::default();
        assert_eq!(ec2.trusts("ec2.amazonaws.com", &context), Ok(true));
        assert_eq!(ec2.trusts("123456789012", &context), Ok(false));
        let account = trust(
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}}"#,
        );
        assert_eq!(account.trusts("123456789012", &context), Ok(false));
        let mfa = context.with("aws:MultiFactorAuthPresent", "true");
        assert_eq!(account.trusts("123456789012", &mfa), Ok(true));
        assert_eq!(account.trusts("ec2.amazonaws.com", &mfa), Ok(false));
    }
}

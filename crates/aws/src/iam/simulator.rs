//! What a caller may do: SimulatePrincipalPolicy.

use super::roles;
use crate::classify::failed;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType,
};
use cloud::port::Result;
use cloud::{ErrorKind, Simulated};
use std::collections::BTreeMap;

pub(super) async fn simulate(
    iam: &Client,
    principal: &str,
    actions: &[String],
    resources: &[String],
    context: &[(String, String)],
) -> Result<Vec<Simulated>> {
    const CALL: &str = "SimulatePrincipalPolicy";
    let source = policy_source(iam, principal).await?;
    let mut pages = iam
        .simulate_principal_policy()
        .policy_source_arn(&source)
        .set_action_names(Some(actions.to_vec()))
        .set_resource_arns((!resources.is_empty()).then(|| resources.to_vec()))
        .set_context_entries((!context.is_empty()).then(|| entries(context)))
        .into_paginator()
        .items()
        .send();
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    while let Some(result) = pages
        .try_next()
        .await
        .map_err(|error| failed(CALL)(error).about(&source))?
    {
        let allowed = found
            .entry(result.eval_action_name().to_owned())
            .or_insert(true);
        *allowed &= is_allowed(&result);
    }
    // In the order that was asked for; what IAM does not answer is not allowed.
    Ok(actions
        .iter()
        .map(|action| Simulated {
            action: action.clone(),
            allowed: found.get(action).copied().unwrap_or(false),
        })
        .collect())
}

/// Keys that IAM knows as true or false; all others that qib sends are texts.
const BOOLEANS: [&str; 2] = ["kms:GrantIsForAWSResource", "aws:MultiFactorAuthPresent"];

fn entries(context: &[(String, String)]) -> Vec<ContextEntry> {
    let entries = context.iter().map(|(key, value)| {
        let kind = match BOOLEANS.contains(&key.as_str()) {
            true => ContextKeyTypeEnum::Boolean,
            false => ContextKeyTypeEnum::String,
        };
        ContextEntry::builder()
            .context_key_name(key)
            .context_key_values(value)
            .context_key_type(kind)
            .build()
    });
    entries.collect()
}

/// Allowed on all of the resources.
fn is_allowed(result: &EvaluationResult) -> bool {
    let allowed = |decision: &PolicyEvaluationDecisionType| {
        *decision == PolicyEvaluationDecisionType::Allowed
    };
    allowed(result.eval_decision())
        && result
            .resource_specific_results()
            .iter()
            .all(|of| allowed(of.eval_resource_decision()))
}

/// Whose policies are simulated. STS names a caller by its session, `arn:aws:sts::…:assumed-role/ROLE/SESSION`, and IAM
/// wants the role with its path, which the session's name leaves out.
async fn policy_source(iam: &Client, principal: &str) -> Result<String> {
    let Some(session) = Session::of(principal) else {
        return Ok(principal.to_owned());
    };
    match roles::get(iam, session.role).await {
        Ok(Some(role)) => Ok(role.arn),
        Ok(None) => Ok(session.role_arn()),
        // Who may simulate need not be allowed to look at roles; most have no path.
        Err(error) if error.kind == ErrorKind::AccessDenied => Ok(session.role_arn()),
        Err(error) => Err(error),
    }
}

/// The parts of an assumed role's ARN.
#[derive(Debug, PartialEq, Eq)]
struct Session<'a> {
    partition: &'a str,
    account: &'a str,
    role: &'a str,
}

impl<'a> Session<'a> {
    fn of(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (_, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (_, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let mut names = resource.split('/');
        (service == "sts" && names.next()? == "assumed-role").then_some(())?;
        Some(Self {
            partition,
            account,
            role: names.next()?,
        })
    }

    fn role_arn(&self) -> String {
        let Self {
            partition,
            account,
            role,
        } = self;
        format!("arn:{partition}:iam::{account}:role/{role}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_names_its_role() {
        let session = Session::of("arn:aws-cn:sts::123456789012:assumed-role/Builder/qib").unwrap();
        assert_eq!(
            session.role_arn(),
            "arn:aws-cn:iam::123456789012:role/Builder"
        );
        for other in [
            "arn:aws:iam::123456789012:user/b",
            "arn:aws:iam::123456789012:role/assumed-role/b",
            "arn:aws:sts::123456789012:federated-user/b",
            "nonsense",
        ] {
            assert_eq!(Session::of(other), None, "{other}");
        }
    }
}

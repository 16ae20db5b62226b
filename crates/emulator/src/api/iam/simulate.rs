//! What a user or role may do.

use super::names::invalid;
use super::{Call, Page};
use crate::account::policy::{Context, Verdict};
use crate::api::Cx;
use crate::api::authorize::Authority;
use crate::api::ec2::xml::Xml;
use crate::api::error::ApiError;

/// One answer.
struct Simulated<'a> {
    action: &'a str,
    resource: &'a str,
    verdict: Verdict,
}

/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>
pub(super) fn run(call: &Call<'_>, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let principal = call.top.required("PolicySourceArn")?;
    let page = Page::parse(call)?;
    let actions = call.top.texts("ActionNames.member");
    let mut resources = call.top.texts("ResourceArns.member");
    let mut context = Context::default();
    for entry in call.top.each("ContextEntries.member") {
        let key = entry.required("ContextKeyName")?;
        entry.required("ContextKeyType")?;
        for value in entry.texts("ContextKeyValues.member") {
            context.add(key, value);
        }
    }
    call.finish()?;
    if actions.is_empty() {
        return Err(invalid("ActionNames must not be empty"));
    }
    if let Some(bad) = actions.iter().find(|a| !a.contains(':') || a.contains('*')) {
        let message = format!("Invalid action name: {bad}. It must be a service and an action");
        return Err(ApiError::new("InvalidInput", message));
    }
    if let Some(bad) = resources
        .iter()
        .find(|r| **r != "*" && !r.starts_with("arn:"))
    {
        return Err(ApiError::new(
            "InvalidInput",
            format!("Invalid resource ARN: {bad}"),
        ));
    }
    if resources.is_empty() {
        resources.push("*");
    }
    let (account, now) = (cx.owner(), cx.now);
    let authority = Authority {
        account: cx.account,
        config: cx.config,
        now,
    };
    let mut results = Vec::new();
    for action in &actions {
        for resource in &resources {
            let verdict = authority
                .simulate(account, principal, action, resource, &context)
                .ok_or_else(|| {
                    let message = format!("The entity {principal} cannot be found.");
                    ApiError::new("NoSuchEntity", message).with_status(404)
                })?;
            results.push(Simulated {
                action,
                resource,
                verdict,
            });
        }
    }
    let mut x = Xml::new();
    let mut number = 0u32;
    let numbered: Vec<_> = results
        .into_iter()
        .map(|r| {
            number += 1;
            (number, r)
        })
        .collect();
    let results = page.cut(&mut x, numbered, |(n, _)| format!("{n:08}"));
    x.members("EvaluationResults", results, |x, (_, r)| write(x, &r));
    Ok(x)
}

fn write(x: &mut Xml, r: &Simulated<'_>) {
    let (decision, missing) = match &r.verdict {
        Verdict::Allowed => ("allowed", None),
        Verdict::Denied => ("explicitDeny", None),
        Verdict::Unmentioned => ("implicitDeny", None),
        Verdict::UnknownKey(key) => ("implicitDeny", Some(key)),
    };
    x.put("EvalActionName", r.action)
        .put("EvalResourceName", r.resource)
        .put("EvalDecision", decision)
        .members("MatchedStatements", None::<()>, |_, ()| {})
        .member_texts("MissingContextValues", missing);
}

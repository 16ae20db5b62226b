//! STS: who am I, and temporary credentials.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>

use super::Cx;
use super::caller::Caller;
use super::ec2::params::{Params, Scope};
use super::ec2::xml::Xml;
use super::error::ApiError;
use super::session::{self, SessionCredentials};
use crate::account::{ACCOUNT_ID, iam};
use jiff::Timestamp;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Every action there is.
pub const ACTIONS: [&str; 3] = ["AssumeRole", "GetCallerIdentity", "GetSessionToken"];

/// Carries out an action; its answer's content.
///
/// # Errors
/// `InvalidAction` for an action that is none; `AccessDenied` and `ValidationError` as STS's documentation says.
pub fn run(action: &str, params: &Params, cx: &Cx<'_>) -> Result<Xml, ApiError> {
    let top = params.top();
    for name in ["Action", "Version"] {
        let _ = top.text(name);
    }
    match action {
        "GetCallerIdentity" => {
            params.finish()?;
            let mut x = Xml::new();
            x.put("Arn", cx.caller.arn())
                .put("UserId", cx.caller.user_id())
                .put("Account", ACCOUNT_ID);
            Ok(x)
        }
        "GetSessionToken" => get_session_token(params, &top, cx),
        "AssumeRole" => assume_role(params, &top, cx),
        _ => Err(ApiError::new(
            "InvalidAction",
            format!("Could not find operation {action} for version 2011-06-15"),
        )),
    }
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>: 15 minutes to 36 hours, 12 hours unless
/// said otherwise, and only with an access key of a user's own.
fn get_session_token(params: &Params, top: &Scope<'_>, cx: &Cx<'_>) -> Result<Xml, ApiError> {
    let lifetime = lifetime(top, cx, 43_200, 900..=129_600)?;
    params.finish()?;
    if *cx.caller != Caller::Account {
        return Err(denied(
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let mut x = Xml::new();
    write(
        &mut x,
        &session::for_user(cx.account, cx.now, end(cx, lifetime)),
    );
    Ok(x)
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>: 15 minutes to 12 hours, one hour unless said
/// otherwise. The roles here trust the account's user.
fn assume_role(params: &Params, top: &Scope<'_>, cx: &Cx<'_>) -> Result<Xml, ApiError> {
    let lifetime = lifetime(top, cx, 3_600, 900..=43_200)?;
    let (arn, name) = (top.required("RoleArn")?, top.required("RoleSessionName")?);
    params.finish()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(invalid(format!(
            "Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{{2,64}}"
        )));
    }
    let role = arn
        .rsplit_once('/')
        .and_then(|(_, name)| iam::role(name))
        .filter(|role| role.arn(ACCOUNT_ID) == arn);
    // STS does not tell a role that is not there from one that does not trust the caller.
    let role = role
        .filter(|_| matches!(cx.caller, Caller::Account | Caller::Session))
        .ok_or_else(|| {
            denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                cx.caller.arn()
            ))
        })?;
    let credentials = session::for_role(cx.account, role, name, cx.now, end(cx, lifetime));
    let assumed = Caller::Role {
        role,
        session: name.to_owned(),
    };
    let mut x = Xml::new();
    write(&mut x, &credentials);
    x.node("AssumedRoleUser", |x| {
        x.put("AssumedRoleId", assumed.user_id())
            .put("Arn", assumed.arn());
    });
    Ok(x)
}

/// Reads `DurationSeconds`, which the fault `short_sessions` lets be as short as a second.
fn lifetime(
    top: &Scope<'_>,
    cx: &Cx<'_>,
    usual: u64,
    allowed: RangeInclusive<u64>,
) -> Result<Duration, ApiError> {
    let asked = top.number("DurationSeconds")?.unwrap_or(usual);
    let least = match cx.faults.short_sessions {
        true => 1,
        false => *allowed.start(),
    };
    let bound = |word: &str, bound: u64| {
        Err(invalid(format!(
            "Value '{asked}' at 'durationSeconds' failed to satisfy constraint: Member must have value {word} than or equal to {bound}"
        )))
    };
    match asked {
        n if n < least => bound("greater", least),
        n if n > *allowed.end() => bound("less", *allowed.end()),
        n => Ok(Duration::from_secs(n)),
    }
}

fn end(cx: &Cx<'_>, lifetime: Duration) -> Timestamp {
    cx.now.checked_add(lifetime).unwrap_or(cx.now)
}

fn invalid(what: String) -> ApiError {
    ApiError::new(
        "ValidationError",
        format!("1 validation error detected: {what}"),
    )
}

fn denied(message: impl Into<String>) -> ApiError {
    ApiError::new("AccessDenied", message).with_status(403)
}

fn write(x: &mut Xml, credentials: &SessionCredentials) {
    x.node("Credentials", |x| {
        x.put("AccessKeyId", &credentials.access_key)
            .put("SecretAccessKey", &credentials.secret)
            .put("SessionToken", &credentials.token)
            .put("Expiration", seconds(credentials.expires));
    });
}

/// STS writes times to the second. Rounded down, so that nobody believes to hold credentials that have ended.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

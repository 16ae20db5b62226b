//! STS: who am I, and temporary credentials.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>

use super::Cx;
use super::caller::{Caller, user_arn};
use super::ec2::params::{Params, Scope};
use super::ec2::xml::Xml;
use super::error::ApiError;
use super::iam::MFA_SERIAL;
use super::session::{self, RoleSession, SessionCredentials};
use crate::account::iam::Role;
use crate::account::policy::{Context, Kind, Policy};
use jiff::Timestamp;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Every action there is.
pub const ACTIONS: [&str; 3] = ["AssumeRole", "GetCallerIdentity", "GetSessionToken"];

/// The code of the user's MFA device: always the same, for tests. The device is [`MFA_SERIAL`].
pub const MFA_CODE: &str = "123456";

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
                .put("UserId", cx.caller.user_id(cx.account))
                .put("Account", cx.owner());
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

/// Reads `SerialNumber` and `TokenCode`: whether a code was given, and the right one.
///
/// # Errors
/// `ValidationError` for one without the other, `AccessDenied` for a wrong one, as STS words it, see
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_sample-code.html>.
fn mfa(top: &Scope<'_>) -> Result<bool, ApiError> {
    let (serial, code) = match (top.text("SerialNumber"), top.text("TokenCode")) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        (Some(_), None) | (None, Some(_)) => {
            return Err(invalid(
                "SerialNumber and TokenCode must be given together".to_owned(),
            ));
        }
    };
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(format!(
            "Value '{code}' at 'tokenCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\d]*, with length 6"
        )));
    }
    match serial == MFA_SERIAL && code == MFA_CODE {
        true => Ok(true),
        false => Err(denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
        )),
    }
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>: 15 minutes to 36 hours, 12 hours unless
/// said otherwise, and only with an access key of a user's own.
fn get_session_token(params: &Params, top: &Scope<'_>, cx: &Cx<'_>) -> Result<Xml, ApiError> {
    let lifetime = lifetime(top, cx, 43_200, 900..=129_600)?;
    let mfa = mfa(top)?;
    params.finish()?;
    if *cx.caller != Caller::Account {
        return Err(denied(
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let mut x = Xml::new();
    let credentials = session::for_user(cx.account, mfa, cx.now, end(cx, lifetime));
    write(&mut x, &credentials);
    Ok(x)
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>: 15 minutes to as long as the role says, one hour
/// unless said otherwise and for whoever is a role already. The role's trust policy decides who may.
fn assume_role(params: &Params, top: &Scope<'_>, cx: &Cx<'_>) -> Result<Xml, ApiError> {
    let lifetime = lifetime(top, cx, 3_600, 900..=43_200)?;
    let (arn, name) = (top.required("RoleArn")?, top.required("RoleSessionName")?);
    let external = top.text("ExternalId");
    let mfa = mfa(top)?;
    params.finish()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(invalid(format!(
            "Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{{2,64}}"
        )));
    }
    // STS does not tell a role that is not there from one that does not trust the caller.
    let (account, role) = find_role(cx, arn)
        .filter(|(_, role)| trusts(cx, role, mfa, external))
        .ok_or_else(|| {
            denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                cx.caller.arn()
            ))
        })?;
    // https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
    if cx.caller.role().is_some() && lifetime > Duration::from_secs(3_600) {
        return Err(invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
                .to_owned(),
        ));
    }
    if lifetime > Duration::from_secs(u64::from(role.longest_session)) {
        return Err(invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
                .to_owned(),
        ));
    }
    let session = RoleSession {
        account,
        role: &role.name,
        name,
        mfa,
    };
    let credentials = session::for_role(cx.account, session, cx.now, end(cx, lifetime));
    let assumed = Caller::Role {
        account: account.to_owned(),
        role: role.name.clone(),
        session: name.to_owned(),
        mfa,
    };
    let mut x = Xml::new();
    write(&mut x, &credentials);
    x.node("AssumedRoleUser", |x| {
        x.put("AssumedRoleId", assumed.user_id(cx.account))
            .put("Arn", assumed.arn());
    });
    Ok(x)
}

/// The role of that ARN, in whichever account.
fn find_role<'a>(cx: &'a Cx<'_>, arn: &str) -> Option<(&'a str, &'a Role)> {
    let mut roles = cx
        .account
        .iam
        .iter()
        .flat_map(|(account, iam)| iam.roles.values().map(|r| (account.as_str(), r)));
    roles.find(|(account, role)| role.arn(account) == arn)
}

/// Whether a role's trust policy lets the caller assume it.
fn trusts(cx: &Cx<'_>, role: &Role, mfa: bool, external: Option<&str>) -> bool {
    let mut context = Context::default();
    if mfa || cx.caller.mfa().is_some() {
        let given = mfa || cx.caller.mfa() == Some(true);
        context.add("aws:MultiFactorAuthPresent", given.to_string());
    }
    if let Some(id) = external {
        context.add("sts:ExternalId", id);
    }
    let principal = match cx.caller.role() {
        Some(name) => cx
            .account
            .role(cx.owner(), name)
            .map(|r| r.arn(cx.owner()))
            .unwrap_or_default(),
        None => user_arn(),
    };
    Policy::parse(&role.trust, Kind::Trust)
        .is_ok_and(|trust| trust.trusts(&principal, &context) == Ok(true))
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

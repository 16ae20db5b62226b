//! Requests that go wrong: entries of `actions` in `faults.json`.
//!
//! ```text
//!  kind          effect                       what the client sees
//!  error         none                         the code, message and status given
//!  throttle      none                         the service's own refusal of too many requests
//!  drop-before   none                         the connection closes without an answer
//!  drop-after    happens                      the connection closes without an answer: the lost reply
//!  timeout       before, after or none        nothing until `hold_ms` is over, then the connection closes
//! ```

use crate::account::regions;
use crate::api::{ebs, ec2, iam, kms, s3, service_quotas, ssm, sts};
use serde::Deserialize;
use std::time::Duration;

/// The longest that an answer is held back; a client that waits longer has no timeout at all.
pub const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// How long an answer is held back if nothing is said.
pub const USUAL_HOLD: Duration = Duration::from_secs(60);

/// Requests that go wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ActionFault {
    /// Which action, such as `CreateImage`; any if none.
    action: Option<String>,
    /// In which region; in any if none.
    region: Option<String>,
    /// How many more matching requests go well.
    after: u32,
    /// How many more go wrong; all if none.
    times: Option<u32>,
    /// How.
    fault: RequestFault,
}

/// How a request goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// It is refused.
    Error {
        /// Such as `InternalError`.
        code: String,
        /// The message.
        message: String,
        /// The HTTP status.
        status: u16,
    },
    /// It is refused as one too many, in its service's own words.
    Throttle,
    /// The connection closes; nothing has happened.
    DropBefore,
    /// It is carried out; then the connection closes.
    DropAfter,
    /// No answer comes for so long, then the connection closes.
    Timeout {
        /// Whether and when it is carried out.
        effect: EffectTime,
        /// For how long the client is kept waiting.
        hold: Duration,
    },
}

/// When a request that is never answered is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectTime {
    /// At once, before the client is kept waiting.
    Before,
    /// When the client has been kept waiting, so possibly after it has given up and asked again.
    After,
    /// Never.
    None,
}

impl RequestFault {
    /// The word for it, in `faults.json` and in the request log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Error { .. } => "error",
            Self::Throttle => "throttle",
            Self::DropBefore => "drop-before",
            Self::DropAfter => "drop-after",
            Self::Timeout { .. } => "timeout",
        }
    }
}

impl ActionFault {
    /// What goes wrong with a request, if this is about it; counts the request.
    fn meet(&mut self, action: &str, region: &str) -> Option<RequestFault> {
        let about = |asked: &Option<String>, it: &str| asked.as_deref().is_none_or(|a| a == it);
        if !about(&self.action, action) || !about(&self.region, region) || self.times == Some(0) {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times = self.times.map(|n| n.saturating_sub(1));
        Some(self.fault.clone())
    }
}

/// What goes wrong with a request: the first entry that is about it and neither has yet to begin nor is used up. Every
/// entry before that one has counted the request.
pub fn meet(faults: &mut [ActionFault], action: &str, region: &str) -> Option<RequestFault> {
    faults.iter_mut().find_map(|f| f.meet(action, region))
}

/// An entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    action: String,
    region: Option<String>,
    #[serde(default)]
    after: u32,
    times: Option<u32>,
    #[serde(default)]
    kind: Kind,
    code: Option<String>,
    message: Option<String>,
    status: Option<u16>,
    effect: Option<EffectTime>,
    hold_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Error,
    Throttle,
    DropBefore,
    DropAfter,
    Timeout,
}

impl TryFrom<Written> for ActionFault {
    type Error = String;

    fn try_from(w: Written) -> Result<Self, String> {
        let fault = w.fault()?;
        if w.action != "*" {
            check_action(&w.action)?;
        }
        if let Some(region) = w.region.as_deref().filter(|r| !regions::is_enabled(r)) {
            return Err(format!("the local EC2 has no region `{region}`"));
        }
        Ok(Self {
            action: Some(w.action).filter(|a| a != "*"),
            region: w.region,
            after: w.after,
            times: w.times,
            fault,
        })
    }
}

impl Written {
    fn fault(&self) -> Result<RequestFault, String> {
        let kind = self.kind;
        let refuse = |key: &str, given: bool, of: Kind| match given && kind != of {
            true => Err(format!("`{key}` has no meaning for kind {kind:?}")),
            false => Ok(()),
        };
        refuse("code", self.code.is_some(), Kind::Error)?;
        refuse("message", self.message.is_some(), Kind::Error)?;
        refuse("status", self.status.is_some(), Kind::Error)?;
        refuse("effect", self.effect.is_some(), Kind::Timeout)?;
        refuse("hold_ms", self.hold_ms.is_some(), Kind::Timeout)?;
        Ok(match kind {
            Kind::Throttle => RequestFault::Throttle,
            Kind::DropBefore => RequestFault::DropBefore,
            Kind::DropAfter => RequestFault::DropAfter,
            Kind::Error => RequestFault::Error {
                code: self.code.clone().ok_or("an error needs its `code`")?,
                message: self.message.clone().unwrap_or_default(),
                status: match self.status.unwrap_or(400) {
                    status @ 400..=599 => status,
                    other => return Err(format!("`status` {other} is no HTTP error")),
                },
            },
            Kind::Timeout => {
                let hold = self.hold_ms.map_or(USUAL_HOLD, Duration::from_millis);
                if hold > LONGEST_HOLD {
                    return Err(format!("`hold_ms` is {} at most", LONGEST_HOLD.as_millis()));
                }
                RequestFault::Timeout {
                    effect: self.effect.ok_or("a timeout needs its `effect`")?,
                    hold,
                }
            }
        })
    }
}

/// A misspelt action would let a test pass without its fault.
pub(super) fn check_action(action: &str) -> Result<(), String> {
    let known = ec2::find(action).is_some()
        || ebs::ACTIONS.contains(&action)
        || iam::ACTIONS.contains(&action)
        || kms::ACTIONS.contains(&action)
        || service_quotas::ACTIONS.contains(&action)
        || s3::ACTIONS.contains(&action)
        || ssm::ACTIONS.contains(&action)
        || sts::ACTIONS.contains(&action);
    match known {
        true => Ok(()),
        false => Err(format!("the local EC2 has no action `{action}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<ActionFault, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_malformed_or_has_no_meaning_is_refused() {
        for (text, why) in [
            (r#"{"action":"CreateImage"}"#, "code"),
            (r#"{"action":"CreateImages","code":"X"}"#, "CreateImages"),
            (r#"{"action":"*","kind":"drop-after","code":"X"}"#, "`code`"),
            (
                r#"{"action":"*","kind":"throttle","status":503}"#,
                "`status`",
            ),
            (
                r#"{"action":"*","kind":"drop-before","hold_ms":1}"#,
                "`hold_ms`",
            ),
            (r#"{"action":"*","kind":"timeout"}"#, "`effect`"),
            (
                r#"{"action":"*","kind":"timeout","effect":"maybe"}"#,
                "maybe",
            ),
            (
                r#"{"action":"*","kind":"timeout","effect":"none","hold_ms":600001}"#,
                "600000",
            ),
            (r#"{"action":"*","code":"X","status":200}"#, "200"),
            (r#"{"action":"*","code":"X","region":"moon-1"}"#, "moon-1"),
            (r#"{"action":"*","code":"X","afterwards":1}"#, "afterwards"),
            (r#"{"kind":"throttle"}"#, "action"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        for text in [
            r#"{"action":"GetParametersByPath","kind":"throttle"}"#,
            r#"{"action":"GetCallerIdentity","kind":"drop-before"}"#,
            r#"{"action":"*","kind":"timeout","effect":"after","hold_ms":5,"region":"us-east-2","after":1,"times":1}"#,
        ] {
            read(text).unwrap();
        }
    }

    #[test]
    fn the_first_entry_that_is_about_a_request_decides() {
        let mut faults = vec![
            read(r#"{"action":"CreateImage","kind":"drop-after","after":1,"times":1}"#).unwrap(),
            read(r#"{"action":"*","region":"us-east-2","kind":"throttle","times":2}"#).unwrap(),
        ];
        let mut names = |action, region| meet(&mut faults, action, region).map(|f| f.name());
        assert_eq!(names("CreateImage", "us-east-2"), Some("throttle"));
        assert_eq!(names("CreateImage", "us-east-2"), Some("drop-after"));
        assert_eq!(names("CreateImage", "us-west-2"), None, "used up");
        assert_eq!(names("StopInstances", "us-east-2"), Some("throttle"));
        assert_eq!(names("StopInstances", "us-east-2"), None, "used up");
    }

    proptest! {
        #[test]
        fn after_and_times_cut_a_window_out_of_the_matching_requests(after in 0u32..6, times in proptest::option::of(0u32..6), requests in 0u32..20) {
            let times_text = times.map_or(String::new(), |t| format!(r#","times":{t}"#));
            let mut fault = read(&format!(r#"{{"action":"StopInstances","kind":"throttle","after":{after}{times_text}}}"#)).unwrap();
            for n in 0..requests {
                prop_assert!(fault.meet("StartInstances", "us-east-2").is_none());
                let wrong = n >= after && times.is_none_or(|t| n < after + t);
                prop_assert_eq!(fault.meet("StopInstances", "us-east-2").is_some(), wrong);
            }
        }
    }
}

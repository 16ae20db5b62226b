//! How long the credentials last.

use super::check::{Answer, Check, Kind};
use crate::plan::Sight;
use crate::ports::Ports;
use cloud::credentials::Shortfall;
use std::time::Duration;

pub(super) async fn check(sight: &Sight<'_>, ports: &Ports) -> Check {
    let asked = sight.identity.arn.clone();
    let check =
        |answer, detail: String| Check::new(Kind::Credentials, None, &asked, answer, detail);
    let end = match ports.account.credentials_expiry().await {
        Ok(end) => end,
        Err(error) => return check(Answer::Unknown, format!("when they end: {error}")),
    };
    let longest = sight.surveyed.iter().flatten();
    let longest = longest.filter(|seen| seen.makes());
    let longest = longest.filter_map(|seen| seen.work.build());
    let longest = longest.map(|spec| spec.launch.max_lifetime).max();
    let longest = longest.unwrap_or(Duration::ZERO);
    match (Shortfall::of(end, ports.clock.now(), longest), end) {
        // It is a warning, as renewing them may work.
        (Some(shortfall), _) => check(Answer::Warning, shortfall.to_string()),
        (None, Some(end)) => check(Answer::Allowed, format!("good until {end}")),
        (None, None) => check(Answer::Allowed, String::from("no end is known")),
    }
}

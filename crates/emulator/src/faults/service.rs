//! The service as a whole behaving otherwise: its buckets, its capacity, its clock, what its reads show.

use super::requests::{LONGEST_HOLD, check_action};
use crate::account::instance_types;
use crate::account::regions::REGIONS;
use serde::{Deserialize, Deserializer, de::Error};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest that reads may lag behind: the account is kept as it was for so long.
pub const LONGEST_STALE: Duration = Duration::from_secs(600);

/// Token buckets in place of the configured ones, by action; `*` is for those that are not named. Each region has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThrottleFault(BTreeMap<String, BucketRule>);

/// A token bucket's size, and how fast it fills, see
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketRule {
    /// Requests at once.
    pub burst: u32,
    /// Requests per second afterwards; 0 for none at all.
    pub rate: u32,
}

impl ThrottleFault {
    /// The rule for an action, if there is one.
    pub fn rule(&self, action: &str) -> Option<BucketRule> {
        self.0.get(action).or_else(|| self.0.get("*")).copied()
    }
}

impl<'de> Deserialize<'de> for ThrottleFault {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rules = BTreeMap::<String, BucketRule>::deserialize(from)?;
        for action in rules.keys().filter(|a| *a != "*") {
            check_action(action).map_err(D::Error::custom)?;
        }
        Ok(Self(rules))
    }
}

/// How much later answers are sent, by action; `*` is for those that are not named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyFault(BTreeMap<String, Duration>);

impl LatencyFault {
    /// How much later the answer to an action is sent.
    pub fn of(&self, action: &str) -> Option<Duration> {
        let delay = self.0.get(action).or_else(|| self.0.get("*"));
        delay.copied().filter(|d| !d.is_zero())
    }
}

impl<'de> Deserialize<'de> for LatencyFault {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = BTreeMap::<String, u64>::deserialize(from)?;
        for action in given.keys().filter(|a| *a != "*") {
            check_action(action).map_err(D::Error::custom)?;
        }
        let delay = |(action, ms)| match Duration::from_millis(ms) {
            delay if delay <= LONGEST_HOLD => Ok((action, delay)),
            _ => Err(D::Error::custom(format!(
                "`latency_ms` is {} at most",
                LONGEST_HOLD.as_millis()
            ))),
        };
        given
            .into_iter()
            .map(delay)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Reads how long nothing may be written to a snapshot.
pub(super) fn idle_timeout<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    u64::deserialize(from).map(|ms| Some(Duration::from_millis(ms)))
}

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purchase {
    /// At the fixed price.
    OnDemand,
    /// As a spot instance.
    Spot,
}

/// Capacity that EC2 does not have. What is left out is anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityFault {
    #[serde(default, deserialize_with = "known_type")]
    instance_type: Option<String>,
    #[serde(default, deserialize_with = "known_zone")]
    zone: Option<String>,
    #[serde(default)]
    purchase: Option<Purchase>,
    /// How many more launches fail; all if none.
    #[serde(default)]
    times: Option<u32>,
}

fn known_type<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(from)?;
    match instance_types::find(&name) {
        Some(_) => Ok(Some(name)),
        None => Err(D::Error::custom(format!(
            "the local EC2 has no instance type `{name}`"
        ))),
    }
}

fn known_zone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let zone = String::deserialize(from)?;
    let letters = crate::account::region::ZONES;
    let known = REGIONS
        .iter()
        .any(|r| letters.iter().any(|l| format!("{}{l}", r.name) == zone));
    match known {
        true => Ok(Some(zone)),
        false => Err(D::Error::custom(format!(
            "the local EC2 has no zone `{zone}`"
        ))),
    }
}

/// A launch that asks for capacity.
#[derive(Clone, Copy, Debug)]
pub struct CapacityRequest<'a> {
    /// Such as `m5.large`.
    pub instance_type: &'a str,
    /// How it is paid for.
    pub purchase: Purchase,
    /// The zones it may go to, in the order of preference.
    pub zones: &'a [&'a str],
    /// The zone that it was asked for in; none if it may go to any.
    pub asked: Option<&'a str>,
}

/// There is no capacity for a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCapacity {
    /// Zones that have it.
    pub elsewhere: Vec<String>,
}

impl CapacityFault {
    fn is_about(&self, request: &CapacityRequest<'_>, zone: &str) -> bool {
        self.times != Some(0)
            && self
                .instance_type
                .as_deref()
                .is_none_or(|t| t == request.instance_type)
            && self.zone.as_deref().is_none_or(|z| z == zone)
            && self.purchase.is_none_or(|p| p == request.purchase)
    }
}

/// The zone that a launch goes to: the one asked for, else the first with capacity.
///
/// # Errors
/// If there is none; each entry that was in the way has counted the launch.
pub fn place(
    faults: &mut [CapacityFault],
    request: &CapacityRequest<'_>,
) -> Result<String, NoCapacity> {
    let lacks =
        |faults: &[CapacityFault], zone: &str| faults.iter().any(|f| f.is_about(request, zone));
    let has: Vec<&str> = request
        .zones
        .iter()
        .copied()
        .filter(|zone| !lacks(faults, zone))
        .collect();
    let chosen = match request.asked {
        Some(zone) => has.iter().find(|z| **z == zone),
        None => has.first(),
    };
    if let Some(zone) = chosen {
        return Ok((*zone).to_owned());
    }
    let tried: Vec<&str> = match request.asked {
        Some(zone) => vec![zone],
        None => request.zones.to_vec(),
    };
    for fault in faults.iter_mut() {
        if tried.iter().any(|zone| fault.is_about(request, zone)) {
            fault.times = fault.times.map(|n| n.saturating_sub(1));
        }
    }
    Err(NoCapacity {
        elsewhere: has.into_iter().map(str::to_owned).collect(),
    })
}

/// Reads how long reads lag behind.
pub(super) fn stale<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let lag = Duration::from_millis(u64::deserialize(from)?);
    match lag <= LONGEST_STALE {
        true => Ok(lag),
        false => Err(D::Error::custom(format!(
            "`stale_reads_ms` is {} at most",
            LONGEST_STALE.as_millis()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONES: [&str; 3] = ["us-east-2a", "us-east-2b", "us-east-2c"];

    fn faults(text: &str) -> Vec<CapacityFault> {
        serde_json::from_str(text).unwrap()
    }

    fn request<'a>(asked: Option<&'a str>, purchase: Purchase) -> CapacityRequest<'a> {
        CapacityRequest {
            instance_type: "m5.large",
            purchase,
            zones: &ZONES,
            asked,
        }
    }

    #[test]
    fn a_launch_for_any_zone_goes_where_there_is_capacity() {
        let mut f = faults(r#"[{"zone":"us-east-2a"}]"#);
        let any = request(None, Purchase::OnDemand);
        assert_eq!(place(&mut f, &any).unwrap(), "us-east-2b");
        let there = request(Some("us-east-2a"), Purchase::OnDemand);
        let refused = place(&mut f, &there).unwrap_err();
        assert_eq!(refused.elsewhere, ["us-east-2b", "us-east-2c"]);
    }

    #[test]
    fn an_entry_is_about_what_it_names_and_as_often_as_it_says() {
        let mut f = faults(r#"[{"instance_type":"m5.large","purchase":"spot","times":1}]"#);
        place(&mut f, &request(None, Purchase::OnDemand)).unwrap();
        let refused = place(&mut f, &request(None, Purchase::Spot)).unwrap_err();
        assert_eq!(refused.elsewhere, Vec::<String>::new());
        place(&mut f, &request(None, Purchase::Spot)).unwrap();
        let mut other = faults(r#"[{"instance_type":"m5.xlarge"}]"#);
        place(&mut other, &request(None, Purchase::Spot)).unwrap();
    }

    #[test]
    fn a_launch_that_goes_elsewhere_counts_for_nothing() {
        let mut f = faults(r#"[{"zone":"us-east-2a","times":1}]"#);
        place(&mut f, &request(None, Purchase::Spot)).unwrap();
        place(&mut f, &request(Some("us-east-2a"), Purchase::Spot)).unwrap_err();
    }

    #[test]
    fn what_the_local_ec2_does_not_have_is_refused() {
        for text in [
            r#"[{"instance_type":"m5.huge"}]"#,
            r#"[{"zone":"us-east-2z"}]"#,
            r#"[{"purchase":"barter"}]"#,
            r#"[{"types":"m5.large"}]"#,
        ] {
            assert!(
                serde_json::from_str::<Vec<CapacityFault>>(text).is_err(),
                "{text}"
            );
        }
        let rules = |text: &str| serde_json::from_str::<ThrottleFault>(text);
        rules(r#"{"RunInstance":{"burst":1,"rate":1}}"#).unwrap_err();
        rules(r#"{"RunInstances":{"burst":1,"rate":1,"fill":1}}"#).unwrap_err();
        let good = rules(r#"{"RunInstances":{"burst":1,"rate":2},"*":{"burst":9,"rate":0}}"#);
        let good = good.unwrap();
        assert_eq!(good.rule("RunInstances").unwrap().rate, 2);
        assert_eq!(good.rule("StopInstances").unwrap().burst, 9);
    }
}

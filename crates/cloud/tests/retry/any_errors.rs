//! What holds for any errors that come at any pace.

use crate::rules::outcome;
use crate::scripted::{Attempt, End, Scripted};
use crate::virtual_clock::{Moment, timestamp};
use cloud::retry::{Budget, CallNature, Decision, GivenUp, Ledger, OPERATION_TIME};
use cloud::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

const KINDS: [ErrorKind; 14] = [
    ErrorKind::Throttled,
    ErrorKind::Transient,
    ErrorKind::NotFound,
    ErrorKind::Duplicate,
    ErrorKind::Dependency,
    ErrorKind::WrongState,
    ErrorKind::AddressInUse,
    ErrorKind::Capacity,
    ErrorKind::Quota,
    ErrorKind::Credentials,
    ErrorKind::Expired,
    ErrorKind::AccessDenied,
    ErrorKind::InvalidInput,
    ErrorKind::Other,
];

/// Mostly what is repeated, so that calls get far.
fn kind() -> impl Strategy<Value = ErrorKind> {
    prop_oneof![
        8 => Just(ErrorKind::Throttled),
        4 => Just(ErrorKind::Transient),
        1 => Just(ErrorKind::Expired),
        1 => proptest::sample::select(&KINDS[..]),
    ]
}

fn nature() -> impl Strategy<Value = CallNature> {
    proptest::sample::select(
        &[
            CallNature::Read,
            CallNature::Idempotent,
            CallNature::Creating,
        ][..],
    )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let end = prop_oneof![
        20 => kind().prop_map(End::Error),
        2 => Just(End::Ok),
        1 => Just(End::Hangs),
    ];
    (0..90_000_u64, end).prop_map(|(takes, end)| Attempt { takes, end })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_budget_is_overdrawn(
        nature in nature(),
        seed: u64,
        errors in proptest::collection::vec((kind(), 0..40_000_u64), 1..200),
    ) {
        let mut ledger = Ledger::new(nature, timestamp(0), seed, "DescribeInstances", "i-1", 0);
        let mut now: Moment = 0;
        let mut repeats: HashMap<ErrorKind, u32> = HashMap::new();
        let mut first: HashMap<ErrorKind, Moment> = HashMap::new();
        for (kind, takes) in errors {
            now += takes;
            first.entry(kind).or_insert(now);
            let budget = Budget::of(kind, nature);
            match ledger.judge(kind, timestamp(now)) {
                Decision::Repeat(pause) => {
                    let budget = budget.expect("only what has a budget is repeated");
                    let so_far = repeats.entry(kind).or_default();
                    prop_assert!(!(kind == ErrorKind::Transient && nature == CallNature::Creating));
                    prop_assert!(budget.repeats.is_none_or(|most| *so_far < most));
                    *so_far += 1;
                    prop_assert!(pause <= budget.pauses.longest);
                    now += Moment::try_from(pause.as_millis()).unwrap();
                    let left = |end: Moment| Duration::from_millis(end.saturating_sub(now));
                    let whole = Moment::try_from(OPERATION_TIME.as_millis()).unwrap();
                    let within = Moment::try_from(budget.within.as_millis()).unwrap();
                    // There is always time for the attempt that follows.
                    let end = whole.min(first[&kind] + within);
                    prop_assert!(left(end) >= Duration::from_secs(5));
                    prop_assert!(pause >= budget.pauses.shortest || left(end) <= Duration::from_millis(5_001));
                }
                Decision::GiveUp(GivenUp::NotRepeated) => {
                    prop_assert_eq!(budget, None);
                    return Ok(());
                }
                Decision::GiveUp(GivenUp::Repeats) => {
                    prop_assert_eq!(budget.and_then(|b| b.repeats), repeats.get(&kind).copied());
                    return Ok(());
                }
                Decision::GiveUp(GivenUp::Time) => {
                    let spent = now - first[&kind];
                    let most = Moment::try_from(budget.unwrap().within.as_millis()).unwrap();
                    prop_assert!(now >= 595_000 || spent >= most - 5_000);
                    return Ok(());
                }
            }
        }
    }

    #[test]
    fn a_call_ends_in_its_time_and_makes_no_second_thing(script in proptest::collection::vec(attempt(), 1..60)) {
        let scripted = Scripted::new(script.clone());
        let region = scripted.region();
        let (ended, result) = outcome(&scripted.clock, async move {
            region.import_key_pair("k", "ssh-ed25519 A", &Tags::new()).await
        });
        prop_assert!(u128::from(ended) <= OPERATION_TIME.as_millis());
        // An attempt that may have had its effect is the last one.
        let attempts = scripted.attempts().len();
        let uncertain = script
            .iter()
            .position(|a| !matches!(a.end, End::Error(ErrorKind::Throttled | ErrorKind::Expired)));
        if let Some(uncertain) = uncertain {
            prop_assert!(attempts <= uncertain + 1);
        }
        prop_assert!(result.is_err() || matches!(script[(attempts - 1).min(script.len() - 1)].end, End::Ok));
    }

    #[test]
    fn a_read_ends_in_its_time(script in proptest::collection::vec(attempt(), 1..60)) {
        let scripted = Scripted::new(script.clone());
        let region = scripted.region();
        let (ended, result) = outcome(&scripted.clock, async move { region.subnets(&[]).await });
        prop_assert!(u128::from(ended) <= OPERATION_TIME.as_millis());
        let last = script[(scripted.attempts().len() - 1).min(script.len() - 1)];
        let cut_off = u128::from(ended) == OPERATION_TIME.as_millis();
        prop_assert!(cut_off || result.is_ok() == matches!(last.end, End::Ok));
    }
}

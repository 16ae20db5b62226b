//! Who holds a lease, and what one who wants it does next. Pure.

use crate::names::RunId;
use cloud::{Parameter, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A holder that has not renewed for this long is taken for dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(120);

/// What stands in a lease's parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The run that wrote it.
    pub run: RunId,
    /// Which pipeline and stage it builds, for those who wait.
    pub purpose: String,
    /// Whether the run still wants it.
    pub held: bool,
    /// Counts renewals, so that each write differs.
    pub renewal: u64,
}

/// A lease as read from the store: its highest generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The highest generation; 0 if there is none.
    pub generation: u64,
    /// What it says and SSM's version of it; none if there is none, or it cannot be read.
    pub claim: Option<(Claim, i64)>,
}

/// What a waiter remembers of what it saw, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What it saw.
    pub view: LeaseView,
    /// When it first saw exactly that, by its own clock.
    pub since: Timestamp,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseMove {
    /// Create this generation.
    Claim {
        /// Its number.
        generation: u64,
    },
    /// It is held by a living run: look again later.
    WaitBehind(Claim),
}

/// What one who wants the lease does, having observed it.
pub fn next_move(observed: &Observation, now: Timestamp) -> LeaseMove {
    match &observed.view.claim {
        None => LeaseMove::Claim {
            generation: observed.view.generation + 1,
        },
        Some((claim, _)) if !claim.held => LeaseMove::Claim {
            generation: observed.view.generation + 1,
        },
        Some(_) if cloud::clock::between(observed.since, now) >= DEAD_AFTER => LeaseMove::Claim {
            generation: observed.view.generation + 1,
        },
        Some((claim, _)) => LeaseMove::WaitBehind(claim.clone()),
    }
}

/// Whether the claim of `generation`, just created, is the lease: it is the highest, and no lower one is held but
/// the one that was seen to be dead. A lower one may have been claimed between the look and the claim; then the higher
/// one withdraws.
pub fn is_settled(parameters: &[Parameter], generation: u64, dead: Option<&(Claim, i64)>) -> bool {
    parameters.iter().all(|parameter| {
        let Some(number) = generation_of(&parameter.name) else {
            return true;
        };
        match serde_json::from_str::<Claim>(&parameter.value) {
            _ if number == generation => true,
            _ if number > generation => false,
            Ok(claim) if claim.held => dead == Some(&(claim, parameter.version)),
            _ => true,
        }
    })
}

impl Observation {
    /// The observation after seeing `view` at `now`: the clock goes on only while nothing changes.
    pub fn update(previous: Option<Self>, view: LeaseView, now: Timestamp) -> Self {
        match previous {
            Some(previous) if previous.view == view => previous,
            _ => Self { view, since: now },
        }
    }
}

impl LeaseView {
    /// The view that the parameters below a lease's folder give. A value that is no claim counts as held by nobody
    /// who can be named: it is treated as none, and its generation is passed over.
    pub fn of(parameters: &[Parameter]) -> Self {
        let highest = parameters
            .iter()
            .filter_map(|parameter| Some((generation_of(&parameter.name)?, parameter)))
            .max_by_key(|(generation, _)| *generation);
        match highest {
            None => Self {
                generation: 0,
                claim: None,
            },
            Some((generation, parameter)) => Self {
                generation,
                claim: serde_json::from_str(&parameter.value)
                    .ok()
                    .map(|claim| (claim, parameter.version)),
            },
        }
    }
}

/// Where the leases of Elastic IPs are.
pub const ADDRESS_FOLDER: &str = "/qib/leases/address/";

/// The folder of the lease of an Elastic IP.
pub fn address_folder(allocation: &str) -> String {
    format!("{ADDRESS_FOLDER}{allocation}")
}

/// The folder of the lease of an image that is being built, by its cache key.
pub fn image_folder(cache_key: &str) -> String {
    format!("/qib/leases/image/{cache_key}")
}

/// The parameter of one generation.
pub fn lease_name(folder: &str, generation: u64) -> String {
    format!("{folder}/{generation:08}")
}

fn generation_of(name: &str) -> Option<u64> {
    name.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(run: u64, held: bool) -> Claim {
        Claim {
            run: RunId::from_random(run),
            purpose: "p/s".into(),
            held,
            renewal: 0,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_free_lease_is_claimed_and_a_held_one_waited_for() {
        let none = Observation::update(
            None,
            LeaseView {
                generation: 0,
                claim: None,
            },
            at(0),
        );
        assert_eq!(next_move(&none, at(0)), LeaseMove::Claim { generation: 1 });
        let held = LeaseView {
            generation: 4,
            claim: Some((claim(1, true), 1)),
        };
        let observed = Observation::update(None, held, at(0));
        assert_eq!(
            next_move(&observed, at(119)),
            LeaseMove::WaitBehind(claim(1, true))
        );
        assert_eq!(
            next_move(&observed, at(120)),
            LeaseMove::Claim { generation: 5 }
        );
    }

    #[test]
    fn a_claim_withdraws_before_a_higher_one_and_before_a_living_lower_one() {
        let parameter = |generation, claim: &Claim, version| Parameter {
            name: lease_name(&address_folder("eipalloc-1"), generation),
            value: serde_json::to_string(claim).unwrap(),
            version,
            age: Duration::ZERO,
        };
        let mine = parameter(2, &claim(1, true), 1);
        let lower = claim(2, true);
        assert!(is_settled(std::slice::from_ref(&mine), 2, None));
        assert!(is_settled(
            &[parameter(1, &lower, 9), mine.clone()],
            2,
            Some(&(lower.clone(), 9))
        ));
        assert!(!is_settled(
            &[parameter(1, &lower, 10), mine.clone()],
            2,
            Some(&(lower.clone(), 9))
        ));
        assert!(!is_settled(&[parameter(3, &lower, 1), mine], 2, None));
    }

    proptest! {
        /// A holder that renews in time is never taken for dead, whatever the polls of the waiter.
        #[test]
        fn a_renewing_holder_is_never_taken_over(polls in proptest::collection::vec(1_i64..60, 1..80)) {
            let mut now = 0;
            let mut observed = None;
            for pause in polls {
                now += pause;
                let version = now / 30;
                let view = LeaseView { generation: 1, claim: Some((claim(1, true), version)) };
                let update = Observation::update(observed.take(), view, at(now));
                prop_assert_eq!(next_move(&update, at(now)), LeaseMove::WaitBehind(claim(1, true)));
                observed = Some(update);
            }
        }
    }
}

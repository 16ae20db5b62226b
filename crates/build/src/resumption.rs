//! Where a cell goes on that an earlier process of the run had begun. Pure: from the journal alone.
//!
//! ```text
//!   nothing stands ─────────────────────────────────────────────▶ Fresh
//!   an image stands, and its instance ──────────────────────────▶ GoOn(Captured)      it is waited for
//!   an image stands, and its instance was given up ─────────────▶ GoOn(Imaged)        it is tested and marked
//!   an instance stands, launched otherwise than now ────────────▶ StartOver
//!       no provisioner had begun ───────────────────────────────▶ GoOn(Guest)         it is used
//!       provisioners had begun, and not ended ──────────────────▶ StartOver           it is thrown away
//!       provisioners had ended, with other inputs than now ─────▶ StartOver
//!           qib's traces had not begun to be removed ───────────▶ GoOn(Provisioned)
//!           they had begun to be, and not ended ────────────────▶ StartOver
//!           they are removed ───────────────────────────────────▶ GoOn(Scrubbed)
//!   something else stands (key pair, group, lease) ─────────────▶ GoOn(Guest)         it is used
//! ```

use crate::journal::{Effect, EffectEntry, EffectState, JournalState, Outcome};
use crate::names::CellName;
use cloud::InstanceId;

/// Where a cell goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Nothing was begun, or nothing of it stands.
    Fresh,
    /// What stands is used.
    GoOn(Point),
    /// What stands is removed first.
    StartOver {
        /// Why it cannot be used.
        why: String,
    },
}

/// How far a cell had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// No provisioner had begun; there may be an instance.
    Guest,
    /// All provisioners had run.
    Provisioned {
        /// Those that a rehearsal skipped.
        skipped: Vec<String>,
    },
    /// The guest was ready to be captured, and SSH is no longer needed.
    Scrubbed {
        /// The provisioners that a rehearsal skipped.
        skipped: Vec<String>,
    },
    /// CreateImage was called, or CreateSnapshots.
    Captured {
        /// The provisioners that a rehearsal skipped.
        skipped: Vec<String>,
    },
    /// The image is there, and its instance was given up: what is left is its test and the mark.
    Imaged {
        /// The provisioners that a rehearsal skipped.
        skipped: Vec<String>,
    },
}

impl Point {
    /// What is gone on with, in words.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Guest => "goes on: no provisioner had begun",
            Self::Provisioned { .. } => "goes on: all provisioners had run",
            Self::Scrubbed { .. } => "goes on: the guest was ready to be captured",
            Self::Captured { .. } => "goes on: the image was being made",
            Self::Imaged { .. } => "goes on: the image had been made",
        }
    }
}

/// Where `cell` goes on, if it is launched by `recipe` and provisioned with `inputs` now.
pub fn resumption(state: &JournalState, cell: &CellName, recipe: &str, inputs: &str) -> Resumption {
    let standing: Vec<&EffectEntry> = state
        .effects()
        .map(|(_, entry)| entry)
        .filter(|entry| entry.cell == *cell && entry.state.may_stand())
        .filter(|entry| entry.effect.leaves_something())
        .collect();
    let find = |wanted: fn(&Effect) -> bool| {
        standing
            .iter()
            .rev()
            .copied()
            .find(|entry| wanted(&entry.effect))
    };
    if standing.is_empty() {
        return Resumption::Fresh;
    }
    let Some(launch) = find(|effect| matches!(effect, Effect::LaunchInstance { .. })) else {
        return without_instance(state, cell, inputs, find);
    };
    let Effect::LaunchInstance {
        recipe: launched_by,
        ..
    } = &launch.effect
    else {
        return Resumption::Fresh;
    };
    if launched_by != recipe {
        return start_over(
            "`launch` or `connect` says something else now than when it was launched",
        );
    }
    let Some(Outcome::Instance { id }) = launch.state.outcome() else {
        // Its id is not known, so nothing can have been done in it.
        return Resumption::GoOn(Point::Guest);
    };
    let captured = find(is_capture).is_some();
    in_instance(state, cell, id, inputs, captured)
}

fn is_capture(effect: &Effect) -> bool {
    effect.captures().is_some() || matches!(effect, Effect::CreateSnapshots { .. })
}

/// The same for a cell whose instance is gone, or was never there. An instance is given up once its image is available, so
/// that an image without one is as good as any; what is made of it otherwise is seen when it is waited for.
fn without_instance<'e>(
    state: &JournalState,
    cell: &CellName,
    inputs: &str,
    find: impl Fn(fn(&Effect) -> bool) -> Option<&'e EffectEntry>,
) -> Resumption {
    let Some(image) = find(|effect| effect.captures().is_some()) else {
        return match find(|effect| matches!(effect, Effect::CreateSnapshots { .. })) {
            Some(_) => start_over("its snapshots stand without its instance"),
            None => Resumption::GoOn(Point::Guest),
        };
    };
    let (Effect::CreateImage { instance, .. } | Effect::RegisterImage { instance, .. }, Some(_)) =
        (&image.effect, image.state.outcome())
    else {
        return start_over("its image stands without its instance");
    };
    match in_instance(state, cell, instance, inputs, true) {
        Resumption::GoOn(Point::Captured { skipped }) => {
            Resumption::GoOn(Point::Imaged { skipped })
        }
        Resumption::GoOn(_) | Resumption::Fresh => {
            start_over("its image stands without its instance")
        }
        over => over,
    }
}

/// The same for a cell whose instance is `instance`.
fn in_instance(
    state: &JournalState,
    cell: &CellName,
    instance: &InstanceId,
    inputs: &str,
    captured: bool,
) -> Resumption {
    let of_instance = |wanted: fn(&Effect) -> Option<&InstanceId>| {
        state
            .effects()
            .rev()
            .map(|(_, entry)| entry)
            .find(|entry| entry.cell == *cell && wanted(&entry.effect) == Some(instance))
    };
    let provision = of_instance(|effect| match effect {
        Effect::Provision { instance, .. } => Some(instance),
        _ => None,
    });
    let scrub = of_instance(|effect| match effect {
        Effect::Scrub { instance, .. } => Some(instance),
        _ => None,
    });
    let unbound = of_instance(|effect| match effect {
        Effect::BindAddress { instance, .. } => Some(instance),
        _ => None,
    })
    .is_some_and(|entry| entry.state == EffectState::Undone);
    let skipped = match provision.map(|entry| (&entry.effect, &entry.state)) {
        None if unbound => return start_over("its address had been taken from it"),
        None => return Resumption::GoOn(Point::Guest),
        Some((Effect::Provision { inputs: with, .. }, _)) if with != inputs => {
            return start_over("it was provisioned from other inputs than those of now");
        }
        Some((_, EffectState::Done(Outcome::Provisioned { skipped }))) => skipped.clone(),
        Some(_) => return start_over("its provisioners had begun, and none is run twice"),
    };
    match scrub.map(|entry| &entry.state) {
        Some(EffectState::Done(_)) if captured => Resumption::GoOn(Point::Captured { skipped }),
        Some(EffectState::Done(_)) => Resumption::GoOn(Point::Scrubbed { skipped }),
        Some(_) => start_over("the removal of qib's traces from it had begun"),
        None if unbound => start_over("its address had been taken from it"),
        None => Resumption::GoOn(Point::Provisioned { skipped }),
    }
}

fn start_over(why: &str) -> Resumption {
    Resumption::StartOver {
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{EffectNumber, Invocation, Record};
    use crate::names::RunId;
    use cloud::Timestamp;
    use proptest::prelude::*;

    fn cell() -> CellName {
        CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        }
    }

    fn launch() -> Effect {
        Effect::LaunchInstance {
            region: "us-east-2".into(),
            client_token: "t".into(),
            source_image: "ami-1".into(),
            recipe: "as now".into(),
        }
    }

    fn provision(inputs: &str) -> Effect {
        Effect::Provision {
            region: "us-east-2".into(),
            instance: "i-1".into(),
            inputs: inputs.into(),
        }
    }

    fn scrub() -> Effect {
        Effect::Scrub {
            region: "us-east-2".into(),
            instance: "i-1".into(),
        }
    }

    fn capture() -> Effect {
        Effect::CreateImage {
            region: "us-east-2".into(),
            name: "n".into(),
            instance: "i-1".into(),
            test: None,
        }
    }

    fn in_instance_one() -> Outcome {
        Outcome::Instance { id: "i-1".into() }
    }

    fn provisioned() -> Outcome {
        Outcome::Provisioned {
            skipped: vec!["stig".into()],
        }
    }

    /// A journal with these effects; one without an outcome is in flight.
    fn journal(effects: Vec<(Effect, Option<Outcome>)>) -> JournalState {
        let mut state = JournalState::default();
        let opened = Record::Opened {
            version: 2,
            run: RunId::from_random(1),
            pipeline: "p".into(),
            file: "p.yaml".into(),
            account: "123456789012".into(),
            region: "us-east-2".into(),
            endpoint: None,
            at: Timestamp::UNIX_EPOCH,
            invocation: Invocation::default(),
        };
        state.apply(&opened).unwrap();
        for (number, (effect, outcome)) in (1..).map(EffectNumber).zip(effects) {
            let intent = Record::Intent {
                number,
                cell: cell(),
                at: Timestamp::UNIX_EPOCH,
                effect,
            };
            state.apply(&intent).unwrap();
            if let Some(outcome) = outcome {
                state.apply(&Record::Succeeded { number, outcome }).unwrap();
            }
        }
        state
    }

    fn of(state: &JournalState) -> Resumption {
        resumption(state, &cell(), "as now", "key")
    }

    fn skipped() -> Vec<String> {
        vec!["stig".into()]
    }

    #[test]
    fn each_point_of_a_build_is_told_apart() {
        let mut effects = Vec::new();
        assert_eq!(of(&journal(effects.clone())), Resumption::Fresh);
        effects.push((launch(), None));
        assert_eq!(
            of(&journal(effects.clone())),
            Resumption::GoOn(Point::Guest)
        );
        effects[0].1 = Some(in_instance_one());
        assert_eq!(
            of(&journal(effects.clone())),
            Resumption::GoOn(Point::Guest)
        );
        effects.push((provision("key"), None));
        assert!(matches!(
            of(&journal(effects.clone())),
            Resumption::StartOver { .. }
        ));
        effects[1].1 = Some(provisioned());
        let skipped = skipped();
        let provisioned = Point::Provisioned {
            skipped: skipped.clone(),
        };
        assert_eq!(of(&journal(effects.clone())), Resumption::GoOn(provisioned));
        effects.push((scrub(), None));
        assert!(matches!(
            of(&journal(effects.clone())),
            Resumption::StartOver { .. }
        ));
        effects[2].1 = Some(Outcome::Done);
        let scrubbed = Point::Scrubbed {
            skipped: skipped.clone(),
        };
        assert_eq!(of(&journal(effects.clone())), Resumption::GoOn(scrubbed));
        effects.push((capture(), None));
        let captured = Point::Captured { skipped };
        assert_eq!(of(&journal(effects)), Resumption::GoOn(captured));
    }

    #[test]
    fn an_image_is_gone_on_with_although_its_instance_was_given_up() {
        let whole = |image: Option<Outcome>| {
            let mut state = journal(vec![
                (launch(), Some(in_instance_one())),
                (provision("key"), Some(provisioned())),
                (scrub(), Some(Outcome::Done)),
                (capture(), image),
            ]);
            let number = EffectNumber(1);
            state.apply(&Record::Undone { number }).unwrap();
            state
        };
        let made = Outcome::Image { id: "ami-2".into() };
        let state = whole(Some(made));
        let skipped = skipped();
        assert_eq!(of(&state), Resumption::GoOn(Point::Imaged { skipped }));
        // Made from other inputs than those of now.
        assert!(matches!(
            resumption(&state, &cell(), "as now", "other"),
            Resumption::StartOver { .. }
        ));
        // Whether it ever was made is not known, and nothing is left that it could be made of.
        assert!(matches!(of(&whole(None)), Resumption::StartOver { .. }));
    }

    #[test]
    fn what_was_made_otherwise_is_not_used() {
        let state = journal(vec![(launch(), Some(in_instance_one()))]);
        assert!(matches!(
            resumption(&state, &cell(), "otherwise", "key"),
            Resumption::StartOver { .. }
        ));
        let state = journal(vec![
            (launch(), Some(in_instance_one())),
            (provision("other"), Some(provisioned())),
        ]);
        assert!(matches!(of(&state), Resumption::StartOver { .. }));
    }

    #[test]
    fn another_cells_effects_are_not_ones_own() {
        let state = journal(vec![(launch(), Some(in_instance_one()))]);
        let other = CellName {
            stage: "ocp".into(),
            cell: "us-east-2".into(),
        };
        assert_eq!(
            resumption(&state, &other, "as now", "key"),
            Resumption::Fresh
        );
    }

    proptest! {
        /// Whatever the journal says, a guest in which a provisioner has begun is never provisioned again.
        #[test]
        fn a_provisioner_never_runs_twice(
            done in proptest::collection::vec(any::<bool>(), 4),
            length in 0_usize..5,
        ) {
            let all = [
                (launch(), in_instance_one()),
                (provision("key"), provisioned()),
                (scrub(), Outcome::Done),
                (capture(), Outcome::Image { id: "ami-2".into() }),
            ];
            let effects: Vec<_> = all
                .into_iter()
                .zip(done)
                .take(length)
                .map(|((effect, outcome), done)| (effect, done.then_some(outcome)))
                .collect();
            let known = effects.first().is_some_and(|(_, outcome)| outcome.is_some());
            let begun = known && effects.len() > 1;
            let state = journal(effects);
            if begun {
                prop_assert_ne!(of(&state), Resumption::GoOn(Point::Guest));
                prop_assert_ne!(of(&state), Resumption::Fresh);
            }
        }
    }
}

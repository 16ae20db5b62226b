use super::*;
use crate::journal::AddressBinder;
use cloud::{AllocationId, ImageId, InstanceId, KeyPairId, RegionName};
use proptest::prelude::*;

fn at() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn opened() -> Record {
    Record::Opened {
        version: FORMAT_VERSION,
        run: RunId::from_random(1),
        pipeline: "p".into(),
        file: "p.yaml".into(),
        account: "123456789012".into(),
        region: "us-east-2".into(),
        endpoint: None,
        at: at(),
        invocation: Invocation::default(),
    }
}

fn cell() -> CellName {
    CellName {
        stage: "base".into(),
        cell: "us-east-2".into(),
    }
}

fn region() -> RegionName {
    "us-east-2".into()
}

fn effects() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::ImportKeyPair {
            region: region(),
            name: "k".into()
        }),
        Just(Effect::LaunchInstance {
            region: region(),
            client_token: "t".into(),
            source_image: "ami-1".into(),
            recipe: "r".into()
        }),
        Just(Effect::StopInstance {
            region: region(),
            instance: "i-1".into()
        }),
        Just(Effect::BindAddress {
            region: region(),
            allocation: AllocationId::from("eipalloc-1"),
            instance: InstanceId::from("i-1"),
            by: AddressBinder::Api,
        }),
        Just(Effect::CreateImage {
            region: region(),
            name: "n".into(),
            instance: "i-1".into(),
            test: None,
        }),
    ]
}

#[derive(Clone, Debug)]
enum Move {
    Begin(Effect),
    Follow(u64, u8),
    Close,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => effects().prop_map(Move::Begin),
        8 => (1_u64..8, 0_u8..7).prop_map(|(number, kind)| Move::Follow(number, kind)),
        1 => Just(Move::Close),
    ];
    proptest::collection::vec(one, 0..60)
}

fn follow(number: u64, kind: u8) -> Record {
    let number = EffectNumber(number);
    let error = String::from("e");
    match kind {
        0 => Record::Succeeded {
            number,
            outcome: Outcome::KeyPair {
                id: KeyPairId::from("key-1"),
            },
        },
        1 => Record::Refused { number, error },
        2 => Record::Unanswered { number, error },
        3 => Record::Undone { number },
        4 => Record::UndoFailed { number, error },
        5 => Record::Kept { number },
        _ => Record::Delivered { number },
    }
}

fn record(state: &JournalState, step: &Move) -> Record {
    match step {
        Move::Begin(effect) => Record::Intent {
            number: state.next_number(),
            cell: cell(),
            at: at(),
            effect: effect.clone(),
        },
        Move::Follow(number, kind) => follow(*number, *kind),
        Move::Close => Record::Closed {
            status: RunStatus::Failed,
            at: at(),
        },
    }
}

proptest! {
    /// Whatever prefix of a legal log is on disk, each effect that may have left something is either outstanding or
    /// was undone, kept or delivered on purpose: nothing is ever lost from sight.
    #[test]
    fn nothing_that_may_exist_is_lost_from_sight(moves in moves()) {
        let mut state = JournalState::default();
        state.apply(&opened()).unwrap();
        for step in &moves {
            let record = record(&state, step);
            let before = state.clone();
            if state.apply(&record).is_err() {
                prop_assert_eq!(&state, &before, "a refused record changed the state");
                continue;
            }
            let outstanding: Vec<_> = state.outstanding().iter().map(|(number, _)| *number).collect();
            let mut descending = outstanding.clone();
            descending.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(&outstanding, &descending, "undo goes from the latest to the first");
            for (number, entry) in &state.effects {
                let settled = matches!(
                    entry.state,
                    EffectState::NotDone | EffectState::Undone | EffectState::Kept(_) | EffectState::Delivered(_)
                );
                let expected = entry.effect.leaves_something() && !settled;
                prop_assert_eq!(outstanding.contains(number), expected);
            }
        }
    }

    /// Undoing every outstanding effect, in the order given, is always legal and leaves none outstanding.
    #[test]
    fn every_prefix_can_be_undone(moves in moves()) {
        let mut state = JournalState::default();
        state.apply(&opened()).unwrap();
        for step in &moves {
            let record = record(&state, step);
            let _refused = state.apply(&record).is_err();
        }
        let outstanding: Vec<_> = state.outstanding().iter().map(|(number, _)| *number).collect();
        for number in outstanding {
            state.apply(&Record::UndoFailed { number, error: "once".into() }).unwrap();
            state.apply(&Record::Undone { number }).unwrap();
        }
        prop_assert!(state.outstanding().is_empty());
    }

    #[test]
    fn records_read_back_as_written(effect in effects(), number in 1_u64..1000) {
        let record = Record::Intent { number: EffectNumber(number), cell: cell(), at: at(), effect };
        let line = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }
}

#[test]
fn what_is_delivered_or_kept_is_not_undone_by_a_failure() {
    let mut state = JournalState::default();
    state.apply(&opened()).unwrap();
    let effect = Effect::CreateImage {
        region: region(),
        name: "n".into(),
        instance: "i-1".into(),
        test: None,
    };
    let number = EffectNumber(1);
    state
        .apply(&Record::Intent {
            number,
            cell: cell(),
            at: at(),
            effect,
        })
        .unwrap();
    let outcome = Outcome::Image {
        id: ImageId::from("ami-1"),
    };
    state.apply(&Record::Succeeded { number, outcome }).unwrap();
    assert_eq!(state.outstanding().len(), 1);
    state.apply(&Record::Delivered { number }).unwrap();
    assert!(state.outstanding().is_empty());
    assert!(state.apply(&Record::Undone { number }).is_err());
}

#[test]
fn a_journal_of_a_later_format_is_refused() {
    let mut record = opened();
    if let Record::Opened { version, .. } = &mut record {
        *version = FORMAT_VERSION + 1;
    }
    assert_eq!(
        JournalState::default().apply(&record),
        Err(IllegalRecord::NewerFormat {
            found: FORMAT_VERSION + 1
        })
    );
}

#[test]
fn the_local_ec2_is_the_same_on_another_port_and_aws_is_not_it() {
    let at = |endpoint: Option<&str>| {
        let mut record = opened();
        if let Record::Opened { endpoint: of, .. } = &mut record {
            *of = endpoint.map(str::to_owned);
        }
        let mut state = JournalState::default();
        state.apply(&record).unwrap();
        state.opened().unwrap().clone()
    };
    let local = at(Some("http://127.0.0.1:4592"));
    assert!(local.is_at(Some("http://127.0.0.1:40001")));
    assert!(!local.is_at(None));
    assert!(!local.is_at(Some("https://ec2.example.com")));
    assert!(at(None).is_at(None));
    assert!(!at(None).is_at(Some("http://127.0.0.1:4592")));
}

//! Random schedules of the two-stage run: faults, a kill, a signal and sick instances, all at once; then what a person
//! would do next. What fails is shrunk to the least that fails.

use crate::cases::{Settings, Tally, run_all, simulate};
use crate::fault::{Crash, Fault, FaultKind};
use crate::machines::Ailment;
use crate::process::{End, Known, Orders, Verb, conduct};
use crate::sweeping::{settle, sweep};
use crate::verdict::Verdict;
use crate::world::World;
use build::names::RunId;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

/// How many schedules without further wishes.
const CASES: u32 = 150;
/// How many simpler schedules are tried for one that fails.
const SHRINKS: u32 = 80;
/// How long that may take, by the clock on the wall.
const SHRINK_MILLISECONDS: u32 = 90_000;
/// Longer than any run of the pipeline takes without faults.
const SECONDS: u64 = 100;

/// What a person does about a run that was killed.
#[derive(Clone, Copy, Debug)]
enum Next {
    Sweep,
    Resume,
    /// Killed once more on the way.
    ResumeKilled(Crash),
    /// The same pipeline again, from the same host.
    RunAgain,
    /// The same pipeline from another host, which cannot see the journal.
    RunElsewhere,
}

#[derive(Clone, Debug)]
struct Schedule {
    faults: Vec<Fault>,
    crash: Crash,
    signal: Option<u64>,
    ailment: Ailment,
    next: Next,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        write!(
            f,
            "faults [{}], {:?}, signal {:?} s, ailment {:?}, next {:?}",
            faults.join(", "),
            self.crash,
            self.signal,
            self.ailment,
            self.next
        )
    }
}

/// How much there is to go wrong in a run.
struct Extent {
    actions: Vec<String>,
    calls: u32,
    records: u64,
}

fn crashes(extent: &Extent) -> BoxedStrategy<Crash> {
    prop_oneof![
        4 => Just(Crash::Never),
        2 => (1..=extent.records).prop_map(Crash::BeforeRecord),
        2 => (1..=extent.records).prop_map(Crash::AfterRecord),
        1 => (1..=extent.calls).prop_map(Crash::BeforeCall),
        1 => (1..=extent.calls).prop_map(Crash::AfterCall),
        2 => (0..SECONDS * 1000).prop_map(|ms| Crash::At(Duration::from_millis(ms))),
    ]
    .boxed()
}

fn schedules(extent: &Extent) -> BoxedStrategy<Schedule> {
    let fault = (
        proptest::sample::select(extent.actions.clone()),
        1_u32..=8,
        1_u32..=5,
        proptest::sample::select(FaultKind::ALL.to_vec()),
    )
        .prop_map(|(action, from, times, kind)| Fault {
            action,
            from,
            times,
            kind,
        });
    let ailment = prop_oneof![
        8 => Just(Ailment::None),
        1 => Just(Ailment::NeverBoots),
        1 => Just(Ailment::ProvisionerHangs),
        1 => Just(Ailment::ProvisionerFails),
        1 => Just(Ailment::ConnectionBreaks),
    ];
    let next = prop_oneof![
        Just(Next::Sweep),
        Just(Next::Resume),
        crashes(extent).prop_map(Next::ResumeKilled),
        Just(Next::RunAgain),
        Just(Next::RunElsewhere),
    ];
    (
        proptest::collection::vec(fault, 0..=3),
        crashes(extent),
        proptest::option::weighted(0.25, 0..SECONDS),
        ailment,
        next,
    )
        .prop_map(|(faults, crash, signal, ailment, next)| Schedule {
            faults,
            crash,
            signal,
            ailment,
            next,
        })
        .boxed()
}

fn orders(host: &str, run: u64, verb: Verb) -> Orders {
    Orders {
        host: host.to_owned(),
        run: RunId::from_random(run),
        verb,
        pipeline: Known::TwoStages.load(),
        faults: Vec::new(),
        crash: Crash::Never,
        signal: None,
    }
}

#[test]
fn random_schedules() {
    let settings = Settings::read(CASES);
    let whole = simulate(async {
        let world = World::new(Ailment::None, |_| {});
        conduct(&world, orders("a", 1, Verb::Run)).await
    });
    let mut actions: Vec<String> = whole
        .calls
        .iter()
        .filter_map(|call| call.action.split_once(':'))
        .map(|(_, name)| name.to_owned())
        .collect();
    actions.sort_unstable();
    actions.dedup();
    let extent = Extent {
        actions,
        calls: u32::try_from(whole.calls.len()).unwrap(),
        records: whole.records,
    };
    let tally = Tally::new("random schedules");
    println!("seed {}, {} schedules", settings.seed, settings.cases);
    let cases: Vec<Case> = (0..settings.cases)
        .map(|number| Case {
            seed: settings.seed,
            number,
        })
        .collect();
    run_all(&tally, &cases, |case| try_one(&extent, case));
    tally.close();
}

/// One schedule, known by its seed.
struct Case {
    seed: u64,
    number: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, schedule {}", self.seed, self.number)
    }
}

/// Tries a schedule; one that fails is shrunk, and the least that fails is what counts.
fn try_one(extent: &Extent, case: &Case) -> Verdict {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&case.seed.to_le_bytes());
    bytes[8..12].copy_from_slice(&case.number.to_le_bytes());
    let config = Config {
        cases: 1,
        max_shrink_iters: SHRINKS,
        max_shrink_time: SHRINK_MILLISECONDS,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let least = RefCell::new(Verdict::default());
    let outcome = TestRunner::new_with_rng(config, rng).run(&schedules(extent), |schedule| {
        let verdict = simulate(one(&schedule));
        if verdict.is_good() {
            return Ok(());
        }
        // The last that failed is the least.
        *least.borrow_mut() = Verdict {
            others: [
                verdict.others.clone(),
                vec![format!("schedule: {schedule}")],
            ]
            .concat(),
            ..verdict
        };
        Err(TestCaseError::fail("see the verdict"))
    });
    match outcome {
        Ok(()) | Err(TestError::Fail(..)) => least.into_inner(),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

async fn one(schedule: &Schedule) -> Verdict {
    let world = World::new(schedule.ailment, |_| {});
    let mut verdict = Verdict {
        forgiving: true,
        ..Verdict::default()
    };
    let first = Orders {
        faults: schedule.faults.clone(),
        crash: schedule.crash,
        signal: schedule.signal.map(Duration::from_secs),
        ..orders("a", 1, Verb::Run)
    };
    let mut pasts = vec![conduct(&world, first).await];
    verdict.of_end("the run", &pasts[0]);
    if matches!(pasts[0].end, End::Killed) {
        let second = match schedule.next {
            Next::Sweep => None,
            Next::Resume => Some(orders("a", 1, Verb::Resume)),
            Next::ResumeKilled(crash) => Some(Orders {
                crash,
                ..orders("a", 1, Verb::Resume)
            }),
            Next::RunAgain => Some(orders("a", 2, Verb::Run)),
            Next::RunElsewhere => Some(orders("b", 2, Verb::Run)),
        };
        if let Some(second) = second {
            let past = conduct(&world, second).await;
            let done = verdict.of_end("the second process", &past);
            let must_succeed = schedule.ailment == Ailment::None
                && matches!(schedule.next, Next::RunAgain | Next::RunElsewhere);
            if must_succeed && !done {
                let how = format!("{:?}", past.end);
                verdict
                    .others
                    .push(format!("the next run did not succeed: {how}"));
            }
            pasts.push(past);
        }
    }
    // A run of another host counts as alive for two minutes after its last sign.
    tokio::time::sleep(Duration::from_secs(180)).await;
    verdict.leaks.extend(sweep(&world, "c").await);
    settle().await;
    verdict.of_world(&world);
    verdict.of_secrets(&world, &pasts.iter().collect::<Vec<_>>());
    verdict
}

//! Many runs at once on hosts of their own, all wanting one Elastic IP, or one of a pool; some of them are killed while
//! they wait or hold it.

use crate::cases::{Settings, Tally, run_all, simulate};
use crate::fault::Crash;
use crate::machines::Ailment;
use crate::process::{End, Known, Orders, Past, Verb, conduct};
use crate::sweeping::{settle, sweep};
use crate::verdict::Verdict;
use crate::world::World;
use build::event::{Event, Step};
use build::names::RunId;
use cloud::Timestamp;
use emulator::account::Account;
use emulator::account::network::Address;
use emulator::ids::AllocationId;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many runs want the address.
const RUNS: u64 = 20;
/// How many addresses are in the pool.
const POOL: usize = 3;
/// Two runs that arrive within this time may come to hold in either order: a ticket is written after some calls.
const AT_ONCE: Duration = Duration::from_secs(5);

struct Case {
    pipeline: Known,
    seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, seed {}", self.pipeline, self.seed)
    }
}

#[test]
fn twenty_runs_on_one_address() {
    many("20 runs on one address, some killed", Known::OneAddress);
}

#[test]
fn twenty_runs_on_a_pool() {
    many("20 runs on a pool of 3, some killed", Known::Pool);
}

fn many(matrix: &str, pipeline: Known) {
    let settings = Settings::read(0);
    let count = if settings.whole { 40 } else { 6 };
    let cases: Vec<Case> = (0..count)
        .map(|n| Case {
            pipeline,
            seed: settings.seed * 1000 + n,
        })
        .collect();
    let tally = Tally::new(matrix);
    run_all(&tally, &cases, |case| simulate(one(case)));
    tally.close();
}

/// When each run starts and is killed.
fn plan(seed: u64) -> Vec<(Duration, Crash)> {
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let mut start = Duration::ZERO;
    (0..RUNS)
        .map(|_| {
            start += Duration::from_millis(rng.random_range(0..30_000));
            let killed = rng.random_range(0..3) == 0;
            // From the first call to beyond the end of a run that waits for all others.
            let after = Duration::from_millis(rng.random_range(0..1_200_000));
            let crash = if killed {
                Crash::At(after)
            } else {
                Crash::Never
            };
            (start, crash)
        })
        .collect()
}

async fn one(case: &Case) -> Verdict {
    let world = World::new(Ailment::None, |account| match case.pipeline {
        Known::Pool => (0..POOL).for_each(|n| add_to_pool(account, n)),
        Known::OneAddress | Known::TwoStages => {}
    });
    let mut verdict = Verdict::default();
    let runs = plan(case.seed).into_iter().enumerate();
    let runs = runs.map(|(index, (start, crash))| {
        let orders = Orders {
            host: format!("host-{index}"),
            run: RunId::from_random(u64::try_from(index).unwrap() + 1),
            verb: Verb::Run,
            pipeline: case.pipeline.load(),
            faults: Vec::new(),
            crash,
            signal: None,
        };
        let world = &world;
        async move {
            tokio::time::sleep(start).await;
            conduct(world, orders).await
        }
    });
    let pasts = all(runs).await;
    let mut survivors = 0;
    for (index, past) in pasts.iter().enumerate() {
        let who = format!("run {index}");
        let done = verdict.of_end(&who, past);
        if let End::Report(report) = &past.end {
            survivors += 1;
            if !done {
                let why: Vec<&String> = report.failures.iter().map(|f| &f.error).collect();
                verdict
                    .others
                    .push(format!("{who} survived and failed: {why:?}"));
            }
        }
    }
    if survivors < 5 {
        verdict
            .others
            .push(format!("only {survivors} runs survived"));
    }
    of_turns(&pasts, case.pipeline, &mut verdict);
    tokio::time::sleep(Duration::from_secs(180)).await;
    verdict.leaks.extend(sweep(&world, "broom").await);
    settle().await;
    verdict.of_account(&world);
    verdict.of_secrets(&world, &pasts.iter().collect::<Vec<_>>());
    verdict
}

/// Drives all of `work` at once, in one task.
async fn all<T>(work: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = work.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *slot = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// A run's turn with an address.
#[derive(Debug)]
struct Turn {
    run: usize,
    address: String,
    arrived: Timestamp,
    from: Timestamp,
    /// Until it gave the address back, or died.
    to: Timestamp,
}

/// Nobody had an address while another had it, and everybody came to it in order of arrival.
fn of_turns(pasts: &[Past], pipeline: Known, verdict: &mut Verdict) {
    let turns: Vec<Turn> = pasts
        .iter()
        .enumerate()
        .filter_map(|(run, past)| turn(run, past))
        .collect();
    let mut by_address: BTreeMap<&str, Vec<&Turn>> = BTreeMap::new();
    for turn in &turns {
        by_address.entry(&turn.address).or_default().push(turn);
    }
    let expected = if pipeline == Known::Pool { POOL } else { 1 };
    if by_address.len() != expected {
        let used: Vec<&&str> = by_address.keys().collect();
        verdict
            .others
            .push(format!("{expected} addresses, used {used:?}"));
    }
    for (address, held) in &mut by_address {
        held.sort_by_key(|turn| turn.from);
        for pair in held.windows(2) {
            if pair[1].from < pair[0].to {
                let what = format!("{address} was held twice: {:?}", pair);
                verdict.doubles.push(what);
            }
        }
    }
    let mut order: Vec<&Turn> = turns.iter().collect();
    order.sort_by_key(|turn| turn.from);
    for (index, first) in order.iter().enumerate() {
        for later in &order[index + 1..] {
            if cloud::clock::between(later.arrived, first.arrived) > AT_ONCE {
                let what = format!("run {} came before run {}", first.run, later.run);
                verdict.others.push(format!("{what}: {first:?} {later:?}"));
            }
        }
    }
}

fn turn(run: usize, past: &Past) -> Option<Turn> {
    let step = |wanted: Step, begins: bool| {
        past.told.iter().find_map(|(at, event)| match event {
            Event::StepStarted { step, .. } if begins && *step == wanted => Some(*at),
            Event::StepFinished { step, .. } if !begins && *step == wanted => Some(*at),
            _ => None,
        })
    };
    let (from, address) = past.told.iter().find_map(|(at, event)| match event {
        Event::Note { text, .. } => {
            let (_, rest) = text.split_once("Elastic IP ")?;
            let (address, _) = rest.split_once(" is ours")?;
            Some((*at, address.to_owned()))
        }
        _ => None,
    })?;
    Some(Turn {
        run,
        address,
        arrived: step(Step::LeaseAddress, true)?,
        from,
        to: step(Step::FreeAddress, false).unwrap_or(past.ended),
    })
}

fn add_to_pool(account: &mut Account, number: usize) {
    let mut tags = emulator::account::tags::Tags::default();
    tags.set_all(&[("Pool".to_owned(), "simulated".to_owned())])
        .expect("a tag that EC2 takes");
    let allocation =
        AllocationId::parse(&format!("eipalloc-0000000000000000{number}")).expect("an id");
    let public_ip = account.free_public_ip();
    let address = Address {
        allocation: allocation.clone(),
        public_ip,
        association: None,
        coming: None,
        tags,
    };
    account
        .region_mut("us-east-2")
        .addresses
        .insert(allocation, address);
}

//! The two-stage run with one thing wrong: each of its calls, each kind of fault.

use crate::cases::{Settings, Tally, run_all, simulate};
use crate::fault::{Crash, Fault, FaultKind};
use crate::machines::Ailment;
use crate::process::{Known, Orders, Verb, conduct};
use crate::sweeping::settle;
use crate::verdict::Verdict;
use crate::world::World;
use build::names::RunId;
use std::collections::BTreeMap;

fn orders(faults: Vec<Fault>) -> Orders {
    Orders {
        host: "builder".to_owned(),
        run: RunId::from_random(7),
        verb: Verb::Run,
        pipeline: Known::TwoStages.load(),
        faults,
        crash: Crash::Never,
        signal: None,
    }
}

/// The run succeeds, or fails with a named step and a clean account; and it ends.
#[test]
fn every_call_with_every_fault() {
    let settings = Settings::read(0);
    let whole = simulate(async {
        let world = World::new(Ailment::None, |_| {});
        conduct(&world, orders(Vec::new())).await
    });
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for call in &whole.calls {
        let name = call.action.split_once(':').map_or("", |(_, name)| name);
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    assert!(counts.len() > 20, "{counts:?}");
    let mut cases = Vec::new();
    for (action, &count) in &counts {
        let mut numbers: Vec<u32> = (1..=count).collect();
        if !settings.whole {
            // The first of each stage, and the last.
            numbers.retain(|n| [1, 2, count / 2 + 1, count].contains(n));
        }
        for from in numbers {
            cases.extend(FaultKind::ALL.map(|kind| Fault {
                action: action.clone(),
                from,
                times: kind.repetitions(),
                kind,
            }));
        }
    }
    let tally = Tally::new("every call with every fault");
    run_all(&tally, &cases, |fault| simulate(one(fault)));
    tally.close();
}

async fn one(fault: &Fault) -> Verdict {
    let world = World::new(Ailment::None, |_| {});
    let mut verdict = Verdict::default();
    let past = conduct(&world, orders(vec![fault.clone()])).await;
    let done = verdict.of_end("the run", &past);
    settle().await;
    verdict.of_world(&world);
    if done {
        verdict.of_success(&world);
    } else if fault.kind == FaultKind::Throttle {
        // A request rate that is exceeded for three requests is no reason to fail.
        verdict
            .others
            .push("three throttled requests ended the run".to_owned());
    }
    verdict.of_secrets(&world, &[&past]);
    verdict
}

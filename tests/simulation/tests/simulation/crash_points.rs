//! The two-stage run, killed before and after every record of its journal; then swept, or taken up again.

use crate::cases::{Tally, run_all, simulate};
use crate::fault::Crash;
use crate::holdings::complete_by_stage;
use crate::machines::Ailment;
use crate::process::{End, Known, Orders, Past, Verb, conduct};
use crate::sweeping::{settle, sweep};
use crate::verdict::Verdict;
use crate::world::World;
use build::names::RunId;
use build::report::ExitCode;
use std::fmt;

const HOST: &str = "builder";

#[derive(Clone, Copy, Debug)]
enum Then {
    Sweep,
    Resume,
}

struct Case {
    crash: Crash,
    then: Then,
    /// The record at which it happens, in words.
    record: String,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} ({}), then {:?}",
            self.crash, self.record, self.then
        )
    }
}

fn orders(verb: Verb, crash: Crash) -> Orders {
    Orders {
        host: HOST.to_owned(),
        run: RunId::from_random(7),
        verb,
        pipeline: Known::TwoStages.load(),
        faults: Vec::new(),
        crash,
        signal: None,
    }
}

#[test]
fn killed_at_every_record_then_swept() {
    every_record("killed at every record, then swept", Then::Sweep);
}

#[test]
fn killed_at_every_record_then_resumed() {
    every_record("killed at every record, then resumed", Then::Resume);
}

fn every_record(matrix: &str, then: Then) {
    let whole = simulate(async {
        let world = World::new(Ailment::None, |_| {});
        conduct(&world, orders(Verb::Run, Crash::Never)).await
    });
    assert_eq!(
        whole.journal.len(),
        usize::try_from(whole.records).unwrap(),
        "{:#?}",
        whole.journal
    );
    assert!(whole.records > 50, "only {} records", whole.records);
    let mut cases = Vec::new();
    for (number, record) in (1..).zip(&whole.journal) {
        for crash in [Crash::BeforeRecord(number), Crash::AfterRecord(number)] {
            let record = record.clone();
            cases.push(Case {
                crash,
                then,
                record,
            });
        }
    }
    let tally = Tally::new(matrix);
    run_all(&tally, &cases, |case| simulate(one(case)));
    tally.close();
}

async fn one(case: &Case) -> Verdict {
    let world = World::new(Ailment::None, |_| {});
    let mut verdict = Verdict::default();
    let first = conduct(&world, orders(Verb::Run, case.crash)).await;
    verdict.of_end("the run", &first);
    if !matches!(first.end, End::Killed) {
        verdict
            .others
            .push(format!("it was not killed: {:?}", first.end));
    }
    let mut pasts = vec![first];
    match case.then {
        Then::Sweep => swept(&world, &mut verdict).await,
        Then::Resume => {
            let second = conduct(&world, orders(Verb::Resume, Crash::Never)).await;
            resumed(&world, case, &pasts[0], &second, &mut verdict);
            pasts.push(second);
        }
    }
    settle().await;
    verdict.of_world(&world);
    verdict.of_secrets(&world, &pasts.iter().collect::<Vec<_>>());
    verdict
}

async fn swept(world: &World, verdict: &mut Verdict) {
    let left = sweep(world, HOST).await;
    verdict.leaks.extend(left);
}

/// Every image is there exactly once, and what was done is not done again.
fn resumed(world: &World, case: &Case, first: &Past, second: &Past, verdict: &mut Verdict) {
    let done = verdict.of_end("the resumed run", second);
    if case.record.starts_with("closed") && matches!(case.crash, Crash::AfterRecord(_)) {
        // It had ended: there is nothing to go on with, and that is said.
        let refused = matches!(&second.end, End::Report(r) if r.exit == ExitCode::BadInput);
        if !refused {
            let how = format!("{:?}", second.end);
            verdict
                .others
                .push(format!("a run that had ended was resumed: {how}"));
        }
        verdict.of_success(world);
        return;
    }
    // A journal without a record tells nothing that could be taken up, and nothing was done.
    if case.crash == Crash::BeforeRecord(1) {
        return;
    }
    if !done {
        let how = match &second.end {
            End::Report(report) => format!("{:?} {:?}", report.exit, report.failures),
            other => format!("{other:?}"),
        };
        verdict
            .others
            .push(format!("resuming did not succeed: {how}"));
    }
    if let End::Report(report) = &second.end
        && report.exit == ExitCode::Done
    {
        let mut reported: Vec<&str> = report.images.iter().map(|i| i.stage.as_str()).collect();
        reported.sort_unstable();
        if reported != ["base", "content"] {
            verdict
                .doubles
                .push(format!("images reported: {reported:?}"));
        }
    }
    let there = complete_by_stage(&world.engine.snapshot());
    for stage in ["base", "content"] {
        let count = there.get(stage).copied().unwrap_or_default();
        if count != 1 {
            verdict
                .doubles
                .push(format!("{count} complete images of {stage}"));
        }
    }
    let made = world.made();
    if made.of("CreateImage") != 2 {
        let count = made.of("CreateImage");
        verdict
            .doubles
            .push(format!("{count} images were ever made"));
    }
    // An instance on which provisioning had begun is thrown away, and another one is launched.
    let thrown_away = usize::from(was_in_provisioning(&first.journal));
    if made.of("RunInstances") != 2 + thrown_away {
        verdict.doubles.push(format!(
            "{} instances were ever launched, {thrown_away} of them to be thrown away",
            made.of("RunInstances")
        ));
    }
}

/// Whether the journal ends in the middle of provisioning, or of removing qib's traces: neither is done twice on one
/// instance.
fn was_in_provisioning(journal: &[String]) -> bool {
    journal.iter().any(|record| {
        let number = record.strip_prefix("intent ").and_then(|rest| {
            rest.strip_suffix(" provision")
                .or_else(|| rest.strip_suffix(" scrub"))
        });
        number.is_some_and(|number| !journal.contains(&format!("succeeded {number}")))
    })
}

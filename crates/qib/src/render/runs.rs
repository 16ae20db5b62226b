//! Runs for people: the list, and one in full.

use super::age::age;
use super::lease::lease_in_words;
use super::style::{Palette, Role};
use super::table::{columns, rows};
use build::runs::{EffectRow, RunDetail, RunRow, RunState};
use cloud::Timestamp;

/// So many things are named in the list; `qib runs show` has them all.
const NAMED: usize = 2;

/// The runs as a table, with their age at `now`.
pub fn runs_table(runs: &[RunRow], now: Timestamp) -> String {
    let header = ["RUN", "PIPELINE", "STATE", "AGE", "REGION", "HOLDS"];
    columns(header, runs.iter().map(|run| row(run, now)))
}

fn row(run: &RunRow, now: Timestamp) -> [String; 6] {
    [
        run.run.clone(),
        run.pipeline.clone(),
        run.state.as_str().to_owned(),
        age(run.started.as_deref(), now),
        run.region.clone(),
        run.error.clone().unwrap_or_else(|| holds(run)),
    ]
}

fn holds(run: &RunRow) -> String {
    let words = |held: &String| match held.strip_prefix("lease ") {
        Some(name) => format!("lease {}", lease_in_words(name)),
        None => held.clone(),
    };
    let mut named: Vec<String> = run.holds.iter().take(NAMED).map(words).collect();
    if let Some(more @ 1..) = run.holds.len().checked_sub(NAMED) {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}

/// What to do about the runs that need something done; none if none does.
pub fn runs_hint(runs: &[RunRow]) -> Option<String> {
    let first = |state: RunState| runs.iter().find(|run| run.state == state);
    if let Some(dead) = first(RunState::Dead).filter(|run| run.started.is_some()) {
        return Some(format!(
            "A dead run is gone on with by `qib runs resume {0}`, or removed by `{1} --run {0}`.",
            dead.run,
            sweep_command(dead)
        ));
    }
    let left = first(RunState::LeftBehind)?;
    Some(format!(
        "What a run left behind is removed by `{} --run {}`.",
        sweep_command(left),
        left.run
    ))
}

fn sweep_command(run: &RunRow) -> String {
    let local = if run.local { " --local" } else { "" };
    let regions: Vec<String> = run
        .regions
        .iter()
        .map(|region| format!(" --region {region}"))
        .collect();
    format!("qib sweep{local}{}", regions.concat())
}

/// One run in full.
pub fn run_text(detail: &RunDetail, now: Timestamp, palette: Palette) -> String {
    let run = &detail.row;
    let role = match run.state {
        RunState::Succeeded | RunState::Swept => Role::Success,
        RunState::Running => Role::Strong,
        RunState::Kept | RunState::Interrupted => Role::Warning,
        RunState::Dead | RunState::Failed | RunState::LeftBehind | RunState::Unreadable => {
            Role::Error
        }
    };
    let mut lines = vec![format!(
        "{}  {}",
        palette.paint(Role::Strong, &run.run),
        palette.paint(role, run.state.as_str())
    )];
    let mut fact = |what: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("  {what:<9} {text}"));
        }
    };
    fact("pipeline", &format!("{} ({})", run.pipeline, run.file));
    let place = run.endpoint.as_ref().map_or_else(
        || format!("account {}, region {}", run.account, run.region),
        |url| format!("account {}, region {}, at {url}", run.account, run.region),
    );
    fact("place", &place);
    if let Some(started) = &run.started {
        let ago = age(Some(started), now);
        fact("started", &format!("{} ({ago} ago)", to_seconds(started)));
    }
    if run.regions.len() > 1 {
        fact("regions", &run.regions.join(", "));
    }
    if let Some(logs) = &detail.logs {
        fact("logs", logs);
    }
    for again in &detail.resumed {
        fact("resumed", &to_seconds(again));
    }
    for held in &run.holds {
        fact("holds", held);
    }
    if let Some(error) = &run.error {
        fact("journal", error);
    }
    if !detail.effects.is_empty() {
        lines.push(String::new());
        let table = rows(detail.effects.iter().map(effect));
        lines.extend(table.lines().map(|line| format!("  {line}")));
    }
    let errors: Vec<String> = detail
        .effects
        .iter()
        .filter_map(|one| Some(format!("  {}: {}", one.number, one.error.as_ref()?)))
        .collect();
    if !errors.is_empty() {
        lines.push(String::new());
        lines.extend(errors);
    }
    lines.join("\n")
}

fn effect(effect: &EffectRow) -> [String; 6] {
    [
        effect.number.to_string(),
        to_seconds(&effect.at),
        format!("{}/{}", effect.stage, effect.cell),
        effect.effect.clone(),
        effect.state.to_owned(),
        match &effect.id {
            Some(id) => format!("{id} ({})", effect.subject),
            None if effect.effect == "claim-lease" => lease_in_words(&effect.subject),
            None => effect.subject.clone(),
        },
    ]
}

/// A time as in RFC 3339, without parts of a second.
fn to_seconds(time: &str) -> String {
    time.parse::<Timestamp>().map_or_else(
        |_| time.to_owned(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::constant(1_800_000_000, 0)
    }

    fn a_run(number: u8, state: RunState, holds: &[&str]) -> RunRow {
        RunRow {
            run: format!("r-0123456{number}"),
            pipeline: "ocp".into(),
            file: "pipelines/ocp.yaml".into(),
            state,
            started: Some(Timestamp::constant(1_799_990_000, 5).to_string()),
            region: "us-east-2".into(),
            regions: vec!["us-east-2".into(), "us-west-1".into()],
            account: "123456789012".into(),
            local: false,
            endpoint: None,
            holds: holds.iter().map(|one| (*one).to_owned()).collect(),
            error: None,
        }
    }

    #[test]
    fn a_table_for_people() {
        let dead = [
            "instance i-0aaa",
            "lease /qib/leases/address/eipalloc-1/1790000000000-r-01234561-base-us-east-2",
            "security-group sg-0bbb",
            "key-pair key-0ccc",
        ];
        let unreadable = RunRow {
            pipeline: String::new(),
            region: String::new(),
            started: None,
            error: Some("journal.jsonl, line 1 is not a journal record".into()),
            ..a_run(3, RunState::Unreadable, &[])
        };
        let runs = [
            a_run(1, RunState::Dead, &dead),
            a_run(2, RunState::Succeeded, &[]),
            unreadable,
        ];
        let hint = runs_hint(&runs).expect("one is dead");
        insta::assert_snapshot!(format!("{}\n\n{hint}", runs_table(&runs, now())));
    }

    #[test]
    fn a_run_for_people() {
        let effect = |number: u64, effect: &str, state, id: Option<&str>| EffectRow {
            number,
            at: Timestamp::constant(1_799_990_000 + i64::try_from(number).unwrap(), 0).to_string(),
            stage: "base".into(),
            cell: "us-east-2".into(),
            region: "us-east-2".into(),
            effect: effect.into(),
            subject: "qib-r-01234561-base-us-east-2".into(),
            state,
            id: id.map(str::to_owned),
            error: None,
        };
        let detail = RunDetail {
            row: a_run(1, RunState::Dead, &["key-pair key-0aaa"]),
            resumed: vec![Timestamp::constant(1_799_999_000, 0).to_string()],
            logs: Some("/state/runs/r-01234561/logs".into()),
            effects: vec![
                effect(1, "import-key-pair", "done", Some("key-0aaa")),
                EffectRow {
                    error: Some("CreateSecurityGroup failed: you may not".into()),
                    ..effect(2, "create-security-group", "not-done", None)
                },
            ],
        };
        insta::assert_snapshot!(run_text(&detail, now(), Palette::Plain));
    }
}

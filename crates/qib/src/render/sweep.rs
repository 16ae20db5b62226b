//! A sweep for people: a block for each run, with what goes and what stays, and why.

use super::age::age;
use super::lease::lease_in_words;
use super::style::{Palette, Role};
use super::table::rows;
use build::sweep::{Finding, Standing, SweepProgress, SweepRow};
use cloud::Timestamp;

/// The rows as text, with their age at `now`; empty if there is nothing to tell.
pub fn sweep_text(all: &[SweepRow], now: Timestamp, palette: Palette) -> String {
    let (results, aids): (Vec<&SweepRow>, Vec<&SweepRow>) = all
        .iter()
        .partition(|row| row.standing == Standing::Result && row.action == "keep");
    let mut blocks: Vec<String> = aids
        .chunk_by(|a, b| a.run == b.run)
        .map(|of_run| block(of_run, now, palette))
        .collect();
    let count = |kind: &str| results.iter().filter(|row| row.kind == kind).count();
    let (images, snapshots) = (count("image"), count("snapshot"));
    if images + snapshots > 0 {
        let verb = if images == 1 { "stays" } else { "stay" };
        blocks.push(format!(
            "{} {verb}, with {}.",
            counted(images, "complete image"),
            counted(snapshots, "snapshot")
        ));
    }
    blocks.join("\n\n")
}

fn block(of_run: &[&SweepRow], now: Timestamp, palette: Palette) -> String {
    let first = of_run[0];
    let pipeline = of_run
        .iter()
        .map(|row| row.pipeline.as_str())
        .find(|name| !name.is_empty())
        .unwrap_or_default();
    let mut lines = vec![
        format!("{}  {pipeline}", palette.paint(Role::Strong, &first.run))
            .trim_end()
            .to_owned(),
    ];
    let mut groups: Vec<(&str, &str, Vec<&SweepRow>)> = Vec::new();
    for row in of_run {
        match groups
            .iter_mut()
            .find(|(action, reason, _)| *action == row.action && *reason == row.reason)
        {
            Some((_, _, rows)) => rows.push(row),
            None => groups.push((row.action, &row.reason, vec![row])),
        }
    }
    for (action, reason, of_group) in groups {
        let (role, verb) = match action {
            "remove" => (Role::Warning, "goes"),
            "removed" => (Role::Success, "removed"),
            "failed" => (Role::Error, "NOT REMOVED"),
            _ => (Role::Dim, "stays"),
        };
        lines.push(format!("  {}: {reason}", palette.paint(role, verb)));
        let table = rows(of_group.iter().map(|row| cells(row, now)));
        lines.extend(table.lines().map(|line| format!("    {}", line.trim_end())));
        if action == "failed" {
            lines.extend(
                of_group
                    .iter()
                    .map(|row| format!("      {}", row.remove_with)),
            );
        }
    }
    let can_go_on = |row: &&&SweepRow| row.kind == "journal" && row.action == "remove";
    if let Some(journal) = of_run.iter().find(can_go_on) {
        lines.push(format!(
            "  `qib runs resume {}` goes on with it instead, if it is not to go.",
            journal.run
        ));
    }
    lines.join("\n")
}

fn cells(row: &SweepRow, now: Timestamp) -> [String; 5] {
    let cell = if row.stage.is_empty() {
        String::new()
    } else {
        format!("{}/{}", row.stage, row.cell)
    };
    let age = row
        .created
        .as_ref()
        .map(|created| age(Some(created), now))
        .unwrap_or_default();
    [row.kind.clone(), named(row), cell, age, row.name.clone()]
}

/// What to call it in a table: its id, where that says anything to people.
fn named(row: &SweepRow) -> String {
    match row.kind.as_str() {
        "journal" => String::from("on this machine"),
        "lease" => lease_in_words(&row.id),
        _ => row.id.clone(),
    }
}

/// What the rows come to, in a sentence. `again` is the command that removes it.
pub fn sweep_ending(rows: &[SweepRow], regions: &str, again: &str, palette: Palette) -> String {
    let count = |action: &str| rows.iter().filter(|row| row.action == action).count();
    let (planned, removed, failed) = (count("remove"), count("removed"), count("failed"));
    if failed > 0 {
        return palette.paint(
            Role::Error,
            &format!(
                "{} could not be removed in {regions}. Each stands above, with the command that removes it; a second sweep tries again.",
                counted(failed, "thing")
            ),
        );
    }
    if planned > 0 {
        return format!(
            "{} to be removed in {regions}. Nothing is removed yet; to do it: {again}",
            match planned {
                1 => String::from("1 thing is"),
                _ => format!("{planned} things are"),
            }
        );
    }
    if removed > 0 {
        let text = format!("{} removed in {regions}.", counted(removed, "thing"));
        return palette.paint(Role::Success, &text);
    }
    format!("There is nothing to remove in {regions}.")
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// What is said of a sweep's progress: whose it is, how it is meant, and the words.
pub fn progress_line(progress: &SweepProgress<'_>) -> (String, Option<Role>, String) {
    let thing = |finding: &Finding| {
        let (kind, id) = (finding.thing.kind(), finding.thing.id());
        match kind {
            "journal" => String::from("the journal on this machine"),
            "lease" => format!("lease {} in {}", lease_in_words(id), finding.region),
            _ => format!("{kind} {id} in {}", finding.region),
        }
    };
    let run = |finding: &Finding| finding.origin.run.to_string();
    match progress {
        SweepProgress::Removing(finding) => {
            (run(finding), None, format!("removing {}", thing(finding)))
        }
        SweepProgress::Removed(finding) => {
            let verb = match finding.thing.kind() {
                "journal" => "closed",
                _ => "gone",
            };
            let text = format!("{verb}: {}", thing(finding));
            (run(finding), Some(Role::Dim), text)
        }
        SweepProgress::NotRemoved(finding, why) => (
            run(finding),
            Some(Role::Warning),
            format!("not removed: {}: {why}", thing(finding)),
        ),
        SweepProgress::Spared(run, why) => (
            run.to_string(),
            Some(Role::Warning),
            format!("left alone: {why}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(run: &str, action: &'static str, kind: &str, id: &str, reason: &str) -> SweepRow {
        SweepRow {
            region: "us-east-2".into(),
            kind: kind.into(),
            id: id.into(),
            name: String::new(),
            run: run.into(),
            pipeline: "ocp".into(),
            stage: "base".into(),
            cell: "us-east-2".into(),
            created: Some(Timestamp::constant(1_799_990_000, 0).to_string()),
            action,
            reason: reason.into(),
            remove_with: format!("aws --region us-east-2 ec2 remove {id}"),
            standing: Standing::Aid,
        }
    }

    #[test]
    fn a_sweep_for_people() {
        let dead = "the run is dead: it renewed its lease 14 min ago";
        let lives = "the run lives: it renewed its lease 12 s ago";
        let result = |kind: &str, id: &str| SweepRow {
            standing: Standing::Result,
            ..row("r-01234563", "keep", kind, id, "a complete image")
        };
        let lease = SweepRow {
            pipeline: String::new(),
            stage: String::new(),
            cell: String::new(),
            created: None,
            ..row(
                "r-01234561",
                "remove",
                "lease",
                "/qib/leases/run/r-01234561",
                dead,
            )
        };
        let planned = [
            row("r-01234561", "remove", "instance", "i-0aaa", dead),
            row("r-01234561", "remove", "journal", "r-01234561", dead),
            SweepRow {
                name: "qib-r-01234561-base-us-east-2".into(),
                created: None,
                ..row("r-01234561", "remove", "key-pair", "key-0bbb", dead)
            },
            lease,
            row("r-01234562", "keep", "instance", "i-0ccc", lives),
            row(
                "r-01234562",
                "keep",
                "lease",
                "/qib/leases/image/0123456789abcdef/1790000000000-r-01234562-base-us-east-2",
                lives,
            ),
            row(
                "r-01234562",
                "keep",
                "lease",
                "/qib/leases/address/eipalloc-1/1790000000000-r-01234562-base-us-east-2",
                lives,
            ),
            result("image", "ami-0ddd"),
            result("snapshot", "snap-0eee"),
            result("snapshot", "snap-0fff"),
        ];
        let carried = [
            row("r-01234561", "removed", "instance", "i-0aaa", dead),
            row(
                "r-01234561",
                "failed",
                "security-group",
                "sg-0bbb",
                "DeleteSecurityGroup on sg-0bbb failed: in use",
            ),
        ];
        let now = Timestamp::constant(1_800_000_000, 0);
        let shown = |rows: &[SweepRow]| {
            format!(
                "{}\n\n{}",
                sweep_text(rows, now, Palette::Plain),
                sweep_ending(rows, "us-east-2", "qib sweep --yes", Palette::Plain)
            )
        };
        let nothing = sweep_ending(&[], "us-east-2", "qib sweep --yes", Palette::Plain);
        insta::assert_snapshot!(format!(
            "{}\n\n----\n\n{}\n\n----\n\n{nothing}",
            shown(&planned),
            shown(&carried)
        ));
    }
}

//! What an event says, in words. Pure: the same words stand in plain lines and above the live bars.

use super::control::plain_text;
use super::style::Role;
use build::event::{Event, Transfer};
use build::names::CellName;
use build::report::StepOutcome;
use cloud::Timestamp;
use std::time::Duration;

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The run as a whole, by its pipeline's name.
    Pipeline(String),
    /// One cell.
    Cell(CellName),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pipeline(name) => f.write_str(name),
            Self::Cell(cell) => cell.fmt(f),
        }
    }
}

/// What is said about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// What it is about.
    pub subject: Subject,
    /// How it is meant; none for a plain statement.
    pub role: Option<Role>,
    /// One line or more, free of control codes.
    pub lines: Vec<String>,
}

/// When credentials end, to be said after whose they are.
pub fn until(end: &Timestamp) -> String {
    format!(" until {}", end.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// What to say about `event`; nothing about one that only bars or the summary show. `took` is how long the step took
/// that the event ends, where that is known.
pub fn saying(event: &Event, took: Option<Duration>) -> Option<Saying> {
    let (cell, role, text) = match event {
        Event::Started {
            run,
            pipeline,
            account,
            identity,
            credentials_end,
            region,
            rehearsal,
            cells,
        } => {
            let place = if *rehearsal {
                " in the local EC2 (a rehearsal)"
            } else {
                ""
            };
            let until = credentials_end.as_ref().map(until).unwrap_or_default();
            let mut regions: Vec<&str> = cells.iter().map(|one| one.region.as_str()).collect();
            regions.sort_unstable();
            regions.dedup();
            let where_to = match regions.as_slice() {
                [] => region.clone(),
                [only] => (*only).to_owned(),
                several => format!("{} regions", several.len()),
            };
            let many = match cells.len() {
                0 | 1 => String::new(),
                several => format!(", {several} cells"),
            };
            let text = format!(
                "run {run} in {where_to}{place}, account {account} as {identity}{until}{many}"
            );
            return Some(Saying {
                subject: Subject::Pipeline(pipeline.clone()),
                role: Some(Role::Strong),
                lines: lines(&text),
            });
        }
        Event::StepStarted { cell, step } => (cell, None, step.describe().to_owned()),
        Event::StepFinished { cell, step } => {
            let took = took
                .map(|took| format!(" ({})", seconds(took)))
                .unwrap_or_default();
            (
                cell,
                Some(Role::Dim),
                format!("done {}{took}", step.describe()),
            )
        }
        Event::Note { cell, text } => (cell, None, text.clone()),
        Event::Warning { cell, text } => (cell, Some(Role::Warning), format!("warning: {text}")),
        Event::ProvisionerStarted { cell, provisioner } => (
            cell,
            Some(Role::Strong),
            format!("provisioner {provisioner}"),
        ),
        Event::ProvisionerSkipped {
            cell,
            provisioner,
            needs,
        } => {
            let text = format!(
                "skipped provisioner {provisioner}: it needs {}, which this guest has not",
                needs.join(" and ")
            );
            (cell, Some(Role::Warning), text)
        }
        Event::ProvisionerFinished {
            cell,
            provisioner,
            outcome,
            reason,
        } => match outcome {
            StepOutcome::Passed => (
                cell,
                Some(Role::Dim),
                format!("done provisioner {provisioner}"),
            ),
            StepOutcome::Failed => {
                // What the guest said last has just been shown.
                let why = reason
                    .as_ref()
                    .and_then(|reason| reason.lines().next())
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                (
                    cell,
                    Some(Role::Error),
                    format!("failed: provisioner {provisioner}{why}"),
                )
            }
            // That it is skipped has been said already.
            StepOutcome::Skipped => return None,
        },
        // Set in from qib's own words, so that both can be told apart.
        Event::Output { cell, line, .. } => (cell, None, format!("  {}", plain_text(line))),
        Event::ImageProgress {
            cell,
            region,
            percent,
        } => (
            cell,
            Some(Role::Dim),
            format!("the image in {region} is {percent} % done"),
        ),
        Event::Transfer {
            cell,
            what,
            done,
            total,
        } => (cell, Some(Role::Dim), transfer_text(*what, *done, *total)),
        Event::Paused { cell, at, way_in } => {
            let way_in = way_in.as_ref().map_or_else(
                || String::from("there is no way in yet"),
                |way_in| format!("the way in: {}", build::way_in::describe(way_in)),
            );
            let text = format!("waits for you {at}\n{way_in}");
            (cell, Some(Role::Strong), text)
        }
        Event::Skipped { cell, reason } => {
            (cell, Some(Role::Warning), format!("skipped: {reason}"))
        }
        Event::Cached {
            cell,
            image_id,
            name,
            reason,
        } => (
            cell,
            Some(Role::Success),
            format!("reused image {image_id} ({name}): {reason}"),
        ),
        Event::Built {
            cell,
            image_id,
            name,
        } => (
            cell,
            Some(Role::Success),
            format!("built image {image_id} ({name})"),
        ),
        Event::Failed {
            cell, error, hint, ..
        } => {
            let hint = hint
                .as_ref()
                .map(|hint| format!("\nhint: {hint}"))
                .unwrap_or_default();
            (cell, Some(Role::Error), format!("error: {error}{hint}"))
        }
        Event::Finished(_) => return None,
    };
    Some(Saying {
        subject: Subject::Cell(cell.clone()),
        role,
        lines: lines(&text),
    })
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(plain_text).collect()
}

/// A duration as people read it: `0.4 s`, `12 s`, `3 min 05 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// How far a disk image is, in words.
pub fn transfer_text(what: Transfer, done: u64, total: Option<u64>) -> String {
    let what = what.describe();
    match total {
        // A task of EC2 tells percents, and nothing else.
        Some(100) => format!("the disk image is being {what}: {done} %"),
        Some(total) => format!(
            "the disk image is being {what}: {} % of {}",
            percent(done, total),
            size_text(total)
        ),
        None => format!("the disk image is being {what}: {}", size_text(done)),
    }
}

/// How much of `total` is done, 0 to 100.
pub fn percent(done: u64, total: u64) -> u8 {
    let percent = u128::from(done) * 100 / u128::from(total.max(1));
    u8::try_from(percent.min(100)).unwrap_or(100)
}

/// So many bytes, in words.
pub fn size_text(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use build::event::{OutputStream, Step};

    fn cell() -> CellName {
        CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        }
    }

    #[test]
    fn the_start_says_whose_the_credentials_are_and_until_when() {
        let started = |credentials_end| Event::Started {
            run: build::names::RunId::from_random(7),
            pipeline: "ocp".into(),
            account: "123456789012".into(),
            identity: "arn:b".into(),
            credentials_end,
            region: "us-east-2".into(),
            rehearsal: false,
            cells: Vec::new(),
        };
        let end = "2026-03-01T10:20:30.5Z".parse().ok();
        let said = |event| saying(&event, None).unwrap().lines.remove(0);
        assert!(said(started(end)).ends_with("as arn:b until 2026-03-01T10:20:30Z"));
        assert!(said(started(None)).ends_with("as arn:b"));
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(12)), "12 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
        assert_eq!(seconds(Duration::from_secs(7260)), "2 h 01 min");
    }

    #[test]
    fn what_a_guest_prints_cannot_control_the_terminal_and_is_set_in() {
        let line = String::from("\u{1b}]0;owned\u{7}\u{1b}[31mred\u{1b}[0m");
        let event = Event::Output {
            cell: cell(),
            provisioner: "p".into(),
            stream: OutputStream::Stdout,
            line,
        };
        assert_eq!(
            saying(&event, None).map(|s| s.lines),
            Some(vec![String::from("  red")])
        );
    }

    #[test]
    fn a_failure_has_its_evidence_and_its_hint_below_it() {
        let event = Event::Failed {
            cell: cell(),
            step: Step::Provision,
            error: "it broke\n    last line".into(),
            hint: Some("look".into()),
        };
        let said = saying(&event, None).map(|s| s.lines);
        assert_eq!(
            said,
            Some(vec![
                "error: it broke".into(),
                "    last line".into(),
                "hint: look".into()
            ])
        );
    }
}

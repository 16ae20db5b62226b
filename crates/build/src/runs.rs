//! `qib runs`: what this machine's journals say of its runs. No call to an account is made.
//!
//! ```text
//!   journal locked ──────────────────────────────────────────▶ running
//!   not locked ─┬─ cannot be read ───────────────────────────▶ unreadable
//!               ├─ not closed ───────────────────────────────▶ dead
//!               ├─ something is kept for a person ───────────▶ kept
//!               └─ else, how it was closed ──────────────────▶ succeeded, failed, interrupted, left-behind, swept
//! ```

use crate::journal::{Effect, EffectNumber};
use crate::journal::{
    EffectState, JournalError, JournalLock, JournalReader, JournalState, Outcome, Record,
    RunDirectory, RunStatus,
};
use crate::names::RunId;
use crate::undo::left_resource;
use cloud::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// How it stands with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A process of this machine is at it.
    Running,
    /// Its process ended without a word: it can be resumed, or swept.
    Dead,
    /// Every image is there.
    Succeeded,
    /// Something failed, and what it had made is removed.
    Failed,
    /// It was interrupted and cleaned up.
    Interrupted,
    /// It could not remove everything it had made.
    LeftBehind,
    /// It has ended, and an instance stays for a person to look at.
    Kept,
    /// It died, and what it had made was removed later.
    Swept,
    /// Its journal cannot be read.
    Unreadable,
}

impl RunState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Dead => "dead",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::LeftBehind => "left-behind",
            Self::Kept => "kept",
            Self::Swept => "swept",
            Self::Unreadable => "unreadable",
        }
    }

    /// How it stands with the run of a journal that could be read.
    fn of(lock: JournalLock, journal: &JournalState) -> Self {
        if lock == JournalLock::Held {
            return Self::Running;
        }
        match journal.closed() {
            None => Self::Dead,
            Some(_) if !journal.kept().is_empty() => Self::Kept,
            Some(RunStatus::Succeeded) => Self::Succeeded,
            Some(RunStatus::Failed) => Self::Failed,
            Some(RunStatus::Interrupted) => Self::Interrupted,
            Some(RunStatus::LeftBehind) => Self::LeftBehind,
            Some(RunStatus::Swept) => Self::Swept,
        }
    }
}

/// One run, as a flat object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// The run.
    pub run: String,
    /// Its pipeline's name; empty if its journal does not say.
    pub pipeline: String,
    /// The pipeline's file.
    pub file: String,
    /// How it stands with it.
    pub state: RunState,
    /// When it began, RFC 3339; none if its journal does not say.
    pub started: Option<String>,
    /// Where its cells are built that say no region of their own.
    pub region: String,
    /// Every region that it works in.
    pub regions: Vec<String>,
    /// The account.
    pub account: String,
    /// Whether it is a run in the local EC2.
    pub local: bool,
    /// The endpoint, if it is not AWS's own.
    pub endpoint: Option<String>,
    /// What it has in the account besides finished images, by kind and id: what it works with, what is kept, or what it
    /// left.
    pub holds: Vec<String>,
    /// Why its journal says nothing, if so.
    pub error: Option<String>,
}

/// One effect of a run, as a flat object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectRow {
    /// Counts the run's effects, from 1.
    pub number: u64,
    /// When it was begun, RFC 3339.
    pub at: String,
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// Where it happens.
    pub region: String,
    /// What it is: `launch-instance`, `create-image` …
    pub effect: String,
    /// On what, or by which name.
    pub subject: String,
    /// `in-flight`, `not-done`, `unknown`, `done`, `undone`, `kept` or `delivered`.
    pub state: &'static str,
    /// The id of what it made, if that is known.
    pub id: Option<String>,
    /// What EC2 said last against it or its removal.
    pub error: Option<String>,
}

/// A run in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunDetail {
    /// What the list has.
    #[serde(flatten)]
    pub row: RunRow,
    /// When it was taken up again, RFC 3339.
    pub resumed: Vec<String>,
    /// The folder with its cells' logs; none if its journal does not say.
    pub logs: Option<String>,
    /// What it did, in order.
    pub effects: Vec<EffectRow>,
}

/// Every run of this machine, newest first; those whose journals do not say when they began come last.
///
/// # Errors
/// If the state folder cannot be read. A journal that cannot be read is a row with its error.
pub fn list(state_dir: &Path) -> Result<Vec<RunRow>, JournalError> {
    let mut rows: Vec<(Option<Timestamp>, RunRow)> = Vec::new();
    for (run, directory) in RunDirectory::all(state_dir)? {
        let lock = directory.lock_state();
        // A run that is about to begin, or that was refused before it did.
        if lock == JournalLock::Absent {
            continue;
        }
        let journal = JournalReader::read(&directory);
        let started = journal.as_ref().ok().and_then(JournalState::started);
        rows.push((started, row(&run, lock, journal.as_ref())));
    }
    rows.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.run.cmp(&other.run)));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// One run in full.
///
/// # Errors
/// If there is no such run on this machine, or its journal cannot be read.
pub fn show(state_dir: &Path, run: &RunId) -> Result<RunDetail, JournalError> {
    let directory = RunDirectory::of(state_dir, run);
    let lock = directory.lock_state();
    if lock == JournalLock::Absent {
        return Err(JournalError::NoSuchRun {
            run: run.clone(),
            path: directory.path().to_owned(),
        });
    }
    let journal = JournalReader::read(&directory)?;
    let resumed = journal.resumed().iter().map(Timestamp::to_string).collect();
    Ok(RunDetail {
        row: row(run, lock, Ok(&journal)),
        resumed,
        logs: journal
            .opened()
            .and_then(|opened| opened.invocation.log_dir.clone()),
        effects: effects(&journal, &JournalReader::records(&directory)?),
    })
}

fn row(run: &RunId, lock: JournalLock, journal: Result<&JournalState, &JournalError>) -> RunRow {
    let opened = journal.ok().and_then(JournalState::opened);
    let of = |text: Option<&String>| text.cloned().unwrap_or_default();
    RunRow {
        run: run.to_string(),
        pipeline: of(opened.map(|opened| &opened.pipeline)),
        file: of(opened.map(|opened| &opened.file)),
        state: match journal {
            Ok(journal) => RunState::of(lock, journal),
            Err(_) if lock == JournalLock::Held => RunState::Running,
            Err(_) => RunState::Unreadable,
        },
        started: opened.map(|opened| opened.at.to_string()),
        region: of(opened.map(|opened| &opened.region)),
        regions: journal
            .map(JournalState::regions)
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect(),
        account: of(opened.map(|opened| &opened.account)),
        local: opened.is_some_and(|opened| opened.invocation.local),
        endpoint: opened.and_then(|opened| opened.endpoint.clone()),
        holds: journal.map(holds).unwrap_or_default(),
        error: match journal {
            Err(error) => Some(error.to_string()),
            Ok(_) if opened.is_none() && lock == JournalLock::Free => Some(String::from(
                "its journal is empty: it died before its first record, or the file was cut; `qib sweep` finds what it made, if anything",
            )),
            Ok(_) => None,
        },
    }
}

/// What stands of a run's, latest first, but for its result.
fn holds(journal: &JournalState) -> Vec<String> {
    let standing = journal.outstanding().into_iter().chain(journal.kept());
    standing
        .map(|(_, entry)| {
            let named = left_resource(&entry.effect, &entry.state, String::new(), None);
            match entry.state.outcome() {
                Some(_) => format!("{} {}", named.kind, named.id),
                None => format!("{} {} (perhaps)", named.kind, named.id),
            }
        })
        .collect()
}

fn effects(journal: &JournalState, records: &[Record]) -> Vec<EffectRow> {
    let mut begun: BTreeMap<EffectNumber, Timestamp> = BTreeMap::new();
    let mut errors: BTreeMap<EffectNumber, String> = BTreeMap::new();
    for record in records {
        match record {
            Record::Intent { number, at, .. } => {
                begun.insert(*number, *at);
            }
            Record::Refused { number, error }
            | Record::Unanswered { number, error }
            | Record::UndoFailed { number, error } => {
                errors.insert(*number, error.clone());
            }
            Record::Opened { .. }
            | Record::Resumed { .. }
            | Record::Succeeded { .. }
            | Record::Undone { .. }
            | Record::Kept { .. }
            | Record::Delivered { .. }
            | Record::Closed { .. } => {}
        }
    }
    journal
        .effects()
        .map(|(number, entry)| EffectRow {
            number: number.0,
            at: begun
                .get(&number)
                .map(Timestamp::to_string)
                .unwrap_or_default(),
            stage: entry.cell.stage.clone(),
            cell: entry.cell.cell.clone(),
            region: entry.effect.region().to_string(),
            effect: kind(&entry.effect),
            subject: subject(&entry.effect),
            state: state(&entry.state),
            id: entry.state.outcome().and_then(id),
            error: errors.get(&number).cloned(),
        })
        .collect()
}

/// The effect's name, as the journal has it.
fn kind(effect: &Effect) -> String {
    serde_json::to_value(effect)
        .ok()
        .and_then(|value| value["effect"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What the effect is about.
fn subject(effect: &Effect) -> String {
    match effect {
        Effect::ClaimLease { name, .. }
        | Effect::ImportKeyPair { name, .. }
        | Effect::CreateSecurityGroup { name, .. }
        | Effect::CreateRole { name, .. }
        | Effect::CreateInstanceProfile { name, .. }
        | Effect::CreateImage { name, .. }
        | Effect::RegisterImage { name, .. } => name.clone(),
        Effect::StartSnapshot { description, .. } => description.clone(),
        Effect::UploadObject { bucket, key, .. } | Effect::ImportSnapshot { bucket, key, .. } => {
            format!("s3://{bucket}/{key}")
        }
        Effect::FinishUpload { of, .. } => format!("of effect {}", of.0),
        Effect::CompleteSnapshot { snapshot, .. } | Effect::TagSnapshot { snapshot, .. } => {
            snapshot.to_string()
        }
        Effect::RegisterSnapshot { name, snapshot, .. } => format!("{name} of {snapshot}"),
        Effect::PutRolePolicy { role, .. } => role.clone(),
        Effect::AddRole { profile, role, .. } => format!("{role} to {profile}"),
        Effect::CopyImage {
            name,
            source_region,
            source_image,
            ..
        } => format!("{name} of {source_image} in {source_region}"),
        Effect::WriteParameter { name, image, .. } => format!("{name} = {image}"),
        Effect::AuthorizeIngress { group, from, .. } => format!("{group} from {}", from.join(", ")),
        Effect::LaunchInstance { source_image, .. } => format!("from {source_image}"),
        Effect::BindAddress {
            allocation,
            instance,
            ..
        } => format!("{allocation} to {instance}"),
        Effect::Provision { instance, .. }
        | Effect::Scrub { instance, .. }
        | Effect::StopInstance { instance, .. }
        | Effect::ReplaceGroups { instance, .. }
        | Effect::SetNetworking { instance, .. }
        | Effect::CreateSnapshots { instance, .. }
        | Effect::MarkKept { instance, .. } => instance.to_string(),
        Effect::MarkComplete { image, .. }
        | Effect::RequireImdsV2 { image, .. }
        | Effect::TestImage { image, .. }
        | Effect::ProtectImage { image, .. }
        | Effect::MarkImageKept { image, .. } => image.to_string(),
        Effect::RetireImage { image, name, .. } => format!("{image} ({name})"),
        Effect::DeleteSnapshots {
            image, snapshots, ..
        } => {
            let snapshots: Vec<&str> = snapshots.iter().map(cloud::SnapshotId::as_str).collect();
            format!("{} of {image}", snapshots.join(", "))
        }
        Effect::DeprecateImage { image, at, .. } => format!("{image} at {at}"),
        Effect::ShareImage {
            image, accounts, ..
        } => format!("{image} with {}", accounts.join(", ")),
    }
}

fn state(state: &EffectState) -> &'static str {
    match state {
        EffectState::InFlight => "in-flight",
        EffectState::NotDone => "not-done",
        EffectState::Unknown => "unknown",
        EffectState::Done(_) => "done",
        EffectState::Undone => "undone",
        EffectState::Kept(_) => "kept",
        EffectState::Delivered(_) => "delivered",
    }
}

fn id(outcome: &Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::Done | Outcome::Provisioned { .. } => return None,
        Outcome::Parameter { version } => format!("version {version}"),
        Outcome::KeyPair { id } => id.to_string(),
        Outcome::SecurityGroup { id } => id.to_string(),
        Outcome::Instance { id } => id.to_string(),
        Outcome::Association { id } => id.to_string(),
        Outcome::Image { id } => id.to_string(),
        Outcome::Snapshot { id } => id.to_string(),
        Outcome::Upload { id } => id.clone(),
        Outcome::ImportTask { id } => id.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Invocation, Journal, Opening};
    use crate::names::CellName;
    use cloud::InstanceId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn cell() -> CellName {
        CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        }
    }

    fn begin(state_dir: &Path, number: u64) -> (RunId, Journal) {
        let run = RunId::from_random(number);
        let opening = Opening {
            pipeline: format!("p{number}"),
            file: "p.yaml".into(),
            account: "123456789012".into(),
            region: "us-east-2".into(),
            endpoint: None,
            invocation: Invocation::default(),
        };
        let directory = RunDirectory::of(state_dir, &run);
        let started = at(i64::try_from(number).unwrap());
        let journal = Journal::create(&directory, &run, opening, started, None).unwrap();
        (run, journal)
    }

    fn launch(journal: &Journal) -> EffectNumber {
        let effect = Effect::LaunchInstance {
            region: "us-east-2".into(),
            client_token: "token".into(),
            source_image: "ami-1".into(),
            recipe: String::new(),
        };
        journal.intend(&cell(), effect, at(100)).unwrap()
    }

    fn launched(journal: &Journal) -> EffectNumber {
        let number = launch(journal);
        let id = InstanceId::new("i-1");
        journal.succeeded(number, Outcome::Instance { id }).unwrap();
        number
    }

    #[test]
    fn every_state_shows_newest_first_and_an_unreadable_journal_is_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let (living, _lock) = begin(path, 9);
        for (number, status) in [
            (2, RunStatus::Succeeded),
            (3, RunStatus::Failed),
            (4, RunStatus::Interrupted),
            (5, RunStatus::Swept),
        ] {
            let (_, journal) = begin(path, number);
            journal.close(status, at(200)).unwrap();
        }
        let (left, journal) = begin(path, 6);
        launched(&journal);
        journal.close(RunStatus::LeftBehind, at(200)).unwrap();
        drop(journal);
        let (kept, journal) = begin(path, 7);
        let number = launched(&journal);
        journal.append(&Record::Kept { number }).unwrap();
        journal.close(RunStatus::Failed, at(200)).unwrap();
        drop(journal);
        let (dead, journal) = begin(path, 8);
        launch(&journal);
        drop(journal);
        let (broken, journal) = begin(path, 1);
        drop(journal);
        let file = RunDirectory::of(path, &broken).path().join("journal.jsonl");
        std::fs::write(&file, "no record\n").unwrap();
        // Refused before it began.
        std::fs::create_dir_all(path.join("runs").join("r-00000000")).unwrap();

        let rows = list(path).unwrap();
        let seen: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| (row.pipeline.as_str(), row.state.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("p9", "running"),
                ("p8", "dead"),
                ("p7", "kept"),
                ("p6", "left-behind"),
                ("p5", "swept"),
                ("p4", "interrupted"),
                ("p3", "failed"),
                ("p2", "succeeded"),
                ("", "unreadable"),
            ]
        );
        let of = |run: &RunId| rows.iter().find(|row| row.run == run.as_str()).unwrap();
        assert_eq!(of(&living).holds, [""; 0]);
        assert_eq!(of(&left).holds, ["instance i-1"]);
        assert_eq!(of(&kept).holds, ["instance i-1"]);
        assert_eq!(of(&dead).holds, ["instance client token token (perhaps)"]);
        let error = of(&broken).error.as_ref().unwrap();
        assert!(error.contains("journal.jsonl, line 1"), "{error}");
    }

    #[test]
    fn a_run_is_shown_with_each_effect_its_time_and_what_was_said_against_it() {
        let dir = tempfile::tempdir().unwrap();
        let (run, journal) = begin(dir.path(), 1);
        let number = launch(&journal);
        let error = String::from("RunInstances failed: no capacity");
        journal
            .append(&Record::Refused {
                number,
                error: error.clone(),
            })
            .unwrap();
        launched(&journal);
        drop(journal);
        let detail = show(dir.path(), &run).unwrap();
        assert_eq!(detail.row.state, RunState::Dead);
        let effects: Vec<_> = detail
            .effects
            .iter()
            .map(|one| {
                (
                    one.number,
                    one.effect.as_str(),
                    one.state,
                    one.id.as_deref(),
                    one.error.clone(),
                    one.at.as_str(),
                )
            })
            .collect();
        let time = at(100).to_string();
        assert_eq!(
            effects,
            [
                (
                    1,
                    "launch-instance",
                    "not-done",
                    None,
                    Some(error),
                    time.as_str()
                ),
                (
                    2,
                    "launch-instance",
                    "done",
                    Some("i-1"),
                    None,
                    time.as_str()
                ),
            ]
        );
        assert!(matches!(
            show(dir.path(), &RunId::from_random(99)),
            Err(JournalError::NoSuchRun { .. })
        ));
    }
}

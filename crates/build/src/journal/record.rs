//! The lines of the journal.

use super::effect::{Effect, Outcome};
use crate::names::{CellName, RunId};
use cloud::Timestamp;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// The version of the format. A journal of a later version is not read: what it means is not known.
pub const FORMAT_VERSION: u32 = 3;

/// Counts the effects of a run, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectNumber(pub u64);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Every image is there.
    Succeeded,
    /// Something failed; what the run had made is removed or kept on purpose.
    Failed,
    /// It was interrupted and cleaned up.
    Interrupted,
    /// Something is left in the account.
    LeftBehind,
    /// It died, and what it had made was removed by a sweep or by the next run.
    Swept,
}

impl RunStatus {
    /// The word for it in JSON results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::LeftBehind => "left-behind",
            Self::Swept => "swept",
        }
    }
}

/// How the run was asked for, so that it can be taken up again. Never a secret: their names alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Invocation {
    /// Where it was asked for.
    pub folder: String,
    /// `--local`.
    pub local: bool,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--vars-file`, in order.
    pub vars_files: Vec<String>,
    /// `--use`, in order: profiles of the pipeline's, not of AWS.
    pub used_profiles: Vec<String>,
    /// `--var`, but for secrets.
    pub vars: Vec<(String, String)>,
    /// Secret variables that were given by `--var`: they have to be given again.
    pub secret_vars: Vec<String>,
    /// `--rebuild`.
    pub rebuild: Vec<String>,
    /// `--only`.
    pub only: Vec<String>,
    /// `--except`.
    pub except: Vec<String>,
    /// `--jobs`, if it was given.
    pub jobs: Option<NonZeroUsize>,
    /// `--fail-fast`.
    pub fail_fast: bool,
    /// Where the logs of its cells are; none in journals of before there were any.
    pub log_dir: Option<String>,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the variants say what their fields are")]
#[expect(
    clippy::large_enum_variant,
    reason = "records are read and written one at a time"
)]
pub enum Record {
    /// The first line: which run, of what, in which account, when.
    Opened {
        version: u32,
        run: RunId,
        pipeline: String,
        file: String,
        account: String,
        region: String,
        endpoint: Option<String>,
        at: Timestamp,
        #[serde(default)]
        invocation: Invocation,
    },
    /// The run was taken up again by another process.
    Resumed { at: Timestamp },
    /// An effect is about to be tried.
    Intent {
        number: EffectNumber,
        cell: CellName,
        at: Timestamp,
        #[serde(flatten)]
        effect: Effect,
    },
    /// It happened.
    Succeeded {
        number: EffectNumber,
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// EC2 refused: it did not happen.
    Refused { number: EffectNumber, error: String },
    /// No answer came: it may have happened.
    Unanswered { number: EffectNumber, error: String },
    /// What it made is gone.
    Undone { number: EffectNumber },
    /// What it made could not be removed.
    UndoFailed { number: EffectNumber, error: String },
    /// What it made stays for a person to look at.
    Kept { number: EffectNumber },
    /// What it made is part of the result.
    Delivered { number: EffectNumber },
    /// The last line.
    Closed { status: RunStatus, at: Timestamp },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An effect's fields stand beside the record's: none may have the name of one.
    #[test]
    fn an_intent_of_which_the_effect_has_a_time_too_reads_back() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let intent = Record::Intent {
            number: serde_json::from_str("7").unwrap(),
            cell: CellName {
                stage: "base".into(),
                cell: "us-east-2".into(),
            },
            at: at(1),
            effect: Effect::DeprecateImage {
                region: "us-east-2".into(),
                image: "ami-1".into(),
                at: at(2),
            },
        };
        let line = serde_json::to_string(&intent).unwrap();
        let back: Record = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(back, intent);
    }
}

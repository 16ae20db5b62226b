//! Removing what dead runs left behind, found by tag alone: whoever has the credentials can sweep, with no state of the
//! machine that ran.
//!
//! ```text
//!   look ─▶ Observed (find: every describe call of a region at once, then the leases)
//!             │
//!             ▼
//!           judge (rule: pure) ─▶ SweepPlan: what goes, what stays, and why ─▶ shown; nothing is changed yet
//!                                    │
//!   carry_out, each dead run ◀───────┘
//!     is it still dead? ── no ──▶ left alone
//!       │ yes; its journal is locked by the sweep, if it is on this machine
//!       ▼
//!     bindings ─▶ instances, until terminated ─▶ import tasks ─▶ uploads, objects ─▶ images ─▶ snapshots ─▶ volumes ─▶ key pairs ─▶ groups ─▶ profiles, roles ─▶ tickets
//!       ▲                                                                                                                     │
//!       └───────────── something new shows (made by a call that was still under way) ◀── look again ◀─────────────────────────┘
//!                                                                                             │ nothing new
//!     run lease ◀── journal: what it says may still be there is looked up, and the journal closed as swept
//! ```
//!
//! Every step may be done twice, by one sweep after the other or by two at once: what is gone already counts as removed.
//! A sweep that dies is gone on with by the next one.

mod carry_out;
mod find;
mod imports;
mod journals;
mod lines;
mod remove;
mod rule;
mod settle;

pub use carry_out::{Carried, Outcome, SweepProgress, SweepWatch, carry_out};
pub use find::{Observed, Roles};
pub use imports::Imports;
pub use journals::LocalJournal;
pub use lines::{SweepRow, planned_rows, rows};
pub use rule::{Finding, Judged, KeptToo, Origin, Standing, SweepFacts, Thing, Verdict, judge};

use crate::journal::{JournalError, JournalLock, RunDirectory};
use crate::names::RunId;
use crate::report::LeftResource;
use cloud::{Account, Clock, CloudError, RegionName};
use settle::Held;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a sweep works, and what it may touch.
#[derive(Clone)]
pub struct Sweep {
    /// The account.
    pub account: Arc<dyn Account>,
    /// Its id: journals of other accounts' runs are left alone.
    pub account_id: String,
    /// The regions.
    pub regions: Vec<RegionName>,
    /// The endpoint that commands in messages must name, if it is not AWS's own.
    pub endpoint: Option<String>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Buckets that are looked into besides those that import tasks name, whatever region they are in: what is below `qib/`
    /// there carries no tag, and EC2 forgets its tasks.
    pub buckets: Vec<String>,
    /// Where this machine's journals are.
    pub state_dir: PathBuf,
    /// Only what this run made; none for every run.
    pub only: Option<RunId>,
    /// Whether what is kept for a person goes as well.
    pub kept: KeptToo,
}

/// What goes and what stays.
#[derive(Clone, Debug, Default)]
pub struct SweepPlan {
    /// Everything of qib's runs in the regions, run by run, each run's things in the order of their removal.
    pub judged: Vec<Judged>,
    /// Journals of this machine that cannot be read, and why.
    pub unreadable: Vec<(RunId, String)>,
}

/// Why nothing can be said of what is left.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum SweepError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error(
        "this machine's journals cannot be read, so a living run could be taken for a dead one: {0}"
    )]
    Journals(#[from] JournalError),
}

impl SweepPlan {
    /// What goes.
    pub fn removals(&self) -> impl Iterator<Item = &Finding> {
        self.judged
            .iter()
            .filter(|one| matches!(one.verdict, Verdict::Remove { .. }))
            .map(|one| &one.finding)
    }
}

/// Looks at the regions, all at once, and says what goes and what stays. Changes nothing.
///
/// # Errors
/// If a region cannot be looked at: a plan of half the things could take a living run for a dead one.
pub async fn look(sweep: &Sweep) -> Result<SweepPlan, SweepError> {
    look_holding(sweep, &Held::default()).await
}

/// The same by a sweep that holds journals: their runs do not live because of that.
async fn look_holding(sweep: &Sweep, held: &Held) -> Result<SweepPlan, SweepError> {
    let roles = Roles::observe(sweep.account.iam().as_ref()).await?;
    let regions = sweep.regions.iter().map(|name| {
        let (region, roles) = (sweep.account.region(name), &roles);
        async move { find::observe(region.as_ref(), roles, &sweep.buckets).await }
    });
    let observed = futures::future::try_join_all(regions).await?;
    let journals = journals::all(sweep)?;
    let lock = |run: &RunId| {
        if held.has(run) {
            JournalLock::Free
        } else {
            RunDirectory::of(&sweep.state_dir, run).lock_state()
        }
    };
    let facts = SweepFacts {
        now: sweep.clock.now(),
        only: sweep.only.as_ref(),
        kept: sweep.kept,
        lock: &lock,
    };
    Ok(SweepPlan {
        judged: judge(&observed, &journals.unsettled, &facts),
        unreadable: journals.unreadable,
    })
}

/// Removes what `run` left, if it is dead: for a run that finds another one dead.
///
/// # Errors
/// If the regions cannot be looked at.
pub async fn sweep_run(
    sweep: &Sweep,
    run: &RunId,
    watch: &dyn SweepWatch,
) -> Result<Vec<LeftResource>, SweepError> {
    let sweep = Sweep {
        only: Some(run.clone()),
        ..sweep.clone()
    };
    let plan = look(&sweep).await?;
    let carried = carry_out(&sweep, plan, watch).await?;
    Ok(carried.left(sweep.endpoint.as_deref()))
}

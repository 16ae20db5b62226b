//! Running the provisioners, one after another; one twice only where the pipeline says so.
//!
//! | file | subject |
//! |---|---|
//! | `limit` | how long an entry may take, and how often it is begun |
//! | `run`, `local` | scripts in the guest, and on the machine that qib runs on |
//! | `upload`, `download` | files |
//! | `reboot` | restarting the guest |
//! | `wait_for`, `conditions`, `from_guest` | waiting until something is so |
//! | `pause` | waiting for a time, or a person |
//! | `on_error` | what is done after a failure |
//! | `environment`, `output` | what scripts are told, and what they print |

pub(crate) mod conditions;
mod download;
pub(crate) mod environment;
mod from_guest;
pub(crate) mod limit;
pub(crate) mod local;
mod on_error;
mod output;
mod pause;
mod playbook;
mod reboot;
mod run;
mod upload;
pub(crate) mod wait_for;

use super::Progress;
use super::connect::{GuestLink, still_there};
use super::context::CellContext;
use super::launch::Launched;
use crate::event::Event;
use crate::failure::StepError;
use crate::guest::SessionError;
use crate::journal::{Effect, Outcome};
use crate::options::Venue;
use crate::report::StepOutcome;
use crate::spec::{ActionSpec, CellSpec, ProvisionerSpec};
use environment::{About, AttemptId, List};
use limit::{Limit, attempts};
use std::ops::Deref;
use std::time::Duration;

/// How often the instance is looked at while a provisioner runs.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// An attempt at an entry.
pub(crate) struct Attempt<'a> {
    pub context: &'a CellContext,
    /// What the entry is called.
    pub name: &'a str,
    /// Until when it may go on.
    pub limit: Limit,
    pub id: AttemptId,
    /// What scripts are told.
    pub about: &'a About,
}

impl Attempt<'_> {
    /// The variables of a script: qib's, and its own.
    pub(crate) fn environment(&self, own: &[(String, String)]) -> Vec<(String, String)> {
        let mut variables = self.about.environment(self.context, &self.id);
        variables.extend_from_slice(own);
        variables
    }
}

/// An attempt at an entry that has to do with a guest.
struct Doing<'a> {
    attempt: Attempt<'a>,
    spec: &'a CellSpec,
    launched: &'a Launched,
}

impl<'a> Deref for Doing<'a> {
    type Target = Attempt<'a>;
    fn deref(&self) -> &Attempt<'a> {
        &self.attempt
    }
}

/// What the entries of a cell work on.
struct Guest<'a> {
    spec: &'a CellSpec,
    link: &'a mut GuestLink,
    launched: &'a Launched,
    progress: &'a Progress,
}

/// Runs all provisioners. Gives the names of those that a rehearsal skipped.
pub(super) async fn provision(
    context: &CellContext,
    spec: &CellSpec,
    link: &mut GuestLink,
    launched: &Launched,
    progress: &Progress,
    inputs: &str,
) -> Result<Vec<String>, StepError> {
    let effect = Effect::Provision {
        region: context.region().name().clone(),
        instance: launched.instance.instance_id.clone(),
        inputs: inputs.to_owned(),
    };
    let number = context.effects().announce(context.cell(), effect)?;
    let mut guest = Guest {
        spec,
        link,
        launched,
        progress,
    };
    match run_all(context, &mut guest).await {
        Ok(skipped) => {
            let outcome = Outcome::Provisioned {
                skipped: skipped.clone(),
            };
            context.effects().settle(number, &Ok(()), |()| outcome)?;
            Ok(skipped)
        }
        Err(error) => {
            on_error::after_failure(context, &mut guest, &error).await;
            // Not the error itself: a provisioner's output may be in it.
            let why = String::from("it failed, or was given up");
            context.effects().refused(number, why)?;
            Err(error)
        }
    }
}

async fn run_all(context: &CellContext, guest: &mut Guest<'_>) -> Result<Vec<String>, StepError> {
    let about = about(guest, None);
    let mut skipped = Vec::new();
    for (place, entry) in guest.spec.provision.iter().enumerate() {
        if skips(context, entry) {
            skipped.push(entry.name.clone());
            continue;
        }
        told(context, &entry.name, async {
            run_entry(context, guest, entry, (List::Provision, place), &about).await
        })
        .await?;
        context.after_provisioner(&entry.name).await?;
    }
    Ok(skipped)
}

/// What scripts of the cell are told.
fn about(guest: &Guest<'_>, error: Option<String>) -> About {
    About {
        instance: Some(guest.launched.instance.instance_id.to_string()),
        host: Some(guest.link.host().to_owned()),
        build_name: Some(guest.spec.build_name.clone()),
        error,
    }
}

/// Whether a rehearsal skips the entry; says so if it does.
pub(crate) fn skips(context: &CellContext, entry: &ProvisionerSpec) -> bool {
    if context.run().options.venue != Venue::Rehearsal || entry.needs.is_empty() {
        return false;
    }
    context.run().tell(Event::ProvisionerSkipped {
        cell: context.cell().clone(),
        provisioner: entry.name.clone(),
        needs: entry.needs.clone(),
    });
    context.run().tell(Event::ProvisionerFinished {
        cell: context.cell().clone(),
        provisioner: entry.name.clone(),
        outcome: StepOutcome::Skipped,
        reason: Some(format!("it needs {}", entry.needs.join(", "))),
    });
    true
}

/// Does an entry, and tells its beginning and its end.
pub(crate) async fn told(
    context: &CellContext,
    name: &str,
    work: impl Future<Output = Result<(), StepError>>,
) -> Result<(), StepError> {
    context.run().tell(Event::ProvisionerStarted {
        cell: context.cell().clone(),
        provisioner: name.to_owned(),
    });
    let done = work.await;
    context.run().tell(Event::ProvisionerFinished {
        cell: context.cell().clone(),
        provisioner: name.to_owned(),
        outcome: match &done {
            Ok(()) => StepOutcome::Passed,
            Err(_) => StepOutcome::Failed,
        },
        reason: done.as_ref().err().map(StepError::with_evidence),
    });
    done
}

/// Does an entry as often as it may fail.
async fn run_entry(
    context: &CellContext,
    guest: &mut Guest<'_>,
    entry: &ProvisionerSpec,
    place: (List, usize),
    about: &About,
) -> Result<(), StepError> {
    attempts(
        context,
        &entry.name,
        &entry.schedule,
        async |number: u32, limit: Limit| {
            let doing = Doing {
                attempt: Attempt {
                    context,
                    name: &entry.name,
                    limit,
                    id: AttemptId {
                        run: context.run_id().clone(),
                        entry: place,
                        attempt: number,
                    },
                    about,
                },
                spec: guest.spec,
                launched: guest.launched,
            };
            run_once(&doing, guest.link, guest.progress, &entry.action).await
        },
    )
    .await
}

async fn run_once(
    doing: &Doing<'_>,
    link: &mut GuestLink,
    progress: &Progress,
    action: &ActionSpec,
) -> Result<(), StepError> {
    let (context, launched) = (doing.context, doing.launched);
    match action {
        ActionSpec::Local(run) => tokio::select! {
            biased;
            ended = local::run_local(doing, run) => ended,
            gone = watch(context, launched) => Err(gone),
        },
        ActionSpec::WaitFor(wait) => wait_for::wait_in_guest(doing, link, wait).await,
        ActionSpec::Pause(length) => pause::run_pause(doing, progress, *length).await,
        ActionSpec::Breakpoint(step) => pause::run_breakpoint(doing, progress, step).await,
        ActionSpec::Reboot(step) => reboot::run_reboot(doing, link, step).await,
        ActionSpec::Run(run) => {
            let session = doing.ready(link).await?;
            if doing.id.attempt > 1 {
                run::settle(doing, session, run).await?;
            }
            let Some(within) = run.reboots_within else {
                return run::run_scripts(doing, session, run).await;
            };
            let before = reboot::mark_before(doing, session).await?;
            run::run_scripts(doing, session, run).await?;
            reboot::wait_for_new_boot(doing, link, &before, within).await
        }
        ActionSpec::Upload(step) => {
            let session = doing.ready(link).await?;
            upload::run_upload(doing, session, step).await
        }
        ActionSpec::Download(step) => {
            let session = doing.ready(link).await?;
            download::run_download(doing, session, step).await
        }
        ActionSpec::Ansible(step) => {
            let session = doing.ready(link).await?;
            playbook::run_ansible(doing, session, step).await
        }
        ActionSpec::AnsibleLocal(step) => playbook::run_ansible_local(doing, link, step).await,
    }
}

impl Doing<'_> {
    /// The connection, opened again if it ended between two entries or two attempts.
    async fn ready<'l>(
        &self,
        link: &'l mut GuestLink,
    ) -> Result<&'l dyn crate::guest::GuestSession, StepError> {
        self.limit
            .race(self.context, link.ready(self.context, self.launched))
            .await
            .map_err(|halt| halt.of(self.name, Vec::new()))?
    }
}

/// The connection broke: because the instance is gone, or for another reason.
async fn session_failed(
    context: &CellContext,
    launched: &Launched,
    error: SessionError,
    doing: String,
) -> StepError {
    match error {
        SessionError::ConnectionLost(detail) => match still_there(context, launched).await {
            Err(gone @ StepError::InstanceGone { .. }) => gone,
            Ok(()) | Err(_) => StepError::ConnectionLost { doing, detail },
        },
        SessionError::Refused(detail) => StepError::ConnectionLost { doing, detail },
    }
}

/// Comes back with an error when the instance is no longer running.
async fn watch(context: &CellContext, launched: &Launched) -> StepError {
    loop {
        context.clock().sleep(LOOK_EVERY).await;
        if let Err(error @ StepError::InstanceGone { .. }) = still_there(context, launched).await {
            return error;
        }
    }
}

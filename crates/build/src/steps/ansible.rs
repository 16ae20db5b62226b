//! The provisioners `ansible` and `ansible_local`: a cell's playbooks, and what is cleared away after them.

use super::connect::GuestLink;
use super::context::CellContext;
use super::launch::Launched;
use super::provision::limit::{Halt, Limit};
use crate::ansible::{AnsibleError, PlaybookEnd, PrivateFolder, from_here, inside};
use crate::failure::StepError;
use crate::guest::{GuestSession, Output, SessionError};
use crate::host::LocalError;
use crate::spec::{AnsibleLocalSpec, AnsibleSpec};
use std::path::Path;
use std::time::Duration;

/// How long removing a playbook's folder from the guest may take.
const REMOVED_WITHIN: Duration = Duration::from_secs(60);

/// On what terms a playbook runs inside a guest.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// Whether it gets a terminal.
    pub pty: bool,
    /// Until when it may go on.
    pub limit: Limit,
}

/// Why a playbook was not carried out.
pub(super) enum Failure {
    /// In the words that follow the provisioner's name.
    How(String),
    /// The connection to the guest was lost.
    Lost(SessionError),
    /// The run is to stop, or the entry's time is over.
    Halt(Halt),
    /// For a reason that is not the playbook's.
    Step(Box<StepError>),
}

impl From<AnsibleError> for Failure {
    fn from(error: AnsibleError) -> Self {
        match error {
            AnsibleError::Session {
                error: error @ SessionError::ConnectionLost(_),
                ..
            } => Self::Lost(error),
            other => Self::How(format!("did not go well: {other}")),
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self::Step(Box::new(error))
    }
}

/// Runs a playbook on this machine. Its private folder is gone afterwards, whatever comes of it.
pub(super) async fn from_here(
    context: &CellContext,
    spec: &AnsibleSpec,
    session: &dyn GuestSession,
    output: &mut dyn Output,
) -> Result<(), Failure> {
    let cell = context
        .run()
        .directory
        .cell(context.cell())
        .map_err(StepError::from)?;
    let folder = PrivateFolder::make(&cell)?;
    let stop = Box::pin(async {
        context.run().cancellation.cancelled().await;
    });
    let commands = context.run().ports.host.commands.as_ref();
    let ran = from_here::run(spec, &folder, session, commands, output, stop).await;
    let removed = folder.remove();
    let ran = match ran {
        Ok(ran) => ran,
        Err(AnsibleError::Local(LocalError::Stopped)) => {
            // Only a cancellation stops it.
            let stopped = context.run().cancellation.check();
            let why = stopped.err().map_or_else(
                || Failure::How(String::from("was stopped")),
                |why| StepError::Cancelled(why).into(),
            );
            return Err(why);
        }
        Err(error) => return Err(error.into()),
    };
    complain(&ran.end, &spec.playbook, ran.trouble.as_deref())?;
    Ok(removed?)
}

/// Runs a playbook inside the guest. Its folder there is removed afterwards, also after a failure or when its time is over:
/// it may hold secrets, so no image is made while it is there.
pub(super) async fn inside(
    context: &CellContext,
    spec: &AnsibleLocalSpec,
    link: &mut GuestLink,
    launched: &Launched,
    terms: Terms,
    output: &mut dyn Output,
) -> Result<(), Failure> {
    let staging = inside::Staging::unguessable(spec);
    let session = link.ready(context, launched).await?;
    let work = inside::run(spec, &staging, session, terms.pty, output);
    let ended = match terms.limit.race(context, work).await {
        Ok(Ok(end)) => complain(&end, &spec.playbook, None),
        Ok(Err(error)) => Err(error.into()),
        // The instance is about to be terminated, with all that is in it.
        Err(halt @ Halt::Cancelled(_)) => return Err(Failure::Halt(halt)),
        Err(halt @ Halt::OutOfTime(_)) => Err(Failure::Halt(halt)),
    };
    let removing = remove(context, &staging, link, launched);
    let removed = Limit::begin(context, Some(REMOVED_WITHIN))
        .race(context, removing)
        .await
        .unwrap_or_else(|halt| Err(Failure::Halt(halt)));
    match (ended, removed) {
        (Ok(()), removed) => removed,
        (Err(failure), Ok(())) => Err(failure),
        (Err(failure), Err(_)) => {
            // The instance is not captured, so the folder goes with it, unless it is kept for somebody to look at.
            context.warn(format!(
                "the folder {} could not be removed from the guest, and may hold secrets",
                staging.path()
            ));
            Err(failure)
        }
    }
}

async fn remove(
    context: &CellContext,
    staging: &inside::Staging,
    link: &mut GuestLink,
    launched: &Launched,
) -> Result<(), Failure> {
    let session = link.ready(context, launched).await?;
    Ok(inside::remove(staging, session).await?)
}

fn complain(end: &PlaybookEnd, playbook: &Path, trouble: Option<&str>) -> Result<(), Failure> {
    match end.complaint(&playbook.display().to_string()) {
        None => Ok(()),
        Some(how) => Err(Failure::How(match trouble {
            Some(trouble) => {
                format!("{how}; a session could not be passed on to the guest: {trouble}")
            }
            None => how,
        })),
    }
}

//! Playbooks, from here and inside the guest.

use super::limit::Halt;
use super::output::Live;
use super::{Doing, session_failed, watch};
use crate::failure::StepError;
use crate::guest::GuestSession;
use crate::spec::{AnsibleLocalSpec, AnsibleSpec};
use crate::steps::ansible::{self, Failure, Terms};
use crate::steps::connect::GuestLink;

/// Runs a playbook on this machine.
pub(super) async fn run_ansible(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
    spec: &AnsibleSpec,
) -> Result<(), StepError> {
    let context = doing.context;
    let mut output = Live::new(context, doing.name);
    let ended = tokio::select! {
        biased;
        ended = doing.limit.race(context, ansible::from_here(context, spec, session, &mut output)) => ended,
        gone = watch(context, doing.launched) => return Err(gone),
    };
    conclude(doing, ended, output).await
}

/// Runs a playbook inside the guest.
pub(super) async fn run_ansible_local(
    doing: &Doing<'_>,
    link: &mut GuestLink,
    spec: &AnsibleLocalSpec,
) -> Result<(), StepError> {
    let context = doing.context;
    let mut output = Live::new(context, doing.name);
    let terms = Terms {
        pty: doing.spec.connect.pty,
        limit: doing.limit,
    };
    let playbook = ansible::inside(context, spec, link, doing.launched, terms, &mut output);
    let ended = tokio::select! {
        biased;
        ended = playbook => Ok(ended),
        gone = watch(context, doing.launched) => return Err(gone),
    };
    conclude(doing, ended, output).await
}

/// What a playbook came to, as the provisioner's end.
async fn conclude(
    doing: &Doing<'_>,
    ended: Result<Result<(), Failure>, Halt>,
    mut output: Live<'_>,
) -> Result<(), StepError> {
    output.finish();
    let how = match ended {
        Ok(Ok(())) => return Ok(()),
        Err(halt) | Ok(Err(Failure::Halt(halt))) => {
            return Err(halt.of(doing.name, output.into_last_lines()));
        }
        Ok(Err(Failure::Step(error))) => return Err(*error),
        Ok(Err(Failure::Lost(error))) => {
            let ran = format!("provisioner `{}` ran", doing.name);
            return Err(session_failed(doing.context, doing.launched, error, ran).await);
        }
        Ok(Err(Failure::How(how))) => how,
    };
    Err(StepError::Provisioner {
        name: doing.name.to_owned(),
        how,
        last_lines: output.into_last_lines(),
    })
}

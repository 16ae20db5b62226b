//! What is done after a provisioner has failed, before the instance is removed.
//!
//! It is not done when a run is stopped on request: whoever presses Ctrl-C waits for the end, and nothing has gone wrong
//! that would have to be looked into. A run that is stopped meanwhile gives it up.

use super::environment::List;
use super::{Guest, about, run_entry, skips, told};
use crate::failure::StepError;
use crate::spec::{ActionSpec, ConditionSpec};
use crate::steps::CellContext;
use std::time::Duration;

/// How long an entry may take that does not say: what has failed costs money until all of it has ended.
const ENTRY_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Does the entries of `on_error`, one after another. What fails here is a warning: the failure that they come after is
/// the one that counts.
pub(super) async fn after_failure(context: &CellContext, guest: &mut Guest<'_>, error: &StepError) {
    if matches!(error, StepError::Cancelled(_)) || guest.spec.on_error.is_empty() {
        return;
    }
    let gone = matches!(
        error,
        StepError::InstanceGone { .. } | StepError::HostKeyMismatch { .. }
    );
    let about = about(guest, Some(context.run().masked(&error.to_string())));
    let mut way_closed = gone.then(|| String::from("there is no way into the instance any more"));
    for (place, entry) in guest.spec.on_error.iter().enumerate() {
        if skips(context, entry) {
            continue;
        }
        if needs_guest(&entry.action) {
            if way_closed.is_none()
                && guest.link.is_closed()
                && let Err(why) = guest.link.reopen_once(context).await
            {
                way_closed = Some(format!("the connection is lost: {why}"));
            }
            if let Some(why) = &way_closed {
                context.warn(format!("on_error: `{}` is left out: {why}", entry.name));
                continue;
            }
        }
        let mut entry = entry.clone();
        entry.schedule.timeout.get_or_insert(ENTRY_WITHIN);
        let done = told(context, &entry.name, async {
            run_entry(context, guest, &entry, (List::OnError, place), &about).await
        })
        .await;
        match done {
            Ok(()) => {}
            Err(StepError::Cancelled(_)) => return,
            Err(why) => {
                let lines: String = why
                    .evidence()
                    .iter()
                    .map(|line| format!("\n    {line}"))
                    .collect();
                context.warn(format!("on_error: {why}{lines}"));
            }
        }
    }
}

/// Whether it goes through the connection.
fn needs_guest(action: &ActionSpec) -> bool {
    match action {
        ActionSpec::Run(_)
        | ActionSpec::Upload(_)
        | ActionSpec::Download(_)
        | ActionSpec::Reboot(_)
        | ActionSpec::Ansible(_)
        | ActionSpec::AnsibleLocal(_) => true,
        ActionSpec::WaitFor(wait) => !matches!(wait.condition, ConditionSpec::HttpFromHost(_)),
        ActionSpec::Local(_) | ActionSpec::Pause(_) | ActionSpec::Breakpoint(_) => false,
    }
}

//! Waiting for a time, or for a person, with the way in at hand.

use super::{Doing, watch};
use crate::failure::StepError;
use crate::host::Answer;
use crate::spec::BreakpointSpec;
use crate::steps::Progress;
use crate::way_in;
use std::time::Duration;

/// Waits for `length`.
pub(super) async fn run_pause(
    doing: &Doing<'_>,
    progress: &Progress,
    length: Duration,
) -> Result<(), StepError> {
    doing.context.note(format!(
        "`{}` waits for {length:?}. {}",
        doing.name,
        way_in_text(doing, progress)
    ));
    tokio::select! {
        biased;
        waited = doing.context.pause(length) => waited,
        gone = watch(doing.context, doing.launched) => Err(gone),
    }
}

/// Waits for a person's word.
pub(super) async fn run_breakpoint(
    doing: &Doing<'_>,
    progress: &Progress,
    breakpoint: &BreakpointSpec,
) -> Result<(), StepError> {
    let context = doing.context;
    let failed = |how: &str| StepError::Provisioner {
        name: doing.name.to_owned(),
        how: how.to_owned(),
        last_lines: Vec::new(),
    };
    let Some(operator) = &context.run().ports.host.operator else {
        if breakpoint.required {
            return Err(failed(
                "is `required: true`, and there is no terminal to ask at",
            ));
        }
        context.warn(format!(
            "breakpoint `{}` is passed: there is no terminal to ask at",
            doing.name
        ));
        return Ok(());
    };
    let message = match &breakpoint.message {
        Some(message) => format!("{}: {message}", doing.name),
        None => doing.name.to_owned(),
    };
    let way_in = way_in_text(doing, progress);
    context.note(format!("{message}. {way_in}"));
    let question = context.run().masked(&format!(
        "{} stands at {message}\n{way_in}",
        doing.spec.cell
    ));
    let answer = tokio::select! {
        biased;
        answer = context.race(operator.confirm(&question)) => answer?,
        gone = watch(context, doing.launched) => return Err(gone),
    };
    match answer {
        Answer::GoOn => Ok(()),
        Answer::Abort => Err(failed("was answered with a no")),
    }
}

/// How a person gets in meanwhile.
fn way_in_text(doing: &Doing<'_>, progress: &Progress) -> String {
    let command = format!("qib ssh {}", doing.launched.instance.instance_id);
    match progress.way_in() {
        Some(way_in) => format!("The way in: `{command}`, or {}", way_in::describe(&way_in)),
        None => format!("The way in: `{command}`"),
    }
}

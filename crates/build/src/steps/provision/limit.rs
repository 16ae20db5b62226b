//! How long an entry may take, and how often it is begun.
//!
//! ```text
//!              ┌── a failure, and attempts are left ── delay ──┐
//!              ▼                                               │
//!  pause ─▶ attempt ──────────────────────────────────────────┴─▶ failed: the last attempt's failure
//!              │ └── the run is to stop ─────────▶ cancelled        (or a failure that no attempt can mend)
//!              │ └── the entry's time is over ───▶ failed
//!              └── well ─────────────────────────▶ done
//! ```

use crate::cancel::Cancelled;
use crate::failure::StepError;
use crate::spec::ScheduleSpec;
use crate::steps::CellContext;
use cloud::Timestamp;
use std::time::Duration;

/// Until when an entry may go on: until the run is to stop, or its time is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    end: Option<(Timestamp, Duration)>,
}

/// Why an entry may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The run is to stop.
    Cancelled(Cancelled),
    /// The entry has taken all of its time, which was this long.
    OutOfTime(Duration),
}

impl Halt {
    /// As the failure of the provisioner `name`, which had printed `last_lines`.
    pub(crate) fn of(self, name: &str, last_lines: Vec<String>) -> StepError {
        match self {
            Self::Cancelled(why) => StepError::Cancelled(why),
            Self::OutOfTime(allowed) => StepError::Provisioner {
                name: name.to_owned(),
                how: format!("did not end within {allowed:?}, which is its `timeout`"),
                last_lines,
            },
        }
    }
}

impl Limit {
    /// From now, for as long as `timeout` says.
    pub(crate) fn begin(context: &CellContext, timeout: Option<Duration>) -> Self {
        Self {
            end: timeout.map(|allowed| (context.deadline(allowed), allowed)),
        }
    }

    /// The same, and not longer than `allowed` from now.
    pub(crate) fn at_most(self, context: &CellContext, allowed: Duration) -> Self {
        let end = (context.deadline(allowed), allowed);
        Self {
            end: Some(match self.end {
                Some(sooner) if sooner.0 < end.0 => sooner,
                Some(_) | None => end,
            }),
        }
    }

    /// Comes when there is no going on.
    pub(crate) async fn over(self, context: &CellContext) -> Halt {
        let time = async {
            match self.end {
                Some((end, allowed)) => {
                    let now = context.clock().now();
                    if now < end {
                        context.clock().sleep(cloud::clock::between(now, end)).await;
                    }
                    Halt::OutOfTime(allowed)
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = context.run().cancellation.cancelled() => Halt::Cancelled(why),
            halt = time => halt,
        }
    }

    /// Whether the entry's time is over.
    fn is_over(self, context: &CellContext) -> bool {
        self.end
            .is_some_and(|(end, _)| context.clock().now() >= end)
    }

    /// Does `work`, unless there is no going on; then `work` is dropped where it stands.
    pub(crate) async fn race<T>(
        self,
        context: &CellContext,
        work: impl Future<Output = T>,
    ) -> Result<T, Halt> {
        if let Some(why) = context.run().cancellation.requested() {
            return Err(Halt::Cancelled(why));
        }
        tokio::select! {
            biased;
            value = work => Ok(value),
            halt = self.over(context) => Err(halt),
        }
    }
}

/// Whether another attempt can mend it. What is not the provisioner's own failure cannot be mended by running it again.
const fn can_be_mended(error: &StepError) -> bool {
    matches!(
        error,
        StepError::Provisioner { .. }
            | StepError::ConnectionLost { .. }
            | StepError::Upload { .. }
            | StepError::Download { .. }
            | StepError::SshNeverCameUp { .. }
    )
}

/// Does an entry as often as it is allowed to fail. `attempt` is given the number of the attempt, from 1.
pub(crate) async fn attempts(
    context: &CellContext,
    name: &str,
    schedule: &ScheduleSpec,
    mut attempt: impl AsyncFnMut(u32, Limit) -> Result<(), StepError>,
) -> Result<(), StepError> {
    if let Some(pause) = schedule.pause_before {
        context.pause(pause).await?;
    }
    let limit = Limit::begin(context, schedule.timeout);
    let most = schedule.retries.saturating_add(1);
    let mut number = 1;
    loop {
        let error = match attempt(number, limit).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if number == most || !can_be_mended(&error) || limit.is_over(context) {
            return Err(error);
        }
        let lines: String = error
            .evidence()
            .iter()
            .map(|line| format!("\n    {line}"))
            .collect();
        context.warn(format!(
            "attempt {number} of {most} of `{name}` failed: {error}{lines}\n    the next one begins in {:?}",
            schedule.delay
        ));
        if let Err(halt) = limit
            .race(context, context.clock().sleep(schedule.delay))
            .await
        {
            return Err(match halt {
                Halt::Cancelled(why) => StepError::Cancelled(why),
                // What went wrong says more than that there was no time to try again.
                Halt::OutOfTime(_) => error,
            });
        }
        number += 1;
    }
}

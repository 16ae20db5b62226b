//! Restarting the guest's operating system.
//!
//! ```text
//!  read the boot's mark ─▶ restart ─▶ ┌─ open a new connection ─ no answer ──────────────────┐
//!                                     │        │ the same host key answers                  │
//!                                     │   read the mark ── the same: it has not gone down ───┤
//!                                     │        │ another                                     ▼
//!                                     │        ▼                                     wait, and again, until the deadline
//!                                     │  the new connection is the one that is used
//!                                     └──────────────────────────────────────────────────────┘
//! ```
//!
//! That a connection dropped, or that one can be opened, tells nothing: a guest that shuts down answers for a while. Only
//! another mark does.

use super::limit::Halt;
use super::output::Quiet;
use super::{Doing, session_failed};
use crate::event::OutputStream;
use crate::failure::StepError;
use crate::guest::{
    CommandEnd, GuestCommand, GuestSession, OpenError, Output, Script, SessionError,
};
use crate::spec::RebootSpec;
use crate::steps::connect::{GuestLink, still_there};
use cloud::Timestamp;
use std::time::Duration;

/// The pause between two attempts to reach the new boot.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long asking for the mark may take.
const ASK_WITHIN: Duration = Duration::from_secs(15);
/// By how much the time since the boot may fall behind the time that has passed, before it counts as another boot.
const DRIFT: f64 = 5.0;

/// What restarts a guest where the pipeline does not say.
const RESTART: &str = "systemctl reboot || shutdown -r now || reboot";

/// Prints what tells one boot from another: the kernel's id of it and the start of process 1 (in a container the kernel is
/// the host's, and only process 1 is new), else the seconds since it.
const MARK_SCRIPT: &str = r#"#!/bin/sh
id=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
start=$(sed 's/^.*) //' /proc/1/stat 2>/dev/null | cut -d ' ' -f 20)
if [ -n "$id" ]; then
    echo "id $id $start"
else
    echo "up $(cut -d ' ' -f 1 /proc/uptime)"
fi
"#;

/// What tells one boot from another.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum BootMark {
    /// Equal in one boot, and different in another.
    Id(String),
    /// Seconds since the boot, and when they were read.
    Uptime(f64, Timestamp),
}

impl BootMark {
    fn parse(line: &str, now: Timestamp) -> Option<Self> {
        match line.trim().split_once(' ')? {
            ("id", id) => Some(Self::Id(id.to_owned())),
            ("up", seconds) => Some(Self::Uptime(seconds.parse().ok()?, now)),
            _ => None,
        }
    }

    /// Whether this was read in another boot than `earlier`.
    fn is_of_another_boot(&self, earlier: &Self) -> bool {
        match (earlier, self) {
            (Self::Id(before), Self::Id(after)) => before != after,
            (Self::Uptime(before, then), Self::Uptime(after, now)) => {
                let passed = cloud::clock::between(*then, *now).as_secs_f64();
                after + DRIFT < before + passed
            }
            // The file appeared or went: not without a boot.
            (Self::Id(_), Self::Uptime(..)) | (Self::Uptime(..), Self::Id(_)) => true,
        }
    }
}

/// Keeps the line that the mark is.
#[derive(Default)]
struct MarkLine(Option<String>);

impl Output for MarkLine {
    fn line(&mut self, stream: OutputStream, line: &str) {
        if stream == OutputStream::Stdout && self.0.is_none() {
            self.0 = Some(line.to_owned());
        }
    }
}

/// The mark of the boot that the guest is in.
async fn ask_mark(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
) -> Result<Result<BootMark, SessionError>, Halt> {
    let context = doing.context;
    let command = GuestCommand {
        script: Script {
            name: String::from("boot-mark"),
            text: MARK_SCRIPT.as_bytes().to_vec(),
        },
        ..GuestCommand::default()
    };
    let mut line = MarkLine::default();
    let asking = async {
        let ended = tokio::select! {
            biased;
            ended = session.run(&command, &mut line) => ended,
            () = context.clock().sleep(ASK_WITHIN) => {
                Err(SessionError::ConnectionLost(format!("no answer within {ASK_WITHIN:?}")))
            }
        };
        ended.map(|_| ())
    };
    let ended = doing.limit.race(context, asking).await?;
    Ok(ended.and_then(|()| {
        let now = context.clock().now();
        let mark = line
            .0
            .as_deref()
            .and_then(|line| BootMark::parse(line, now));
        mark.ok_or_else(|| {
            SessionError::Refused(String::from(
                "the guest does not tell its boots apart: it has no /proc",
            ))
        })
    }))
}

/// The mark of the boot that the guest is in before it is restarted.
pub(super) async fn mark_before(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
) -> Result<BootMark, StepError> {
    match ask_mark(doing, session).await {
        Ok(Ok(mark)) => Ok(mark),
        Ok(Err(error)) => {
            let what = format!("`{}` asked for the guest's boot id", doing.name);
            Err(session_failed(doing.context, doing.launched, error, what).await)
        }
        Err(halt) => Err(halt.of(doing.name, Vec::new())),
    }
}

/// Restarts the guest, and waits until it answers again.
pub(super) async fn run_reboot(
    doing: &Doing<'_>,
    link: &mut GuestLink,
    reboot: &RebootSpec,
) -> Result<(), StepError> {
    let context = doing.context;
    let ready = doing
        .limit
        .race(context, link.ready(context, doing.launched));
    let session = ready
        .await
        .map_err(|halt| halt.of(doing.name, Vec::new()))??;
    let before = mark_before(doing, session).await?;
    let command = GuestCommand {
        script: Script {
            name: String::from("reboot"),
            text: reboot
                .command
                .as_deref()
                .unwrap_or(RESTART)
                .as_bytes()
                .to_vec(),
        },
        become_user: Some(String::from("root")),
        ..GuestCommand::default()
    };
    let limit = doing.limit.at_most(context, reboot.within);
    let mut output = Quiet::new(context);
    let ended = limit
        .race(context, session.run(&command, &mut output))
        .await
        .map_err(|halt| halt.of(doing.name, Vec::new()))?;
    match ended {
        // The shutdown ends the command, too, or takes its connection away.
        Ok(CommandEnd::Exited(0 | 143) | CommandEnd::Signalled(_))
        | Err(SessionError::ConnectionLost(_)) => {}
        Ok(CommandEnd::Exited(code)) => {
            return Err(StepError::Provisioner {
                name: doing.name.to_owned(),
                how: format!("could not restart the guest: exit code {code}"),
                last_lines: output.into_last_lines(),
            });
        }
        Err(error @ SessionError::Refused(_)) => {
            let what = format!("`{}` restarted the guest", doing.name);
            return Err(session_failed(context, doing.launched, error, what).await);
        }
    }
    wait_for_new_boot(doing, link, &before, reboot.within).await
}

/// Waits until the guest is in another boot than `before` and the same host key answers; `link` is connected to it then.
pub(super) async fn wait_for_new_boot(
    doing: &Doing<'_>,
    link: &mut GuestLink,
    before: &BootMark,
    within: Duration,
) -> Result<(), StepError> {
    let context = doing.context;
    let began = context.clock().now();
    let deadline = context.deadline(within);
    loop {
        let last = match doing.limit.race(context, link.try_open(context)).await {
            Err(halt) => return Err(halt.of(doing.name, Vec::new())),
            Ok(Err(OpenError::NotYet(detail) | OpenError::Refused(detail))) => detail,
            Ok(Err(OpenError::HostKeyMismatch(detail))) => {
                return Err(StepError::HostKeyMismatch {
                    destination: link.destination(),
                    detail,
                });
            }
            Ok(Err(OpenError::Permanent(detail))) => {
                return Err(StepError::SshNeverCameUp {
                    destination: link.destination(),
                    waited: cloud::clock::between(began, context.clock().now()),
                    last: detail,
                    console: Vec::new(),
                });
            }
            Ok(Ok(session)) => match ask_mark(doing, session.as_ref()).await {
                Err(halt) => return Err(halt.of(doing.name, Vec::new())),
                Ok(Ok(mark)) if mark.is_of_another_boot(before) => {
                    link.replace(session);
                    let took = cloud::clock::between(began, context.clock().now());
                    context.note(format!(
                        "the guest has booted anew and answers again after {}s",
                        took.as_secs()
                    ));
                    return Ok(());
                }
                Ok(Ok(_)) => {
                    session.close().await;
                    String::from("it answers, and is still in the boot that it was in")
                }
                Ok(Err(error)) => error.to_string(),
            },
        };
        still_there(context, doing.launched).await?;
        if context.clock().now() >= deadline {
            return Err(StepError::Provisioner {
                name: doing.name.to_owned(),
                how: format!("did not bring the guest back within {within:?}: {last}"),
                last_lines: context
                    .console_tail(&doing.launched.instance.instance_id, 20)
                    .await,
            });
        }
        if let Err(halt) = doing
            .limit
            .race(context, context.clock().sleep(LOOK_EVERY))
            .await
        {
            return Err(halt.of(doing.name, vec![last]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn mark(line: &str, seconds: i64) -> BootMark {
        BootMark::parse(line, at(seconds)).unwrap()
    }

    #[test]
    fn an_id_is_the_same_until_the_next_boot() {
        let before = mark("id 3f1c 7", 0);
        assert!(!mark("id 3f1c 7", 900).is_of_another_boot(&before));
        assert!(mark("id 9999 7", 5).is_of_another_boot(&before));
        assert!(mark("id 3f1c 123456", 5).is_of_another_boot(&before));
    }

    #[test]
    fn the_time_since_a_boot_keeps_pace_with_the_clock_until_the_next_one() {
        let before = mark("up 300.51", 0);
        assert!(!mark("up 345.00", 45).is_of_another_boot(&before));
        assert!(mark("up 12.00", 45).is_of_another_boot(&before));
        // A guest that had just booted: its next boot is older when it answers.
        let young = mark("up 5.00", 0);
        assert!(mark("up 20.00", 60).is_of_another_boot(&young));
        assert!(!mark("up 64.00", 60).is_of_another_boot(&young));
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "the script is run by this machine's shell"
    )]
    fn the_script_gives_the_same_mark_as_long_as_the_machine_runs() {
        let asked = || {
            let mut shell = std::process::Command::new("/bin/sh");
            let output = shell.args(["-c", MARK_SCRIPT]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let (first, second) = (asked(), asked());
        assert_eq!(first, second);
        assert_eq!(first.split_whitespace().count(), 3, "{first}");
        assert!(mark(&first, 0) == mark(&second, 9));
    }

    #[test]
    fn what_is_no_mark_is_none() {
        for line in ["", "up", "up x", "boot 1", "sudo: a password is required"] {
            assert_eq!(BootMark::parse(line, at(0)), None, "{line:?}");
        }
    }
}

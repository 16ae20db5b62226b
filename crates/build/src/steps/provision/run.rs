//! Scripts in the guest.

use super::limit::Halt;
use super::output::{Live, Quiet};
use super::{Doing, session_failed, watch};
use crate::failure::StepError;
use crate::guest::{CommandEnd, GuestCommand, GuestSession, Script, SessionError};
use crate::spec::RunSpec;

/// How a script came to its end.
enum Ending {
    /// By itself.
    Ended,
    /// With its connection, as a script that restarts the guest may.
    ConnectionLost,
}

/// Runs the scripts, one after another.
pub(super) async fn run_scripts(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
    run: &RunSpec,
) -> Result<(), StepError> {
    for script in &run.scripts {
        let command = GuestCommand {
            script: script.clone(),
            become_user: run.become_user.clone(),
            interpreter: run.interpreter.clone(),
            errexit: run.errexit,
            pty: doing.spec.connect.pty,
            environment: doing.environment(&run.environment),
        };
        match run_script(doing, session, run, &command).await? {
            Ending::Ended => {}
            Ending::ConnectionLost => return Ok(()),
        }
    }
    Ok(())
}

async fn run_script(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
    run: &RunSpec,
    command: &GuestCommand,
) -> Result<Ending, StepError> {
    let context = doing.context;
    let limit = match run.timeout {
        Some(each) => doing.limit.at_most(context, each),
        None => doing.limit,
    };
    let mut output = Live::new(context, doing.name);
    let ended = tokio::select! {
        biased;
        ended = limit.race(context, session.run(command, &mut output)) => ended,
        gone = watch(context, doing.launched) => return Err(gone),
    };
    let how = match ended {
        Err(Halt::Cancelled(why)) => return Err(StepError::Cancelled(why)),
        Err(Halt::OutOfTime(allowed)) => {
            format!("did not end within {allowed:?}; its connection was dropped")
        }
        Ok(Ok(CommandEnd::Exited(code))) if run.exit_codes.contains(&code) => {
            output.finish();
            return Ok(Ending::Ended);
        }
        // The shutdown that it asked for ends the script, too.
        Ok(Ok(CommandEnd::Exited(143) | CommandEnd::Signalled(_)))
            if run.reboots_within.is_some() =>
        {
            output.finish();
            return Ok(Ending::Ended);
        }
        Ok(Ok(CommandEnd::Exited(code))) => format!("ended with exit code {code}"),
        Ok(Ok(CommandEnd::Signalled(signal))) => format!("was ended by signal {signal}"),
        Ok(Err(SessionError::ConnectionLost(_))) if run.reboots_within.is_some() => {
            output.finish();
            return Ok(Ending::ConnectionLost);
        }
        Ok(Err(error)) => {
            output.finish();
            let ran = format!("provisioner `{}` ran", doing.name);
            return Err(session_failed(context, doing.launched, error, ran).await);
        }
    };
    Err(StepError::Provisioner {
        name: doing.name.to_owned(),
        how,
        last_lines: output.into_last_lines(),
    })
}

/// Ends every process of the same user that an earlier attempt has left running: a script whose connection broke, or whose
/// time was over, may go on by itself, and two at once would be in each other's way. POSIX sh; where /proc is not to be
/// read, nothing is found.
const SETTLE_SCRIPT: &str = r#"#!/bin/sh
left() {
    for dir in /proc/[0-9]*; do
        pid=${dir#/proc/}
        tr '\0' '\n' <"$dir/environ" 2>/dev/null | grep -qF "QIB_ATTEMPT=$QIB_EARLIER" && echo "$pid"
    done
}
signal=TERM
for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    pids=$(left)
    [ -n "$pids" ] || exit 0
    [ "$second" -lt 11 ] || signal=KILL
    kill -s "$signal" $pids 2>/dev/null
    sleep 1
done
echo "still running:" $pids
exit 1
"#;

/// Sees to it that nothing of the earlier attempts still runs.
pub(super) async fn settle(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
    run: &RunSpec,
) -> Result<(), StepError> {
    let context = doing.context;
    let command = GuestCommand {
        script: Script {
            name: String::from("end-earlier-attempt"),
            text: SETTLE_SCRIPT.as_bytes().to_vec(),
        },
        become_user: run.become_user.clone(),
        environment: vec![(String::from("QIB_EARLIER"), doing.id.prefix())],
        ..GuestCommand::default()
    };
    let mut output = Quiet::new(context);
    let ended = doing
        .limit
        .race(context, session.run(&command, &mut output))
        .await
        .map_err(|halt| halt.of(doing.name, Vec::new()))?;
    let how = match ended {
        Ok(CommandEnd::Exited(0)) => return Ok(()),
        Ok(CommandEnd::Exited(_)) => String::from(
            "cannot be tried again: what its earlier attempt began still runs in the guest",
        ),
        Ok(CommandEnd::Signalled(signal)) => {
            format!("cannot be tried again: looking for its earlier attempt was ended by {signal}")
        }
        Err(error) => {
            let looked = format!("the earlier attempt at `{}` was looked for", doing.name);
            return Err(session_failed(context, doing.launched, error, looked).await);
        }
    };
    Err(StepError::Provisioner {
        name: doing.name.to_owned(),
        how,
        last_lines: output.into_last_lines(),
    })
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "the script is run by this machine's shell"
)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn started(attempt: &str, script: &str) -> Child {
        Command::new("/bin/sh")
            .args(["-c", script])
            .env("QIB_ATTEMPT", attempt)
            .spawn()
            .unwrap()
    }

    #[test]
    fn earlier_attempts_are_ended_by_force_if_need_be_and_others_are_let_be() {
        // A prefix that no other process of this machine has.
        let prefix = format!("r-{}.provision.2.", std::process::id());
        let mut polite = started(&format!("{prefix}1"), "sleep 600; :");
        let mut stubborn = started(
            &format!("{prefix}2"),
            "trap '' TERM; while :; do sleep 1; done",
        );
        let mut other = started(&prefix.replace(".2.", ".21.1"), "exec sleep 600");
        let ended = Command::new("/bin/sh")
            .args(["-c", SETTLE_SCRIPT])
            .env("QIB_EARLIER", &prefix)
            .status()
            .unwrap();
        assert!(ended.success());
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(polite.wait().unwrap().signal(), Some(15));
        assert_eq!(stubborn.wait().unwrap().signal(), Some(9));
        assert_eq!(
            other.try_wait().unwrap(),
            None,
            "another entry's process goes on"
        );
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

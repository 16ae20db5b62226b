//! Waiting until something is so.
//!
//! A look changes nothing, so it is done as often as it takes, and over a new connection when one was lost.

use super::limit::{Halt, Limit};
use super::output::Quiet;
use super::{Attempt, Doing, conditions, from_guest, watch};
use crate::event::OutputStream;
use crate::failure::StepError;
use crate::guest::{CommandEnd, GuestCommand, Script, SessionError};
use crate::host::{HttpRequest, LocalCommand, LocalError};
use crate::spec::{CommandSpec, ConditionSpec, HttpSpec, WaitSpec};
use crate::steps::connect::GuestLink;
use std::time::Duration;

/// How long a look may take at least, however little time is left: one that has begun is worth its end.
const LOOK_AT_LEAST: Duration = Duration::from_secs(10);
/// How long a web server may take to answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What a look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is so.
    Yes,
    /// It is not so yet: why.
    NotYet(String),
    /// It will not become so: why.
    Never(String),
}

/// Waits in the guest, and from it.
pub(super) async fn wait_in_guest(
    doing: &Doing<'_>,
    link: &mut GuestLink,
    wait: &WaitSpec,
) -> Result<(), StepError> {
    let waiting = wait_until(&doing.attempt, wait, async |limit: Limit| {
        match &wait.condition {
            ConditionSpec::HttpFromHost(asked) => ask_from_host(&doing.attempt, asked, limit).await,
            ConditionSpec::HttpFromGuest(asked) => {
                look_in_guest(doing, link, limit, from_guest::Question::http(asked)).await
            }
            ConditionSpec::Command(command) => {
                let question =
                    from_guest::Question::command(command, doing.environment(&command.environment));
                look_in_guest(doing, link, limit, question).await
            }
            ConditionSpec::CloudInit => {
                look_in_guest(doing, link, limit, from_guest::Question::cloud_init()).await
            }
            ConditionSpec::Port(port) => {
                look_in_guest(doing, link, limit, from_guest::Question::port(*port)).await
            }
        }
    });
    tokio::select! {
        biased;
        waited = waiting => waited,
        gone = watch(doing.context, doing.launched) => Err(gone),
    }
}

/// Waits where there is no guest.
pub(crate) async fn wait_on_host(attempt: &Attempt<'_>, wait: &WaitSpec) -> Result<(), StepError> {
    wait_until(attempt, wait, async |limit: Limit| match &wait.condition {
        ConditionSpec::HttpFromHost(asked) => ask_from_host(attempt, asked, limit).await,
        ConditionSpec::Command(command) => look_on_host(attempt, command, limit).await,
        ConditionSpec::HttpFromGuest(_) | ConditionSpec::CloudInit | ConditionSpec::Port(_) => Ok(
            Ok(Look::Never(String::from("there is no guest to look in"))),
        ),
    })
    .await
}

/// Looks until it is so, until the wait's time is over, or until it cannot become so. What is missing is told when it
/// changes.
async fn wait_until(
    attempt: &Attempt<'_>,
    wait: &WaitSpec,
    mut look: impl AsyncFnMut(Limit) -> Result<Result<Look, Halt>, StepError>,
) -> Result<(), StepError> {
    let context = attempt.context;
    let deadline = context.deadline(wait.within);
    let mut told = String::new();
    let failed = |how: String| StepError::Provisioner {
        name: attempt.name.to_owned(),
        how,
        last_lines: Vec::new(),
    };
    loop {
        let now = context.clock().now();
        let left = if now < deadline {
            cloud::clock::between(now, deadline)
        } else {
            Duration::ZERO
        };
        let limit = attempt.limit.at_most(context, left.max(LOOK_AT_LEAST));
        let missing = match look(limit).await? {
            Ok(Look::Yes) => return Ok(()),
            Ok(Look::Never(why)) => return Err(failed(format!("waits in vain: {why}"))),
            Ok(Look::NotYet(why)) => why,
            Err(Halt::Cancelled(why)) => return Err(StepError::Cancelled(why)),
            Err(Halt::OutOfTime(_)) => String::from("looking for it did not end in time"),
        };
        let missing = context.run().mask.apply_to_output(&missing);
        if missing != told {
            context.output(
                attempt.name,
                OutputStream::Stdout,
                &format!("not yet: {missing}"),
            );
            told.clone_from(&missing);
        }
        let now = context.clock().now();
        if now >= deadline {
            return Err(failed(format!(
                "waited {:?} in vain: {missing}",
                wait.within
            )));
        }
        let pause = wait.every.min(cloud::clock::between(now, deadline));
        if let Err(halt) = attempt
            .limit
            .race(context, context.clock().sleep(pause))
            .await
        {
            return Err(halt.of(attempt.name, vec![format!("not yet: {missing}")]));
        }
    }
}

async fn ask_from_host(
    attempt: &Attempt<'_>,
    asked: &HttpSpec,
    limit: Limit,
) -> Result<Result<Look, Halt>, StepError> {
    let context = attempt.context;
    let request = HttpRequest {
        url: asked.url.clone(),
        headers: asked
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        within: ANSWER_WITHIN,
    };
    let http = &context.run().ports.host.http;
    Ok(limit
        .race(context, http.get(&request))
        .await
        .map(|answer| match answer {
            Ok(answer) => conditions::check(asked, answer.status, &answer.body),
            Err(why) => Look::NotYet(why),
        }))
}

async fn look_on_host(
    attempt: &Attempt<'_>,
    command: &CommandSpec,
    limit: Limit,
) -> Result<Result<Look, Halt>, StepError> {
    let context = attempt.context;
    let local = LocalCommand {
        script: Script {
            name: attempt.name.to_owned(),
            text: command.text.as_bytes().to_vec(),
        },
        interpreter: None,
        errexit: true,
        environment: attempt.environment(&command.environment),
        folder: context.run().folder.clone(),
    };
    let mut output = Quiet::new(context);
    let stop = Box::pin(async {
        limit.over(context).await;
    });
    let commands = &context.run().ports.host.commands;
    let ended = commands.run(&local, &mut output, stop).await;
    let lines = output.into_last_lines();
    Ok(match ended {
        Ok(end) => Ok(of_command(&end, &lines)),
        Err(LocalError::Stopped) => Err(limit.over(context).await),
        Err(LocalError::NotRun(why)) => Ok(Look::Never(why)),
    })
}

/// What a command's end says.
pub(super) fn of_command(end: &CommandEnd, lines: &[String]) -> Look {
    let last = lines
        .last()
        .map_or_else(String::new, |line| format!(": {line}"));
    match end {
        CommandEnd::Exited(0) => Look::Yes,
        CommandEnd::Exited(code) => {
            Look::NotYet(format!("the command ended with exit code {code}{last}"))
        }
        CommandEnd::Signalled(signal) => {
            Look::NotYet(format!("the command was ended by signal {signal}{last}"))
        }
    }
}

async fn look_in_guest(
    doing: &Doing<'_>,
    link: &mut GuestLink,
    limit: Limit,
    question: from_guest::Question,
) -> Result<Result<Look, Halt>, StepError> {
    let context = doing.context;
    let session = match limit
        .race(context, link.ready(context, doing.launched))
        .await
    {
        Ok(session) => session?,
        Err(halt) => return Ok(Err(halt)),
    };
    let command = GuestCommand {
        script: Script {
            name: question.name.clone(),
            text: question.text.clone(),
        },
        become_user: question.become_user.clone(),
        errexit: question.errexit,
        environment: question.environment.clone(),
        ..GuestCommand::default()
    };
    let mut heard = from_guest::Heard::new(context, question.data);
    let ended = limit.race(context, session.run(&command, &mut heard)).await;
    Ok(ended.map(|ended| match ended {
        Ok(end) => (question.verdict)(&end, heard),
        Err(SessionError::ConnectionLost(why) | SessionError::Refused(why)) => Look::NotYet(why),
    }))
}

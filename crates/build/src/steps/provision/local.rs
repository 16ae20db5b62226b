//! Scripts on the machine that qib runs on.

use super::Attempt;
use super::output::Live;
use crate::failure::StepError;
use crate::guest::CommandEnd;
use crate::host::{LocalCommand, LocalError};
use crate::spec::RunSpec;

/// Runs the scripts, one after another, in the folder of the pipeline's file.
pub(crate) async fn run_local(attempt: &Attempt<'_>, run: &RunSpec) -> Result<(), StepError> {
    let context = attempt.context;
    for script in &run.scripts {
        let command = LocalCommand {
            script: script.clone(),
            interpreter: run.interpreter.clone(),
            errexit: run.errexit,
            environment: attempt.environment(&run.environment),
            folder: context.run().folder.clone(),
        };
        let limit = match run.timeout {
            Some(each) => attempt.limit.at_most(context, each),
            None => attempt.limit,
        };
        let mut output = Live::new(context, attempt.name);
        let stop = Box::pin(async {
            limit.over(context).await;
        });
        let commands = &context.run().ports.host.commands;
        let ended = commands.run(&command, &mut output, stop).await;
        let how = match ended {
            Ok(CommandEnd::Exited(code)) if run.exit_codes.contains(&code) => {
                output.finish();
                continue;
            }
            Ok(CommandEnd::Exited(code)) => format!("ended with exit code {code}"),
            Ok(CommandEnd::Signalled(signal)) => format!("was ended by signal {signal}"),
            Err(LocalError::Stopped) => {
                let halt = limit.over(context).await;
                return Err(halt.of(attempt.name, output.into_last_lines()));
            }
            Err(LocalError::NotRun(why)) => format!("could not be run on this machine: {why}"),
        };
        return Err(StepError::Provisioner {
            name: attempt.name.to_owned(),
            how,
            last_lines: output.into_last_lines(),
        });
    }
    Ok(())
}

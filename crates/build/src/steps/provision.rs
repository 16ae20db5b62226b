//! Running the provisioners, one after another, never one twice.

use super::connect::{GuestLink, LastLines, still_there};
use super::context::CellContext;
use super::launch::Launched;
use crate::event::{Event, OutputStream};
use crate::failure::StepError;
use crate::guest::{CommandEnd, GuestCommand, GuestSession, Output, Script, SessionError};
use crate::journal::{Effect, Outcome};
use crate::mask::PieceMask;
use crate::options::Venue;
use crate::spec::{ActionSpec, CellSpec, ProvisionerSpec, RunSpec, UploadContent, UploadSpec};
use std::time::Duration;

/// How often the instance is looked at while a provisioner runs.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Runs all provisioners. Gives the names of those that a rehearsal skipped.
pub(super) async fn provision(
    context: &CellContext,
    spec: &CellSpec,
    link: &mut GuestLink,
    launched: &Launched,
    inputs: &str,
) -> Result<Vec<String>, StepError> {
    let effect = Effect::Provision {
        region: context.region().name().clone(),
        instance: launched.instance.instance_id.clone(),
        inputs: inputs.to_owned(),
    };
    let number = context.effects().announce(context.cell(), effect)?;
    match run_all(context, spec, link, launched).await {
        Ok(skipped) => {
            let outcome = Outcome::Provisioned {
                skipped: skipped.clone(),
            };
            context.effects().settle(number, &Ok(()), |()| outcome)?;
            Ok(skipped)
        }
        Err(error) => {
            // Not the error itself: a provisioner's output may be in it.
            let why = String::from("it failed, or was given up");
            context.effects().refused(number, why)?;
            Err(error)
        }
    }
}

async fn run_all(
    context: &CellContext,
    spec: &CellSpec,
    link: &mut GuestLink,
    launched: &Launched,
) -> Result<Vec<String>, StepError> {
    let mut skipped = Vec::new();
    for provisioner in &spec.provision {
        if context.run().options.venue == Venue::Rehearsal && !provisioner.needs.is_empty() {
            context.run().tell(Event::ProvisionerSkipped {
                cell: spec.cell.clone(),
                provisioner: provisioner.name.clone(),
                needs: provisioner.needs.clone(),
            });
            skipped.push(provisioner.name.clone());
            continue;
        }
        context.run().tell(Event::ProvisionerStarted {
            cell: spec.cell.clone(),
            provisioner: provisioner.name.clone(),
        });
        let session = link.ready(context, launched).await?;
        match &provisioner.action {
            ActionSpec::Run(run) => {
                run_scripts(context, spec, session, launched, provisioner, run).await?
            }
            ActionSpec::Upload(upload) => run_upload(context, session, upload).await?,
        }
        context.after_provisioner(&provisioner.name).await?;
    }
    Ok(skipped)
}

async fn run_scripts(
    context: &CellContext,
    spec: &CellSpec,
    session: &dyn GuestSession,
    launched: &Launched,
    provisioner: &ProvisionerSpec,
    run: &RunSpec,
) -> Result<(), StepError> {
    for script in &run.scripts {
        let command = GuestCommand {
            script: Script {
                name: script.name.clone(),
                text: script.text.clone(),
            },
            become_user: run.become_user.clone(),
            interpreter: run.interpreter.clone(),
            errexit: run.errexit,
            pty: spec.connect.pty,
            environment: run.environment.clone(),
        };
        let mut output = Live::new(context, &provisioner.name);
        let work = session.run(&command, &mut output);
        let ended = tokio::select! {
            ended = context.race(work) => ended?,
            gone = watch(context, launched) => return Err(gone),
            () = expire(context, run.timeout) => {
                let how = format!("did not end within {:?}; its connection was dropped", run.timeout.unwrap_or_default());
                return Err(StepError::Provisioner { name: provisioner.name.clone(), how, last_lines: output.last.0 });
            }
        };
        output.finish();
        let how = match ended {
            Ok(CommandEnd::Exited(code)) if run.exit_codes.contains(&code) => continue,
            Ok(CommandEnd::Exited(code)) => format!("ended with exit code {code}"),
            Ok(CommandEnd::Signalled(signal)) => format!("was ended by signal {signal}"),
            Err(error) => {
                return Err(session_failed(
                    context,
                    launched,
                    error,
                    format!("provisioner `{}` ran", provisioner.name),
                )
                .await);
            }
        };
        return Err(StepError::Provisioner {
            name: provisioner.name.clone(),
            how,
            last_lines: output.last.0,
        });
    }
    Ok(())
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

async fn expire(context: &CellContext, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => context.clock().sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Puts into place, as another user, what was uploaded as the one logged in as. Both names come by environment.
const PLACE_SCRIPT: &str = r#"#!/bin/sh
set -eu
case $QIB_TO in */*) mkdir -p "${QIB_TO%/*}" ;; esac
if [ -d "$QIB_FROM" ]; then
    mkdir -p "$QIB_TO"
    cp -R -p "$QIB_FROM"/. "$QIB_TO"/
    rm -rf "$QIB_FROM"
else
    case $QIB_TO in */) QIB_TO=$QIB_TO${QIB_FROM##*/} ;; esac
    cp -p "$QIB_FROM" "$QIB_TO"
    rm -f "$QIB_FROM"
fi
[ "$(id -u)" != 0 ] || chown -R "$(id -u):$(id -g)" "$QIB_TO"
"#;

async fn run_upload(
    context: &CellContext,
    session: &dyn GuestSession,
    upload: &UploadSpec,
) -> Result<(), StepError> {
    let staged = upload
        .become_user
        .as_ref()
        .map(|_| format!(".qib-upload-{}", context.run_id()));
    let to = staged.as_deref().unwrap_or(&upload.to);
    let (from, result) = match &upload.content {
        UploadContent::File(path) => {
            let work = session.upload_file(path, to, upload.mode);
            (path.display().to_string(), context.race(work).await?)
        }
        UploadContent::Directory(path) => {
            let work = session.upload_directory(path, to);
            (path.display().to_string(), context.race(work).await?)
        }
        UploadContent::Bytes(bytes) => {
            let work = session.upload_bytes(bytes, to, upload.mode.unwrap_or(0o600));
            (String::from("the given content"), context.race(work).await?)
        }
    };
    let failed = |reason: String| StepError::Upload {
        from: from.clone(),
        to: upload.to.clone(),
        reason,
    };
    result.map_err(|error| failed(error.to_string()))?;
    let (Some(staged), Some(user)) = (staged, &upload.become_user) else {
        return Ok(());
    };
    let command = GuestCommand {
        script: Script {
            name: String::from("place-upload"),
            text: PLACE_SCRIPT.as_bytes().to_vec(),
        },
        become_user: Some(user.clone()),
        environment: vec![
            (String::from("QIB_FROM"), staged),
            (String::from("QIB_TO"), upload.to.clone()),
        ],
        ..GuestCommand::default()
    };
    let mut output = LastLines::default();
    match context.race(session.run(&command, &mut output)).await? {
        Ok(CommandEnd::Exited(0)) => Ok(()),
        Ok(end) => Err(failed(format!(
            "putting it into place as {user} ended with {end:?}: {}",
            output.0.join(" ")
        ))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Passes lines on as they come, masked, and keeps the last ones for an error.
struct Live<'a> {
    context: &'a CellContext,
    provisioner: &'a str,
    last: LastLines,
    stdout: PieceMask,
    stderr: PieceMask,
}

impl<'a> Live<'a> {
    fn new(context: &'a CellContext, provisioner: &'a str) -> Self {
        Self {
            context,
            provisioner,
            last: LastLines::default(),
            stdout: PieceMask::default(),
            stderr: PieceMask::default(),
        }
    }

    fn show(&mut self, stream: OutputStream, line: &str) {
        self.last.push(line);
        self.context.output(self.provisioner, stream, line);
    }

    /// Passes on what was held back.
    fn finish(&mut self) {
        let held = [
            (OutputStream::Stdout, self.stdout.finish()),
            (OutputStream::Stderr, self.stderr.finish()),
        ];
        for (stream, line) in held {
            if let Some(line) = line {
                self.show(stream, &line);
            }
        }
    }
}

impl Output for Live<'_> {
    fn line(&mut self, stream: OutputStream, line: &str) {
        let mask = &self.context.run().mask;
        let pieces = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        let shown = pieces.push(mask, line, ssh::MAX_LINE_BYTES);
        self.show(stream, &shown);
    }
}

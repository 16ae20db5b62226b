//! Files to the guest.

use super::Doing;
use super::output::Quiet;
use super::session_failed;
use crate::failure::StepError;
use crate::guest::{CommandEnd, GuestCommand, GuestSession, Script, SessionError};
use crate::spec::{UploadContent, UploadSpec};

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

/// Puts a file, a folder or bytes on the guest.
pub(super) async fn run_upload(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
    upload: &UploadSpec,
) -> Result<(), StepError> {
    let context = doing.context;
    let staged = upload
        .become_user
        .as_ref()
        .map(|_| format!(".qib-upload-{}", context.run_id()));
    let to = staged.as_deref().unwrap_or(&upload.to);
    let halted = |halt: super::limit::Halt| halt.of(doing.name, Vec::new());
    let limit = doing.limit;
    let (from, result) = match &upload.content {
        UploadContent::File(path) => {
            let work = session.upload_file(path, to, upload.mode);
            let result = limit.race(context, work).await.map_err(halted)?;
            (path.display().to_string(), result)
        }
        UploadContent::Directory(path) => {
            let work = session.upload_directory(path, to);
            let result = limit.race(context, work).await.map_err(halted)?;
            (path.display().to_string(), result)
        }
        UploadContent::Bytes(bytes) => {
            let work = session.upload_bytes(bytes, to, upload.mode.unwrap_or(0o600));
            let result = limit.race(context, work).await.map_err(halted)?;
            (String::from("the given content"), result)
        }
    };
    let failed = |reason: String| StepError::Upload {
        from: from.clone(),
        to: upload.to.clone(),
        reason,
    };
    match result {
        Ok(()) => {}
        Err(error @ SessionError::ConnectionLost(_)) => {
            let doing_what = format!("{from} was uploaded to {}", upload.to);
            return Err(session_failed(context, doing.launched, error, doing_what).await);
        }
        Err(error) => return Err(failed(error.to_string())),
    }
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
    let mut output = Quiet::new(context);
    let ended = limit
        .race(context, session.run(&command, &mut output))
        .await
        .map_err(halted)?;
    match ended {
        Ok(CommandEnd::Exited(0)) => Ok(()),
        Ok(end) => Err(failed(format!(
            "putting it into place as {user} ended with {end:?}: {}",
            output.into_last_lines().join(" ")
        ))),
        Err(error) => Err(failed(error.to_string())),
    }
}

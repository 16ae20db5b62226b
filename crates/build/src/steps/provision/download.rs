//! Files from the guest.

use super::Doing;
use super::session_failed;
use crate::failure::StepError;
use crate::guest::{GuestSession, SessionError};
use crate::spec::DownloadSpec;
use std::path::PathBuf;

/// Fetches a file or a folder.
pub(super) async fn run_download(
    doing: &Doing<'_>,
    session: &dyn GuestSession,
    download: &DownloadSpec,
) -> Result<(), StepError> {
    let context = doing.context;
    let failed = |reason: String| StepError::Download {
        from: download.from.clone(),
        to: download.to.clone(),
        reason,
    };
    let is_folder = download.from.ends_with('/');
    let target = target(doing, download).map_err(failed)?;
    let made = if is_folder {
        Some(target.as_path())
    } else {
        target.parent()
    };
    if let Some(folder) = made {
        std::fs::create_dir_all(folder)
            .map_err(|error| failed(format!("{} cannot be made: {error}", folder.display())))?;
    }
    let user = download.become_user.as_deref();
    let work = async {
        if is_folder {
            session
                .download_directory(&download.from, &target, user)
                .await
        } else {
            session.download_file(&download.from, &target, user).await
        }
    };
    let fetched = doing
        .limit
        .race(context, work)
        .await
        .map_err(|halt| halt.of(doing.name, Vec::new()))?;
    match fetched {
        Ok(()) => {
            context.note(format!("fetched {} to {}", download.from, target.display()));
            Ok(())
        }
        Err(error @ SessionError::ConnectionLost(_)) => {
            let what = format!("{} was fetched", download.from);
            Err(session_failed(context, doing.launched, error, what).await)
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The path here.
fn target(doing: &Doing<'_>, download: &DownloadSpec) -> Result<PathBuf, String> {
    let target = doing.context.run().folder.join(&download.to);
    if download.from.ends_with('/') || !download.to.ends_with('/') {
        return Ok(target);
    }
    let name = download.from.rsplit('/').next().unwrap_or_default();
    match name {
        "" | "." | ".." | "~" => Err(format!(
            "{:?} gives the file no name; write it out in `to`",
            download.from
        )),
        name => Ok(target.join(name)),
    }
}

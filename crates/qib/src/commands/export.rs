//! `qib export`.

use super::error::CommandError;
use super::place::Place;
use super::terminal::Terminal;
use crate::args::export::{ExportArgs, ExportFormat, What};
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::edge::signals::Signals;
use crate::render::json::document;
use crate::render::transfer_bar::TransferBar;
use crate::render::wording::size_text;
use build::cancel::{Cancelled, cancellation};
use build::export::{Export, ExportError, Exported, export as export_it};
use build::report::ExitCode;
use cloud::Clock;
use disk::Format;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

/// Refuses names that say something else than what would be written there.
fn check_file(file: &Path, format: Option<ExportFormat>) -> Result<(), CommandError> {
    if file.as_os_str() == "-" {
        return Err(CommandError::bad_input(
            "an export goes into a file, not to standard output: it is written in any order",
        ));
    }
    let extension = file.extension().and_then(|extension| extension.to_str());
    if let (Some(other @ ("vmdk" | "vhd" | "vhdx" | "vdi")), None) = (extension, format) {
        return Err(CommandError::bad_input(format!(
            "{} looks like {other}, and qib writes raw and qcow2",
            file.display()
        ))
        .hinted("export to a .raw or .qcow2, and let qemu-img convert it; --format says what is written whatever the name"));
    }
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(CommandError::bad_input(format!(
            "there is no folder {}",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Does it and gives the exit code.
///
/// # Errors
/// If there is nothing to export, or the file cannot be written.
pub async fn export(
    args: ExportArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let what = match (&args.what, &args.device) {
        (What::Image(image), device) => Exported::Image {
            image: image.clone(),
            device: device.clone(),
        },
        (What::Snapshot(snapshot), None) => Exported::Snapshot(snapshot.clone()),
        (What::Snapshot(_), Some(_)) => {
            return Err(CommandError::bad_input(
                "--device is about an image, and a snapshot is of one device",
            ));
        }
    };
    check_file(&args.file, args.format)?;
    let place = Place::find(&args.account, None, environment).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let named = args.file.extension().is_some_and(|name| name == "qcow2");
    let order = Export {
        what,
        format: match args.format {
            Some(ExportFormat::Qcow2) => Format::Qcow2,
            Some(ExportFormat::Raw) => Format::Raw,
            None if named => Format::Qcow2,
            None => Format::Raw,
        },
        file: args.file,
    };
    let mut signals = Signals::watch().map_err(|error| {
        CommandError::failed(format!("Ctrl-C and SIGTERM cannot be watched: {error}"))
    })?;
    let (canceller, cancellation) = cancellation();
    let bar = TransferBar::new(std::io::stderr().is_terminal(), clock.clone());
    let region = place.account.region(&place.region);
    let work = export_it(region.as_ref(), &clock, &order, &cancellation, &bar);
    tokio::pin!(work);
    let done = tokio::select! {
        done = &mut work => done,
        first = signals.next() => {
            canceller.cancel(first);
            work.await
        }
    };
    bar.end();
    match done {
        Ok(report) => {
            if args.json {
                terminal.result(|out| document(out, &report))?;
            } else {
                terminal.result_text(&format!(
                    "{} ({}) is in {}: {}, {} blocks, {} of them read now.\n",
                    report.image_id.as_deref().unwrap_or(&report.snapshot_id),
                    report.snapshot_id,
                    report.file,
                    size_text(report.bytes),
                    report.blocks,
                    report.blocks_read
                ))?;
            }
            Ok(ExitCode::Done.code())
        }
        Err(error) => {
            let exit = match &error {
                ExportError::Cancelled {
                    why: Cancelled::Interrupted,
                    ..
                } => ExitCode::Interrupted,
                ExportError::Cancelled {
                    why: Cancelled::Terminated,
                    ..
                } => ExitCode::Terminated,
                error if error.is_bad_input() => ExitCode::BadInput,
                _ => ExitCode::Failed,
            };
            let hint = error.hint();
            let told = CommandError {
                exit,
                ..CommandError::failed(error.to_string())
            };
            Err(match hint {
                Some(hint) => told.hinted(hint),
                None => told,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_says_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, format| check_file(&folder.path().join(name), format);
        assert!(check_file(Path::new("-"), None).is_err());
        for name in ["x.vmdk", "x.vhd", "x.vhdx", "x.vdi", "nowhere/x.raw"] {
            assert_eq!(check(name, None).unwrap_err().exit.code(), 2, "{name}");
        }
        assert!(check("nowhere/x.raw", Some(ExportFormat::Raw)).is_err());
        for name in ["x.raw", "x.qcow2", "x.img", "x"] {
            assert!(check(name, None).is_ok(), "{name}");
        }
        assert!(check("x.vhd", Some(ExportFormat::Raw)).is_ok());
        assert!(check_file(Path::new("x.raw"), None).is_ok());
    }
}

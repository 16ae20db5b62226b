//! `qib images verify`.

use crate::args::images::VerifyArgs;
use crate::commands::error::CommandError;
use crate::commands::place::Place;
use crate::commands::terminal::Terminal;
use crate::edge::environment::Environment;
use crate::render::json::document;
use crate::render::verified::{verified_ending, verified_text};
use build::images::{Verified, read_manifest};
use build::report::ExitCode;

pub(super) async fn verify(
    args: VerifyArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let name = args.manifest.display();
    let bytes = std::fs::read(&args.manifest).map_err(|error| {
        CommandError::bad_input(format!("the manifest {name} cannot be read: {error}"))
    })?;
    let manifest = read_manifest(&bytes).map_err(|error| {
        CommandError::bad_input(format!("{name}: {error}")).hinted(
            "`outputs: [{ write: manifest.json, format: manifest }]` in a pipeline writes one",
        )
    })?;
    // The manifest names its regions; this one is only where the account is asked who it is.
    let region = manifest
        .builds
        .iter()
        .flat_map(|build| &build.images)
        .next()
        .map(|image| image.region.as_str());
    let place = Place::find(&args.account, region, environment).await?;
    let identity = place.account.caller_identity().await?;
    if identity.account.as_str() != manifest.account {
        return Err(CommandError::bad_input(format!(
            "the manifest is of account {}, and these credentials are of {}",
            manifest.account, identity.account
        )));
    }
    let verified = build::images::verify(place.account.as_ref(), &manifest).await;
    if args.json {
        terminal.result(|out| document(out, &verified))?;
    } else {
        terminal.result_text(&verified_text(&verified))?;
    }
    terminal.say(&verified_ending(&verified));
    let correct = verified
        .iter()
        .all(|image| image.verdict == Verified::Correct);
    Ok(if correct {
        ExitCode::Done
    } else {
        ExitCode::Failed
    }
    .code())
}

//! `qib preflight`.

use super::error::CommandError;
use super::plan::Planned;
use super::terminal::Terminal;
use crate::args::preflight::PreflightArgs;
use crate::edge::environment::Environment;
use crate::render::json::document;
use crate::render::plan::identity_line;
use crate::render::preflight::inquiry_text;
use build::inquiry::inquire;

/// Does it and gives the exit code.
///
/// # Errors
/// If the pipeline is wrong, the account cannot be asked, or a run would fail.
pub async fn preflight(
    args: PreflightArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let planned = Planned::from(args.planned, environment).await?;
    let pipeline = &planned.loaded.pipeline;
    let inquiry = inquire(pipeline, &planned.options, &planned.ports).await?;
    if args.json {
        terminal.say(&identity_line(&inquiry.plan));
        terminal.result(|out| document(out, &inquiry.checks))?;
    } else {
        terminal.result_text(&inquiry_text(&inquiry, terminal.out))?;
    }
    match inquiry.denied().count() {
        0 => Ok(0),
        1 => Err(CommandError::failed(
            "a run would fail: 1 question was answered with no",
        )),
        several => Err(CommandError::failed(format!(
            "a run would fail: {several} questions were answered with no"
        ))),
    }
}

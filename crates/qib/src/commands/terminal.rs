//! The two output streams, and what may be done with them.

use super::error::CommandError;
use crate::args::ColorChoice;
use crate::render::Progress;
use crate::render::live::{Forecast, LiveBars};
use crate::render::plain::PlainLines;
use crate::render::style::Palette;
use build::estimate::Durations;
use build::options::RunOptions;
use cloud::Clock;
use indicatif::ProgressDrawTarget;
use jiff::tz::TimeZone;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

/// Whether progress may repaint the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repainting {
    Allowed,
    /// Something else writes to the terminal as well.
    Forbidden,
}

/// The process's output streams.
pub struct Terminal {
    /// Colour on stdout.
    pub out: Palette,
    /// Colour on stderr.
    pub err: Palette,
    repainting: Repainting,
}

impl Terminal {
    /// What the command line and the environment say about the process's streams.
    pub fn new(choice: ColorChoice, no_color: Option<&str>, verbose: bool) -> Self {
        Self {
            out: Palette::choose(choice, no_color, io::stdout().is_terminal()),
            err: Palette::choose(choice, no_color, io::stderr().is_terminal()),
            repainting: if verbose {
                Repainting::Forbidden
            } else {
                Repainting::Allowed
            },
        }
    }

    /// What shows a run's progress on stderr: bars on a terminal that can be repainted, lines elsewhere and beside other
    /// lines.
    pub fn progress(
        &self,
        json: bool,
        clock: Arc<dyn Clock>,
        forecast: Forecast,
    ) -> Box<dyn Progress> {
        let json_on_terminal = json && io::stdout().is_terminal();
        let target = ProgressDrawTarget::stderr();
        // A terminal that cannot be repainted (TERM is `dumb` or not set) would show neither bars nor lines.
        if !target.is_hidden() && self.repainting == Repainting::Allowed && !json_on_terminal {
            let bars = LiveBars::new(target, clock, self.err, forecast, Box::new(rows));
            Box::new(bars)
        } else {
            Box::new(PlainLines::new(
                io::stderr(),
                clock,
                TimeZone::system(),
                self.err,
            ))
        }
    }

    /// How long things take, from earlier runs.
    pub fn forecast(&self, options: &RunOptions, pipeline: &str) -> Forecast {
        Forecast {
            durations: Durations::read(&options.state_dir),
            venue: options.venue,
            pipeline: pipeline.to_owned(),
        }
    }

    /// Whether somebody can be asked.
    pub fn has_somebody() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Makes sure that somebody can be asked.
    ///
    /// # Errors
    /// If there is no terminal.
    pub fn ask_at(&self) -> Result<(), CommandError> {
        if Self::has_somebody() {
            Ok(())
        } else {
            Err(CommandError::bad_input(
                "--pause-after and --step wait for you, and there is no terminal to ask at",
            )
            .hinted("run it on a terminal, with neither input nor stderr redirected"))
        }
    }

    /// Writes a result.
    ///
    /// # Errors
    /// If stdout cannot be written, unless its reader has gone away.
    pub fn result(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CommandError> {
        let mut out = io::stdout().lock();
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::output(&error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Writes text as a result, each line with its end.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    pub fn result_text(&self, text: &str) -> Result<(), CommandError> {
        if text.is_empty() {
            Ok(())
        } else {
            self.result(|out| writeln!(out, "{}", text.trim_end()))
        }
    }

    /// Says something on stderr. Where that cannot be written there is nobody to tell.
    pub fn say(&self, text: &str) {
        drop(writeln!(io::stderr(), "{text}"));
    }
}

/// So many rows the terminal at stderr has, as it is now; none that are known count as few.
fn rows() -> usize {
    const FEW: usize = 24;
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_row > 0 => usize::from(size.ws_row),
        Ok(_) | Err(_) => FEW,
    }
}

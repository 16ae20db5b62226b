//! How far a transfer is that is a command of its own: a bar on a terminal, in a pipe a line at every tenth.

use super::wording::{percent, size_text};
use build::event::Transfer;
use build::transfer::{Transferred, Watch};
use cloud::Clock;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::tz::TimeZone;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// What a bar looks like: `{msg}` is how fast it goes, and for how long still.
const STYLE: &str = "{bar:32} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";

/// How a transfer is shown.
pub struct TransferBar {
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines {
        clock: Arc<dyn Clock>,
        tenth: Mutex<Option<u8>>,
    },
}

impl TransferBar {
    /// A bar on stderr if that is a terminal, else lines.
    pub fn new(is_terminal: bool, clock: Arc<dyn Clock>) -> Self {
        let shown = if is_terminal {
            let style = ProgressStyle::with_template(STYLE)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style);
            Shown::Bar(bar)
        } else {
            Shown::Lines {
                clock,
                tenth: Mutex::default(),
            }
        };
        Self { shown }
    }

    /// Leaves nothing of the bar.
    pub fn end(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

impl Watch for TransferBar {
    fn moved(&self, transferred: Transferred) {
        let Transferred { done, total } = transferred;
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            Shown::Lines { clock, tenth } => {
                let now = percent(done, total) / 10;
                let mut tenth = tenth.lock().unwrap_or_else(PoisonError::into_inner);
                if tenth.replace(now) == Some(now) {
                    return;
                }
                let time = clock
                    .now()
                    .to_zoned(TimeZone::system())
                    .strftime("%H:%M:%S")
                    .to_string();
                let line = format!(
                    "{time} the snapshot is being {}: {} % of {}\n",
                    Transfer::Download.describe(),
                    percent(done, total),
                    size_text(total)
                );
                // Progress that cannot be told is no reason to stop.
                let _ = std::io::stderr().lock().write_all(line.as_bytes());
            }
        }
    }
}

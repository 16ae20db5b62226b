//! What people and programs read. Results go to stdout, progress to stderr.
//!
//! ```text
//!   event ──▶ Screen ─┬─▶ wording ─▶ plain (pipe, CI) or live (terminal) ─▶ stderr
//!                     ├─▶ json, if asked for ────────────────────────────▶ stdout
//!                     └─▶ logs ──────────────────────────────────────────▶ a file for each cell
//!   report ─▶ summary ─▶ stdout (images), stderr (all else)
//! ```

pub mod age;
pub mod control;
pub mod copied;
pub mod image_page;
pub mod images;
pub mod json;
pub mod lease;
pub mod live;
pub mod logs;
pub mod plain;
pub mod plan;
pub mod preflight;
pub mod removal;
pub mod runs;
#[cfg(test)]
pub mod sample;
pub mod screen;
pub mod stopwatch;
pub mod style;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod transfer_bar;
pub mod verified;
pub mod wording;

use build::event::Event;

/// Whether something could be written.
pub type Spoken = std::io::Result<()>;

/// Shows how a run goes.
pub trait Progress: Send {
    /// Shows an event.
    fn event(&mut self, event: &Event) -> Spoken;
    /// Shows text of qib's own, of one line or more, without the last line's end.
    fn text(&mut self, text: &str) -> Spoken;
    /// Moves nothing on the screen while somebody types there.
    fn hold(&mut self) {}
    /// Nobody types any more.
    fn release(&mut self) {}
}

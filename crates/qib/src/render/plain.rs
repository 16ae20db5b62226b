//! Progress for pipes and CI: one line per event, `HH:MM:SS stage/cell │ text`, no control codes unless colour is
//! asked for by name.

use super::stopwatch::Stopwatch;
use super::style::{Palette, Role};
use super::wording::{Saying, percent, saying};
use super::{Progress, Spoken};
use build::event::Event;
use build::names::CellName;
use cloud::Clock;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

/// An image's progress is said at every so many percent.
const PERCENT_STEP: u8 = 10;

/// Writes lines.
pub struct PlainLines<W> {
    out: W,
    clock: Arc<dyn Clock>,
    zone: TimeZone,
    palette: Palette,
    stopwatch: Stopwatch,
    said_percent: HashMap<(CellName, String), u8>,
}

impl<W: Write + Send> PlainLines<W> {
    /// Lines on `out`, with the time of day in `zone`.
    pub fn new(out: W, clock: Arc<dyn Clock>, zone: TimeZone, palette: Palette) -> Self {
        Self {
            out,
            stopwatch: Stopwatch::new(clock.clone()),
            clock,
            zone,
            palette,
            said_percent: HashMap::new(),
        }
    }

    fn say(&mut self, saying: &Saying) -> io::Result<()> {
        let time = self
            .clock
            .now()
            .to_zoned(self.zone.clone())
            .strftime("%H:%M:%S")
            .to_string();
        let prefix = self
            .palette
            .paint(Role::Dim, &format!("{time} {} │", saying.subject));
        let mut text = String::new();
        for line in &saying.lines {
            let line = saying
                .role
                .map_or_else(|| line.clone(), |role| self.palette.paint(role, line));
            text.push_str(format!("{prefix} {line}").trim_end());
            text.push('\n');
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Whether an image's progress is worth a line.
    fn is_news(&mut self, event: &Event) -> bool {
        let (cell, of, percent) = match event {
            Event::ImageProgress {
                cell,
                region,
                percent,
            } => (cell, region.clone(), *percent),
            Event::Transfer {
                cell,
                what,
                done,
                total: Some(total),
            } => (cell, what.describe().to_owned(), percent(*done, *total)),
            // A transfer without a total is told seldom enough.
            _ => return true,
        };
        let tenths = percent / PERCENT_STEP;
        let image = (cell.clone(), of);
        self.said_percent.insert(image, tenths) != Some(tenths)
    }
}

impl<W: Write + Send> Progress for PlainLines<W> {
    fn event(&mut self, event: &Event) -> Spoken {
        let took = self.stopwatch.lap(event);
        if !self.is_news(event) {
            return Ok(());
        }
        match saying(event, took) {
            Some(saying) => self.say(&saying),
            None => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> Spoken {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::{FixedClock, a_run};

    fn rendered(palette: Palette) -> String {
        let mut out = Vec::new();
        let mut lines = PlainLines::new(&mut out, Arc::new(FixedClock), TimeZone::UTC, palette);
        for event in a_run() {
            lines.event(&event).expect("a vector takes everything");
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_run_in_a_pipe() {
        insta::assert_snapshot!(rendered(Palette::Plain));
    }

    #[test]
    fn every_line_has_the_form_that_is_promised_and_no_control_code() {
        for line in rendered(Palette::Plain).lines() {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            let (prefix, _) = line
                .split_once(" │")
                .unwrap_or_else(|| panic!("no separator in {line:?}"));
            let (time, subject) = prefix
                .split_once(' ')
                .unwrap_or_else(|| panic!("no subject in {line:?}"));
            assert_eq!((time, subject.is_empty()), ("12:34:56", false), "{line:?}");
        }
    }

    #[test]
    fn colour_is_there_when_asked_for() {
        assert!(rendered(Palette::Coloured).contains("\u{1b}["));
    }
}

//! Who gets a command's output.

/// Which of a command's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes output, line by line.
pub trait OutputSink: Send {
    /// A line without its end. Control codes other than line ends are passed on as they came.
    fn line(&mut self, stream: Stream, line: &str);
}

/// Throws output away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl OutputSink for Discard {
    fn line(&mut self, _: Stream, _: &str) {}
}

/// Keeps output, up to a bound.
#[derive(Clone, Debug)]
pub struct Collected {
    lines: Vec<(Stream, String)>,
    room: usize,
}

impl Collected {
    /// Keeps the first `most` bytes of output; lines beyond are dropped.
    pub fn at_most(most: usize) -> Collected {
        Collected {
            lines: Vec::new(),
            room: most,
        }
    }

    /// The lines, in the order in which they came.
    pub fn lines(&self) -> &[(Stream, String)] {
        &self.lines
    }

    /// The lines of one output, joined by newlines.
    pub fn text(&self, stream: Stream) -> String {
        let lines: Vec<&str> = self
            .lines
            .iter()
            .filter(|(s, _)| *s == stream)
            .map(|(_, l)| l.as_str())
            .collect();
        lines.join("\n")
    }
}

impl Default for Collected {
    /// At most 1 MiB.
    fn default() -> Collected {
        Collected::at_most(1024 * 1024)
    }
}

impl OutputSink for Collected {
    fn line(&mut self, stream: Stream, line: &str) {
        match self.room.checked_sub(line.len() + 1) {
            Some(room) => {
                self.room = room;
                self.lines.push((stream, line.to_owned()));
            }
            None => self.room = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_up_to_its_bound() {
        let mut sink = Collected::at_most(8);
        sink.line(Stream::Stdout, "abc");
        sink.line(Stream::Stderr, "de");
        sink.line(Stream::Stdout, "f");
        assert_eq!(sink.text(Stream::Stdout), "abc");
        assert_eq!(sink.text(Stream::Stderr), "de");
        assert_eq!(sink.lines().len(), 2);
    }
}

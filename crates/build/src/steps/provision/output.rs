//! What a provisioner prints.

use crate::event::OutputStream;
use crate::guest::Output;
use crate::mask::PieceMask;
use crate::steps::CellContext;
use crate::steps::connect::LastLines;

/// Passes lines on as they come, masked, and keeps the last ones for an error.
pub(crate) struct Live<'a> {
    context: &'a CellContext,
    provisioner: &'a str,
    last: LastLines,
    stdout: PieceMask,
    stderr: PieceMask,
}

impl<'a> Live<'a> {
    /// Of the provisioner of that name.
    pub(crate) fn new(context: &'a CellContext, provisioner: &'a str) -> Self {
        Self {
            context,
            provisioner,
            last: LastLines::default(),
            stdout: PieceMask::default(),
            stderr: PieceMask::default(),
        }
    }

    fn show(&mut self, stream: OutputStream, line: &str) {
        self.last.push(line);
        self.context.output(self.provisioner, stream, line);
    }

    /// Passes on what was held back.
    pub(crate) fn finish(&mut self) {
        let held = [
            (OutputStream::Stdout, self.stdout.finish()),
            (OutputStream::Stderr, self.stderr.finish()),
        ];
        for (stream, line) in held {
            if let Some(line) = line {
                self.show(stream, &line);
            }
        }
    }

    /// The last lines, for an error.
    pub(crate) fn into_last_lines(mut self) -> Vec<String> {
        self.finish();
        self.last.0
    }
}

impl Output for Live<'_> {
    fn line(&mut self, stream: OutputStream, line: &str) {
        let mask = &self.context.run().mask;
        let pieces = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        let shown = pieces.push(mask, line, ssh::MAX_LINE_BYTES);
        self.show(stream, &shown);
    }
}

/// The last lines that came, masked, of what nobody wants to see while it goes well.
pub(crate) struct Quiet<'a> {
    context: &'a CellContext,
    last: LastLines,
}

impl<'a> Quiet<'a> {
    /// With nothing yet.
    pub(crate) fn new(context: &'a CellContext) -> Self {
        Self {
            context,
            last: LastLines::default(),
        }
    }

    /// What came last.
    pub(crate) fn into_last_lines(self) -> Vec<String> {
        self.last.0
    }
}

impl Output for Quiet<'_> {
    fn line(&mut self, _stream: OutputStream, line: &str) {
        self.last
            .push(&self.context.run().mask.apply_to_output(line));
    }
}

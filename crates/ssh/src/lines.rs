//! Cuts a program's output into lines, as it comes.
//!
//! A terminal shows what a carriage return overwrites only until it is overwritten. A log has no such thing, so of
//! `10 %\r20 %\r30 %\n` the line is `30 %`: progress that was overwritten is dropped, the last state stays.
//!
//! ```text
//!              other byte                    '\r'
//!           ┌──────────────┐            ┌───────────┐
//!           ▼              │            │           ▼
//!        Collecting ───────┴────────────┘     AfterReturn ── '\r' ──▶ AfterReturn
//!           ▲   │ '\n': line                    │   │
//!           └───┘                               │   └─ '\n': line ──▶ Collecting      ("\r\n", a terminal's newline)
//!           ▲                                   │
//!           └───── other byte: what was there is overwritten
//! ```

/// Longest piece of a line that is passed on at once, in bytes. Longer lines come in several pieces, so that a program
/// that never ends its line cannot fill the memory.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// Cuts bytes into lines. Bytes that are not UTF-8 become U+FFFD.
#[derive(Debug, Default)]
pub struct LineSplitter {
    pending: Vec<u8>,
    after_return: bool,
}

impl LineSplitter {
    /// An empty splitter.
    pub fn new() -> LineSplitter {
        LineSplitter::default()
    }

    /// Takes the next bytes and calls `emit` for each line that they end.
    pub fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\n' => self.emit_pending(&mut emit),
                b'\r' => self.after_return = true,
                _ => {
                    if self.after_return {
                        self.pending.clear();
                        self.after_return = false;
                    }
                    self.pending.push(byte);
                    if self.pending.len() >= MAX_LINE_BYTES {
                        self.emit_piece(&mut emit);
                    }
                }
            }
        }
    }

    /// Ends the output: a last line without its newline is emitted too.
    pub fn finish(&mut self, mut emit: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            self.emit_pending(&mut emit);
        }
        self.after_return = false;
    }

    fn emit_pending(&mut self, emit: &mut impl FnMut(&str)) {
        emit(&String::from_utf8_lossy(&self.pending));
        self.pending.clear();
        self.after_return = false;
    }

    /// Emits what is pending, but keeps the start of a character that is cut in the middle.
    fn emit_piece(&mut self, emit: &mut impl FnMut(&str)) {
        let cut = self.pending.len() - incomplete_tail(&self.pending);
        emit(&String::from_utf8_lossy(&self.pending[..cut]));
        self.pending.drain(..cut);
    }
}

/// How many bytes at the end begin a UTF-8 character without finishing it: 0 to 3.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let width = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if width > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = LineSplitter::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line.to_owned()));
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn lines_end_at_newlines_and_the_last_may_lack_one() {
        assert_eq!(lines_of(&[b"a\nb\n\nc"]), ["a", "b", "", "c"]);
        assert_eq!(lines_of(&[b"a\n"]), ["a"]);
        assert_eq!(lines_of(&[b""]), Vec::<String>::new());
    }

    #[test]
    fn a_terminal_ends_lines_with_return_and_newline() {
        assert_eq!(
            lines_of(&[b"a\r\nb\r\r\n", b"c\r", b"\nd"]),
            ["a", "b", "c", "d"]
        );
    }

    #[test]
    fn overwritten_progress_is_dropped() {
        assert_eq!(
            lines_of(&[b"10 %\r20 %\r", b"30 %\nnext"]),
            ["30 %", "next"]
        );
        assert_eq!(lines_of(&[b"50 %\r"]), ["50 %"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(lines_of(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces_that_respect_characters() {
        let text = "é".repeat(MAX_LINE_BYTES);
        let mut shifted = b"x".to_vec();
        shifted.extend_from_slice(text.as_bytes());
        let lines = lines_of(&[&shifted]);
        assert!(lines.len() >= 2);
        assert!(
            lines
                .iter()
                .all(|l| l.len() <= MAX_LINE_BYTES && !l.contains('\u{fffd}'))
        );
        assert_eq!(lines.concat().as_bytes(), shifted);
    }

    proptest! {
        #[test]
        fn where_the_network_cuts_does_not_matter(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(lines_of(&chunks), lines_of(&[&bytes]));
        }

        #[test]
        fn text_without_returns_comes_back_whole(text in "[^\\r]{0,400}") {
            let lines = lines_of(&[text.as_bytes()]);
            let expected: Vec<&str> = text.strip_suffix('\n').unwrap_or(&text).split('\n').collect();
            let expected = if text.is_empty() { Vec::new() } else { expected };
            prop_assert_eq!(lines, expected);
        }
    }
}

//! Takes control sequences out of what a guest prints, so that it cannot move the cursor, repaint lines, set the
//! window's title or send a terminal anything else (ECMA-48, 5th edition, sections 5.3 to 5.6).
//!
//! ```text
//!            ESC            [                 0x30…0x3F, 0x20…0x2F
//!   Text ─────────▶ Escape ───▶ Sequence ◀─────────┐
//!    ▲  ◀── 0x40…0x7E ─────────────┴───────────────┘
//!    │                 ] P X ^ _
//!    │              Escape ─────▶ String ──ESC──▶ StringEscape
//!    │  ◀────────────── BEL, ST ────┘  ◀──other──────┘ │
//!    │  ◀──────────────────────────────────────── \ ───┘
//!    │              Escape ◀─┐ 0x20…0x2F
//!    └── any other ───┴──────┘
//! ```

/// Where in a sequence one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Text,
    Escape,
    Sequence,
    String,
    StringEscape,
}

impl Position {
    /// What follows `c`, and whether `c` is to be shown.
    fn next(self, c: char) -> (Self, bool) {
        match (self, c) {
            // These C1 codes stand for ESC and a letter.
            (Self::Text, '\u{9b}') => (Self::Sequence, false),
            (Self::Text, '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => {
                (Self::String, false)
            }
            (Self::Text | Self::Escape | Self::Sequence, '\u{1b}') => (Self::Escape, false),
            (Self::Text, c) => (Self::Text, !c.is_control()),
            (Self::Escape, '[') => (Self::Sequence, false),
            (Self::Escape, ']' | 'P' | 'X' | '^' | '_') => (Self::String, false),
            (Self::Escape, ' '..='/') => (Self::Escape, false),
            (Self::Escape, _) => (Self::Text, false),
            (Self::Sequence, ' '..='?') => (Self::Sequence, false),
            (Self::Sequence, '@'..='~') => (Self::Text, false),
            // Not a sequence after all: what follows is text again.
            (Self::Sequence, c) => (Self::Text, !c.is_control()),
            (Self::String | Self::StringEscape, '\u{7}' | '\u{9c}')
            | (Self::StringEscape, '\\') => (Self::Text, false),
            (Self::String | Self::StringEscape, '\u{1b}') => (Self::StringEscape, false),
            (Self::String | Self::StringEscape, _) => (Self::String, false),
        }
    }
}

const TAB_STOP: usize = 8;

/// `line` as a terminal would show it in the end, without anything but text: sequences are gone, tabs are spaces, and
/// of a line that repaints itself with carriage returns the last painting stays.
pub fn plain_text(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    let mut repaint = false;
    let mut position = Position::Text;
    for c in line.chars() {
        if position == Position::Text && matches!(c, '\t' | '\r') {
            repaint = repaint || c == '\r';
            if c == '\t' && !repaint {
                let spaces = TAB_STOP - column % TAB_STOP;
                text.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            continue;
        }
        let (next, shown) = position.next(c);
        position = next;
        if shown {
            // A carriage return at a line's end is a line end; one before more text starts it anew.
            if std::mem::take(&mut repaint) {
                text.clear();
                column = 0;
            }
            text.push(c);
            column += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::plain_text;
    use proptest::prelude::*;

    #[test]
    fn sequences_are_gone_and_their_neighbours_stay() {
        assert_eq!(plain_text("\u{1b}[1;32mgreen\u{1b}[0m!"), "green!");
        assert_eq!(
            plain_text("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c"),
            "abc"
        );
        assert_eq!(plain_text("a\u{1b}(Bb\u{9b}2Kc\u{1b}7d"), "abcd");
        assert_eq!(plain_text("a\u{1b}Pq\u{1b}x\u{1b}\\b"), "ab");
    }

    #[test]
    fn of_a_line_that_repaints_itself_the_last_painting_stays() {
        assert_eq!(plain_text(" 10%\r 50%\r100%"), "100%");
        assert_eq!(plain_text("with a DOS end\r"), "with a DOS end");
    }

    #[test]
    fn tabs_are_spaces_to_the_next_stop() {
        assert_eq!(plain_text("a\tb\tc"), "a       b       c");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_survives(line in any::<String>()) {
            prop_assert!(!plain_text(&line).chars().any(char::is_control));
        }

        #[test]
        fn text_stays_as_it_is(line in "[^\\p{Cc}]*") {
            prop_assert_eq!(plain_text(&line), line);
        }

        #[test]
        fn coloured_text_is_the_text(text in "[a-z ]{0,20}", code in 0_u8..=107) {
            prop_assert_eq!(plain_text(&format!("\u{1b}[{code}m{text}\u{1b}[0m")), text);
        }
    }
}

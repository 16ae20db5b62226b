//! Keeps secret values out of everything that is shown or written.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What stands in place of a secret.
const REPLACEMENT: &str = "***";
/// A line of a multi-line secret that is shorter than this is not masked by itself: masking every `}` or `{` would
/// destroy all other output and hide nothing.
const SHORTEST_MASKED_LINE: usize = 4;

/// Replaces secret values in text. Clones share what they know.
#[derive(Clone, Default)]
pub struct Mask {
    /// Longest first, so that a secret that contains another is replaced whole.
    needles: Arc<RwLock<Vec<String>>>,
}

impl Mask {
    /// A mask for `secrets`, each also line by line.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mask = Self::default();
        mask.add(secrets);
        mask
    }

    fn needles(&self) -> RwLockReadGuard<'_, Vec<String>> {
        self.needles.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows these secrets too from now on.
    pub fn add<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            let whole = secret.trim();
            if !whole.is_empty() {
                needles.push(whole.to_owned());
            }
            if whole.contains('\n') {
                needles.extend(
                    whole
                        .lines()
                        .map(str::trim)
                        .filter(|line| line.len() >= SHORTEST_MASKED_LINE)
                        .map(str::to_owned),
                );
            }
        }
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
    }

    /// A line of a guest's output with every secret replaced, also one that control sequences are strewn into: colours
    /// around a part of it, say. Such a line loses its control sequences.
    pub fn apply_to_output(&self, line: &str) -> String {
        let masked = self.apply(line);
        let plain = without_controls(&masked);
        match self.apply(&plain) {
            Cow::Owned(hidden) => hidden,
            Cow::Borrowed(_) => masked.into_owned(),
        }
    }

    /// The length of the longest secret, in bytes.
    fn longest(&self) -> usize {
        self.needles().first().map_or(0, String::len)
    }

    /// `text` with every secret replaced.
    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for needle in self.needles().iter() {
            if masked.contains(needle.as_str()) {
                masked = Cow::Owned(masked.replace(needle.as_str(), REPLACEMENT));
            }
        }
        masked
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} values)", self.needles().len())
    }
}

/// `text` without control characters and escape sequences (ECMA-48: CSI, OSC and the like).
fn without_controls(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                Some('[') => while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(c) = characters.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && characters.next_if_eq(&'\\').is_some())
                        {
                            break;
                        }
                    }
                }
                Some(_) | None => {}
            },
            '\t' => plain.push(character),
            control if control.is_control() => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Masks lines that come in pieces, because they are longer than the client passes on at once: a secret may lie across
/// two pieces.
#[derive(Debug, Default)]
pub struct PieceMask {
    /// The end of the piece before, which may be the beginning of a secret. Held back until more is known.
    held: String,
}

impl PieceMask {
    /// What may be shown after `line`. A line of at least `piece` bytes counts as one that goes on.
    pub fn push(&mut self, mask: &Mask, line: &str, piece: usize) -> String {
        let goes_on = line.len() + 4 > piece;
        let text = mask.apply_to_output(&(std::mem::take(&mut self.held) + line));
        if !goes_on {
            return text;
        }
        let mut cut = text.len().saturating_sub(mask.longest());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        self.held = text[cut..].to_owned();
        text[..cut].to_owned()
    }

    /// What is still held back, at the end of the output.
    pub fn finish(&mut self) -> Option<String> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_a_multi_line_secret_line_by_line() {
        let mask = Mask::new(["first line\n{\nsecond line\n"]);
        assert_eq!(mask.apply("a second line b { c"), "a *** b { c");
    }

    #[test]
    fn masks_what_control_sequences_are_strewn_into() {
        let mask = Mask::new(["abcdefg"]);
        for hidden in [
            "ab\u{1b}[31mcde\u{1b}[0mfg",
            "abc\u{8}defg",
            "ab\0cdefg",
            "a\u{1b}]0;title\u{7}bcdefg",
        ] {
            assert_eq!(
                mask.apply_to_output(&format!("x {hidden} y")),
                "x *** y",
                "{hidden:?}"
            );
        }
        assert_eq!(
            mask.apply_to_output("\u{1b}[31mred\u{1b}[0m"),
            "\u{1b}[31mred\u{1b}[0m"
        );
    }

    #[test]
    fn masks_across_the_pieces_of_an_overlong_line() {
        let mask = Mask::new(["s3cret-value"]);
        for at in 1..12 {
            let whole = format!("{}s3cret-value", "a".repeat(100 - at));
            let mut pieces = PieceMask::default();
            let mut shown = pieces.push(&mask, &whole[..100], 100);
            shown.push_str(&pieces.push(&mask, &whole[100..], 100));
            shown.push_str(&pieces.finish().unwrap_or_default());
            assert_eq!(shown, format!("{}***", "a".repeat(100 - at)));
        }
    }

    proptest! {
        #[test]
        fn no_secret_survives(secret in "[a-z]{4,12}", before in "[A-Z ]{0,8}", after in "[A-Z ]{0,8}") {
            let mask = Mask::new([secret.as_str()]);
            let text = format!("{before}{secret}{secret}{after}");
            prop_assert!(!mask.apply(&text).contains(&secret));
        }
    }
}

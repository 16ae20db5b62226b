//! Keeps secret values out of everything that is shown or written.

use std::borrow::Cow;

/// What stands in place of a secret.
const REPLACEMENT: &str = "***";
/// A line of a multi-line secret that is shorter than this is not masked by itself: masking every `}` or `{` would
/// destroy all other output and hide nothing.
const SHORTEST_MASKED_LINE: usize = 4;

/// Replaces secret values in text.
#[derive(Clone, Default)]
pub struct Mask {
    /// Longest first, so that a secret that contains another is replaced whole.
    needles: Vec<String>,
}

impl Mask {
    /// A mask for `secrets`, each also line by line.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles = Vec::new();
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
        Self { needles }
    }

    /// `text` with every secret replaced.
    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for needle in &self.needles {
            if masked.contains(needle.as_str()) {
                masked = Cow::Owned(masked.replace(needle.as_str(), REPLACEMENT));
            }
        }
        masked
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} values)", self.needles.len())
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

    proptest! {
        #[test]
        fn no_secret_survives(secret in "[a-z]{4,12}", before in "[A-Z ]{0,8}", after in "[A-Z ]{0,8}") {
            let mask = Mask::new([secret.as_str()]);
            let text = format!("{before}{secret}{secret}{after}");
            prop_assert!(!mask.apply(&text).contains(&secret));
        }
    }
}

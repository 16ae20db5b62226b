//! Keeps secret values out of everything that is shown or written.
//!
//! A secret is looked for as it is, line by line, and in the forms in which programs print it (`forms`).

mod forms;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What stands in place of a secret.
const REPLACEMENT: &str = "***";
/// A line of a multi-line secret, or a form of a secret, that is shorter than this is not masked by itself: masking every
/// `}` or `{` would destroy all other output and hide nothing.
const SHORTEST_MASKED_LINE: usize = 4;

/// Replaces secret values in text. Clones share what they know.
#[derive(Clone, Default)]
pub struct Mask {
    needles: Arc<RwLock<Needles>>,
}

/// What is looked for.
#[derive(Default)]
struct Needles {
    all: BTreeSet<String>,
    /// The same by their first byte, the longest first: each place of a text is compared only with what may begin there,
    /// so the many forms of a secret cost next to nothing in text that has none of them.
    by_first: Vec<Vec<String>>,
    /// The length of the longest, in bytes.
    longest: usize,
}

impl Needles {
    fn add(&mut self, secret: &str) {
        let whole = secret.trim();
        if whole.is_empty() {
            return;
        }
        let long_enough = |text: &String| text.len() >= SHORTEST_MASKED_LINE;
        self.all.insert(whole.to_owned());
        self.all
            .extend(forms::escaped(whole).into_iter().filter(long_enough));
        self.all
            .extend(forms::base64(secret).into_iter().filter(long_enough));
        if whole.contains('\n') {
            let lines = whole.lines().map(str::trim);
            for line in lines.filter(|line| line.len() >= SHORTEST_MASKED_LINE) {
                self.all.insert(line.to_owned());
                self.all.extend(forms::escaped(line));
            }
        }
    }

    fn index(&mut self) {
        self.longest = self.all.iter().map(String::len).max().unwrap_or(0);
        self.by_first = vec![Vec::new(); 256];
        for needle in &self.all {
            if let Some(first) = needle.bytes().next() {
                self.by_first[usize::from(first)].push(needle.clone());
            }
        }
        for bucket in &mut self.by_first {
            bucket.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        }
    }

    /// The parts of `text` to be hidden, in order. Secrets that overlap are one part, so that nothing of the one stays
    /// when the other is hidden.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.longest == 0 {
            return found;
        }
        let bytes = text.as_bytes();
        for (start, first) in bytes.iter().enumerate() {
            let longest = self.by_first[usize::from(*first)]
                .iter()
                .find(|needle| bytes[start..].starts_with(needle.as_bytes()));
            let Some(needle) = longest else { continue };
            let end = start + needle.len();
            match found.last_mut() {
                Some(last) if start < last.end => last.end = last.end.max(end),
                _ => found.push(start..end),
            }
        }
        found
    }
}

impl Mask {
    /// A mask for `secrets`, each also line by line, and in the forms in which programs print it.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mask = Self::default();
        mask.add(secrets);
        mask
    }

    fn needles(&self) -> RwLockReadGuard<'_, Needles> {
        self.needles.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows these secrets too from now on.
    pub fn add<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            needles.add(secret);
            for part in forms::texts_within(secret) {
                needles.add(&part);
            }
        }
        needles.index();
    }

    /// A line of a guest's output with every secret replaced, also one that control sequences are strewn into: colours
    /// around a part of it, say. Such a line loses its control sequences.
    pub fn apply_to_output(&self, line: &str) -> String {
        let shown = self.showable(line);
        self.apply(&shown).into_owned()
    }

    /// `line`, or what it is without its control sequences if they hide a secret.
    fn showable<'t>(&self, line: &'t str) -> Cow<'t, str> {
        let needles = self.needles();
        let rest = without_controls(&hide(line, needles.find(line), 0));
        if needles.find(&rest).is_empty() {
            return Cow::Borrowed(line);
        }
        // A secret that itself has control characters must still be recognised.
        let mut plain = String::with_capacity(line.len());
        let mut done = 0;
        for part in needles.find(line) {
            plain.push_str(&without_controls(&line[done..part.start]));
            plain.push_str(&line[part.clone()]);
            done = part.end;
        }
        plain.push_str(&without_controls(&line[done..]));
        Cow::Owned(plain)
    }

    /// `text` with every secret replaced.
    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        hide(text, self.needles().find(text), 0)
    }
}

/// `text` from byte `shown` on, with `parts`, which are in order, replaced. Of a part that begins before `shown` nothing is
/// written again.
fn hide(text: &str, parts: Vec<Range<usize>>, mut shown: usize) -> Cow<'_, str> {
    if parts.is_empty() {
        return Cow::Borrowed(&text[shown..]);
    }
    let mut masked = String::with_capacity(text.len() - shown);
    for part in parts {
        if part.start >= shown {
            masked.push_str(&text[shown..part.start]);
            masked.push_str(REPLACEMENT);
        }
        shown = shown.max(part.end);
    }
    masked.push_str(&text[shown..]);
    Cow::Owned(masked)
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} forms)", self.needles().all.len())
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
#[derive(Default)]
pub struct PieceMask {
    /// The end of the piece before, which may be the beginning of a secret. Held back, as it came, until more is known: with
    /// a shorter secret in it replaced, a longer one around that would no longer be recognised.
    held: String,
    /// So many bytes at the beginning of `held` are the end of a secret whose replacement has been shown.
    hidden: usize,
    /// What of `held` may be shown if nothing follows.
    rest: String,
}

impl PieceMask {
    /// What may be shown after `line`. A line of at least `piece` bytes counts as one that goes on.
    pub fn push(&mut self, mask: &Mask, line: &str, piece: usize) -> String {
        let goes_on = line.len() + 4 > piece;
        let before = std::mem::take(self);
        let hidden = before.hidden;
        let mut text = before.held + line;
        // Without its control sequences, what is hidden already would have another length.
        let plain = match mask.showable(&text[hidden..]) {
            Cow::Owned(plain) => Some(plain),
            Cow::Borrowed(_) => None,
        };
        if let Some(plain) = plain {
            text.replace_range(hidden.., &plain);
        }
        let mut parts = mask.needles().find(&text);
        if !goes_on {
            return hide(&text, parts, hidden).into_owned();
        }
        let mut cut = text.len().saturating_sub(mask.needles().longest);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let until = |end: usize| {
            let begun = parts.iter().filter(|part| part.start < end);
            begun.map(|part| part.start..part.end.min(end)).collect()
        };
        let shown = hide(&text[..cut], until(cut), hidden.min(cut)).into_owned();
        let hidden = parts
            .iter()
            .filter(|part| part.start < cut)
            .fold(hidden, |end, part| end.max(part.end))
            .max(cut);
        parts.retain(|part| part.end > cut);
        self.rest = hide(&text, parts, hidden).into_owned();
        self.held = text.split_off(cut);
        self.hidden = hidden - cut;
        shown
    }

    /// What is still held back, at the end of the output.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(self).rest;
        (!rest.is_empty()).then_some(rest)
    }
}

impl std::fmt::Debug for PieceMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is held is not masked yet.
        f.debug_struct("PieceMask").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{
        BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
        Engine as _,
    };
    use proptest::prelude::*;

    #[test]
    fn masks_what_is_within_a_secret_of_json() {
        let secret = r#"{"auths":{"registry.example.com":{"auth":"c29tZWJvZHk6aHVudGVyMg==","email":"me"}}}"#;
        let mask = Mask::new([secret]);
        assert_eq!(
            mask.apply("auth=c29tZWJvZHk6aHVudGVyMg== of me"),
            "auth=*** of me"
        );
        assert_eq!(
            mask.apply("{'auth': 'c29tZWJvZHk6aHVudGVyMg=='}"),
            "{'auth': '***'}"
        );
        // Names are no secrets.
        assert_eq!(mask.apply("registry.example.com"), "registry.example.com");
    }

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

    #[test]
    fn masks_across_pieces_what_has_a_shorter_secret_within() {
        // The first line of the wrapped form is known by itself, and is whole in the first piece already.
        let secret = "0123456789".repeat(9);
        let mask = Mask::new([secret.as_str(), "b64"]);
        let encoded = BASE64_STANDARD.encode(&secret);
        for at in 1..encoded.len() {
            let whole = format!("{}b64 {encoded} b64", "x".repeat(400 - at));
            let mut pieces = PieceMask::default();
            let mut shown = String::new();
            let (first, second) = whole.split_at(404);
            for piece in [first, second] {
                shown.push_str(&pieces.push(&mask, piece, 404));
            }
            shown.push_str(&pieces.finish().unwrap_or_default());
            assert_eq!(shown, format!("{}*** *** ***", "x".repeat(400 - at)));
        }
    }

    #[test]
    fn a_secret_over_several_pieces_is_replaced_once() {
        let secret = "ab".repeat(50);
        let mask = Mask::new([secret.as_str()]);
        let whole = format!("x {secret}{secret}{secret} y");
        for piece in [120, 130, 150, 170, 210] {
            let mut pieces = PieceMask::default();
            let mut shown = String::new();
            for start in (0..whole.len()).step_by(piece) {
                let end = (start + piece).min(whole.len());
                shown.push_str(&pieces.push(&mask, &whole[start..end], piece));
            }
            shown.push_str(&pieces.finish().unwrap_or_default());
            assert_eq!(shown, "x *** y", "{piece}");
        }
    }

    #[test]
    fn hides_all_of_secrets_that_overlap() {
        let mask = Mask::new(["abcdef", "efghijkl"]);
        assert_eq!(mask.apply("1 abcdefghijkl 2"), "1 *** 2");
        assert_eq!(mask.apply("1 abcdefabcdef 2"), "1 ****** 2");
    }

    #[track_caller]
    fn assert_masked(secret: &str, forms: &[&str]) {
        let mask = Mask::new([secret]);
        for form in forms {
            assert_eq!(
                mask.apply(&format!("[{form}]")),
                "[***]",
                "{form:?} of {secret:?}"
            );
            assert_eq!(mask.apply_to_output(&format!("[{form}]")), "[***]");
        }
    }

    #[test]
    fn masks_what_ansible_prints_of_a_json_secret() {
        assert_masked(
            r#"{"auths":{"x":{"auth":"TOPSECRETVALUE"}}}"#,
            &[
                r#"{\"auths\":{\"x\":{\"auth\":\"TOPSECRETVALUE\"}}}"#,
                r#"{\\\"auths\\\":{\\\"x\\\":{\\\"auth\\\":\\\"TOPSECRETVALUE\\\"}}}"#,
            ],
        );
    }

    /// With something in it that each form treats in its own way.
    const AWKWARD: &str = r#"pa"ss'B/ack\slash <é&😀>~"#;

    #[test]
    fn masks_json_escapes() {
        assert_masked(
            AWKWARD,
            &[
                // jq, Ansible
                r#"pa\"ss'B/ack\\slash <é&😀>~"#,
                // json.dumps
                r#"pa\"ss'B/ack\\slash <\u00e9&\ud83d\ude00>~"#,
                // the same in upper case, and with the slash escaped
                r#"pa\"ss'B/ack\\slash <\u00E9&\uD83D\uDE00>~"#,
                r#"pa\"ss'B\/ack\\slash <\u00e9&\ud83d\ude00>~"#,
                r#"pa\"ss'B\/ack\\slash <é&😀>~"#,
                // Go
                r#"pa\"ss'B/ack\\slash \u003cé\u0026😀\u003e~"#,
                // Jinja's tojson
                r#"pa\"ss\u0027B/ack\\slash \u003c\u00e9\u0026\ud83d\ude00\u003e~"#,
                // json.dumps of json.dumps, and of jq's
                r#"pa\\\"ss'B/ack\\\\slash <\\u00e9&\\ud83d\\ude00>~"#,
                r#"pa\\\"ss'B/ack\\\\slash <\u00e9&\ud83d\ude00>~"#,
                r#"pa\\\"ss'B\\/ack\\\\slash <é&😀>~"#,
                r#"pa\\\"ss'B\\\/ack\\\\slash <é&😀>~"#,
            ],
        );
        assert_masked(
            "a\u{1b}b\tc\u{7f}d",
            &[r"a\u001bb\tc\u007fd", r"a\u001Bb\tc\u007Fd"],
        );
    }

    #[test]
    fn masks_percent_encoding() {
        assert_masked(
            AWKWARD,
            &[
                "pa%22ss%27B/ack%5Cslash%20%3C%C3%A9%26%F0%9F%98%80%3E~",
                "pa%22ss%27B%2Fack%5Cslash%20%3C%C3%A9%26%F0%9F%98%80%3E~",
                "pa%22ss%27B%2Fack%5Cslash+%3C%C3%A9%26%F0%9F%98%80%3E~",
                "pa%22ss%27B%2Fack%5Cslash+%3C%C3%A9%26%F0%9F%98%80%3E%7E",
                "pa%22ss%27B%2fack%5cslash%20%3c%c3%a9%26%f0%9f%98%80%3e~",
                "pa%22ss%27B%2fack%5cslash+%3c%c3%a9%26%f0%9f%98%80%3e~",
                "pa%22ss'B%2Fack%5Cslash%20%3C%C3%A9%26%F0%9F%98%80%3E~",
                "pa%22ss'B/ack%5Cslash%20%3C%C3%A9&%F0%9F%98%80%3E~",
            ],
        );
    }

    #[test]
    fn masks_shell_quoting() {
        assert_masked(
            AWKWARD,
            &[
                r#"pa"ss'"'"'B/ack\slash <é&😀>~"#,
                r#"pa"ss'\''B/ack\slash <é&😀>~"#,
                r#"pa\"ss'B/ack\\slash <é&😀>~"#,
                // "cmd" in the result of one of Ansible's tasks
                r#"pa\"ss'\"'\"'B/ack\\slash <é&😀>~"#,
                r#"pa\"ss'\\''B/ack\\slash <\u00e9&\ud83d\ude00>~"#,
            ],
        );
        assert_masked("pa$$`word`", &[r"pa\$\$\`word\`"]);
    }

    #[test]
    fn masks_base64() {
        // One length for each kind of padding.
        assert_masked(
            "s3cret-?>",
            &[
                "czNjcmV0LT8+",
                "czNjcmV0LT8-",
                "czNjcmV0LT8+Cg==",
                "czNjcmV0LT8-Cg",
            ],
        );
        assert_masked("s3cret-v", &["czNjcmV0LXY=", "czNjcmV0LXY", "czNjcmV0LXYK"]);
        assert_masked(
            "s3cret-",
            &["czNjcmV0LQ==", "czNjcmV0LQ", "czNjcmV0LQo=", "czNjcmV0LQo"],
        );
        // A secret from a file ends with a newline, which is not printed.
        assert_masked(
            "s3cret-\n",
            &["czNjcmV0LQ==", "czNjcmV0LQo=", "czNjcmV0LQoK"],
        );
    }

    #[test]
    fn masks_each_line_of_wrapped_base64() {
        let secret: String = (0..40).map(|n| format!("{n:02} key ")).collect();
        let mask = Mask::new([secret.as_str()]);
        for encoded in [
            BASE64_STANDARD.encode(&secret),
            BASE64_STANDARD.encode(secret.trim()),
            BASE64_STANDARD.encode(format!("{}\n", secret.trim())),
        ] {
            for columns in [64, 76] {
                for line in encoded.as_bytes().chunks(columns) {
                    let line = std::str::from_utf8(line).unwrap();
                    let masked = mask.apply(line);
                    if line.len() >= 16 {
                        assert_eq!(masked, "***", "{line}");
                    }
                }
            }
            assert_eq!(mask.apply(&encoded), "***");
        }
        let short = Mask::new(["x".repeat(60).as_str()]);
        // The second line has four characters.
        assert_eq!(short.apply("eHh4"), "eHh4");
    }

    #[test]
    fn masks_each_escaped_line() {
        let mask = Mask::new(["{\n  \"auth\": \"a'b/c\",\n}\n"]);
        for (text, masked) in [
            (r#"x \"auth\": \"a'b/c\", y"#, "x *** y"),
            (r#"{\n  \"auth\": \"a'b/c\",\n}"#, "***"),
            (r#"{\n  \"auth\": \"a'b/c\",\n]"#, r"{\n  ***\n]"),
            ("%22auth%22%3A%20%22a%27b/c%22%2C", "***"),
            (r#""auth": "a'"'"'b/c","#, "***"),
            ("{ }", "{ }"),
        ] {
            assert_eq!(mask.apply(text), masked);
        }
    }

    #[test]
    fn forms_that_are_too_short_are_not_masked() {
        let mask = Mask::new(["/"]);
        // %2F, \/ and Lw are forms of it.
        assert_eq!(mask.apply(r"a%2Fb \ Lw c"), r"a%2Fb \ Lw c");
        assert!(Mask::new(["abcd"]).needles().all.contains("YWJjZA"));
    }

    #[test]
    fn a_secret_without_special_characters_has_its_base64_only() {
        let mask = Mask::new(["0123456789ab"]);
        // Standard and URL-safe alike: padded or not without newline, padded and not with one.
        let forms: Vec<_> = mask.needles().all.iter().cloned().collect();
        assert_eq!(
            forms,
            [
                "0123456789ab",
                "MDEyMzQ1Njc4OWFi",
                "MDEyMzQ1Njc4OWFiCg",
                "MDEyMzQ1Njc4OWFiCg=="
            ]
        );
    }

    /// Values as they come, by encoders that are not those under test.
    fn printed(secret: &str) -> Vec<String> {
        let json = |text: &str| {
            let quoted = serde_json::to_string(text).unwrap();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let python = |text: &str| -> String {
            let units = |c: char| c.encode_utf16(&mut [0; 2]).to_vec();
            json(text)
                .chars()
                .flat_map(|c| match c {
                    ' '..='~' => vec![c.to_string()],
                    other => units(other).iter().map(|u| format!("\\u{u:04x}")).collect(),
                })
                .collect()
        };
        let percent = |safe: &str| -> String {
            secret
                .bytes()
                .map(|b| match char::from(b) {
                    c if c.is_ascii_alphanumeric() || safe.contains(c) => c.to_string(),
                    _ => format!("%{b:02X}"),
                })
                .collect()
        };
        let quoted = secret.split('\'').collect::<Vec<_>>().join(r#"'"'"'"#);
        let newline = format!("{secret}\n");
        vec![
            secret.to_owned(),
            json(secret),
            json(&json(secret)),
            python(secret),
            python(&python(secret)),
            python(&json(secret)),
            json(secret).replace('/', "\\/"),
            percent("-._~"),
            percent("-._~/"),
            percent("-._~").replace("%20", "+"),
            json(&quoted),
            quoted,
            BASE64_STANDARD.encode(secret),
            BASE64_STANDARD_NO_PAD.encode(secret),
            BASE64_URL_SAFE.encode(secret),
            BASE64_URL_SAFE_NO_PAD.encode(secret),
            BASE64_STANDARD.encode(&newline),
            BASE64_URL_SAFE_NO_PAD.encode(&newline),
        ]
    }

    proptest! {
        #[test]
        fn no_form_of_a_secret_survives(
            secret in "[a-zA-Z0-9\"'/<&é😀][a-zA-Z0-9\"'\\\\/ <>&+=~$`éß😀\n\t-]{2,60}[a-zA-Z0-9\"'/<&é😀]",
            before in "[|#:]{0,8}",
            after in "[|#:]{0,8}",
        ) {
            let mask = Mask::new([secret.as_str()]);
            for form in printed(&secret) {
                let text = format!("{before}{form}{after}");
                prop_assert_eq!(mask.apply(&text), format!("{before}***{after}"), "{}", form);
            }
        }

        #[test]
        fn text_without_secrets_is_unchanged(
            secret in "[a-zA-Z\"'\\\\/ é\n]{0,60}",
            text in "[0-9 .,:;{}*\u{1b}ü]{0,200}",
        ) {
            let mask = Mask::new([secret.as_str()]);
            prop_assert!(matches!(mask.apply(&text), Cow::Borrowed(same) if same == text));
            prop_assert_eq!(mask.apply_to_output(&text), text.as_str());
            let mut pieces = PieceMask::default();
            let mut shown = String::new();
            for character in text.chars() {
                shown.push_str(&pieces.push(&mask, character.encode_utf8(&mut [0; 4]), 0));
            }
            shown.push_str(&pieces.finish().unwrap_or_default());
            prop_assert_eq!(shown, text);
        }

        #[test]
        fn pieces_hide_what_a_whole_line_hides(
            secret in "[ab\"\n]{1,8}",
            text in "[ab\"\\\\ c]{0,60}",
            piece in 8_usize..20,
        ) {
            let mask = Mask::new([secret.as_str()]);
            let mut pieces = PieceMask::default();
            let mut shown = String::new();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (line, later) = rest.split_at(piece.min(rest.len()));
                // The last piece goes on too: there is nothing to see of the end.
                shown.push_str(&pieces.push(&mask, line, 0));
                rest = later;
            }
            shown.push_str(&pieces.finish().unwrap_or_default());
            prop_assert_eq!(shown, mask.apply(&text).into_owned());
        }

        #[test]
        fn no_secret_survives(secret in "[a-z]{4,12}", before in "[A-Z ]{0,8}", after in "[A-Z ]{0,8}") {
            let mask = Mask::new([secret.as_str()]);
            let text = format!("{before}{secret}{secret}{after}");
            prop_assert!(!mask.apply(&text).contains(&secret));
        }
    }
}

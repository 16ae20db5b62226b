//! The forms in which programs print a value: Ansible shows results as JSON, scripts quote for the shell and for URLs, and
//! manifests carry Base64. Each form here is one that a program writes without being asked to hide anything, so a secret in
//! it must be found as if it stood there in clear.
//!
//! Only whole values and whole lines of them have forms: a part of a secret in Base64 depends on what stands before it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// Columns after which programs begin a new line of Base64: `base64` and MIME at 76, `openssl base64` and PEM at 64.
const BASE64_COLUMNS: [usize; 2] = [76, 64];
/// A line of wrapped Base64 that is shorter than this is not masked by itself: it is the end of a long secret, says little
/// about it, and may stand elsewhere by chance.
const SHORTEST_BASE64_LINE: usize = 16;

/// How `text` looks escaped for JSON (once, and once more as JSON within JSON), for a URL, and between quotes in a shell,
/// the latter also within JSON. `text` itself is not among them unless a form leaves it as it is.
pub(super) fn escaped(text: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for style in json::Style::all() {
        let once = style.escape(text);
        for again in [json::Style::PLAIN, json::Style::PYTHON, style] {
            forms.insert(again.escape(&once));
        }
        forms.insert(once);
    }
    for style in percent::Style::all() {
        forms.insert(style.encode(text));
    }
    for quoted in shell(text) {
        for style in [json::Style::PLAIN, json::Style::PYTHON] {
            forms.insert(style.escape(&quoted));
        }
        forms.insert(quoted);
    }
    forms
}

/// `text` as it stands between the quotes that a shell or a program writes around it.
fn shell(text: &str) -> [String; 3] {
    let mut double = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            double.push('\\');
        }
        double.push(character);
    }
    [
        // Python's shlex.quote, Ansible's filter `quote`, and dash.
        text.replace('\'', r#"'"'"'"#),
        // Bash, `set -x` included.
        text.replace('\'', r"'\''"),
        // `export -p`.
        double,
    ]
}

/// `secret` in Base64: in the standard and the URL-safe alphabet, with and without padding, as it is, trimmed, and with the
/// final newline that `echo` adds; each on one line, and as the lines of the wrapped form.
pub(super) fn base64(secret: &str) -> BTreeSet<String> {
    let trimmed = secret.trim();
    let texts = BTreeSet::from([
        secret.to_owned(),
        trimmed.to_owned(),
        format!("{secret}\n"),
        format!("{trimmed}\n"),
    ]);
    let mut forms = BTreeSet::new();
    for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
        for padding in [true, false] {
            let config = GeneralPurposeConfig::new()
                .with_encode_padding(padding)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let engine = GeneralPurpose::new(&alphabet, config);
            for text in &texts {
                let encoded = engine.encode(text);
                for columns in BASE64_COLUMNS {
                    forms.extend(lines_of(&encoded, columns).map(str::to_owned));
                }
                forms.insert(encoded);
            }
        }
    }
    forms
}

/// The lines of `encoded`, which is ASCII, at a width of `columns`, without those too short to be masked by themselves.
fn lines_of(encoded: &str, columns: usize) -> impl Iterator<Item = &str> {
    (0..encoded.len())
        .step_by(columns)
        .filter_map(move |start| encoded.get(start..(start + columns).min(encoded.len())))
        .filter(|line| line.len() >= SHORTEST_BASE64_LINE)
}

/// Escaping within a JSON string (RFC 8259, section 7), which leaves a writer several choices.
mod json {
    use std::fmt::Write as _;

    /// What is done with characters outside printable ASCII.
    #[derive(Clone, Copy)]
    enum NonAscii {
        /// They stand as they are, as with `jq`, Go, and Ansible's own output.
        Raw,
        /// `\uXXXX` for each UTF-16 unit, as Python's `json.dumps` does.
        Escaped,
    }

    /// The case of the digits of `\uXXXX`.
    #[derive(Clone, Copy)]
    enum Hex {
        Lower,
        Upper,
    }

    /// Whether `/` is written as `\/`.
    #[derive(Clone, Copy)]
    enum Slash {
        Raw,
        Escaped,
    }

    /// What else is escaped so that the JSON can stand in HTML.
    #[derive(Clone, Copy)]
    enum Html {
        Raw,
        /// `<`, `>`, `&` and the two Unicode line separators, as in Go.
        Go,
        /// `<`, `>`, `&` and `'`, as with Jinja's filter `tojson`.
        Jinja,
    }

    /// The choices of one writer.
    #[derive(Clone, Copy)]
    pub(super) struct Style {
        non_ascii: NonAscii,
        hex: Hex,
        slash: Slash,
        html: Html,
    }

    impl Style {
        /// Nothing is escaped that need not be.
        pub(super) const PLAIN: Self = Self {
            non_ascii: NonAscii::Raw,
            hex: Hex::Lower,
            slash: Slash::Raw,
            html: Html::Raw,
        };
        /// As `json.dumps` does it.
        pub(super) const PYTHON: Self = Self {
            non_ascii: NonAscii::Escaped,
            ..Self::PLAIN
        };

        /// Every combination of choices.
        pub(super) fn all() -> impl Iterator<Item = Self> {
            [NonAscii::Raw, NonAscii::Escaped]
                .into_iter()
                .flat_map(|non_ascii| [Hex::Lower, Hex::Upper].map(|hex| (non_ascii, hex)))
                .flat_map(|(non_ascii, hex)| {
                    [Slash::Raw, Slash::Escaped].map(|slash| (non_ascii, hex, slash))
                })
                .flat_map(|(non_ascii, hex, slash)| {
                    [Html::Raw, Html::Go, Html::Jinja].map(|html| Self {
                        non_ascii,
                        hex,
                        slash,
                        html,
                    })
                })
        }

        /// `text` as it stands between the quotation marks of a JSON string.
        pub(super) fn escape(self, text: &str) -> String {
            let mut escaped = String::with_capacity(text.len() + text.len() / 8);
            for character in text.chars() {
                match character {
                    '"' => escaped.push_str("\\\""),
                    '\\' => escaped.push_str("\\\\"),
                    '\u{8}' => escaped.push_str("\\b"),
                    '\u{c}' => escaped.push_str("\\f"),
                    '\n' => escaped.push_str("\\n"),
                    '\r' => escaped.push_str("\\r"),
                    '\t' => escaped.push_str("\\t"),
                    '/' if matches!(self.slash, Slash::Escaped) => escaped.push_str("\\/"),
                    other if self.by_number(other) => self.push_number(&mut escaped, other),
                    other => escaped.push(other),
                }
            }
            escaped
        }

        fn by_number(self, character: char) -> bool {
            let for_html = match self.html {
                Html::Raw => false,
                Html::Go => matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'),
                Html::Jinja => matches!(character, '<' | '>' | '&' | '\''),
            };
            let outside_ascii = matches!(self.non_ascii, NonAscii::Escaped) && character > '~';
            character < ' ' || for_html || outside_ascii
        }

        fn push_number(self, escaped: &mut String, character: char) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let written = match self.hex {
                    Hex::Lower => write!(escaped, "\\u{unit:04x}"),
                    Hex::Upper => write!(escaped, "\\u{unit:04X}"),
                };
                debug_assert!(written.is_ok(), "writing to a string does not fail");
            }
        }
    }
}

/// Percent-encoding (RFC 3986, section 2.1), in which programs differ about what needs it.
mod percent {
    use std::fmt::Write as _;

    /// The case of the digits of `%XX`.
    #[derive(Clone, Copy)]
    enum Hex {
        Lower,
        Upper,
    }

    /// How a space is written.
    #[derive(Clone, Copy)]
    enum Space {
        /// `%20`.
        Encoded,
        /// `+`, as in forms.
        Plus,
    }

    /// What stands for itself, beside ASCII letters and digits.
    const LITERALS: [&[u8]; 5] = [
        // RFC 3986's unreserved characters: Python's quote_plus and quote(safe=''), curl, jq's @uri, Go.
        b"-._~",
        // Python's quote, and Jinja's and Ansible's filter urlencode.
        b"-._~/",
        // JavaScript's encodeURIComponent.
        b"-._~!'()*",
        // JavaScript's encodeURI.
        b"-._~!'()*;/?:@&=+$,#",
        // The form encoding of the URL standard, and Java's URLEncoder.
        b"-._*",
    ];

    /// The choices of one program.
    #[derive(Clone, Copy)]
    pub(super) struct Style {
        literal: &'static [u8],
        hex: Hex,
        space: Space,
    }

    impl Style {
        /// Every combination of choices.
        pub(super) fn all() -> impl Iterator<Item = Self> {
            LITERALS
                .into_iter()
                .flat_map(|literal| [Hex::Lower, Hex::Upper].map(|hex| (literal, hex)))
                .flat_map(|(literal, hex)| {
                    [Space::Encoded, Space::Plus].map(|space| Self {
                        literal,
                        hex,
                        space,
                    })
                })
        }

        /// `text` as a component of a URL.
        pub(super) fn encode(self, text: &str) -> String {
            let mut encoded = String::with_capacity(text.len() + text.len() / 4);
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || self.literal.contains(&byte) {
                    encoded.push(char::from(byte));
                } else if byte == b' ' && matches!(self.space, Space::Plus) {
                    encoded.push('+');
                } else {
                    let written = match self.hex {
                        Hex::Lower => write!(encoded, "%{byte:02x}"),
                        Hex::Upper => write!(encoded, "%{byte:02X}"),
                    };
                    debug_assert!(written.is_ok(), "writing to a string does not fail");
                }
            }
            encoded
        }
    }
}
/// What is shorter within a secret of JSON is a name or a number rather than a secret, and may stand in any text.
const SHORTEST_WITHIN: usize = 12;

/// The texts within a secret that is a JSON object or list: programs take one out and print it alone, as the `auth` of a pull
/// secret.
pub(super) fn texts_within(secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = match serde_json::from_str(secret) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => vec![value],
        Ok(_) | Err(_) => Vec::new(),
    };
    while let Some(value) = pending.pop() {
        match value {
            Value::String(text) if text.len() >= SHORTEST_WITHIN => found.push(text),
            Value::Array(values) => pending.extend(values),
            Value::Object(members) => pending.extend(members.into_iter().map(|(_, value)| value)),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }
    found
}

//! Java's properties.
//! <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/Properties.html#load(java.io.Reader)>

use super::Pair;
use std::fmt::Write as _;

/// One `key=value` a line, escaped so that Java and anything simpler read it back.
pub fn properties(pairs: &[Pair]) -> Vec<u8> {
    let mut text = String::new();
    for Pair { key, value } in pairs {
        escape(&mut text, key, Part::Key);
        text.push('=');
        escape(&mut text, value, Part::Value);
        text.push('\n');
    }
    text.into_bytes()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

fn escape(out: &mut String, text: &str, part: Part) {
    for (at, c) in text.char_indices() {
        let leading_space = c == ' ' && (part == Part::Key || at == 0);
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '=' | ':' if part == Part::Key => {
                out.push('\\');
                out.push(c);
            }
            '#' | '!' if part == Part::Key && at == 0 => {
                out.push('\\');
                out.push(c);
            }
            _ if leading_space => out.push_str("\\ "),
            ' '..='~' => out.push(c),
            _ => {
                // Characters beyond the first plane are two escapes, as Java has them.
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_java_is_escaped() {
        let pair = |key: &str, value: &str| Pair {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let written = properties(&[
            pair("base", "ami-1"),
            pair("a b:c=d", " x = \\ # é"),
            pair("#k", "line\nline"),
        ]);
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "base=ami-1\na\\ b\\:c\\=d=\\ x = \\\\ # \\u00E9\n\\#k=line\\nline\n"
        );
    }
}

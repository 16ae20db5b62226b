//! Quoting for a POSIX shell.

/// `text` as one word of a POSIX shell: in single quotes, within which nothing is special (POSIX.1-2024, XCU 2.2.2);
/// a single quote in it is written `'\''`. Words of safe characters stay as they are, for the reader of a log.
///
/// A shell word cannot hold a NUL byte; callers that take text from outside refuse it before.
pub fn shell_quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    // A leading `=` is a command look-up in zsh, which may be the login shell.
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(safe) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if c == '\'' {
            quoted.push_str(r"'\''");
        } else {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

/// `script` as a command that any login shell can run: `/bin/sh -c '…'`. The login shell may be csh or fish, which
/// agree with POSIX on little more than single quotes.
pub(crate) fn through_posix_shell(script: &str) -> String {
    format!("exec /bin/sh -c {}", shell_quote(script))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn shell_says(word: &str) -> Vec<u8> {
        let script = format!("printf %s {word}");
        let out = Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .output()
            .expect("/bin/sh runs");
        assert!(out.status.success(), "{out:?}");
        out.stdout
    }

    #[test]
    fn plain_words_stay_readable() {
        assert_eq!(shell_quote("/tmp/a-b_c.tar"), "/tmp/a-b_c.tar");
        assert_eq!(shell_quote(""), "''");
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
        assert_eq!(shell_quote("=ls"), "'=ls'");
        assert_eq!(shell_quote("~root"), "'~root'");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_real_shell_gives_the_text_back(text in "[^\\x00]{0,60}") {
            prop_assert_eq!(shell_says(&shell_quote(&text)), text.as_bytes());
        }

        #[test]
        fn quoting_twice_survives_two_shells(text in "[ -~\\n\\t]{0,40}") {
            let inner = format!("printf %s {}", shell_quote(&text));
            let out = Command::new("/bin/sh").arg("-c").arg(through_posix_shell(&inner)).output().expect("/bin/sh runs");
            prop_assert_eq!(out.stdout, text.as_bytes());
        }
    }
}

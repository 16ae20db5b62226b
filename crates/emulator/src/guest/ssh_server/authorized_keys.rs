//! Who may log in: `~/.ssh/authorized_keys`, read anew at every attempt.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use russh::keys::PublicKey;

use crate::guest::accounts::Account;
use crate::guest::host::GuestMode;

/// What a key may be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// Run instead of whatever the client asks for.
    pub forced_command: Option<String>,
    /// No terminal.
    pub no_terminal: bool,
}

/// What the account's `authorized_keys` permits `key`; `None` if it is not there.
///
/// # Errors
/// If a file on the way is unreadable or, as for sshd's `StrictModes`, writable by others.
pub fn permission(
    account: &Account,
    key: &PublicKey,
    mode: GuestMode,
) -> io::Result<Option<Permission>> {
    let folder = account.home.join(".ssh");
    let file = folder.join("authorized_keys");
    for path in [account.home.as_path(), &folder, &file] {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let owned_well =
            metadata.uid() == 0 || (mode == GuestMode::Root && metadata.uid() == account.user);
        if !owned_well || metadata.mode() & 0o022 != 0 {
            return Err(bad_modes(path));
        }
    }
    Ok(find(&fs::read_to_string(&file)?, key))
}

fn bad_modes(path: &Path) -> io::Error {
    io::Error::other(format!("bad ownership or modes for {}", path.display()))
}

/// The first line for `key` whose options are all understood.
fn find(text: &str, key: &PublicKey) -> Option<Permission> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(entry)
        .filter(|(_, entry)| entry.key_data() == key.key_data())
        .find_map(|(text, _)| options(text))
}

/// A line's options and key. A line that is not a key begins with options, which end at the first white space outside quotes.
fn entry(line: &str) -> Option<(&str, PublicKey)> {
    if let Ok(key) = line.parse() {
        return Some(("", key));
    }
    let (mut quoted, mut escaped) = (false, false);
    let end = line.find(|letter: char| {
        if letter == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = letter == '\\' && !escaped;
        letter.is_whitespace() && !quoted
    })?;
    let (options, key) = line.split_at(end);
    Some((options, key.trim_start().parse().ok()?))
}

/// `None` if an option is not understood: sshd then refuses the key, for the option may have been a restriction.
fn options(text: &str) -> Option<Permission> {
    let mut permission = Permission::default();
    for option in split_options(text) {
        let (name, value) = option
            .split_once('=')
            .map_or((option.as_str(), None), |(name, value)| (name, Some(value)));
        match (name.to_ascii_lowercase().as_str(), value) {
            ("command", Some(value)) => permission.forced_command = Some(unquoted(value)),
            ("no-pty" | "restrict", None) => permission.no_terminal = true,
            ("pty", None) => permission.no_terminal = false,
            // Nothing of this is offered anyway, and sshd by default heeds no environment from here either.
            (
                "no-port-forwarding"
                | "no-agent-forwarding"
                | "no-x11-forwarding"
                | "no-user-rc"
                | "port-forwarding"
                | "agent-forwarding"
                | "x11-forwarding"
                | "user-rc",
                None,
            )
            | ("environment" | "permitopen" | "permitlisten", Some(_)) => {}
            _ => return None,
        }
    }
    Some(permission)
}

/// Commas separate options, except inside double quotes, where `\"` is a quote.
fn split_options(text: &str) -> Vec<String> {
    let (mut options, mut current, mut quoted, mut escaped) =
        (Vec::new(), String::new(), false, false);
    for letter in text.chars() {
        match letter {
            ',' if !quoted => options.push(std::mem::take(&mut current)),
            _ => {
                if letter == '"' && !escaped {
                    quoted = !quoted;
                }
                current.push(letter);
            }
        }
        escaped = letter == '\\' && !escaped;
    }
    options.push(current);
    options.retain(|option| !option.is_empty());
    options
}

fn unquoted(value: &str) -> String {
    value
        .trim_start_matches('"')
        .trim_end_matches('"')
        .replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn key() -> PublicKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
            .unwrap()
            .public_key()
            .clone()
    }

    #[test]
    fn a_key_is_found_among_others_and_garbage() {
        let (mine, other) = (key(), key());
        let text = format!(
            "# comment\nnonsense\n{} a\n\n  {} b\n",
            other.to_openssh().unwrap(),
            mine.to_openssh().unwrap()
        );
        assert_eq!(find(&text, &mine), Some(Permission::default()));
        assert_eq!(find(&text, &key()), None);
    }

    #[test]
    fn cloud_inits_line_for_root_forces_its_command() {
        let mine = key();
        let line = format!(
            "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please login as \\\"ec2-user\\\", not root';exit 142\" {}",
            mine.to_openssh().unwrap()
        );
        let permission = find(&line, &mine).unwrap();
        assert_eq!(
            permission.forced_command.as_deref(),
            Some("echo 'Please login as \"ec2-user\", not root';exit 142")
        );
    }

    #[test]
    fn an_option_that_may_be_a_restriction_refuses_the_key() {
        let mine = key();
        assert_eq!(
            find(
                &format!("from=\"10.0.0.0/8\" {}", mine.to_openssh().unwrap()),
                &mine
            ),
            None
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,200}") {
            let _ = find(&text, &key());
            let _ = options(&text);
        }
    }
}

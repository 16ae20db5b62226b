//! Login keys: `~/.ssh/authorized_keys`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use super::accounts::give;
use crate::guest::accounts::Account;
use crate::guest::host::GuestMode;

/// Adds keys to the account's `authorized_keys`, each once, with `options` in front.
///
/// # Errors
/// If the file cannot be written.
pub fn authorize(
    account: &Account,
    keys: &[String],
    options: &str,
    mode: GuestMode,
) -> io::Result<()> {
    let folder = account.home.join(".ssh");
    let file = folder.join("authorized_keys");
    if keys.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    fs::write(&file, with_keys(&text, keys, options))?;
    for (path, bits) in [(&folder, 0o700), (&file, 0o600)] {
        give(path, account, mode)?;
        fs::set_permissions(path, fs::Permissions::from_mode(bits))?;
    }
    Ok(())
}

fn with_keys(text: &str, keys: &[String], options: &str) -> String {
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for key in keys
        .iter()
        .flat_map(|key| key.lines())
        .map(str::trim)
        .filter(|key| !key.is_empty())
    {
        let line = format!("{options}{key}");
        if !text.lines().any(|present| present == line) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// The options that cloud images put before root's keys: the login only says who to log in as.
pub fn root_options(default_user: &str) -> String {
    format!(
        "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please login as the user \\\"{default_user}\\\" \
         rather than the user \\\"root\\\".';echo;sleep 10;exit 142\" "
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_once_and_in_lines_of_their_own() {
        let keys = ["a\n".to_owned(), "b\nc".to_owned()];
        let once = with_keys("x", &keys, "");
        assert_eq!(once, "x\na\nb\nc\n");
        assert_eq!(with_keys(&once, &keys, ""), once);
    }
}

//! `sudo` for guests whose host has none, and for rootless guests.
//!
//! It knows one kind of rule, the one that cloud images have: a user, or the members of a group, may run everything as anyone
//! without a password (`NAME ALL=(ALL) NOPASSWD:ALL` in `/etc/sudoers.d`). Whoever would be asked for a password is refused.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::guest::accounts::{Account, parse_groups};
use crate::guest::sys;

use super::complain;

const SECURE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const RULES: &str = "/etc/sudoers.d";
/// Variables that survive, as with sudo's `env_reset`.
const KEPT: [&str; 7] = [
    "TERM",
    "LANG",
    "LANGUAGE",
    "COLORTERM",
    "DISPLAY",
    "LS_COLORS",
    "TZ",
];

/// What is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Runs {
    /// The command itself.
    #[default]
    Command,
    /// The target's shell (`-s`).
    Shell,
    /// The target's login shell, at home (`-i`).
    Login,
}

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    user: Option<String>,
    group: Option<String>,
    runs: Runs,
    keep_environment: bool,
    kept_variables: Vec<String>,
    only_check: bool,
    variables: Vec<(String, String)>,
    command: Vec<OsString>,
}

pub fn main(arguments: &[OsString]) -> i32 {
    let request = match parse(arguments) {
        Ok(request) => request,
        Err(text) => return complain("sudo", &text, 1),
    };
    match prepare(&request) {
        Ok(None) => 0,
        Ok(Some(mut command)) => {
            let error = command.exec();
            let text = match error.kind() {
                std::io::ErrorKind::NotFound => "command not found".to_owned(),
                _ => error.to_string(),
            };
            complain(
                "sudo",
                &format!("{}: {text}", command.get_program().display()),
                1,
            )
        }
        Err(text) => complain("sudo", &text, 1),
    }
}

fn parse(arguments: &[OsString]) -> Result<Request, String> {
    let mut request = Request::default();
    let mut rest = arguments.iter();
    let value = |option: &str, next: Option<&OsString>| {
        next.and_then(|v| v.to_str())
            .map(str::to_owned)
            .ok_or_else(|| format!("option {option} needs a value"))
    };
    while let Some(argument) = rest.next() {
        let text = argument.to_str().unwrap_or("");
        if let Some((name, variable)) = text
            .split_once('=')
            .filter(|(name, _)| is_variable_name(name))
        {
            request
                .variables
                .push((name.to_owned(), variable.to_owned()));
            continue;
        }
        match text {
            "--" => {
                request.command.extend(rest.cloned());
                break;
            }
            "--user" => request.user = Some(value(text, rest.next())?),
            "--group" => request.group = Some(value(text, rest.next())?),
            "--non-interactive" | "--set-home" | "--stdin" | "--reset-timestamp" => {}
            "--preserve-env" => request.keep_environment = true,
            "--login" => request.runs = Runs::Login,
            "--shell" => request.runs = Runs::Shell,
            "--validate" => request.only_check = true,
            long if long.starts_with("--") => match long.split_once('=') {
                Some(("--user", user)) => request.user = Some(user.to_owned()),
                Some(("--group", group)) => request.group = Some(group.to_owned()),
                Some(("--preserve-env", names)) => request
                    .kept_variables
                    .extend(names.split(',').map(str::to_owned)),
                _ => {
                    return Err(format!(
                        "option {long} is not known to the local EC2's sudo"
                    ));
                }
            },
            short if short.len() > 1 && short.starts_with('-') => {
                parse_short(short, &mut request, &mut rest)?
            }
            _ => {
                request.command.push(argument.clone());
                request.command.extend(rest.cloned());
                break;
            }
        }
    }
    if request.command.is_empty() && request.runs == Runs::Command && !request.only_check {
        return Err("usage: sudo [-EHins] [-u user] [-g group] [VAR=value] command".to_owned());
    }
    Ok(request)
}

/// A cluster such as `-nEu root`.
fn parse_short(
    cluster: &str,
    request: &mut Request,
    rest: &mut std::slice::Iter<'_, OsString>,
) -> Result<(), String> {
    for (at, letter) in cluster.char_indices().skip(1) {
        match letter {
            // No password is ever asked for, HOME is always the target's, and there is no timestamp.
            'n' | 'H' | 'S' | 'k' => {}
            'E' => request.keep_environment = true,
            'i' => request.runs = Runs::Login,
            's' => request.runs = Runs::Shell,
            'v' => request.only_check = true,
            'u' | 'g' | 'p' => {
                let attached = cluster
                    .get(at + 1..)
                    .filter(|v| !v.is_empty())
                    .map(str::to_owned);
                let value = attached
                    .or_else(|| rest.next().and_then(|v| v.to_str()).map(str::to_owned))
                    .ok_or_else(|| format!("option -{letter} needs a value"))?;
                match letter {
                    'u' => request.user = Some(value),
                    'g' => request.group = Some(value),
                    // A prompt that is never shown.
                    _ => {}
                }
                return Ok(());
            }
            other => {
                return Err(format!(
                    "option -{other} is not known to the local EC2's sudo"
                ));
            }
        }
    }
    Ok(())
}

fn is_variable_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn prepare(request: &Request) -> Result<Option<Command>, String> {
    let unreadable = |e: std::io::Error| format!("cannot read the guest's users: {e}");
    let caller_id = rustix::process::getuid().as_raw();
    let caller = Account::with_id(caller_id)
        .map_err(unreadable)?
        .ok_or_else(|| format!("user {caller_id} does not exist"))?;
    if caller_id != 0 && !may_use_sudo(&caller)? {
        return Err(format!(
            "{} is not in the sudoers file, or only with a password",
            caller.name
        ));
    }
    if request.only_check {
        return Ok(None);
    }
    let name = request.user.as_deref().unwrap_or("root");
    let target = match name.strip_prefix('#').and_then(|id| id.parse().ok()) {
        Some(id) => Account::with_id(id),
        None => Account::find(name),
    };
    let target = target
        .map_err(unreadable)?
        .ok_or_else(|| format!("unknown user {name}"))?;
    let group = match &request.group {
        Some(name) => group_id(name)?,
        None => target.group,
    };
    // In a rootless guest there is no other id to become.
    if sys::has_set_user_id_powers() || has_other_ids() {
        let groups = target.supplementary_groups().map_err(unreadable)?;
        let groups: Vec<_> = std::iter::once(group)
            .chain(groups.into_iter().filter(|g| *g != group))
            .collect();
        sys::become_user(target.user, group, &groups)
            .map_err(|e| format!("cannot become {name}: {e}"))?;
    }
    let mut command = command_line(request, &target);
    set_environment(&mut command, request, &caller, &target);
    if request.runs == Runs::Login {
        command.current_dir(&target.home);
    }
    Ok(Some(command))
}

/// Whether this user namespace has more ids than one.
fn has_other_ids() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace()
        .nth(2)
        .and_then(|count| count.parse::<u64>().ok())
        .is_some_and(|count| count > 1)
}

fn group_id(name: &str) -> Result<u32, String> {
    if let Some(id) = name.strip_prefix('#').and_then(|id| id.parse().ok()) {
        return Ok(id);
    }
    let text = fs::read_to_string("/etc/group").map_err(|e| format!("/etc/group: {e}"))?;
    parse_groups(&text)
        .into_iter()
        .find(|g| g.name == name)
        .map(|g| g.id)
        .ok_or_else(|| format!("unknown group {name}"))
}

fn may_use_sudo(caller: &Account) -> Result<bool, String> {
    let groups = fs::read_to_string("/etc/group").map_err(|e| format!("/etc/group: {e}"))?;
    let groups: Vec<_> = parse_groups(&groups)
        .into_iter()
        .filter(|g| g.id == caller.group || g.members.contains(&caller.name))
        .map(|g| g.name)
        .collect();
    let entries = match fs::read_dir(RULES) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("{RULES}: {error}")),
    };
    for entry in entries {
        let path = entry.map_err(|e| format!("{RULES}: {e}"))?.path();
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if text.lines().any(|rule| allows(rule, &caller.name, &groups)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a line of a sudoers file lets the user do everything without a password.
fn allows(rule: &str, user: &str, groups: &[String]) -> bool {
    let Some((who, what)) = rule.trim().split_once(char::is_whitespace) else {
        return false;
    };
    let applies = match who.strip_prefix('%') {
        Some(group) => groups.iter().any(|g| g == group),
        None => who == user || who == "ALL",
    };
    let what: String = what.chars().filter(|c| !c.is_whitespace()).collect();
    applies
        && matches!(
            what.as_str(),
            "ALL=(ALL)NOPASSWD:ALL" | "ALL=(ALL:ALL)NOPASSWD:ALL" | "ALL=NOPASSWD:ALL"
        )
}

fn command_line(request: &Request, target: &Account) -> Command {
    match (request.runs, request.command.split_first()) {
        (Runs::Command, Some((program, arguments))) => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        (runs, words) => {
            let mut command = Command::new(&target.shell);
            if runs == Runs::Login {
                let shell = target.shell.file_name().unwrap_or(OsStr::new("sh"));
                let mut name = OsString::from("-");
                name.push(shell);
                command.arg0(name);
            }
            if words.is_some() {
                command.arg("-c").arg(escaped(&request.command));
            }
            command
        }
    }
}

/// The words as one line for a shell. As sudo does for `-i` and `-s`: everything but letters, digits, `_`, `-` and `$` is escaped.
fn escaped(words: &[OsString]) -> OsString {
    let mut line = Vec::new();
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            line.push(b' ');
        }
        for byte in word.as_bytes() {
            if !byte.is_ascii_alphanumeric() && !b"_-$".contains(byte) && byte.is_ascii() {
                line.push(b'\\');
            }
            line.push(*byte);
        }
    }
    OsStr::from_bytes(&line).to_owned()
}

fn set_environment(command: &mut Command, request: &Request, caller: &Account, target: &Account) {
    command.env_clear();
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let kept = KEPT.contains(&text.as_ref())
            || text.starts_with("LC_")
            || request.kept_variables.iter().any(|k| *k == *text);
        // What the dynamic loader obeys must not pass a change of user.
        if (kept || request.keep_environment) && !text.starts_with("LD_") {
            command.env(&name, value);
        }
    }
    let whole: Vec<_> = request
        .command
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    command
        .env("HOME", &target.home)
        .env("USER", &target.name)
        .env("LOGNAME", &target.name)
        .env("SHELL", &target.shell)
        .env("MAIL", Path::new("/var/mail").join(&target.name))
        .env("PATH", SECURE_PATH)
        .env("SUDO_USER", &caller.name)
        .env("SUDO_UID", caller.user.to_string())
        .env("SUDO_GID", caller.group.to_string())
        .env("SUDO_COMMAND", whole.join(" "));
    for (name, value) in &request.variables {
        command.env(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Result<Request, String> {
        parse(
            &line
                .split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let r = request("-nEH -u ann A=1 ls -u bob B=2").unwrap();
        assert_eq!((r.user.as_deref(), r.keep_environment), (Some("ann"), true));
        assert_eq!(r.variables, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(r.command, ["ls", "-u", "bob", "B=2"]);
        assert_eq!(request("-uann -- -x").unwrap().command, ["-x"]);
        assert_eq!(request("-i").unwrap().runs, Runs::Login);
        assert_eq!(
            request("--user=ann --preserve-env=A,B id")
                .unwrap()
                .kept_variables,
            ["A", "B"]
        );
        assert!(request("").is_err());
        assert!(request("--askpass x").is_err());
        assert!(request("-A x").is_err());
    }

    #[test]
    fn only_rules_without_a_password_count() {
        let groups = ["wheel".to_owned()];
        assert!(allows("ann ALL=(ALL) NOPASSWD:ALL", "ann", &groups));
        assert!(allows("%wheel ALL=(ALL:ALL) NOPASSWD: ALL", "ann", &groups));
        assert!(!allows("ann ALL=(ALL) ALL", "ann", &groups));
        assert!(!allows("# ann ALL=(ALL) NOPASSWD:ALL", "ann", &groups));
        assert!(!allows("bob ALL=(ALL) NOPASSWD:ALL", "ann", &groups));
        assert!(!allows("ann ALL=(ALL) NOPASSWD:/bin/ls", "ann", &groups));
    }

    #[test]
    fn a_login_shell_gets_words_it_cannot_misread() {
        assert_eq!(
            escaped(&["echo".into(), "a b;c".into(), "$HOME".into()]),
            "echo a\\ b\\;c $HOME"
        );
    }
}

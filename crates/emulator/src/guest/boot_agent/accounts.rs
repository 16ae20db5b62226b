//! Users and groups: cloud-init's `users_groups`, done by editing the account files, because hosts need not have `useradd`.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::cloud_config::{SudoRules, UserConfig};
use crate::guest::accounts::{Account, parse_accounts, parse_groups};
use crate::guest::host::GuestMode;

/// Groups that cloud images put their default user into, where they exist.
const DEFAULT_GROUPS: [&str; 9] = [
    "adm",
    "wheel",
    "sudo",
    "systemd-journal",
    "audio",
    "video",
    "dip",
    "cdrom",
    "plugdev",
];
const SUDO_RULES: &str = "/etc/sudoers.d/90-cloud-init-users";
const FIRST_PERSON: u32 = 1000;
const FIRST_SYSTEM_USER: u32 = 201;

/// The image's default user, as its cloud.cfg would describe it.
pub fn default_user(name: &str) -> UserConfig {
    UserConfig {
        name: name.to_owned(),
        gecos: Some("Cloud User".to_owned()),
        homedir: None,
        uid: None,
        primary_group: None,
        groups: Some(super::cloud_config::OneOrMany::Many(
            DEFAULT_GROUPS.iter().map(|g| (*g).to_owned()).collect(),
        )),
        shell: Some("/bin/bash".to_owned()),
        sudo: Some(SudoRules::One("ALL=(ALL) NOPASSWD:ALL".to_owned())),
        ssh_authorized_keys: Vec::new(),
        lock_passwd: Some(true),
        passwd: None,
        no_create_home: false,
        system: false,
    }
}

/// Which groups of a user are made when they are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingGroups {
    /// All.
    Create,
    /// None: those of the default user are there or not, depending on the distribution.
    LeaveOut,
}

/// Creates a user unless it exists, and its sudo rules.
///
/// # Errors
/// If the account files cannot be written or the name cannot be one.
pub fn create(user: &UserConfig, missing: MissingGroups, mode: GuestMode) -> io::Result<Account> {
    check_name(&user.name)?;
    let account = match Account::find(&user.name)? {
        Some(account) => account,
        None => add(user, missing, mode)?,
    };
    write_sudo_rules(user)?;
    Ok(account)
}

/// As useradd: what could break the files' lines is refused.
fn check_name(name: &str) -> io::Result<()> {
    let first = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first
        && name.len() <= 32
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c))
    {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "{name:?} cannot be a user or group name"
        )))
    }
}

fn check_field(what: &str, text: &str) -> io::Result<()> {
    if text.contains([':', '\n']) {
        Err(io::Error::other(format!(
            "{what} {text:?} has a colon or a line end"
        )))
    } else {
        Ok(())
    }
}

fn add(user: &UserConfig, missing: MissingGroups, mode: GuestMode) -> io::Result<Account> {
    let accounts = parse_accounts(&fs::read_to_string("/etc/passwd")?);
    let first = if user.system {
        FIRST_SYSTEM_USER
    } else {
        FIRST_PERSON
    };
    let id = user
        .uid
        .or_else(|| (first..60_000).find(|id| accounts.iter().all(|a| a.user != *id)));
    let id = id.ok_or_else(|| io::Error::other("no user id is free"))?;
    let group = match &user.primary_group {
        Some(name) => group_named(name, id)?,
        None => group_named(&user.name, id)?,
    };
    let home = user
        .homedir
        .clone()
        .unwrap_or_else(|| format!("/home/{}", user.name));
    let shell = user
        .shell
        .clone()
        .filter(|shell| Path::new(shell).exists())
        .unwrap_or_else(|| "/bin/sh".to_owned());
    let (gecos, password) = (
        user.gecos.as_deref().unwrap_or(""),
        user.passwd.as_deref().unwrap_or("!"),
    );
    for (what, text) in [
        ("gecos", gecos),
        ("homedir", home.as_str()),
        ("shell", shell.as_str()),
        ("passwd", password),
    ] {
        check_field(what, text)?;
    }
    append(
        "/etc/passwd",
        &format!("{}:x:{id}:{group}:{gecos}:{home}:{shell}\n", user.name),
    )?;
    let lock = if user.lock_passwd.unwrap_or(true) && user.passwd.is_some() {
        "!"
    } else {
        ""
    };
    append(
        "/etc/shadow",
        &format!("{}:{lock}{password}:19000:0:99999:7:::\n", user.name),
    )?;
    for name in user.groups.iter().flat_map(|groups| groups.list()) {
        if missing == MissingGroups::Create {
            group_named(&name, FIRST_PERSON)?;
        }
        add_member(&name, &user.name)?;
    }
    let account = Account {
        name: user.name.clone(),
        user: id,
        group,
        home: PathBuf::from(home),
        shell: PathBuf::from(shell),
    };
    if !user.no_create_home && !account.home.exists() {
        make_home(&account, mode)?;
    }
    Ok(account)
}

/// The group's id; it is created with `wanted`, or the next free id, if it is missing.
fn group_named(name: &str, wanted: u32) -> io::Result<u32> {
    check_name(name)?;
    let groups = parse_groups(&fs::read_to_string("/etc/group")?);
    if let Some(group) = groups.iter().find(|g| g.name == name) {
        return Ok(group.id);
    }
    let id = (wanted..60_000).find(|id| groups.iter().all(|g| g.id != *id));
    let id = id.ok_or_else(|| io::Error::other("no group id is free"))?;
    append("/etc/group", &format!("{name}:x:{id}:\n"))?;
    if Path::new("/etc/gshadow").exists() {
        append("/etc/gshadow", &format!("{name}:!::\n"))?;
    }
    Ok(id)
}

fn add_member(group: &str, user: &str) -> io::Result<()> {
    for file in ["/etc/group", "/etc/gshadow"] {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        let changed = with_member(&text, group, user);
        if changed != text {
            replace(Path::new(file), &changed)?;
        }
    }
    Ok(())
}

/// The text of a group file with one member more. The members are the fourth field in both `/etc/group` and `/etc/gshadow`.
fn with_member(text: &str, group: &str, user: &str) -> String {
    let mut changed = String::new();
    for line in text.lines() {
        changed.push_str(line);
        let mut fields = line.split(':');
        if fields.next() == Some(group)
            && let Some(members) = fields.nth(2)
            && !members.split(',').any(|member| member == user)
        {
            changed.push_str(if members.is_empty() { "" } else { "," });
            changed.push_str(user);
        }
        changed.push('\n');
    }
    changed
}

fn append(path: &str, line: &str) -> io::Result<()> {
    let mut text = fs::read_to_string(path)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    replace(Path::new(path), &text)
}

/// Replaces a file whole, with the same mode and owner: process 1 may be killed at any time.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let half = path.with_extension("cloud-init");
    fs::write(&half, text)?;
    fs::set_permissions(&half, metadata.permissions())?;
    fs::rename(&half, path)
}

fn make_home(account: &Account, mode: GuestMode) -> io::Result<()> {
    if let Some(parent) = account.home.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(&account.home)?;
    copy_skeleton(Path::new("/etc/skel"), &account.home, account, mode)?;
    give(&account.home, account, mode)?;
    fs::set_permissions(&account.home, fs::Permissions::from_mode(0o700))
}

fn copy_skeleton(from: &Path, to: &Path, account: &Account, mode: GuestMode) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy_skeleton(&entry.path(), &target, account, mode)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        } else {
            continue;
        }
        give(&target, account, mode)?;
    }
    Ok(())
}

/// Makes the user the owner, where there are other owners than one.
///
/// # Errors
/// As `chown`'s.
pub fn give(path: &Path, account: &Account, mode: GuestMode) -> io::Result<()> {
    match mode {
        GuestMode::Root => chown(path, Some(account.user), Some(account.group)),
        GuestMode::Rootless => Ok(()),
    }
}

fn write_sudo_rules(user: &UserConfig) -> io::Result<()> {
    let rules = match &user.sudo {
        None | Some(SudoRules::Off(_)) => return Ok(()),
        Some(SudoRules::One(rule)) => vec![rule.clone()],
        Some(SudoRules::Many(rules)) => rules.clone(),
    };
    let path = Path::new(SUDO_RULES);
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::create_dir(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o750))?;
    }
    let mut text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            "# Created by the local EC2's boot agent\n".to_owned()
        }
        other => other?,
    };
    for rule in rules {
        check_field_line(&rule)?;
        let line = format!("{} {rule}\n", user.name);
        if !text.contains(&line) {
            text.push_str(&line);
        }
    }
    let half = Path::new("/etc/sudoers.d/.90-cloud-init-users.new");
    fs::write(half, text)?;
    fs::set_permissions(half, fs::Permissions::from_mode(0o440))?;
    fs::rename(half, path)
}

fn check_field_line(rule: &str) -> io::Result<()> {
    if rule.contains('\n') {
        Err(io::Error::other(format!(
            "the sudo rule {rule:?} has a line end"
        )))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_added_once() {
        let text = "wheel:x:10:\nadm:x:4:ann\nadmin:x:5:\n";
        let once = with_member(text, "adm", "bob");
        assert_eq!(once, "wheel:x:10:\nadm:x:4:ann,bob\nadmin:x:5:\n");
        assert_eq!(with_member(&once, "adm", "bob"), once);
        assert_eq!(
            with_member(text, "wheel", "bob"),
            "wheel:x:10:bob\nadm:x:4:ann\nadmin:x:5:\n"
        );
    }

    #[test]
    fn names_that_would_break_the_files_are_refused() {
        for bad in ["", "a:b", "a\nb", "-x", "0day", "a b"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("ec2-user").is_ok());
        assert!(check_field("gecos", "x:0:0").is_err());
    }
}

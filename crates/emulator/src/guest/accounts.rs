//! The guest's users and groups, as `/etc/passwd` and `/etc/group` tell them.
//!
//! Process 1 lives in the guest's root but was started on the host, so it reads the files itself: the C library would load the
//! name service modules of whatever the guest has put into its `/usr`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::host::GuestMode;
use super::sys::Identity;

/// One line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub user: u32,
    /// Primary group's id.
    pub group: u32,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell; `/bin/sh` where the field is empty.
    pub shell: PathBuf,
}

impl Account {
    /// Looks a user up.
    ///
    /// # Errors
    /// If `/etc/passwd` cannot be read.
    pub fn find(name: &str) -> io::Result<Option<Account>> {
        Ok(parse_accounts(&fs::read_to_string("/etc/passwd")?)
            .into_iter()
            .find(|account| account.name == name))
    }

    /// Looks a user up by id.
    ///
    /// # Errors
    /// If `/etc/passwd` cannot be read.
    pub fn with_id(user: u32) -> io::Result<Option<Account>> {
        Ok(parse_accounts(&fs::read_to_string("/etc/passwd")?)
            .into_iter()
            .find(|account| account.user == user))
    }

    /// The groups that list the user, besides the primary one.
    ///
    /// # Errors
    /// If `/etc/group` cannot be read.
    pub fn supplementary_groups(&self) -> io::Result<Vec<u32>> {
        let groups = parse_groups(&fs::read_to_string("/etc/group")?);
        Ok(groups
            .into_iter()
            .filter(|g| g.members.contains(&self.name))
            .map(|g| g.id)
            .collect())
    }

    /// As whom the user's processes run. A rootless guest has one id only, so there every user is id 0.
    ///
    /// # Errors
    /// If `/etc/group` cannot be read.
    pub fn identity(&self, mode: GuestMode) -> io::Result<Identity> {
        Ok(match mode {
            GuestMode::Rootless => Identity { ids: None },
            GuestMode::Root => {
                let mut groups = vec![self.group];
                groups.extend(
                    self.supplementary_groups()?
                        .into_iter()
                        .filter(|g| *g != self.group),
                );
                Identity {
                    ids: Some((self.user, self.group, groups)),
                }
            }
        })
    }
}

/// One line of `/etc/group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Id.
    pub id: u32,
    /// Users that have it as a supplementary group.
    pub members: Vec<String>,
}

/// The users in the text of an `/etc/passwd`. Lines that are no user are left out, as the C library does.
pub fn parse_accounts(text: &str) -> Vec<Account> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|n| !n.is_empty())?;
            let user = fields.nth(1)?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            let home = fields.nth(1)?;
            let shell = fields.next().filter(|s| !s.is_empty()).unwrap_or("/bin/sh");
            Some(Account {
                name: name.to_owned(),
                user,
                group,
                home: Path::new(if home.is_empty() { "/" } else { home }).to_owned(),
                shell: Path::new(shell).to_owned(),
            })
        })
        .collect()
}

/// The groups in the text of an `/etc/group`.
pub fn parse_groups(text: &str) -> Vec<Group> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|n| !n.is_empty())?.to_owned();
            let id = fields.nth(1)?.parse().ok()?;
            let members = fields
                .next()
                .unwrap_or_default()
                .split(',')
                .filter(|m| !m.is_empty())
                .map(str::to_owned)
                .collect();
            Some(Group { name, id, members })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_users_as_the_c_library_does() {
        let accounts = parse_accounts(
            "root:x:0:0:root:/root:/bin/bash\n+nis\nhalf:x:1\nplain:x:1000:1001:::\n",
        );
        assert_eq!(accounts.len(), 2);
        assert_eq!(accounts[0].shell, Path::new("/bin/bash"));
        assert_eq!(
            accounts[1],
            Account {
                name: "plain".into(),
                user: 1000,
                group: 1001,
                home: "/".into(),
                shell: "/bin/sh".into()
            }
        );
    }

    #[test]
    fn reads_groups_and_their_members() {
        let groups = parse_groups("root:x:0:\nwheel:x:10:ann,bob\n#:\n");
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[1].members, ["ann", "bob"]);
    }
}

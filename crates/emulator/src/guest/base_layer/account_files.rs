//! A guest's users and groups: those of the host's system, without its people and their passwords.

use std::collections::BTreeSet;

use crate::guest::accounts::{parse_accounts, parse_groups};

/// First id of the people on a host.
const FIRST_PERSON: u32 = 1000;
/// The id of whoever has no other; a system user in spite of its number.
pub const NOBODY: u32 = 65_534;

/// The four files' texts.
#[derive(Debug, PartialEq, Eq)]
pub struct AccountFiles {
    /// `/etc/passwd`
    pub passwd: String,
    /// `/etc/shadow`, with every password locked.
    pub shadow: String,
    /// `/etc/group`
    pub group: String,
    /// `/etc/gshadow`
    pub gshadow: String,
}

impl AccountFiles {
    /// Made from the texts of the host's `/etc/passwd` and `/etc/group`.
    pub fn without_people(passwd: &str, group: &str) -> AccountFiles {
        let is_system = |id: u32| id < FIRST_PERSON || id == NOBODY;
        let kept: Vec<_> = parse_accounts(passwd)
            .into_iter()
            .filter(|account| is_system(account.user))
            .collect();
        let names: BTreeSet<_> = kept.iter().map(|account| account.name.as_str()).collect();
        let mut files = AccountFiles {
            passwd: passwd
                .lines()
                .filter(|line| {
                    line.split(':')
                        .next()
                        .is_some_and(|name| names.contains(name))
                })
                .map(|line| format!("{line}\n"))
                .collect(),
            shadow: kept
                .iter()
                .map(|account| format!("{}:*:19000:0:99999:7:::\n", account.name))
                .collect(),
            group: String::new(),
            gshadow: String::new(),
        };
        for group in parse_groups(group)
            .into_iter()
            .filter(|group| is_system(group.id))
        {
            let members: Vec<_> = group
                .members
                .iter()
                .filter(|m| names.contains(m.as_str()))
                .cloned()
                .collect();
            let members = members.join(",");
            files
                .group
                .push_str(&format!("{}:x:{}:{members}\n", group.name, group.id));
            files
                .gshadow
                .push_str(&format!("{}:*::{members}\n", group.name));
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_their_memberships_are_left_out() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
        let files =
            AccountFiles::without_people(passwd, "root:x:0:\nadm:x:4:root,ann\nann:x:1000:\n");
        assert_eq!(
            files.passwd,
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n"
        );
        assert_eq!(files.group, "root:x:0:\nadm:x:4:root\n");
        assert!(
            files.shadow.lines().all(|line| line.contains(":*:"))
                && files.shadow.lines().count() == 2
        );
        assert_eq!(files.gshadow, "root:*::\nadm:*::root\n");
    }
}

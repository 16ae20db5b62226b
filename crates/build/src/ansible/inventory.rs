//! The inventory that says how Ansible reaches the guest. It is JSON, which Ansible's YAML inventory plugin reads.

use serde_json::{Map, Value, json};
use std::path::Path;

/// Where and how Ansible finds the proxy.
pub struct ProxyAccess<'a> {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its only user.
    pub user: &'a str,
    /// The file of the only key that gets in.
    pub key_file: &'a Path,
    /// The file with its host key.
    pub known_hosts: &'a Path,
}

/// The inventory of a guest that is reached through a proxy.
///
/// Everything about SSH stands here, since a host's variables overrule `ansible.cfg` and the environment: a user's
/// `host_key_checking = False`, his `ssh_args` with a bastion or his `~/.ssh/config` are for other hosts.
/// <https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ssh_connection.html>
pub fn through_proxy(host: &str, groups: &[String], access: &ProxyAccess<'_>) -> String {
    let ssh_args = [
        // Neither the user's configuration nor the system's: a `Host *` there may name another way.
        String::from("-F none"),
        String::from("-o StrictHostKeyChecking=yes"),
        format!("-o UserKnownHostsFile={}", quoted(access.known_hosts)),
        String::from("-o GlobalKnownHostsFile=/dev/null"),
        String::from("-o IdentitiesOnly=yes"),
        String::from("-o IdentityAgent=none"),
        // One login for all tasks, as Ansible does by itself.
        String::from("-o ControlMaster=auto"),
        String::from("-o ControlPersist=60s"),
    ];
    let vars = json!({
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_port": access.port,
        "ansible_user": access.user,
        "ansible_ssh_private_key_file": access.key_file.display().to_string(),
        "ansible_host_key_checking": true,
        "ansible_ssh_host_key_checking": true,
        "ansible_ssh_args": ssh_args.join(" "),
        "ansible_ssh_common_args": "",
        "ansible_ssh_extra_args": "",
        "ansible_sftp_extra_args": "",
        "ansible_scp_extra_args": "",
    });
    written(host, groups, vars)
}

/// The inventory of a guest that Ansible runs in.
pub fn of_itself(host: &str, groups: &[String]) -> String {
    written(host, groups, json!({ "ansible_connection": "local" }))
}

fn written(host: &str, groups: &[String], vars: Value) -> String {
    let children: Map<String, Value> = groups
        .iter()
        .map(|group| (group.clone(), json!({ "hosts": { host: {} } })))
        .collect();
    format!(
        "{:#}\n",
        json!({ "all": { "hosts": { host: vars }, "children": children } })
    )
}

/// A file's name inside `ansible_ssh_args`, which Ansible splits as a shell does and ssh takes as an ssh_config(5) value.
fn quoted(file: &Path) -> String {
    let file = file.display().to_string();
    let value = file
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('%', "%%");
    ssh::shell_quote(&format!("\"{value}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_in_its_groups() {
        let text = of_itself("web1", &["web".into(), "all_nodes".into()]);
        let inventory: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            inventory["all"]["hosts"]["web1"]["ansible_connection"],
            "local"
        );
        for group in ["web", "all_nodes"] {
            assert!(inventory["all"]["children"][group]["hosts"]["web1"].is_object());
        }
    }

    #[test]
    fn files_with_odd_names_stay_one_word() {
        let access = ProxyAccess {
            port: 2222,
            user: "ec2-user",
            key_file: Path::new("/a b/key"),
            known_hosts: Path::new("/a b/100%/known_hosts"),
        };
        let text = through_proxy("default", &[], &access);
        let inventory: Value = serde_json::from_str(&text).unwrap();
        let args = inventory["all"]["hosts"]["default"]["ansible_ssh_args"]
            .as_str()
            .unwrap();
        assert!(
            args.contains(r#"-o UserKnownHostsFile='"/a b/100%%/known_hosts"' -o"#),
            "{args}"
        );
    }
}

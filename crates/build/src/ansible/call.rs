//! How `ansible-playbook` and `ansible-galaxy` are called.

use crate::spec::{GalaxySpec, PlaybookCall};
use ssh::shell_quote;

/// Where Ansible looks for roles and collections besides those that were installed for this playbook: its own defaults.
/// <https://docs.ansible.com/ansible/latest/reference_appendices/config.html> (DEFAULT_ROLES_PATH, COLLECTIONS_PATHS)
pub const USUAL_ROLES: &str = "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles";
/// The same for collections.
pub const USUAL_COLLECTIONS: &str = "~/.ansible/collections:/usr/share/ansible/collections";

/// Environment variables, by name.
pub type Environment = Vec<(String, String)>;

/// What is set for each playbook: lines as they come, and without colours, which are for terminals.
pub fn environment() -> Environment {
    [
        ("PYTHONUNBUFFERED", "1"),
        ("ANSIBLE_NOCOLOR", "1"),
        ("ANSIBLE_RETRY_FILES_ENABLED", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// `ansible-playbook …`, as a shell takes it. `leading` are words that come before the user's own.
pub fn playbook_line(
    program: &str,
    leading: &[String],
    call: &PlaybookCall,
    playbook: &str,
) -> String {
    let mut words = vec![program.to_owned()];
    words.extend_from_slice(leading);
    if let Some(user) = &call.become_user {
        words.extend([
            "--become".to_owned(),
            "--become-user".to_owned(),
            user.clone(),
        ]);
    }
    words.extend_from_slice(&call.extra_args);
    // A playbook's name must not be taken for an option.
    words.push(if playbook.starts_with('-') {
        format!("./{playbook}")
    } else {
        playbook.to_owned()
    });
    line(&words)
}

/// `ansible-galaxy install …` for roles and collections alike, as a shell takes it.
pub fn galaxy_line(program: &str, galaxy: &GalaxySpec, requirements: &str) -> String {
    let mut words = vec![
        beside(program),
        "install".to_owned(),
        "-r".to_owned(),
        requirements.to_owned(),
    ];
    words.extend_from_slice(&galaxy.args);
    line(&words)
}

/// `ansible-galaxy` of the same installation as `program`.
fn beside(program: &str) -> String {
    match program.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/ansible-galaxy"),
        None => "ansible-galaxy".to_owned(),
    }
}

fn line(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| shell_quote(word)).collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        let call = PlaybookCall {
            extra_vars: serde_json::Map::new(),
            extra_args: vec!["--tags".into(), "a b".into()],
            become_user: Some("root".into()),
            galaxy: None,
        };
        let leading = ["-i".to_owned(), "/x y/hosts.yml".to_owned()];
        assert_eq!(
            playbook_line("ansible-playbook", &leading, &call, "-odd.yaml"),
            "ansible-playbook -i '/x y/hosts.yml' --become --become-user root --tags 'a b' ./-odd.yaml"
        );
    }

    #[test]
    fn galaxy_is_of_the_same_installation() {
        assert_eq!(beside("ansible-playbook"), "ansible-galaxy");
        assert_eq!(
            beside("/opt/a/bin/ansible-playbook"),
            "/opt/a/bin/ansible-galaxy"
        );
    }
}

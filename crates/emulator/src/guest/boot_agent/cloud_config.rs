//! The part of cloud-config that is carried out.
//! <https://cloudinit.readthedocs.io/en/latest/reference/modules.html>

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// One command: a line for `sh -c`, or words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// For the shell.
    Shell(String),
    /// Run as they are.
    Words(Vec<Word>),
}

/// A word, which YAML may have read as a number or boolean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(pub String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Word(text)),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(Word(value.to_string())),
            _ => Err(serde::de::Error::custom(
                "a word must be a string or a number",
            )),
        }
    }
}

/// Text or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `a, b` where a list is meant.
    One(String),
    /// `[a, b]`
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list; one text is split at commas.
    pub fn list(&self) -> Vec<String> {
        match self {
            OneOrMany::One(text) => text
                .split(',')
                .map(|t| t.trim().to_owned())
                .filter(|t| !t.is_empty())
                .collect(),
            OneOrMany::Many(list) => list.clone(),
        }
    }
}

/// A `sudo` entry of a user: rules, or `false`/`null` for none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SudoRules {
    /// `false`
    Off(bool),
    /// One rule.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// An entry of `users`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserEntry {
    /// `default`
    Default,
    /// A user to create.
    Other(Box<UserConfig>),
}

/// A user to create.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// Login name.
    pub name: String,
    /// Full name.
    pub gecos: Option<String>,
    /// Home folder; `/home/NAME`.
    pub homedir: Option<String>,
    /// User id.
    pub uid: Option<u32>,
    /// Primary group; one of the user's own name.
    pub primary_group: Option<String>,
    /// Further groups; created where missing.
    pub groups: Option<OneOrMany>,
    /// Login shell.
    pub shell: Option<String>,
    /// Sudo rules.
    pub sudo: Option<SudoRules>,
    /// Keys that may log in.
    #[serde(default, alias = "ssh-authorized-keys")]
    pub ssh_authorized_keys: Vec<String>,
    /// Whether the password is locked; it always is unless one is given.
    #[serde(alias = "lock-passwd")]
    pub lock_passwd: Option<bool>,
    /// A hashed password.
    #[serde(alias = "hashed_passwd")]
    pub passwd: Option<String>,
    /// Whether to leave the home folder out.
    #[serde(default, alias = "no-create-home")]
    pub no_create_home: bool,
    /// Whether its id is one of a system user.
    #[serde(default)]
    pub system: bool,
}

impl<'de> Deserialize<'de> for UserEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<UserEntry, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) if name == "default" => Ok(UserEntry::Default),
            Value::String(name) => UserConfig::deserialize(Value::Object(Map::from_iter([(
                "name".to_owned(),
                Value::String(name),
            )])))
            .map(|config| UserEntry::Other(Box::new(config)))
            .map_err(serde::de::Error::custom),
            value => UserConfig::deserialize(value)
                .map(|config| UserEntry::Other(Box::new(config)))
                .map_err(serde::de::Error::custom),
        }
    }
}

/// Permissions: an octal string, or a number that YAML has read already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(pub u32);

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Permissions, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let mode = match &value {
            Value::String(text) => {
                u32::from_str_radix(text.trim().trim_start_matches("0o"), 8).ok()
            }
            Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        mode.filter(|mode| *mode <= 0o7777)
            .map(Permissions)
            .ok_or_else(|| serde::de::Error::custom(format!("{value} is no file mode")))
    }
}

/// An entry of `write_files`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Where.
    pub path: String,
    /// What, after decoding.
    #[serde(default)]
    pub content: String,
    /// `user:group`; root's.
    pub owner: Option<String>,
    /// File mode; 0644.
    pub permissions: Option<Permissions>,
    /// `b64`, `gzip`, `gz+b64` and their other spellings.
    pub encoding: Option<String>,
    /// Whether to append instead of replace.
    #[serde(default)]
    pub append: bool,
    /// Whether to write it at the final stage, after packages and users.
    #[serde(default)]
    pub defer: bool,
}

/// What is carried out of a cloud-config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudConfig {
    /// Runs early in every boot.
    pub bootcmd: Vec<CommandLine>,
    /// Runs once, at the end of the boot.
    pub runcmd: Vec<CommandLine>,
    /// Files to write.
    pub write_files: Vec<WriteFile>,
    /// Users to create; `None` means the default user.
    pub users: Option<Vec<UserEntry>>,
    /// Keys for the default user.
    pub ssh_authorized_keys: Vec<String>,
    /// Host keys: `ecdsa_private`, `ecdsa_public` and so on.
    pub ssh_keys: BTreeMap<String, String>,
    /// Whether host keys that came with the image are deleted; true unless told otherwise.
    pub ssh_deletekeys: Option<bool>,
    /// Whether root's login only says who to log in as; true unless told otherwise.
    pub disable_root: Option<bool>,
    /// Keys that are not carried out, and why.
    pub problems: Vec<String>,
}

/// Reads one part as a map.
///
/// # Errors
/// What is wrong with it, with its position.
pub fn read(text: &str) -> Result<Map<String, Value>, String> {
    // YAML 1.1, as cloud-init's reader has it: 0644 is octal.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    match serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|e| e.to_string())? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err("it is not a map".to_owned()),
    }
}

/// Adds a later part's keys to those of earlier ones. By default a key replaces the earlier one as a whole; a merge type such as
/// `list(append)+dict(recurse_array)+str()` changes that.
/// <https://cloudinit.readthedocs.io/en/latest/reference/merging.html>
pub fn merge(into: &mut Map<String, Value>, later: Map<String, Value>, merge_type: Option<&str>) {
    let told = later
        .get("merge_how")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| merge_type.map(str::to_owned));
    let told = told.unwrap_or_default();
    let how = How {
        append: told.contains("list(append)"),
        prepend: told.contains("list(prepend)"),
        recurse: told.contains("recurse_"),
        keep: told.contains("no_replace"),
    };
    for (key, value) in later {
        if key == "merge_how" || key == "merge_type" {
            continue;
        }
        match into.get_mut(&key) {
            Some(earlier) => how.combine(earlier, value),
            None => {
                into.insert(key, value);
            }
        }
    }
}

struct How {
    append: bool,
    prepend: bool,
    recurse: bool,
    keep: bool,
}

impl How {
    fn combine(&self, earlier: &mut Value, later: Value) {
        match (earlier, later) {
            (Value::Array(earlier), Value::Array(later)) if self.append => earlier.extend(later),
            (Value::Array(earlier), Value::Array(mut later)) if self.prepend => {
                later.append(earlier);
                *earlier = later;
            }
            (Value::Object(earlier), Value::Object(later)) if self.recurse => {
                for (key, value) in later {
                    match earlier.get_mut(&key) {
                        Some(old) => self.combine(old, value),
                        None => {
                            earlier.insert(key, value);
                        }
                    }
                }
            }
            (earlier, later) if !self.keep => *earlier = later,
            _ => {}
        }
    }
}

/// What of the merged keys is carried out. A key that is wrong is left out with the reason; the others count, as in cloud-init.
pub fn typed(map: Map<String, Value>) -> CloudConfig {
    let mut config = CloudConfig::default();
    let mut problems = Vec::new();
    for (key, value) in map {
        if value.is_null() {
            continue;
        }
        let read = match key.as_str() {
            "bootcmd" => set(&mut config.bootcmd, value),
            "runcmd" => set(&mut config.runcmd, value),
            "write_files" => set(&mut config.write_files, value),
            "users" => set(&mut config.users, value),
            "ssh_authorized_keys" => set(&mut config.ssh_authorized_keys, value),
            "ssh_keys" => set(&mut config.ssh_keys, value),
            "ssh_deletekeys" => set(&mut config.ssh_deletekeys, value),
            "disable_root" => set(&mut config.disable_root, value),
            _ => {
                problems.push(format!("key `{key}` is not carried out"));
                continue;
            }
        };
        if let Err(error) = read {
            problems.push(format!("key `{key}` is wrong and not carried out: {error}"));
        }
    }
    config.problems = problems;
    config
}

fn set<T: serde::de::DeserializeOwned>(
    field: &mut T,
    value: Value,
) -> Result<(), serde_json::Error> {
    *field = serde_json::from_value(value)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(text: &str) -> CloudConfig {
        typed(read(text).unwrap())
    }

    #[test]
    fn keys_that_are_not_carried_out_are_named() {
        let config = config("#cloud-config\npackages: [vim]\nbootcmd: [ls, [echo, 1]]\n");
        assert_eq!(config.problems, ["key `packages` is not carried out"]);
        let words = vec![Word("echo".into()), Word("1".into())];
        assert_eq!(
            config.bootcmd,
            [CommandLine::Shell("ls".into()), CommandLine::Words(words)]
        );
    }

    #[test]
    fn a_wrong_key_does_not_hide_the_others() {
        let config = config("write_files: {path: /x}\nssh_authorized_keys: [k]\n");
        assert_eq!(config.ssh_authorized_keys, ["k"]);
        assert_eq!(config.problems.len(), 1);
        assert!(config.problems[0].contains("`write_files`"));
    }

    #[test]
    fn modes_are_octal_with_and_without_quotes() {
        let config = config(
            "write_files:\n- {path: /a, permissions: '0640'}\n- {path: /b, permissions: 0640}\n",
        );
        let modes: Vec<_> = config
            .write_files
            .iter()
            .map(|f| f.permissions.unwrap().0)
            .collect();
        assert_eq!(modes, [0o640, 0o640], "{:?}", config.problems);
    }

    #[test]
    fn users_are_named_or_described() {
        let config = config(
            "users: [default, bob, {name: ann, groups: 'adm, wheel', sudo: ['ALL=(ALL) NOPASSWD:ALL']}]",
        );
        let users = config.users.unwrap();
        assert_eq!(users[0], UserEntry::Default);
        let UserEntry::Other(ann) = &users[2] else {
            panic!("{users:?}")
        };
        assert_eq!(ann.groups.as_ref().unwrap().list(), ["adm", "wheel"]);
    }

    #[test]
    fn a_later_part_replaces_or_appends() {
        let part = |text: &str| read(text).unwrap();
        let mut map = part("runcmd: [a]\nssh_keys: {x: '1'}\n");
        merge(&mut map, part("runcmd: [b]"), None);
        assert_eq!(map["runcmd"], serde_json::json!(["b"]));
        merge(
            &mut map,
            part("runcmd: [c]\nssh_keys: {y: '2'}"),
            Some("list(append)+dict(recurse_array)+str()"),
        );
        assert_eq!(map["runcmd"], serde_json::json!(["b", "c"]));
        assert_eq!(map["ssh_keys"], serde_json::json!({"x": "1", "y": "2"}));
        merge(
            &mut map,
            part("merge_how: 'list(prepend)'\nruncmd: [z]"),
            None,
        );
        assert_eq!(map["runcmd"], serde_json::json!(["z", "b", "c"]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,200}") {
            if let Ok(map) = read(&text) {
                typed(map);
            }
        }
    }
}

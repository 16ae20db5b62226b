//! Ansible, from the machine that runs qib and inside the instance.

use super::{ExtraVars, GroupName, HostAlias, LocalFile, Located, UserName};
use crate::template::Template;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// Runs `ansible-playbook` on the machine that runs qib, in the playbook's folder. It reaches the instance through qib's
/// own connection and knows neither its address nor its key, so host-key checking, Elastic IP and bastion hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ansible {
    /// The playbook, relative to the pipeline's file.
    pub playbook: LocalFile,
    /// What the inventory calls the instance: the name for `hosts:` and in `host_vars`.
    #[serde(default = "the_only_host")]
    pub host_alias: Located<HostAlias>,
    /// The inventory's groups that the instance is in.
    #[serde(default)]
    pub inventory_groups: Vec<Located<GroupName>>,
    /// A folder of variables by host, beside the inventory.
    pub host_vars: Option<LocalFile>,
    /// A folder of variables by group, beside the inventory.
    pub group_vars: Option<LocalFile>,
    /// Variables that overrule all others. They travel in a file that only its owner can read, never on a command line.
    #[serde(default)]
    pub extra_vars: ExtraVars,
    /// Further arguments of `ansible-playbook`, each by itself: `[--tags, base, -v]`. Anybody on the machine can read them.
    #[serde(default)]
    pub extra_args: Vec<Template>,
    /// A file of roles and collections that `ansible-galaxy` installs before the playbook, into a folder that goes
    /// afterwards. Archives that it names are relative to it.
    pub requirements: Option<Requirements>,
    /// Further arguments of `ansible-galaxy install`.
    #[serde(default)]
    pub galaxy_args: Vec<Template>,
    /// The user that tasks become (`--become --become-user`); a play or task may say otherwise.
    #[serde(rename = "become")]
    pub become_user: Option<Located<UserName>>,
    /// The program, if it is not `ansible-playbook` on the PATH; `ansible-galaxy` stands beside it.
    #[serde(default = "ansible_playbook")]
    pub ansible_playbook: Located<String>,
}

/// Runs `ansible-playbook` inside the instance, on itself. Everything it needs is uploaded into a folder that only the
/// login user can enter, and that is removed afterwards, also after a failure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnsibleLocal {
    /// The playbook, relative to the pipeline's file.
    pub playbook: LocalFile,
    /// The folder that is uploaded with the playbook in it; without it the playbook's own.
    pub dir: Option<LocalFile>,
    /// An inventory file of your own. All its hosts are the instance itself.
    pub inventory: Option<LocalFile>,
    /// What qib's inventory calls the instance.
    #[serde(default = "localhost")]
    pub host_alias: Located<HostAlias>,
    /// The groups of qib's inventory that the instance is in.
    #[serde(default)]
    pub inventory_groups: Vec<Located<GroupName>>,
    /// A folder of variables by host, beside the inventory.
    pub host_vars: Option<LocalFile>,
    /// A folder of variables by group, beside the inventory.
    pub group_vars: Option<LocalFile>,
    /// Variables that overrule all others. They travel in a file that only its owner can read, never on a command line.
    #[serde(default)]
    pub extra_vars: ExtraVars,
    /// Further arguments of `ansible-playbook`, each by itself: `[--tags, base, -v]`.
    #[serde(default)]
    pub extra_args: Vec<Template>,
    /// A file of roles and collections that `ansible-galaxy` installs in the instance before the playbook. Archives that it
    /// names lie below its folder, and are uploaded.
    pub requirements: Option<Requirements>,
    /// Further arguments of `ansible-galaxy install`.
    #[serde(default)]
    pub galaxy_args: Vec<Template>,
    /// The user that tasks become (`--become --become-user`); a play or task may say otherwise.
    #[serde(rename = "become")]
    pub become_user: Option<Located<UserName>>,
    /// The program in the instance; `ansible-galaxy` stands beside it.
    #[serde(default = "ansible_playbook")]
    pub command: Located<String>,
    /// Where in the instance the folder is made; without it in the login user's home.
    pub staging: Option<Located<String>>,
}

impl AnsibleLocal {
    /// The playbook as it is called inside the uploaded folder, and the folder; none while the playbook's path is not
    /// below `dir`.
    pub fn uploaded(&self) -> Option<(&std::path::Path, &std::path::Path)> {
        let playbook = self.playbook.path();
        match &self.dir {
            Some(dir) => Some((playbook.strip_prefix(dir.path()).ok()?, dir.path())),
            None => {
                let folder = playbook.parent()?;
                Some((playbook.strip_prefix(folder).ok()?, folder))
            }
        }
    }
}

/// A requirements file of `ansible-galaxy`, read when the pipeline is loaded for the archives that it names.
#[derive(Clone, PartialEq, Eq)]
pub struct Requirements {
    /// The file.
    pub file: LocalFile,
    /// The archives and folders on this machine that it names, in its order.
    pub archives: Vec<GalaxyArchive>,
}

/// An archive or folder that a requirements file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GalaxyArchive {
    /// As the file names it.
    pub written: String,
    /// Where it is.
    pub path: PathBuf,
}

impl fmt::Debug for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Requirements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            file: LocalFile::deserialize(deserializer)?,
            archives: Vec::new(),
        })
    }
}

impl JsonSchema for Requirements {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Requirements".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        LocalFile::json_schema(generator)
    }
}

fn the_only_host() -> Located<HostAlias> {
    Located::new(HostAlias::fixed("default"), crate::Span::START)
}

fn localhost() -> Located<HostAlias> {
    Located::new(HostAlias::fixed("localhost"), crate::Span::START)
}

fn ansible_playbook() -> Located<String> {
    Located::new(String::from("ansible-playbook"), crate::Span::START)
}

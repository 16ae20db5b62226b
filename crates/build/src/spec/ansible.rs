//! Playbooks.

use std::path::PathBuf;

/// A playbook to run from this machine.
#[derive(Clone, Debug)]
pub struct AnsibleSpec {
    /// The playbook's file.
    pub playbook: PathBuf,
    /// What the inventory says of the guest.
    pub inventory: InventorySpec,
    /// What it is called with.
    pub call: PlaybookCall,
    /// The program.
    pub program: String,
}

/// A playbook to run inside the guest.
#[derive(Clone, Debug)]
pub struct AnsibleLocalSpec {
    /// The folder that is uploaded.
    pub folder: PathBuf,
    /// The playbook, relative to it.
    pub playbook: PathBuf,
    /// The inventory.
    pub inventory: LocalInventory,
    /// Variables beside it.
    pub vars: InventoryVars,
    /// What it is called with.
    pub call: PlaybookCall,
    /// The program in the guest.
    pub program: String,
    /// Where in the guest the folder for all this is made; none for the login user's home.
    pub staging: Option<String>,
}

/// The inventory of a playbook that runs inside the guest.
#[derive(Clone, Debug)]
pub enum LocalInventory {
    /// The user's own file.
    File(PathBuf),
    /// One that says so much of the guest.
    Made {
        /// What the guest is called.
        host: String,
        /// The groups it is in.
        groups: Vec<String>,
    },
}

/// What an inventory says of the guest.
#[derive(Clone, Debug)]
pub struct InventorySpec {
    /// What the guest is called.
    pub host: String,
    /// The groups it is in.
    pub groups: Vec<String>,
    /// Variables beside it.
    pub vars: InventoryVars,
}

/// Folders of variables beside an inventory.
#[derive(Clone, Debug, Default)]
pub struct InventoryVars {
    /// By host.
    pub hosts: Option<PathBuf>,
    /// By group.
    pub groups: Option<PathBuf>,
}

/// What `ansible-playbook` and `ansible-galaxy` are called with.
#[derive(Clone)]
pub struct PlaybookCall {
    /// Variables; their values may be secret. Empty if there are none.
    pub extra_vars: serde_json::Map<String, serde_json::Value>,
    /// Further arguments of `ansible-playbook`.
    pub extra_args: Vec<String>,
    /// The user that tasks become.
    pub become_user: Option<String>,
    /// What is installed before.
    pub galaxy: Option<GalaxySpec>,
}

/// Roles and collections to install before a playbook.
#[derive(Clone, Debug)]
pub struct GalaxySpec {
    /// The requirements file.
    pub requirements: PathBuf,
    /// The archives and folders that it names: as it names them, and where they are.
    pub archives: Vec<(String, PathBuf)>,
    /// Further arguments of `ansible-galaxy install`.
    pub args: Vec<String>,
}

impl std::fmt::Debug for PlaybookCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The variables' values may be secret: only their names are shown.
        let names: Vec<&String> = self.extra_vars.keys().collect();
        f.debug_struct("PlaybookCall")
            .field("extra_vars", &names)
            .field("extra_args", &self.extra_args)
            .field("become_user", &self.become_user)
            .field("galaxy", &self.galaxy)
            .finish()
    }
}

//! The host's own cloud-init, run in the guest.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::commands::Runner;
use crate::guest::init::{Event, Guest};

const PROGRAM: &str = "/usr/bin/cloud-init";
/// Tells cloud-init that this is EC2. It would look for Amazon's strings in the firmware's tables otherwise.
const DATA_SOURCE: &str = "/etc/cloud/cloud.cfg.d/99_local_ec2.cfg";

/// Runs cloud-init's four stages in their order.
pub fn run(guest: &Guest, tell: &dyn Fn(Event)) {
    let runner = Runner::new(guest);
    let say = |text: &str| guest.console.line(&format!("cloud-init: {text}"));
    let stage = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        if let Err(error) = runner.run(command) {
            // As on EC2: the next stage runs all the same, and the log says what failed.
            say(&format!("{}: {error}", arguments.join(" ")));
        }
    };
    if let Err(error) = prepare(guest) {
        say(&format!("cannot be prepared: {error}"));
    }
    stage(&["init", "--local"]);
    stage(&["init"]);
    tell(Event::EarlyStageDone);
    stage(&["modules", "--mode", "config"]);
    stage(&["modules", "--mode", "final"]);
    tell(Event::FinalStageDone);
}

fn prepare(guest: &Guest) -> io::Result<()> {
    let config = format!(
        "datasource_list: [Ec2]\n\
         datasource:\n  Ec2:\n    metadata_urls: ['http://169.254.169.254']\n    strict_id: false\n    max_wait: 60\n    timeout: 10\n    \
         apply_full_imds_network_config: false\n\
         network: {{config: disabled}}\n\
         locale: false\n\
         ssh_genkeytypes: [ecdsa, ed25519]\n\
         system_info:\n  default_user:\n    name: {}\n    lock_passwd: true\n    gecos: Cloud User\n    \
         sudo: ['ALL=(ALL) NOPASSWD:ALL']\n    shell: /bin/bash\n",
        guest.spec.default_user
    );
    if let Some(folder) = Path::new(DATA_SOURCE).parent() {
        fs::create_dir_all(folder)?;
    }
    fs::create_dir_all("/run/cloud-init")?;
    fs::write(DATA_SOURCE, config)
}

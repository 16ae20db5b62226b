//! The real Ansible, for the person who uses a local EC2 and for its guests.

use crate::local_ec2::make_executable;
use crate::{LocalEc2, Running, places};
use std::fs;

/// The programs.
const PROGRAMS: [&str; 2] = ["playbook", "galaxy"];

/// Copies the packages that Ansible is made of from where the tests' tools are.
const COPY: &str = r"
import os, shutil, sys
import ansible
site = os.path.dirname(os.path.dirname(ansible.__file__))
WANTED = ('ansible', 'jinja2', 'markupsafe', 'yaml', '_yaml', 'cryptography', 'cffi', 'pycparser', 'packaging', 'resolvelib')
for name in os.listdir(site):
    if name in WANTED or name.startswith('_cffi_backend') or name.startswith('ansible_core'):
        path = os.path.join(site, name)
        copy = shutil.copytree if os.path.isdir(path) else shutil.copy
        copy(path, os.path.join(sys.argv[1], name))
";

/// Puts `ansible-playbook` and `ansible-galaxy` on the path of whoever uses the local EC2.
#[track_caller]
pub fn on_the_path(ec2: &LocalEc2) {
    for name in PROGRAMS {
        let program = format!("bin/ansible-{name}");
        let python = places::python();
        let text = format!(
            "#!/bin/sh\nexec '{}' -m ansible {name} \"$@\"\n",
            python.display()
        );
        ec2.write(&program, text);
        make_executable(&ec2.path(&program));
    }
}

/// Makes `work/ansible/`: uploaded to `ansible/` in the home of `user`, it has `ansible/bin/ansible-playbook` and
/// `ansible-galaxy`. A guest has the host's Python, and nothing of the folder that the tests' tools are in.
#[track_caller]
pub fn for_guests(ec2: &LocalEc2, user: &str) {
    let packages = ec2.path("work/ansible/packages");
    fs::create_dir_all(&packages).unwrap_or_else(|error| panic!("{}: {error}", packages.display()));
    let mut command = std::process::Command::new(places::python());
    command.args(["-c", COPY]).arg(&packages);
    Running::start(command).end().exits(0);
    for name in PROGRAMS {
        let program = format!("work/ansible/bin/ansible-{name}");
        let text = format!(
            "#!/bin/sh\nPYTHONPATH=/home/{user}/ansible/packages exec /usr/bin/python3 -m ansible {name} \"$@\"\n"
        );
        ec2.write(&program, text);
        make_executable(&ec2.path(&program));
    }
}

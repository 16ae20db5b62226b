//! The files that `ansible` and `ansible_local` name, and what must fit each other in them.

use super::files::Reader;
use crate::files::FileKind;
use crate::model::{
    Ansible, AnsibleLocal, Cell, GalaxyArchive, LocalFile, Located, Provisioner, Requirements,
};
use crate::problem::Fault;
use crate::template::Template;
use crate::yaml::{self, Node, Value};
use std::path::{Component, Path};

impl Reader<'_> {
    pub(super) fn ansible(&mut self, ansible: &mut Ansible) {
        self.file(&mut ansible.playbook, "playbook");
        for (folder, what) in [
            (&mut ansible.host_vars, "folder of host variables"),
            (&mut ansible.group_vars, "folder of group variables"),
        ] {
            if let Some(folder) = folder {
                self.a_folder(folder, what);
            }
        }
        if let Some(requirements) = &mut ansible.requirements {
            self.requirements(requirements);
        }
    }

    pub(super) fn ansible_local(&mut self, ansible: &mut AnsibleLocal) {
        self.file(&mut ansible.playbook, "playbook");
        if let Some(inventory) = &mut ansible.inventory {
            self.file(inventory, "inventory");
        }
        for (folder, what) in [
            (&mut ansible.dir, "folder of the playbook"),
            (&mut ansible.host_vars, "folder of host variables"),
            (&mut ansible.group_vars, "folder of group variables"),
        ] {
            if let Some(folder) = folder {
                self.a_folder(folder, what);
            }
        }
        if let Some(requirements) = &mut ansible.requirements {
            self.requirements(requirements);
            for archive in &requirements.archives {
                if !stays_below(Path::new(&archive.written)) {
                    let message = format!(
                        "{:?} in {} does not lie below the folder of that file, so it is not uploaded",
                        archive.written,
                        requirements.file.path.display()
                    );
                    self.faults.push(
                        Fault::new(requirements.file.written.span, message)
                            .hint("put the archive beside the requirements file or below it, and name it by a relative path"),
                    );
                }
            }
        }
    }

    /// A folder, with or without a slash at its end.
    fn a_folder(&mut self, folder: &mut LocalFile, what: &str) {
        match self.kind(folder, what) {
            Some(FileKind::Folder { .. }) | None => {}
            Some(_) => {
                let message = format!("the {what} {:?} is not a folder", folder.written.value);
                self.faults.push(Fault::new(folder.written.span, message));
            }
        }
    }

    /// Reads a requirements file for the archives that it names, and looks for them.
    fn requirements(&mut self, requirements: &mut Requirements) {
        let file = &mut requirements.file;
        if self.file(file, "requirements file").is_none() {
            return;
        }
        let Some(bytes) = self.read(file) else { return };
        let here = file.written.span;
        let root = match yaml::compose(&bytes, 0) {
            Ok((root, _)) => root,
            Err(fault) => {
                let message = format!(
                    "in {}:{}: {}",
                    file.path.display(),
                    fault.span,
                    fault.message
                );
                self.faults.push(Fault::new(here, message));
                return;
            }
        };
        let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
        for written in archives(&root) {
            let path = folder.join(&written);
            match self.files.kind(&path) {
                Ok(FileKind::File { .. } | FileKind::Folder { .. }) => {
                    requirements.archives.push(GalaxyArchive { written, path });
                }
                Ok(_) | Err(_) => {
                    let message = format!(
                        "{} names the archive {written:?}, which does not exist",
                        file.path.display()
                    );
                    self.faults.push(
                        Fault::new(here, message).hint(format!("looked for {}", path.display())),
                    );
                }
            }
        }
    }
}

/// The files and folders of this machine that a requirements file names. (Ansible, "Installing collections": `type: file`,
/// `dir` and `subdirs`, or a name that is an archive's; "Installing roles": `src`.)
fn archives(root: &Node) -> Vec<String> {
    let lists = match &root.value {
        // The older form: a list of roles.
        Value::Sequence(_) => vec![root],
        _ => ["roles", "collections"]
            .iter()
            .filter_map(|key| root.get(key))
            .collect(),
    };
    let mut found = Vec::new();
    for list in lists {
        let Value::Sequence(entries) = &list.value else {
            continue;
        };
        for entry in entries {
            let kind = entry.get("type").and_then(text);
            let named = ["source", "src", "name"]
                .iter()
                .filter_map(|key| entry.get(key));
            let candidates = text(entry).into_iter().chain(named.filter_map(text));
            for candidate in candidates {
                let is_local = match kind {
                    Some("file" | "dir" | "subdirs") => {
                        entry.get("name").and_then(text) == Some(candidate)
                    }
                    Some(_) => false,
                    None => is_archive(candidate),
                };
                if is_local && !found.iter().any(|other| other == candidate) {
                    found.push(candidate.to_owned());
                }
            }
        }
    }
    found
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) => Some(&scalar.text),
        Value::Sequence(_) | Value::Map(_) => None,
    }
}

/// Whether a name is that of an archive here, rather than elsewhere or in a repository.
fn is_archive(name: &str) -> bool {
    let elsewhere = name.contains("://") || name.starts_with("git+") || name.starts_with("git@");
    !elsewhere && (name.ends_with(".tar.gz") || name.ends_with(".tgz"))
}

fn stays_below(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// What the types of `ansible` and `ansible_local` cannot say.
pub(super) fn check(stage: &Cell) -> Vec<Fault> {
    let mut faults = Vec::new();
    let checks = stage.test.iter().flat_map(|test| &test.provision);
    for entry in stage.provision.iter().chain(&stage.on_error).chain(checks) {
        match &entry.value {
            Provisioner::Ansible(ansible) => {
                program(&ansible.ansible_playbook, &mut faults);
                arguments(&ansible.extra_args, &mut faults);
                galaxy(
                    &ansible.galaxy_args,
                    ansible.requirements.as_ref(),
                    &mut faults,
                );
            }
            Provisioner::AnsibleLocal(ansible) => {
                program(&ansible.command, &mut faults);
                arguments(&ansible.extra_args, &mut faults);
                galaxy(
                    &ansible.galaxy_args,
                    ansible.requirements.as_ref(),
                    &mut faults,
                );
                local(ansible, &mut faults);
            }
            _ => {}
        }
    }
    faults
}

fn local(ansible: &AnsibleLocal, faults: &mut Vec<Fault>) {
    if let (Some(inventory), Some(group)) = (&ansible.inventory, ansible.inventory_groups.first()) {
        let message = format!(
            "`inventory_groups` are of the inventory that qib makes, and with `inventory` ({}) it makes none",
            inventory.written.value
        );
        faults.push(Fault::new(group.span, message).hint("leave one of the two out"));
    }
    if let (Some(_), true) = (
        &ansible.inventory,
        ansible.host_alias.span != crate::Span::START,
    ) {
        faults.push(
            Fault::new(ansible.host_alias.span, "`host_alias` is for the inventory that qib makes, and with `inventory` it makes none")
                .hint("leave one of the two out"),
        );
    }
    if let (Some(dir), None) = (&ansible.dir, ansible.uploaded()) {
        let message = format!(
            "the playbook {:?} does not lie in `dir` ({}), so it would not be uploaded",
            ansible.playbook.written.value, dir.written.value
        );
        faults.push(Fault::new(ansible.playbook.written.span, message));
    }
    if let Some(staging) = &ansible.staging
        && (staging.contains('\0')
            || staging.split('/').any(|part| part == "..")
            || staging.starts_with('~'))
    {
        faults.push(
            Fault::new(staging.span, "`staging` is a folder in the instance, absolute or relative to the login user's home, without `..`")
                .hint("for example /var/tmp"),
        );
    }
}

fn program(program: &Located<String>, faults: &mut Vec<Fault>) {
    if program.chars().any(|c| c.is_whitespace() || c == '\0') {
        faults.push(
            Fault::new(
                program.span,
                format!(
                    "{:?} is not a program: it is one word, without arguments",
                    program.value
                ),
            )
            .hint("arguments go into `extra_args`, one by one"),
        );
    }
}

fn galaxy(arguments: &[Template], requirements: Option<&Requirements>, faults: &mut Vec<Fault>) {
    if let (Some(argument), None) = (arguments.first(), requirements) {
        faults.push(
            Fault::new(
                argument.span(),
                "without `requirements`, ansible-galaxy is not called",
            )
            .hint("name the file with `requirements`, or leave `galaxy_args` out"),
        );
    }
}

/// What would take away what qib sees to.
fn arguments(arguments: &[Template], faults: &mut Vec<Fault>) {
    for argument in arguments {
        let text = argument.source();
        let word = text.split('=').next().unwrap_or_default();
        if matches!(
            word,
            "-i" | "--inventory" | "--inventory-file" | "--private-key" | "--key-file"
        ) {
            faults.push(
                Fault::new(argument.span(), format!("`{word}` is qib's to give"))
                    .hint("the inventory is made from `host_alias`, `inventory_groups`, `host_vars` and `group_vars`, and the key with it"),
            );
        }
    }
}

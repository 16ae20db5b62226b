//! What of Ansible decides an image's content: everything in the playbook's folder, since roles, files, templates and
//! variables in it are used without being named.

use super::inputs::{Digest, Fields, entry, named, walk};
use crate::files::{FileKind, Files};
use crate::model::{Ansible, AnsibleLocal, ExtraVars, LocalFile, Requirements};
use crate::template::Template;
use std::io;
use std::path::Path;

/// What comes and goes in a folder of playbooks without being part of them.
const NOT_CONTENT: &[&str] = &[".git", "__pycache__"];

pub(super) fn ansible(ansible: &Ansible, files: &dyn Files) -> io::Result<Digest> {
    let mut fields = Fields::default();
    fields.put("is", "ansible");
    let playbook = ansible.playbook.path();
    fields.put("playbook", name_of(playbook));
    let folder = playbook.parent().unwrap_or(Path::new(""));
    for (child, kind) in named(files.entries(folder), folder)? {
        if NOT_CONTENT.iter().any(|name| child == *name) {
            continue;
        }
        let name = format!("/{}", child.to_string_lossy());
        entry(&mut fields, &name, &kind, &folder.join(&child), files)?;
    }
    fields.put("host", ansible.host_alias.as_str());
    for group in &ansible.inventory_groups {
        fields.put("group", group.as_str());
    }
    let shared = Shared {
        host_vars: ansible.host_vars.as_ref(),
        group_vars: ansible.group_vars.as_ref(),
        requirements: ansible.requirements.as_ref(),
        extra_vars: &ansible.extra_vars,
        extra_args: &ansible.extra_args,
        galaxy_args: &ansible.galaxy_args,
        become_user: ansible.become_user.as_ref().map(|user| user.as_str()),
    };
    shared.put(&mut fields, files)?;
    Ok(fields.digest())
}

pub(super) fn ansible_local(ansible: &AnsibleLocal, files: &dyn Files) -> io::Result<Digest> {
    let mut fields = Fields::default();
    fields.put("is", "ansible_local");
    if let Some((playbook, folder)) = ansible.uploaded() {
        fields.put("playbook", playbook.as_os_str().as_encoded_bytes());
        walk(&mut fields, "", folder, files)?;
    }
    match &ansible.inventory {
        Some(inventory) => {
            fields.put("inventory", name_of(inventory.path()));
            fields.put(
                "sha256",
                named(files.digest(inventory.path()), inventory.path())?,
            );
        }
        None => {
            fields.put("host", ansible.host_alias.as_str());
            for group in &ansible.inventory_groups {
                fields.put("group", group.as_str());
            }
        }
    }
    fields.put("command", ansible.command.as_str());
    let shared = Shared {
        host_vars: ansible.host_vars.as_ref(),
        group_vars: ansible.group_vars.as_ref(),
        requirements: ansible.requirements.as_ref(),
        extra_vars: &ansible.extra_vars,
        extra_args: &ansible.extra_args,
        galaxy_args: &ansible.galaxy_args,
        become_user: ansible.become_user.as_ref().map(|user| user.as_str()),
    };
    shared.put(&mut fields, files)?;
    Ok(fields.digest())
}

/// What both have.
struct Shared<'a> {
    host_vars: Option<&'a LocalFile>,
    group_vars: Option<&'a LocalFile>,
    requirements: Option<&'a Requirements>,
    extra_vars: &'a ExtraVars,
    extra_args: &'a [Template],
    galaxy_args: &'a [Template],
    become_user: Option<&'a str>,
}

impl Shared<'_> {
    fn put(&self, fields: &mut Fields, files: &dyn Files) -> io::Result<()> {
        for (name, folder) in [
            ("host_vars", self.host_vars),
            ("group_vars", self.group_vars),
        ] {
            if let Some(folder) = folder {
                fields.put("folder", name);
                walk(fields, name, folder.path(), files)?;
            }
        }
        for (name, value) in self.extra_vars {
            fields.put("variable", name.as_str());
            fields.put("value", value.canonical());
        }
        for argument in self.extra_args {
            fields.put("argument", argument.canonical());
        }
        fields.optional("become", self.become_user);
        if let Some(requirements) = self.requirements {
            let path = requirements.file.path();
            fields.put("requirements", named(files.digest(path), path)?);
            for archive in &requirements.archives {
                fields.put("archive", &archive.written);
                match named(files.kind(&archive.path), &archive.path)? {
                    FileKind::Folder { .. } => walk(fields, "", &archive.path, files)?,
                    _ => fields.put("sha256", named(files.digest(&archive.path), &archive.path)?),
                }
            }
            for argument in self.galaxy_args {
                fields.put("galaxy argument", argument.canonical());
            }
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

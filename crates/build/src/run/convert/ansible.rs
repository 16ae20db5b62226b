//! `ansible` and `ansible_local`.

use super::rendered;
use crate::failure::StepError;
use crate::spec::*;
use pipeline::model;
use pipeline::template::{RunFacts, Template};

pub(super) fn ansible(
    ansible: &model::Ansible,
    facts: &RunFacts,
) -> Result<AnsibleSpec, StepError> {
    Ok(AnsibleSpec {
        playbook: ansible.playbook.path().to_owned(),
        inventory: InventorySpec {
            host: ansible.host_alias.to_string(),
            groups: names(&ansible.inventory_groups),
            vars: vars(ansible.host_vars.as_ref(), ansible.group_vars.as_ref()),
        },
        call: PlaybookCall {
            extra_vars: extra_vars(&ansible.extra_vars, "ansible.extra_vars", facts)?,
            extra_args: arguments(&ansible.extra_args, "ansible.extra_args", facts)?,
            become_user: ansible.become_user.as_ref().map(ToString::to_string),
            galaxy: galaxy(
                ansible.requirements.as_ref(),
                &ansible.galaxy_args,
                "ansible.galaxy_args",
                facts,
            )?,
        },
        program: ansible.ansible_playbook.value.clone(),
    })
}

pub(super) fn ansible_local(
    ansible: &model::AnsibleLocal,
    facts: &RunFacts,
) -> Result<AnsibleLocalSpec, StepError> {
    // The check of the pipeline has refused a playbook outside of its folder.
    let (playbook, folder) = ansible.uploaded().ok_or_else(|| StepError::LocalFile {
        path: ansible.playbook.path().display().to_string(),
        reason: String::from("it is not in the folder that is uploaded"),
    })?;
    Ok(AnsibleLocalSpec {
        folder: folder.to_owned(),
        playbook: playbook.to_owned(),
        inventory: match &ansible.inventory {
            Some(file) => LocalInventory::File(file.path().to_owned()),
            None => LocalInventory::Made {
                host: ansible.host_alias.to_string(),
                groups: names(&ansible.inventory_groups),
            },
        },
        vars: vars(ansible.host_vars.as_ref(), ansible.group_vars.as_ref()),
        call: PlaybookCall {
            extra_vars: extra_vars(&ansible.extra_vars, "ansible_local.extra_vars", facts)?,
            extra_args: arguments(&ansible.extra_args, "ansible_local.extra_args", facts)?,
            become_user: ansible.become_user.as_ref().map(ToString::to_string),
            galaxy: galaxy(
                ansible.requirements.as_ref(),
                &ansible.galaxy_args,
                "ansible_local.galaxy_args",
                facts,
            )?,
        },
        program: ansible.command.value.clone(),
        staging: ansible.staging.as_ref().map(|path| path.value.clone()),
    })
}

fn names(groups: &[model::Located<model::GroupName>]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

fn vars(hosts: Option<&model::LocalFile>, groups: Option<&model::LocalFile>) -> InventoryVars {
    InventoryVars {
        hosts: hosts.map(|folder| folder.path().to_owned()),
        groups: groups.map(|folder| folder.path().to_owned()),
    }
}

fn arguments(
    arguments: &[Template],
    field: &str,
    facts: &RunFacts,
) -> Result<Vec<String>, StepError> {
    arguments
        .iter()
        .map(|argument| rendered(argument, field, facts))
        .collect()
}

fn extra_vars(
    vars: &model::ExtraVars,
    field: &str,
    facts: &RunFacts,
) -> Result<serde_json::Map<String, serde_json::Value>, StepError> {
    vars.iter()
        .map(|(name, value)| {
            let value = value.render(facts).map_err(|error| StepError::Template {
                field: format!("{field}.{name}"),
                reason: error.to_string(),
            })?;
            Ok((name.to_string(), value))
        })
        .collect()
}

fn galaxy(
    requirements: Option<&model::Requirements>,
    args: &[Template],
    field: &str,
    facts: &RunFacts,
) -> Result<Option<GalaxySpec>, StepError> {
    let Some(requirements) = requirements else {
        return Ok(None);
    };
    let archives = requirements
        .archives
        .iter()
        .map(|archive| (archive.written.clone(), archive.path.clone()));
    Ok(Some(GalaxySpec {
        requirements: requirements.file.path().to_owned(),
        archives: archives.collect(),
        args: arguments(args, field, facts)?,
    }))
}

//! Programs and disk images of this machine that a run needs, looked for before anything is made: a missing one must not be found out when
//! an instance has been paid for.

use crate::ansible::from_here::look_for;
use crate::failure::StepError;
use crate::options::Venue;
use crate::plan::source::imported;
use crate::ports::Ports;
use crate::steps::look_into;
use pipeline::model::{Ansible, Import, Pipeline, Presence, Provisioner};
use std::collections::BTreeMap;
use std::path::Path;

/// Looks for Ansible, if a stage runs a playbook from here, and at disk images that are here.
pub(super) async fn look(
    pipeline: &Pipeline,
    venue: Venue,
    ports: &Ports,
) -> Result<(), StepError> {
    let mut looked: BTreeMap<&str, &Ansible> = BTreeMap::new();
    for stage in pipeline.stages.iter() {
        let checks = stage.test.iter().flat_map(|test| &test.provision);
        for entry in stage.provision.iter().chain(checks) {
            // What a rehearsal skips needs nothing.
            let skipped = venue == Venue::Rehearsal && !entry.needs.is_empty();
            if let (Provisioner::Ansible(ansible), false) = (&entry.value, skipped) {
                looked.entry(&ansible.ansible_playbook).or_insert(ansible);
            }
        }
    }
    for (program, ansible) in looked {
        // The folder of a playbook that `preflight` is still to make may not be there.
        let there = ansible.playbook.presence == Presence::There;
        let parent = ansible.playbook.path().parent().filter(|_| there);
        let folder = parent.filter(|path| !path.as_os_str().is_empty());
        let found = look_for(
            program,
            folder.unwrap_or(Path::new(".")),
            ports.host.commands.as_ref(),
        );
        found.await.map_err(|why| StepError::NoAnsible {
            playbook: ansible.playbook.written.value.clone(),
            why,
        })?;
    }
    disk_images(pipeline, ports).await
}

/// Looks at the disk images that are on this machine: one that is empty, is none or has another checksum is bad input.
async fn disk_images(pipeline: &Pipeline, ports: &Ports) -> Result<(), StepError> {
    let imports = pipeline.stages.iter().filter_map(|stage| stage.import());
    // One that `preflight` is still to make is looked at when its turn comes.
    let there = |import: &&Import| {
        let file = import.origin.file();
        file.is_some_and(|file| file.presence == Presence::There)
    };
    for import in imports.filter(there) {
        imported(ports.host.disk_images.as_ref(), import).await?;
        look_into(import).await?;
    }
    Ok(())
}

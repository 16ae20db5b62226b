//! `provision`.

use super::{ansible, rendered, rendered_secret};
use crate::failure::StepError;
use crate::guest::Script;
use crate::spec::*;
use pipeline::model;
use pipeline::template::RunFacts;

pub(super) fn provisioner(
    entry: &model::Provisioner,
    facts: &RunFacts,
) -> Result<ProvisionerSpec, StepError> {
    let name = entry.label();
    let action = match entry {
        model::Provisioner::Run(run) => {
            let scripts = match &run.commands {
                model::Commands::Inline(text) => {
                    vec![Script {
                        name: name.clone(),
                        text: rendered(text, "run.inline", facts)?.into_bytes(),
                    }]
                }
                model::Commands::Scripts(files) => files
                    .iter()
                    .map(|script| Script {
                        name: script.file.written.value.clone(),
                        text: script.content.clone(),
                    })
                    .collect(),
            };
            let environment = run
                .env
                .iter()
                .map(|(key, value)| {
                    Ok((
                        key.to_string(),
                        rendered_secret(value, &format!("run.env.{key}"), facts)?,
                    ))
                })
                .collect::<Result<_, StepError>>()?;
            ActionSpec::Run(RunSpec {
                scripts,
                become_user: run.become_user.as_ref().map(ToString::to_string),
                interpreter: run.interpreter.as_ref().map(ToString::to_string),
                errexit: run.errexit,
                environment,
                timeout: run.timeout.map(model::TimeSpan::get),
                exit_codes: run.exit_codes.iter().map(|code| u32::from(*code)).collect(),
            })
        }
        model::Provisioner::Upload(upload) => {
            let content = match &upload.what {
                model::UploadSource::File(file) => UploadContent::File(file.path().to_owned()),
                model::UploadSource::Folder(folder) => {
                    UploadContent::Directory(folder.path().to_owned())
                }
                model::UploadSource::Rendered { text, .. } | model::UploadSource::Content(text) => {
                    UploadContent::Bytes(rendered_secret(text, "upload", facts)?.into_bytes())
                }
            };
            let secret = match &upload.what {
                model::UploadSource::Rendered { text, .. } | model::UploadSource::Content(text) => {
                    text.is_secret()
                }
                model::UploadSource::File(_) | model::UploadSource::Folder(_) => false,
            };
            let mode = upload.mode.map(model::FileMode::bits);
            let mode = match (&content, mode) {
                (UploadContent::Bytes(_), None) => Some(if secret { 0o600 } else { 0o644 }),
                (_, mode) => mode,
            };
            ActionSpec::Upload(UploadSpec {
                content,
                to: upload.to.value.clone(),
                mode,
                become_user: upload.become_user.as_ref().map(ToString::to_string),
            })
        }
        model::Provisioner::Ansible(from_here) => {
            ActionSpec::Ansible(ansible::ansible(from_here, facts)?)
        }
        model::Provisioner::AnsibleLocal(inside) => {
            ActionSpec::AnsibleLocal(ansible::ansible_local(inside, facts)?)
        }
    };
    let needs = entry
        .needs()
        .iter()
        .map(|need| need.as_str().to_owned())
        .collect();
    Ok(ProvisionerSpec {
        name,
        needs,
        action,
    })
}

//! `provision`, `on_error` and `preflight`.

use super::{ansible, rendered, rendered_secret};
use crate::failure::StepError;
use crate::guest::Script;
use crate::spec::*;
use pipeline::model::{self, Located};
use pipeline::template::{RunFacts, SecretTemplate};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn entries(
    entries: &[model::ProvisionerEntry],
    facts: &RunFacts,
) -> Result<Vec<ProvisionerSpec>, StepError> {
    entries.iter().map(|one| entry(one, facts)).collect()
}

fn entry(entry: &model::ProvisionerEntry, facts: &RunFacts) -> Result<ProvisionerSpec, StepError> {
    let name = entry.label();
    let action = match &entry.value {
        model::Provisioner::Run(run) => {
            let spec = scripts(run, &name, facts)?;
            match run.place {
                model::Place::Instance => ActionSpec::Run(spec),
                model::Place::BuildHost => ActionSpec::Local(spec),
            }
        }
        model::Provisioner::Upload(step) => ActionSpec::Upload(upload(step, facts)?),
        model::Provisioner::Download(step) => ActionSpec::Download(DownloadSpec {
            from: step.from.value.clone(),
            to: rendered(&step.to, "download.to", facts)?,
            become_user: step.become_user.as_ref().map(ToString::to_string),
        }),
        model::Provisioner::Reboot(step) => ActionSpec::Reboot(RebootSpec {
            command: step.command.as_ref().map(ToString::to_string),
            within: step.timeout.get(),
        }),
        model::Provisioner::WaitFor(wait) => ActionSpec::WaitFor(wait_for(wait, facts)?),
        model::Provisioner::Ansible(step) => ActionSpec::Ansible(ansible::ansible(step, facts)?),
        model::Provisioner::AnsibleLocal(step) => {
            ActionSpec::AnsibleLocal(ansible::ansible_local(step, facts)?)
        }
        model::Provisioner::Pause(step) => ActionSpec::Pause(step.length.get()),
        model::Provisioner::Breakpoint(step) => ActionSpec::Breakpoint(BreakpointSpec {
            message: step
                .message
                .as_ref()
                .map(|text| rendered(text, "breakpoint.message", facts))
                .transpose()?,
            required: step.required,
        }),
    };
    Ok(ProvisionerSpec {
        name,
        needs: words(&entry.needs),
        action,
        schedule: ScheduleSpec {
            pause_before: entry.pause_before.map(model::TimeSpan::get),
            timeout: entry.timeout.map(model::TimeSpan::get),
            retries: entry.retry.map_or(0, |retry| retry.times.get()),
            delay: delay(entry.retry),
            longest: entry.longest(),
        },
    })
}

/// An entry under `preflight`, and the files that it must have made afterwards.
pub(crate) fn preflight(
    entry: &model::PreflightEntry,
    facts: &RunFacts,
) -> Result<ProvisionerSpec, StepError> {
    let name = entry.label();
    let action = match &entry.value {
        model::PreflightAction::Run { run, .. } => ActionSpec::Local(scripts(run, &name, facts)?),
        model::PreflightAction::WaitFor(wait) => ActionSpec::WaitFor(wait_for(wait, facts)?),
    };
    Ok(ProvisionerSpec {
        name,
        needs: words(&entry.needs),
        action,
        schedule: ScheduleSpec {
            pause_before: None,
            timeout: entry.timeout.map(model::TimeSpan::get),
            retries: entry.retry.map_or(0, |retry| retry.times.get()),
            delay: delay(entry.retry),
            longest: Duration::ZERO,
        },
    })
}

fn delay(retry: Option<model::Retry>) -> Duration {
    retry.map_or(Duration::ZERO, |retry| retry.delay.get())
}

fn words(needs: &[Located<model::Need>]) -> Vec<String> {
    needs.iter().map(|need| need.as_str().to_owned()).collect()
}

fn scripts(run: &model::Run, name: &str, facts: &RunFacts) -> Result<RunSpec, StepError> {
    let scripts = match &run.commands {
        model::Commands::Inline(text) => {
            vec![Script {
                name: name.to_owned(),
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
    let boot = model::Reboot::TIMEOUT;
    Ok(RunSpec {
        scripts,
        become_user: run.become_user.as_ref().map(ToString::to_string),
        interpreter: run.interpreter.as_ref().map(ToString::to_string),
        errexit: run.errexit,
        environment: environment(&run.env, "run.env", facts)?,
        timeout: run.timeout.map(model::TimeSpan::get),
        exit_codes: run.exit_codes.iter().map(|code| u32::from(*code)).collect(),
        reboots_within: run.reboots.then(|| run.timeout.unwrap_or(boot).get()),
    })
}

fn environment<K: std::fmt::Display>(
    written: &BTreeMap<K, SecretTemplate>,
    field: &str,
    facts: &RunFacts,
) -> Result<Vec<(String, String)>, StepError> {
    written
        .iter()
        .map(|(key, value)| {
            let value = rendered_secret(value, &format!("{field}.{key}"), facts)?;
            Ok((key.to_string(), value))
        })
        .collect()
}

fn upload(upload: &model::Upload, facts: &RunFacts) -> Result<UploadSpec, StepError> {
    let content = match &upload.what {
        model::UploadSource::File(file) => UploadContent::File(file.path().to_owned()),
        model::UploadSource::Folder(folder) => UploadContent::Directory(folder.path().to_owned()),
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
    Ok(UploadSpec {
        content,
        to: upload.to.value.clone(),
        mode,
        become_user: upload.become_user.as_ref().map(ToString::to_string),
    })
}

fn wait_for(wait: &model::WaitFor, facts: &RunFacts) -> Result<WaitSpec, StepError> {
    let condition = match &wait.condition {
        model::WaitCondition::Http(check) => {
            let asked = HttpSpec {
                url: rendered(&check.url, "wait_for.http.url", facts)?,
                headers: check
                    .headers
                    .iter()
                    .map(|(name, value)| {
                        let field = format!("wait_for.http.headers.{name}");
                        Ok((name.value.clone(), rendered_secret(value, &field, facts)?))
                    })
                    .collect::<Result<_, StepError>>()?,
                status: check.status.value,
                json: check
                    .json
                    .as_ref()
                    .map(|json| json_condition(json, facts))
                    .transpose()?,
            };
            match check.from.value {
                model::Vantage::Host => ConditionSpec::HttpFromHost(asked),
                model::Vantage::Instance => ConditionSpec::HttpFromGuest(asked),
            }
        }
        model::WaitCondition::Command(check) => ConditionSpec::Command(CommandSpec {
            text: rendered(&check.command, "wait_for.command", facts)?,
            become_user: check.become_user.as_ref().map(ToString::to_string),
            environment: environment(&check.env, "wait_for.env", facts)?,
        }),
        model::WaitCondition::CloudInit => ConditionSpec::CloudInit,
        model::WaitCondition::Port(port) => ConditionSpec::Port(*port),
    };
    Ok(WaitSpec {
        condition,
        every: wait.every.get(),
        within: wait.timeout.get(),
    })
}

fn json_condition(json: &model::JsonCondition, facts: &RunFacts) -> Result<JsonSpec, StepError> {
    let field = "wait_for.http.json";
    Ok(JsonSpec {
        path: json.path.clone(),
        wanted: match &json.wanted {
            model::Wanted::Equals(text) => WantedSpec::Equals(rendered(text, field, facts)?),
            model::Wanted::Contains(text) => WantedSpec::Contains(rendered(text, field, facts)?),
        },
    })
}

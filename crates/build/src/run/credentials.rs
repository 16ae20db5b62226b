//! Whether the credentials outlive the run's timeouts.

use crate::event::Event;
use crate::names::CellName;
use crate::steps::{CONNECT_WITHIN, RunContext};
use cloud::credentials::Shortfall;
use pipeline::model::{Address, Cell, Commands, Pipeline, Provisioner, Source, TimeSpan};
use std::time::Duration;

/// Warns if the credentials may end before the run does. Those that a profile, SSO or a role hands out are renewed while
/// the run goes on; whether that will work is not known beforehand, so it is only a warning.
pub(super) async fn warn_if_short(context: &RunContext, pipeline: &Pipeline) {
    // Whoever cannot say when the credentials end says nothing.
    let Ok(end) = context.ports.account.credentials_expiry().await else {
        return;
    };
    let now = context.ports.clock.now();
    if let Some(shortfall) = Shortfall::of(end, now, longest(pipeline)) {
        let cell = CellName {
            stage: context.pipeline.clone(),
            cell: String::from("credentials"),
        };
        context.tell(Event::Warning {
            cell,
            text: shortfall.to_string(),
        });
    }
}

/// The longest time that the stages may take by their own timeouts, one after the other where one starts from another.
/// A provisioner without a timeout counts as nothing.
fn longest(pipeline: &Pipeline) -> Duration {
    let mut ends: Vec<(&str, Duration)> = Vec::new();
    for ordered in pipeline::stage_order(pipeline) {
        let Some(stage) = pipeline.stage(&ordered.stage) else {
            continue;
        };
        let begins = match &stage.source.value {
            Source::Stage(name) => ends
                .iter()
                .find(|(other, _)| *other == name.as_str())
                .map_or(Duration::ZERO, |(_, end)| *end),
            Source::ImageId(_) | Source::Filter { .. } => Duration::ZERO,
        };
        ends.push((stage.stage.as_str(), begins.saturating_add(of_stage(stage))));
    }
    ends.into_iter()
        .map(|(_, end)| end)
        .max()
        .unwrap_or_default()
}

fn of_stage(stage: &Cell) -> Duration {
    let bind = match &stage.connect.address.value {
        Address::ElasticIp(elastic) => elastic.timeout.get(),
        Address::Public | Address::Private => Duration::ZERO,
    };
    let connect = stage.connect.timeout.map_or(CONNECT_WITHIN, TimeSpan::get);
    let provision = stage.provision.iter().map(|entry| match &entry.value {
        Provisioner::Run(run) => {
            // The timeout is for each script.
            let scripts = match &run.commands {
                Commands::Inline(_) => 1,
                Commands::Scripts(files) => u32::try_from(files.len()).unwrap_or(u32::MAX),
            };
            run.timeout
                .map_or(Duration::ZERO, |span| span.get().saturating_mul(scripts))
        }
        Provisioner::Upload(_) | Provisioner::Ansible(_) | Provisioner::AnsibleLocal(_) => {
            Duration::ZERO
        }
    });
    provision.fold(
        bind.saturating_add(connect)
            .saturating_add(stage.image.wait.get()),
        Duration::saturating_add,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::{Disk, LoadOptions};
    use std::path::Path;

    fn pipeline() -> Pipeline {
        let text = r#"
name: p
aws: { region: us-east-2 }
stages:
  base:
    source: { image_id: ami-0123456789abcdef0 }
    launch: { instance_type: m5.large, ssh_from: anywhere }
    connect: { user: u, timeout: 10m }
    provision: [{ run: { name: a, inline: "true", timeout: 20m } }, { run: { name: b, inline: "true" } }]
    image: { name: "a-${{ run.id }}", wait: 30m }
  next:
    source: { stage: base }
    launch: { instance_type: m5.large, ssh_from: anywhere }
    connect: { user: u, timeout: 5m }
    provision: [{ run: { name: a, inline: "true", timeout: 55m } }]
    image: { name: "b-${{ run.id }}", wait: 1h }
"#;
        let options = LoadOptions {
            local: false,
            vars: Vec::new(),
            vars_files: Vec::new(),
            env: &|_| None,
            home: None,
        };
        pipeline::load(Path::new("p.yaml"), text.as_bytes(), &options, &Disk)
            .unwrap()
            .pipeline
    }

    #[test]
    fn stages_that_follow_each_other_add_up() {
        assert_eq!(longest(&pipeline()), Duration::from_secs(3 * 3600));
    }
}

//! Whether the credentials outlive the run's timeouts.

use crate::event::Event;
use crate::names::CellName;
use crate::steps::{CONNECT_WITHIN, RunContext};
use cloud::credentials::Shortfall;
use pipeline::model::{Address, Cell, Pipeline, ProvisionerEntry, TimeSpan};
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
    let mut ends: Vec<(&Cell, Duration)> = Vec::new();
    for ordered in pipeline::cell_order(pipeline) {
        let begins = ordered.after.and_then(|source| {
            let end = ends.iter().find(|(other, _)| std::ptr::eq(*other, source));
            end.map(|(_, end)| *end)
        });
        let begins = begins.unwrap_or_default();
        ends.push((ordered.cell, begins.saturating_add(of_stage(ordered.cell))));
    }
    ends.into_iter()
        .map(|(_, end)| end)
        .max()
        .unwrap_or_default()
}

fn of_stage(stage: &Cell) -> Duration {
    let Some(connect) = &stage.connect else {
        // A copy connects to nothing.
        return stage.image.wait.get();
    };
    let bind = match &connect.address.value {
        Address::ElasticIp(elastic) => elastic.timeout.get(),
        Address::Public | Address::Private | Address::Ipv6 => Duration::ZERO,
    };
    let connect = connect.timeout.map_or(CONNECT_WITHIN, TimeSpan::get);
    let provision = stage.provision.iter().map(ProvisionerEntry::longest);
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
            ..LoadOptions::default()
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

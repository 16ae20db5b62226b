//! Whether the credentials outlive the run's timeouts. Pure, but for asking when they end.

use crate::event::Event;
use crate::names::CellName;
use crate::steps::{CONNECT_WITHIN, RunContext};
use cloud::Timestamp;
use pipeline::model::{Address, Commands, Pipeline, Provisioner, Source, Stage, TimeSpan};
use std::time::Duration;

/// Warns if the credentials may end before the run does. Those that a profile, SSO or a role hands out are renewed while
/// the run goes on; whether that will work is not known beforehand, so it is only a warning.
pub(super) async fn warn_if_short(context: &RunContext, pipeline: &Pipeline) {
    // Whoever cannot say when the credentials end says nothing.
    let Ok(Some(end)) = context.ports.account.credentials_expiry().await else {
        return;
    };
    if let Some(text) = shortage(pipeline, context.ports.clock.now(), end) {
        let cell = CellName {
            stage: context.pipeline.clone(),
            cell: String::from("credentials"),
        };
        context.tell(Event::Warning { cell, text });
    }
}

/// What is to be said about credentials that end at `end`; none if the run's timeouts end before.
fn shortage(pipeline: &Pipeline, now: Timestamp, end: Timestamp) -> Option<String> {
    let left = cloud::clock::between(now, end);
    let needed = longest(pipeline);
    let span = |duration: Duration| TimeSpan::from_secs(duration.as_secs());
    (needed > left).then(|| {
        format!(
            "these credentials end in {} ({end:.0}), and the pipeline's timeouts add up to {}: unless they can be renewed \
             meanwhile, what the run has made by then can be removed only with new ones (`qib sweep`)",
            span(left),
            span(needed),
        )
    })
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
        ends.push((stage.name.as_str(), begins.saturating_add(of_stage(stage))));
    }
    ends.into_iter()
        .map(|(_, end)| end)
        .max()
        .unwrap_or_default()
}

fn of_stage(stage: &Stage) -> Duration {
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
        Provisioner::Upload(_) => Duration::ZERO,
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

    #[test]
    fn credentials_that_end_before_the_timeouts_are_told_of() {
        let now = Timestamp::constant(1_800_000_000, 0);
        let after = |hours: i64| Timestamp::constant(1_800_000_000 + hours * 3600, 0);
        assert_eq!(shortage(&pipeline(), now, after(4)), None);
        let told = shortage(&pipeline(), now, after(1)).unwrap();
        assert!(told.contains("end in 1h") && told.contains("3h"), "{told}");
    }
}

//! Whether the credentials outlive the run's timeouts.

use crate::event::Event;
use crate::names::CellName;
use crate::selection::Selection;
use crate::steps::{CONNECT_WITHIN, RunContext};
use cloud::credentials::Shortfall;
use pipeline::model::{Address, Cell, Connect, ProvisionerEntry, TimeSpan};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Warns if the credentials may end before the run does. Those that a profile, SSO or a role hands out are renewed while
/// the run goes on; whether that will work is not known beforehand, so it is only a warning.
pub(super) async fn warn_if_short(context: &RunContext, selection: &Selection<'_>) {
    // Whoever cannot say when the credentials end says nothing.
    let Ok(end) = context.ports.account.credentials_expiry().await else {
        return;
    };
    let now = context.ports.clock.now();
    let longest = longest(selection, context.options.cells.jobs);
    if let Some(shortfall) = Shortfall::of(end, now, longest) {
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

/// The longest time that the cells may take by their own timeouts: one after the other where one starts from another, and
/// all together no faster than `jobs` at once can. A provisioner without a timeout counts as nothing.
fn longest(selection: &Selection<'_>, jobs: NonZeroUsize) -> Duration {
    let mut ends: Vec<Duration> = Vec::new();
    let mut work = Duration::ZERO;
    for chosen in &selection.cells {
        let begins = chosen
            .source
            .and_then(|source| ends.get(source))
            .copied()
            .unwrap_or_default();
        let own = of_cell(chosen.cell);
        work = work.saturating_add(own);
        ends.push(begins.saturating_add(own));
    }
    let chain = ends.into_iter().max().unwrap_or_default();
    let jobs = u32::try_from(jobs.get()).unwrap_or(u32::MAX);
    chain.max(work / jobs)
}

fn of_cell(cell: &Cell) -> Duration {
    let Some(connect) = &cell.connect else {
        // A copy connects to nothing.
        return cell.image.wait.get();
    };
    let test = cell.test.as_ref().map_or(Duration::ZERO, |test| {
        let connect = test.connect.as_ref().unwrap_or(connect);
        reaching(connect).saturating_add(test.timeout.get())
    });
    let provision = cell.provision.iter().map(ProvisionerEntry::longest);
    provision.fold(
        reaching(connect)
            .saturating_add(cell.image.wait.get())
            .saturating_add(test),
        Duration::saturating_add,
    )
}

/// How long it may take until an instance is reached.
fn reaching(connect: &Connect) -> Duration {
    let bind = match &connect.address.value {
        Address::ElasticIp(elastic) => elastic.timeout.get(),
        Address::Public | Address::Private | Address::Ipv6 => Duration::ZERO,
    };
    bind.saturating_add(connect.timeout.map_or(CONNECT_WITHIN, TimeSpan::get))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::Choice;
    use pipeline::model::Pipeline;
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
    fn stages_that_follow_each_other_add_up_and_few_at_once_take_longer() {
        let mut pipeline = pipeline();
        let hours = |pipeline: &Pipeline, jobs: usize| {
            let region = "us-east-2".into();
            let selection = Selection::choose(pipeline, &region, &Choice::default()).unwrap();
            longest(&selection, NonZeroUsize::new(jobs).unwrap()).as_secs() / 3600
        };
        assert_eq!(hours(&pipeline, 8), 3);
        // Three more of an hour each that start from nothing.
        for name in ["a", "b", "c"] {
            let mut cell = pipeline.stages[0].clone();
            cell.stage.value = pipeline::model::StageName::new(name).unwrap();
            pipeline.stages.0.push(cell);
        }
        assert_eq!((hours(&pipeline, 8), hours(&pipeline, 1)), (3, 6));
    }
}

//! `qib images prune`.

use super::same_place;
use crate::args::images::PruneArgs;
use crate::commands::error::CommandError;
use crate::commands::place::Place;
use crate::commands::terminal::Terminal;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::removal::{RemovalRow, removal_text, resistance};
use build::images::{Fate, PruneRule, facts_of, remove};
use build::names::tag;
use build::report::ExitCode;
use cloud::{Clock, ImageFilter};
use pipeline::model::TimeSpan;

pub(super) async fn prune(
    args: PruneArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let rule = PruneRule {
        keep: args.keep,
        older_than: args.older_than.map(TimeSpan::get),
        not_launched_for: args.not_launched_for.map(TimeSpan::get),
        per: args.per.clone(),
        except: args.except.clone(),
        shared_too: args.shared,
        public_too: args.public,
    };
    rule.check()
        .map_err(|error| CommandError::bad_input(error.to_string()))?;
    let place = Place::find(&args.account(), None, environment).await?;
    let mut regions = args.regions.clone();
    if regions.is_empty() {
        regions.push(place.region.clone());
    }
    regions.sort();
    regions.dedup();
    // Every region is looked at before anything is removed: a rule that cannot be told in one removes nothing in another.
    let mut looked = Vec::new();
    for name in &regions {
        let region = place.account.region(name);
        let mut images = region.images(&filter(&args)).await?;
        // EC2's filters take `*` and `?`; names are meant as they are.
        images.retain(|image| {
            let has = |key: &str, value: &str| image.tags.get(key) == Some(value);
            let by_name = args.stage.iter().all(|stage| has(tag::STAGE, stage))
                && args.pipeline.iter().all(|name| has(tag::PIPELINE, name));
            by_name && args.tags.iter().all(|(key, value)| has(key, value))
        });
        let facts = facts_of(region.as_ref(), images).await?;
        let pruned = build::images::prune(&rule, facts, SystemClock.now())
            .map_err(|error| CommandError::bad_input(error.to_string()))?;
        looked.push((region, pruned));
    }
    let mut rows = Vec::new();
    for (region, pruned) in looked {
        let mut here: Vec<RemovalRow> = pruned
            .iter()
            .map(|one| RemovalRow::planned(region.as_ref(), &one.facts.image, &one.fate))
            .collect();
        if args.yes {
            let going = pruned
                .into_iter()
                .filter(|one| matches!(one.fate, Fate::Goes(_)))
                .map(|one| one.facts.image)
                .collect();
            match remove(region.as_ref(), &SystemClock, going).await {
                Ok(removed) => RemovalRow::settle(&mut here, &removed),
                Err(error) => RemovalRow::keep_all(&mut here, &error),
            }
        }
        rows.extend(here);
    }
    terminal.result(|out| removal_text(out, &rows, args.json))?;
    let again = again(&args, &regions);
    terminal.say(&resistance(
        &rows,
        args.yes,
        &again,
        place.endpoint.as_deref(),
    ));
    let done = rows.iter().all(RemovalRow::is_as_wanted);
    Ok(if done {
        ExitCode::Done
    } else {
        ExitCode::LeftBehind
    }
    .code())
}

fn filter(args: &PruneArgs) -> ImageFilter {
    let mut filters = Vec::new();
    if args.tags.is_empty() || args.stage.is_some() || args.pipeline.is_some() {
        filters.push((String::from("tag-key"), vec![tag::STAGE.to_owned()]));
    }
    let mut tagged = |key: &str, value: &str| {
        filters.push((format!("tag:{key}"), vec![value.to_owned()]));
    };
    args.stage
        .iter()
        .for_each(|stage| tagged(tag::STAGE, stage));
    args.pipeline
        .iter()
        .for_each(|name| tagged(tag::PIPELINE, name));
    args.tags.iter().for_each(|(key, value)| tagged(key, value));
    ImageFilter {
        owners: vec![String::from("self")],
        filters,
        include_deprecated: true,
        ..ImageFilter::default()
    }
}

/// As a shell reads it back; bare where that is the same.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The command that removes what was shown.
fn again(args: &PruneArgs, regions: &[cloud::RegionName]) -> String {
    let mut command = String::from("qib images prune");
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            command.push_str(&format!(" --{name} {}", quoted(&value)));
        }
    };
    option("keep", args.keep.map(|keep| keep.to_string()));
    option("older-than", args.older_than.map(|age| age.to_string()));
    option(
        "not-launched-for",
        args.not_launched_for.map(|age| age.to_string()),
    );
    option("pipeline", args.pipeline.clone());
    option("stage", args.stage.clone());
    args.per
        .iter()
        .for_each(|tag| option("per", Some(tag.clone())));
    for (key, value) in &args.tags {
        option("tag", Some(format!("{key}={value}")));
    }
    for (key, value) in &args.except {
        let tag = value
            .as_ref()
            .map_or_else(|| key.clone(), |value| format!("{key}={value}"));
        option("except-tag", Some(tag));
    }
    for (given, name) in [(args.shared, " --shared"), (args.public, " --public")] {
        if given {
            command.push_str(name);
        }
    }
    command.push_str(&same_place(regions, args.local, args.profile.as_deref()));
    command.push_str(" --yes");
    command
}

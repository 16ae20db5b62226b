//! `qib images copy`.

use super::own_image;
use crate::args::images::CopyArgs;
use crate::commands::error::CommandError;
use crate::commands::place::Place;
use crate::commands::terminal::Terminal;
use crate::edge::clock::SystemClock;
use crate::edge::environment::Environment;
use crate::render::copied::{copied_ending, copied_text, progress_text};
use crate::render::json::document;
use build::images::{CopyOrder, CopyProgress, CopyStatus, CopyTo, CopyWatch, common_tags};
use build::report::ExitCode;
use build::spec::Encryption;
use cloud::{Clock, ErrorKind, OptIn, Region, RegionName, Tags};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) async fn copy(
    args: CopyArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let targets = targets(&args)?;
    let place = Place::find(&args.account, None, environment).await?;
    let own_name = targets.iter().any(|to| to.region == place.region);
    if own_name && args.name.is_none() {
        return Err(CommandError::bad_input(format!(
            "{} is in {} already, and a name is unique in a region",
            args.image, place.region
        ))
        .hinted("leave the region out of --to, or give the copies another name with --name"));
    }
    let here = place.account.region(&place.region);
    check_regions(here.as_ref(), &targets).await?;
    let image = own_image(&place, &args.image).await?;
    let ids: Vec<String> = image.snapshots.iter().map(ToString::to_string).collect();
    let snapshots = if ids.is_empty() {
        Vec::new()
    } else {
        let of_image = [(String::from("snapshot-id"), ids)];
        here.snapshots(&of_image).await?
    };
    let order = CopyOrder {
        name: args.name.unwrap_or_else(|| image.name.clone()),
        source: image,
        source_region: place.region.clone(),
        snapshot_tags: common_tags(&snapshots),
        tags: args.tags.into_iter().collect::<Tags>(),
        targets,
        wait: args.wait.get(),
        nonce: rand::random(),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let copied =
        build::images::copy(place.account.as_ref(), &clock, &order, &Lines(terminal)).await;
    let copied = copied.map_err(|error| CommandError::failed(error.to_string()))?;
    if args.json {
        terminal.result(|out| document(out, &copied))?;
    } else {
        terminal.result_text(&copied_text(&copied))?;
    }
    terminal.say(&copied_ending(&copied, place.endpoint.as_deref()));
    let any = |statuses: &[CopyStatus]| copied.iter().any(|one| statuses.contains(&one.status));
    let exit = if any(&[CopyStatus::LeftBehind]) {
        ExitCode::LeftBehind
    } else if any(&[CopyStatus::Failed, CopyStatus::Pending]) {
        ExitCode::Failed
    } else {
        ExitCode::Done
    };
    Ok(exit.code())
}

/// Whether the account has all these regions. Where it may not be asked, each region's own answer will tell.
async fn check_regions(here: &dyn Region, targets: &[CopyTo]) -> Result<(), CommandError> {
    let known = match here.regions().await {
        Ok(known) => known,
        Err(error) if error.kind == ErrorKind::AccessDenied => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for to in targets {
        let name = &to.region;
        match known.iter().find(|one| one.name == *name) {
            None => {
                return Err(
                    CommandError::bad_input(format!("there is no region {name}"))
                        .hinted("`aws ec2 describe-regions --all-regions` lists them"),
                );
            }
            Some(one) if one.opt_in == OptIn::NotOptedIn => {
                return Err(CommandError::bad_input(format!(
                    "the account has not opted in to {name}"
                ))
                .hinted(format!(
                    "`aws account enable-region --region-name {name}` does it, and takes a while"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Each region once, in the order given, with the key that is meant for it.
fn targets(args: &CopyArgs) -> Result<Vec<CopyTo>, CommandError> {
    let mut keys: BTreeMap<&RegionName, &str> = BTreeMap::new();
    for (region, key) in &args.kms_keys {
        if !args.to.contains(region) {
            return Err(CommandError::bad_input(format!(
                "--kms-key names a key for {region}, and --to does not name that region"
            )));
        }
        if keys.insert(region, key).is_some_and(|other| other != key) {
            return Err(CommandError::bad_input(format!(
                "--kms-key names two keys for {region}"
            )));
        }
    }
    let mut seen = BTreeSet::new();
    let regions = args.to.iter().filter(|region| seen.insert(*region));
    regions
        .map(|region| {
            let encryption = match keys.get(region) {
                Some(key) => Encryption::With(Some((*key).to_owned())),
                None if args.encrypt => Encryption::With(None),
                None if !keys.is_empty() => {
                    return Err(CommandError::bad_input(format!(
                        "--kms-key names no key for {region}"
                    ))
                    .hinted(
                        "--encrypt takes the account's default key for EBS where none is named",
                    ));
                }
                None => Encryption::AsSource,
            };
            Ok(CopyTo {
                region: region.clone(),
                encryption,
            })
        })
        .collect()
}

/// Says what happens on stderr, a line each, as a run does in a pipe.
struct Lines<'a>(&'a Terminal);

impl CopyWatch for Lines<'_> {
    fn progress(&self, region: &RegionName, progress: &CopyProgress) {
        let time = SystemClock
            .now()
            .to_zoned(TimeZone::system())
            .strftime("%H:%M:%S");
        self.0
            .say(&format!("{time} {region} │ {}", progress_text(progress)));
    }
}

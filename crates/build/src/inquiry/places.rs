//! Regions, cells, names, zones, and whether what is to be public may be.

use super::check::{Answer, Check, Kind};
use crate::options::RunOptions;
use crate::plan::Sight;
use crate::plan::names::taken;
use crate::plan::{PlanRow, targets};
use crate::ports::Ports;
use crate::selection::image_regions;
use crate::spec::OnConflict;
use cloud::{OptIn, PublicSharing, RegionDescription, RegionName};
use futures::future::join_all;
use std::collections::BTreeMap;

pub(super) async fn checks(sight: &Sight<'_>, options: &RunOptions, ports: &Ports) -> Vec<Check> {
    let (regions, names, sharing) = futures::join!(
        regions(sight, options, ports),
        names(sight, options, ports),
        sharing(sight, ports)
    );
    let mut checks = regions;
    checks.extend(sight.plan.rows.iter().flat_map(cell));
    checks.extend(names);
    checks.extend(offerings(sight));
    checks.extend(sharing);
    checks
}

/// Every region of cells and copies: whether there is one, and whether the account uses it.
async fn regions(sight: &Sight<'_>, options: &RunOptions, ports: &Ports) -> Vec<Check> {
    let known = ports.account.region(&options.region).regions().await;
    let regions = sight.selection.regions();
    let check = |region: &RegionName| match &known {
        Ok(known) => {
            let (answer, detail) = opened(known, region);
            let check = Check::new(Kind::Region, Some(region), "region", answer, detail);
            match answer {
                Answer::Denied => check.with_next(format!(
                    "aws account enable-region --region-name {region}, which takes minutes; or leave the region out"
                )),
                _ => check,
            }
        }
        Err(error) => Check::new(
            Kind::Region,
            Some(region),
            "region",
            Answer::Unknown,
            error.to_string(),
        ),
    };
    regions.iter().map(check).collect()
}

fn opened(known: &[RegionDescription], region: &RegionName) -> (Answer, String) {
    match known.iter().find(|one| one.name == *region) {
        None => (
            Answer::Denied,
            String::from("AWS has no region of this name"),
        ),
        Some(one) if one.opt_in == OptIn::NotOptedIn => (
            Answer::Denied,
            String::from("the account has not opted in to the region"),
        ),
        Some(_) => (Answer::Allowed, String::from("the account uses it")),
    }
}

fn cell(row: &PlanRow) -> Vec<Check> {
    let region = RegionName::new(&row.region);
    let asked = format!("{}/{}", row.stage, row.cell);
    let check =
        |answer, detail: &str| Check::new(Kind::Cell, Some(&region), &asked, answer, detail);
    let mut checks = vec![match row.action.as_str() {
        "blocked" => check(Answer::Denied, &row.reason),
        action => check(Answer::Allowed, action),
    }];
    let warnings = row.warnings.iter();
    checks.extend(warnings.map(|warning| check(Answer::Warning, warning)));
    checks
}

/// Names that are taken keep a cell from being built, unless it says what happens then: that is a warning of its row.
async fn names(sight: &Sight<'_>, options: &RunOptions, ports: &Ports) -> Vec<Check> {
    let targets = targets(&sight.selection, &sight.surveyed, &options.region);
    let fails = |cell: &crate::names::CellName| {
        let of_cell = sight.surveyed.iter().flatten();
        let of_cell = of_cell.filter(|seen| seen.work.cell() == cell);
        of_cell
            .map(|seen| seen.work.publishes().1.on_conflict)
            .any(|conflict| conflict == OnConflict::Fail)
    };
    let taken = taken(ports.account.as_ref(), &targets).await;
    let taken = taken.into_iter().filter(|one| fails(&one.target.cell));
    taken
        .map(|one| {
            let detail = format!(
                "{} has it, and {} needs it",
                one.by.image_id, one.target.cell
            );
            let name = format!("the name `{}`", one.target.name);
            Check::new(
                Kind::Name,
                Some(&one.target.region),
                name,
                Answer::Denied,
                detail,
            )
            .with_next("give the image another name, or say `on_conflict: skip` or `replace`")
        })
        .collect()
}

/// For each cell that launches: the types that are tried, and the zones that have them.
fn offerings(sight: &Sight<'_>) -> Vec<Check> {
    let mut seen_before: Vec<Check> = Vec::new();
    for (surveyed, looked) in sight.surveyed.iter().zip(&sight.sites) {
        let (Ok(seen), Some(looked)) = (surveyed, looked) else {
            continue;
        };
        let Some(spec) = seen.work.build() else {
            continue;
        };
        for machine in &spec.launch.machines {
            let mut zones: Vec<String> = looked
                .site
                .subnets
                .iter()
                .filter(|subnet| looked.site.offers(machine, &subnet.availability_zone))
                .map(|subnet| subnet.availability_zone.to_string())
                .collect();
            zones.sort();
            zones.dedup();
            let (answer, detail) = match (looked.site.unknown.is_empty(), zones.is_empty()) {
                (false, _) => (Answer::Unknown, looked.site.unknown.join("; ")),
                (true, false) => (Answer::Allowed, format!("in {}", zones.join(", "))),
                // Another of the cell's types is offered, or the cell would be blocked.
                (true, true) => (
                    Answer::Warning,
                    String::from("none of the subnets' zones has it: the next type is tried"),
                ),
            };
            let check = Check::new(Kind::Offering, Some(&spec.region), machine, answer, detail);
            if !seen_before.contains(&check) {
                seen_before.push(check);
            }
        }
    }
    seen_before
}

/// What is to be public, by region: images, snapshots.
fn public(sight: &Sight<'_>) -> BTreeMap<RegionName, (bool, bool)> {
    let mut regions: BTreeMap<RegionName, (bool, bool)> = BTreeMap::new();
    for chosen in &sight.selection.cells {
        let share = &chosen.cell.image.share;
        if !share.public.value {
            continue;
        }
        let snapshots = share.snapshots.as_ref().is_some_and(|on| on.value);
        for region in image_regions(chosen.cell, &chosen.region) {
            let (_, both) = regions.entry(region).or_insert((true, false));
            *both |= snapshots;
        }
    }
    regions
}

async fn sharing(sight: &Sight<'_>, ports: &Ports) -> Vec<Check> {
    let public = public(sight);
    let asked = public
        .iter()
        .filter(|(region, _)| !sight.closed.contains_key(*region))
        .map(|(region, (_, snapshots))| async move {
            let there = ports.account.region(region);
            let images = there.public_images().await;
            let mut checks = vec![shared(region, "image", images)];
            if *snapshots {
                checks.push(shared(region, "snapshot", there.public_snapshots().await));
            }
            checks
        });
    join_all(asked).await.into_iter().flatten().collect()
}

fn shared(
    region: &RegionName,
    what: &str,
    state: Result<PublicSharing, cloud::CloudError>,
) -> Check {
    let asked = format!("public {what}s");
    let (answer, detail) = match state {
        Ok(PublicSharing::Allowed) => (Answer::Allowed, String::from("not blocked")),
        Ok(PublicSharing::Blocked) => (
            Answer::Denied,
            format!("the account blocks public access to {what}s"),
        ),
        Err(error) => (Answer::Unknown, error.to_string()),
    };
    let check = Check::new(Kind::Sharing, Some(region), asked, answer, detail);
    match answer {
        Answer::Denied => check.with_next(format!(
            "leave out `share.public`, or `aws ec2 disable-{what}-block-public-access --region {region}`"
        )),
        _ => check,
    }
}

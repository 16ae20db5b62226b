//! How much may be used, how much is used now, and how much the pipeline needs at once.
//!
//! At once run the cells that start from nothing else, then those that start from these, each time as many as `--jobs`
//! says. What a level needs is what its largest cells need; what the pipeline needs is what its largest level needs.
//!
//! Codes: <https://docs.aws.amazon.com/servicequotas/latest/userguide/intro.html>; which families share a quota:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html>.

use super::check::{Answer, Check, Kind, Quantity};
use crate::options::RunOptions;
use crate::plan::Sight;
use crate::plan::survey::Seen;
use crate::ports::Ports;
use crate::selection::image_regions;
use crate::spec::{AddressChoice, AddressSpec, CellSpec};
use crate::steps::candidates;
use crate::steps::members;
use cloud::{CloudError, ImageFilter, InstanceFilter, Purchase, Region, RegionName};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};

/// A quota of Service Quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Code {
    service: &'static str,
    code: &'static str,
    name: &'static str,
}

const fn code(service: &'static str, code: &'static str, name: &'static str) -> Code {
    Code {
        service,
        code,
        name,
    }
}

const GROUPS: Code = code("vpc", "L-E79EC296", "VPC security groups per Region");
const PUBLIC_IMAGES: Code = code("ec2", "L-0E3CBAB9", "Public AMIs");
const COPIES: Code = code(
    "ebs",
    "L-A84ABF80",
    "Concurrent snapshot copies per destination Region",
);
/// What applies where Service Quotas does not tell.
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html>
const USUAL_COPIES: f64 = 20.0;

/// Families of instance types by the letters that their names begin with, and the quotas of their virtual processors: on
/// demand, and as spot instances where there is such a quota. Standard families are those of one of `acdhimrtz`.
const FAMILIES: [(&[&str], &str, Option<&str>, &str); 8] = [
    (&["dl"], "L-6E869C2A", Some("L-85EED4F7"), "DL"),
    (&["f"], "L-74FC7D96", Some("L-88CF9481"), "F"),
    (
        &["g", "gr", "vt"],
        "L-DB2E81BA",
        Some("L-3819A6DF"),
        "G and VT",
    ),
    (&["hpc"], "L-F7808C92", None, "HPC"),
    (&["inf"], "L-1945791B", Some("L-B5D1601B"), "Inf"),
    (&["p"], "L-417A185B", Some("L-7212CCBC"), "P"),
    (&["u"], "L-43DA4232", None, "High Memory"),
    (&["x"], "L-7295265B", Some("L-E3A00192"), "X"),
];
const STANDARD: &str = "Standard (A, C, D, H, I, M, R, T, Z)";

/// The quota that an instance counts in; none for a family whose quota is not known here.
fn processors(instance_type: &str, purchase: Purchase) -> Option<(&'static str, &'static str)> {
    let letters = instance_type.find(|c: char| !c.is_ascii_lowercase())?;
    let letters = &instance_type[..letters];
    let family = FAMILIES.iter().find(|(of, ..)| of.contains(&letters));
    match (family, purchase) {
        (Some((_, on_demand, _, name)), Purchase::OnDemand) => Some((*on_demand, *name)),
        (Some((_, _, spot, name)), Purchase::Spot) => spot.map(|spot| (spot, *name)),
        // `is`, `im` and `mac` begin as standard families do; the last has hosts of its own.
        (None, _) if letters == "mac" || letters == "trn" => None,
        (None, Purchase::OnDemand) => Some(("L-1216C47A", STANDARD)),
        (None, Purchase::Spot) => Some(("L-34B43A08", STANDARD)),
    }
}

/// A cell's level, and how much of something it takes.
type Amount = (usize, f64);

/// What a cell takes while it is built.
struct Load<'s> {
    /// How many cells it starts from that are built before it.
    level: usize,
    region: &'s RegionName,
    seen: &'s Seen,
    at: usize,
}

pub(super) async fn checks(sight: &Sight<'_>, options: &RunOptions, ports: &Ports) -> Vec<Check> {
    let loads = loads(sight);
    let jobs = options.cells.jobs.get();
    let regions = sight.selection.regions();
    let open = regions
        .iter()
        .filter(|region| !sight.closed.contains_key(*region));
    let asked = open.map(|region| {
        let there = ports.account.region(region);
        let loads = &loads;
        async move {
            let there = there.as_ref();
            let (machines, groups, copies, public, addresses) = futures::join!(
                machines(there, loads, jobs),
                groups(there, loads, jobs),
                copies(sight, there, loads, jobs),
                public_images(sight, there, loads),
                addresses(there, loads, jobs)
            );
            let mut checks = machines;
            checks.extend(subnets(sight, region, loads, jobs));
            checks.extend(addresses);
            checks.extend(groups);
            checks.extend(copies);
            checks.extend(public);
            checks
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The cells whose image would be made.
fn loads<'s>(sight: &'s Sight<'_>) -> Vec<Load<'s>> {
    let mut levels: Vec<usize> = Vec::new();
    let mut loads = Vec::new();
    for (at, (chosen, surveyed)) in sight
        .selection
        .cells
        .iter()
        .zip(&sight.surveyed)
        .enumerate()
    {
        let seen = surveyed.as_ref().ok().filter(|seen| seen.makes());
        let before = chosen.source.and_then(|source| levels.get(source).copied());
        let before = before.unwrap_or(0);
        levels.push(before + usize::from(seen.is_some()));
        if let Some(seen) = seen {
            let (region, _) = seen.work.publishes();
            loads.push(Load {
                level: before,
                region,
                seen,
                at,
            });
        }
    }
    loads
}

/// How much is needed at once: the `jobs` largest of a level, of the largest level.
fn at_once(amounts: impl Iterator<Item = Amount>, jobs: usize) -> f64 {
    let mut levels: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (level, amount) in amounts {
        levels.entry(level).or_default().push(amount);
    }
    let totals = levels.into_values().map(|mut amounts| {
        amounts.sort_by(|a, b| b.total_cmp(a));
        amounts.iter().take(jobs).sum::<f64>()
    });
    totals.fold(0.0, f64::max)
}

/// What becomes of it if there is not enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shortage {
    /// A call is refused.
    Fails,
    /// Something else is tried, or it is waited.
    GoesOn,
}

/// The check of a quota.
fn check(
    region: &RegionName,
    asked: impl Into<String>,
    (limit, used, needed): (f64, f64, f64),
    shortage: Shortage,
    next: impl FnOnce() -> String,
) -> Check {
    let fits = used + needed <= limit;
    let answer = match (fits, shortage) {
        (true, _) => Answer::Allowed,
        (false, Shortage::Fails) => Answer::Denied,
        (false, Shortage::GoesOn) => Answer::Warning,
    };
    let detail = format!("{needed} more at once, {used} of {limit} used");
    let check = Check {
        quantity: Quantity {
            limit: Some(limit),
            used: Some(used),
            needed: Some(needed),
        },
        ..Check::new(Kind::Quota, Some(region), asked, answer, detail)
    };
    if fits { check } else { check.with_next(next()) }
}

fn not_known(region: &RegionName, asked: impl Into<String>, why: impl Into<String>) -> Check {
    Check::new(Kind::Quota, Some(region), asked, Answer::Unknown, why)
}

fn more_of(code: Code, region: &RegionName) -> String {
    format!(
        "build fewer at once (`--jobs`), or `aws service-quotas request-service-quota-increase --region {region} \
         --service-code {} --quota-code {} --desired-value N`",
        code.service, code.code
    )
}

/// The quota's value; none if Service Quotas has no such one.
async fn limit(region: &dyn Region, code: Code) -> Result<Option<f64>, CloudError> {
    let quota = region.quota(code.service, code.code).await?;
    Ok(quota.map(|quota| quota.value))
}

/// A quota whose use is counted by a call. What does not fit into it waits for its turn, if the quota is `enough` for
/// one.
async fn counted(
    region: &dyn Region,
    code: Code,
    usual: Option<f64>,
    used: Result<usize, CloudError>,
    (needed, enough): (f64, f64),
) -> Check {
    let limit = match limit(region, code).await {
        Ok(limit) => limit.or(usual),
        Err(error) => return not_known(region.name(), code.name, error.to_string()),
    };
    match (limit, used) {
        (None, _) => not_known(region.name(), code.name, "Service Quotas has no such quota"),
        (_, Err(error)) => not_known(region.name(), code.name, error.to_string()),
        (Some(limit), Ok(used)) => {
            let used = u32::try_from(used).map_or(f64::MAX, f64::from);
            let amounts = (limit, used, needed);
            let shortage = if enough <= limit {
                Shortage::GoesOn
            } else {
                Shortage::Fails
            };
            check(region.name(), code.name, amounts, shortage, || {
                more_of(code, region.name())
            })
        }
    }
}

/// Virtual processors, by family and by how they are paid for.
async fn machines(region: &dyn Region, loads: &[Load<'_>], jobs: usize) -> Vec<Check> {
    let here: Vec<(usize, &CellSpec)> = loads
        .iter()
        .filter(|load| load.region == region.name())
        .filter_map(|load| Some((load.level, load.seen.work.build()?)))
        .collect();
    if here.is_empty() {
        return Vec::new();
    }
    let states = ["pending", "running"].map(str::to_owned).to_vec();
    let filter = InstanceFilter {
        filters: vec![(String::from("instance-state-name"), states)],
        ..InstanceFilter::default()
    };
    let running = region.instances(&filter).await;
    let wanted = here
        .iter()
        .flat_map(|(_, spec)| spec.launch.machines.iter());
    let there = running
        .iter()
        .flatten()
        .map(|instance| &instance.instance_type);
    let names: BTreeSet<String> = wanted.chain(there).cloned().collect();
    let names: Vec<String> = names.into_iter().collect();
    let asked = "virtual processors of instances";
    let (running, types) = match (running, region.instance_types(&names).await) {
        (Ok(running), Ok(types)) => (running, types),
        (Err(error), _) | (_, Err(error)) => {
            return vec![not_known(region.name(), asked, error.to_string())];
        }
    };
    let vcpus = |name: &str| {
        let found = types.iter().find(|one| one.name == name);
        found.map_or(0.0, |one| f64::from(one.vcpus))
    };
    let mut checks = Vec::new();
    let mut quotas: BTreeMap<(&str, &str), Vec<(Amount, Shortage)>> = BTreeMap::new();
    for (level, spec) in &here {
        let mut ways = candidates::machines(&spec.launch);
        let Some((machine, purchase)) = ways.next() else {
            continue;
        };
        let Some(quota) = processors(machine, purchase) else {
            checks.push(not_known(
                region.name(),
                machine,
                "which quota its family has is not known here",
            ));
            continue;
        };
        let elsewhere = ways.any(|(other, paid)| processors(other, paid) != Some(quota));
        let shortage = if elsewhere {
            Shortage::GoesOn
        } else {
            Shortage::Fails
        };
        let amounts = quotas.entry(quota).or_default();
        amounts.push(((*level, vcpus(machine)), shortage));
    }
    for ((quota, family), amounts) in quotas {
        let spot =
            FAMILIES.iter().any(|(_, _, spot, _)| *spot == Some(quota)) || quota == "L-34B43A08";
        let paid = if spot { "spot" } else { "on-demand" };
        let asked = format!("vCPUs of {paid} {family} instances");
        let quota = code("ec2", quota, "");
        let used = running.iter().filter(|one| {
            processors(&one.instance_type, one.purchase).is_some_and(|(of, _)| of == quota.code)
        });
        let used = used.map(|one| vcpus(&one.instance_type)).sum();
        let needed = at_once(amounts.iter().map(|(amount, _)| *amount), jobs);
        let goes_on = amounts.iter().all(|(_, one)| *one == Shortage::GoesOn);
        let shortage = if goes_on {
            Shortage::GoesOn
        } else {
            Shortage::Fails
        };
        checks.push(match limit(region, quota).await {
            Ok(Some(limit)) => check(
                region.name(),
                asked,
                (limit, used, needed),
                shortage,
                || more_of(quota, region.name()),
            ),
            Ok(None) => not_known(region.name(), asked, "Service Quotas has no such quota"),
            Err(error) => not_known(region.name(), asked, error.to_string()),
        });
    }
    checks
}

/// Free addresses of the subnets.
fn subnets(sight: &Sight<'_>, region: &RegionName, loads: &[Load<'_>], jobs: usize) -> Vec<Check> {
    // By what they are called and how much is free.
    let mut places: BTreeMap<Vec<(String, u32)>, Vec<Amount>> = BTreeMap::new();
    for load in loads.iter().filter(|load| load.region == region) {
        let Some(Some(looked)) = sight.sites.get(load.at) else {
            continue;
        };
        let subnets = looked.site.subnets.iter();
        let mut free: Vec<(String, u32)> = subnets
            .map(|subnet| (subnet.subnet_id.to_string(), subnet.free_addresses))
            .collect();
        free.sort();
        places.entry(free).or_default().push((load.level, 1.0));
    }
    let of_place = |subnets: &[(String, u32)], amounts: &[Amount]| {
        let free: u32 = subnets.iter().map(|(_, free)| *free).sum();
        let names: Vec<&str> = subnets.iter().map(|(name, _)| name.as_str()).collect();
        check(
            region,
            format!("free addresses of {}", names.join(", ")),
            (f64::from(free), 0.0, at_once(amounts.iter().copied(), jobs)),
            Shortage::Fails,
            || String::from("name a larger subnet, or build fewer at once (`--jobs`)"),
        )
    };
    let places = places.iter();
    places
        .map(|(subnets, amounts)| of_place(subnets, amounts))
        .collect()
}

/// Elastic IPs: those of the pipeline, as qib allocates none.
async fn addresses(region: &dyn Region, loads: &[Load<'_>], jobs: usize) -> Vec<Check> {
    let mut choices: Vec<(&AddressChoice, Vec<Amount>)> = Vec::new();
    for load in loads.iter().filter(|load| load.region == region.name()) {
        let Some(AddressSpec::Elastic { choice, .. }) =
            load.seen.work.build().map(|spec| &spec.connect.address)
        else {
            continue;
        };
        match choices.iter_mut().find(|(known, _)| *known == choice) {
            Some((_, amounts)) => amounts.push((load.level, 1.0)),
            None => choices.push((choice, vec![(load.level, 1.0)])),
        }
    }
    let asked = choices.into_iter().map(|(choice, amounts)| async move {
        let asked = match choice {
            AddressChoice::One(id) => format!("the Elastic IP {id}"),
            AddressChoice::Pool(tags) => {
                let tags: Vec<String> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("Elastic IPs with {}", tags.join(", "))
            }
        };
        // None at all keeps the cell from being built, and is said there.
        let members = members(region, choice).await.ok()?;
        let bound = members.iter().filter(|one| one.binding.is_some()).count();
        let count = |n: usize| u32::try_from(n).map_or(f64::MAX, f64::from);
        let amounts = (
            count(members.len()),
            count(bound),
            at_once(amounts.into_iter(), jobs),
        );
        Some(check(
            region.name(),
            asked,
            amounts,
            Shortage::GoesOn,
            || {
                String::from(
                    "cells wait for an address in line; more addresses, and they do not wait",
                )
            },
        ))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Groups that are made.
async fn groups(region: &dyn Region, loads: &[Load<'_>], jobs: usize) -> Option<Check> {
    let here = loads.iter().filter(|load| load.region == region.name());
    let making = here.filter(|load| {
        let spec = load.seen.work.build();
        spec.is_some_and(|spec| spec.launch.security_groups.is_empty())
    });
    let needed = at_once(making.map(|load| (load.level, 1.0)), jobs);
    if needed == 0.0 {
        return None;
    }
    let used = region.security_groups(&[]).await.map(|groups| groups.len());
    Some(counted(region, GROUPS, None, used, (needed, f64::INFINITY)).await)
}

/// Copies of snapshots to the region.
async fn copies(
    sight: &Sight<'_>,
    region: &dyn Region,
    loads: &[Load<'_>],
    jobs: usize,
) -> Option<Check> {
    let to_here: Vec<Amount> = loads
        .iter()
        .filter_map(|load| {
            let chosen = &sight.selection.cells[load.at];
            let is_copied = load.region != region.name()
                && image_regions(chosen.cell, &chosen.region).contains(region.name());
            let is_copy = load.region == region.name() && chosen.cell.is_copy();
            if !is_copied && !is_copy {
                return None;
            }
            // An image has as many snapshots as its source, and those of volumes that it adds.
            let source = load.seen.source.as_ref();
            let snapshots = source.map_or(1, |image| image.snapshots.len()).max(1);
            Some((
                load.level,
                u32::try_from(snapshots).map_or(f64::MAX, f64::from),
            ))
        })
        .collect();
    // A copy for which there is no room waits for its turn; there must be one.
    let one = to_here.iter().map(|(_, one)| *one).fold(0.0, f64::max);
    let needed = at_once(to_here.into_iter(), jobs);
    if needed == 0.0 {
        return None;
    }
    // Those that are under way, however they were begun.
    let pending = [(String::from("status"), vec![String::from("pending")])];
    let used = region.snapshots(&pending).await.map(|found| found.len());
    Some(counted(region, COPIES, Some(USUAL_COPIES), used, (needed, one)).await)
}

/// Images that everyone may launch.
async fn public_images(
    sight: &Sight<'_>,
    region: &dyn Region,
    loads: &[Load<'_>],
) -> Option<Check> {
    let public = loads.iter().filter(|load| {
        let chosen = &sight.selection.cells[load.at];
        chosen.cell.image.share.public.value
            && image_regions(chosen.cell, &chosen.region).contains(region.name())
    });
    // They stay, so that it does not matter which are made at once.
    let needed = u32::try_from(public.count()).map_or(f64::MAX, f64::from);
    if needed == 0.0 {
        return None;
    }
    let filter = ImageFilter {
        owners: vec![String::from("self")],
        filters: vec![(String::from("is-public"), vec![String::from("true")])],
        ..ImageFilter::default()
    };
    let used = region.images(&filter).await.map(|found| found.len());
    Some(counted(region, PUBLIC_IMAGES, None, used, (needed, f64::INFINITY)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_count_in_their_own_quotas() {
        for (machine, purchase, expected) in [
            ("m5.large", Purchase::OnDemand, Some("L-1216C47A")),
            ("is4gen.large", Purchase::OnDemand, Some("L-1216C47A")),
            ("t3.micro", Purchase::Spot, Some("L-34B43A08")),
            ("g5.xlarge", Purchase::OnDemand, Some("L-DB2E81BA")),
            ("vt1.3xlarge", Purchase::Spot, Some("L-3819A6DF")),
            ("u-6tb1.metal", Purchase::OnDemand, Some("L-43DA4232")),
            ("hpc6a.48xlarge", Purchase::Spot, None),
            ("mac1.metal", Purchase::OnDemand, None),
        ] {
            let quota = processors(machine, purchase).map(|(code, _)| code);
            assert_eq!(quota, expected, "{machine} {purchase:?}");
        }
    }

    #[test]
    fn what_is_needed_at_once_is_the_largest_level_with_as_many_as_run() {
        let amounts = [(0, 2.0), (0, 8.0), (0, 4.0), (1, 9.0), (1, 1.0)];
        assert_eq!(at_once(amounts.into_iter(), 8), 14.0);
        assert_eq!(at_once(amounts.into_iter(), 2), 12.0);
        assert_eq!(at_once(amounts.into_iter(), 1), 9.0);
        assert_eq!(at_once([].into_iter(), 1), 0.0);
    }

    #[test]
    fn a_shortage_fails_or_goes_on() {
        let region = RegionName::new("us-east-2");
        let of = |needed, shortage| {
            check(&region, "x", (8.0, 4.0, needed), shortage, || {
                String::from("do")
            })
            .answer
        };
        assert_eq!(of(4.0, Shortage::Fails), Answer::Allowed);
        assert_eq!(of(5.0, Shortage::Fails), Answer::Denied);
        assert_eq!(of(5.0, Shortage::GoesOn), Answer::Warning);
    }
}

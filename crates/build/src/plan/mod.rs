//! What a run would do, without doing it: sources, cache hits and misses with the reason, names, addresses, and what it
//! can cost at most.
//!
//! ```text
//!   selection ─▶ regions that are closed ─▶ survey: sources, caches ─▶ names, addresses, subnets ─▶ rows
//!                                             every region at once, each by as few calls as it takes
//! ```

pub mod cache;
pub mod names;
mod publication;
pub mod regions;
mod row;
pub mod source;
pub mod survey;

pub use row::PlanRow;

use crate::failure::StepError;
use crate::options::RunOptions;
use crate::ports::Ports;
use crate::run::PLANNED_RUN;
use crate::selection::{Selection, image_regions};
use crate::spec::{AddressChoice, OnConflict, SubnetSpec};
use crate::steps::candidates::find_subnets;
use crate::steps::members;
use cloud::{Account, Address, RegionName};
use futures::future::join_all;
use names::{Target, clashes, taken};
use pipeline::model::{Cache, Pipeline};
use std::collections::BTreeMap;
use survey::{Survey, Surveyed};

/// A plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The account.
    pub account: String,
    /// Who the credentials belong to.
    pub identity: String,
    /// The region of cells without one of their own.
    pub region: String,
    /// One row for each cell, in the order they would be built.
    pub rows: Vec<PlanRow>,
}

impl Plan {
    /// For how many hours instances can run together at the most, by region; regions where none would are left out.
    pub fn instance_hours(&self) -> BTreeMap<String, f64> {
        let mut hours = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.instances > 0) {
            *hours.entry(row.region.clone()).or_default() += row.instance_hours;
        }
        hours
    }

    /// The cells that cannot be built.
    pub fn blocked(&self) -> impl Iterator<Item = &PlanRow> {
        self.rows.iter().filter(|row| row.action == "blocked")
    }
}

/// What running `pipeline` would do now.
///
/// # Errors
/// If the cells cannot be chosen so, or the account cannot be asked at all. What keeps one cell from being built is in its
/// row.
pub async fn plan(
    pipeline: &Pipeline,
    options: &RunOptions,
    ports: &Ports,
) -> Result<Plan, StepError> {
    let selection = Selection::choose(pipeline, &options.region, &options.cells.choice)?;
    let identity = ports.account.caller_identity().await?;
    let account = ports.account.as_ref();
    let closed = regions::closed(account, &options.region, &selection.regions()).await;
    let survey = Survey {
        account,
        identity: &identity,
        options,
        run: PLANNED_RUN,
        now: ports.clock.now(),
    };
    let surveyed = survey.look(&selection, &closed).await;
    let mut rows: Vec<PlanRow> = Vec::new();
    for (chosen, seen) in selection.cells.iter().zip(&surveyed) {
        let mut row = PlanRow::new(chosen, options);
        let maker = chosen.source.map(|source| {
            let maker = &selection.cells[source];
            // Of a stage without a matrix there is but one cell.
            match maker.cell.name {
                None => format!("stage {}", maker.name.stage),
                Some(_) => maker.name.to_string(),
            }
        });
        row.fill(seen, maker, options);
        rows.push(row);
    }
    let named = name_problems(account, &selection, &surveyed, options, &mut rows);
    let placed = Network::look(account, &surveyed);
    let ((), network) = futures::join!(named, placed);
    publication::parameters(account, &surveyed, &mut rows).await;
    for (row, seen) in rows.iter_mut().zip(&surveyed) {
        network.fill(row, seen);
    }
    warn_of_twins(&selection, &surveyed, &mut rows);
    Ok(Plan {
        account: identity.account.to_string(),
        identity: identity.arn,
        region: options.region.to_string(),
        rows,
    })
}

/// The names that the images of cells that would be built will have, as far as they are known.
pub(crate) fn targets(
    selection: &Selection<'_>,
    surveyed: &[Surveyed],
    default: &RegionName,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for (chosen, seen) in selection.cells.iter().zip(surveyed) {
        let Ok(seen) = seen else { continue };
        let Some(name) = seen.image_name.as_ref().filter(|_| seen.builds()) else {
            continue;
        };
        for region in image_regions(chosen.cell, default) {
            targets.push(Target {
                cell: chosen.name.clone(),
                region,
                name: name.clone(),
            });
        }
    }
    targets
}

async fn name_problems(
    account: &dyn Account,
    selection: &Selection<'_>,
    surveyed: &[Surveyed],
    options: &RunOptions,
    rows: &mut [PlanRow],
) {
    let targets = targets(selection, surveyed, &options.region);
    let of = |rows: &mut [PlanRow], cell: &crate::names::CellName, act: &dyn Fn(&mut PlanRow)| {
        rows.iter_mut()
            .filter(|row| row.stage == cell.stage && row.cell == cell.cell)
            .for_each(act);
    };
    for clash in clashes(&targets) {
        of(rows, &clash.second.clone(), &|row| {
            row.warnings.push(format!(
                "its image would have the name of that of {} in {}: `{}`",
                clash.first, clash.region, clash.name
            ));
        });
    }
    let on_conflict = |cell: &crate::names::CellName| {
        surveyed
            .iter()
            .flatten()
            .find(|seen| seen.spec.cell == *cell)
            .map_or(OnConflict::Fail, |seen| seen.spec.image.on_conflict)
    };
    for taken in taken(account, &targets).await {
        let warning = publication::warning(&taken, on_conflict(&taken.target.cell));
        of(rows, &taken.target.cell, &|row| {
            row.name_taken_by = Some(taken.by.image_id.to_string());
            row.warnings.push(warning.clone());
        });
    }
}

/// What is asked once for each region and choice, however many cells have it.
struct Network {
    addresses: Vec<((RegionName, AddressChoice), Result<Vec<Address>, StepError>)>,
    subnets: Vec<((RegionName, Vec<SubnetSpec>), Result<(), StepError>)>,
}

impl Network {
    async fn look(account: &dyn Account, surveyed: &[Surveyed]) -> Self {
        let mut choices: Vec<(RegionName, AddressChoice)> = Vec::new();
        let mut places: Vec<(RegionName, Vec<SubnetSpec>)> = Vec::new();
        for seen in surveyed.iter().flatten() {
            let region = &seen.spec.region;
            if let Some(choice) = row::addresses_of(&seen.spec) {
                let asked = (region.clone(), choice.clone());
                if !choices.contains(&asked) {
                    choices.push(asked);
                }
            }
            // One subnet alone cannot be in several VPCs.
            if seen.spec.launch.subnets.len() > 1 {
                let asked = (region.clone(), seen.spec.launch.subnets.clone());
                if !places.contains(&asked) {
                    places.push(asked);
                }
            }
        }
        let addresses = join_all(choices.iter().map(|(region, choice)| async move {
            let region = account.region(region);
            members(region.as_ref(), choice).await
        }));
        let subnets = join_all(places.iter().map(|(region, subnets)| async move {
            let region = account.region(region);
            find_subnets(region.as_ref(), subnets).await.map(drop)
        }));
        let (addresses, subnets) = futures::join!(addresses, subnets);
        Self {
            addresses: choices.into_iter().zip(addresses).collect(),
            subnets: places.into_iter().zip(subnets).collect(),
        }
    }

    fn fill(&self, row: &mut PlanRow, seen: &Surveyed) {
        let Ok(seen) = seen else { return };
        let region = &seen.spec.region;
        if let Some(choice) = row::addresses_of(&seen.spec) {
            let found = self
                .addresses
                .iter()
                .find(|((of, asked), _)| of == region && asked == choice);
            match found {
                Some((_, Ok(addresses))) => row.set_addresses(choice, addresses),
                Some((_, Err(error))) => row.block(error),
                None => {}
            }
        }
        let subnets = &seen.spec.launch.subnets;
        let found = self
            .subnets
            .iter()
            .find(|((of, asked), _)| of == region && asked == subnets);
        if let Some((_, Err(error))) = found {
            row.block(error);
        }
    }
}

/// Cells of a region with the same inputs come to one image: the first one's, under its name.
fn warn_of_twins(selection: &Selection<'_>, surveyed: &[Surveyed], rows: &mut [PlanRow]) {
    let mut firsts: BTreeMap<(RegionName, String), String> = BTreeMap::new();
    for ((chosen, seen), row) in selection.cells.iter().zip(surveyed).zip(rows) {
        let Ok(seen) = seen else { continue };
        if chosen.cell.cache == Cache::Off || !seen.builds() {
            continue;
        }
        let Some(identified) = &seen.identified else {
            continue;
        };
        let key = (chosen.region.clone(), identified.key.as_str().to_owned());
        match firsts.get(&key) {
            Some(first) => row.warnings.push(format!(
                "it has the same inputs as {first}, so that the image of {first} is used for it"
            )),
            None => {
                firsts.insert(key, chosen.name.to_string());
            }
        }
    }
}

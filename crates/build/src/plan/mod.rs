//! What a run would do, without doing it: sources, cache hits and misses with the reason, names, addresses, and what it
//! can cost at most.
//!
//! ```text
//!   selection ─▶ regions that are closed ─▶ survey: sources, caches ─▶ names, addresses, subnets ─▶ rows
//!                                             every region at once, each by as few calls as it takes
//! ```

pub mod cache;
mod made_files;
pub mod names;
mod publication;
pub mod regions;
mod row;
pub mod source;
pub mod survey;

pub use row::PlanRow;

use crate::failure::StepError;
use crate::names::CellName;
use crate::options::RunOptions;
use crate::ports::Ports;
use crate::run::PLANNED_RUN;
use crate::selection::{Selection, image_regions};
use crate::spec::{AddressChoice, LaunchSpec, OnConflict};
use crate::steps::members;
use crate::steps::site::{self, Looked, same_question};
use cache::CacheState;
use cloud::{Account, Address, CallerIdentity, CloudError, RegionName};
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
    Ok(look(pipeline, options, ports).await?.plan)
}

/// A plan, and what it was made of.
pub(crate) struct Sight<'p> {
    /// The plan.
    pub plan: Plan,
    /// Its cells, one for each row.
    pub selection: Selection<'p>,
    /// Whose credentials they are.
    pub identity: CallerIdentity,
    /// The regions that cannot be worked in, and why.
    pub closed: BTreeMap<RegionName, CloudError>,
    /// What was seen for each cell.
    pub surveyed: Vec<Surveyed>,
    /// Where each cell's instance may go; none where none is launched, or that could not be told.
    pub sites: Vec<Option<Looked>>,
}

/// The same with what it was made of.
pub(crate) async fn look<'p>(
    pipeline: &'p Pipeline,
    options: &RunOptions,
    ports: &Ports,
) -> Result<Sight<'p>, StepError> {
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
        images: ports.host.disk_images.as_ref(),
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
        if let Ok(Some(CacheState::Hit(image))) = seen.as_ref().map(|seen| &seen.cache) {
            row.warnings
                .extend(cache::named_otherwise(chosen.cell, image));
        }
        row.warnings
            .extend(made_files::made_anew(pipeline, chosen.cell, options.venue));
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
    let sites = surveyed.iter().map(|seen| network.site(seen)).collect();
    drop(network);
    Ok(Sight {
        plan: Plan {
            account: identity.account.to_string(),
            identity: identity.arn.clone(),
            region: options.region.to_string(),
            rows,
        },
        selection,
        identity,
        closed,
        surveyed,
        sites,
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
        let Some(name) = seen.image_name.as_ref().filter(|_| seen.makes()) else {
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
            .find(|seen| seen.work.cell() == cell)
            .map_or(OnConflict::Fail, |seen| seen.work.publishes().1.on_conflict)
    };
    for taken in taken(account, &targets).await {
        let warning = publication::warning(&taken, on_conflict(&taken.target.cell));
        of(rows, &taken.target.cell, &|row| {
            row.name_taken_by = Some(taken.by.image_id.to_string());
            row.warnings.push(warning.clone());
        });
    }
}

/// What is asked once for each region and question, however many cells have it.
struct Network<'s> {
    addresses: Vec<Answered<'s, AddressChoice, Vec<Address>>>,
    sites: Vec<Answered<'s, LaunchSpec, Looked>>,
}

/// A question to a region, and what it said.
type Answered<'s, Q, A> = (Asked<'s, Q>, Result<A, StepError>);

/// A question to a region.
struct Asked<'s, T> {
    region: &'s RegionName,
    question: &'s T,
}

/// Notes a question unless it was noted before.
fn ask<'s, T>(
    asked: &mut Vec<Asked<'s, T>>,
    region: &'s RegionName,
    question: &'s T,
    same: impl Fn(&T, &T) -> bool,
) {
    let known = asked
        .iter()
        .any(|one| one.region == region && same(one.question, question));
    if !known {
        asked.push(Asked { region, question });
    }
}

/// The answer to a question.
fn answer<'a, T, A>(
    answers: &'a [(Asked<'_, T>, A)],
    region: &RegionName,
    question: &T,
    same: impl Fn(&T, &T) -> bool,
) -> Option<&'a A> {
    answers
        .iter()
        .find(|(one, _)| one.region == region && same(one.question, question))
        .map(|(_, answer)| answer)
}

impl<'s> Network<'s> {
    async fn look(account: &dyn Account, surveyed: &'s [Surveyed]) -> Self {
        let mut choices: Vec<Asked<'s, AddressChoice>> = Vec::new();
        let mut launches: Vec<Asked<'s, LaunchSpec>> = Vec::new();
        for seen in surveyed.iter().flatten() {
            let Some(spec) = seen.work.build() else {
                continue;
            };
            if let Some(choice) = row::addresses_of(spec) {
                ask(&mut choices, &spec.region, choice, |a, b| a == b);
            }
            if seen.makes() {
                ask(&mut launches, &spec.region, &spec.launch, same_question);
            }
        }
        let addresses = join_all(choices.iter().map(|asked| async {
            let region = account.region(asked.region);
            members(region.as_ref(), asked.question).await
        }));
        let sites = join_all(launches.iter().map(|asked| async {
            let region = account.region(asked.region);
            site::look(region.as_ref(), asked.question).await
        }));
        let (addresses, sites) = futures::join!(addresses, sites);
        Self {
            addresses: choices.into_iter().zip(addresses).collect(),
            sites: launches.into_iter().zip(sites).collect(),
        }
    }

    /// Where the cell's instance may go, if one is launched and that is known.
    fn site(&self, seen: &Surveyed) -> Option<Looked> {
        let seen = seen.as_ref().ok().filter(|seen| seen.makes())?;
        let spec = seen.work.build()?;
        let answer = answer(&self.sites, &spec.region, &spec.launch, same_question)?;
        answer.as_ref().ok().cloned()
    }

    fn fill(&self, row: &mut PlanRow, seen: &Surveyed) {
        let Ok(seen) = seen else { return };
        let Some(spec) = seen.work.build() else {
            return;
        };
        if let Some(choice) = row::addresses_of(spec) {
            match answer(&self.addresses, &spec.region, choice, |a, b| a == b) {
                Some(Ok(addresses)) => row.set_addresses(choice, addresses),
                Some(Err(error)) => row.block(error),
                None => {}
            }
        }
        if !seen.makes() {
            return;
        }
        match answer(&self.sites, &spec.region, &spec.launch, same_question) {
            Some(Ok(looked)) => {
                row.warnings.extend(looked.site.unknown.iter().cloned());
                if let Some(source) = &seen.source
                    && let Err(error) = looked.fits(&spec.launch, source)
                {
                    row.block(&error.into());
                }
            }
            Some(Err(error)) => row.block(error),
            None => {}
        }
    }
}

/// Stages with the same inputs come to one image in a region: the first one's, under its name.
fn warn_of_twins(selection: &Selection<'_>, surveyed: &[Surveyed], rows: &mut [PlanRow]) {
    let mut firsts: BTreeMap<(RegionName, String), &CellName> = BTreeMap::new();
    for ((chosen, seen), row) in selection.cells.iter().zip(surveyed).zip(rows) {
        let Ok(seen) = seen else { continue };
        if chosen.cell.cache == Cache::Off || !seen.makes() {
            continue;
        }
        let Some(identified) = &seen.identified else {
            continue;
        };
        let key = (chosen.region.clone(), identified.key.as_str().to_owned());
        match firsts.get(&key) {
            // Each cell of a stage has an image of its own.
            Some(first) if first.stage == chosen.name.stage => {}
            Some(first) => row.warnings.push(format!(
                "it has the same inputs as {first}, so that the image of {first} is used for it"
            )),
            None => {
                firsts.insert(key, &chosen.name);
            }
        }
    }
}

//! What a run would do, without doing it: sources, cache hits and misses with the reason, names, addresses.

pub mod cache;
pub mod source;

use crate::failure::StepError;
use crate::lifetime;
use crate::options::{RunOptions, Venue};
use crate::ports::Ports;
use crate::run::{cell_name, cell_spec_for, copy_spec_for, plan_facts};
use crate::spec::{AddressChoice, AddressSpec, CellSpec, CopySpec, FallBack, PurchaseSpec};
use crate::steps::members;
use crate::steps::site::survey;
use cache::{CacheState, identify, look_up};
use cloud::{Address, CallerIdentity, Image, Region};
use pipeline::model::{Cell, Pipeline, Presence, Source, TimeSpan};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// A plan.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The account.
    pub account: String,
    /// Who the credentials belong to.
    pub identity: String,
    /// The region.
    pub region: String,
    /// One row for each cell, in the order they would be built.
    pub rows: Vec<PlanRow>,
}

/// What a run would do about one cell, as a flat object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanRow {
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// Where.
    pub region: String,
    /// `reuse`, `wait` (another run is making it) or `build`.
    pub action: String,
    /// Why.
    pub reason: String,
    /// The image that would be reused or waited for.
    pub image_id: Option<String>,
    /// The name of the image that is reused, or the one that would be made.
    pub image_name: String,
    /// What it starts from; none if that has to be built first.
    pub source_image: Option<String>,
    /// That image's name, or the stage that makes it.
    pub source_name: String,
    /// The instance type that is tried first.
    pub instance_type: String,
    /// All instance types, in the order they are tried.
    pub instance_types: Vec<String>,
    /// The subnets, in the order they are tried.
    pub subnets: Vec<String>,
    /// `on-demand`, `spot`, or `spot, else on-demand`.
    pub purchase: String,
    /// The most to pay for a spot instance, in US dollars per hour; none for the on-demand price.
    pub spot_max_price: Option<String>,
    /// After how long the instance terminates itself, as the pipeline has it: `4h`.
    pub max_lifetime: String,
    /// What a person should look at before running it.
    pub warnings: Vec<String>,
    /// The Elastic IP, if it uses one: `eipalloc-… (address)`, or `pool KEY=VALUE`.
    pub address: Option<String>,
    /// `free`, or what it is bound to; of a pool, how many are free: `2 of 3 free`.
    pub address_state: Option<String>,
    /// Provisioners that the rehearsal would skip.
    pub skipped: Vec<String>,
    /// Accounts that the image is shared with.
    pub share: Vec<String>,
}

/// What running `pipeline` would do now.
pub async fn plan(
    pipeline: &Pipeline,
    options: &RunOptions,
    ports: &Ports,
) -> Result<Plan, StepError> {
    let identity = ports.account.caller_identity().await?;
    let region = ports.account.region(&options.region);
    let mut known: HashMap<String, Option<Image>> = HashMap::new();
    let mut rows = Vec::new();
    for ordered in pipeline::cell_order(pipeline) {
        let stage = ordered.cell;
        let (mut row, image) =
            plan_stage(stage, options, ports, region.as_ref(), &identity, &known).await?;
        row.warnings
            .extend(made_anew(pipeline, stage, options.venue));
        known.insert(stage.stage.to_string(), image);
        rows.push(row);
    }
    Ok(Plan {
        account: identity.account.to_string(),
        identity: identity.arn,
        region: options.region.to_string(),
        rows,
    })
}

async fn plan_stage(
    stage: &Cell,
    options: &RunOptions,
    ports: &Ports,
    region: &dyn Region,
    identity: &CallerIdentity,
    known: &HashMap<String, Option<Image>>,
) -> Result<(PlanRow, Option<Image>), StepError> {
    let source = match &stage.source.value {
        Source::Stage(name) => known.get(name.as_str()).cloned().flatten(),
        other => Some(source::find_source(region, other, ports.clock.now()).await?),
    };
    let cell = cell_name(stage, &options.region);
    let facts = plan_facts(ports.clock.now(), identity, options, stage, source.as_ref());
    let spec = if stage.is_copy() {
        None
    } else {
        Some(cell_spec_for(&cell, &options.region, stage, &facts)?)
    };
    let mut row = match &spec {
        Some(spec) => first_row(spec, options),
        None => row_of_copy(&copy_spec_for(&cell, &options.region, stage, &facts)?),
    };
    match spec.as_ref().map(|spec| &spec.connect.address) {
        Some(AddressSpec::Elastic { choice, .. }) => {
            let addresses = members(region, choice).await?;
            row.address = Some(match choice {
                AddressChoice::One(allocation) => {
                    let ips = addresses
                        .iter()
                        .map(|address| address.public_ip.to_string());
                    format!("{allocation} ({})", ips.collect::<Vec<_>>().join(", "))
                }
                AddressChoice::Pool(tags) => {
                    let tags = tags.iter().map(|(key, value)| format!("{key}={value}"));
                    format!("pool {}", tags.collect::<Vec<_>>().join(" "))
                }
            });
            row.address_state = Some(address_state(choice, &addresses));
        }
        Some(AddressSpec::Public | AddressSpec::Private | AddressSpec::Ipv6) | None => {}
    }
    let Some(source) = source else {
        if let Some(spec) = &spec {
            row.warnings
                .extend(survey(region, &spec.launch, None).await?.unknown);
        }
        row.action = String::from("build");
        if let Source::Stage(name) = &stage.source.value {
            row.source_name = format!("stage {name}");
            row.reason = format!("its source, stage {name}, is built first");
        }
        return Ok((row, None));
    };
    row.source_image = Some(source.image_id.to_string());
    row.source_name = source.name.clone();
    if let Some(missing) = to_be_made(stage, options.venue) {
        row.action = String::from("build");
        row.reason = missing;
        return Ok((row, None));
    }
    let identified = identify(stage, &source.image_id, options.venue)?;
    let image = match look_up(region, ports.clock.as_ref(), stage, &identified, options).await? {
        CacheState::Hit(image) => {
            row.action = String::from("reuse");
            row.reason = String::from("same inputs");
            row.image_id = Some(image.image_id.to_string());
            row.image_name.clone_from(&image.name);
            Some(image)
        }
        CacheState::Pending(image) => {
            row.action = String::from("wait");
            row.reason = String::from("another run is making it");
            row.image_id = Some(image.image_id.to_string());
            row.image_name.clone_from(&image.name);
            Some(image)
        }
        CacheState::Miss(reason) => {
            row.action = String::from("build");
            row.reason = reason;
            if let Some(spec) = &spec {
                let site = survey(region, &spec.launch, Some(&source)).await?;
                row.warnings.extend(site.unknown);
            }
            None
        }
    };
    Ok((row, image))
}

/// Why it cannot be told yet whether the cell's image is there: `preflight` makes files of it, and they are not there.
fn to_be_made(stage: &Cell, venue: Venue) -> Option<String> {
    let files: BTreeSet<&str> = stage
        .files(venue == Venue::Rehearsal)
        .into_iter()
        .filter(|file| file.presence == Presence::ToBeMade)
        .map(|file| file.written.as_str())
        .collect();
    let files = Vec::from_iter(files).join(", ");
    (!files.is_empty())
        .then(|| format!("{files} (made by preflight) is not there yet, and decides what is built"))
}

/// The files of the cell that `preflight` makes anew, and that are there from before.
fn made_anew(pipeline: &Pipeline, stage: &Cell, venue: Venue) -> Option<String> {
    let files: BTreeSet<&str> = stage
        .files(venue == Venue::Rehearsal)
        .into_iter()
        .filter(|file| file.presence == Presence::There)
        .filter(|file| pipeline.is_made_by_preflight(file.path()))
        .map(|file| file.written.as_str())
        .collect();
    let files = Vec::from_iter(files).join(", ");
    (!files.is_empty()).then(|| {
        format!("{files} (made by preflight) counts as it is now; a run makes it anew first")
    })
}

/// What the addresses to choose from are bound to.
fn address_state(choice: &AddressChoice, addresses: &[Address]) -> String {
    let bound: Vec<_> = addresses
        .iter()
        .filter_map(|address| address.binding.as_ref())
        .collect();
    match (choice, bound.first()) {
        (AddressChoice::Pool(_), _) => {
            let free = addresses.len() - bound.len();
            format!("{free} of {} free", addresses.len())
        }
        (AddressChoice::One(_), None) => String::from("free"),
        (AddressChoice::One(_), Some(binding)) => match &binding.instance_id {
            Some(id) => format!("bound to {id}"),
            None => String::from("bound to a network interface"),
        },
    }
}

fn row_of_copy(spec: &CopySpec) -> PlanRow {
    PlanRow {
        stage: spec.cell.stage.clone(),
        cell: spec.cell.cell.clone(),
        region: spec.region.to_string(),
        image_name: spec.image.name.clone(),
        share: spec
            .image
            .share_accounts
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..PlanRow::default()
    }
}

fn first_row(spec: &CellSpec, options: &RunOptions) -> PlanRow {
    let skipped = match options.venue {
        Venue::Aws => Vec::new(),
        Venue::Rehearsal => spec
            .provision
            .iter()
            .filter(|p| !p.needs.is_empty())
            .map(|p| p.name.clone())
            .collect(),
    };
    let (purchase, spot_max_price) = match &spec.launch.purchase {
        PurchaseSpec::OnDemand => ("on-demand", None),
        PurchaseSpec::Spot {
            max_price,
            fall_back: FallBack::None,
        } => ("spot", max_price.clone()),
        PurchaseSpec::Spot {
            max_price,
            fall_back: FallBack::OnDemand,
        } => ("spot, else on-demand", max_price.clone()),
    };
    PlanRow {
        stage: spec.cell.stage.clone(),
        cell: spec.cell.cell.clone(),
        region: spec.region.to_string(),
        image_name: spec.image.name.clone(),
        instance_type: spec.launch.machines.first().cloned().unwrap_or_default(),
        instance_types: spec.launch.machines.clone(),
        subnets: spec
            .launch
            .subnets
            .iter()
            .map(ToString::to_string)
            .collect(),
        purchase: purchase.to_owned(),
        spot_max_price,
        max_lifetime: TimeSpan::from_secs(spec.launch.max_lifetime.as_secs()).to_string(),
        warnings: lifetime::warnings(spec),
        skipped,
        share: spec
            .image
            .share_accounts
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..PlanRow::default()
    }
}

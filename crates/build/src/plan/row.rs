//! What a run would do about one cell, as a flat object.

use super::cache::CacheState;
use super::survey::{Seen, Surveyed, Work};
use crate::failure::StepError;
use crate::lifetime;
use crate::options::{RunOptions, Venue};
use crate::selection::{ChosenCell, Why, image_regions};
use crate::spec::{AddressChoice, AddressSpec, CellSpec, FallBack, ImageSpec, PurchaseSpec};
use cloud::Address;
use pipeline::model::TimeSpan;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a run would do about one cell, as a flat object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PlanRow {
    /// The stage.
    pub stage: String,
    /// The cell within it.
    pub cell: String,
    /// The value of each axis of its matrix.
    pub matrix: BTreeMap<String, String>,
    /// The cell that it is needed for, if it was not asked for itself.
    pub needed_by: Option<String>,
    /// Where.
    pub region: String,
    /// `reuse`, `wait` (another run is making it), `build`, or `blocked` (it cannot be built, see `reason`).
    pub action: String,
    /// Why.
    pub reason: String,
    /// The image that would be reused or waited for.
    pub image_id: Option<String>,
    /// The name of the image that is reused, or the one that would be made.
    pub image_name: String,
    /// The image that has that name already, where another would have to be made.
    pub name_taken_by: Option<String>,
    /// What it starts from; none if that has to be built first.
    pub source_image: Option<String>,
    /// That image's name, or the cell that makes it.
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
    /// How many instances would be launched.
    pub instances: u32,
    /// For how many hours they can run together at the most.
    pub instance_hours: f64,
    /// What a person should look at before running it.
    pub warnings: Vec<String>,
    /// The Elastic IP, if it uses one: `eipalloc-… (address)`, or `pool KEY=VALUE`.
    pub address: Option<String>,
    /// `free`, or what it is bound to; of a pool, how many are free: `2 of 3 free`.
    pub address_state: Option<String>,
    /// Provisioners that the rehearsal would skip.
    pub skipped: Vec<String>,
    /// Regions that the image is copied to.
    pub copies: Vec<String>,
    /// Who the image is shared with: accounts, organisations by ARN, `all`.
    pub share: Vec<String>,
    /// Whether the image has to pass a test.
    pub tested: bool,
    /// The SSM parameters that would name the image.
    pub parameters: Vec<String>,
    /// What they hold now and would hold then: `us-east-2 /images/base: ami-1 → (new image)`.
    pub parameter_changes: Vec<String>,
}

impl PlanRow {
    /// What is known of a cell before the account has been asked.
    pub(super) fn new(chosen: &ChosenCell<'_>, options: &RunOptions) -> Self {
        let copies = image_regions(chosen.cell, &options.region);
        Self {
            stage: chosen.name.stage.clone(),
            cell: chosen.name.cell.clone(),
            matrix: chosen.cell.matrix.clone(),
            needed_by: match &chosen.why {
                Why::Asked => None,
                Why::NeededBy(cell) => Some(cell.to_string()),
            },
            region: chosen.region.to_string(),
            copies: copies.iter().skip(1).map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// What was seen for the cell; `maker` is the cell that it starts from, in words.
    pub(super) fn fill(
        &mut self,
        surveyed: &Surveyed,
        maker: Option<String>,
        options: &RunOptions,
    ) {
        match surveyed {
            Ok(seen) => {
                match &seen.work {
                    Work::Build(spec) => self.describe(spec, options),
                    Work::Copy(spec) | Work::Import(spec) => self.describe_image(&spec.image),
                }
                self.decide(seen, maker);
            }
            Err(error) => self.block(error),
        }
    }

    /// The cell cannot be built.
    pub(super) fn block(&mut self, error: &StepError) {
        self.action = String::from("blocked");
        self.reason = error.to_string();
        (self.instances, self.instance_hours) = (0, 0.0);
    }

    fn describe(&mut self, spec: &CellSpec, options: &RunOptions) {
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
        self.describe_image(&spec.image);
        self.instance_type = spec.launch.machines.first().cloned().unwrap_or_default();
        self.instance_types.clone_from(&spec.launch.machines);
        self.subnets = spec
            .launch
            .subnets
            .iter()
            .map(ToString::to_string)
            .collect();
        self.purchase = purchase.to_owned();
        self.spot_max_price = spot_max_price;
        self.max_lifetime = TimeSpan::from_secs(spec.launch.max_lifetime.as_secs()).to_string();
        self.tested = spec.test.is_some();
        self.warnings.extend(lifetime::warnings(spec));
        self.skipped = match options.venue {
            Venue::Aws => Vec::new(),
            Venue::Rehearsal => {
                let checks = spec.test.iter().flat_map(|test| &test.checks);
                let of_stage = spec.provision.iter().map(|one| (one, ""));
                of_stage
                    .chain(checks.map(|check| (check, "test: ")))
                    .filter(|(provisioner, _)| !provisioner.needs.is_empty())
                    .map(|(provisioner, of)| format!("{of}{}", provisioner.name))
                    .collect()
            }
        };
    }

    fn describe_image(&mut self, image: &ImageSpec) {
        self.image_name.clone_from(&image.name);
        self.share = crate::steps::words(&image.share.image);
        self.parameters = image
            .parameters
            .iter()
            .map(|parameter| parameter.name.clone())
            .collect();
    }

    fn decide(&mut self, seen: &Seen, maker: Option<String>) {
        match (&seen.source, &maker) {
            (Some(source), _) => {
                self.source_image = Some(source.image_id.to_string());
                self.source_name.clone_from(&source.name);
            }
            (None, Some(maker)) => self.source_name.clone_from(maker),
            (None, None) => {}
        }
        let (action, reason) = match (&seen.cache, maker) {
            (Some(CacheState::Hit(image)), _) => {
                self.image_id = Some(image.image_id.to_string());
                self.image_name.clone_from(&image.name);
                ("reuse", String::from("same inputs"))
            }
            (Some(CacheState::Pending(image)), _) => {
                self.image_id = Some(image.image_id.to_string());
                self.image_name.clone_from(&image.name);
                ("wait", String::from("another run is making it"))
            }
            (Some(CacheState::Miss(reason)), _) => ("build", reason.clone()),
            (None, Some(maker)) => ("build", format!("its source, {maker}, is built first")),
            (None, None) => ("build", String::from("its source is built first")),
        };
        self.action = action.to_owned();
        self.reason = reason;
        if let Some(spec) = seen.work.build().filter(|_| seen.makes()) {
            // The instance that is captured. Candidates that are tried and not to be had are no instances.
            self.instances = 1;
            let mut lifetimes = spec.launch.max_lifetime;
            if let Some(test) = &spec.test {
                self.instances += 1;
                lifetimes += test.launch.max_lifetime;
            }
            self.instance_hours = lifetimes.as_secs_f64() / 3600.0;
        }
    }

    /// What the addresses to choose from are, and what they are bound to.
    pub(super) fn set_addresses(&mut self, choice: &AddressChoice, addresses: &[Address]) {
        self.address = Some(match choice {
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
        self.address_state = Some(address_state(choice, addresses));
    }
}

/// The Elastic IPs that a cell may be reached at, if it is one.
pub(super) fn addresses_of(spec: &CellSpec) -> Option<&AddressChoice> {
    match &spec.connect.address {
        AddressSpec::Elastic { choice, .. } => Some(choice),
        AddressSpec::Public | AddressSpec::Private | AddressSpec::Ipv6 => None,
    }
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

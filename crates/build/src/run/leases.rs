//! The run's own leases, one in each region that it works in, and the renewal of all its leases.
//!
//! A lease is the first thing that a run makes in a region and the last that it removes there: whatever is there of a run
//! without one was left behind. One for all regions would not do: who sweeps one region sees that region's.

use crate::event::Event;
use crate::failure::StepError;
use crate::journal::Effect;
use crate::lease::{DEAD_AFTER, LeaseKey, RENEW_EVERY, Renewal, run_lease};
use crate::names::CellName;
use crate::plan::regions::closed;
use crate::report::LeftResource;
use crate::selection::Selection;
use crate::spec::AddressChoice;
use crate::steps::{RunContext, members};
use cloud::{CloudError, ErrorKind, ParameterWrite, RegionName, Timestamp};
use futures::future::{join_all, try_join_all};
use pipeline::model::{Address, ElasticIpChoice};
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

/// How soon a renewal that failed is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// What stands in a run's lease, for people.
#[derive(Serialize)]
struct RunLease {
    run: String,
    pipeline: String,
    renewal: u64,
}

/// Regions in which the run can do nothing, and why.
pub(super) type Unusable = BTreeMap<RegionName, CloudError>;

/// Refuses pools without an address, and takes the run's lease in each region. Gives the regions in which it could not.
pub(super) async fn begin(
    context: &RunContext,
    selection: &Selection<'_>,
) -> Result<Unusable, StepError> {
    refuse_empty_pools(context, selection).await?;
    let all = selection.regions();
    let account = context.ports.account.as_ref();
    let mut unusable = closed(account, &context.options.region, &all).await;
    let regions: Vec<&RegionName> = all
        .iter()
        .filter(|region| !unusable.contains_key(*region))
        .collect();
    let taken = regions.iter().map(|region| take(context, region));
    for (region, taken) in regions.iter().zip(join_all(taken).await) {
        match taken {
            Ok(()) => {}
            Err(StepError::Cloud(error)) => {
                unusable.insert((*region).clone(), error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(unusable)
}

async fn refuse_empty_pools(
    context: &RunContext,
    selection: &Selection<'_>,
) -> Result<(), StepError> {
    let mut pools: Vec<(&RegionName, AddressChoice)> = Vec::new();
    for cell in &selection.cells {
        let of_test = cell
            .cell
            .test
            .as_ref()
            .and_then(|test| test.connect.as_ref());
        for connect in cell.cell.connect.iter().chain(of_test) {
            if let Address::ElasticIp(elastic) = &connect.address.value
                && let ElasticIpChoice::Pool(tags) = &elastic.choice
            {
                let pool = (&cell.region, AddressChoice::Pool(tags.clone()));
                if !pools.contains(&pool) {
                    pools.push(pool);
                }
            }
        }
    }
    let looks = pools.iter().map(|(region, choice)| async move {
        let region = context.ports.account.region(region);
        match members(region.as_ref(), choice).await {
            // A region that cannot be asked fails its own cells, and no others.
            Ok(_) | Err(StepError::Cloud(_)) => Ok(()),
            Err(error) => Err(error),
        }
    });
    try_join_all(looks).await.map(drop)
}

/// Takes the run's lease in `region`.
async fn take(context: &RunContext, region: &RegionName) -> Result<(), StepError> {
    let region = context.ports.account.region(region);
    let name = run_lease(context.effects.run());
    let lease = RunLease {
        run: context.effects.run().to_string(),
        pipeline: context.pipeline.clone(),
        renewal: 0,
    };
    let content = move |renewal| {
        let lease = RunLease {
            run: lease.run.clone(),
            pipeline: lease.pipeline.clone(),
            renewal,
        };
        // Plain data: encoding it cannot fail.
        serde_json::to_string(&lease).unwrap_or_default()
    };
    let effect = Effect::ClaimLease {
        region: region.name().clone(),
        name: name.clone(),
    };
    let value = content(0);
    let mut written = false;
    let made = context
        .effects
        .set(&cell(context), effect, async || {
            written = true;
            let write = ParameterWrite::Overwrite;
            region.put_parameter(&name, &value, write).await.map(|_| ())
        })
        .await;
    match made {
        Ok(_) => {}
        Err(StepError::Cloud(error)) if error.kind == ErrorKind::AccessDenied => {
            context.leases.do_without(region.name());
            warn(
                context,
                format!(
                    "from other hosts this run cannot be told from a dead one in {}: {error}. What it makes there is tagged `qib:lease=none`; no other host sweeps it before `qib:expires`.",
                    region.name()
                ),
            );
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let key = LeaseKey::new(region.name(), name.as_str());
    context.leases.keep_run(key, Box::new(content));
    if !written {
        // An earlier process of the run wrote it, some time ago.
        let clock = context.ports.clock.as_ref();
        context.leases.renew(&name, region.as_ref(), clock).await?;
    }
    Ok(())
}

/// Renews the leases that the run has, for as long as it is polled.
pub(super) async fn keep_renewing(context: &RunContext) -> Infallible {
    let own = run_lease(context.effects.run());
    let clock = context.ports.clock.as_ref();
    let mut pause = RENEW_EVERY;
    let mut outages: BTreeMap<RegionName, Outage> = BTreeMap::new();
    loop {
        clock.sleep(pause).await;
        let keys = context.leases.keys();
        let renewals = keys.iter().map(|key| renew(context, key, key.name == own));
        let results = join_all(renewals).await;
        for (key, result) in keys.iter().zip(&results) {
            if key.name == own {
                let outage = outages.entry(key.region.clone()).or_default();
                let renewed = *result == Renewed::Own;
                *outage = outage.after(context, &key.region, renewed, clock.now());
            }
        }
        // What failed is tried again soon: the time is short.
        pause = if results.contains(&Renewed::Not) {
            RETRY_EVERY
        } else {
            RENEW_EVERY
        };
    }
}

/// What came of one renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewed {
    /// The run's own lease is renewed.
    Own,
    /// A ticket is renewed, or over.
    Ticket,
    /// It failed.
    Not,
}

async fn renew(context: &RunContext, key: &LeaseKey, own: bool) -> Renewed {
    let region = context.ports.account.region(&key.region);
    let clock = context.ports.clock.as_ref();
    let name = &key.name;
    match context.leases.renew(name, region.as_ref(), clock).await {
        Ok(Renewal::Renewed) if own => Renewed::Own,
        Ok(Renewal::Renewed | Renewal::Over) => Renewed::Ticket,
        Ok(Renewal::Lost(lost)) => {
            warn(
                context,
                format!("the lease {name} was lost: {lost}. Another run may have what it is on."),
            );
            Renewed::Ticket
        }
        // Told if it lasts.
        Err(_) => Renewed::Not,
    }
}

/// Since when the run's own lease of a region could not be renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outage {
    #[default]
    No,
    Since(Timestamp),
    Told,
}

impl Outage {
    fn after(
        self,
        context: &RunContext,
        region: &RegionName,
        renewed: bool,
        now: Timestamp,
    ) -> Self {
        match self {
            _ if renewed => Self::No,
            Self::No => Self::Since(now),
            Self::Since(since) if cloud::clock::between(since, now) + RENEW_EVERY >= DEAD_AFTER => {
                let text = format!(
                    "the run's lease in {region} could not be renewed since {since}: from other hosts this run looks dead there now, and a sweep may remove what it has"
                );
                warn(context, text);
                Self::Told
            }
            waiting => waiting,
        }
    }
}

/// Removes what is outstanding of all cells, the run's leases last. Gives what could not be removed.
pub(super) async fn end(context: &RunContext) -> Vec<LeftResource> {
    let own = cell(context);
    let lease = run_lease(context.effects.run());
    let keys = context.leases.keys();
    let (runs, tickets): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.name == lease);
    for key in &tickets {
        context.leases.let_go(key).await;
    }
    let state = context.effects.state();
    let mut cells: Vec<&CellName> = Vec::new();
    for (_, entry) in state.outstanding() {
        if entry.cell != own && !cells.contains(&&entry.cell) {
            cells.push(&entry.cell);
        }
    }
    let mut left = Vec::new();
    for cell in cells {
        left.extend(context.effects.unmake_once_more(cell).await);
    }
    for key in &runs {
        context.leases.let_go(key).await;
    }
    left.extend(context.effects.unmake_all(Some(&own)).await);
    left
}

/// What stands in the journal for the run as a whole.
fn cell(context: &RunContext) -> CellName {
    CellName {
        stage: context.pipeline.clone(),
        cell: String::from("run"),
    }
}

fn warn(context: &RunContext, text: String) {
    context.tell(Event::Warning {
        cell: cell(context),
        text,
    });
}

//! The run's own lease, and the renewal of all its leases.
//!
//! The lease is the first thing that a run makes and the last that it removes: whatever is there of a run without one was
//! left behind.

use crate::event::Event;
use crate::failure::StepError;
use crate::journal::Effect;
use crate::lease::{DEAD_AFTER, RENEW_EVERY, Renewal, run_lease};
use crate::names::CellName;
use crate::report::LeftResource;
use crate::spec::AddressChoice;
use crate::steps::{RunContext, members};
use cloud::{ErrorKind, ParameterWrite, Timestamp};
use pipeline::model::{Address, ElasticIpChoice, Pipeline};
use serde::Serialize;
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

/// Refuses pools without an address, and takes the run's lease.
pub(super) async fn begin(context: &RunContext, pipeline: &Pipeline) -> Result<(), StepError> {
    let region = context.ports.account.region(&context.options.region);
    for stage in pipeline.stages.iter() {
        if let Some(connect) = &stage.connect
            && let Address::ElasticIp(elastic) = &connect.address.value
            && let ElasticIpChoice::Pool(tags) = &elastic.choice
        {
            let choice = AddressChoice::Pool(tags.clone());
            members(region.as_ref(), &choice).await?;
        }
    }
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
        region: context.options.region.clone(),
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
            context.leases.do_without();
            warn(
                context,
                format!(
                    "from other hosts this run cannot be told from a dead one: {error}. What it makes is tagged `qib:lease=none`; no other host sweeps it before `qib:expires`."
                ),
            );
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    context.leases.keep_run(name.clone(), Box::new(content));
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
    let mut outage = Outage::No;
    loop {
        clock.sleep(pause).await;
        let names = context.leases.names();
        let renewals = names.iter().map(|name| renew(context, name, *name == own));
        let results = futures::future::join_all(renewals).await;
        outage = outage.after(context, results.contains(&Renewed::Own), clock.now());
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

async fn renew(context: &RunContext, name: &str, own: bool) -> Renewed {
    let region = context.ports.account.region(&context.options.region);
    let clock = context.ports.clock.as_ref();
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

/// Since when the run's own lease could not be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    No,
    Since(Timestamp),
    Told,
}

impl Outage {
    fn after(self, context: &RunContext, renewed: bool, now: Timestamp) -> Self {
        match self {
            _ if renewed || context.leases.are_none() => Self::No,
            Self::No => Self::Since(now),
            Self::Since(since) if cloud::clock::between(since, now) + RENEW_EVERY >= DEAD_AFTER => {
                let text = format!(
                    "the run's lease could not be renewed since {since}: from other hosts this run looks dead now, and a sweep there may remove what it has"
                );
                warn(context, text);
                Self::Told
            }
            waiting => waiting,
        }
    }
}

/// Removes what is outstanding of all cells, the run's lease last. Gives what could not be removed.
pub(super) async fn end(context: &RunContext) -> Vec<LeftResource> {
    let own = cell(context);
    let lease = run_lease(context.effects.run());
    for name in context.leases.names() {
        if name != lease {
            context.leases.let_go(&name).await;
        }
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
    context.leases.let_go(&lease).await;
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

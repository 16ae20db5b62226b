//! All leases of a region, as they are found without knowing any run.

use super::ticket::{ADDRESS_FOLDER, IMAGE_FOLDER, LEASES, RUN_FOLDER, Ticket};
use crate::names::RunId;
use cloud::{CloudError, Depth, Parameter, Region};
use std::time::Duration;

/// What a lease is on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leased {
    /// The run itself: it is alive.
    Run,
    /// A place in the queue for an Elastic IP.
    Address {
        /// Its allocation.
        allocation: String,
    },
    /// A place in the queue for an image that is to be built.
    Image {
        /// Its cache key.
        cache_key: String,
    },
}

/// A lease as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Its parameter. No two runs ever write the same one: to delete it is safe once its run is dead.
    pub name: String,
    /// The run that wrote it.
    pub run: RunId,
    /// What it is on.
    pub what: Leased,
    /// How long ago it was last renewed, by the service's clock.
    pub age: Duration,
}

impl LeaseRecord {
    /// Reads a parameter; none if it is no lease, or one of a form that this qib does not know.
    pub fn of(parameter: &Parameter) -> Option<Self> {
        let name = parameter.name.as_str();
        let (run, what) = if let Some(run) = name.strip_prefix(RUN_FOLDER) {
            (RunId::parse(run)?, Leased::Run)
        } else if let Some(rest) = name.strip_prefix(ADDRESS_FOLDER) {
            let (allocation, ticket) = rest.split_once('/')?;
            let allocation = allocation.to_owned();
            (Ticket::parse(ticket)?.run, Leased::Address { allocation })
        } else {
            let (key, ticket) = name.strip_prefix(IMAGE_FOLDER)?.split_once('/')?;
            let cache_key = key.to_owned();
            (Ticket::parse(ticket)?.run, Leased::Image { cache_key })
        };
        Some(Self {
            name: name.to_owned(),
            run,
            what,
            age: parameter.age,
        })
    }
}

/// Every lease of the region, whoever wrote it.
///
/// # Errors
/// If the service cannot be asked. Without an answer nothing may be taken for dead.
pub async fn all(region: &dyn Region) -> Result<Vec<LeaseRecord>, CloudError> {
    let parameters = region.parameters_below(LEASES, Depth::All).await?;
    Ok(parameters.iter().filter_map(LeaseRecord::of).collect())
}

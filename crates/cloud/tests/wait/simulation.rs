//! A cloud whose resources become ready at given moments, and a log of the calls made to it.

use crate::virtual_clock::{Moment, VirtualClock};
use async_trait::async_trait;
use cloud::wait::{BatchPoller, Describe};
use cloud::{CloudError, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

/// Names a resource.
pub type Id = u32;

/// What a describe call says of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Ready,
}

/// When a resource shows and when it is ready.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    pub shows: Moment,
    pub ready: Moment,
}

/// Calls that begin within these moments fail so.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub from: Moment,
    pub to: Moment,
    pub kind: ErrorKind,
}

/// A describe call as it was made.
#[derive(Clone, Debug)]
pub struct Call {
    pub began: Moment,
    pub ended: Moment,
    pub ids: BTreeSet<Id>,
    pub failed: bool,
}

/// The cloud of the simulation.
pub struct Cloud {
    pub clock: VirtualClock,
    /// How long a call takes.
    pub latency: Moment,
    pub resources: BTreeMap<Id, Resource>,
    pub faults: Vec<Fault>,
    pub calls: Mutex<Vec<Call>>,
}

impl Cloud {
    pub fn new(
        resources: impl IntoIterator<Item = (Id, Resource)>,
        faults: Vec<Fault>,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock: VirtualClock::default(),
            latency: 20,
            resources: resources.into_iter().collect(),
            faults,
            calls: Mutex::default(),
        })
    }

    pub fn poller(self: &Arc<Self>) -> Rc<BatchPoller<Id, State>> {
        let describe = Box::new(Handle(self.clone()));
        Rc::new(BatchPoller::new(describe, Arc::new(self.clock.clone())))
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

struct Handle(Arc<Cloud>);

#[async_trait]
impl Describe<Id, State> for Handle {
    async fn describe(&self, ids: &[Id]) -> Result<Vec<(Id, State)>, CloudError> {
        let cloud = &self.0;
        let began = cloud.clock.moment();
        let fault = cloud
            .faults
            .iter()
            .find(|fault| (fault.from..fault.to).contains(&began));
        // The answer is as of the call's begin: what happens while it travels does not show.
        let states = ids
            .iter()
            .filter_map(|id| {
                let resource = cloud.resources.get(id)?;
                (resource.shows <= began).then_some((
                    *id,
                    if resource.ready <= began {
                        State::Ready
                    } else {
                        State::Pending
                    },
                ))
            })
            .collect();
        cloud.clock.until(began + cloud.latency).await;
        cloud.calls.lock().unwrap().push(Call {
            began,
            ended: cloud.clock.moment(),
            ids: ids.iter().copied().collect(),
            failed: fault.is_some(),
        });
        match fault {
            None => Ok(states),
            Some(fault) => Err(CloudError {
                operation: "Describe",
                resource: None,
                kind: fault.kind,
                code: String::new(),
                message: "as the test wants it".to_owned(),
                request_id: None,
            }),
        }
    }
}

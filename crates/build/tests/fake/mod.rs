//! An account in memory, a guest in memory and a clock that does not wait.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod account;
pub mod blocks;
pub mod copies;
pub mod disks;
pub mod guest;
pub mod iam;
pub mod import_tasks;
pub mod importing;
pub mod inquiry;
pub mod lifecycle;
pub mod network;
pub mod objects;
pub mod permissions;
pub mod pipelines;
pub mod scripted;
pub mod time;

use async_trait::async_trait;
use build::event::{Event, Observer};
use build::ports::CallerAddress;
use cloud::{Clock, Timestamp};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

/// A clock on which sleeping takes no time but moves the present.
pub struct VirtualClock(Mutex<Timestamp>);

impl VirtualClock {
    pub fn new() -> Self {
        Self(Mutex::new(Timestamp::from_second(1_790_000_000).unwrap()))
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        {
            let mut now = self.0.lock().unwrap();
            *now = cloud::clock::after(*now, duration);
        }
        tokio::task::yield_now().await;
    }
}

/// Keeps every event.
#[derive(Default)]
pub struct Recorder(pub Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Recorder {
    pub fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

pub struct Home;

#[async_trait]
impl CallerAddress for Home {
    async fn caller_address(&self) -> Result<Ipv4Addr, String> {
        Ok(Ipv4Addr::new(203, 0, 113, 7))
    }
}

//! What the engine needs from outside, besides the pipeline: all effects go through these.

use crate::event::Observer;
use crate::guest::GuestAccess;
use crate::host::Host;
use crate::journal::JournalWatch;
use async_trait::async_trait;
use cloud::{Account, Clock};
use std::sync::Arc;

/// Finds the address that the internet sees this machine at.
#[async_trait]
pub trait CallerAddress: Send + Sync {
    /// The address, or why it cannot be told. Bounded in time by the implementation.
    async fn caller_address(&self) -> Result<std::net::Ipv4Addr, String>;
}

/// Everything outside that a run touches.
#[derive(Clone)]
pub struct Ports {
    /// The AWS account, or the local EC2.
    pub account: Arc<dyn Account>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// SSH.
    pub guests: Arc<dyn GuestAccess>,
    /// Where SSH will come from, for `ssh_from: caller`.
    pub caller_address: Arc<dyn CallerAddress>,
    /// The machine that qib runs on.
    pub host: Host,
    /// Who is told of what happens.
    pub observer: Arc<dyn Observer>,
    /// Who is told of the journal's records, in tests of crashes.
    pub journal_watch: Option<Arc<dyn JournalWatch>>,
}

//! What the engine needs from outside, besides the pipeline: all effects go through these.

use crate::event::Observer;
use crate::guest::GuestAccess;
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

/// What a person answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    GoOn,
    /// Stop the run, and clean up.
    Abort,
}

/// A person at a terminal.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Asks, and waits for as long as it takes. Dropped, it is asked no more. Several questions at once are asked one
    /// after another.
    async fn confirm(&self, question: &str) -> Answer;
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
    /// Who is told of what happens.
    pub observer: Arc<dyn Observer>,
    /// Who is asked at pauses; none where nobody is there.
    pub operator: Option<Arc<dyn Operator>>,
    /// Who is told of the journal's records, in tests of crashes.
    pub journal_watch: Option<Arc<dyn JournalWatch>>,
}

//! The account above which nothing repeats a call.

use super::CallNature;
use super::attempts::Attempts;
use super::iam::RetryingIam;
use super::region::RetryingRegion;
use crate::clock::Clock;
use crate::port::Result;
use crate::{Account, CallerIdentity, Iam, Region, RegionName, Timestamp};
use async_trait::async_trait;
use std::sync::Arc;

/// An account whose calls are repeated as [`Budget::of`](super::Budget::of) says.
pub struct Retrying {
    account: Arc<dyn Account>,
    attempts: Arc<Attempts>,
}

impl Retrying {
    /// `account` with repeats. `seed` chooses the pauses; processes that start together need different ones, or they
    /// come back together.
    pub fn new(account: Arc<dyn Account>, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            account,
            attempts: Arc::new(Attempts::new(clock, seed)),
        }
    }
}

#[async_trait]
impl Account for Retrying {
    async fn caller_identity(&self) -> Result<CallerIdentity> {
        self.attempts
            .of("GetCallerIdentity", "", CallNature::Read, || {
                self.account.caller_identity()
            })
            .await
    }

    async fn credentials_expiry(&self) -> Result<Option<Timestamp>> {
        self.attempts
            .of("reading the credentials", "", CallNature::Read, || {
                self.account.credentials_expiry()
            })
            .await
    }

    fn iam(&self) -> Arc<dyn Iam> {
        Arc::new(RetryingIam::new(self.account.iam(), self.attempts.clone()))
    }

    fn region(&self, name: &RegionName) -> Arc<dyn Region> {
        Arc::new(RetryingRegion::new(
            self.account.region(name),
            self.attempts.clone(),
        ))
    }
}

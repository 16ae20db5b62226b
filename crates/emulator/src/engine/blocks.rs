//! Requests about single blocks: PutSnapshotBlock and GetSnapshotBlock.
//!
//! They pass the same admission and meet the same faults as all others, and then go to the block store alone: the account is
//! looked at, not copied, changed or written down, and what is put stands in the log of blocks, not in that of requests.

use super::Engine;
use super::request::{Content, Order};
use crate::account::Account;
use crate::account::image::Progress;
use crate::api::ebs::get::GetSnapshotBlock;
use crate::api::ebs::put::PutSnapshotBlock;
use crate::api::ebs::tokens::Sealer;
use crate::api::ebs::{self, Finder};
use crate::api::error::ApiError;
use crate::api::protocol::{HttpRequest, Service};
use crate::blocks::BlockStore;
use crate::blocks::body::BlockBody;
use crate::blocks::digest::Digest;
use crate::ids::SnapshotId;
use jiff::Timestamp;
use std::time::Duration;

/// A block on its way in, or the empty body of a request for one.
pub(super) struct Incoming {
    pub(super) body: BlockBody,
    /// The SHA-256 of the body, if it is no longer than a block.
    pub(super) digest: Option<Digest>,
}

impl Incoming {
    pub(super) fn of(body: BlockBody) -> Self {
        let digest = body.digest();
        Self { body, digest }
    }
}

/// Whether a request is about a single block.
pub(crate) fn asks_for_a_block(request: &HttpRequest) -> bool {
    request.service() == Service::Ebs
        && ebs::request::action(&request.method, &request.path).is_some_and(ebs::is_about_a_block)
}

/// Opens the snapshots that were being written when the local EC2 ended.
pub(super) fn reopen(
    blocks: &BlockStore,
    account: &Account,
    now: Timestamp,
) -> std::io::Result<()> {
    let all = account.regions.values().flat_map(|r| r.snapshots.values());
    for snapshot in all.filter(|s| matches!(s.progress, Progress::Writing { .. })) {
        blocks.reopen(&snapshot.id, snapshot.size_gib, now)?;
    }
    Ok(())
}

impl Engine {
    pub(super) fn about_a_block(
        &self,
        order: &Order,
        block: &Incoming,
    ) -> Result<Content, ApiError> {
        match order.call.action.as_str() {
            "PutSnapshotBlock" => self.put_block(order, block),
            _ => self.get_block(order),
        }
    }

    fn put_block(&self, order: &Order, block: &Incoming) -> Result<Content, ApiError> {
        let put: PutSnapshotBlock = ebs::read(&order.call.body)?;
        let index = put.check(&block.body, block.digest.as_ref())?;
        // A body without a digest has not passed the check.
        let digest = block.digest.unwrap_or_default();
        let now = self.clock.now();
        let id = {
            let account = self.account();
            let finder = self.finder(&account, order, now);
            finder.writing(&put.snapshot_id)?.id.clone()
        };
        self.buckets
            .take_of_snapshot("PutSnapshotBlock", id.as_str(), self.clock.instant())?;
        let written = put.write(&self.blocks, &id, (index, &block.body, &digest), now);
        Ok(Content {
            headers: written?,
            text: "{}".to_owned(),
            ..Content::default()
        })
    }

    fn get_block(&self, order: &Order) -> Result<Content, ApiError> {
        let get: GetSnapshotBlock = ebs::read(&order.call.body)?;
        let now = self.clock.now();
        let (sealer, chain) = {
            let account = self.account();
            let snapshot = self
                .finder(&account, order, now)
                .readable(&get.snapshot_id)?;
            let sealer = Sealer {
                secret: account.key.session_secret.clone(),
                owner: order.caller.account().to_owned(),
                now,
            };
            (sealer, ebs::chain(&self.blocks, snapshot)?)
        };
        self.buckets.take_of_snapshot(
            "GetSnapshotBlock",
            &get.snapshot_id,
            self.clock.instant(),
        )?;
        let (bytes, headers) = get.read(&sealer, &chain)?;
        Ok(Content {
            headers,
            bytes: Some(bytes),
            ..Content::default()
        })
    }

    fn finder<'a>(&'a self, account: &'a Account, order: &'a Order, now: Timestamp) -> Finder<'a> {
        Finder {
            account,
            region: &order.region,
            caller: &order.caller,
            now,
            timing: &self.timing,
        }
    }

    /// Fails the snapshots that nothing was written to for longer than they allow: "If no put or complete requests are made
    /// against the snapshot within the specified … timeout period, the snapshot moves to the error state"
    /// (<https://docs.aws.amazon.com/ebs/latest/userguide/writesnapshots.html>).
    pub(super) fn fail_idle_snapshots(&self) {
        if !self.blocks.has_open() {
            return;
        }
        let now = self.clock.now();
        let sooner = self.faults.now().unwrap_or_default().snapshot_idle_timeout;
        let idle = {
            let account = self.account();
            let all = account.regions.values().flat_map(|r| r.snapshots.values());
            let waiting = all.filter_map(|s| match s.progress {
                Progress::Writing {
                    timeout_minutes, ..
                } => {
                    let own = Duration::from_secs(u64::from(timeout_minutes) * 60);
                    Some((&s.id, sooner.unwrap_or(own)))
                }
                _ => None,
            });
            self.blocks.idle(waiting, now)
        };
        if idle.is_empty() {
            return;
        }
        self.update(|account| {
            let regions = account.regions.values_mut();
            for snapshot in regions.flat_map(|r| r.snapshots.values_mut()) {
                if let Progress::Writing {
                    timeout_minutes, ..
                } = snapshot.progress
                    && idle.contains(&snapshot.id)
                {
                    snapshot.progress = Progress::Failed {
                        reason: timed_out(&snapshot.id, timeout_minutes),
                    };
                }
            }
        });
        for id in &idle {
            if let Ok(set) = self.blocks.get(id) {
                set.seal();
            }
        }
    }
}

fn timed_out(id: &SnapshotId, minutes: u32) -> String {
    format!(
        "No block was put to {id} for longer than its timeout of {minutes} minutes, and it was not completed"
    )
}

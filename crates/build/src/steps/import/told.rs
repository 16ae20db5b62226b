//! How far a transfer is, told to whoever watches the run: no more often than a person can read.

use crate::event::{Event, Transfer};
use crate::host::FetchWatch;
use crate::steps::context::CellContext;
use crate::transfer::{Transferred, Watch};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Without a total one is told of every so many bytes.
const EVERY: u64 = 64 << 20;

/// Tells of the transfers of one cell.
pub(super) struct Told<'a> {
    context: &'a CellContext,
    last: Mutex<BTreeMap<Transfer, u64>>,
}

impl<'a> Told<'a> {
    pub(super) fn new(context: &'a CellContext) -> Self {
        Self {
            context,
            last: Mutex::default(),
        }
    }

    /// So far.
    pub(super) fn tell(&self, what: Transfer, done: u64, total: Option<u64>) {
        let mark = match total {
            Some(total) if total > 0 => {
                u64::try_from(u128::from(done) * 100 / u128::from(total)).unwrap_or(100)
            }
            _ => done / EVERY,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.insert(what, mark) == Some(mark) {
            return;
        }
        drop(last);
        self.context.run().tell(Event::Transfer {
            cell: self.context.cell().clone(),
            what,
            done,
            total,
        });
    }
}

impl FetchWatch for Told<'_> {
    fn moved(&self, what: Transfer, done: u64, total: Option<u64>) {
        self.tell(what, done, total);
    }

    fn note(&self, text: String) {
        self.context.note(text);
    }
}

impl Watch for Told<'_> {
    fn moved(&self, transferred: Transferred) {
        self.tell(Transfer::Upload, transferred.done, Some(transferred.total));
    }
}

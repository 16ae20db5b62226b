//! Tables that stay in the file: entries are looked up through a small cache of pages, so that memory does not depend on
//! how large an image says that they are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ReadError;
use crate::source::Source;

const PAGE: usize = 4096;

/// The cache of one file: so many sets of so many pages, 1 MiB in all.
const SETS: usize = 16;
const WAYS: usize = 16;

type Page = Arc<[u8; PAGE]>;

/// A set's pages, the one that was used last in front.
type Set = Vec<(u64, Page)>;

/// A file's tables.
pub(crate) struct Tables {
    source: Source,
    /// Tells the pages of several files apart.
    id: u64,
    sets: [Mutex<Set>; SETS],
}

/// The pages that a walk over a disk used last, so that neighbouring entries need no lock.
#[derive(Default)]
pub(crate) struct Cursor {
    recent: [Option<Recent>; 2],
}

struct Recent {
    tables: u64,
    number: u64,
    page: Page,
}

impl Tables {
    pub(crate) fn new(source: Source) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            source,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            sets: Default::default(),
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The entry at `offset` in the file.
    pub(crate) fn entry<const N: usize>(
        &self,
        cursor: &mut Cursor,
        what: &'static str,
        offset: u64,
    ) -> Result<[u8; N], ReadError> {
        self.source.hold(what, offset, N as u64)?;
        let (number, within) = (offset / PAGE as u64, offset % PAGE as u64);
        let within = usize::try_from(within).unwrap_or(PAGE);
        if within + N > PAGE {
            // An entry that goes over the end of a page: only where a table stands at an odd offset.
            return self.source.array(what, offset);
        }
        let page = cursor.page(self, what, number)?;
        let mut entry = [0; N];
        entry.copy_from_slice(&page[within..within + N]);
        Ok(entry)
    }

    fn page(&self, what: &'static str, number: u64) -> Result<Page, ReadError> {
        let set = usize::try_from(number % SETS as u64).unwrap_or(0);
        let lock = || {
            self.sets[set]
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        {
            let mut pages = lock();
            if let Some(place) = pages.iter().position(|(other, _)| *other == number) {
                pages[..=place].rotate_right(1);
                return Ok(Arc::clone(&pages[0].1));
            }
        }
        let offset = number * PAGE as u64;
        let mut page = [0; PAGE];
        let there = self.source.length().saturating_sub(offset);
        let there = usize::try_from(there).map_or(PAGE, |there| there.min(PAGE));
        self.source.read(what, &mut page[..there], offset)?;
        let page = Arc::new(page);
        let mut pages = lock();
        if pages.iter().all(|(other, _)| *other != number) {
            pages.truncate(WAYS - 1);
            pages.insert(0, (number, Arc::clone(&page)));
        }
        Ok(page)
    }
}

impl Cursor {
    fn page(
        &mut self,
        tables: &Tables,
        what: &'static str,
        number: u64,
    ) -> Result<&Page, ReadError> {
        let is_it = |recent: &Option<Recent>| {
            recent
                .as_ref()
                .is_some_and(|recent| recent.tables == tables.id && recent.number == number)
        };
        if !is_it(&self.recent[0]) {
            self.recent.swap(0, 1);
        }
        if !is_it(&self.recent[0]) {
            self.recent[0] = None;
        }
        let page = match self.recent[0].take() {
            Some(recent) => recent.page,
            None => tables.page(what, number)?,
        };
        let recent = self.recent[0].insert(Recent {
            tables: tables.id,
            number,
            page,
        });
        Ok(&recent.page)
    }
}

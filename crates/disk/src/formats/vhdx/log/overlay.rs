//! A file with changes laid over it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::source::ReadAt;
use crate::{Content, Extent};

pub(super) struct Overlay {
    inner: Arc<dyn ReadAt>,
    /// At least that of the inner file; what is behind that is zeros.
    length: u64,
    /// By where they begin; they do not overlap.
    pieces: BTreeMap<u64, Piece>,
}

#[derive(Clone, Copy)]
struct Piece {
    end: u64,
    change: Change,
}

/// What stands in place of a part of the file.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Zeros,
    /// A sector of 4096 bytes: the first 8 and the last 4 are `ends`, those between stand in the log.
    Sector {
        /// Where it is laid.
        place: u64,
        /// Where its sector of the log is in the file.
        position: u64,
        ends: [u8; 12],
    },
}

impl Overlay {
    pub(super) fn new(inner: Arc<dyn ReadAt>, length: u64) -> Self {
        Self {
            inner,
            length,
            pieces: BTreeMap::new(),
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Lays a change over what is there, also over earlier changes.
    pub(super) fn lay(&mut self, start: u64, end: u64, change: Change) {
        if start >= end {
            return;
        }
        self.cut(start);
        self.cut(end);
        let covered: Vec<u64> = self.pieces.range(start..end).map(|(&at, _)| at).collect();
        for at in covered {
            self.pieces.remove(&at);
        }
        self.pieces.insert(start, Piece { end, change });
    }

    /// Cuts a piece that goes over `at` in two.
    fn cut(&mut self, at: u64) {
        if let Some((&start, piece)) = self.pieces.range_mut(..at).next_back()
            && start < at
            && piece.end > at
        {
            let behind = *piece;
            piece.end = at;
            self.pieces.insert(at, behind);
        }
    }

    /// What is at `offset`: a piece or none, and where that ends.
    fn at(&self, offset: u64) -> (Option<Change>, u64) {
        if let Some((_, piece)) = self.pieces.range(..=offset).next_back()
            && piece.end > offset
        {
            return (Some(piece.change), piece.end);
        }
        let next = self.pieces.range(offset..).next();
        (None, next.map_or(u64::MAX, |(&start, _)| start))
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = buffer;
        let mut offset = offset;
        while !rest.is_empty() {
            let (change, end) = self.at(offset);
            let length = usize::try_from(end - offset).map_or(rest.len(), |n| n.min(rest.len()));
            let (part, after) = rest.split_at_mut(length);
            match change {
                Some(Change::Zeros) => part.fill(0),
                Some(Change::Sector {
                    place,
                    position,
                    ends,
                }) => {
                    let mut sector = [0; 4096];
                    self.inner.read_exact_at(&mut sector, position)?;
                    sector[..8].copy_from_slice(&ends[..8]);
                    sector[4092..].copy_from_slice(&ends[8..]);
                    let within = usize::try_from(offset - place).unwrap_or(0);
                    part.copy_from_slice(&sector[within..within + part.len()]);
                }
                None => {
                    let there = self.inner.length().saturating_sub(offset);
                    let there = usize::try_from(there).map_or(part.len(), |n| n.min(part.len()));
                    let (data, behind) = part.split_at_mut(there);
                    if !data.is_empty() {
                        self.inner.read_exact_at(data, offset)?;
                    }
                    behind.fill(0);
                }
            }
            offset += length as u64;
            rest = after;
        }
        Ok(())
    }

    pub(super) fn extent_at(&self, offset: u64) -> io::Result<Extent> {
        let (change, end) = self.at(offset);
        let rest = end.min(self.length).saturating_sub(offset);
        let (length, content) = match change {
            Some(Change::Zeros) => (rest, Content::Zero),
            Some(Change::Sector { .. }) => (rest, Content::Data),
            None if offset < self.inner.length() => {
                let inner = self.inner.extent(offset)?;
                (inner.length.min(rest), inner.content)
            }
            None => (rest, Content::Zero),
        };
        Ok(Extent { length, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_changes_hide_earlier_ones() {
        let mut file = vec![1_u8; 5 * 4096];
        file[..4096].fill(9);
        let mut overlay = Overlay::new(Arc::new(file), 6 * 4096);
        overlay.lay(4096, 4 * 4096, Change::Zeros);
        overlay.lay(
            2 * 4096,
            3 * 4096,
            Change::Sector {
                place: 2 * 4096,
                position: 0,
                ends: *b"abcdefghwxyz",
            },
        );
        overlay.lay(3 * 4096, 3 * 4096 + 8, Change::Zeros);
        let mut found = vec![7; 6 * 4096];
        overlay.read(&mut found, 0).expect("within");
        let mut expected = vec![1; 5 * 4096];
        expected[..4096].fill(9);
        expected[4096..4 * 4096].fill(0);
        expected[2 * 4096..3 * 4096].fill(9);
        expected[2 * 4096..2 * 4096 + 8].copy_from_slice(b"abcdefgh");
        expected[3 * 4096 - 4..3 * 4096].copy_from_slice(b"wxyz");
        expected.resize(6 * 4096, 0);
        assert_eq!(found, expected);
        // Any part of it, too.
        for (offset, length) in [(2 * 4096 + 5, 4090), (4095, 2), (5 * 4096 - 1, 4097)] {
            let mut part = vec![7; length];
            overlay.read(&mut part, offset).expect("within");
            let start = usize::try_from(offset).expect("small");
            assert_eq!(part, expected[start..start + length]);
        }
        assert!(overlay.read(&mut [0; 2], 6 * 4096 - 1).is_err());
        let mut offset = 0;
        while offset < overlay.length() {
            let extent = overlay.extent_at(offset).expect("within");
            let (start, end) = (offset, offset + extent.length);
            if extent.content == Content::Zero {
                let range =
                    usize::try_from(start).expect("small")..usize::try_from(end).expect("small");
                assert!(expected[range].iter().all(|&byte| byte == 0));
            }
            offset = end;
        }
    }
}

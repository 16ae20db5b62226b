//! Writing a file of which the zeros take no room.

use crate::digest::{Algorithm, Digest, Hashes};
use crate::error::FetchError;
use crate::space::Room;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Runs of zeros shorter than this are written: a hole for each few kilobytes would make a file of countless extents.
const GRAIN: usize = 64 << 10;

static ZEROS: [u8; GRAIN] = [0; GRAIN];

/// Takes a file's content in order, and writes what is not zero.
pub(crate) struct Sparse {
    file: File,
    path: PathBuf,
    length: u64,
    hashes: Hashes,
    room: Room,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) size: u64,
    /// SHA-256 of all of it, zeros included.
    pub(crate) sha256: Digest,
}

impl Sparse {
    /// Begins a new file. One that is there is emptied.
    pub(crate) fn create(path: &Path, room: Room) -> Result<Self, FetchError> {
        let file = File::create(path).map_err(|error| room.failed(path, 0, error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            length: 0,
            hashes: Hashes::new(Algorithm::Sha256),
            room,
        })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends. Holes come out best when every piece but the last is a multiple of 64 KiB.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.hashes.update(bytes);
        // A stretch of grains that are not all zero is written at once.
        let mut written = 0;
        let mut stretch = 0;
        for grain in bytes.chunks(GRAIN) {
            if grain == &ZEROS[..grain.len()] {
                self.write(&bytes[written..stretch], written)?;
                written = stretch + grain.len();
            }
            stretch += grain.len();
        }
        self.write(&bytes[written..], written)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], after: usize) -> Result<(), FetchError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.room.before(bytes.len() as u64)?;
        self.file
            .write_all_at(bytes, self.length + after as u64)
            .map_err(|error| self.room.failed(&self.path, bytes.len() as u64, error))
    }

    /// Gives the file its length and puts all of it on stable storage.
    pub(crate) fn finish(self) -> Result<Written, FetchError> {
        self.file
            .set_len(self.length)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| self.room.failed(&self.path, 0, error))?;
        Ok(Written {
            size: self.length,
            sha256: self.hashes.finish().sha256,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use proptest::prelude::*;
    use std::os::unix::fs::MetadataExt;

    fn write(path: &Path, pieces: &[Vec<u8>]) -> Written {
        let folder = path.parent().expect("a folder");
        let room = Room::new("it", "write", folder, &Settings::in_cache(folder));
        let mut sparse = Sparse::create(path, room).expect("a file");
        for piece in pieces {
            sparse.append(piece).expect("it is written");
        }
        sparse.finish().expect("it is whole")
    }

    #[test]
    fn zeros_take_no_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("image");
        let mut piece = vec![0; 4 << 20];
        piece[GRAIN * 3] = 1;
        let written = write(&path, &[piece.clone(), vec![0; 4 << 20]]);
        assert_eq!(written.size, 8 << 20);
        piece.resize(8 << 20, 0);
        assert!(std::fs::read(&path).expect("it is there") == piece);
        let blocks = std::fs::metadata(&path).expect("it is there").blocks() * 512;
        assert!(blocks <= 2 * GRAIN as u64, "{blocks} bytes are allocated");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_read_is_what_was_appended(
            pieces in prop::collection::vec((0_usize..200_000, any::<bool>(), 0_usize..200_000), 0..6)
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("image");
            let pieces: Vec<Vec<u8>> = pieces
                .into_iter()
                .map(|(length, data, at)| {
                    let mut piece = vec![0; length];
                    if data && at < length {
                        piece[at] = 7;
                    }
                    piece
                })
                .collect();
            let written = write(&path, &pieces);
            let all = pieces.concat();
            prop_assert!(std::fs::read(&path).expect("it is there") == all);
            let mut hashes = Hashes::new(Algorithm::Sha256);
            hashes.update(&all);
            prop_assert_eq!(written, Written { size: all.len() as u64, sha256: hashes.finish().sha256 });
        }
    }
}

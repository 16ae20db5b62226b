//! Unpacking as a stream, within bounds of memory, size and room.

use crate::blocking::Stop;
use crate::content::{self, Compression, Content};
use crate::error::{FetchError, bytes};
use crate::settings::{Phase, Progress, Settings};
use crate::space::Room;
use crate::sparse::{Sparse, Written};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// How much is unpacked at a time.
const PIECE: usize = 1 << 20;

/// What is unpacked, within which bounds.
pub(crate) struct Unpacking<'a> {
    /// The fetch's name.
    pub(crate) what: &'a str,
    /// Where the packed file came from.
    pub(crate) from: &'a str,
    pub(crate) packed: &'a Path,
    pub(crate) compression: Compression,
    pub(crate) to: &'a Path,
    pub(crate) largest: u64,
    pub(crate) memory: u64,
    pub(crate) room: Room,
    pub(crate) progress: &'a Arc<dyn Progress>,
}

impl<'a> Unpacking<'a> {
    /// The bounds are those of the settings.
    pub(crate) fn within(
        settings: &Settings,
        progress: &'a Arc<dyn Progress>,
        (what, from): (&'a str, &'a str),
        (packed, compression): (&'a Path, Compression),
        to: &'a Path,
        room: Room,
    ) -> Self {
        Self {
            what,
            from,
            packed,
            compression,
            to,
            largest: settings.largest,
            memory: settings.memory,
            room,
            progress,
        }
    }
}

/// Unpacks into a file that has holes where the image has zeros. On an error no such file is left.
pub(crate) fn unpack(it: &Unpacking<'_>, stop: &Stop) -> Result<Written, FetchError> {
    let written = run(it, stop);
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(it.to);
    }
    written
}

fn run(it: &Unpacking<'_>, stop: &Stop) -> Result<Written, FetchError> {
    let file = File::open(it.packed).map_err(|error| it.unreadable(error))?;
    let total = file.metadata().map_err(|error| it.unreadable(error))?.len();
    let done = Rc::new(Cell::new(0));
    let broken = Rc::new(Cell::new(None));
    let counted = Counted {
        file,
        done: done.clone(),
        broken: broken.clone(),
    };
    let mut unpacked = it.decoder(BufReader::with_capacity(256 << 10, counted))?;
    let mut image = Sparse::create(it.to, it.room.clone())?;
    let mut piece = vec![0; PIECE];
    loop {
        let cancelled = stop.check();
        cancelled.map_err(|error| it.unreadable(error))?;
        let length = fill(&mut unpacked, &mut piece).map_err(|error| match broken.take() {
            Some(error) => it.unreadable(error),
            None => it.corrupt(&error),
        })?;
        let piece = &piece[..length];
        if image.length() == 0 {
            it.look(&piece[..length.min(content::HEAD)])?;
        }
        if image.length() + length as u64 > it.largest {
            return Err(it.refuse(format!(
                "it unpacks to more than {}, which no volume needs",
                bytes(it.largest)
            )));
        }
        image.append(piece)?;
        it.progress.advance(Phase::Unpack, done.get(), Some(total));
        if length < PIECE {
            break;
        }
    }
    image.finish()
}

impl Unpacking<'_> {
    fn decoder<'r>(&self, packed: impl BufRead + 'r) -> Result<Box<dyn Read + 'r>, FetchError> {
        Ok(match self.compression {
            Compression::Xz => {
                use liblzma::stream::{CONCATENATED, Stream, TELL_UNSUPPORTED_CHECK};
                let flags = CONCATENATED | TELL_UNSUPPORTED_CHECK;
                let stream = Stream::new_stream_decoder(self.memory, flags)
                    .map_err(|error| self.refuse(error.to_string()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)
                    .map_err(|error| self.refuse(error.to_string()))?;
                decoder
                    .window_log_max(self.memory.max(1 << 10).ilog2().min(31))
                    .map_err(|error| self.refuse(error.to_string()))?;
                Box::new(decoder)
            }
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        })
    }

    /// The unpacked image is looked at like one that was not packed.
    fn look(&self, head: &[u8]) -> Result<(), FetchError> {
        let why = match content::of(head) {
            Content::Image => return Ok(()),
            Content::Packed(inner) => format!(
                "what is in it is packed once more, with {inner}. Unpack it, and give the image itself"
            ),
            foreign @ Content::Foreign(_) => {
                let why = foreign.objection().unwrap_or_default();
                format!("what is in it is not a disk image: {why}")
            }
        };
        Err(self.refuse(why))
    }

    fn corrupt(&self, error: &io::Error) -> FetchError {
        let text = error.to_string();
        let too_much = matches!(
            error.get_ref().and_then(|inner| inner.downcast_ref()),
            Some(liblzma::stream::Error::MemLimit)
        ) || text.contains("Frame requires too much memory");
        self.refuse(if too_much {
            format!(
                "unpacking would take more memory than {}. Unpack it by hand, or have it packed with a smaller window",
                bytes(self.memory)
            )
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            format!("the {} data ends early: the file is cut short", self.compression)
        } else {
            format!("the {} data is corrupt or cut short ({text})", self.compression)
        })
    }

    fn refuse(&self, why: String) -> FetchError {
        FetchError::Packed {
            what: self.what.to_owned(),
            from: self.from.to_owned(),
            why,
        }
    }

    fn unreadable(&self, error: io::Error) -> FetchError {
        FetchError::File {
            what: self.what.to_owned(),
            doing: "read",
            path: self.packed.to_owned(),
            error,
        }
    }
}

/// Fills the buffer; less only at the end.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// A file that says how much of it was read, and keeps its own errors apart from those of the decoder above it.
struct Counted {
    file: File,
    done: Rc<Cell<u64>>,
    broken: Rc<Cell<Option<io::Error>>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(length) => {
                self.done.set(self.done.get() + length as u64);
                Ok(length)
            }
            Err(error) => {
                let kind = error.kind();
                self.broken.set(Some(error));
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;

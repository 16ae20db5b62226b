//! Streams made by blocking code (reading, hashing, compressing) and sent by asynchronous code, with a bound between
//! them: a slow host holds the reader up instead of filling the memory.

use super::UploadError;
use crate::exec::SourceFailed;
use std::io::{self, Write};
use tokio::sync::mpsc;

/// Size of a block, in bytes. Several SSH packets each, so that the two sides seldom wait for each other.
pub const BLOCK: usize = 256 * 1024;

/// How many blocks may wait.
const WAITING: usize = 4;

pub type Blocks = mpsc::Receiver<Result<Vec<u8>, SourceFailed>>;

/// Runs `produce` on a thread of its own. What it writes comes out of the receiver; its result out of the handle. If it
/// fails, the receiver says so, which stops the command that takes the stream.
pub fn produce<T: Send + 'static>(
    produce: impl FnOnce(&mut BlockWriter) -> Result<T, UploadError> + Send + 'static,
) -> (Blocks, tokio::task::JoinHandle<Result<T, UploadError>>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let task = tokio::task::spawn_blocking(move || {
        let mut writer = BlockWriter {
            sender,
            block: Vec::with_capacity(BLOCK),
        };
        let result = produce(&mut writer);
        match &result {
            Ok(_) => writer.send_rest(),
            // If nobody listens any more, the command has ended already.
            Err(_) => drop(writer.sender.blocking_send(Err(SourceFailed))),
        }
        result
    });
    (receiver, task)
}

/// Collects what is written into blocks.
pub struct BlockWriter {
    sender: mpsc::Sender<Result<Vec<u8>, SourceFailed>>,
    block: Vec<u8>,
}

impl BlockWriter {
    fn send_rest(mut self) {
        if !self.block.is_empty() {
            // As above: a command that has ended does not want the rest.
            let _ = self.send();
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.sender
            .blocking_send(Ok(block))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(taken)
    }

    /// Does nothing: a block is sent when it is full, and the last one at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether an error of `produce` only says that the host stopped listening, so that the host's own words matter more.
pub fn is_echo(error: &UploadError) -> bool {
    matches!(error, UploadError::Local { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

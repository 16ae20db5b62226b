//! Fetching a folder: a list of hashes and one compressed tar stream, unpacked while it arrives.

use super::bytes::unique_suffix;
use super::unpack::{Staged, UnpackError, unpack};
use super::{RemotePath, UploadError, Uploaded, remote_shell};
use crate::connect::Connection;
use crate::exec::{Collected, Execution, OutputSink, Stream};
use crate::lines::LineSplitter;
use crate::script::Become;
use std::io::{self, Read};
use std::path::Path;
use tokio::sync::mpsc;

/// How many blocks may wait to be unpacked: a slow disk holds the host up instead of filling the memory.
const WAITING: usize = 4;

impl Connection {
    /// Fetches what is in the folder `remote` into the folder `local`, which must be there, with the rights of `reader`.
    /// Every file is checked by SHA-256, and all of it arrives before any of it is put in place. Files and folders are
    /// open to their owner only; files keep their modification times. What is in `local` already and not in `remote`
    /// stays.
    ///
    /// The host is not trusted: names and links that lead out of the folder are refused, with all that came with them.
    ///
    /// # Errors
    /// See [`UploadError`]. Unless putting in place itself failed, nothing is changed in `local` then.
    pub async fn download_directory(
        &self,
        remote: &RemotePath,
        local: &Path,
        reader: &Become,
    ) -> Result<Uploaded, UploadError> {
        let run = |source| UploadError::Run {
            remote: remote.clone(),
            source,
        };
        let (blocks, receiver) = mpsc::channel(WAITING);
        let staging = local.join(format!(".qib-{}.part", unique_suffix()));
        let unpacking = tokio::task::spawn_blocking(move || {
            let stream = Blocks {
                receiver,
                block: Vec::new(),
                taken: 0,
            };
            unpack(stream, &staging)
        });
        let command = reader.run_shell(&remote_shell::send_directory(remote));
        let mut execution = Execution::start(self, &command, None).await.map_err(run)?;
        execution.end_input().await;
        let mut said = Collected::at_most(remote_shell::MOST_SAID);
        let mut stderr = LineSplitter::new();
        // The name of a missing program comes on standard output too, and is short.
        let mut start = Vec::new();
        let mut refused = false;
        while let Some((stream, block)) = execution.next_output().await {
            let block = block.as_ref();
            match stream {
                Stream::Stdout => {
                    start.extend_from_slice(&block[..block.len().min(64 - start.len())]);
                    // Nobody takes it any more: it was refused, and the reason comes from there.
                    if blocks.send(block.to_vec()).await.is_err() {
                        refused = true;
                        break;
                    }
                }
                Stream::Stderr => stderr.push(block, |line| said.line(Stream::Stderr, line)),
            }
        }
        drop(blocks);
        stderr.finish(|line| said.line(Stream::Stderr, line));
        let staged = unpacking
            .await
            .unwrap_or_else(|panic| Err(UnpackError::Stream(io::Error::other(panic))));
        if !refused {
            let exit = execution.conclude().await.map_err(run)?;
            if !exit.is_success() {
                said.line(Stream::Stdout, String::from_utf8_lossy(&start).trim());
            }
            // A refusal says more than that the host could not send the rest; a stream that breaks off says less.
            if !matches!(
                staged,
                Err(UnpackError::Refused { .. } | UnpackError::Local { .. })
            ) {
                remote_shell::conclude(self, remote, &exit, &said)?;
            }
        }
        let staged = staged.map_err(|error| self.not_taken(remote, error))?;
        self.put_in_place(remote, staged, local).await
    }

    async fn put_in_place(
        &self,
        remote: &RemotePath,
        staged: Staged,
        local: &Path,
    ) -> Result<Uploaded, UploadError> {
        let folder = local.to_owned();
        let placed = tokio::task::spawn_blocking(move || staged.put_in_place(&folder))
            .await
            .unwrap_or_else(|panic| Err(UnpackError::Stream(io::Error::other(panic))));
        let (files, bytes) = placed.map_err(|error| self.not_taken(remote, error))?;
        Ok(Uploaded { files, bytes })
    }

    fn not_taken(&self, remote: &RemotePath, error: UnpackError) -> UploadError {
        match error {
            UnpackError::Local { path, source } => UploadError::Local {
                doing: "write",
                path,
                source,
            },
            other => UploadError::NotTaken {
                destination: self.destination().clone(),
                remote: remote.clone(),
                detail: other.to_string(),
            },
        }
    }
}

/// The blocks as blocking code reads them.
struct Blocks {
    receiver: mpsc::Receiver<Vec<u8>>,
    block: Vec<u8>,
    taken: usize,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() {
            match self.receiver.blocking_recv() {
                Some(block) => {
                    self.block = block;
                    self.taken = 0;
                }
                None => return Ok(0),
            }
        }
        let rest = &self.block[self.taken..];
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        self.taken += n;
        Ok(n)
    }
}

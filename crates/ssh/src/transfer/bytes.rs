//! Uploading what is in memory.

use super::{FileMode, RemotePath, UploadError, Uploaded, remote_shell};
use crate::connect::Connection;
use crate::exec::{Collected, Execution, Input, OutputSink, Stream};
use crate::lines::LineSplitter;
use crate::quote::through_posix_shell;
use sha2::{Digest, Sha256};

/// One small file for the host, and the shell text around its receipt.
pub struct PutBytes<'a> {
    pub content: &'a [u8],
    pub remote: &'a RemotePath,
    pub mode: FileMode,
    /// Turns the receiving program into the command for the login shell.
    pub command: &'a (dyn Fn(&str) -> String + Sync),
}

impl Connection {
    /// Writes `content` to a file that is never open to more than `mode` allows, checked by SHA-256 and moved into place
    /// when it is complete. Missing folders are made. A file that was there is replaced; if a symbolic link was there,
    /// the link is replaced, not what it points to.
    ///
    /// # Errors
    /// See [`UploadError`]. Nothing is left at the host then.
    pub async fn upload_bytes(
        &self,
        content: &[u8],
        remote: &RemotePath,
        mode: FileMode,
    ) -> Result<Uploaded, UploadError> {
        put(
            self,
            PutBytes {
                content,
                remote,
                mode,
                command: &|program| through_posix_shell(program),
            },
        )
        .await
    }
}

pub async fn put(connection: &Connection, file: PutBytes<'_>) -> Result<Uploaded, UploadError> {
    let remote = file.remote;
    let unique = unique_suffix();
    let program = remote_shell::receive_file(remote, "upload", &unique, &file.mode.to_string(), "");
    let mut input = format!("{}\n", hex::encode(Sha256::digest(file.content))).into_bytes();
    input.extend_from_slice(file.content);
    receive(
        connection,
        remote,
        &(file.command)(&program),
        Input::Bytes(input),
    )
    .await?;
    Ok(Uploaded {
        files: 1,
        bytes: file.content.len() as u64,
    })
}

/// Runs a receiving program and turns its ending into a result.
pub async fn receive(
    connection: &Connection,
    remote: &RemotePath,
    command: &str,
    input: Input,
) -> Result<(), UploadError> {
    let run = |source| UploadError::Run {
        remote: remote.clone(),
        source,
    };
    let mut said = Collected::at_most(remote_shell::MOST_SAID);
    let (mut stdout, mut stderr) = (LineSplitter::new(), LineSplitter::new());
    let execution = Execution::start(connection, command, None)
        .await
        .map_err(run)?;
    let exit = execution
        .finish(input, &mut |stream, bytes| {
            let lines = if stream == Stream::Stdout {
                &mut stdout
            } else {
                &mut stderr
            };
            lines.push(bytes, |line| said.line(stream, line));
        })
        .await
        .map_err(run)?;
    stdout.finish(|line| said.line(Stream::Stdout, line));
    stderr.finish(|line| said.line(Stream::Stderr, line));
    remote_shell::conclude(connection, remote, &exit, &said)
}

/// Tells apart the temporary files of two uploads to one place.
pub fn unique_suffix() -> String {
    format!("{:016x}", rand::random::<u64>())
}

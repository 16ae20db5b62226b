//! Fetching one file.

use super::bytes::unique_suffix;
use super::{RemotePath, UploadError, Uploaded, remote_shell};
use crate::connect::Connection;
use crate::exec::{Collected, Execution, OutputSink, Stream};
use crate::lines::LineSplitter;
use crate::quote::shell_quote;
use crate::script::Become;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

impl Connection {
    /// Fetches a file to `local`, checked by SHA-256 and put in place when it is complete, readable by its owner only. It
    /// is never held in memory. It is read with the rights of `reader`.
    ///
    /// # Errors
    /// See [`UploadError`]. Nothing is left at `local` then, and what was there stays.
    pub async fn download_file(
        &self,
        remote: &RemotePath,
        local: &Path,
        reader: &Become,
    ) -> Result<Uploaded, UploadError> {
        let mut part = local.as_os_str().to_owned();
        part.push(format!(".qib-{}.part", unique_suffix()));
        let part = Part(Some(PathBuf::from(part)));
        let downloaded = fetch(self, remote, part.path(), reader).await?;
        part.put_in_place(local)?;
        Ok(downloaded)
    }
}

async fn fetch(
    connection: &Connection,
    remote: &RemotePath,
    part: &Path,
    reader: &Become,
) -> Result<Uploaded, UploadError> {
    let run = |source| UploadError::Run {
        remote: remote.clone(),
        source,
    };
    let local = |doing, source| UploadError::Local {
        doing,
        path: part.to_owned(),
        source,
    };
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(part).await.map_err(|e| local("create", e))?;

    let require = remote_shell::require(&["sha256sum"]);
    // The content goes to standard output, its hash to standard error.
    let program = format!(
        "{require}; f={}; cat <\"$f\" && sha256sum <\"$f\" >&2",
        shell_quote(remote.as_str())
    );
    let command = reader.run_shell(&program);
    let mut execution = Execution::start(connection, &command, None)
        .await
        .map_err(run)?;
    execution.end_input().await;
    let mut said = Collected::at_most(remote_shell::MOST_SAID);
    let mut stderr = LineSplitter::new();
    let mut hash = Sha256::new();
    let mut bytes = 0;
    // The name of a missing program comes on standard output too, and is short.
    let mut start = Vec::new();
    while let Some((stream, block)) = execution.next_output().await {
        let block = block.as_ref();
        match stream {
            Stream::Stdout => {
                hash.update(block);
                bytes += block.len() as u64;
                start.extend_from_slice(&block[..block.len().min(64 - start.len())]);
                file.write_all(block).await.map_err(|e| local("write", e))?;
            }
            Stream::Stderr => stderr.push(block, |line| said.line(Stream::Stderr, line)),
        }
    }
    stderr.finish(|line| said.line(Stream::Stderr, line));
    let exit = execution.conclude().await.map_err(run)?;
    if !exit.is_success() {
        said.line(Stream::Stdout, String::from_utf8_lossy(&start).trim());
    }
    remote_shell::conclude(connection, remote, &exit, &said)?;
    let wanted = said.text(Stream::Stderr);
    let wanted = wanted
        .lines()
        .next_back()
        .and_then(|line| line.split(' ').next())
        .unwrap_or_default();
    if hex::encode(hash.finalize()) != wanted {
        return Err(UploadError::Mismatch {
            destination: connection.destination().clone(),
            remote: remote.clone(),
            detail: "it may have changed while it was fetched".into(),
        });
    }
    file.flush().await.map_err(|e| local("write", e))?;
    Ok(Uploaded { files: 1, bytes })
}

/// A file that is removed unless it is put in place.
struct Part(Option<PathBuf>);

impl Part {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    fn put_in_place(mut self, place: &Path) -> Result<(), UploadError> {
        let Some(part) = self.0.take() else {
            return Ok(());
        };
        std::fs::rename(&part, place).map_err(|source| {
            self.0 = Some(part);
            UploadError::Local {
                doing: "write",
                path: place.to_owned(),
                source,
            }
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(part) = &self.0
            && let Err(error) = std::fs::remove_file(part)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %part.display(), %error, "a partly fetched file stays behind");
        }
    }
}

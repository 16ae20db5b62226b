//! Uploading one file.

use super::bytes::{receive, unique_suffix};
use super::source::{self, BLOCK, is_echo};
use super::{FileMode, FileUpload, RemotePath, UploadError, Uploaded, remote_shell};
use crate::connect::Connection;
use crate::exec::Input;
use crate::quote::through_posix_shell;
use sha2::{Digest, Sha256};
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

impl Connection {
    /// Uploads a file with its permission bits (unless `options` gives others) and its modification time (to the second).
    /// It is read twice, to hash and to send it, and never held in memory. Otherwise as [`Connection::upload_bytes`]; if
    /// `remote` is a folder or ends in a slash, the file keeps its name and goes into it.
    ///
    /// # Errors
    /// See [`UploadError`]. Nothing is left at the host then.
    pub async fn upload_file(
        &self,
        local: &Path,
        remote: &RemotePath,
        options: FileUpload,
    ) -> Result<Uploaded, UploadError> {
        let source = open(local)?;
        let mode = options
            .mode
            .unwrap_or_else(|| FileMode::new(source.metadata.permissions().mode()));
        let name = local
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_else(|| "upload".into());
        let touch = touch(&source.metadata, local)?;
        let program =
            remote_shell::receive_file(remote, &name, &unique_suffix(), &mode.to_string(), &touch);
        let (blocks, reading) = source::produce(move |out| source.send(out));
        let received = receive(
            self,
            remote,
            &through_posix_shell(&program),
            Input::Blocks(blocks),
        )
        .await;
        conclude(received, reading, local).await
    }
}

/// Of two sides' errors, the one that caused the other.
pub async fn conclude(
    received: Result<(), UploadError>,
    producing: tokio::task::JoinHandle<Result<Uploaded, UploadError>>,
    local: &Path,
) -> Result<Uploaded, UploadError> {
    let produced = producing.await.unwrap_or_else(|panic| {
        Err(UploadError::Local {
            doing: "read",
            path: local.to_owned(),
            source: io::Error::other(panic),
        })
    });
    match (received, produced) {
        (Ok(()), produced) => produced,
        (Err(_), Err(error)) if !is_echo(&error) => Err(error),
        (Err(error), _) => Err(error),
    }
}

struct Source {
    file: File,
    path: PathBuf,
    metadata: Metadata,
}

fn open(path: &Path) -> Result<Source, UploadError> {
    let local = |doing, source| UploadError::Local {
        doing,
        path: path.to_owned(),
        source,
    };
    // Opening a named pipe would wait for a writer, so what it is comes first.
    let metadata = std::fs::metadata(path).map_err(|e| local("read", e))?;
    if metadata.is_dir() {
        return Err(UploadError::WrongKind {
            path: path.to_owned(),
            kind: "a folder, where a file is expected",
        });
    }
    if let Some(kind) = special(metadata.file_type()) {
        return Err(UploadError::Special {
            path: path.to_owned(),
            kind,
        });
    }
    let file = File::open(path).map_err(|e| local("open", e))?;
    let metadata = file.metadata().map_err(|e| local("read", e))?;
    Ok(Source {
        file,
        path: path.to_owned(),
        metadata,
    })
}

/// What a file is, if it is nothing that can be uploaded.
pub fn special(kind: FileType) -> Option<&'static str> {
    match kind {
        _ if kind.is_socket() => Some("a socket"),
        _ if kind.is_fifo() => Some("a named pipe"),
        _ if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        _ => None,
    }
}

impl Source {
    /// Writes the content's hash, a newline, and the content.
    fn send(mut self, out: &mut impl Write) -> Result<Uploaded, UploadError> {
        let path = self.path.clone();
        let local = |doing, source| UploadError::Local {
            doing,
            path: path.clone(),
            source,
        };
        let mut hash = Sha256::new();
        let size = copy(&mut self.file, &mut |bytes| {
            hash.update(bytes);
            Ok(())
        })
        .map_err(|e| local("read", e))?;
        self.file.rewind().map_err(|e| local("read again", e))?;
        writeln!(out, "{}", hex::encode(hash.finalize())).map_err(|e| local("send", e))?;
        let sent = copy(&mut self.file, &mut |bytes| out.write_all(bytes))
            .map_err(|e| local("send", e))?;
        if sent != size {
            return Err(UploadError::Changed { path });
        }
        Ok(Uploaded {
            files: 1,
            bytes: sent,
        })
    }
}

/// Passes all of `from` to `take`, block by block; returns how many bytes that were.
fn copy(from: &mut impl Read, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut total = 0;
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(total),
            Ok(n) => {
                take(&block[..n])?;
                total += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Shell text that gives `$part` the file's modification time, in the one form of `touch` that POSIX has for all.
fn touch(metadata: &Metadata, path: &Path) -> Result<String, UploadError> {
    let local = |source| UploadError::Local {
        doing: "read the modification time of",
        path: path.to_owned(),
        source,
    };
    let seconds = unix_seconds(metadata.modified().map_err(local)?);
    let stamp = jiff::Timestamp::from_second(seconds).map_err(|e| local(io::Error::other(e)))?;
    // A date that touch cannot take (before 1969, say) is not worth the upload.
    Ok(format!(
        "TZ=UTC0 touch -m -t {} \"$part\" || :",
        stamp.strftime("%Y%m%d%H%M.%S")
    ))
}

/// Whole seconds since 1970, rounded down as `stat` does.
pub fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            if before.subsec_nanos() == 0 {
                -whole
            } else {
                -whole - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_rounded_down() {
        assert_eq!(unix_seconds(UNIX_EPOCH + Duration::from_millis(1900)), 1);
        assert_eq!(unix_seconds(UNIX_EPOCH - Duration::from_millis(100)), -1);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_before_anything_is_sent() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let socket = dir.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        assert!(matches!(
            open(&socket),
            Err(UploadError::Special {
                kind: "a socket",
                ..
            })
        ));
        assert!(matches!(
            open(dir.path()),
            Err(UploadError::WrongKind { .. })
        ));
        assert!(matches!(
            open(&dir.path().join("none")),
            Err(UploadError::Local { .. })
        ));
    }

    #[test]
    fn the_hash_comes_first_then_the_content() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("f");
        std::fs::write(&path, "abc").expect("the file is written");
        let mut out = Vec::new();
        let uploaded = open(&path)
            .expect("it opens")
            .send(&mut out)
            .expect("it is sent");
        assert_eq!(uploaded, Uploaded { files: 1, bytes: 3 });
        // SHA-256 of "abc": FIPS 180-4, appendix B.1.
        assert_eq!(
            out,
            b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nabc"
        );
    }
}

//! Uploading a folder: one tar stream, compressed while it is made, unpacked while it arrives. Its last entry lists the
//! hash of every file in the format of `sha256sum`, and is checked and removed at the host.

use super::bytes::{receive, unique_suffix};
use super::file::{conclude, special, unix_seconds};
use super::source;
use super::{FileMode, RemotePath, UploadError, Uploaded, remote_shell};
use crate::connect::Connection;
use crate::exec::Input;
use crate::quote::through_posix_shell;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

impl Connection {
    /// Uploads what is in the folder `local` into the folder `remote`, which is made if it is not there. Folders below it,
    /// files and symbolic links keep their names, permission bits and modification times (to the second); they belong to
    /// the user who logs in. Links are copied as they are, never followed. What is in `remote` already and not in `local`
    /// stays.
    ///
    /// # Errors
    /// See [`UploadError`]. Sockets, named pipes and devices are found before anything is sent. After other errors, part
    /// of the files may be at the host.
    pub async fn upload_directory(
        &self,
        local: &Path,
        remote: &RemotePath,
    ) -> Result<Uploaded, UploadError> {
        let top = local.to_owned();
        let (mode, entries) = tokio::task::spawn_blocking(move || survey(&top))
            .await
            .unwrap_or_else(|panic| {
                Err(UploadError::Local {
                    doing: "read",
                    path: local.to_owned(),
                    source: io::Error::other(panic),
                })
            })?;
        let manifest = format!(".qib-{}.sha256", unique_suffix());
        let program = remote_shell::receive_directory(remote, &manifest, &mode.to_string());
        let (blocks, packing) = source::produce(move |out| pack(entries, &manifest, out));
        let received = receive(
            self,
            remote,
            &through_posix_shell(&program),
            Input::Blocks(blocks),
        )
        .await;
        conclude(received, packing, local).await
    }
}

/// One thing to upload.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    /// Below the folder: never absolute, never with `..`.
    name: PathBuf,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Folder,
    File,
    Link,
}

/// Lists the folder, in the order of names, so that the same folder always makes the same stream. Returns also the
/// folder's own permission bits.
fn survey(top: &Path) -> Result<(FileMode, Vec<Entry>), UploadError> {
    let local = |path: &Path, source| UploadError::Local {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(top).map_err(|e| local(top, e))?;
    if !metadata.is_dir() {
        return Err(UploadError::WrongKind {
            path: top.to_owned(),
            kind: "no folder, where one is expected",
        });
    }
    let mut entries = Vec::new();
    for found in WalkDir::new(top).min_depth(1).sort_by_file_name() {
        let found = found.map_err(|error| {
            let path = error.path().unwrap_or(top).to_owned();
            UploadError::Local {
                doing: "read",
                path,
                source: error.into(),
            }
        })?;
        let kind = found.file_type();
        let what = match kind {
            _ if kind.is_dir() => What::Folder,
            _ if kind.is_file() => What::File,
            _ if kind.is_symlink() => What::Link,
            _ => {
                let kind =
                    special(kind).unwrap_or("neither a file nor a folder nor a symbolic link");
                return Err(UploadError::Special {
                    path: found.into_path(),
                    kind,
                });
            }
        };
        let name = found
            .path()
            .strip_prefix(top)
            .map_err(|e| local(found.path(), io::Error::other(e)))?
            .to_owned();
        entries.push(Entry {
            path: found.into_path(),
            name,
            what,
        });
    }
    Ok((FileMode::new(metadata.permissions().mode()), entries))
}

/// Writes the compressed stream.
fn pack(
    entries: Vec<Entry>,
    manifest: &str,
    out: &mut impl Write,
) -> Result<Uploaded, UploadError> {
    // Fast: the network is rarely slower than level 1, and level 6 is several times slower for a few per cent.
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
    let mut list = Vec::new();
    let mut total = Uploaded::default();
    for entry in &entries {
        let local = |source| UploadError::Local {
            doing: "send",
            path: entry.path.clone(),
            source,
        };
        let metadata = std::fs::symlink_metadata(&entry.path).map_err(local)?;
        let mut header = header(&metadata);
        match entry.what {
            What::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, &entry.name, io::empty())
                    .map_err(local)?;
            }
            What::Link => {
                header.set_entry_type(tar::EntryType::Symlink);
                let target = std::fs::read_link(&entry.path).map_err(local)?;
                tar.append_link(&mut header, &entry.name, &target)
                    .map_err(local)?;
            }
            What::File => {
                let file = File::open(&entry.path).map_err(local)?;
                let size = file.metadata().map_err(local)?.len();
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(size);
                let mut content = Hashing {
                    from: file.take(size),
                    hash: Sha256::new(),
                    bytes: 0,
                };
                tar.append_data(&mut header, &entry.name, &mut content)
                    .map_err(local)?;
                if content.bytes != size {
                    return Err(UploadError::Changed {
                        path: entry.path.clone(),
                    });
                }
                list_file(
                    &mut list,
                    &content.hash.finalize(),
                    entry.name.as_os_str().as_bytes(),
                );
                total.files += 1;
                total.bytes += size;
            }
        }
    }
    let finishing = |source| UploadError::Local {
        doing: "send",
        path: PathBuf::from(manifest),
        source,
    };
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(list.len() as u64);
    tar.append_data(&mut header, manifest, list.as_slice())
        .map_err(finishing)?;
    tar.into_inner()
        .and_then(GzEncoder::finish)
        .map_err(finishing)?;
    Ok(total)
}

/// Owner and group stay 0: at the host everything belongs to whoever unpacks it.
fn header(metadata: &Metadata) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(FileMode::new(metadata.permissions().mode()).bits());
    // tar has no times before 1970.
    header.set_mtime(
        metadata
            .modified()
            .map_or(0, |time| u64::try_from(unix_seconds(time)).unwrap_or(0)),
    );
    header.set_size(0);
    header
}

/// Adds a line as `sha256sum -c` reads it. A name with a backslash or a newline is escaped, and its line says so by
/// beginning with a backslash (coreutils manual, "md5sum invocation").
fn list_file(list: &mut Vec<u8>, hash: &[u8], name: &[u8]) {
    if name.iter().any(|c| matches!(c, b'\\' | b'\n')) {
        list.push(b'\\');
    }
    list.extend_from_slice(hex::encode(hash).as_bytes());
    // `./` keeps a file called `-` from meaning standard input.
    list.extend_from_slice(b"  ./");
    for &c in name {
        match c {
            b'\\' => list.extend_from_slice(b"\\\\"),
            b'\n' => list.extend_from_slice(b"\\n"),
            _ => list.push(c),
        }
    }
    list.push(b'\n');
}

/// Hashes and counts what is read through it.
struct Hashing<R> {
    from: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::os::unix::fs::symlink;

    fn packed(top: &Path) -> Vec<u8> {
        let (_, entries) = survey(top).expect("the folder can be listed");
        let mut out = Vec::new();
        pack(entries, "manifest", &mut out).expect("the folder can be packed");
        out
    }

    #[test]
    fn the_stream_is_the_same_each_time_and_stays_below_its_folder() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("b")).expect("a folder");
        std::fs::write(dir.path().join("b/two"), "2").expect("a file");
        std::fs::write(dir.path().join("a"), "1").expect("a file");
        symlink("/etc/passwd", dir.path().join("link")).expect("a link");
        symlink("../..", dir.path().join("up")).expect("a link");
        let stream = packed(dir.path());
        assert_eq!(stream, packed(dir.path()));

        let mut archive = tar::Archive::new(GzDecoder::new(stream.as_slice()));
        let names: Vec<_> = archive
            .entries()
            .expect("a tar")
            .map(|e| {
                let e = e.expect("an entry");
                (
                    e.path().expect("a name").into_owned(),
                    e.header().entry_type(),
                )
            })
            .collect();
        use tar::EntryType::{Directory, Regular, Symlink};
        let expected = [
            ("a", Regular),
            ("b", Directory),
            ("b/two", Regular),
            ("link", Symlink),
            ("up", Symlink),
            ("manifest", Regular),
        ];
        assert_eq!(names, expected.map(|(n, t)| (PathBuf::from(n), t)));
    }

    #[test]
    fn a_socket_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let _listener =
            std::os::unix::net::UnixListener::bind(dir.path().join("s")).expect("a socket");
        let error = survey(dir.path()).expect_err("sockets are refused");
        assert!(
            matches!(&error, UploadError::Special { path, kind: "a socket" } if path.ends_with("s")),
            "{error}"
        );
    }

    #[test]
    fn odd_names_are_escaped_for_sha256sum() {
        let mut list = Vec::new();
        list_file(&mut list, &[0xab; 2], b"a\\b\nc");
        list_file(&mut list, &[0xcd; 2], b"-");
        assert_eq!(list, b"\\abab  ./a\\\\b\\nc\ncdcd  ./-\n");
    }
}

//! Unpacking what a host sends, without trusting it: whatever is in the stream, nothing is made outside of the folder that
//! was named.
//!
//! ```text
//!   hashes, one a line ─▶ (empty line) ─▶ gzip'ed tar
//!                                             │ each entry's name and kind is checked
//!                                             ▼
//!                             .qib-….part in the folder: real folders and files only
//!                                             │ all hashes are right, all links stay inside: links are made
//!                                             ▼
//!                             moved into place, one by one, never through a link that is there
//! ```

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};
use tar::EntryType;

/// Why a stream is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A name or a kind that could reach out of the folder, or that cannot be made.
    #[error("{name:?} is refused: {why}")]
    Refused {
        /// As the host sent it.
        name: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// A file is not what the host's own list says.
    #[error("{0:?} is not as it was listed; it may have changed while it was fetched")]
    Mismatch(PathBuf),
    /// The stream ended early, or is none.
    #[error("the stream cannot be read: {0}")]
    Stream(io::Error),
    /// Something cannot be made here.
    #[error("cannot write {}: {source}", path.display())]
    Local {
        /// What.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn local(path: &Path) -> impl FnOnce(io::Error) -> UnpackError {
    let path = path.to_owned();
    move |source| UnpackError::Local { path, source }
}

/// What was unpacked, still beside its place. It is removed unless it is put there.
#[derive(Debug)]
pub struct Staged {
    folder: PathBuf,
    pub files: u64,
    pub bytes: u64,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.folder.display(), %error, "a partly fetched folder stays behind");
        }
    }
}

/// Unpacks a stream into the new folder `staging`.
pub fn unpack(stream: impl Read, staging: &Path) -> Result<Staged, UnpackError> {
    fs::create_dir(staging).map_err(local(staging))?;
    let mut staged = Staged {
        folder: staging.to_owned(),
        files: 0,
        bytes: 0,
    };
    fs::set_permissions(staging, fs::Permissions::from_mode(0o700)).map_err(local(staging))?;
    let mut stream = BufReader::new(stream);
    let mut listed = read_list(&mut stream)?;
    let mut links: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut archive = tar::Archive::new(GzDecoder::new(stream));
    for entry in archive.entries().map_err(UnpackError::Stream)? {
        let mut entry = entry.map_err(UnpackError::Stream)?;
        let sent = entry.path().map_err(UnpackError::Stream)?.into_owned();
        let Some(name) = inner_name(&sent)? else {
            continue;
        };
        let place = staging.join(&name);
        let refused = |why| UnpackError::Refused {
            name: sent.clone(),
            why,
        };
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(local(parent))?;
        }
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&place).map_err(local(&place))?,
            EntryType::Regular | EntryType::Continuous => {
                let owner_bits = entry.header().mode().unwrap_or(0o600) & 0o700;
                let (hash, bytes) = write_file(&mut entry, &place, owner_bits | 0o600)?;
                if let Ok(seconds) = entry.header().mtime() {
                    set_time(&place, seconds)?;
                }
                check(&mut listed, &name, &hash)?;
                staged.files += 1;
                staged.bytes += bytes;
            }
            EntryType::Link => {
                let target = entry.link_name().map_err(UnpackError::Stream)?;
                let target = target.ok_or_else(|| refused("it is a hard link to nothing"))?;
                let Some(original) = inner_name(&target)? else {
                    return Err(refused("it is a hard link to the folder itself"));
                };
                // No link is made before the end, so this goes through none.
                let original = staging.join(original);
                if !fs::symlink_metadata(&original).is_ok_and(|m| m.is_file()) {
                    return Err(refused("it is a hard link to what was not sent before it"));
                }
                let mode = fs::metadata(&original)
                    .map_err(local(&original))?
                    .permissions()
                    .mode();
                let mut from = File::open(&original).map_err(local(&original))?;
                let (hash, bytes) = write_file(&mut from, &place, mode & 0o700)?;
                check(&mut listed, &name, &hash)?;
                staged.files += 1;
                staged.bytes += bytes;
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(UnpackError::Stream)?;
                let target = target
                    .ok_or_else(|| refused("it is a link to nothing"))?
                    .into_owned();
                if !stays_inside(&name, &target) {
                    return Err(refused("it is a link that points out of the folder"));
                }
                links.push((place, target));
            }
            EntryType::XGlobalHeader => {}
            _ => return Err(refused("it is neither a file nor a folder nor a link")),
        }
    }
    // To its end, where its checksum is.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(UnpackError::Stream)?;
    if let Some((missing, _)) = listed.into_iter().next() {
        return Err(UnpackError::Mismatch(missing));
    }
    for (place, target) in links {
        symlink(&target, &place).map_err(local(&place))?;
    }
    Ok(staged)
}

impl Staged {
    /// Moves everything into `folder`. What is there already and was not sent stays; a file that was sent replaces one of
    /// the same name. A folder that was sent is never merged into a link, nor a file into a folder.
    pub fn put_in_place(self, folder: &Path) -> Result<(u64, u64), UnpackError> {
        merge(&self.folder, folder)?;
        Ok((self.files, self.bytes))
    }
}

fn merge(from: &Path, to: &Path) -> Result<(), UnpackError> {
    for entry in fs::read_dir(from).map_err(local(from))? {
        let entry = entry.map_err(local(from))?;
        let source = entry.path();
        let place = to.join(entry.file_name());
        let kind = entry.file_type().map_err(local(&source))?;
        let refused = |why| UnpackError::Refused {
            name: place.clone(),
            why,
        };
        match fs::symlink_metadata(&place) {
            Ok(there) if kind.is_dir() && there.is_dir() => merge(&source, &place)?,
            Ok(_) if kind.is_dir() => {
                return Err(refused("a folder is to go where something else stands"));
            }
            Ok(there) if there.is_dir() => {
                return Err(refused("a file is to go where a folder stands"));
            }
            Ok(_) => fs::rename(&source, &place).map_err(local(&place))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::rename(&source, &place).map_err(local(&place))?;
            }
            Err(error) => return Err(local(&place)(error)),
        }
    }
    Ok(())
}

/// A name below the folder; none for the folder itself.
fn inner_name(sent: &Path) -> Result<Option<PathBuf>, UnpackError> {
    let mut name = PathBuf::new();
    for component in sent.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) if !part.as_bytes().contains(&0) => name.push(part),
            Component::Normal(_)
            | Component::ParentDir
            | Component::RootDir
            | Component::Prefix(_) => {
                return Err(UnpackError::Refused {
                    name: sent.to_owned(),
                    why: "its name leads out of the folder",
                });
            }
        }
    }
    Ok((!name.as_os_str().is_empty()).then_some(name))
}

/// Whether a link called `name` that points at `target` leads to a place inside, whatever other links there are.
///
/// A link's own folder is a real one. From there as many `..` as it is deep stay inside. After a name, no `..` may come:
/// the name may be a link itself, and what lies above its target is not known. A way of names stays inside as long as
/// each link on it does, and each is checked so.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let depth = name.components().count() - 1;
    let mut up = 0;
    let mut named = false;
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if !named => up += 1,
            Component::Normal(_) => named = true,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    up <= depth
}

fn write_file(
    from: &mut impl Read,
    place: &Path,
    mode: u32,
) -> Result<([u8; 32], u64), UnpackError> {
    // A name that was sent before is not written through, whatever stands there.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(place)
        .map_err(local(place))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let n = from.read(&mut block).map_err(UnpackError::Stream)?;
        if n == 0 {
            break;
        }
        hash.update(&block[..n]);
        file.write_all(&block[..n]).map_err(local(place))?;
        bytes += n as u64;
    }
    Ok((hash.finalize().into(), bytes))
}

fn set_time(place: &Path, seconds: u64) -> Result<(), UnpackError> {
    // tar has times far beyond what a file system has; such a one is left out.
    let Some(time) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) else {
        return Ok(());
    };
    let file = File::options()
        .write(true)
        .open(place)
        .map_err(local(place))?;
    match file.set_modified(time) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        Err(error) => Err(local(place)(error)),
    }
}

/// Takes a file off the list.
fn check(
    listed: &mut BTreeMap<PathBuf, [u8; 32]>,
    name: &Path,
    hash: &[u8; 32],
) -> Result<(), UnpackError> {
    match listed.remove(name) {
        Some(wanted) if wanted == *hash => Ok(()),
        Some(_) | None => Err(UnpackError::Mismatch(name.to_owned())),
    }
}

/// The list at the stream's beginning, as `sha256sum` prints it, up to an empty line.
fn read_list(stream: &mut impl BufRead) -> Result<BTreeMap<PathBuf, [u8; 32]>, UnpackError> {
    let mut listed = BTreeMap::new();
    loop {
        let mut line = Vec::new();
        stream
            .read_until(b'\n', &mut line)
            .map_err(UnpackError::Stream)?;
        if line.pop() != Some(b'\n') {
            return Err(UnpackError::Stream(io::ErrorKind::UnexpectedEof.into()));
        }
        if line.is_empty() {
            return Ok(listed);
        }
        let (name, hash) = list_line(&line).ok_or_else(|| {
            UnpackError::Stream(io::Error::other("its list of files cannot be read"))
        })?;
        let name = PathBuf::from(std::ffi::OsString::from_vec(name));
        if let Some(name) = inner_name(&name)? {
            listed.insert(name, hash);
        }
    }
}

/// `HASH  NAME`. A line that begins with a backslash has `\\`, `\n` and `\r` in its name (coreutils manual, "md5sum
/// invocation").
fn list_line(line: &[u8]) -> Option<(Vec<u8>, [u8; 32])> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (hash, rest) = line.split_at_checked(64)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).ok()?;
    let written = rest.strip_prefix(b"  ").or(rest.strip_prefix(b" *"))?;
    if !escaped {
        return Some((written.to_vec(), bytes));
    }
    let mut name = Vec::new();
    let mut rest = written.iter();
    while let Some(&c) = rest.next() {
        name.push(match c {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some((name, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    /// What a hostile host may put into a stream.
    #[derive(Clone, Debug)]
    enum Sent {
        Folder(String),
        File(String),
        Symlink(String, String),
        Hard(String, String),
        Fifo(String),
    }

    /// A stream with names as they are: `tar::Builder` itself would refuse most of them.
    fn stream(entries: &[Sent], list: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for entry in entries {
            let (name, kind, link, content): (&str, EntryType, &str, &[u8]) = match entry {
                Sent::Folder(name) => (name, EntryType::Directory, "", b""),
                Sent::File(name) => (name, EntryType::Regular, "", b"x"),
                Sent::Symlink(name, to) => (name, EntryType::Symlink, to, b""),
                Sent::Hard(name, to) => (name, EntryType::Link, to, b""),
                Sent::Fifo(name) => (name, EntryType::Fifo, "", b""),
            };
            if list && !content.is_empty() {
                out.extend_from_slice(
                    format!("{}  {name}\n", hex::encode(Sha256::digest(content))).as_bytes(),
                );
            }
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().expect("a GNU header").name[..name.len()]
                .copy_from_slice(name.as_bytes());
            header.as_gnu_mut().expect("a GNU header").linkname[..link.len()]
                .copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(0o4777);
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content).expect("an entry");
        }
        out.push(b'\n');
        out.extend(
            tar.into_inner()
                .and_then(GzEncoder::finish)
                .expect("a stream"),
        );
        out
    }

    /// A folder `inside` with things beside it that nothing may touch.
    struct Place {
        top: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let top = tempfile::tempdir().expect("a folder");
            fs::create_dir(top.path().join("inside")).expect("a folder");
            fs::create_dir(top.path().join("beside")).expect("a folder");
            fs::write(top.path().join("beside/file"), "untouched").expect("a file");
            Self { top }
        }

        fn inside(&self) -> PathBuf {
            self.top.path().join("inside")
        }

        fn fetch(&self, stream: &[u8]) -> Result<(u64, u64), UnpackError> {
            let inside = self.inside();
            unpack(stream, &inside.join(".part"))?.put_in_place(&inside)
        }

        /// What is beside is as it was.
        fn is_untouched(&self) -> bool {
            let names = |folder: &Path| {
                let mut names: Vec<_> = fs::read_dir(folder)
                    .expect("it is there")
                    .map(|e| e.expect("an entry").file_name())
                    .collect();
                names.sort();
                names
            };
            names(self.top.path()) == ["beside", "inside"]
                && names(&self.top.path().join("beside")) == ["file"]
                && fs::read_to_string(self.top.path().join("beside/file")).expect("it is there")
                    == "untouched"
        }
    }

    fn file(name: &str) -> Sent {
        Sent::File(name.into())
    }

    fn link(name: &str, to: &str) -> Sent {
        Sent::Symlink(name.into(), to.into())
    }

    #[test]
    fn what_is_inside_arrives_and_belongs_to_its_owner_only() {
        let place = Place::new();
        let sent = [
            Sent::Folder("./".into()),
            Sent::Folder("./a".into()),
            file("./a/b"),
            link("./a/up", "../c"),
            file("./c"),
            Sent::Hard("./d".into(), "./c".into()),
        ];
        // The hard link is a file of its own here, and is listed as one.
        let mut bytes = stream(&sent, true);
        let line = format!("{}  ./d\n", hex::encode(Sha256::digest(b"x")));
        bytes.splice(0..0, line.into_bytes());
        assert_eq!(place.fetch(&bytes).expect("it is taken"), (3, 3));
        let inside = place.inside();
        assert_eq!(
            fs::read_to_string(inside.join("a/up")).expect("a link"),
            "x"
        );
        for name in ["a/b", "c", "d"] {
            let mode = fs::metadata(inside.join(name))
                .expect(name)
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o700, "{name}");
        }
        assert!(!inside.join(".part").exists());
    }

    #[test]
    fn what_leads_out_is_refused_and_leaves_nothing() {
        for sent in [
            vec![file("../beside/file")],
            vec![file("/etc/x")],
            vec![file("a/../../beside/new")],
            vec![link("l", "../beside"), file("l/new")],
            vec![link("l", "..")],
            vec![link("l", "/etc")],
            vec![link("a/l", "../../beside")],
            // Each of the two alone stays inside, if one reckons with words only.
            vec![link("sub/l", ".."), link("m", "sub/l/..")],
            vec![Sent::Hard("h".into(), "../beside/file".into())],
            vec![link("l", "b"), Sent::Hard("h".into(), "l".into())],
            vec![Sent::Fifo("pipe".into())],
            vec![file("twice"), file("twice")],
            vec![file("f"), file("f/under")],
        ] {
            let place = Place::new();
            assert!(place.fetch(&stream(&sent, true)).is_err(), "{sent:?}");
            assert!(place.is_untouched(), "{sent:?}");
            let left = fs::read_dir(place.inside()).expect("it is there").count();
            assert_eq!(left, 0, "{sent:?}");
        }
    }

    #[test]
    fn a_link_that_stood_there_before_is_not_gone_through() {
        let place = Place::new();
        symlink(place.top.path().join("beside"), place.inside().join("a")).expect("a link");
        let taken = place.fetch(&stream(&[Sent::Folder("a".into()), file("a/file")], true));
        assert!(
            matches!(taken, Err(UnpackError::Refused { .. })),
            "{taken:?}"
        );
        assert!(place.is_untouched());
        // A file of its name replaces the link, and not what it points at.
        place
            .fetch(&stream(&[file("a")], true))
            .expect("it is taken");
        assert!(
            place
                .inside()
                .join("a")
                .symlink_metadata()
                .expect("a file")
                .is_file()
        );
        assert!(place.is_untouched());
    }

    #[test]
    fn a_file_that_is_not_listed_or_listed_otherwise_or_missing_is_a_mismatch() {
        let whole = stream(&[file("a")], true);
        for (what, bytes) in [
            ("not listed", stream(&[file("a")], false)),
            ("otherwise", {
                let mut bytes = whole.clone();
                bytes[0] = if bytes[0] == b'0' { b'1' } else { b'0' };
                bytes
            }),
            ("missing", {
                let mut bytes = whole.clone();
                let line = format!("{}  b\n", hex::encode([0; 32]));
                bytes.splice(0..0, line.into_bytes());
                bytes
            }),
        ] {
            let place = Place::new();
            let taken = place.fetch(&bytes);
            assert!(
                matches!(taken, Err(UnpackError::Mismatch(_))),
                "{what}: {taken:?}"
            );
            assert_eq!(
                fs::read_dir(place.inside()).expect("it is there").count(),
                0
            );
        }
        for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
            let place = Place::new();
            assert!(place.fetch(&whole[..cut]).is_err(), "cut at {cut}");
            assert_eq!(
                fs::read_dir(place.inside()).expect("it is there").count(),
                0
            );
        }
    }

    #[test]
    fn names_are_listed_as_coreutils_writes_them() {
        let hash = hex::encode([7; 32]);
        let line = |text: &str| list_line(text.as_bytes()).map(|(name, _)| name);
        assert_eq!(line(&format!("{hash}  ./a b")), Some(b"./a b".to_vec()));
        assert_eq!(
            line(&format!("\\{hash}  ./a\\nb\\\\")),
            Some(b"./a\nb\\".to_vec())
        );
        assert_eq!(line(&format!("\\{hash}  ./a\\x")), None);
        assert_eq!(line("short"), None);
    }

    fn name() -> impl Strategy<Value = String> {
        "(/|\\./|\\.\\./)?([ab]|\\.\\.)(/([ab]|\\.\\.|\\.)){0,3}"
    }

    fn sent() -> impl Strategy<Value = Sent> {
        prop_oneof![
            name().prop_map(Sent::Folder),
            name().prop_map(Sent::File),
            (name(), name()).prop_map(|(name, to)| Sent::Symlink(name, to)),
            (name(), name()).prop_map(|(name, to)| Sent::Hard(name, to)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// Several streams, one after the other into the same folder: links that one leaves must not help the next out.
        #[test]
        fn whatever_is_sent_nothing_outside_is_touched(streams in proptest::collection::vec(proptest::collection::vec(sent(), 1..6), 1..4)) {
            let place = Place::new();
            for sent in &streams {
                let _ = place.fetch(&stream(sent, true));
                prop_assert!(place.is_untouched());
            }
            // And no link that was taken leads out.
            let real = place.inside().canonicalize().expect("it is there");
            for entry in walkdir::WalkDir::new(place.inside()) {
                let entry = entry.expect("it can be read");
                if let Ok(target) = entry.path().canonicalize() {
                    prop_assert!(target.starts_with(&real), "{:?} leads to {target:?}", entry.path());
                }
            }
        }
    }
}

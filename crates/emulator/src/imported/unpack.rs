//! An ext4 file system's files as a layer over the base system.
//!
//! ```text
//!  what                                     becomes
//!  folder, regular file, symbolic link      the same, with its owner, mode and times
//!  /bin /sbin /lib /lib64 … (folders)       usr/bin …: the base system's are merged
//!  a link where the base has a folder,
//!  a folder where the base has a link       nothing: the base system's stays
//!  device, socket, pipe                     nothing
//!  /dev /proc /run /sys                     nothing: the guest has its own
//!  a program or library below /usr (ELF)    nothing: the host's is in its place
//!  hard links                               files of their own
//! ```
//!
//! Nothing is ever made but below the new layer: each folder is made by this code and entered only if it was, and files are
//! made only where there is nothing, so that a link that was made before is never followed.

use super::Root;
use super::ext4::{guarded, open};
use super::volume::Volume;
use crate::guest::{FIRST_GUEST_ID, GUEST_IDS, GuestMode};
use ext4_view::{DirEntry, Ext4, Metadata};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Most bytes of all files together.
const MOST_BYTES: u64 = 16 << 30;
/// Most bytes of one file; logs of logins are that long where they are mostly holes.
const MOST_OF_ONE: u64 = 4 << 30;
/// Most files, folders and links.
const MOST_ENTRIES: u64 = 1_000_000;
/// Deepest folder.
const DEEPEST: usize = 64;
/// Longest target of a link.
const LONGEST_LINK: u64 = 4096;
/// What may be read of the disk for all of it, its own tables too.
const MOST_READ: u64 = 64 << 30;
/// Whom files belong to whose owner a guest does not have.
const NOBODY: u32 = 65_534;

/// Folders at the top that the guest has of its own.
const OWN: [&str; 5] = ["dev", "lost+found", "proc", "run", "sys"];
/// Folders at the top that are merged into `/usr`.
const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// What the base system has, so that a layer does not hide what it needs.
#[derive(Clone, Debug)]
pub struct Base {
    /// The base layer's root: everything but `/usr`.
    pub root: PathBuf,
    /// The host's `/usr`.
    pub usr: PathBuf,
    /// Which ids guests have.
    pub mode: GuestMode,
}

/// What was made, and what was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Programs and libraries that were left out.
    pub programs: u64,
    /// Everything else that was left out.
    pub others: u64,
}

impl fmt::Display for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} files and folders, {} MiB; in place of {} programs and libraries of its /usr are the host's; {} others left out",
            self.entries,
            self.bytes >> 20,
            self.programs,
            self.others
        )
    }
}

/// Makes the folder `layer` of a file system's files.
///
/// # Errors
/// Why the file system cannot be read, or the layer not be made. What was made until then is left for the caller to remove.
pub fn unpack(volume: &Volume, root: Root, base: &Base, layer: &Path) -> Result<Unpacked, String> {
    guarded(|| {
        let fs = open(volume, (root.offset, root.length), MOST_READ)?;
        let mut work = Work {
            fs,
            base,
            layer,
            done: Unpacked::default(),
            folders: Vec::new(),
        };
        work.tops()?;
        work.walk()?;
        work.close_folders()?;
        Ok(work.done)
    })
}

struct Work<'a> {
    fs: Ext4,
    base: &'a Base,
    layer: &'a Path,
    done: Unpacked,
    /// Folders that were made, with what they are to become once nothing is put into them any more.
    folders: Vec<(PathBuf, u32)>,
}

/// A folder of the image, and where its content goes.
struct Folder {
    /// In the image.
    from: ext4_view::PathBuf,
    /// Below `root` or `usr`; empty for those themselves.
    to: PathBuf,
    tree: Tree,
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    Root,
    Usr,
}

impl Work<'_> {
    fn tops(&mut self) -> Result<(), String> {
        for name in ["", "root", "usr"] {
            let path = self.layer.join(name);
            fs::create_dir(&path).map_err(|e| failed("make", &path, &e))?;
            self.own(&path, 0, 0)?;
            set_mode(&path, 0o755)?;
        }
        Ok(())
    }

    fn walk(&mut self) -> Result<(), String> {
        let top = ext4_view::PathBuf::new("/");
        let mut waiting = vec![Folder {
            from: top,
            to: PathBuf::new(),
            tree: Tree::Root,
            depth: 0,
        }];
        while let Some(folder) = waiting.pop() {
            let entries = self
                .fs
                .read_dir(folder.from.as_path())
                .map_err(|e| e.to_string())?;
            for entry in entries {
                let entry = entry.map_err(|e| e.to_string())?;
                if let Some(inner) = self.entry(&folder, &entry)? {
                    waiting.push(inner);
                }
            }
        }
        Ok(())
    }

    /// Makes what an entry is; the folder to go on with, if it is one.
    fn entry(&mut self, folder: &Folder, entry: &DirEntry) -> Result<Option<Folder>, String> {
        let name = entry.file_name();
        let name: &[u8] = name.as_ref();
        if matches!(name, b"." | b"..") {
            return Ok(None);
        }
        self.done.entries += 1;
        if self.done.entries > MOST_ENTRIES {
            return Err(format!("it has more than {MOST_ENTRIES} files"));
        }
        // A name is never a way to somewhere else.
        if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
            return self.leave_out();
        }
        let metadata = entry.metadata().map_err(|e| e.to_string())?;
        let kind = metadata.file_type();
        let top = folder.depth == 0 && folder.tree == Tree::Root;
        let named = |names: &[&str]| names.iter().any(|n| n.as_bytes() == name);
        if top && named(&OWN) {
            return self.leave_out();
        }
        let (tree, to) = match top {
            true if name == b"usr" && kind.is_dir() => (Tree::Usr, PathBuf::new()),
            true if named(&MERGED) && kind.is_dir() => {
                (Tree::Usr, PathBuf::from(OsStr::from_bytes(name)))
            }
            _ => (folder.tree, folder.to.join(OsStr::from_bytes(name))),
        };
        let place = self.place(tree).join(&to);
        if kind.is_dir() {
            if folder.depth + 1 > DEEPEST {
                return Err(format!("its folders are more than {DEEPEST} deep"));
            }
            if !self.folder(tree, &to, &place, &metadata)? {
                return self.leave_out();
            }
            return Ok(Some(Folder {
                from: entry.path(),
                to,
                tree,
                depth: folder.depth + 1,
            }));
        }
        let made = if self.is_folder_below(tree, &to) {
            // A file or link would hide what the base system has in there.
            false
        } else if kind.is_symlink() {
            self.link(entry, &place, &metadata)?
        } else if kind.is_regular_file() {
            self.file(tree, entry, &place, &metadata)?
        } else {
            false
        };
        match made {
            true => Ok(None),
            false => self.leave_out(),
        }
    }

    fn leave_out<T>(&mut self) -> Result<Option<T>, String> {
        self.done.entries -= 1;
        self.done.others += 1;
        // Many that are left out are many all the same.
        match self.done.others > MOST_ENTRIES {
            true => Err(format!("it has more than {MOST_ENTRIES} files")),
            false => Ok(None),
        }
    }

    /// Whether a folder was made, or is there because this code made it.
    fn folder(
        &mut self,
        tree: Tree,
        to: &Path,
        place: &Path,
        metadata: &Metadata,
    ) -> Result<bool, String> {
        if self.is_link_below(tree, to) {
            return Ok(false);
        }
        match fs::create_dir(place) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                // `/usr` itself, or `/usr/bin` after `/bin`. Anything else of that name is no folder of this code's.
                return fs::symlink_metadata(place)
                    .map(|m| m.is_dir())
                    .map_err(|e| failed("look at", place, &e));
            }
            Err(e) => return Err(failed("make", place, &e)),
        }
        self.own(place, metadata.uid(), metadata.gid())?;
        let mode = u32::from(metadata.mode()) & 0o7777;
        self.folders.push((place.to_owned(), self.allowed(mode)));
        Ok(true)
    }

    /// Whether a link was made.
    fn link(
        &mut self,
        entry: &DirEntry,
        place: &Path,
        metadata: &Metadata,
    ) -> Result<bool, String> {
        if metadata.len() > LONGEST_LINK {
            return Ok(false);
        }
        let Ok(target) = self.fs.read_link(entry.path().as_path()) else {
            return Ok(false);
        };
        let target: &[u8] = target.as_ref();
        match symlink(OsStr::from_bytes(target), place) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // An empty target, or one that this host's file system does not take.
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(false);
            }
            Err(e) => return Err(failed("make", place, &e)),
        }
        self.own(place, metadata.uid(), metadata.gid())?;
        Ok(true)
    }

    /// Whether a file was made.
    fn file(
        &mut self,
        tree: Tree,
        entry: &DirEntry,
        place: &Path,
        metadata: &Metadata,
    ) -> Result<bool, String> {
        if metadata.len() > MOST_OF_ONE {
            return Ok(false);
        }
        let mut from = self
            .fs
            .open(entry.path().as_path())
            .map_err(|e| e.to_string())?;
        let mut piece = vec![0; 1 << 16];
        let mut read = from.read_bytes(&mut piece).map_err(|e| e.to_string())?;
        if tree == Tree::Usr && piece.starts_with(b"\x7fELF") {
            self.done.programs += 1;
            // It is counted there.
            self.done.others -= 1;
            return Ok(false);
        }
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(place);
        let mut to = match made {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(e) => return Err(failed("make", place, &e)),
        };
        let mut bytes = 0u64;
        while read > 0 {
            let part = piece.get(..read).unwrap_or_default();
            to.write_all(part).map_err(|e| failed("write", place, &e))?;
            bytes += read as u64;
            if self.done.bytes + bytes > MOST_BYTES {
                return Err(format!("its files have more than {} GiB", MOST_BYTES >> 30));
            }
            read = from.read_bytes(&mut piece).map_err(|e| e.to_string())?;
        }
        self.done.bytes += bytes;
        self.own(place, metadata.uid(), metadata.gid())?;
        set_mode(place, self.allowed(u32::from(metadata.mode()) & 0o7777))?;
        set_time(&to, metadata);
        Ok(true)
    }

    /// Gives folders their modes, the deepest first: until now they had to be written to.
    fn close_folders(&mut self) -> Result<(), String> {
        for (folder, mode) in self.folders.drain(..).rev() {
            set_mode(&folder, mode)?;
        }
        Ok(())
    }

    fn place(&self, tree: Tree) -> PathBuf {
        self.layer.join(match tree {
            Tree::Root => "root",
            Tree::Usr => "usr",
        })
    }

    fn below(&self, tree: Tree, to: &Path) -> PathBuf {
        match tree {
            Tree::Root => self.base.root.join(to),
            Tree::Usr => self.base.usr.join(to),
        }
    }

    fn is_folder_below(&self, tree: Tree, to: &Path) -> bool {
        fs::symlink_metadata(self.below(tree, to)).is_ok_and(|m| m.is_dir())
    }

    fn is_link_below(&self, tree: Tree, to: &Path) -> bool {
        !to.as_os_str().is_empty()
            && fs::symlink_metadata(self.below(tree, to)).is_ok_and(|m| m.is_symlink())
    }

    /// The mode without what the host must not see: where a guest's files are the caller's own, a program that takes its
    /// owner's id would take the caller's.
    fn allowed(&self, mode: u32) -> u32 {
        match self.base.mode {
            GuestMode::Root => mode,
            GuestMode::Rootless => mode & 0o1777,
        }
    }

    fn own(&self, path: &Path, uid: u32, gid: u32) -> Result<(), String> {
        if self.base.mode == GuestMode::Rootless {
            return Ok(());
        }
        let mapped = |id: u32| FIRST_GUEST_ID + if id < GUEST_IDS { id } else { NOBODY };
        lchown(path, Some(mapped(uid)), Some(mapped(gid)))
            .map_err(|e| failed("change the owner of", path, &e))
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), String> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|e| failed("set the mode of", path, &e))
}

fn set_time(file: &File, metadata: &Metadata) {
    let seconds = u64::try_from(metadata.modified().seconds()).unwrap_or_default();
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    if let Some(time) = time {
        // A time that the host's file system does not take is no reason to refuse the file.
        let _ = file.set_times(FileTimes::new().set_modified(time));
    }
}

fn failed(doing: &str, path: &Path, why: &io::Error) -> String {
    format!("cannot {doing} {}: {why}", path.display())
}

#[cfg(test)]
mod tests;

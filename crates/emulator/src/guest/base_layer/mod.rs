//! The layer below every image: what the host's own `/usr` cannot give.
//!
//! ```text
//!   root/          a copy of the host's /etc without its secrets, a skeleton of /var with the package database, empty folders
//!   usr/           rootless only: every folder of the host's /usr, so that they belong to the guest and can be written to
//!   tools/KEY/usr/ this executable as sudo, shutdown … for guests; KEY changes with the executable
//!   tools/KEY/built-in/usr/ its cloud-init, for guests with the built-in boot agent
//! ```

mod account_files;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use account_files::{AccountFiles, NOBODY};

use super::host::{FIRST_GUEST_ID, GUEST_IDS, GuestError, GuestMode};
use super::layers;
use super::tools::{self, Tool};

/// The part of a tools folder that only guests with the built-in boot agent see.
pub const BUILT_IN: &str = "built-in";

/// Changes whenever a layer made by an older version would not do.
const FORMAT: u32 = 1;
/// Files of the host's `/etc` that a guest gets its own of, or none.
const LEFT_OUT: [&str; 18] = [
    "passwd",
    "passwd-",
    "group",
    "group-",
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "subuid",
    "subuid-",
    "subgid",
    "subgid-",
    "machine-id",
    "hostname",
    "fstab",
    "crypttab",
    "sudoers",
    "sudoers.d",
];
/// Where the host's package managers keep their list of what is installed.
const PACKAGE_DATABASES: [&str; 3] = ["var/lib/dpkg", "var/lib/rpm", "var/lib/pacman/local"];
/// Empty folders every guest has, with their modes.
const FOLDERS: [(&str, u32); 34] = [
    ("usr", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("dev", 0o755),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("root", 0o700),
    ("home", 0o755),
    ("opt", 0o755),
    ("srv", 0o755),
    ("mnt", 0o755),
    ("media", 0o755),
    ("boot", 0o755),
    ("etc", 0o755),
    ("var", 0o755),
    ("var/backups", 0o755),
    ("var/cache", 0o755),
    ("var/cache/apt", 0o755),
    ("var/cache/apt/archives", 0o755),
    ("var/cache/apt/archives/partial", 0o700),
    ("var/cache/dnf", 0o755),
    ("var/empty", 0o755),
    ("var/lib", 0o755),
    ("var/lib/apt", 0o755),
    ("var/lib/apt/lists", 0o755),
    ("var/lib/apt/lists/partial", 0o700),
    ("var/lib/cloud", 0o755),
    ("var/log", 0o755),
    ("var/log/apt", 0o755),
    ("var/mail", 0o1777),
    ("var/opt", 0o755),
    ("var/spool", 0o755),
    ("var/spool/cron", 0o755),
    ("var/tmp", 0o1777),
];
/// Links at the root of a system whose folders are merged into `/usr`.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// A hash over what the host's system consists of: os-release and the list of installed packages.
///
/// # Errors
/// If neither is readable.
pub fn host_content_id() -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(
        fs::read("/etc/os-release")
            .map_err(|e| io::Error::new(e.kind(), format!("/etc/os-release: {e}")))?,
    );
    for line in installed_packages()? {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    Ok(hex::encode(hash.finalize()))
}

fn installed_packages() -> io::Result<BTreeSet<String>> {
    if let Ok(status) = fs::read_to_string("/var/lib/dpkg/status") {
        return Ok(parse_dpkg_status(&status));
    }
    if Path::new("/usr/bin/rpm").exists() {
        let output = std::process::Command::new("/usr/bin/rpm")
            .args(["-qa", "--qf", "%{NEVRA}\n"])
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(str::to_owned)
                .collect());
        }
    }
    // Other package managers: the programs themselves, by name and size.
    fs::read_dir("/usr/bin")?
        .map(|entry| {
            let entry = entry?;
            Ok(format!(
                "{} {}",
                entry.file_name().display(),
                entry.metadata()?.len()
            ))
        })
        .collect()
}

/// The packages that a dpkg status file calls installed, as `name version architecture`.
fn parse_dpkg_status(status: &str) -> BTreeSet<String> {
    let field = |paragraph: &str, name: &str| {
        paragraph
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    status
        .split("\n\n")
        .filter(|paragraph| field(paragraph, "Status:").ends_with(" installed"))
        .map(|p| {
            format!(
                "{} {} {}",
                field(p, "Package:"),
                field(p, "Version:"),
                field(p, "Architecture:")
            )
        })
        .collect()
}

/// Makes the base layer at `dir` unless it is there and up to date.
///
/// # Errors
/// If the host's files cannot be copied.
pub fn prepare(dir: &Path, mode: GuestMode, content_id: &str) -> Result<(), GuestError> {
    let stamp = format!(
        "{FORMAT} {mode:?} {} {content_id}\n",
        rustix::process::geteuid().as_raw()
    );
    let stamp_file = dir.join("stamp");
    if fs::read_to_string(&stamp_file).ok().as_deref() != Some(&stamp) {
        layers::remove(dir)?;
        fs::create_dir_all(dir).map_err(GuestError::file("create", dir))?;
        let copy = Copier { mode };
        copy.root_tree(&dir.join("root"))?;
        copy.usr_tree(&dir.join("usr"))?;
        copy.own(dir, 0o755, 0, 0)?;
        // Last, so that a half-made layer is made again.
        fs::write(&stamp_file, stamp).map_err(GuestError::file("write", &stamp_file))?;
    }
    prepare_tools(dir, mode)
}

/// Where the tools of this very executable are, below a base layer.
///
/// # Errors
/// If `/proc/self/exe` cannot be looked at.
pub fn tools_folder(base: &Path) -> io::Result<PathBuf> {
    let executable = fs::metadata("/proc/self/exe")?;
    let key = format!(
        "{:x}-{:x}-{:x}-{:x}",
        executable.dev(),
        executable.ino(),
        executable.size(),
        executable.mtime_nsec()
    );
    Ok(base.join("tools").join(key))
}

fn prepare_tools(base: &Path, mode: GuestMode) -> Result<(), GuestError> {
    let target =
        tools_folder(base).map_err(GuestError::file("look at", Path::new("/proc/self/exe")))?;
    if target.is_dir() {
        return Ok(());
    }
    let all = base.join("tools");
    // Those of an older executable: its guests ended with it.
    layers::remove(&all)?;
    let half_made = all.join("new");
    let copy = Copier { mode };
    let library = half_made.join("usr/lib/qib-guest");
    fs::create_dir_all(&library).map_err(GuestError::file("create", &library))?;
    for folder in ["", "usr", "usr/lib", "usr/lib/qib-guest"] {
        copy.own(&half_made.join(folder), 0o755, 0, 0)?;
    }
    copy.own(&all, 0o755, 0, 0)?;
    let program = library.join("tool");
    fs::copy("/proc/self/exe", &program)
        .map_err(GuestError::file("copy this executable to", &program))?;
    // Set-user-ID for sudo's sake. It holds in the guest's user namespace only, where its owner is the guest's root.
    let bits = if mode == GuestMode::Root {
        0o4755
    } else {
        0o755
    };
    copy.own(&program, bits, 0, 0)?;
    copy.tool_links(&half_made.join("usr"), &tools::for_all_guests(mode))?;
    let built_in = half_made.join(BUILT_IN);
    for folder in [built_in.clone(), built_in.join("usr")] {
        fs::create_dir(&folder).map_err(GuestError::file("create", &folder))?;
        copy.own(&folder, 0o755, 0, 0)?;
    }
    copy.tool_links(&built_in.join("usr"), &tools::for_built_in_agent())?;
    fs::rename(&half_made, &target).map_err(GuestError::file("create", &target))
}

/// Copies the host's files for a guest's eyes.
struct Copier {
    mode: GuestMode,
}

impl Copier {
    fn guest_id(&self, id: u32) -> Option<u32> {
        (self.mode == GuestMode::Root)
            .then(|| FIRST_GUEST_ID + if id < GUEST_IDS { id } else { NOBODY })
    }

    /// Sets owner and mode, in this order: a change of owner clears set-user-ID.
    fn own(&self, path: &Path, mode: u32, user: u32, group: u32) -> Result<(), GuestError> {
        if let (Some(user), Some(group)) = (self.guest_id(user), self.guest_id(group)) {
            lchown(path, Some(user), Some(group))
                .map_err(GuestError::file("change the owner of", path))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(GuestError::file("set the mode of", path))
    }

    fn own_link(&self, path: &Path) -> Result<(), GuestError> {
        match self.guest_id(0) {
            Some(root) => lchown(path, Some(root), Some(root))
                .map_err(GuestError::file("change the owner of", path)),
            None => Ok(()),
        }
    }

    fn write(&self, path: &Path, content: &str, mode: u32) -> Result<(), GuestError> {
        fs::write(path, content).map_err(GuestError::file("write", path))?;
        self.own(path, mode, 0, 0)
    }

    fn link(&self, target: impl AsRef<Path>, path: &Path) -> Result<(), GuestError> {
        symlink(target, path).map_err(GuestError::file("create", path))?;
        self.own_link(path)
    }

    /// Makes tools found at their usual places in the tree `usr`.
    fn tool_links(&self, usr: &Path, tools: &[Tool]) -> Result<(), GuestError> {
        for tool in tools {
            // Fedora's /usr/sbin is a link to bin; a folder of ours would hide it.
            let is_link = Path::new("/usr").join(tool.folder()).is_symlink();
            let folder = usr.join(if is_link { "bin" } else { tool.folder() });
            if !folder.is_dir() {
                fs::create_dir(&folder).map_err(GuestError::file("create", &folder))?;
                self.own(&folder, 0o755, 0, 0)?;
            }
            self.link(tools::PROGRAM, &folder.join(tool.name()))?;
        }
        Ok(())
    }

    fn root_tree(&self, root: &Path) -> Result<(), GuestError> {
        fs::create_dir(root).map_err(GuestError::file("create", root))?;
        self.own(root, 0o755, 0, 0)?;
        for (name, mode) in FOLDERS {
            let path = root.join(name);
            fs::create_dir(&path).map_err(GuestError::file("create", &path))?;
            self.own(&path, mode, 0, 0)?;
        }
        for name in MERGED {
            if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
                self.link(target, &root.join(name))?;
            }
        }
        self.link("/run", &root.join("var/run"))?;
        self.link("/run/lock", &root.join("var/lock"))?;
        self.tree(Path::new("/etc"), &root.join("etc"), &|name| {
            LEFT_OUT.iter().any(|left_out| name == Path::new(left_out))
                || name.starts_with("ssl/private")
                || name.to_string_lossy().starts_with("ssh/ssh_host_")
        })?;
        self.accounts(&root.join("etc"))?;
        for database in PACKAGE_DATABASES {
            let host = Path::new("/").join(database);
            if host.is_dir() {
                let target = root.join(database);
                if let Some(parent) = target.parent().filter(|p| !p.exists()) {
                    fs::create_dir_all(parent).map_err(GuestError::file("create", parent))?;
                    self.own(parent, 0o755, 0, 0)?;
                }
                fs::create_dir(&target).map_err(GuestError::file("create", &target))?;
                self.own(&target, 0o755, 0, 0)?;
                self.tree(&host, &target, &|_| false)?;
            }
        }
        Ok(())
    }

    /// Copies what everyone on the host may read of `from` into `to`, which exists. Names given to `left_out` are relative.
    fn tree(
        &self,
        from: &Path,
        to: &Path,
        left_out: &dyn Fn(&Path) -> bool,
    ) -> Result<(), GuestError> {
        let mut waiting = vec![PathBuf::new()];
        while let Some(folder) = waiting.pop() {
            let host_folder = from.join(&folder);
            for entry in
                fs::read_dir(&host_folder).map_err(GuestError::file("list", &host_folder))?
            {
                let entry = entry.map_err(GuestError::file("list", &host_folder))?;
                let name = folder.join(entry.file_name());
                if left_out(&name) {
                    continue;
                }
                let (source, target) = (entry.path(), to.join(&name));
                let metadata = match fs::symlink_metadata(&source) {
                    Ok(metadata) => metadata,
                    // Package managers and editors replace files while they are copied.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(GuestError::file("look at", &source)(error)),
                };
                let (kind, mode) = (metadata.file_type(), metadata.mode() & 0o7777);
                if kind.is_symlink() {
                    let points_to =
                        fs::read_link(&source).map_err(GuestError::file("read", &source))?;
                    self.link(points_to, &target)?;
                } else if kind.is_dir() && mode & 0o005 == 0o005 {
                    fs::create_dir(&target).map_err(GuestError::file("create", &target))?;
                    self.own(&target, mode, metadata.uid(), metadata.gid())?;
                    waiting.push(name);
                } else if kind.is_file() && mode & 0o004 != 0 {
                    fs::copy(&source, &target).map_err(GuestError::file("copy", &source))?;
                    self.own(&target, mode, metadata.uid(), metadata.gid())?;
                } else if kind.is_socket() || kind.is_fifo() || kind.is_file() || kind.is_dir() {
                    // Not for everyone's eyes, or of no use in a copy.
                }
            }
        }
        Ok(())
    }

    /// Users and groups without the host's people, and nobody's password.
    fn accounts(&self, etc: &Path) -> Result<(), GuestError> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(GuestError::file("read", Path::new(path)))
        };
        let files = AccountFiles::without_people(&read("/etc/passwd")?, &read("/etc/group")?);
        self.write(&etc.join("passwd"), &files.passwd, 0o644)?;
        self.write(&etc.join("shadow"), &files.shadow, 0o600)?;
        self.write(&etc.join("group"), &files.group, 0o644)?;
        self.write(&etc.join("gshadow"), &files.gshadow, 0o600)?;
        self.write(&etc.join("machine-id"), "", 0o444)?;
        self.write(&etc.join("hostname"), "localhost\n", 0o644)?;
        self.write(
            &etc.join("fstab"),
            "# The local EC2 mounts a guest's file systems.\n",
            0o644,
        )?;
        if Path::new(tools::HOST_SUDO).exists() {
            let rules = "Defaults env_reset\n\
                Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
                root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n";
            self.write(&etc.join("sudoers"), rules, 0o440)?;
            let folder = etc.join("sudoers.d");
            fs::create_dir(&folder).map_err(GuestError::file("create", &folder))?;
            self.own(&folder, 0o750, 0, 0)?;
        }
        Ok(())
    }

    /// In a rootless guest a folder that only the host's `/usr` has belongs to nobody the guest knows. Folders of the guest's
    /// own above it make creating, removing and renaming work.
    fn usr_tree(&self, usr: &Path) -> Result<(), GuestError> {
        fs::create_dir(usr).map_err(GuestError::file("create", usr))?;
        self.own(usr, 0o755, 0, 0)?;
        if self.mode == GuestMode::Root {
            return Ok(());
        }
        let device = fs::metadata("/usr")
            .map_err(GuestError::file("look at", Path::new("/usr")))?
            .dev();
        let mut waiting = vec![PathBuf::new()];
        while let Some(folder) = waiting.pop() {
            let host_folder = Path::new("/usr").join(&folder);
            // A folder that the caller may not list stays the host's: nothing in it can be used in the guest either.
            let Ok(entries) = fs::read_dir(&host_folder) else {
                continue;
            };
            for entry in entries {
                let entry = entry.map_err(GuestError::file("list", &host_folder))?;
                let metadata = entry
                    .metadata()
                    .map_err(GuestError::file("look at", &entry.path()))?;
                if metadata.is_dir() && metadata.dev() == device && metadata.mode() & 0o005 == 0o005
                {
                    let name = folder.join(entry.file_name());
                    let target = usr.join(&name);
                    fs::create_dir(&target).map_err(GuestError::file("create", &target))?;
                    // The owner can always write: the host's modes are those of its root.
                    let mode = metadata.mode() & 0o777 | 0o700;
                    fs::set_permissions(&target, fs::Permissions::from_mode(mode))
                        .map_err(GuestError::file("set the mode of", &target))?;
                    waiting.push(name);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let status = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
                      Package: b\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 2\n";
        assert_eq!(
            parse_dpkg_status(status).into_iter().collect::<Vec<_>>(),
            ["a 1 all"]
        );
    }

    #[test]
    fn the_hosts_identity_is_the_same_twice() {
        let id = host_content_id().unwrap();
        assert_eq!(id.len(), 64);
        assert_eq!(id, host_content_id().unwrap());
    }
}

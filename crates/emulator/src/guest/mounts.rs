//! A guest's file systems.
//!
//! ```text
//!   /            overlay   upper: the instance's layer/root    lower: image layers' root/, base layer's root/
//!   /usr         overlay   upper: the instance's layer/usr     lower: image layers' usr/, tools, base layer's usr/, host's /usr
//!   /proc /run   of the guest's own namespaces
//!   /sys         read-only
//!   /dev         a few bind-mounted nodes, a devpts of its own
//! ```
//!
//! The work is split in two: [`stage`] opens every host folder and attaches it, read-only and with mapped owners where needed,
//! below a tmpfs in a private mount namespace; [`enter`] runs in the guest's own namespaces, mounts the overlays there, so that
//! they belong to the guest's user namespace and its powers end in them, and leaves the host's tree for good.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use sha2::{Digest, Sha256};

use super::base_layer::BUILT_IN;
use super::host::{FIRST_GUEST_ID, GuestMode};
use super::spec::BootAgent;
use super::sys;

/// Where folders are staged. Any folder that exists on every host will do: the mount is seen by the guest's launcher only.
const STAGE: &str = "/tmp";
/// Parts of sysfs that a guest sees: its own network devices are below them.
const SHOWN_SYSFS: [&str; 2] = ["class", "devices"];
/// Device nodes a program may expect; all are harmless and world-writable on the host too.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// What could not be done with which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct MountError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn failed<E: Into<io::Error>>(
    doing: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(E) -> MountError {
    let path = path.into();
    move |source| MountError {
        doing,
        path,
        source: source.into(),
    }
}

/// The folders a guest is made of, on the host.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The instance's upper layer: `root/`, `usr/` and `work/`.
    pub layer: &'a Path,
    /// Image layers, topmost first.
    pub image_layers: &'a [PathBuf],
    /// The programs that this executable puts into `/usr`.
    pub tools: &'a Path,
    /// The base layer.
    pub base: &'a Path,
}

/// A path below the stage that overlays name; short, because all of them together must fit into one page.
fn staged(name: &str) -> PathBuf {
    Path::new(STAGE).join(name)
}

/// Empty folders instead of layers, to try everything out. The host's `/usr` is the real one.
///
/// # Errors
/// As [`stage`].
pub fn stage_nothing(id_map: Option<BorrowedFd<'_>>) -> Result<(), MountError> {
    make_private()?;
    let host = open_copy(Path::new("/usr"), Access::ReadOnly, id_map)?;
    mount_tmpfs(Path::new(STAGE), "mode=0755")?;
    for name in [
        "root",
        "h",
        "b",
        "b/usr",
        "b/root",
        "b/root/usr",
        "b/root/proc",
        "b/root/sys",
        "b/root/run",
        "b/root/dev",
        "t",
        "t/usr",
        "u",
        "u/root",
        "u/usr",
        "u/work",
        "u/work/root",
        "u/work/usr",
    ] {
        let path = staged(name);
        fs::create_dir(&path).map_err(failed("create", &path))?;
        if id_map.is_some() {
            chown(&path, Some(FIRST_GUEST_ID), Some(FIRST_GUEST_ID))
                .map_err(failed("change the owner of", &path))?;
        }
    }
    let path = staged("h");
    rustix::mount::move_mount(
        &host,
        "",
        CWD,
        &path,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(failed("attach", &path))
}

fn make_private() -> Result<(), MountError> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(failed("make private the mounts below", "/"))
}

/// Attaches all sources below the stage. The caller is in a mount namespace of its own.
///
/// With `id_map`, the host's `/usr` is mapped through that user namespace's ids; the layers already belong to the mapped ids.
///
/// # Errors
/// If a folder cannot be opened or attached.
pub fn stage(sources: &Sources<'_>, id_map: Option<BorrowedFd<'_>>) -> Result<(), MountError> {
    make_private()?;
    // All trees are opened before the tmpfs hides what is below the stage's own path.
    let mut trees = vec![
        (
            "h".to_owned(),
            open_copy(Path::new("/usr"), Access::ReadOnly, id_map)?,
        ),
        (
            "b".to_owned(),
            open_copy(sources.base, Access::ReadOnly, None)?,
        ),
        (
            "t".to_owned(),
            open_copy(sources.tools, Access::ReadOnly, None)?,
        ),
        (
            "u".to_owned(),
            open_copy(sources.layer, Access::ReadWrite, None)?,
        ),
    ];
    for (number, layer) in sources.image_layers.iter().enumerate() {
        trees.push((
            format!("i{number}"),
            open_copy(layer, Access::ReadOnly, None)?,
        ));
    }
    mount_tmpfs(Path::new(STAGE), "mode=0755")?;
    let root = staged("root");
    fs::create_dir(&root).map_err(failed("create", &root))?;
    for (name, tree) in trees {
        let path = staged(&name);
        fs::create_dir(&path).map_err(failed("create", &path))?;
        rustix::mount::move_mount(
            &tree,
            "",
            CWD,
            &path,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(failed("attach", &path))?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Access {
    ReadOnly,
    ReadWrite,
}

fn open_copy(
    path: &Path,
    access: Access,
    id_map: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, MountError> {
    // Recursive, because the kernel refuses to copy a mount without what is mounted on it once it is locked by a user namespace.
    // Overlays do not look into mounts below their layers.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(CWD, path, flags).map_err(failed("open", path))?;
    sys::set_mount_attributes(tree.as_fd(), access == Access::ReadOnly, id_map)
        .map_err(failed("map the owners of", path))?;
    Ok(tree)
}

/// The guest's console, a terminal.
#[derive(Debug)]
pub struct Console {
    /// What the guest writes to `/dev/console` is read here.
    pub master: OwnedFd,
    /// Held open, or reading the master would fail whenever the guest's last writer closes it.
    pub terminal: OwnedFd,
}

/// Mounts the guest's file systems, makes them the root and leaves the host's behind.
///
/// # Errors
/// If a mount is refused; the message names it.
pub fn enter(
    image_layers: usize,
    mode: GuestMode,
    agent: BootAgent,
    instance_id: &str,
) -> Result<Console, MountError> {
    let root = staged("root");
    let image = |tree: &str| {
        (0..image_layers)
            .map(|n| format!("{STAGE}/i{n}/{tree}"))
            .collect::<Vec<_>>()
    };
    let mut lower = image("root");
    lower.push(format!("{STAGE}/b/root"));
    mount_overlay(&lower, "root", &root)?;
    let mut lower = image("usr");
    if agent == BootAgent::BuiltIn {
        lower.push(format!("{STAGE}/t/{BUILT_IN}/usr"));
    }
    lower.extend([
        format!("{STAGE}/t/usr"),
        format!("{STAGE}/b/usr"),
        format!("{STAGE}/h"),
    ]);
    mount_overlay(&lower, "usr", &root.join("usr"))?;

    mount_new(
        &root.join("proc"),
        "proc",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        "",
    )?;
    mount_sys(&root, instance_id)?;
    mount_tmpfs(&root.join("run"), "mode=0755")?;
    let console = populate_dev(&root.join("dev"), mode)?;

    rustix::process::chdir(&root).map_err(failed("enter", &root))?;
    rustix::process::pivot_root(".", ".").map_err(failed("make the root", &root))?;
    // The old root now lies on top of the new one.
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(failed("let go of", "the host's root"))?;
    rustix::process::chdir("/").map_err(failed("enter", "/"))?;
    Ok(console)
}

fn mount_overlay(lower: &[String], upper: &str, target: &Path) -> Result<(), MountError> {
    let options = format!(
        "userxattr,lowerdir={},upperdir={STAGE}/u/{upper},workdir={STAGE}/u/work/{upper}",
        lower.join(":")
    );
    mount_new(target, "overlay", MountFlags::empty(), &options)
}

fn mount_tmpfs(target: &Path, options: &str) -> Result<(), MountError> {
    mount_new(
        target,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        options,
    )
}

fn mount_new(
    target: &Path,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<(), MountError> {
    let options = CString::new(options).map_err(failed("write the mount options of", target))?;
    rustix::mount::mount(kind, target, kind, flags, options.as_c_str())
        .map_err(failed("mount", target))
}

/// A `/sys` of devices only, without what shows the host's disks and tunables, and with the sign by which programs tell that they
/// run on EC2: cloud-init refuses IMDSv2 elsewhere.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html>
fn mount_sys(root: &Path, instance_id: &str) -> Result<(), MountError> {
    let sys = root.join("sys");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_new(&sys, "tmpfs", flags, "mode=0555,size=64k")?;
    let folder = |name: &str| {
        let path = sys.join(name);
        fs::create_dir(&path)
            .map_err(failed("create", &path))
            .map(|()| path)
    };
    let whole = folder("whole")?;
    mount_new(&whole, "sysfs", flags | MountFlags::RDONLY, "")?;
    for shown in SHOWN_SYSFS {
        let path = folder(shown)?;
        rustix::mount::mount_bind(whole.join(shown), &path).map_err(failed("bind-mount", &path))?;
    }
    rustix::mount::unmount(&whole, UnmountFlags::DETACH).map_err(failed("unmount", &whole))?;
    fs::remove_dir(&whole).map_err(failed("remove", &whole))?;
    let hypervisor = folder("hypervisor")?;
    let hash = hex::encode(Sha256::digest(instance_id));
    let part = |range: std::ops::Range<usize>| hash.get(range).unwrap_or_default().to_owned();
    let uuid = format!(
        "ec2{}-{}-{}-{}-{}\n",
        part(0..5),
        part(5..9),
        part(9..13),
        part(13..17),
        part(17..29)
    );
    for (name, content) in [("uuid", uuid.as_str()), ("type", "xen\n")] {
        let path = hypervisor.join(name);
        fs::write(&path, content).map_err(failed("write", &path))?;
    }
    rustix::mount::mount_remount(&sys, flags | MountFlags::RDONLY, c"")
        .map_err(failed("make read-only", &sys))
}

fn populate_dev(dev: &Path, mode: GuestMode) -> Result<Console, MountError> {
    mount_tmpfs(dev, "mode=0755")?;
    for name in DEVICES {
        let node = dev.join(name);
        fs::write(&node, "").map_err(failed("create", &node))?;
        rustix::mount::mount_bind(Path::new("/dev").join(name), &node)
            .map_err(failed("bind-mount", &node))?;
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        symlink(target, dev.join(name)).map_err(failed("create", dev.join(name)))?;
    }
    for (name, mode) in [("pts", 0o755), ("shm", 0o1777)] {
        let folder = dev.join(name);
        fs::create_dir(&folder).map_err(failed("create", &folder))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode))
            .map_err(failed("set the mode of", &folder))?;
    }
    mount_tmpfs(&dev.join("shm"), "mode=1777")?;
    // Group 5 is `tty` on every distribution; a rootless guest has no group but its own.
    let options = match mode {
        GuestMode::Root => "newinstance,ptmxmode=0666,mode=0620,gid=5",
        GuestMode::Rootless => "newinstance,ptmxmode=0666,mode=0620",
    };
    mount_new(
        &dev.join("pts"),
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        options,
    )?;
    open_console(dev)
}

/// Makes `/dev/console` a terminal whose other side is read into the console log.
fn open_console(dev: &Path) -> Result<Console, MountError> {
    let node = dev.join("console");
    let master = rustix::fs::open(
        dev.join("pts/ptmx"),
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed("open a terminal for", &node))?;
    rustix::pty::unlockpt(&master).map_err(failed("open a terminal for", &node))?;
    // The first terminal of a new devpts is number 0.
    let slave = dev.join("pts/0");
    let terminal = rustix::fs::open(
        &slave,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed("open", &slave))?;
    let mut settings =
        rustix::termios::tcgetattr(&terminal).map_err(failed("read the settings of", &slave))?;
    settings.make_raw();
    rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &settings)
        .map_err(failed("set", &slave))?;
    fs::write(&node, "").map_err(failed("create", &node))?;
    rustix::mount::mount_bind(&slave, &node).map_err(failed("bind-mount", &node))?;
    Ok(Console { master, terminal })
}

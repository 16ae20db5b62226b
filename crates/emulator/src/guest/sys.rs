//! The system calls that have no safe wrapper elsewhere.
//!
//! Each function here is safe to call: it checks, or by its signature rules out, what the call below it needs.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use rustix::thread::UnshareFlags;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Which side of a [`fork`] this process is.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old one, with the child's id as seen from here.
    Parent(rustix::process::Pid),
}

/// Refuses to go on unless this process has one thread only.
fn require_single_thread() -> io::Result<()> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads == 1 {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "this process has {threads} threads; the launcher of a guest must be single-threaded"
        )))
    }
}

/// `fork(2)` of a single-threaded process, after which the child may do everything.
///
/// # Errors
/// If other threads exist: they would be missing in the child, with their locks held.
pub fn fork() -> io::Result<Forked> {
    require_single_thread()?;
    // SAFETY: there is one thread, so no lock can be held by a thread that the child lacks.
    match check(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child),
        pid => rustix::process::Pid::from_raw(pid)
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("fork gave no process id")),
    }
}

/// `unshare(2)`.
///
/// # Errors
/// As the call's; and if other threads exist, for they would stay behind.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    require_single_thread()?;
    // SAFETY: the call is unsafe for CLONE_FILES beside other threads only, and there are none.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// As the kernel has it; all-zero is "default action, no flags, nothing blocked".
#[repr(C)]
#[derive(Default)]
struct KernelSigaction {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// Stops ignoring signals that this process was started with ignored, so that no session in the guest inherits that: `nohup` does
/// it to SIGHUP, and `posix_spawn` of the GNU C library to its internal signal 32. SIGPIPE is Rust's own doing and is reset
/// whenever a [`Command`] starts.
///
/// Rust's handlers for SIGSEGV and SIGBUS, which explain stack overflows, are removed too. The kernel spares process 1 every signal
/// sent from inside its namespace only where it has no handler; with one, a burst of signals from the guest's root overflows the
/// small signal stack, and that kills.
///
/// # Errors
/// As `rt_sigaction`'s.
pub fn reset_signal_actions() -> io::Result<()> {
    require_single_thread()?;
    for signal in 1..=64 {
        if [libc::SIGKILL, libc::SIGSTOP, libc::SIGPIPE].contains(&signal) {
            continue;
        }
        let (mut old, new) = (KernelSigaction::default(), KernelSigaction::default());
        let size = mem::size_of::<u64>();
        // SAFETY: both structures are laid out as the kernel has them, and the mask's size is the kernel's. The C library's
        // function would refuse its internal signals.
        let asked = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, 0, &raw mut old, size) };
        check(libc::c_int::try_from(asked).unwrap_or(-1))?;
        if old.handler == libc::SIG_IGN || [libc::SIGSEGV, libc::SIGBUS].contains(&signal) {
            // SAFETY: as above.
            let set =
                unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const new, 0, size) };
            check(libc::c_int::try_from(set).unwrap_or(-1))?;
        }
    }
    Ok(())
}

/// Ends this process at once, without running destructors or exit handlers of the process it was forked from.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Makes a detached copy of a mount (`open_tree`) read-only and, if a user namespace is given, maps its owners through that
/// namespace's id map: `mount_setattr(2)`.
///
/// # Errors
/// As the call's. `EINVAL` also means that the file system has no idmapped mounts.
pub fn set_mount_attributes(
    tree: BorrowedFd<'_>,
    read_only: bool,
    id_map: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    // SAFETY: all-zero is a valid `mount_attr`: nothing set, nothing cleared.
    let mut attr: libc::mount_attr = unsafe { mem::zeroed() };
    attr.attr_set = libc::MOUNT_ATTR_NODEV;
    if read_only {
        attr.attr_set |= libc::MOUNT_ATTR_RDONLY;
    }
    if let Some(namespace) = id_map {
        attr.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attr.userns_fd = u64::try_from(namespace.as_raw_fd()).map_err(io::Error::other)?;
    }
    // SAFETY: the path is an empty C string, `attr` is a valid `mount_attr` of the size given, and both descriptors are borrowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as libc::c_uint,
            &raw const attr,
            mem::size_of::<libc::mount_attr>(),
        )
    };
    check(libc::c_int::try_from(result).unwrap_or(-1)).map(drop)
}

/// Brings the loopback device of this network namespace up and gives it further addresses, as `lo:1`, `lo:2` ….
///
/// # Errors
/// As `ioctl`'s: without power over the network namespace, `EPERM`.
pub fn set_up_loopback(addresses: &[Ipv4Addr]) -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    interface_flags_up(&socket, "lo")?;
    for (number, address) in addresses.iter().enumerate() {
        interface_address(&socket, &format!("lo:{}", number + 1), *address)?;
    }
    Ok(())
}

/// The kernel's `struct in6_ifreq` (`linux/ipv6.h`), which `libc` does not have everywhere.
#[repr(C)]
struct Ipv6Request {
    address: libc::in6_addr,
    prefix: u32,
    interface: libc::c_int,
}

/// Gives the loopback device IPv6 addresses.
///
/// # Errors
/// As `ioctl`'s; `EAFNOSUPPORT` where the kernel has no IPv6.
pub fn add_ipv6_to_loopback(addresses: &[Ipv6Addr]) -> io::Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET6,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: the argument is a text that ends in a zero.
    let interface = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    let interface = libc::c_int::try_from(interface).map_err(io::Error::other)?;
    for address in addresses {
        let mut request = Ipv6Request {
            address: libc::in6_addr {
                s6_addr: address.octets(),
            },
            prefix: 128,
            interface,
        };
        // SAFETY: on a socket of IPv6 the call reads one `in6_ifreq`, which `Ipv6Request` has the layout of.
        check(unsafe {
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR as _, &raw mut request)
        })?;
    }
    Ok(())
}

fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all-zero is a valid `ifreq`: an empty name and an empty union.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::other(format!(
            "interface name {name} is too long"
        )));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    Ok(request)
}

fn interface_flags_up(socket: &OwnedFd, name: &str) -> io::Result<()> {
    let mut request = interface_request(name)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`.
    check(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw mut request,
        )
    })
    .map(drop)
}

fn interface_address(socket: &OwnedFd, name: &str, address: Ipv4Addr) -> io::Result<()> {
    for (call, value) in [
        (libc::SIOCSIFADDR, address),
        (libc::SIOCSIFNETMASK, Ipv4Addr::BROADCAST),
    ] {
        let mut request = interface_request(name)?;
        // SAFETY: all-zero is a valid `sockaddr_in`.
        let mut socket_address: libc::sockaddr_in = unsafe { mem::zeroed() };
        socket_address.sin_family = libc::AF_INET as libc::sa_family_t;
        socket_address.sin_addr.s_addr = u32::from(value).to_be();
        // SAFETY: `sockaddr_in` and `sockaddr` have the same size and alignment no larger than the union's; both are plain data.
        request.ifr_ifru.ifru_addr =
            unsafe { mem::transmute::<libc::sockaddr_in, libc::sockaddr>(socket_address) };
        // SAFETY: both calls read one `ifreq` holding an address.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), call as _, &raw mut request) })?;
    }
    Ok(())
}

/// Lets every process of this user namespace count against a limit it cannot raise, so that a fork bomb ends by itself.
///
/// # Errors
/// As `setrlimit`'s.
pub fn limit_processes(most: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the pointer is to a valid `rlimit`.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }).map(drop)
}

/// Whether this process was given powers by a set-user-ID bit (`AT_SECURE`).
pub fn has_set_user_id_powers() -> bool {
    // SAFETY: `getauxval` has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Takes over a descriptor that this process was started with.
///
/// # Errors
/// `EBADF` if it is not open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes any number and fails if it is not an open descriptor.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 10) })?;
    // SAFETY: the descriptor was just made and nothing else owns it.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(copy) })
}

/// Closes every descriptor above standard error that this process was started with. Call it before opening any.
///
/// # Errors
/// As `close_range`'s.
pub fn close_inherited() -> io::Result<()> {
    require_single_thread()?;
    // SAFETY: marks as close-on-exec first-hand inherited descriptors, none of which has an owner in this process yet.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3 as libc::c_uint,
            libc::c_uint::MAX,
            0 as libc::c_uint,
        )
    };
    check(libc::c_int::try_from(result).unwrap_or(-1)).map(drop)
}

/// Points a standard stream somewhere else.
///
/// # Errors
/// As `dup2`'s.
pub fn redirect_standard(stream: StandardStream, to: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: replacing 0 or 1 leaves the standard library's handles valid: they name the number, not the file.
    check(unsafe { libc::dup2(to.as_raw_fd(), stream as RawFd) }).map(drop)
}

/// Descriptors that every process has.
#[derive(Clone, Copy, Debug)]
pub enum StandardStream {
    /// 0
    Input = 0,
    /// 1
    Output = 1,
}

/// As whom and how a process of the guest runs.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// User, group and supplementary groups; `None` keeps those of the caller (there are no others in a rootless guest).
    pub ids: Option<(u32, u32, Vec<u32>)>,
}

/// Makes `command` start in a session of its own, with `terminal` (if any) as its controlling terminal and standard streams,
/// with file mode mask 022, as `identity`.
pub fn in_new_session(command: &mut Command, identity: Identity, terminal: Option<OwnedFd>) {
    // SAFETY: between fork and exec only system calls are made: setsid, ioctl, dup2, umask, setgroups, setresgid, setresuid.
    // All memory they need is allocated before.
    unsafe {
        command.pre_exec(move || {
            check(libc::setsid())?;
            if let Some(terminal) = &terminal {
                check(libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY as _, 0))?;
                for stream in 0..3 {
                    check(libc::dup2(terminal.as_raw_fd(), stream))?;
                }
            }
            libc::umask(0o022);
            if let Some((user, group, groups)) = &identity.ids {
                check(libc::setgroups(groups.len(), groups.as_ptr()))?;
                check(libc::setresgid(*group, *group, *group))?;
                check(libc::setresuid(*user, *user, *user))?;
            }
            Ok(())
        });
    }
}

/// Becomes a user for good: groups, group and user, in this order.
///
/// # Errors
/// As the calls'; the process must then not go on.
pub fn become_user(user: u32, group: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the calls take plain numbers and a slice with its own length. glibc applies them to all threads.
    unsafe {
        check(libc::setgroups(groups.len(), groups.as_ptr()))?;
        check(libc::setresgid(group, group, group))?;
        check(libc::setresuid(user, user, user))?;
    }
    Ok(())
}

/// Gives up what a set-user-ID bit gave.
///
/// # Errors
/// As `setresuid`'s; the process must then not go on.
pub fn drop_set_user_id_powers() -> io::Result<()> {
    // SAFETY: the calls take and give plain numbers.
    unsafe {
        let (user, group) = (libc::getuid(), libc::getgid());
        check(libc::setresgid(group, group, group))?;
        check(libc::setresuid(user, user, user))?;
    }
    Ok(())
}

/// Sends a signal to every process in this pid namespace but process 1, which is the caller.
///
/// # Errors
/// `ESRCH` if there is no other process; refused in any process that is not process 1.
pub fn signal_all_others(signal: rustix::process::Signal) -> io::Result<()> {
    if std::process::id() != 1 {
        return Err(io::Error::other(
            "only a guest's process 1 may signal all processes",
        ));
    }
    // SAFETY: kill(-1) from process 1 of a pid namespace reaches the processes of that namespace only.
    check(unsafe { libc::kill(-1, signal.as_raw()) }).map(drop)
}

/// Sends a signal given by number, among them the real-time ones (`SIGRTMIN+n`).
///
/// # Errors
/// As `kill`'s.
pub fn kill_raw(process: i32, signal: i32) -> io::Result<()> {
    // SAFETY: `kill` takes two numbers.
    check(unsafe { libc::kill(process, signal) }).map(drop)
}

/// The first real-time signal that the C library leaves to programs.
pub fn first_real_time_signal() -> i32 {
    libc::SIGRTMIN()
}

/// Sets a terminal's size, in characters.
///
/// # Errors
/// As the `TIOCSWINSZ` ioctl's.
pub fn set_terminal_size(terminal: impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = rustix::termios::Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// A non-blocking descriptor that tokio watches.
pub type Watched = tokio::io::unix::AsyncFd<Arc<OwnedFd>>;

/// Makes a descriptor non-blocking and has tokio watch it. Call within a runtime.
///
/// # Errors
/// If it can be neither, as a file on disk.
pub fn watch(descriptor: Arc<OwnedFd>) -> io::Result<Watched> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    // SAFETY: an `Arc<OwnedFd>` gives the same open descriptor for as long as it lives, and the registration owns it.
    Ok(unsafe { tokio::io::unix::AsyncFd::register(descriptor) }?)
}

//! A child's peak memory and processor time, which the standard library does not tell: `wait4(2)`.
#![allow(
    unsafe_code,
    reason = "wait4 has no safe binding that returns the child's resource usage"
)]

use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// What a child has used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// How it ended.
    pub status: ExitStatus,
    /// The most memory that it held, in KiB.
    pub peak_kib: u64,
    /// Processor time, in user mode and in the kernel.
    pub cpu: Duration,
}

/// Waits for `child` and returns how it ended and what it used.
///
/// # Errors
/// If `wait4` fails.
pub fn wait_with_usage(child: Child) -> io::Result<Usage> {
    use std::os::unix::process::ExitStatusExt;
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status: libc::c_int = 0;
    // SAFETY: `rusage` is a struct of integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live, writable values of the right types; `pid` is a child of this process
        // that nobody else has waited for, because `child` is owned here and is not used again.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if waited == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // getrusage(2): ru_maxrss is in KiB on Linux.
    Ok(Usage {
        status: ExitStatus::from_raw(status),
        peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
    })
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::wait_with_usage;
    use std::process::Command;

    #[test]
    fn a_child_that_holds_more_memory_shows_more() {
        let peak = |script: &str| {
            let child = Command::new("sh")
                .args(["-c", script])
                .spawn()
                .expect("sh starts");
            let usage = wait_with_usage(child).expect("it is a child");
            assert!(usage.status.success());
            usage.peak_kib
        };
        let small = peak("true");
        let large = peak("x=$(head -c 20000000 /dev/zero | tr '\\0' x); true");
        assert!(
            small > 0 && large > small + 10_000,
            "{small} KiB and {large} KiB"
        );
    }
}

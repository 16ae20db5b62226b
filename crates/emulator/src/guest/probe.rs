//! Whether this host can run guests, found out by trying.
//!
//! The launcher is started as for a guest, but told to make the namespaces and mounts over empty folders only.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use super::control::{self, FromGuest, ToGuest};
use super::host::{GuestMode, HostProblem};
use super::launcher::LAUNCHER;

/// The mode that works here.
///
/// # Errors
/// What is missing, and what to do.
pub fn probe() -> Result<GuestMode, HostProblem> {
    let mode = if rustix::process::geteuid().is_root() {
        GuestMode::Root
    } else {
        GuestMode::Rootless
    };
    if fs::read_link("/bin").is_err() {
        return Err(HostProblem {
            missing: "its /bin is not a link into /usr".to_owned(),
            remedy: "Guests share the host's /usr; use a distribution whose folders are merged into it (Debian 12, RHEL 8, \
                     Ubuntu 20.04 and later are)"
                .to_owned(),
        });
    }
    try_it(mode)
        .map(|()| mode)
        .map_err(|reason| explain(&reason, &Settings::read()))
}

fn try_it(mode: GuestMode) -> Result<(), String> {
    let (ours, theirs) = control::pair().map_err(|e| format!("cannot make a socket pair: {e}"))?;
    let (lifeline_read, lifeline) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| format!("cannot make a pipe: {e}"))?;
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg0(LAUNCHER)
        .arg("probe")
        .env_clear()
        .current_dir("/");
    command
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(lifeline_read))
        .stderr(Stdio::null());
    let mut launcher = command
        .spawn()
        .map_err(|e| format!("cannot start /proc/self/exe: {e}"))?;
    // The child has its own copy of the other end; this one would keep a dead launcher's socket open.
    drop(command);
    let answer = control::send(&ours, &ToGuest::Probe { mode }, &[])
        .and_then(|()| control::receive::<FromGuest>(&ours));
    drop(lifeline);
    launcher
        .wait()
        .map_err(|e| format!("cannot wait for the launcher: {e}"))?;
    match answer {
        Ok(Some((FromGuest::Capable, _))) => Ok(()),
        Ok(Some((FromGuest::Failed { reason }, _))) => Err(reason),
        Ok(Some(_) | None) => Err(
            "the launcher gave no answer: this executable does not call run_if_guest_process"
                .to_owned(),
        ),
        Err(error) => Err(format!("the launcher cannot be understood: {error}")),
    }
}

/// Settings that forbid namespaces, where the host has them.
#[derive(Debug, Default)]
struct Settings {
    most_user_namespaces: Option<u64>,
    unprivileged_clone: Option<u64>,
    apparmor_restriction: Option<u64>,
    proc_is_masked: bool,
}

impl Settings {
    fn read() -> Settings {
        let number = |path: &str| {
            fs::read_to_string(path)
                .ok()
                .and_then(|text| text.trim().parse().ok())
        };
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Settings {
            most_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            unprivileged_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restriction: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            proc_is_masked: mounts
                .lines()
                .filter_map(|line| line.split(' ').nth(1))
                .any(|target| {
                    Path::new(target)
                        .parent()
                        .is_some_and(|parent| parent.starts_with("/proc"))
                        && target != "/proc/sys/fs/binfmt_misc"
                }),
        }
    }
}

fn explain(reason: &str, settings: &Settings) -> HostProblem {
    let setting =
        |name: &str, value: &str| (format!("{name} is {value} ({reason})"), name.to_owned());
    let (missing, remedy) = if settings.most_user_namespaces == Some(0) {
        let (missing, name) = setting("user.max_user_namespaces", "0");
        (
            missing,
            format!("Allow user namespaces: sysctl -w {name}=10000"),
        )
    } else if settings.unprivileged_clone == Some(0) {
        let (missing, name) = setting("kernel.unprivileged_userns_clone", "0");
        (
            missing,
            format!("Allow user namespaces to everyone, sysctl -w {name}=1, or run as root"),
        )
    } else if settings.apparmor_restriction == Some(1) {
        let (missing, name) = setting("kernel.apparmor_restrict_unprivileged_userns", "1");
        (
            missing,
            format!("Lift the restriction, sysctl -w {name}=0, or run as root"),
        )
    } else if settings.proc_is_masked {
        (
            format!("parts of /proc are hidden, as in a container ({reason})"),
            "Run outside the container, or start it with /proc unmasked (Docker: --security-opt systempaths=unconfined \
             --security-opt seccomp=unconfined, Podman: --security-opt unmask=ALL)"
                .to_owned(),
        )
    } else {
        (
            reason.to_owned(),
            "Guests need Linux 5.19 or later with user namespaces and overlayfs in them; a container needs to be started without \
             a seccomp profile that forbids unshare and mount"
                .to_owned(),
        )
    };
    HostProblem { missing, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_forbids_namespaces_is_named() {
        let none = Settings {
            most_user_namespaces: Some(0),
            ..Settings::default()
        };
        let problem =
            explain("cannot make the guest's user namespace: no space", &none).to_string();
        assert!(
            problem.contains("user.max_user_namespaces is 0") && problem.contains("sysctl -w"),
            "{problem}"
        );
        let ubuntu = Settings {
            apparmor_restriction: Some(1),
            most_user_namespaces: Some(9),
            ..Settings::default()
        };
        assert!(
            explain("EPERM", &ubuntu)
                .to_string()
                .contains("apparmor_restrict_unprivileged_userns=0")
        );
        let docker = Settings {
            proc_is_masked: true,
            ..Settings::default()
        };
        assert!(
            explain("cannot mount /proc", &docker)
                .to_string()
                .contains("systempaths=unconfined")
        );
    }
}

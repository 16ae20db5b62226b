//! `shutdown`, `poweroff`, `halt`, `reboot`: they tell process 1 by a signal, as the systemd commands they stand in for would.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::guest::init::{Why, signal_for};
use crate::guest::sys;

use super::{Tool, complain};

/// Holds the id of the process that waits for a later shutdown.
const PENDING: &str = "/run/shutdown.pid";
/// How the waiting process is called by ourselves.
const WAITER: &str = "--after-seconds";

/// What `shutdown`'s arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Now(Why),
    Later(Why, Duration),
    Wait(Why, Duration),
    Cancel,
}

pub fn shutdown(arguments: &[OsString]) -> i32 {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let request = match parse(&arguments) {
        Ok(request) => request,
        Err(text) => return complain("shutdown", &text, 1),
    };
    match request {
        Request::Now(why) => tell_process_one(Tool::Shutdown, why),
        Request::Later(why, delay) => schedule(why, delay),
        Request::Wait(why, delay) => {
            std::thread::sleep(delay);
            tell_process_one(Tool::Shutdown, why)
        }
        Request::Cancel => cancel(),
    }
}

pub fn at_once(tool: Tool, why: Why, arguments: &[OsString]) -> i32 {
    let mut why = why;
    for argument in arguments {
        match argument.to_str() {
            // There are no file systems to write back and no log-in records, so "force" and "no sync" change nothing.
            Some(
                "-f" | "--force" | "-ff" | "-n" | "--no-sync" | "-d" | "--no-wtmp" | "--no-wall"
                | "-w",
            ) => {}
            Some("-p" | "--poweroff" | "--halt") => why = Why::PowerOff,
            Some("--reboot") => why = Why::Reboot,
            _ => {
                return complain(
                    tool.name(),
                    &format!("unknown argument {}", argument.display()),
                    1,
                );
            }
        }
    }
    tell_process_one(tool, why)
}

/// As systemd's shutdown(8): options, then a time (default `+1`), then a message that is shown to nobody here.
fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut why = Why::PowerOff;
    let mut rest = arguments.iter();
    let mut time = None;
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-h" | "-P" | "-H" | "--poweroff" | "--halt" => why = Why::PowerOff,
            "-r" | "--reboot" => why = Why::Reboot,
            "-c" => return Ok(Request::Cancel),
            "--no-wall" | "-k" => {}
            WAITER => {
                let seconds = rest
                    .next()
                    .and_then(|s| s.parse().ok())
                    .ok_or("the waiting time is no number")?;
                return Ok(Request::Wait(why, Duration::from_secs(seconds)));
            }
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            other => {
                time = Some(other);
                break;
            }
        }
    }
    match time {
        Some("now") => Ok(Request::Now(why)),
        None => Ok(Request::Later(why, Duration::from_secs(60))),
        Some(time) => {
            let minutes: u64 = time
                .strip_prefix('+')
                .and_then(|minutes| minutes.parse().ok())
                .ok_or_else(|| {
                    format!("the time {time} is not understood here; use now or +MINUTES")
                })?;
            Ok(if minutes == 0 {
                Request::Now(why)
            } else {
                Request::Later(why, Duration::from_secs(minutes * 60))
            })
        }
    }
}

fn tell_process_one(tool: Tool, why: Why) -> i32 {
    if !rustix::process::getuid().is_root() {
        return complain(tool.name(), "must be root (use sudo)", 1);
    }
    match sys::kill_raw(1, signal_for(why)) {
        Ok(()) => 0,
        Err(error) => complain(tool.name(), &format!("cannot tell process 1: {error}"), 1),
    }
}

fn schedule(why: Why, delay: Duration) -> i32 {
    if !rustix::process::getuid().is_root() {
        return complain("shutdown", "must be root (use sudo)", 1);
    }
    let option = if why == Why::Reboot { "-r" } else { "-h" };
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("shutdown")
        .args([option, WAITER, &delay.as_secs().to_string()]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let waiter = match command.spawn() {
        Ok(waiter) => waiter,
        Err(error) => {
            return complain(
                "shutdown",
                &format!("cannot wait in the background: {error}"),
                1,
            );
        }
    };
    match fs::write(PENDING, waiter.id().to_string()) {
        Ok(()) => complain(
            "shutdown",
            &format!(
                "scheduled in {} minutes, use 'shutdown -c' to cancel",
                delay.as_secs() / 60
            ),
            0,
        ),
        Err(error) => complain(
            "shutdown",
            &format!("scheduled, but it cannot be cancelled: {PENDING}: {error}"),
            0,
        ),
    }
}

fn cancel() -> i32 {
    let Some(waiter) = fs::read_to_string(PENDING)
        .ok()
        .and_then(|id| id.trim().parse::<i32>().ok())
    else {
        return 0;
    };
    // Only if that id still is the process we left waiting.
    let is_ours = fs::read(format!("/proc/{waiter}/cmdline")).is_ok_and(|line| {
        let mut words = line.split(|b| *b == 0);
        words.any(|word| OsStr::new(WAITER).as_encoded_bytes() == word)
    });
    if is_ours && let Err(error) = sys::kill_raw(waiter, libc::SIGTERM) {
        return complain("shutdown", &format!("cannot cancel: {error}"), 1);
    }
    match fs::remove_file(PENDING) {
        Ok(()) => 0,
        Err(error) => complain("shutdown", &format!("{PENDING}: {error}"), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Result<Request, String> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn times_and_kinds() {
        assert_eq!(request("-h now"), Ok(Request::Now(Why::PowerOff)));
        assert_eq!(request("-r now going down"), Ok(Request::Now(Why::Reboot)));
        assert_eq!(request("-P +0"), Ok(Request::Now(Why::PowerOff)));
        assert_eq!(
            request(""),
            Ok(Request::Later(Why::PowerOff, Duration::from_secs(60)))
        );
        assert_eq!(
            request("-r +2"),
            Ok(Request::Later(Why::Reboot, Duration::from_secs(120)))
        );
        assert_eq!(request("-c"), Ok(Request::Cancel));
        assert!(request("23:00").is_err());
        assert!(request("--when=never").is_err());
    }
}

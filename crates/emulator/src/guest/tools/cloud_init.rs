//! `cloud-init status` and `cloud-init clean`, for guests whose host has no cloud-init.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fs::inotify;

use crate::guest::boot_agent::state;

use super::complain;

pub fn main(arguments: &[OsString]) -> i32 {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.split_first() {
        Some((&"status", options)) => status(options),
        Some((&"clean", options)) => clean(options),
        Some((&("--version" | "-v"), [])) => {
            say("cloud-init: the local EC2's built-in boot agent", 0)
        }
        _ => complain(
            "cloud-init",
            "the local EC2's boot agent knows: status [--wait] [--long], clean [--logs] [--machine-id]",
            2,
        ),
    }
}

fn say(text: &str, code: i32) -> i32 {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => code,
        Err(_) => 1,
    }
}

fn status(options: &[&str]) -> i32 {
    let (mut wait, mut long) = (false, false);
    for option in options {
        match *option {
            "--wait" | "-w" => wait = true,
            "--long" | "-l" => long = true,
            _ => return complain("cloud-init", &format!("status: unknown option {option}"), 2),
        }
    }
    if wait && let Err(error) = wait_for_result() {
        return complain(
            "cloud-init",
            &format!("status: cannot wait for {}: {error}", state::RESULT),
            1,
        );
    }
    let (word, code, errors) = match fs::read_to_string(state::RESULT) {
        Ok(text) => match state::errors_in_result(&text) {
            Some(errors) if errors.is_empty() => ("done", 0, errors),
            Some(errors) => ("error", 1, errors),
            None => ("error", 1, vec![format!("{} is damaged", state::RESULT)]),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => ("running", 0, Vec::new()),
        Err(error) => return complain("cloud-init", &format!("{}: {error}", state::RESULT), 1),
    };
    let detail = if long {
        errors.iter().map(|e| format!("\ndetail: {e}")).collect()
    } else {
        String::new()
    };
    say(&format!("status: {word}{detail}"), code)
}

/// Waits until the result is there; it is moved into place whole.
fn wait_for_result() -> io::Result<()> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(
        &watch,
        state::RUN_FOLDER,
        inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO,
    )?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    while !Path::new(state::RESULT).exists() {
        events.next()?;
    }
    Ok(())
}

fn clean(options: &[&str]) -> i32 {
    let (mut logs, mut machine_id) = (false, false);
    for option in options {
        match *option {
            "--logs" | "-l" => logs = true,
            "--machine-id" => machine_id = true,
            // There is no seed besides the IMDS.
            "--seed" | "-s" => {}
            _ => return complain("cloud-init", &format!("clean: unknown option {option}"), 2),
        }
    }
    let mut done = remove_content(Path::new(state::FOLDER));
    if logs {
        done = done
            .and_then(|()| remove_file("/var/log/cloud-init.log"))
            .and_then(|()| remove_file(state::OUTPUT_LOG));
    }
    if machine_id {
        done = done.and_then(|()| fs::write("/etc/machine-id", "uninitialized\n"));
    }
    match done {
        Ok(()) => 0,
        Err(error) => complain("cloud-init", &format!("clean: {error}"), 1),
    }
}

fn remove_content(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn remove_file(path: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

//! Commands and scripts of a boot, with their output on the console and in cloud-init's log.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::cloud_config::CommandLine;
use super::state::OUTPUT_LOG;
use crate::guest::init::Guest;
use crate::guest::sys::{self, Identity};

/// As systemd gives it to its services.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long output is awaited after a command's end. A background process may hold its pipe for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(300);

/// Runs commands as root in the guest.
#[derive(Debug)]
pub struct Runner<'a> {
    guest: &'a Guest,
}

impl<'a> Runner<'a> {
    /// In this guest.
    pub fn new(guest: &'a Guest) -> Runner<'a> {
        Runner { guest }
    }

    /// Runs a command to its end, at `/`, without input.
    ///
    /// # Errors
    /// If it cannot be started, or ends with anything but 0.
    pub fn run(&self, command: Command) -> io::Result<()> {
        self.run_in(command, None)
    }

    /// Like [`run`](Self::run), with a variable more.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with(&self, command: Command, name: &str, value: &str) -> io::Result<()> {
        self.run_in(command, Some((name, value)))
    }

    fn run_in(&self, mut command: Command, variable: Option<(&str, &str)>) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        command.env_clear().env("PATH", PATH).envs(variable);
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        sys::in_new_session(&mut command, Identity::default(), None);
        self.finish(command, reader)
    }

    fn finish(&self, mut command: Command, reader: io::PipeReader) -> io::Result<()> {
        let started = self.guest.children.spawn(&mut command)?;
        // It holds the pipe's writing end.
        drop(command);
        let (done, copied) = mpsc::channel();
        let log = File::options().append(true).create(true).open(OUTPUT_LOG);
        let console = Arc::clone(&self.guest.console);
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                copy(reader, |bytes| {
                    console.raw(bytes);
                    if let Ok(mut log) = log.as_ref() {
                        // A full disk: the console has it.
                        let _ = log.write_all(bytes);
                    }
                });
                // Nobody waits any more if the command left a background process behind.
                let _ = done.send(());
            })?;
        let status = started
            .status
            .blocking_recv()
            .map_err(|_| io::Error::other("the guest ended meanwhile"))?;
        let _ = copied.recv_timeout(LAST_OUTPUT);
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => Err(io::Error::other(format!("exit code {code}"))),
            (None, signal) => Err(io::Error::other(format!(
                "killed by signal {}",
                signal.unwrap_or_default()
            ))),
        }
    }
}

fn copy(mut from: impl Read, mut to: impl FnMut(&[u8])) {
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => to(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// A program that is run without arguments.
pub fn script(path: &Path) -> Command {
    Command::new(path)
}

/// `bootcmd` and `runcmd` as one shell script, as cloud-init writes it: words are quoted, lines are left as they are.
pub fn shell_script(commands: &[CommandLine]) -> String {
    let mut script = String::from("#!/bin/sh\n");
    for command in commands {
        match command {
            CommandLine::Shell(line) => script.push_str(line),
            CommandLine::Words(words) => {
                let quoted: Vec<_> = words
                    .iter()
                    .map(|word| format!("'{}'", word.0.replace('\'', r"'\''")))
                    .collect();
                script.push_str(&quoted.join(" "));
            }
        }
        script.push('\n');
    }
    script
}

#[cfg(test)]
mod tests {
    use super::super::cloud_config::Word;
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        let commands = [
            CommandLine::Shell("echo $((1+1))".into()),
            CommandLine::Words(vec![
                Word("printf".into()),
                Word("%s".into()),
                Word("it's; $HOME".into()),
            ]),
        ];
        let script = shell_script(&commands);
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "2\nit's; $HOME");
    }
}

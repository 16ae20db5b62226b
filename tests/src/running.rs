//! A program that runs: its output as it comes, its end at the latest at a hard deadline.

use crate::Ended;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

/// No run of a test takes longer, by far; one that does hangs.
const DEADLINE: Duration = Duration::from_secs(180);

/// A program that runs. Killed with all it started if this is dropped before it ends.
pub struct Running {
    line: String,
    child: Child,
    ends_by: Instant,
    lines: Receiver<Line>,
    readers: Vec<JoinHandle<()>>,
    stdout: String,
    stderr: String,
}

enum Line {
    Stdout(String),
    Stderr(String),
}

impl Running {
    /// Starts `command` in a process group of its own, without input.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let line = shown(&command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let (sender, lines) = mpsc::channel();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(read_lines(stdout, sender.clone(), Line::Stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(read_lines(stderr, sender, Line::Stderr));
        }
        let ends_by = Instant::now() + DEADLINE;
        Self {
            line,
            child,
            ends_by,
            lines,
            readers,
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    /// Waits for a line of standard output that is a JSON object which `fits`.
    ///
    /// Fails with all that was said if the program ends before, or at the deadline.
    #[track_caller]
    pub fn wait_for_event(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        while let Some(line) = self.next_line() {
            if let Line::Stdout(text) = line
                && let Ok(event) = serde_json::from_str::<Value>(&text)
                && fits(&event)
            {
                return event;
            }
        }
        panic!(
            "it ended, or went on for too long, before {what}{}",
            self.so_far()
        );
    }

    /// Waits for the event that a step begins. False if the program ended without it.
    pub fn reaches(&mut self, step: &str) -> bool {
        self.sees(|event| event["event"] == "step-started" && event["step"] == step)
    }

    /// Waits for an event that `fits`. False if the program ended without it.
    pub fn sees(&mut self, fits: impl Fn(&Value) -> bool) -> bool {
        while let Some(line) = self.next_line() {
            if let Line::Stdout(text) = line
                && let Ok(event) = serde_json::from_str::<Value>(&text)
                && fits(&event)
            {
                return true;
            }
        }
        false
    }

    /// Waits for a line of standard error that has `text`, and returns it.
    #[track_caller]
    pub fn wait_for_stderr(&mut self, text: &str) -> String {
        while let Some(line) = self.next_line() {
            if let Line::Stderr(said) = line
                && said.contains(text)
            {
                return said;
            }
        }
        panic!(
            "it ended, or went on for too long, before it said {text:?}{}",
            self.so_far()
        );
    }

    /// The most memory that it has held so far, in MiB; none once it has ended.
    pub fn peak_memory_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib.div_ceil(1024))
    }

    /// Sends it a signal, as a terminal or a CI server does.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        if let Err(error) = rustix::process::kill_process(pid, signal) {
            panic!("cannot signal {}: {error}", self.line);
        }
    }

    /// Waits for its end.
    ///
    /// Fails with all that was said if that is not before the deadline.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        while self.next_line().is_some() {}
        let status = self.wait_until_deadline();
        for reader in self.readers.drain(..) {
            reader
                .join()
                .unwrap_or_else(|_| panic!("a reader of {} panicked", self.line));
        }
        Ended {
            line: self.line.clone(),
            code: status.code(),
            stdout: std::mem::take(&mut self.stdout),
            stderr: std::mem::take(&mut self.stderr),
        }
    }

    /// The next line of either stream; none when both have ended or the deadline has passed.
    fn next_line(&mut self) -> Option<Line> {
        let left = self.ends_by.saturating_duration_since(Instant::now());
        let line = match self.lines.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        let (all, text) = match &line {
            Line::Stdout(text) => (&mut self.stdout, text),
            Line::Stderr(text) => (&mut self.stderr, text),
        };
        all.push_str(text);
        all.push('\n');
        Some(line)
    }

    #[track_caller]
    fn wait_until_deadline(&mut self) -> ExitStatus {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) if Instant::now() < self.ends_by => {
                    thread::sleep(Duration::from_millis(5))
                }
                Ok(None) => panic!("it did not end within {DEADLINE:?}{}", self.so_far()),
                Err(error) => panic!("cannot wait for {}: {error}", self.line),
            }
        }
    }

    fn so_far(&self) -> Ended {
        Ended {
            line: self.line.clone(),
            code: None,
            stdout: self.stdout.clone(),
            stderr: self.stderr.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let group = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process_group(group, Signal::KILL).ok();
            self.child.wait().ok();
        }
    }
}

fn read_lines(
    stream: impl Read + Send + 'static,
    sender: Sender<Line>,
    which: fn(String) -> Line,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|read| read > 0)
        {
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if sender.send(which(text)).is_err() {
                return;
            }
        }
    })
}

/// The command line, for messages.
fn shown(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

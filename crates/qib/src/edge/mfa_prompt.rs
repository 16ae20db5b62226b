//! Asking for the code of an MFA device on the terminal.

use async_trait::async_trait;
use aws::MfaPrompt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The terminal that the process is controlled from, wherever its input and output go.
const TERMINAL: &str = "/dev/tty";
/// How often a line that is no code is answered with the question again.
const TRIES: usize = 3;

/// Asks on a terminal.
#[derive(Debug)]
pub struct TerminalPrompt {
    terminal: PathBuf,
}

impl TerminalPrompt {
    /// Where a person can be asked; none where the process has no terminal, as in a pipeline of a CI.
    pub fn find() -> Option<Arc<dyn MfaPrompt>> {
        Self::on(Path::new(TERMINAL))
    }

    fn on(terminal: &Path) -> Option<Arc<dyn MfaPrompt>> {
        open(terminal).ok()?;
        Some(Arc::new(Self {
            terminal: terminal.to_owned(),
        }))
    }
}

/// A code as devices show it.
///
/// # Errors
/// What it looks like.
pub fn code(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(String::from("the code of an MFA device has six digits"))
    }
}

#[async_trait]
impl MfaPrompt for TerminalPrompt {
    async fn code(&self, device: &str) -> Result<String, String> {
        let (terminal, device) = (self.terminal.clone(), device.to_owned());
        let (answer, answered) = oneshot::channel();
        // A thread of its own, not one of the runtime's: the runtime waits for its threads at the end, and this one waits
        // for a person who may have pressed Ctrl-C instead.
        std::thread::spawn(move || {
            let asked = ask(&terminal, &device).map_err(|error| error.to_string());
            // Nobody wants it any more if the receiver is gone.
            let _ = answer.send(asked);
        });
        answered
            .await
            .map_err(|_| String::from("the question was given up"))?
    }
}

fn ask(terminal: &Path, device: &str) -> io::Result<String> {
    let mut out = open(terminal)?;
    let mut lines = BufReader::new(out.try_clone()?);
    for _ in 0..TRIES {
        write!(out, "code of the MFA device {device}: ")?;
        out.flush()?;
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the terminal's input has ended"));
        }
        match code(&line) {
            Ok(code) => return Ok(code),
            Err(why) => writeln!(out, "{why}")?,
        }
    }
    Err(io::Error::other("none of the answers was a code"))
}

fn open(terminal: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(terminal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::OFlags;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    /// A terminal whose other end the test has.
    fn a_terminal() -> (File, PathBuf, File) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let path = PathBuf::from(name.to_str().unwrap());
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        // Kept open: the controller would see the end of it when the question is done.
        let kept = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).unwrap();
        (File::from(controller), path, File::from(kept))
    }

    #[tokio::test]
    async fn a_code_is_read_from_the_terminal_and_nonsense_is_asked_again() {
        let (mut person, path, _kept) = a_terminal();
        person.write_all(b"secret\n123456\n").unwrap();
        let prompt = TerminalPrompt::on(&path).unwrap();
        assert_eq!(prompt.code("arn:mfa").await.unwrap(), "123456");
        let mut shown = vec![0; 4096];
        let count = io::Read::read(&mut person, &mut shown).unwrap();
        let shown = String::from_utf8_lossy(&shown[..count]).into_owned();
        assert!(
            shown.contains("code of the MFA device arn:mfa: "),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn three_wrong_answers_are_enough() {
        let (mut person, path, _kept) = a_terminal();
        person.write_all(b"a\nb\nc\n123456\n").unwrap();
        let error = TerminalPrompt::on(&path)
            .unwrap()
            .code("arn:mfa")
            .await
            .unwrap_err();
        assert!(error.contains("none of the answers"), "{error}");
    }

    #[test]
    fn without_a_terminal_nobody_is_asked() {
        assert!(TerminalPrompt::on(Path::new("/nowhere/tty")).is_none());
    }

    #[test]
    fn a_code_has_six_digits() {
        assert_eq!(code(" 012345\n").unwrap(), "012345");
        for wrong in ["", "12345", "1234567", "12345a", "１２３４５６"] {
            assert!(code(wrong).is_err(), "{wrong}");
        }
    }
}

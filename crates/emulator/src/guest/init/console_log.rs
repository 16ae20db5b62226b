//! The console log: what EC2's GetConsoleOutput shows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The file is cut back to [`KEPT`] when it grows over this.
const LONGEST: u64 = 512 * 1024;
/// EC2 keeps 64 KiB of the serial console's output.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleOutput.html>
const KEPT: u64 = 64 * 1024;

/// Writes to the console log. Lines of the boot carry the seconds since the guest started, as a kernel's do.
#[derive(Debug)]
pub struct ConsoleLog {
    file: Mutex<File>,
    started: Instant,
}

impl ConsoleLog {
    /// Writes to `file`, which is open for reading and appending.
    pub fn new(file: File) -> ConsoleLog {
        ConsoleLog {
            file: Mutex::new(file),
            started: Instant::now(),
        }
    }

    /// One line of the boot.
    pub fn line(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let mut out = String::new();
        for line in text.lines() {
            out.push_str(&format!("[{seconds:12.6}] {line}\n"));
        }
        self.raw(out.as_bytes());
    }

    /// Bytes as a program wrote them.
    pub fn raw(&self, bytes: &[u8]) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not end a guest; there is no better place to complain than the console itself.
        let _ = file.write_all(bytes).and_then(|()| cut_back(&mut file));
    }
}

fn cut_back(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    if length <= LONGEST {
        return Ok(());
    }
    file.seek(SeekFrom::Start(length - KEPT))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    file.set_len(0)?;
    file.write_all(&tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_the_last_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.log");
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        let log = ConsoleLog::new(file);
        for _ in 0..600 {
            log.raw(&[b'x'; 1024]);
        }
        log.line("the end");
        let text = std::fs::read(&path).unwrap();
        assert!(
            text.len() as u64 <= LONGEST + 1024,
            "{} bytes were kept",
            text.len()
        );
        assert!(text.ends_with(b"the end\n"));
    }
}

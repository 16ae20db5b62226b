//! `QIB_CRASH_AT`: the process kills itself at a record of the journal, so that tests can show what a crash at each of
//! them leaves. It can do nothing that `kill -9` could not.

use build::journal::JournalWatch;
use rustix::process::{Signal, getpid, kill_process};
use std::str::FromStr;

/// Where the process kills itself: before or after a record, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    number: u64,
    moment: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

impl FromStr for CrashPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || {
            format!("QIB_CRASH_AT is {text:?}, and is written <record>:before or <record>:after")
        };
        let (number, moment) = text.split_once(':').ok_or_else(malformed)?;
        Ok(Self {
            number: number.parse().map_err(|_| malformed())?,
            moment: match moment {
                "before" => Moment::Before,
                "after" => Moment::After,
                _ => return Err(malformed()),
            },
        })
    }
}

impl CrashPoint {
    fn crash_at(&self, number: u64, moment: Moment) {
        if self.number == number && self.moment == moment {
            // SIGKILL does not come back. Were it refused, the test that wants it would see that nothing crashed.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

impl JournalWatch for CrashPoint {
    fn before(&self, number: u64) {
        self.crash_at(number, Moment::Before);
    }

    fn after(&self, number: u64) {
        self.crash_at(number, Moment::After);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_strictly() {
        assert_eq!(
            "12:after".parse(),
            Ok(CrashPoint {
                number: 12,
                moment: Moment::After
            })
        );
        for wrong in ["12", "after", "12:later", "x:before", ""] {
            assert!(wrong.parse::<CrashPoint>().is_err(), "{wrong}");
        }
    }
}

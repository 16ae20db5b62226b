//! Uploads that are stored otherwise than they were received: entries of `corrupt_uploads` in `faults.json`.
//!
//! The checksum is verified at receipt, and the answer and every list say what was received; the stored content differs in one
//! byte. S3 promises that this does not happen; whoever imports what he has uploaded should find it out anyway.

use serde::Deserialize;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Uploads that are corrupted. What is left out is anything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorruptUpload {
    #[serde(default)]
    bucket: Option<String>,
    #[serde(default)]
    key: Option<String>,
    /// Which part of a multipart upload; an object that is put whole has none.
    #[serde(default)]
    part: Option<u16>,
    /// Which byte; the middle one if none is given or there are fewer.
    #[serde(default)]
    at_byte: Option<u64>,
    /// How many more go well.
    #[serde(default)]
    after: u32,
    /// How many more are corrupted; all if none.
    #[serde(default)]
    times: Option<u32>,
}

/// What is about to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The object's key.
    pub key: &'a str,
    /// The part's number.
    pub part: Option<u16>,
    /// Its length. What is empty cannot be corrupted, and is not counted.
    pub size: u64,
}

/// How it is corrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corruption {
    at_byte: Option<u64>,
}

/// How something is corrupted, if it is; counts it. The first entry that is about it and is neither to begin nor used up.
pub fn meet(faults: &mut [CorruptUpload], stored: &Stored<'_>) -> Option<Corruption> {
    faults.iter_mut().find_map(|f| f.meet(stored))
}

impl CorruptUpload {
    fn meet(&mut self, stored: &Stored<'_>) -> Option<Corruption> {
        let is = |wanted: &Option<String>, it| wanted.as_deref().is_none_or(|w| w == it);
        let about = is(&self.bucket, stored.bucket)
            && is(&self.key, stored.key)
            && (self.part.is_none() || self.part == stored.part)
            && stored.size > 0;
        if !about || self.times == Some(0) {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times = self.times.map(|n| n - 1);
        Some(Corruption {
            at_byte: self.at_byte,
        })
    }
}

impl Corruption {
    /// Changes one byte of what was received.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn apply(self, file: &mut File, size: u64) -> io::Result<()> {
        let at = self.at_byte.filter(|at| *at < size).unwrap_or(size / 2);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[!byte[0]], at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<CorruptUpload> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_it_is_about_and_how_often() {
        let part = |number| Stored {
            bucket: "b",
            key: "k",
            part: Some(number),
            size: 10,
        };
        let mut faults = read(r#"[{"bucket":"b","part":3,"after":1,"times":1,"at_byte":7}]"#);
        assert_eq!(meet(&mut faults, &part(1)), None);
        assert_eq!(meet(&mut faults, &part(3)), None, "the first goes well");
        let hit = Some(Corruption { at_byte: Some(7) });
        assert_eq!(meet(&mut faults, &part(3)), hit);
        assert_eq!(meet(&mut faults, &part(3)), None, "used up");
        let elsewhere = Stored {
            bucket: "c",
            ..part(3)
        };
        assert_eq!(meet(&mut read(r#"[{"bucket":"b"}]"#), &elsewhere), None);
        let empty = Stored { size: 0, ..part(3) };
        assert_eq!(meet(&mut read("[{}]"), &empty), None);
        assert!(serde_json::from_str::<CorruptUpload>(r#"{"parts":1}"#).is_err());
    }
}

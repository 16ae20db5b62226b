//! What every target does with an image: reads what can be read of it, within bounds.

use std::sync::Arc;

use disk::{Content, Disk, Format, OpenOptions, ReadAt};

/// Opens `bytes` as a format and walks over the disk.
pub fn walk_over(bytes: impl ReadAt + 'static, format: Format) {
    let options = OpenOptions {
        format: Some(format),
        ..OpenOptions::default()
    };
    if let Ok(opened) = disk::open_bytes("fuzz", Arc::new(bytes), &options) {
        walk(&*opened.disk);
    }
}

fn walk(disk: &dyn Disk) {
    let mut buffer = vec![0; 16 << 10];
    let mut offset = 0;
    for _ in 0..64 {
        if offset >= disk.size() {
            break;
        }
        let Ok(extent) = disk.extent_at(offset) else {
            // What is wrong there must not keep the rest from being looked at.
            offset = offset.saturating_add(4096);
            continue;
        };
        assert!(extent.length > 0 && extent.length <= disk.size() - offset);
        let length = usize::try_from(extent.length).map_or(buffer.len(), |n| n.min(buffer.len()));
        let part = &mut buffer[..length];
        part.fill(1);
        if disk.read_at(part, offset).is_ok() && extent.content == Content::Zero {
            assert!(part.iter().all(|&byte| byte == 0), "zeros that are none");
        }
        offset += extent.length;
    }
    if let Some(last) = disk.size().checked_sub(1) {
        let _ = disk.read_at(&mut buffer[..1], last);
        let _ = disk.extent_at(last);
    }
    assert!(disk.read_at(&mut buffer[..1], disk.size()).is_err());
    assert!(disk.extent_at(disk.size()).is_err());
}

/// A VHDX has its tables at fixed places with zeros between them, and a checksum over each: what a fuzzer finds is put where
/// a reader looks for it, and sealed.
pub mod vhdx {
    use disk::ReadAt;

    /// The file's parts: where each is, and how long.
    const PARTS: [(u64, usize); 6] = [
        (0, 8),
        (64 << 10, 128),
        (192 << 10, 128),
        (1 << 20, 8192),
        (3 << 20, 512),
        (3 << 20 | 64 << 10, 64),
    ];
    const TABLE: u64 = 2 << 20;

    /// A file of 8 MiB that is made from a few hundred bytes.
    pub struct Sparse {
        parts: Vec<(u64, Vec<u8>)>,
    }

    impl Sparse {
        pub fn new(bytes: &[u8]) -> Self {
            let mut rest = bytes;
            let mut parts: Vec<(u64, Vec<u8>)> = Vec::new();
            for (place, length) in PARTS {
                let (part, behind) = rest.split_at(length.min(rest.len()));
                let mut part = part.to_vec();
                part.resize(length, 0);
                rest = behind;
                parts.push((place, part));
            }
            let mut table = rest.to_vec();
            table.resize(4096, 0);
            parts.push((TABLE, table));
            parts[0].1.copy_from_slice(b"vhdxfile");
            parts[1].1[..4].copy_from_slice(b"head");
            parts[2].1[..4].copy_from_slice(b"regi");
            parts[4].1[..8].copy_from_slice(b"metadata");
            seal(&mut parts[1].1, 4096);
            seal(&mut parts[2].1, 64 << 10);
            let log = &mut parts[3].1;
            if log.starts_with(b"loge") {
                let claimed = u32::from_le_bytes([log[8], log[9], log[10], log[11]]);
                let whole = usize::try_from(claimed).map_or(log.len(), |n| n.min(log.len()));
                if whole >= 64 {
                    seal(&mut log[..whole], whole);
                }
            }
            Self { parts }
        }
    }

    const CRC: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };

    /// Writes the CRC-32C of a structure that goes on with zeros.
    fn seal(bytes: &mut [u8], whole: usize) {
        bytes[4..8].fill(0);
        let add = |crc: u32, byte: u8| (crc >> 8) ^ CRC[usize::from(crc as u8 ^ byte)];
        let mut crc = bytes.iter().fold(!0, |crc, &byte| add(crc, byte));
        for _ in bytes.len()..whole {
            crc = add(crc, 0);
        }
        bytes[4..8].copy_from_slice(&(!crc).to_le_bytes());
    }

    impl ReadAt for Sparse {
        fn length(&self) -> u64 {
            8 << 20
        }

        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
            let end = offset + buffer.len() as u64;
            if end > self.length() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            buffer.fill(0);
            for (place, part) in &self.parts {
                let (from, to) = ((*place).max(offset), (place + part.len() as u64).min(end));
                if from < to {
                    let (at, start) = ((from - offset) as usize, (from - place) as usize);
                    let length = (to - from) as usize;
                    buffer[at..at + length].copy_from_slice(&part[start..start + length]);
                }
            }
            Ok(())
        }
    }
}

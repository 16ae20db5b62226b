#![no_main]

use std::sync::Arc;

use disk::{Format, OpenOptions};
use libfuzzer_sys::fuzz_target;

/// The CRC of the header of a GPT, which a fuzzer would hardly find.
fn seal(header: &mut [u8]) {
    header[16..20].fill(0);
    let crc = !header.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    header[16..20].copy_from_slice(&crc.to_le_bytes());
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    for at in [512, 4096, bytes.len().saturating_sub(512)] {
        let Some(header) = bytes.get_mut(at..at + 512) else {
            continue;
        };
        let size = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        if header.starts_with(b"EFI PART") && (92..=512).contains(&size) {
            seal(&mut header[..size]);
        }
    }
    let options = OpenOptions {
        format: Some(Format::Raw),
        ..OpenOptions::default()
    };
    if let Ok(opened) = disk::open_bytes("fuzz", Arc::new(bytes), &options) {
        let layout = disk::partition::layout(&*opened.disk).expect("memory can be read");
        let _ = layout.boot_mode();
    }
});

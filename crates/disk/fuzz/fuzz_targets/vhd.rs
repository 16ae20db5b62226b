#![no_main]

use disk::Format;
use libfuzzer_sys::fuzz_target;

/// The one's complement of the sum of all other bytes.
fn seal(bytes: &mut [u8], at: usize) {
    bytes[at..at + 4].fill(0);
    let sum = bytes
        .iter()
        .fold(0_u32, |sum, &byte| sum.wrapping_add(u32::from(byte)));
    bytes[at..at + 4].copy_from_slice(&(!sum).to_be_bytes());
}

// The checksums are made right: a fuzzer would hardly find them.
fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let length = bytes.len();
    if let Some(footer) = length.checked_sub(512) {
        bytes[footer..footer + 8].copy_from_slice(b"conectix");
        seal(&mut bytes[footer..], 64);
        if length >= 1536 + 512 && bytes[512..].starts_with(b"cxsparse") {
            seal(&mut bytes[512..1536], 36);
        }
    }
    disk_fuzz::walk_over(bytes, Format::Vhd);
});

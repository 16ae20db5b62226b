#![no_main]

use disk::probe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let tail = bytes
        .len()
        .checked_sub(512)
        .map_or(&[][..], |at| &bytes[at..]);
    let told = probe::recognise(&bytes[..bytes.len().min(probe::HEAD)], tail);
    let probed = probe::probe(&bytes.to_vec()).expect("memory can be read");
    assert_eq!(told, probed);
});

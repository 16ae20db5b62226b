#![no_main]

use disk::Format;
use libfuzzer_sys::fuzz_target;

// Sparse and stream-optimised files, and descriptions; the files that these name are not there.
fuzz_target!(|bytes: &[u8]| disk_fuzz::walk_over(bytes.to_vec(), Format::Vmdk));

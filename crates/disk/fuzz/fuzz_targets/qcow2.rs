#![no_main]

use disk::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| disk_fuzz::walk_over(bytes.to_vec(), Format::Qcow2));

#![no_main]

use disk::Format;
use disk_fuzz::vhdx::Sparse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| disk_fuzz::walk_over(Sparse::new(bytes), Format::Vhdx));

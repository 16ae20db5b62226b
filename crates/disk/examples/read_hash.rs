//! Reads and hashes a disk image: `read_hash FILE [THREADS]`. What an import does, without sending anything.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for measurements: it times itself"
)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use disk::OpenOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("read_hash FILE [THREADS]")?;
    let threads: NonZeroUsize = match arguments.next() {
        Some(threads) => threads.parse()?,
        None => std::thread::available_parallelism()?,
    };
    let disk = disk::open(Path::new(&file), &OpenOptions::default())?.disk;
    let before = Instant::now();
    let sums = disk::blocks::read_and_hash(disk, threads)?;
    let seconds = before.elapsed().as_secs_f64();
    let mebibytes = (sums.data_blocks as f64) / 2.0;
    println!(
        "{} blocks, {} of data, in {seconds:.3} s: {:.0} MiB/s of data; digest {}",
        sums.blocks,
        sums.data_blocks,
        mebibytes / seconds,
        sums.digest.to_base64()
    );
    Ok(())
}

//! Images that somebody made to do harm, and images that were cut or damaged on their way.

mod damaged;
mod qcow2;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod vhd;
mod vmdk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{BackingFile, Disk, Format, OpenOptions};
use proptest::prelude::*;
use support::{
    converted, copy, open, open_with_backing, patch, qemu_img, refusal, scattered, text, write,
};

const MIB: u64 = 1 << 20;

/// A small image, made by QEMU.
fn image(folder: &Path, format: &str, options: &[&str]) -> PathBuf {
    let raw = folder.join("in.raw");
    if !raw.exists() {
        scattered(&raw, 3 * MIB + 512, 20, MIB / 4, 1);
    }
    converted(&raw, format, options)
}

/// Opens and reads all of it; the first error in words.
fn failure(path: &Path) -> String {
    match disk::open(path, &OpenOptions::default()) {
        Err(error) => error.to_string(),
        Ok(opened) => read_all(&*opened.disk).expect_err("it should not be readable"),
    }
}

fn read_all(disk: &dyn Disk) -> Result<(), String> {
    disk::survey(disk).map_err(|error| error.to_string())?;
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < disk.size() {
        let length = (disk.size() - offset).min(1 << 20);
        let part = &mut buffer[..usize::try_from(length).expect("small")];
        disk.read_at(part, offset)
            .map_err(|error| error.to_string())?;
        offset += length;
    }
    Ok(())
}

fn be32(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn be64(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

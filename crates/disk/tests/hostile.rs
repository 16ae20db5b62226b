//! Images that somebody made to do harm, and images that were cut or damaged on their way.

mod support;

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

#[test]
fn a_file_that_is_no_disk_is_told_as_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.img");
    for (bytes, words) in [
        (&b""[..], "it is empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
            "XML",
        ),
        (b"404 page not found\n", "text"),
        (b"\x1f\x8b\x08\x00", "gzip"),
    ] {
        write(&path, bytes);
        let refusal = refusal(&path);
        assert!(refusal.contains(words), "{refusal}");
        assert!(refusal.contains("x.img"), "{refusal}");
    }
    assert!(refusal(folder.path()).contains("not a regular file"));
    assert!(refusal(&folder.path().join("none")).contains("could not be opened"));
    let pipe = folder.path().join("pipe");
    support::run("mkfifo", &[text(&pipe)]);
    assert!(
        refusal(&pipe).contains("not a regular file"),
        "and nobody waits"
    );
}

#[test]
fn the_format_that_the_caller_gives_must_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = image(folder.path(), "qcow2", &[]);
    for (format, words) in [
        (Format::Raw, "but it is qcow2"),
        (Format::Vhdx, "but it is qcow2"),
    ] {
        let options = OpenOptions {
            format: Some(format),
            ..OpenOptions::default()
        };
        let error = disk::open(&path, &options)
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains(words), "{error}");
    }
    let options = OpenOptions {
        format: Some(Format::Qcow2),
        ..OpenOptions::default()
    };
    let error = disk::open(&folder.path().join("in.raw"), &options);
    let error = error.err().expect("refused").to_string();
    assert!(error.contains("does not begin as such a file"), "{error}");
}

#[test]
fn no_qcow2_leads_out_of_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = tempfile::tempdir().expect("a folder");
    let secret = outside.path().join("secret");
    write(&secret, &[7; 4096]);
    std::os::unix::fs::symlink(&secret, folder.path().join("link.raw")).expect("a link");
    std::fs::create_dir(folder.path().join("folder.raw")).expect("a folder");
    let relative = format!(
        "../{}/secret",
        outside
            .path()
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
    );
    let path = folder.path().join("x.qcow2");
    for (backing, words) in [
        ("/etc/passwd", "not the name of a file beside it"),
        (text(&secret), "not the name of a file beside it"),
        (&relative, "not the name of a file beside it"),
        ("..", "not the name of a file beside it"),
        ("nbd://localhost/x", "not the name of a file beside it"),
        ("json:{}", "not the name of a file beside it"),
        ("link.raw", "not a regular file"),
        ("folder.raw", "not a regular file"),
        ("none.raw", "could not be opened"),
    ] {
        qemu_img(&[
            "create",
            "-u",
            "-f",
            "qcow2",
            "-F",
            "raw",
            "-b",
            backing,
            text(&path),
            "1M",
        ]);
        let refused = refusal(&path);
        assert!(refused.contains("based on another file"), "{refused}");
        let options = OpenOptions {
            backing_file: BackingFile::Allowed,
            ..OpenOptions::default()
        };
        let error = disk::open(&path, &options)
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains(words), "{backing}: {error}");
    }
}

#[test]
fn a_backing_file_must_say_its_format_and_chains_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("loop.qcow2");
    qemu_img(&[
        "create",
        "-u",
        "-f",
        "qcow2",
        "-F",
        "qcow2",
        "-b",
        "loop.qcow2",
        text(&path),
        "1M",
    ]);
    let options = OpenOptions {
        backing_file: BackingFile::Allowed,
        ..OpenOptions::default()
    };
    let error = disk::open(&path, &options)
        .err()
        .expect("refused")
        .to_string();
    assert!(error.contains("more than 8 images"), "{error}");

    // The extension that says the format becomes an unknown one.
    let base = folder.path().join("base.raw");
    write(&base, &[7; 4096]);
    qemu_img(&[
        "create",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        "base.raw",
        text(&path),
        "1M",
    ]);
    let bytes = std::fs::read(&path).expect("readable");
    let at = bytes
        .windows(4)
        .position(|four| four == 0xe279_2aca_u32.to_be_bytes())
        .expect("the format");
    open_with_backing(&path);
    patch(&path, at as u64, &[0x11; 4]);
    let error = disk::open(&path, &options)
        .err()
        .expect("refused")
        .to_string();
    assert!(error.contains("does not say which format"), "{error}");
}

#[test]
fn hostile_headers_of_qcow2() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = image(folder.path(), "qcow2", &[]);
    let cases: &[(&str, u64, &[u8], &str)] = &[
        ("version", 4, &be32(4), "version 4"),
        ("clusters too small", 20, &be32(8), "2^8 bytes"),
        ("clusters too large", 20, &be32(22), "2^22 bytes"),
        ("clusters absurd", 20, &be32(u32::MAX), "2^4294967295"),
        ("size", 24, &be64(u64::MAX), "18446744073709551615 bytes"),
        ("larger than its table", 24, &be64(1 << 50), "needs 2097152"),
        ("encrypted", 32, &be32(2), "encrypted"),
        ("no table", 36, &be32(0), "0 entries"),
        (
            "odd table",
            40,
            &be64(0x30001),
            "not at the beginning of a cluster",
        ),
        (
            "table outside",
            40,
            &be64(1 << 40),
            "truncated: the L1 table",
        ),
        (
            "table at the end of everything",
            40,
            &be64(0xffff_ffff_ffff_0000),
            "truncated",
        ),
        ("corrupt", 72, &be64(2), "marked as corrupt"),
        ("other file", 72, &be64(4), "another file"),
        ("unknown feature", 72, &be64(1 << 40), "bit 40"),
        ("short header", 100, &be32(8), "8 bytes"),
        ("long header", 100, &be32(u32::MAX), "4294967295 bytes"),
        (
            "name of a backing file",
            8,
            &be64(u64::MAX - 5),
            "truncated",
        ),
    ];
    for (name, offset, bytes, words) in cases {
        let path = copy(&good, "x.qcow2");
        patch(&path, *offset, bytes);
        if *name == "name of a backing file" {
            patch(&path, 16, &be32(20));
            let failure = failure(&path);
            assert!(failure.contains("within the first cluster"), "{failure}");
            continue;
        }
        let failure = failure(&path);
        assert!(failure.contains(words), "{name}: {failure}");
        assert!(failure.contains("x.qcow2"), "{name}: {failure}");
    }
    // The largest L1 table that any disk needs, really there as far as a sparse file is: nothing of it is kept in memory.
    // With one entry more it is refused, although it is there too.
    const LARGEST: u32 = (32 << 20) / 8;
    let path = copy(&good, "huge.qcow2");
    let file = std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("a file");
    file.set_len(64 << 30).expect("sparse");
    patch(&path, 40, &be64(1 << 20));
    patch(&path, 24, &be64(u64::from(LARGEST) * 8192 * 65536));
    for entries in [LARGEST + 1, u32::MAX] {
        patch(&path, 36, &be32(entries));
        let failure = failure(&path);
        assert!(failure.contains("more than any disk needs"), "{failure}");
    }
    patch(&path, 36, &be32(LARGEST));
    let disk = open(&path).disk;
    let mut buffer = vec![1; 4096];
    disk.read_at(&mut buffer, disk.size() - 4096)
        .expect("a hole");
    assert_eq!(buffer, vec![0; 4096]);
}

/// Tables that point at themselves, at the header, at odd places, behind the end.
#[test]
fn hostile_tables_of_qcow2() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = image(folder.path(), "qcow2", &["-o", "cluster_size=4096"]);
    let bytes = std::fs::read(&good).expect("readable");
    let number = |at: usize| {
        let mut field = [0; 8];
        field.copy_from_slice(&bytes[at..at + 8]);
        u64::from_be_bytes(field)
    };
    let l1 = number(40);
    let l2 = number(usize::try_from(l1).expect("small")) & 0x00ff_ffff_ffff_fe00;
    let copied = 1 << 63;
    for (name, offset, entry, words) in [
        ("odd L2", l1, copied | (l2 + 512), "not at the beginning"),
        (
            "L2 outside",
            l1,
            copied | (1 << 50),
            "truncated: an L2 table",
        ),
        ("odd data", l2, copied | 512, "not at the beginning"),
        (
            "data outside",
            l2,
            copied | (1 << 50),
            "truncated: the disk's data",
        ),
        (
            "compressed outside",
            l2,
            (1 << 62) | (1 << 50),
            "truncated: compressed data",
        ),
        ("compressed rubbish", l2, 1 << 62, "cannot be unpacked"),
    ] {
        let path = copy(&good, "x.qcow2");
        patch(&path, offset, &be64(entry));
        let failure = failure(&path);
        assert!(failure.contains(words), "{name}: {failure}");
    }
    // The L1 table is its own L2 table, and each entry is also data: it reads as something, and ends.
    let path = copy(&good, "x.qcow2");
    patch(&path, l1, &be64(copied | l1));
    read_all(&*open(&path).disk).expect("a lookup has two steps, wherever they lead");
    // Version 2 has no zero clusters.
    let old = image(folder.path(), "qcow2", &["-o", "compat=0.10"]);
    let path = copy(&old, "old.qcow2");
    patch(&path, 4 * 65536, &be64(1));
    let bytes = std::fs::read(&path).expect("readable");
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[40..48]);
    let l1 = usize::try_from(u64::from_be_bytes(field)).expect("small");
    field.copy_from_slice(&bytes[l1..l1 + 8]);
    patch(
        &path,
        u64::from_be_bytes(field) & 0x00ff_ffff_ffff_fe00,
        &be64(1),
    );
    assert!(failure(&path).contains("version 2"), "{}", failure(&path));
}

#[test]
fn no_vmdk_leads_out_of_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = tempfile::tempdir().expect("a folder");
    let secret = outside.path().join("secret.vmdk");
    write(&secret, &[7; 1 << 20]);
    std::os::unix::fs::symlink(&secret, folder.path().join("link.vmdk")).expect("a link");
    let path = folder.path().join("x.vmdk");
    let relative = format!(
        "../{}/secret.vmdk",
        outside
            .path()
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
    );
    for (name, words) in [
        (text(&secret), "not the name of a file beside it"),
        ("/etc/passwd", "not the name of a file beside it"),
        ("../../etc/passwd", "not the name of a file beside it"),
        (&relative, "not the name of a file beside it"),
        ("..\\secret.vmdk", "not the name of a file beside it"),
        ("", "not the name of a file beside it"),
        ("link.vmdk", "not a regular file"),
        (".", "not the name of a file beside it"),
        ("none.vmdk", "could not be opened"),
    ] {
        for kind in ["FLAT", "SPARSE", "VMFS"] {
            let descriptor = format!(
                "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"custom\"\nRW 8 {kind} \"{name}\" 0\n"
            );
            write(&path, descriptor.as_bytes());
            let refusal = refusal(&path);
            assert!(refusal.contains(words), "{name}: {refusal}");
        }
    }
}

#[test]
fn hostile_descriptions_of_vmdk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.vmdk");
    write(&folder.path().join("flat.vmdk"), &[0; 4096]);
    for (lines, words) in [
        ("", "names no part"),
        ("RW 9 FLAT \"flat.vmdk\" 0", "truncated"),
        ("RW 8 FLAT \"flat.vmdk\" 1", "truncated"),
        ("RW 8 FLAT \"flat.vmdk\" 18446744073709551615", "too large"),
        ("RW 18446744073709551615 ZERO", "too large"),
        (
            "RW 9007199254740991 ZERO\nRW 9007199254740991 ZERO\nRW 9007199254740991 ZERO",
            "too large",
        ),
        ("RW x FLAT \"flat.vmdk\"", "cannot be understood"),
        ("RW 8 FLAT flat.vmdk", "cannot be understood"),
        ("RW 8 FLAT \"flat.vmdk", "cannot be understood"),
        ("RW 8 FLAT \"flat.vmdk\" x", "cannot be understood"),
        ("RW 8 SPARSE \"flat.vmdk\"", "no such header"),
        ("RW 8 SESPARSE \"flat.vmdk\"", "SESPARSE"),
        ("NOACCESS 8 FLAT \"flat.vmdk\"", "NOACCESS"),
        (
            "parentCID=12345678\nRW 8 FLAT \"flat.vmdk\" 0",
            "differences",
        ),
    ] {
        write(
            &path,
            format!("# Disk DescriptorFile\n{lines}\n").as_bytes(),
        );
        let refusal = refusal(&path);
        assert!(refusal.contains(words), "{lines}: {refusal}");
    }
    let many = "RW 8 FLAT \"flat.vmdk\" 0\n".repeat(513);
    write(&path, format!("# Disk DescriptorFile\n{many}").as_bytes());
    assert!(refusal(&path).contains("more than 512 files"));
    let good = "RW 8 FLAT \"flat.vmdk\" 0\nRW 5 ZERO\nRW 3 FLAT \"flat.vmdk\" 5\n";
    write(&path, format!("# Disk DescriptorFile\n{good}").as_bytes());
    assert_eq!(open(&path).disk.size(), 16 * 512);
}

#[test]
fn hostile_headers_of_sparse_vmdk() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = image(folder.path(), "vmdk", &["-o", "subformat=monolithicSparse"]);
    let le = |number: u64| number.to_le_bytes();
    for (name, offset, bytes, words) in [
        ("version", 4, &le(9)[..4], "version 9"),
        (
            "capacity",
            12,
            &le(u64::MAX),
            "18446744073709551615 sectors",
        ),
        (
            "larger than its table",
            12,
            &le(1 << 40),
            "truncated: the grain directory",
        ),
        ("no grains", 20, &le(0), "0 sectors"),
        ("odd grains", 20, &le(100), "100 sectors"),
        ("huge grains", 20, &le(1 << 60), "sectors"),
        ("description", 28, &le(1 << 60), "description is at sector"),
        ("long description", 36, &le(1 << 50), "description has"),
        (
            "description outside",
            28,
            &le(1 << 40),
            "truncated: the description",
        ),
        ("part", 28, &le(0), "one part of a disk"),
        ("tables of none", 44, &le(0)[..4], "0 entries"),
        ("huge tables", 44, &le(513)[..4], "513 entries"),
        (
            "directory outside",
            56,
            &le(1 << 50),
            "truncated: the grain directory",
        ),
        (
            "directory beyond everything",
            56,
            &le(1 << 60),
            "directory is at sector",
        ),
        ("directory at the end", 56, &le(u64::MAX), "footer"),
    ] {
        let path = copy(&good, "x.vmdk");
        patch(&path, offset, bytes);
        let failure = failure(&path);
        assert!(failure.contains(words), "{name}: {failure}");
    }
}

#[test]
fn hostile_headers_of_vhd() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = image(
        folder.path(),
        "vpc",
        &["-o", "subformat=dynamic,force_size=on"],
    );
    let sealed = |bytes: &mut [u8], at: usize| {
        bytes[at..at + 4].fill(0);
        let sum = bytes
            .iter()
            .fold(0_u32, |sum, &byte| sum.wrapping_add(byte.into()));
        bytes[at..at + 4].copy_from_slice(&be32(!sum));
    };
    let original = std::fs::read(&good).expect("readable");
    let path = folder.path().join("x.vhd");
    let footer = |at: usize, value: &[u8]| {
        let mut bytes = original.clone();
        let last = bytes.len() - 512;
        for start in [0, last] {
            bytes[start + at..start + at + value.len()].copy_from_slice(value);
            sealed(&mut bytes[start..start + 512], 64);
        }
        bytes
    };
    let header = |at: usize, value: &[u8]| {
        let mut bytes = original.clone();
        bytes[512 + at..512 + at + value.len()].copy_from_slice(value);
        sealed(&mut bytes[512..1536], 36);
        bytes
    };
    let mut unsealed = original.clone();
    unsealed[512 + 30] ^= 1;
    let mut rubbish = original.clone();
    let last = rubbish.len() - 512;
    rubbish[20] ^= 1;
    rubbish[last + 20] ^= 1;
    for (name, bytes, words) in [
        ("no checksum", rubbish, "right checksum"),
        ("differencing", footer(60, &be32(4)), "differences"),
        ("kind", footer(60, &be32(9)), "type 9"),
        ("size", footer(48, &be64(u64::MAX)), "needs"),
        (
            "header outside",
            footer(16, &be64(u64::MAX - 3)),
            "truncated",
        ),
        ("header elsewhere", footer(16, &be64(0)), "not one"),
        ("header's checksum", unsealed, "not one"),
        ("no blocks", header(32, &be32(0)), "0 bytes"),
        ("odd blocks", header(32, &be32(12345)), "12345 bytes"),
        ("small table", header(28, &be32(1)), "needs 2"),
        (
            "table outside",
            header(16, &be64(1 << 60)),
            "truncated: the table",
        ),
        (
            "table beyond everything",
            header(16, &be64(u64::MAX)),
            "truncated: the table",
        ),
    ] {
        write(&path, &bytes);
        let failure = failure(&path);
        assert!(failure.contains(words), "{name}: {failure}");
    }
    let mut bytes = original;
    bytes[1536..1540].copy_from_slice(&be32(0xffff_fffe));
    write(&path, &bytes);
    assert!(failure(&path).contains("truncated: the disk's data"));
}

/// Of every format, cut at many places: either all data is there, or the error says that it is not.
#[test]
fn truncated_images_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for (format, options) in [
        ("qcow2", &["-o", "cluster_size=64K"][..]),
        ("qcow2", &["-c", "-o", "compression_type=zstd"]),
        ("qcow2", &["-c", "-o", "compression_type=zlib"]),
        ("vmdk", &["-o", "subformat=monolithicSparse"]),
        ("vmdk", &["-o", "subformat=streamOptimized"]),
        ("vpc", &["-o", "subformat=fixed,force_size=on"]),
        ("vpc", &["-o", "subformat=dynamic,force_size=on"]),
        ("vhdx", &["-o", "block_size=1M"]),
    ] {
        let good = image(folder.path(), format, options);
        let bytes = std::fs::read(&good).expect("readable");
        let path = folder.path().join(format!("cut.{format}"));
        let mut cuts: Vec<usize> = (0..bytes.len()).step_by(64 << 10).collect();
        for place in [
            1,
            3,
            8,
            71,
            72,
            104,
            511,
            512,
            513,
            1023,
            1024,
            4096,
            bytes.len() - 1,
        ] {
            cuts.push(place);
            cuts.push(bytes.len() - place);
        }
        let mut told = 0;
        for cut in cuts {
            if cut == bytes.len() {
                continue;
            }
            write(&path, &bytes[..cut]);
            let options = OpenOptions {
                // A fixed VHD without its footer is a raw disk for all that can be seen.
                format: Some(match format {
                    "vpc" => Format::Vhd,
                    other => other.parse().expect("a format"),
                }),
                ..OpenOptions::default()
            };
            let outcome = match disk::open(&path, &options) {
                Err(error) => Err(error.to_string()),
                Ok(opened) => read_all(&*opened.disk),
            };
            match outcome {
                // Nothing of the disk was behind the cut.
                Ok(()) => support::assert_same(
                    &disk::open(&path, &options).expect("it was opened").disk,
                    &folder.path().join("in.raw"),
                    &format!("{format} cut at {cut}"),
                ),
                Err(error) => {
                    assert!(
                        error.contains("truncated")
                            || error.contains("does not begin as such a file")
                            || error.contains("is empty")
                            || error.contains("is text")
                            || error.contains("checksum"),
                        "{format} cut at {cut}: {error}"
                    );
                    told += 1;
                }
            }
        }
        assert!(told > 10, "{format}: {told}");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.raw");
    scattered(&path, 4 * MIB, 40, MIB, 1);
    let disk = open(&path).disk;
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(MIB))
        .expect("shorter");
    let error = read_all(&*disk).expect_err("it is shorter");
    assert!(error.contains("truncated"), "{error}");
}

/// Small images of every kind, for the properties below.
fn originals() -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("in.raw");
    scattered(&raw, 300 * 1024, 12, 20_000, 5);
    let mut all = vec![("raw", std::fs::read(&raw).expect("readable"))];
    for (format, options) in [
        ("qcow2", &["-o", "cluster_size=512"][..]),
        ("qcow2", &["-o", "cluster_size=16K,extended_l2=on"]),
        (
            "qcow2",
            &["-c", "-o", "cluster_size=4096,compression_type=zlib"],
        ),
        (
            "qcow2",
            &["-c", "-o", "cluster_size=4096,compression_type=zstd"],
        ),
        ("vmdk", &["-o", "subformat=monolithicSparse"]),
        ("vmdk", &["-o", "subformat=streamOptimized"]),
        ("vpc", &["-o", "subformat=fixed,force_size=on"]),
        ("vpc", &["-o", "subformat=dynamic,force_size=on"]),
        ("vhdx", &["-o", "block_size=1M"]),
    ] {
        let path = converted(&raw, format, options);
        all.push((format, std::fs::read(path).expect("readable")));
    }
    all
}

/// Reads whatever can be read of what these bytes claim to be, within bounds.
fn read_from_memory(bytes: Vec<u8>, format: Option<Format>) {
    let options = OpenOptions {
        format,
        ..OpenOptions::default()
    };
    let Ok(opened) = disk::open_bytes("memory", Arc::new(bytes), &options) else {
        return;
    };
    let disk = opened.disk;
    let _ = disk::partition::layout(&*disk);
    let mut buffer = vec![0; 64 << 10];
    let mut offset = 0;
    for _ in 0..2000 {
        if offset >= disk.size() {
            break;
        }
        let Ok(extent) = disk.extent_at(offset) else {
            break;
        };
        assert!(extent.length > 0 && extent.length <= disk.size() - offset);
        let length = extent.length.min(64 << 10);
        let part = &mut buffer[..usize::try_from(length).expect("small")];
        if disk.read_at(part, offset).is_ok() && extent.content == disk::Content::Zero {
            assert!(part.iter().all(|&byte| byte == 0));
        }
        offset += extent.length;
    }
    if disk.size() > 0 {
        let _ = disk.read_at(&mut buffer[..1], disk.size() - 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 3000 }))]

    /// Bytes changed and the end cut: it is read or it is not, but nothing panics or takes for ever.
    #[test]
    fn damaged_images_are_read_or_refused(
        which in 0_usize..10,
        // Most of what matters stands at the beginning, in whole fields.
        changes in prop::collection::vec(
            (prop_oneof![3 => 0_usize..2048, 1 => 0_usize..4_000_000], any::<u64>(), 1_usize..9),
            0..6,
        ),
        cut in prop::option::weighted(0.3, 0.0..1.0_f64),
    ) {
        static ORIGINALS: std::sync::LazyLock<Vec<(&str, Vec<u8>)>> =
            std::sync::LazyLock::new(originals);
        let (format, original) = &ORIGINALS[which];
        let mut bytes = original.clone();
        for (place, value, length) in changes {
            let at = place % bytes.len();
            let end = (at + length).min(bytes.len());
            // Small numbers, powers of two and those near the largest do more than any.
            let value = match value % 4 {
                0 => value,
                1 => 1 << (value >> 2 & 63),
                2 => u64::MAX - (value >> 2 & 15),
                _ => value >> 2 & 255,
            };
            bytes[at..end].copy_from_slice(&value.to_be_bytes()[8 - (end - at)..]);
        }
        if let Some(part) = cut {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let length = (bytes.len() as f64 * part) as usize;
            bytes.truncate(length);
        }
        let format = match *format {
            "vpc" => Format::Vhd,
            other => other.parse().expect("a format"),
        };
        read_from_memory(bytes.clone(), None);
        read_from_memory(bytes, Some(format));
    }
}

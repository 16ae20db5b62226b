//! Every format, byte for byte as QEMU made it.

mod support;

use std::path::Path;

use disk::Format;
use support::{
    Random, as_qemu_reads, assert_same, converted, open, open_with_backing, qemu_img, run,
    scattered, text,
};

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;

/// From one sector on; odd numbers of sectors; more than one table.
const SIZES: [u64; 4] = [SECTOR, MIB + SECTOR, 5 * MIB - 3 * SECTOR, 70 * MIB];

fn check(raw: &Path, format: Format, qemu: &str, options: &[&str]) {
    let image = converted(raw, qemu, options);
    let opened = open(&image);
    assert_eq!(opened.format, format, "{options:?}");
    assert_same(
        &opened.disk,
        raw,
        &format!("{qemu} {options:?} of {}", raw.display()),
    );
    std::fs::remove_file(image).expect("removed");
}

fn samples(folder: &Path) -> Vec<std::path::PathBuf> {
    SIZES
        .iter()
        .map(|&size| {
            let raw = folder.join(format!("{size}.raw"));
            scattered(&raw, size, 30, size.min(MIB), size);
            raw
        })
        .collect()
}

#[test]
fn raw_disks() {
    let folder = tempfile::tempdir().expect("a folder");
    for size in [1, SECTOR, MIB + 1, MIB + SECTOR, 10 * MIB] {
        let raw = folder.path().join(format!("{size}.raw"));
        scattered(&raw, size, 20, size.min(MIB), size);
        let opened = open(&raw);
        assert_eq!(opened.format, Format::Raw);
        assert_same(&opened.disk, &raw, "a raw disk");
    }
}

#[test]
fn qcow2_of_both_versions_and_all_sizes_of_clusters() {
    let folder = tempfile::tempdir().expect("a folder");
    for raw in samples(folder.path()) {
        for options in [
            "compat=0.10",
            "compat=1.1",
            "compat=0.10,cluster_size=512",
            "cluster_size=512",
            "cluster_size=4096",
            "cluster_size=2M",
            "cluster_size=16K,extended_l2=on",
            "cluster_size=128K,extended_l2=on",
            "preallocation=metadata",
            "preallocation=falloc",
            "preallocation=full",
            "lazy_refcounts=on",
            "refcount_bits=1",
        ] {
            check(&raw, Format::Qcow2, "qcow2", &["-o", options]);
        }
    }
}

#[test]
fn qcow2_with_compressed_clusters() {
    let folder = tempfile::tempdir().expect("a folder");
    for raw in samples(folder.path()) {
        for options in [
            "compat=0.10",
            "compression_type=zlib",
            "compression_type=zstd",
            "compression_type=zlib,cluster_size=512",
            "compression_type=zstd,cluster_size=4096",
            "compression_type=zlib,cluster_size=2M",
            "compression_type=zstd,cluster_size=2M",
            "compression_type=zstd,cluster_size=64K,extended_l2=on",
        ] {
            check(&raw, Format::Qcow2, "qcow2", &["-c", "-o", options]);
        }
    }
}

#[test]
fn vmdk_of_all_kinds() {
    let folder = tempfile::tempdir().expect("a folder");
    for raw in samples(folder.path()) {
        for options in [
            "subformat=monolithicSparse",
            "subformat=monolithicSparse,zeroed_grain=on",
            "subformat=monolithicFlat",
            "subformat=twoGbMaxExtentSparse",
            "subformat=twoGbMaxExtentFlat",
            "subformat=streamOptimized",
        ] {
            check(&raw, Format::Vmdk, "vmdk", &["-o", options]);
        }
    }
}

#[test]
fn vmdk_in_several_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("large.raw");
    scattered(&raw, 5 << 30, 40, MIB, 5);
    for options in [
        "subformat=twoGbMaxExtentSparse",
        "subformat=twoGbMaxExtentFlat",
    ] {
        check(&raw, Format::Vmdk, "vmdk", &["-o", options]);
    }
}

/// As VMware and VirtualBox write them, who do not know where the directory will be when they begin.
#[test]
fn vmdk_with_a_footer() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("in.raw");
    scattered(&raw, 5 * MIB, 20, MIB, 3);
    let image = converted(&raw, "vmdk", &["-o", "subformat=streamOptimized"]);
    let mut bytes = std::fs::read(&image).expect("readable");
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let header = bytes[..512].to_vec();
    bytes[56..64].fill(0xff);
    let marker = |kind: u8| {
        let mut marker = [0; 512];
        marker[0] = u8::from(kind == 3);
        marker[12] = kind;
        marker
    };
    bytes.extend(marker(3));
    bytes.extend(&header);
    bytes.extend(marker(0));
    support::write(&image, &bytes);
    assert_same(&open(&image).disk, &raw, "with a footer");
    assert_same(
        &open(&image).disk,
        &as_qemu_reads(&image),
        "as QEMU reads it",
    );
    for cut in [1, 512, 1024, 1536, 4096] {
        support::write(&image, &bytes[..bytes.len() - cut]);
        let refusal = support::refusal(&image);
        assert!(refusal.contains("truncated"), "{refusal}");
    }
}

/// QEMU does not make these; a chunk has 8 times as many blocks, so that its bitmap's entry is elsewhere in the table.
#[test]
fn vhdx_with_sectors_of_4096_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("in.raw");
    scattered(&raw, 6000 * MIB, 0, 1, 1);
    let last = 5000 * MIB;
    support::patch(&raw, last + 5, b"behind the first chunk");
    let image = converted(&raw, "vhdx", &["-o", "block_size=1M"]);
    assert_same(&open(&image).disk, &raw, "before");
    let bytes = std::fs::read(&image).expect("readable");
    let at = |place: usize| {
        let mut field = [0; 8];
        field.copy_from_slice(&bytes[place..place + 8]);
        u64::from_le_bytes(field)
    };
    // Two regions: the table, and the metadata.
    let (table, metadata) = (at((192 << 10) + 32), at((192 << 10) + 64));
    let entry = table + (5000 + 1) * 8;
    let value = at(usize::try_from(entry).expect("small"));
    assert_eq!(value & 7, 6, "the block is there");
    support::patch(&image, entry, &[0; 8]);
    support::patch(&image, entry - 8, &value.to_le_bytes());
    // The size of a logical sector: its item is found by its GUID.
    let start = usize::try_from(metadata).expect("small");
    let item = bytes[start..start + 4096]
        .windows(4)
        .position(|four| four == 0x8141_bf1d_u32.to_le_bytes())
        .expect("the item");
    let place = metadata + (at(start + item + 16) & 0xffff_ffff);
    assert_eq!(
        bytes[usize::try_from(place).expect("small")..][..4],
        [0, 2, 0, 0]
    );
    support::patch(&image, place, &4096_u32.to_le_bytes());
    assert_same(&open(&image).disk, &raw, "sectors of 4096 bytes");
}

#[test]
fn vhd_of_both_kinds() {
    let folder = tempfile::tempdir().expect("a folder");
    for raw in samples(folder.path()) {
        for options in [
            "subformat=fixed,force_size=on",
            "subformat=dynamic,force_size=on",
        ] {
            check(&raw, Format::Vhd, "vpc", &["-o", options]);
        }
        // By its geometry the disk is a little larger than what it was made from.
        for options in ["subformat=fixed", "subformat=dynamic"] {
            let image = converted(&raw, "vpc", &["-o", options]);
            let judged = as_qemu_reads(&image);
            assert_same(&open(&image).disk, &judged, options);
        }
    }
}

/// Who made the image decides whether its geometry or its size counts.
#[test]
fn the_size_of_a_vhd_is_what_its_creator_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("in.raw");
    scattered(&raw, 3 * MIB, 20, MIB, 3);
    let image = converted(&raw, "vpc", &["-o", "subformat=dynamic"]);
    let original = std::fs::read(&image).expect("readable");
    let mut field = [0; 8];
    field.copy_from_slice(&original[48..56]);
    let by_geometry = u64::from_be_bytes(field);
    let larger = by_geometry + 5 * SECTOR;
    for (creator, size) in [
        (b"qemu", by_geometry),
        (b"vpc ", by_geometry),
        (b"qem2", larger),
        (b"win ", larger),
        (b"d2v ", larger),
        (b"tap\0", larger),
        (b"CTXS", larger),
        (b"vbox", larger),
    ] {
        let mut bytes = original.clone();
        let last = bytes.len() - 512;
        for start in [0, last] {
            let footer = &mut bytes[start..start + 512];
            footer[28..32].copy_from_slice(creator);
            footer[48..56].copy_from_slice(&larger.to_be_bytes());
            footer[64..68].fill(0);
            let sum = footer
                .iter()
                .fold(0_u32, |sum, &byte| sum + u32::from(byte));
            footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
        }
        support::write(&image, &bytes);
        assert_eq!(open(&image).disk.size(), size, "{creator:?}");
        let info = qemu_img(&["info", "-f", "vpc", "--output=json", text(&image)]);
        let said = format!("\"virtual-size\": {size}");
        assert!(info.contains(&said), "{creator:?}: {info}");
    }
}

#[test]
fn vhdx_of_both_kinds() {
    let folder = tempfile::tempdir().expect("a folder");
    for raw in samples(folder.path()) {
        for options in [
            "subformat=dynamic",
            "subformat=dynamic,block_size=1M",
            "subformat=dynamic,block_size=256M",
            "subformat=dynamic,block_state_zero=off",
            "subformat=fixed",
            "subformat=dynamic,log_size=4M",
        ] {
            check(&raw, Format::Vhdx, "vhdx", &["-o", options]);
        }
    }
}

/// Every format of a disk that is much larger than what is on it.
#[test]
fn ten_gibibytes_with_scattered_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("large.raw");
    scattered(&raw, 10 << 30, 60, MIB, 10);
    assert_same(&open(&raw).disk, &raw, "raw");
    for (format, qemu, options) in [
        (Format::Qcow2, "qcow2", &["-o", "cluster_size=64K"][..]),
        (
            Format::Qcow2,
            "qcow2",
            &["-c", "-o", "compression_type=zstd"],
        ),
        (Format::Vmdk, "vmdk", &["-o", "subformat=streamOptimized"]),
        (
            Format::Vhd,
            "vpc",
            &["-o", "subformat=dynamic,force_size=on"],
        ),
        (Format::Vhdx, "vhdx", &["-o", "block_size=8M"]),
    ] {
        check(&raw, format, qemu, options);
    }
}

/// Blocks in the order in which a machine happened to write them, some of them zeroed or discarded later.
#[test]
fn fragmented_images() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, format, options, size) in [
        ("a.qcow2", "qcow2", "cluster_size=64K", 200 * MIB),
        (
            "b.qcow2",
            "qcow2",
            "cluster_size=32K,extended_l2=on",
            200 * MIB,
        ),
        ("c.qcow2", "qcow2", "cluster_size=512", 20 * MIB),
        ("d.vhdx", "vhdx", "block_size=1M", 300 * MIB),
        (
            "e.vhdx",
            "vhdx",
            "block_size=2M,block_state_zero=on",
            6000 * MIB,
        ),
        ("f.vmdk", "vmdk", "subformat=monolithicSparse", 200 * MIB),
        ("g.vpc", "vpc", "subformat=dynamic,force_size=on", 200 * MIB),
    ] {
        let image = folder.path().join(name);
        qemu_img(&[
            "create",
            "-f",
            format,
            "-o",
            options,
            text(&image),
            &size.to_string(),
        ]);
        let mut random = Random::new(size);
        let mut arguments = vec!["-f".to_owned(), format.to_owned()];
        for pattern in 0..200 {
            let length = SECTOR * (1 + random.below(600));
            let offset = random.below((size - length) / SECTOR) * SECTOR;
            let command = match random.below(6) {
                0 if format == "qcow2" => format!("discard {offset} {length}"),
                1 if format != "vpc" => format!("write -z {offset} {length}"),
                _ => format!("write -P {} {offset} {length}", 1 + pattern),
            };
            arguments.extend(["-c".to_owned(), command]);
        }
        arguments.push(text(&image).to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run("qemu-io", &arguments);
        let judged = as_qemu_reads(&image);
        assert_same(&open(&image).disk, &judged, name);
    }
}

#[test]
fn images_with_snapshots_inside_are_read_as_they_are_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("a.raw");
    scattered(&raw, 20 * MIB, 20, MIB, 3);
    let image = converted(&raw, "qcow2", &[]);
    qemu_img(&["snapshot", "-c", "before", text(&image)]);
    run(
        "qemu-io",
        &["-f", "qcow2", "-c", "write -P 7 1M 3M", text(&image)],
    );
    let judged = as_qemu_reads(&image);
    assert_same(&open(&image).disk, &judged, "an image with a snapshot");
}

#[test]
fn backing_files_of_the_same_folder_if_they_are_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("base.raw");
    scattered(&raw, 3 * MIB, 20, MIB / 4, 4);
    let middle = folder.path().join("middle.qcow2");
    // The disk on top is larger than what it is based on.
    for (image, base, format, size) in [
        (&middle, "base.raw", "raw", 10 * MIB),
        (
            &folder.path().join("top.qcow2"),
            "middle.qcow2",
            "qcow2",
            40 * MIB,
        ),
    ] {
        let path = text(image);
        let size = size.to_string();
        qemu_img(&[
            "create",
            "-f",
            "qcow2",
            "-F",
            format,
            "-b",
            base,
            "-o",
            "extended_l2=on",
            path,
            &size,
        ]);
        run(
            "qemu-io",
            &[
                "-c",
                "write -P 9 1000K 200K",
                "-c",
                "write -z 100K 64K",
                path,
            ],
        );
    }
    let top = folder.path().join("top.qcow2");
    let judged = as_qemu_reads(&top);
    assert_same(&open_with_backing(&top).disk, &judged, "a chain of three");
}

/// A disk whose table of blocks is changed in the log alone, as it is when the machine dies before the table itself is
/// written.
#[test]
fn the_log_of_a_vhdx_is_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..4 {
        let image = folder.path().join(format!("{round}.vhdx"));
        let options = ["create", "-f", "vhdx", "-o", "block_size=1M"];
        qemu_img(&[&options[..], &[text(&image), "100M"]].concat());
        // Each write of a block that was not there is an entry; a log of 1 MiB goes round after 128.
        let mut commands = Vec::new();
        for number in 0..[1, 8, 60, 100][round] {
            let pattern = number % 200 + 1;
            commands.extend([
                "-c".to_owned(),
                format!("write -P {pattern} {number}M 300K"),
            ]);
        }
        let mut arguments: Vec<&str> = vec!["-f", "vhdx"];
        arguments.extend(commands.iter().map(String::as_str));
        arguments.push(text(&image));
        run("qemu-io", &arguments);
        let judged = as_qemu_reads(&image);

        let mut bytes = std::fs::read(&image).expect("readable");
        // QEMU leaves what it has logged; its entries count up.
        let entry = bytes
            .chunks_exact(4096)
            .filter(|sector| sector.starts_with(b"loge"))
            .max_by_key(|sector| sector[16..24].iter().rev().copied().collect::<Vec<u8>>())
            .expect("an entry");
        let id = entry[32..48].to_vec();
        // The header says again that there is a log.
        for at in [64 << 10, 128 << 10] {
            bytes[at + 48..at + 64].copy_from_slice(&id);
            bytes[at + 4..at + 8].fill(0);
            let checksum = crc32c(&bytes[at..at + 4096]);
            bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        }
        // The table is the first region that QEMU names.
        let region = (192 << 10) + 16;
        assert_eq!(bytes[region..region + 4], [0x66, 0x77, 0xc2, 0x2d]);
        let mut offset = [0; 8];
        offset.copy_from_slice(&bytes[region + 16..region + 24]);
        let table = usize::try_from(u64::from_le_bytes(offset)).expect("small");
        bytes[table..table + 4096].fill(0);
        support::write(&image, &bytes);

        let ours = open(&image);
        assert_same(&ours.disk, &judged, "a disk that was not closed");
        // QEMU agrees about what the log says.
        let repaired = support::copy(&image, &format!("{round}-repaired.vhdx"));
        qemu_img(&["check", "-r", "all", text(&repaired)]);
        assert_same(&ours.disk, &as_qemu_reads(&repaired), "the repaired disk");

        // A log that was cut: the entry is not complete.
        for sector in bytes.chunks_mut(4096) {
            if sector.starts_with(b"loge") {
                sector[100] ^= 1;
            }
        }
        support::write(&image, &bytes);
        let refusal = support::refusal(&image);
        assert!(refusal.contains("no complete entry"), "{refusal}");
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

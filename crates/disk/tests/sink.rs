//! What an export writes, as QEMU reads it.

mod support;

use std::path::Path;

use disk::Format;
use disk::blocks::{BLOCK, BlockIndex};
use disk::digest::BlockDigest;
use disk::sink::{Sink, SinkError};
use support::{Random, as_qemu_reads, assert_same, open, open_raw, qemu_img, scattered, text};

const MIB: u64 = 1 << 20;

/// A block of a raw file, padded with zeros.
fn block(raw: &Path, index: u32) -> Vec<u8> {
    let disk = open_raw(raw);
    let index = BlockIndex(index);
    let mut bytes = vec![0; BLOCK];
    let length = (disk.size() - index.offset()).min(BLOCK as u64);
    let length = usize::try_from(length).expect("small");
    disk.read_at(&mut bytes[..length], index.offset())
        .expect("within");
    bytes
}

/// How blocks of zeros are exported.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Zeros {
    LeftOut,
    Noted,
    Written,
}

fn write(sink: &mut Sink, raw: &Path, index: u32, zeros: Zeros) {
    let bytes = block(raw, index);
    let digest = BlockDigest::of(&bytes);
    let index = BlockIndex(index);
    let is_zero = digest == BlockDigest::of_zeros();
    match zeros {
        Zeros::LeftOut if is_zero => {}
        Zeros::Noted if is_zero => sink.write_zeros(index).expect("noted"),
        _ => sink.write(index, &bytes, digest).expect("written"),
    }
}

fn shuffled(count: u32, random: &mut Random) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    for place in (1..order.len()).rev() {
        order.swap(
            place,
            usize::try_from(random.below(place as u64 + 1)).expect("small"),
        );
    }
    order
}

fn assert_exported(path: &Path, format: Format, raw: &Path, what: &str) {
    match format {
        Format::Qcow2 => {
            qemu_img(&["check", "-f", "qcow2", text(path)]);
            let judged = as_qemu_reads(path);
            assert_same(&open_raw(&judged), raw, what);
            assert_same(&open(path).disk, raw, what);
        }
        _ => assert_same(&open_raw(path), raw, what),
    }
    for suffix in [".partial", ".partial.blocks"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        assert!(!Path::new(&name).exists(), "{what}: {suffix} is left");
    }
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Raw => "out.raw",
        _ => "out.qcow2",
    }
}

#[test]
fn blocks_in_any_order_make_the_disk() {
    for size in [512, 3 * MIB, 3 * MIB + 512, 200 * MIB] {
        let folder = tempfile::tempdir().expect("a folder");
        let raw = folder.path().join("in.img");
        scattered(&raw, size, 20, size.min(2 * MIB), size);
        for (format, zeros) in [
            (Format::Raw, Zeros::LeftOut),
            (Format::Raw, Zeros::Noted),
            (Format::Raw, Zeros::Written),
            (Format::Qcow2, Zeros::LeftOut),
            (Format::Qcow2, Zeros::Noted),
            (Format::Qcow2, Zeros::Written),
        ] {
            let path = folder.path().join(name(format));
            let mut sink = Sink::open(&path, format, size, "snap-1").expect("a sink");
            for index in shuffled(sink.count(), &mut Random::new(size)) {
                write(&mut sink, &raw, index, zeros);
            }
            sink.finish().expect("finished");
            assert_exported(
                &path,
                format,
                &raw,
                &format!("{format} {zeros:?} of {size}"),
            );
            std::fs::remove_file(path).expect("removed");
        }
    }
}

/// A disk that needs many L2 tables and more than one cluster of reference counts would be large; the tables are the same.
#[test]
fn large_disks_are_sparse() {
    for size in [100_u64 << 30, 64 << 40] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.qcow2");
        let mut sink = Sink::open(&path, Format::Qcow2, size, "snap-1").expect("a sink");
        let last = sink.count() - 1;
        let wanted = [last, 0, last / 2, 65_535, 65_536, 7];
        for index in wanted {
            let bytes = vec![u8::try_from(index % 200).expect("small") + 1; BLOCK];
            sink.write(BlockIndex(index), &bytes, BlockDigest::of(&bytes))
                .expect("written");
        }
        sink.finish().expect("finished");
        qemu_img(&["check", "-f", "qcow2", text(&path)]);
        let info = qemu_img(&["info", "--output=json", text(&path)]);
        assert!(
            info.contains(&format!("\"virtual-size\": {size}")),
            "{info}"
        );
        let disk = open(&path).disk;
        for index in wanted {
            let mut found = vec![0; BLOCK];
            disk.read_at(&mut found, BlockIndex(index).offset())
                .expect("within");
            assert!(found.iter().all(|&byte| u32::from(byte) == index % 200 + 1));
        }
        assert_eq!(
            disk::survey(&*disk).expect("readable").data,
            wanted.len() as u64 * BLOCK as u64
        );
    }
}

/// A process that dies leaves what it left; here it also loses what it had not brought to stable storage, and its last
/// record is cut.
#[test]
fn an_interrupted_export_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("in.img");
    let size = 300 * MIB + 512;
    scattered(&raw, size, 300, MIB, 9);
    for format in [Format::Raw, Format::Qcow2] {
        let path = folder.path().join(name(format));
        let order = shuffled(601, &mut Random::new(3));
        let mut sink = Sink::open(&path, format, size, "snap-1").expect("a sink");
        assert_eq!(sink.count(), 601);
        for &index in &order[..250] {
            write(&mut sink, &raw, index, Zeros::Noted);
        }
        sink.checkpoint().expect("on stable storage");
        for &index in &order[250..280] {
            write(&mut sink, &raw, index, Zeros::Noted);
        }
        assert_eq!(sink.written(), 280);
        drop(sink);

        let records = folder
            .path()
            .join(format!("{}.partial.blocks", name(format)));
        let mut bytes = std::fs::read(&records).expect("readable");
        assert_eq!(bytes.len(), 48 + 250 * 48);
        bytes.truncate(bytes.len() - 5);
        std::fs::write(&records, bytes).expect("written");

        let mut sink = Sink::open(&path, format, size, "snap-1").expect("it goes on");
        assert_eq!(sink.written(), 249);
        for &index in &order[..249] {
            assert!(sink.has(BlockIndex(index)));
        }
        // The interrupted attempt has written this one; it turns out to be zeros now.
        let index = BlockIndex(order[260]);
        sink.write_zeros(index).expect("noted");
        assert!(sink.has(index));
        for &index in &order {
            if !sink.has(BlockIndex(index)) {
                write(&mut sink, &raw, index, Zeros::Noted);
            }
        }
        sink.finish().expect("finished");
        let expected = folder.path().join("expected.img");
        std::fs::copy(&raw, &expected).expect("copied");
        support::patch(
            &expected,
            index.offset(),
            &vec![0; BLOCK.min(usize::try_from(size - index.offset()).expect("small"))],
        );
        assert_exported(&path, format, &expected, "an export in two parts");
    }
}

#[test]
fn a_block_that_has_changed_on_the_disk_is_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("in.img");
    scattered(&raw, 4 * MIB, 40, MIB, 9);
    for format in [Format::Raw, Format::Qcow2] {
        let path = folder.path().join(name(format));
        let mut sink = Sink::open(&path, format, 4 * MIB, "snap-1").expect("a sink");
        for index in 0..8 {
            write(&mut sink, &raw, index, Zeros::Written);
        }
        sink.checkpoint().expect("on stable storage");
        drop(sink);
        let partial = folder.path().join(format!("{}.partial", name(format)));
        support::patch(&partial, 3 * BLOCK as u64 + 5, b"changed");
        let mut sink = Sink::open(&path, format, 4 * MIB, "snap-1").expect("it goes on");
        assert_eq!(sink.written(), 7);
        for index in 0..8 {
            write(&mut sink, &raw, index, Zeros::Written);
        }
        sink.finish().expect("finished");
        assert_exported(&path, format, &raw, "an export that was changed in between");
    }
}

/// A process that dies between giving the file its name and removing its records.
#[test]
fn what_is_left_of_an_export_that_was_finished_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.raw");
    let records = folder.path().join("out.raw.partial.blocks");
    let sink = Sink::open(&path, Format::Raw, MIB, "snap-1").expect("a sink");
    std::fs::rename(folder.path().join("out.raw.partial"), &path).expect("renamed");
    drop(sink);
    let open = |identity| Sink::open(&path, Format::Raw, MIB, identity);
    assert!(matches!(open("snap-2"), Err(SinkError::OfAnother(_))));
    assert!(records.exists(), "it is another's");
    assert!(matches!(open("snap-1"), Err(SinkError::Exists(_))));
    assert!(!records.exists());
    assert!(path.exists());
}

#[test]
fn nothing_of_others_is_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.raw");
    let open = |identity: &str, size| Sink::open(&path, Format::Raw, size, identity);

    std::fs::write(&path, b"mine").expect("written");
    assert!(matches!(open("snap-1", MIB), Err(SinkError::Exists(found)) if found == path));
    assert_eq!(std::fs::read(&path).expect("readable"), b"mine");
    std::fs::remove_file(&path).expect("removed");

    let partial = folder.path().join("out.raw.partial");
    std::fs::write(&partial, b"mine").expect("written");
    assert!(matches!(open("snap-1", MIB), Err(SinkError::Exists(found)) if found == partial));
    assert_eq!(std::fs::read(&partial).expect("readable"), b"mine");
    std::fs::remove_file(&partial).expect("removed");
    std::fs::remove_file(folder.path().join("out.raw.partial.blocks")).expect("removed");

    let sink = open("snap-1", MIB).expect("a sink");
    assert!(matches!(open("snap-1", MIB), Err(SinkError::Busy(_))));
    drop(sink);
    assert!(matches!(open("snap-2", MIB), Err(SinkError::OfAnother(_))));
    assert!(matches!(
        open("snap-1", 2 * MIB),
        Err(SinkError::OfAnother(_))
    ));

    let mut sink = open("snap-1", MIB).expect("a sink");
    let bytes = vec![1; BLOCK];
    let digest = BlockDigest::of(&bytes);
    assert!(matches!(
        sink.write(BlockIndex(2), &bytes, digest),
        Err(SinkError::NoSuchBlock { .. })
    ));
    assert!(matches!(
        sink.write(BlockIndex(0), &bytes[1..], digest),
        Err(SinkError::NoSuchBlock { .. })
    ));
    std::fs::write(&path, b"mine").expect("written");
    assert!(matches!(sink.finish(), Err(SinkError::Exists(_))));
    assert_eq!(std::fs::read(&path).expect("readable"), b"mine");
    assert!(matches!(
        Sink::open(&folder.path().join("x"), Format::Vhd, MIB, ""),
        Err(SinkError::Format(Format::Vhd))
    ));
}

//! QCOW2 with headers, tables and backing files that are made to do harm.

use super::*;

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

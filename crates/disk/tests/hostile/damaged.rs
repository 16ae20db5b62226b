//! Images that were cut or changed anywhere.

use super::*;

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

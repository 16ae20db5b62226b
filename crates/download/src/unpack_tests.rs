use super::*;
use crate::Silent;
use crate::digest::{Algorithm, Hashes};
use proptest::prelude::*;
use std::io::Write;
use std::path::PathBuf;

const ALL: [Compression; 3] = [Compression::Xz, Compression::Zstd, Compression::Gzip];

fn packed(compression: Compression, content: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Xz => {
            let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
            writer.write_all(content).expect("memory");
            writer.finish().expect("memory")
        }
        Compression::Zstd => {
            let mut writer = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
            writer.include_checksum(true).expect("an option");
            writer.write_all(content).expect("memory");
            writer.finish().expect("memory")
        }
        Compression::Gzip => {
            let level = flate2::Compression::fast();
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(content).expect("memory");
            writer.finish().expect("memory")
        }
    }
}

struct Bench {
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::in_cache(folder.path());
        settings.keep_free = 0;
        Self { folder, settings }
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Unpacks; on an error nothing may be left.
    fn unpack(&self, compression: Compression, bytes: &[u8]) -> Result<(Written, Vec<u8>), String> {
        let from = self.folder.path().join("packed");
        std::fs::write(&from, bytes).expect("a file");
        let to = self.to();
        let room = Room::new("it", "unpack", self.folder.path(), &self.settings);
        let progress: Arc<dyn Progress> = Arc::new(Silent);
        let unpacking = Unpacking::within(
            &self.settings,
            &progress,
            ("it", "there"),
            (&from, compression),
            &to,
            room,
        );
        match unpack(&unpacking, &Stop::default()) {
            Ok(written) => Ok((written, std::fs::read(&to).expect("an image"))),
            Err(error) => {
                assert!(!to.exists(), "{error}");
                Err(error.to_string())
            }
        }
    }
}

/// Data, a hole, and data to an odd end.
fn content(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    (0..length)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at > length / 3 && at < length / 2 {
                0
            } else {
                (state >> 24) as u8
            }
        })
        .collect()
}

#[test]
fn what_was_packed_comes_out_with_its_digest() {
    for compression in ALL {
        for length in [1, 511, 4096, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17] {
            let content = content(length);
            let mut hashes = Hashes::new(Algorithm::Sha256);
            hashes.update(&content);
            let expected = Written {
                size: length as u64,
                sha256: hashes.finish().sha256,
            };
            let bytes = packed(compression, &content);
            let (written, image) = Bench::new().unpack(compression, &bytes).expect("an image");
            assert!(image == content, "{compression} {length}");
            assert_eq!(written, expected);
        }
    }
}

#[test]
fn members_in_a_row_are_one_image() {
    let content = content(100_000);
    for compression in ALL {
        let bytes: Vec<u8> = content
            .chunks(40_000)
            .flat_map(|part| packed(compression, part))
            .collect();
        let (_, image) = Bench::new().unpack(compression, &bytes).expect("an image");
        assert!(image == content, "{compression}");
    }
    // What pzstd writes first, and what xz allows between streams.
    let mut zstd = b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec();
    zstd.extend(packed(Compression::Zstd, &content));
    assert!(
        Bench::new()
            .unpack(Compression::Zstd, &zstd)
            .expect("an image")
            .1
            == content
    );
    let mut xz = packed(Compression::Xz, &content[..9]);
    xz.extend([0; 8]);
    xz.extend(packed(Compression::Xz, &content[9..]));
    assert!(
        Bench::new()
            .unpack(Compression::Xz, &xz)
            .expect("an image")
            .1
            == content
    );
}

#[test]
fn what_follows_the_end_is_refused() {
    for compression in ALL {
        let mut bytes = packed(compression, &content(5000));
        bytes.extend(b"something else");
        let why = Bench::new()
            .unpack(compression, &bytes)
            .expect_err("it is more than it should be");
        assert!(
            why.contains("corrupt") || why.contains("ends early"),
            "{why}"
        );
    }
}

#[test]
fn every_cut_of_a_small_file_is_an_error() {
    let bench = Bench::new();
    for compression in ALL {
        let bytes = packed(compression, &content(700));
        for at in 0..bytes.len() {
            let why = bench
                .unpack(compression, &bytes[..at])
                .expect_err("it is cut");
            assert!(
                why.contains("cut short") || why.contains("0 bytes") || why.contains("corrupt"),
                "{why}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_cut_anywhere_is_an_error(which in 0_usize..3, share in 0.0..1.0) {
        let bytes = packed(ALL[which], &content(PIECE + 5));
        let at = (bytes.len() as f64 * share) as usize;
        prop_assert!(Bench::new().unpack(ALL[which], &bytes[..at]).is_err(), "cut at {} of {}", at, bytes.len());
    }

    #[test]
    fn a_changed_byte_is_an_error_or_of_no_effect(which in 0_usize..3, at in any::<prop::sample::Index>(), bit in 0_u32..8) {
        let content = content(200_000);
        let mut bytes = packed(ALL[which], &content);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        // A gzip header has a time and a name that nothing protects and nobody needs.
        if let Ok((_, image)) = Bench::new().unpack(ALL[which], &bytes) {
            prop_assert!(image == content, "byte {} changed the image", at);
        }
    }

    #[test]
    fn any_bytes_end_in_words(which in 0_usize..3, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = packed(ALL[which], &content(300));
        bytes.truncate(20);
        bytes.extend(tail);
        prop_assert!(Bench::new().unpack(ALL[which], &bytes).is_err());
    }
}

#[test]
fn zeros_without_end_are_bounded_and_take_no_room() {
    let zeros = vec![0; 16 << 20];
    for compression in ALL {
        let bytes = packed(compression, &zeros);
        let mut bench = Bench::new();
        bench.settings.largest = 8 << 20;
        let why = bench
            .unpack(compression, &bytes)
            .expect_err("it is too large");
        assert!(why.contains("more than 8.0 MiB"), "{why}");
    }
}

#[test]
fn a_window_that_takes_too_much_memory_is_refused() {
    let content = content(PIECE);
    let mut bench = Bench::new();
    bench.settings.memory = 1 << 20;
    let options = liblzma::stream::LzmaOptions::new_preset(6).expect("a preset");
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream =
        liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32)
            .expect("a stream");
    let mut writer = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    writer.write_all(&content).expect("memory");
    let xz = writer.finish().expect("memory");
    let mut writer = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    writer.window_log(24).expect("an option");
    writer.write_all(&content).expect("memory");
    let zstd = writer.finish().expect("memory");
    for (compression, bytes) in [(Compression::Xz, xz), (Compression::Zstd, zstd)] {
        let why = bench
            .unpack(compression, &bytes)
            .expect_err("it takes 8 MiB");
        assert!(why.contains("more memory than 1.0 MiB"), "{why}");
        assert!(Bench::new().unpack(compression, &bytes).is_ok());
    }
}

#[test]
fn what_is_in_it_must_be_an_image() {
    let bench = Bench::new();
    let mut tar = content(2000);
    tar[257..262].copy_from_slice(b"ustar");
    let twice = packed(Compression::Xz, b"x");
    for (inner, says) in [
        (&b""[..], "0 bytes"),
        (b"<!DOCTYPE html>", "HTML"),
        (&tar, "tar archive"),
        (&twice, "once more, with xz"),
    ] {
        let why = bench
            .unpack(Compression::Gzip, &packed(Compression::Gzip, inner))
            .expect_err("it is no image");
        assert!(why.contains(says), "{why}");
    }
}

/// A disk with less room than there is.
struct Small(u64);

impl crate::Disk for Small {
    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0)
    }
}

#[test]
fn unpacking_ends_before_the_disk_is_full() {
    let mut bench = Bench::new();
    bench.settings.disk = Arc::new(Small(10 << 20));
    bench.settings.keep_free = 10 << 20;
    let content = content(PIECE);
    let why = bench
        .unpack(Compression::Zstd, &packed(Compression::Zstd, &content))
        .expect_err("no room");
    assert!(
        why.contains("no room to unpack") && why.contains("10.0 MiB free"),
        "{why}"
    );
}

#[test]
fn nobody_who_waits_ends_it() {
    let bench = Bench::new();
    let from = bench.folder.path().join("packed");
    std::fs::write(&from, packed(Compression::Zstd, &content(PIECE))).expect("a file");
    let room = Room::new("it", "unpack", bench.folder.path(), &bench.settings);
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let to = bench.to();
    let it = Unpacking::within(
        &bench.settings,
        &progress,
        ("it", "there"),
        (&from, Compression::Zstd),
        &to,
        room,
    );
    assert!(unpack(&it, &Stop::stopped()).is_err());
    assert!(!to.exists());
}

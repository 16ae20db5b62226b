//! VHD with headers that are made to do harm.

use super::*;

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

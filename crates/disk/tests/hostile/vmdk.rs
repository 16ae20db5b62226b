//! VMDK with descriptions and headers that are made to do harm.

use super::*;

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

use super::super::find_root;
use super::super::volume::Unwritten;
use super::super::volume::tests::disk;
use super::*;
use std::process::Command;

/// A file system of 8 MiB without checksums of its own, with the content of a folder; nothing without the program.
fn ext4(folder: &Path) -> Option<Vec<u8>> {
    let program = ["/usr/sbin/mke2fs", "/sbin/mke2fs"];
    let program = program.iter().find(|p| Path::new(p).exists())?;
    let file = tempfile::NamedTempFile::new().unwrap();
    let made = Command::new(program)
        .args(["-q", "-F", "-t", "ext4", "-O", "^metadata_csum", "-d"])
        .args([folder, file.path()])
        .arg("8M")
        .status()
        .unwrap();
    assert!(made.success());
    Some(fs::read(file.path()).unwrap())
}

/// Unpacks a disk, into a folder that has neighbours.
fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<Unpacked, String>) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("base/root/var")).unwrap();
    fs::create_dir_all(dir.path().join("base/usr/bin")).unwrap();
    let base = Base {
        root: dir.path().join("base/root"),
        usr: dir.path().join("base/usr"),
        mode: GuestMode::Rootless,
    };
    let volume = disk(bytes, Unwritten::Zeros);
    let done = find_root(&volume)
        .map_err(|e| e.to_string())
        .and_then(|root| unpack(&volume, root, &base, &dir.path().join("layer")));
    (dir, done)
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn files_keep_what_they_are_and_what_the_base_needs_stays() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["etc", "usr/bin", "bin", "dev", "run"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::write(at("etc/file"), vec![3; 100_000]).unwrap();
    fs::set_permissions(at("etc/file"), Permissions::from_mode(0o4640)).unwrap();
    fs::write(at("usr/bin/program"), b"\x7fELF...").unwrap();
    fs::write(at("bin/script"), "#!/bin/sh\n").unwrap();
    fs::write(at("dev/null"), "x").unwrap();
    symlink("../etc/file", at("etc/link")).unwrap();
    symlink("elsewhere", at("var")).unwrap();
    let Some(bytes) = ext4(folder.path()) else {
        return;
    };
    let (dir, done) = unpacked(&bytes);
    let done = done.unwrap();
    let layer = dir.path().join("layer");
    assert_eq!(files(&layer.join("root")), ["etc"]);
    assert_eq!(files(&layer.join("usr/bin")), ["script"]);
    assert!(fs::read(layer.join("root/etc/file")).unwrap() == vec![3; 100_000]);
    let mode = fs::metadata(layer.join("root/etc/file"))
        .unwrap()
        .permissions();
    assert_eq!(
        mode.mode() & 0o7777,
        0o640,
        "no program takes the caller's id"
    );
    let link = fs::read_link(layer.join("root/etc/link")).unwrap();
    assert_eq!(link, Path::new("../etc/file"));
    assert_eq!((done.programs, done.bytes), (1, 100_010));
    // /dev, /run, /lost+found and the link in place of /var.
    assert_eq!(done.others, 4);
}

#[test]
fn no_name_and_no_link_leads_out_of_the_layer() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("etc")).unwrap();
    fs::write(folder.path().join("etc/plain-name12"), "escaped").unwrap();
    fs::create_dir(folder.path().join("folder-name")).unwrap();
    fs::write(folder.path().join("folder-name/inner"), "escaped").unwrap();
    symlink(outside.path(), folder.path().join("a-link-name")).unwrap();
    let Some(good) = ext4(folder.path()) else {
        return;
    };
    assert!(unpacked(&good).1.is_ok());
    let mut bad = good.clone();
    replace(&mut bad, b"plain-name12", b"../../../esc");
    let (dir, _) = unpacked(&bad);
    assert_eq!(files(dir.path()), ["base", "layer"]);
    // A link and a folder of the same name.
    let mut bad = good;
    replace(&mut bad, b"folder-name", b"a-link-name");
    let (_dir, done) = unpacked(&bad);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(files(outside.path()), [] as [&str; 0]);
}

#[test]
fn damage_anywhere_is_an_error_or_none() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("etc/deep/er")).unwrap();
    for n in 0..40 {
        fs::write(
            folder.path().join(format!("etc/deep/file-{n}")),
            "x".repeat(n * 300),
        )
        .unwrap();
    }
    let Some(good) = ext4(folder.path()) else {
        return;
    };
    // Where its tables are: neither free nor the content of a file.
    let tables = |at: &usize| !matches!(good[*at], 0 | b'x');
    let places: Vec<usize> = (0..good.len()).filter(tables).collect();
    let mut seed = 7u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap()
    };
    let mut failed = 0;
    for _ in 0..60 {
        let mut bad = good.clone();
        for _ in 0..1 + next() % 20 {
            bad[places[next() % places.len()]] = u8::try_from(next() % 256).unwrap();
        }
        let (dir, done) = unpacked(&bad);
        failed += u32::from(done.is_err());
        assert!(
            files(dir.path())
                .iter()
                .all(|n| n == "base" || n == "layer")
        );
    }
    assert!(failed > 0, "nothing was damaged");
}

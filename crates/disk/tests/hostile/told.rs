//! Files that are no disk image, or not the one they are said to be.

use super::*;

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

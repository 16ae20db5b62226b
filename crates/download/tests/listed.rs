//! Checksum files and their signatures. The keys are made by gpg for the test, in folders of its own.
#![allow(missing_docs, clippy::disallowed_methods, reason = "tests")]

mod server;

use download::{Blame, Checksum, Fetch, FetchError, Origin, fetch, identify};
use server::{Act, Server, files, noise, settings, sha256, told};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Somebody with a key.
struct Signer {
    home: tempfile::TempDir,
}

impl Signer {
    fn new(expires: &str) -> Self {
        // In the system's own temporary folder: gpg's agent takes no longer path for its socket.
        let home = tempfile::Builder::new()
            .prefix("k")
            .tempdir()
            .expect("a folder");
        let signer = Self { home };
        signer.gpg(
            &[
                "--quick-gen-key",
                "me@example.invalid",
                "ed25519",
                "sign",
                expires,
            ],
            b"",
        );
        signer
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut gpg = Command::new("gpg")
            .env("GNUPGHOME", self.home.path())
            .args([
                "--batch",
                "--quiet",
                "--yes",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg is there");
        gpg.stdin
            .take()
            .expect("a pipe")
            .write_all(input)
            .expect("it reads");
        let done = gpg.wait_with_output().expect("it ends");
        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.stdout
    }

    fn key(&self, armour: bool, folder: &Path) -> PathBuf {
        let path = folder.join(if armour { "key.asc" } else { "key.gpg" });
        let mut arguments = vec!["--export"];
        arguments.extend(armour.then_some("--armor"));
        std::fs::write(&path, self.gpg(&arguments, b"")).expect("a file");
        path
    }

    fn clear(&self, text: &str) -> Vec<u8> {
        self.gpg(&["--clearsign"], text.as_bytes())
    }

    fn detached(&self, text: &str, armour: bool) -> Vec<u8> {
        let mut arguments = vec!["--detach-sign"];
        arguments.extend(armour.then_some("--armor"));
        self.gpg(&arguments, text.as_bytes())
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        // Its agent, by the folder that is its own.
        let _ = Command::new("gpgconf")
            .env("GNUPGHOME", self.home.path())
            .args(["--kill", "all"])
            .status();
    }
}

fn image() -> Vec<u8> {
    noise(5_000)
}

fn list() -> String {
    let digest = sha256(&image()).to_string();
    let digits = digest.strip_prefix("sha256:").expect("it is SHA-256");
    format!(
        "# image.raw: 5000 bytes\nSHA256 (image.raw) = {digits}\nSHA256 (- other) = {}\n",
        "b".repeat(64)
    )
}

fn listed(server: &Server, signed_by: Option<&Path>) -> Fetch {
    Fetch {
        from: Origin::Url(server.url("/image.raw")),
        checksum: Some(Checksum::Listed {
            from: Origin::Url(server.url("/CHECKSUM")),
            name: None,
            signed_by: signed_by.map(Path::to_owned),
        }),
        name: "the image".into(),
    }
}

async fn error(it: &Fetch) -> FetchError {
    let cache = tempfile::tempdir().expect("a folder");
    let (_, progress) = told();
    let mut settings = settings(cache.path());
    settings.stall_timeout = std::time::Duration::from_millis(300);
    let error = fetch(it, &settings, &progress)
        .await
        .expect_err("it is refused");
    assert_eq!(files(cache.path()), Vec::<String>::new());
    error
}

#[tokio::test]
async fn a_checksum_file_says_what_the_content_is() {
    let server = Server::start(&[("/image.raw", &image()), ("/CHECKSUM", list().as_bytes())]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let (told, progress) = told();
    let mut it = listed(&server, None);
    server.then([Act::HangUp, Act::Cut(10)]);
    let settings = settings(cache.path());
    assert_eq!(
        identify(&it, &settings, &progress)
            .await
            .expect("it can be told"),
        sha256(&image())
    );
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.path == "/CHECKSUM")
    );
    assert!(
        told.last
            .lock()
            .expect("the list")
            .contains_key(&download::Phase::Checksum)
    );
    let fetched = fetch(&it, &settings, &progress).await.expect("an image");
    assert_eq!(fetched.identity, sha256(&image()));
    // Another name than that of the address; and a file of this machine.
    let local = cache.path().join("SUMS");
    std::fs::write(&local, list().replace("image.raw", "x")).expect("a file");
    it.checksum = Some(Checksum::Listed {
        from: Origin::File(local),
        name: Some("x".into()),
        signed_by: None,
    });
    assert!(
        fetch(&it, &settings, &progress)
            .await
            .expect("an image")
            .from_cache
    );
    it.checksum = Some(Checksum::Listed {
        from: Origin::Url(server.url("/CHECKSUM")),
        name: Some("y".into()),
        signed_by: None,
    });
    let why = error(&it).await;
    assert!(
        why.to_string().contains("\"image.raw\"") && why.blame() == Blame::Input,
        "{why}"
    );
}

#[tokio::test]
async fn a_checksum_file_that_is_none_is_refused() {
    let server = Server::start(&[("/image.raw", &image())]).await;
    let long = vec![b'#'; (4 << 20) + 1];
    for (content, says) in [
        (&b"<!doctype html><title>Log in</title>"[..], "HTML"),
        (b"\xff\xfe", "UTF-8"),
        (b"", "lists no SHA-256"),
        (&long, "longer than 4 MiB"),
    ] {
        server.with(|state| state.files.insert("/CHECKSUM".into(), content.to_vec()));
        let why = error(&listed(&server, None)).await.to_string();
        assert!(why.contains(says), "{why}");
    }
    server.with(|state| state.files.remove("/CHECKSUM"));
    assert!(
        error(&listed(&server, None))
            .await
            .to_string()
            .contains("404")
    );
}

#[tokio::test]
async fn a_signed_list_is_verified_with_the_key_alone() {
    let signer = Signer::new("0");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[
        ("/image.raw", &image()),
        ("/CHECKSUM", &signer.clear(&list())),
    ])
    .await;
    for armour in [true, false] {
        let cache = tempfile::tempdir().expect("a folder");
        let (_, progress) = told();
        let key = signer.key(armour, folder.path());
        let it = listed(&server, Some(&key));
        fetch(&it, &settings(cache.path()), &progress)
            .await
            .expect("an image");
        assert!(
            !files(cache.path())
                .iter()
                .any(|name| name.contains("verify-"))
        );
    }
    // Read without the key as well, and only what is within it.
    let mut around = signer.clear(&list());
    around.extend(format!("\nSHA256 (late) = {}\n", "c".repeat(64)).bytes());
    server.with(|state| state.files.insert("/CHECKSUM".into(), around));
    let (_, progress) = told();
    let cache = tempfile::tempdir().expect("a folder");
    let mut it = listed(&server, None);
    fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect("an image");
    for key in [None, Some(signer.key(true, folder.path()))] {
        it.checksum = Some(Checksum::Listed {
            from: Origin::Url(server.url("/CHECKSUM")),
            name: Some("late".into()),
            signed_by: key,
        });
        let why = error(&it).await.to_string();
        assert!(
            why.contains("lists no SHA-256") && why.contains("\"- other\""),
            "{why}"
        );
    }
}

#[tokio::test]
async fn signatures_beside_the_list_are_found() {
    let signer = Signer::new("0");
    let folder = tempfile::tempdir().expect("a folder");
    let key = signer.key(true, folder.path());
    for (suffix, armour) in [
        (".asc", true),
        (".sig", false),
        (".gpg", false),
        (".sign", true),
    ] {
        let signature = signer.detached(&list(), armour);
        let name = format!("/CHECKSUM{suffix}");
        let server = Server::start(&[
            ("/image.raw", &image()),
            ("/CHECKSUM", list().as_bytes()),
            (&name, &signature),
        ])
        .await;
        let (_, progress) = told();
        let cache = tempfile::tempdir().expect("a folder");
        fetch(
            &listed(&server, Some(&key)),
            &settings(cache.path()),
            &progress,
        )
        .await
        .expect("an image");
        let changed = list().replace("5000 bytes", "5001 bytes");
        server.with(|state| state.files.insert("/CHECKSUM".into(), changed.into_bytes()));
        let why = error(&listed(&server, Some(&key))).await;
        assert!(
            why.to_string().contains("was changed after it was signed"),
            "{why}"
        );
    }
    let server = Server::start(&[("/image.raw", &image()), ("/CHECKSUM", list().as_bytes())]).await;
    let why = error(&listed(&server, Some(&key))).await.to_string();
    assert!(why.contains("no signature beside it"), "{why}");
}

#[tokio::test]
async fn what_is_not_signed_so_is_refused() {
    let (signer, stranger) = (Signer::new("0"), Signer::new("0"));
    let folder = tempfile::tempdir().expect("a folder");
    let key = signer.key(true, folder.path());
    let good = String::from_utf8(signer.clear(&list())).expect("text");
    let forged = String::from_utf8(stranger.clear(&list())).expect("text");
    let server = Server::start(&[("/image.raw", &image())]).await;
    for (what, content, says) in [
        (
            "changed",
            good.replace("5000 bytes", "5001 bytes"),
            "was changed after it was signed",
        ),
        ("by a stranger", forged.clone(), "none of the keys"),
        ("a stranger's first", format!("{forged}{good}"), ""),
        ("a stranger's last", format!("{good}{forged}"), ""),
        ("twice", format!("{good}{good}"), ""),
        ("cut", good[..good.len() - 60].to_owned(), ""),
        (
            "no signature",
            good.split("-----BEGIN PGP SIGNATURE")
                .next()
                .expect("a part")
                .to_owned(),
            "",
        ),
    ] {
        server.with(|state| state.files.insert("/CHECKSUM".into(), content.into_bytes()));
        let why = error(&listed(&server, Some(&key))).await;
        assert!(matches!(why, FetchError::Signature { .. }), "{what}: {why}");
        assert!(why.to_string().contains(says), "{what}: {why}");
        assert_eq!(why.blame(), Blame::Input);
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.path.starts_with("/CHECKSUM")),
        "the image was asked for"
    );
}

#[tokio::test]
async fn a_key_that_expired_or_is_none_is_refused() {
    let signer = Signer::new("seconds=1");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[
        ("/image.raw", &image()),
        ("/CHECKSUM", &signer.clear(&list())),
    ])
    .await;
    let key = signer.key(true, folder.path());
    let began = std::time::Instant::now();
    // gpgv says so once the second is over.
    let why = loop {
        let cache = tempfile::tempdir().expect("a folder");
        let (_, progress) = told();
        match fetch(
            &listed(&server, Some(&key)),
            &settings(cache.path()),
            &progress,
        )
        .await
        {
            Err(why) => break why,
            Ok(_) => assert!(began.elapsed().as_secs() < 30, "it does not expire"),
        }
    };
    assert!(why.to_string().contains("key has expired"), "{why}");
    let secret = signer.gpg(&["--export-secret-keys", "--armor"], b"");
    for (content, says) in [
        (&secret[..], "secret key"),
        (b"hello", "no OpenPGP public key"),
        (b"\x99", "gpgv says"),
    ] {
        let path = folder.path().join("bad");
        std::fs::write(&path, content).expect("a file");
        let why = error(&listed(&server, Some(&path))).await;
        assert!(
            matches!(why, FetchError::Signature { .. }) && why.to_string().contains(says),
            "{why}"
        );
    }
    let why = error(&listed(&server, Some(&folder.path().join("none")))).await;
    assert!(
        matches!(why, FetchError::File { .. }) && why.blame() == Blame::Input,
        "{why}"
    );
}

#[tokio::test]
async fn a_machine_without_gpgv_says_so() {
    let signer = Signer::new("0");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&[
        ("/image.raw", &image()),
        ("/CHECKSUM", &signer.clear(&list())),
    ])
    .await;
    let key = signer.key(true, folder.path());
    let (_, progress) = told();
    let mut settings = settings(folder.path());
    settings.gpgv = folder.path().join("nowhere");
    let why = fetch(&listed(&server, Some(&key)), &settings, &progress)
        .await
        .expect_err("it cannot be verified");
    assert!(why.to_string().contains("package gpgv"), "{why}");
}

//! Files and folders, to the host and back.

use crate::server::{Server, Setup};
use sha2::{Digest, Sha256};
use ssh::{Become, FileMode, FileUpload, RemotePath, UploadError};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

fn remote(path: &Path) -> RemotePath {
    path.to_str().expect("a name").parse().expect("a path")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file is there").mode() & 0o7777
}

fn set_time(path: &Path, seconds: u64) {
    let file = File::options().read(true).open(path).expect("it opens");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .expect("its time");
}

fn hash(path: &Path) -> String {
    let output = Command::new("sha256sum")
        .arg("-z")
        .arg(path)
        .output()
        .expect("sha256sum runs");
    String::from_utf8_lossy(&output.stdout[..64]).into_owned()
}

/// Names of temporary files that an upload left behind.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).expect("the folder").flatten();
    all.map(|e| e.path())
        .filter(|p| p.to_string_lossy().contains(".qib-"))
        .collect()
}

#[tokio::test]
async fn a_file_keeps_mode_time_and_content() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let local = server.path("local file'$x");
    fs::write(&local, b"content\0\xff\n").expect("a file");
    set_mode(&local, 0o751);
    set_time(&local, 1_234_567_890);
    let target = server.path("made/for it/target");
    let uploaded = connection
        .upload_file(&local, &remote(&target), FileUpload::default())
        .await
        .expect("it goes");
    assert_eq!((uploaded.files, uploaded.bytes), (1, 10));
    assert_eq!(fs::read(&target).expect("it is there"), b"content\0\xff\n");
    assert_eq!(mode(&target), 0o751);
    assert_eq!(
        fs::metadata(&target).expect("it is there").mtime(),
        1_234_567_890
    );
    assert!(leftovers(target.parent().expect("a folder")).is_empty());

    let other = FileUpload {
        mode: Some(FileMode::new(0o600)),
    };
    connection
        .upload_file(&local, &remote(&target), other)
        .await
        .expect("it is replaced");
    assert_eq!(mode(&target), 0o600);
}

#[tokio::test]
async fn a_file_goes_into_a_folder_under_its_own_name() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let local = server.path("-name with spaces");
    fs::write(&local, "x").expect("a file");
    fs::create_dir(server.path("there")).expect("a folder");
    connection
        .upload_file(
            &local,
            &remote(&server.path("there")),
            FileUpload::default(),
        )
        .await
        .expect("it goes");
    assert!(server.path("there/-name with spaces").exists());
    let new = format!("{}/", server.path("new").display());
    connection
        .upload_file(&local, &new.parse().expect("a path"), FileUpload::default())
        .await
        .expect("it goes");
    assert!(server.path("new/-name with spaces").exists());
}

#[tokio::test]
async fn bytes_are_never_open_to_more_than_their_mode() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let target = server.path("secret");
    fs::write(&target, "old").expect("an older file, open to all");
    set_mode(&target, 0o666);
    connection
        .upload_bytes(b"s3cret", &remote(&target), FileMode::PRIVATE)
        .await
        .expect("it goes");
    assert_eq!(fs::read(&target).expect("it is there"), b"s3cret");
    assert_eq!(mode(&target), 0o600);
    connection
        .upload_bytes(b"", &remote(&server.path("empty")), FileMode::new(0o644))
        .await
        .expect("it goes");
    assert_eq!(fs::read(server.path("empty")).expect("it is there"), b"");
    assert_eq!(mode(&server.path("empty")), 0o644);
}

#[tokio::test]
async fn a_link_in_the_way_is_replaced_and_what_it_points_to_stays() {
    let server = Server::start().await;
    let connection = server.connect().await;
    fs::write(server.path("precious"), "kept").expect("a file");
    symlink(server.path("precious"), server.path("link")).expect("a link");
    connection
        .upload_bytes(b"new", &remote(&server.path("link")), FileMode::PRIVATE)
        .await
        .expect("it goes");
    assert_eq!(
        fs::read(server.path("precious")).expect("it is there"),
        b"kept"
    );
    assert_eq!(fs::read(server.path("link")).expect("it is there"), b"new");
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_leaves_nothing() {
    let server = Server::start().await;
    let connection = server.connect().await;
    fs::write(server.path("file"), "").expect("a file");
    let below_a_file = remote(&server.path("file/x"));
    let error = connection
        .upload_bytes(b"x", &below_a_file, FileMode::PRIVATE)
        .await
        .expect_err("no folder there");
    assert!(matches!(&error, UploadError::Remote { .. }), "{error}");
    assert!(error.to_string().contains("file/x"), "{error}");
    let error = connection
        .upload_file(
            &server.path("missing"),
            &remote(&server.path("y")),
            FileUpload::default(),
        )
        .await
        .expect_err("no such local file");
    assert!(matches!(&error, UploadError::Local { .. }), "{error}");
    assert!(!server.path("y").exists());
    assert!(leftovers(server.folder.path()).is_empty());
}

#[tokio::test]
async fn a_host_without_sha256sum_is_told_so() {
    let server = Server::start().await;
    let tools = server.path("tools");
    fs::create_dir(&tools).expect("a folder");
    for tool in [
        "sh", "cat", "mkdir", "rm", "mv", "chmod", "touch", "tar", "gzip", "sed",
    ] {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {tool}")])
            .output()
            .expect("sh runs");
        let path = String::from_utf8(found.stdout).expect("a path");
        symlink(path.trim(), tools.join(tool)).expect("a link");
    }
    let bare = Server::with(Setup {
        config: format!("SetEnv PATH={}\n", tools.display()),
        ..Setup::default()
    })
    .await;
    let connection = bare.connect().await;
    let target = remote(&bare.path("x"));
    let folder = bare.path("folder");
    fs::create_dir(&folder).expect("a folder");
    let errors = [
        connection
            .upload_bytes(b"x", &target, FileMode::PRIVATE)
            .await
            .expect_err("no sha256sum"),
        connection
            .upload_directory(&folder, &target)
            .await
            .expect_err("no sha256sum"),
        connection
            .download_file(&target, &bare.path("y"), &Become::LoginUser)
            .await
            .expect_err("no sha256sum"),
    ];
    for error in errors {
        assert!(
            matches!(&error, UploadError::MissingTool { tool, .. } if tool == "sha256sum"),
            "{error}"
        );
    }
    assert!(!bare.path("x").exists() && !bare.path("y").exists());
}

#[tokio::test]
async fn a_large_file_arrives_whole_without_being_held_in_memory() {
    const MIB: usize = 1024 * 1024;
    const SIZE: usize = 256 * MIB;
    let server = Server::start().await;
    let connection = server.connect().await;
    let local = server.path("large");
    let mut expected = Sha256::new();
    let mut file = File::create(&local).expect("a file");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..SIZE / MIB {
        let mut block = Vec::with_capacity(MIB);
        while block.len() < MIB {
            // xorshift64: fast, and does not repeat within this file.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        expected.update(&block);
        file.write_all(&block).expect("it is written");
    }
    let expected = hex::encode(expected.finalize());

    let before = peak_memory();
    let target = server.path("arrived");
    let started = Instant::now();
    let uploaded = connection
        .upload_file(&local, &remote(&target), FileUpload::default())
        .await
        .expect("it goes");
    let up = started.elapsed();
    assert_eq!(uploaded.bytes, SIZE as u64);
    assert_eq!(hash(&target), expected);

    let back = server.path("back");
    let started = Instant::now();
    let downloaded = connection
        .download_file(&remote(&target), &back, &Become::LoginUser)
        .await
        .expect("it comes back");
    let down = started.elapsed();
    assert_eq!(downloaded.bytes, SIZE as u64);
    assert_eq!(hash(&back), expected);
    assert_eq!(mode(&back), 0o600);

    let grown = peak_memory().saturating_sub(before) / 1024;
    let rate = |time: Duration| (SIZE / MIB) as f64 / time.as_secs_f64();
    println!(
        "256 MiB up at {:.0} MiB/s, down at {:.0} MiB/s, peak memory +{grown} MiB",
        rate(up),
        rate(down)
    );
    assert!(
        grown < 128,
        "peak memory grew by {grown} MiB for a file of 256 MiB"
    );
}

/// Most memory that this process has ever had resident, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status
        .lines()
        .find(|l| l.starts_with("VmHWM:"))
        .expect("VmHWM");
    line.split_ascii_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

/// All below a folder: kind, mode, time and content of each.
fn listing(top: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            let (mode, time) = (metadata.mode() & 0o7777, metadata.mtime());
            let what = if metadata.is_symlink() {
                format!("link {:?}", fs::read_link(&path).expect("a link"))
            } else if metadata.is_dir() {
                folders.push(path.clone());
                format!("folder {mode:o} {time}")
            } else {
                format!(
                    "file {mode:o} {time} {}",
                    hex::encode(Sha256::digest(fs::read(&path).expect("a file")))
                )
            };
            found.insert(
                path.strip_prefix(top)
                    .expect("below it")
                    .as_os_str()
                    .as_bytes()
                    .to_vec(),
                what,
            );
        }
    }
    found
}

#[tokio::test]
async fn a_folder_of_two_thousand_files_arrives_as_it_is() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let local = server.path("tree");
    for number in 0..2000u64 {
        let folder = local.join(format!("d{}/e{}", number % 20, number % 7));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join(format!("file {number}"));
        fs::write(&file, number.to_string().repeat(number as usize % 300)).expect("a file");
        set_mode(&file, [0o644, 0o600, 0o755, 0o400][number as usize % 4]);
        set_time(&file, 1_000_000_000 + number);
    }
    for odd in [
        "-",
        "-rf",
        "back\\slash",
        "new\nline",
        "quote'\"$(id)",
        "ünïcödé",
        ".hidden",
    ] {
        fs::write(local.join(odd), odd).expect("a file");
    }
    fs::write(
        local.join(std::ffi::OsStr::from_bytes(b"not utf8 \xff")),
        "x",
    )
    .expect("a file");
    let long = local.join("l".repeat(200)).join("m".repeat(200));
    fs::create_dir_all(&long).expect("a long name");
    fs::write(long.join("n".repeat(200)), "deep").expect("a file");
    symlink("d1", local.join("to a folder")).expect("a link");
    symlink("/etc/hostname", local.join("absolute")).expect("a link");
    symlink("nowhere", local.join("dangling")).expect("a link");
    fs::create_dir(local.join("empty")).expect("a folder");
    set_mode(&local.join("empty"), 0o700);
    set_time(&local.join("empty"), 999_999_999);

    let target = server.path("arrived/here");
    let started = Instant::now();
    let uploaded = connection
        .upload_directory(&local, &remote(&target))
        .await
        .expect("it goes");
    println!(
        "{} files, {} bytes in {:?}",
        uploaded.files,
        uploaded.bytes,
        started.elapsed()
    );
    assert_eq!(uploaded.files, 2000 + 8 + 1);
    let (sent, arrived) = (listing(&local), listing(&target));
    for (name, what) in &sent {
        assert_eq!(
            arrived.get(name),
            Some(what),
            "{:?}",
            String::from_utf8_lossy(name)
        );
    }
    assert_eq!(sent.len(), arrived.len(), "nothing more than was sent");
}

#[tokio::test]
async fn a_folder_is_merged_into_one_that_is_there() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let (local, target) = (server.path("from"), server.path("into"));
    fs::create_dir_all(&local).expect("a folder");
    fs::create_dir_all(&target).expect("a folder");
    set_mode(&target, 0o711);
    fs::write(local.join("both"), "new").expect("a file");
    fs::write(target.join("both"), "old").expect("a file");
    fs::write(target.join("other"), "stays").expect("a file");
    connection
        .upload_directory(&local, &remote(&target))
        .await
        .expect("it goes");
    assert_eq!(
        fs::read_to_string(target.join("both")).expect("it is there"),
        "new"
    );
    assert_eq!(
        fs::read_to_string(target.join("other")).expect("it is there"),
        "stays"
    );
    assert_eq!(
        mode(&target),
        0o711,
        "a folder that is there keeps its mode"
    );
    let empty = server.path("empty");
    fs::create_dir(&empty).expect("a folder");
    let uploaded = connection
        .upload_directory(&empty, &remote(&server.path("e")))
        .await
        .expect("an empty one goes too");
    assert_eq!(uploaded.files, 0);
    assert!(server.path("e").is_dir() && listing(&server.path("e")).is_empty());
}

#[tokio::test]
async fn a_folder_with_a_socket_is_refused_before_anything_is_sent() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let local = server.path("from");
    fs::create_dir(&local).expect("a folder");
    fs::write(local.join("a"), "").expect("a file");
    let _socket = std::os::unix::net::UnixListener::bind(local.join("socket")).expect("a socket");
    let target = server.path("target");
    let error = connection
        .upload_directory(&local, &remote(&target))
        .await
        .expect_err("sockets are refused");
    assert!(
        matches!(
            &error,
            UploadError::Special {
                kind: "a socket",
                ..
            }
        ),
        "{error}"
    );
    assert!(!target.exists());
}

#[tokio::test]
async fn a_download_that_fails_leaves_what_was_there() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let local = server.path("local");
    fs::write(&local, "old").expect("a file");
    let error = connection
        .download_file(&remote(&server.path("none")), &local, &Become::LoginUser)
        .await
        .expect_err("no such file");
    assert!(matches!(&error, UploadError::Remote { .. }), "{error}");
    assert!(error.to_string().contains("none"), "{error}");
    assert_eq!(fs::read_to_string(&local).expect("it is there"), "old");
    assert!(leftovers(server.folder.path()).is_empty());
}

#[tokio::test]
async fn a_folder_comes_back_with_its_links_and_strange_names() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let there = server.path("there");
    fs::create_dir_all(there.join("deep/er")).expect("a folder");
    fs::create_dir(there.join("empty")).expect("a folder");
    let big: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(there.join("deep/big"), &big).expect("a file");
    fs::write(there.join("deep/er/new\nline \\ 'quote'"), "odd").expect("a file");
    fs::write(there.join("-dash"), "").expect("a file");
    set_mode(&there.join("-dash"), 0o4755);
    set_time(&there.join("deep/big"), 1_234_567_890);
    symlink("../deep/big", there.join("empty/link")).expect("a link");
    fs::hard_link(there.join("deep/big"), there.join("same")).expect("a link");
    let here = server.path("here");
    fs::create_dir(&here).expect("a folder");
    fs::write(here.join("stays"), "mine").expect("a file");
    fs::write(here.join("-dash"), "old").expect("a file");

    let fetched = connection
        .download_directory(&remote(&there), &here, &Become::LoginUser)
        .await
        .expect("it comes");
    assert_eq!((fetched.files, fetched.bytes), (4, 24_000_003));
    assert_eq!(fs::read(here.join("deep/big")).expect("a file"), big);
    assert_eq!(fs::read(here.join("same")).expect("a file"), big);
    assert_eq!(
        fs::read(here.join("deep/er/new\nline \\ 'quote'")).expect("a file"),
        b"odd"
    );
    assert_eq!(fs::read(here.join("-dash")).expect("a file"), b"");
    assert_eq!(mode(&here.join("-dash")), 0o700);
    assert_eq!(
        fs::metadata(here.join("deep/big")).expect("a file").mtime(),
        1_234_567_890
    );
    assert_eq!(
        fs::read_link(here.join("empty/link")).expect("a link"),
        Path::new("../deep/big")
    );
    assert_eq!(fs::read(here.join("stays")).expect("a file"), b"mine");
    assert!(leftovers(&here).is_empty());
}

#[tokio::test]
async fn a_folder_with_a_link_that_points_out_or_a_pipe_is_not_taken() {
    let server = Server::start().await;
    let connection = server.connect().await;
    for (name, make) in [
        (
            "out",
            Box::new(|path: &Path| symlink("/etc/passwd", path.join("l")).expect("a link"))
                as Box<dyn Fn(&Path)>,
        ),
        (
            "pipe",
            Box::new(|path: &Path| {
                let made = Command::new("mkfifo").arg(path.join("p")).status();
                assert!(made.expect("mkfifo runs").success());
            }),
        ),
    ] {
        let there = server.path(name);
        fs::create_dir(&there).expect("a folder");
        // More than what is on its way before anybody looks: the refusal must end the transfer, not wait for it.
        fs::write(there.join("z"), vec![7; 8_000_000]).expect("a file");
        make(&there);
        let here = server.path(&format!("{name}-here"));
        fs::create_dir(&here).expect("a folder");
        let error = connection
            .download_directory(&remote(&there), &here, &Become::LoginUser)
            .await
            .expect_err("it is refused");
        assert!(matches!(error, UploadError::NotTaken { .. }), "{error}");
        assert_eq!(fs::read_dir(&here).expect("the folder").count(), 0);
        // The connection is as good as before.
        let again = connection
            .download_file(
                &remote(&there.join("z")),
                &here.join("z"),
                &Become::LoginUser,
            )
            .await
            .expect("it comes");
        assert_eq!(again.bytes, 8_000_000);
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_is_said_in_the_hosts_own_words() {
    let server = Server::start().await;
    let connection = server.connect().await;
    let here = server.path("here");
    fs::create_dir(&here).expect("a folder");
    let error = connection
        .download_directory(&remote(&server.path("none")), &here, &Become::LoginUser)
        .await
        .expect_err("there is none");
    assert!(
        matches!(&error, UploadError::Remote { detail, .. } if detail.contains("none")),
        "{error}"
    );
    assert_eq!(fs::read_dir(&here).expect("the folder").count(), 0);
    // A user that sudo cannot become.
    let nobody = Become::User("no-such-user".parse().expect("a name"));
    let error = connection
        .download_directory(&remote(&here), &here, &nobody)
        .await
        .expect_err("there is no such user");
    assert!(matches!(error, UploadError::Remote { .. }), "{error}");
}

//! Fetches that end in the middle, and several at the same time.
#![allow(missing_docs, clippy::disallowed_methods, reason = "tests")]

mod server;

use download::fetch;
use proptest::prelude::*;
use server::{Act, Server, files, from_url, noise, settings, sha256, told};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// How many bytes a download that was ended has on disk, once nobody writes to it any more.
async fn kept(cache: &Path) -> u64 {
    let names = files(cache);
    let lock = names.iter().find(|name| name.ends_with(".lock"));
    let Some(lock) = lock else {
        return 0;
    };
    let lock = std::fs::File::open(cache.join(lock)).expect("the lock");
    tokio::task::spawn_blocking(move || lock.lock())
        .await
        .expect("it ends")
        .expect("a lock");
    names
        .iter()
        .find(|name| name.ends_with("/part"))
        .map_or(0, |part| {
            std::fs::metadata(cache.join(part)).map_or(0, |part| part.len())
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Dropping the future is what a cancellation does, and what is on disk afterwards is what a kill leaves: nothing is
    /// tidied up.
    #[test]
    fn a_dropped_fetch_goes_on_where_it_was(at in 1_usize..400_000, packed in any::<bool>()) {
        let content = noise(400_000);
        let published = if packed {
            let mut writer = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
            writer.write_all(&content).expect("memory");
            writer.finish().expect("memory")
        } else {
            content.clone()
        };
        let result = runtime().block_on(async {
            let server = Server::start(&[("/image.raw", &published)]).await;
            let cache = tempfile::tempdir().expect("a folder");
            let it = from_url(server.url("/image.raw"), &published);
            let (_, progress) = told();
            let settings = settings(cache.path());
            server.then([Act::Stall(at)]);
            {
                let waiting = fetch(&it, &settings, &progress);
                tokio::pin!(waiting);
                // Until the server has sent that much, and whatever of it has arrived by then.
                loop {
                    tokio::select! {
                        _ = &mut waiting => panic!("the server stalls"),
                        () = tokio::time::sleep(Duration::from_millis(1)) => {}
                    }
                    if server.requests().first().is_some_and(|request| request.sent >= at) {
                        break;
                    }
                }
            }
            let kept = kept(cache.path()).await;
            server.forget();
            let fetched = fetch(&it, &settings, &progress).await.expect("an image");
            let image = std::fs::read(&fetched.path).expect("it is there");
            let requests = server.requests();
            (image == content, kept, requests.len(), requests[0].sent as u64, fetched.digest)
        });
        let (same, kept, requests, sent, digest) = result;
        prop_assert!(same);
        prop_assert_eq!(requests, 1);
        prop_assert_eq!(sent, published.len() as u64 - kept);
        prop_assert_eq!(digest, sha256(&published));
    }
}

#[tokio::test]
async fn a_download_that_was_whole_is_not_asked_for_again() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &content);
    let (_, progress) = told();
    let settings = settings(cache.path());
    let first = fetch(&it, &settings, &progress).await.expect("an image");
    // As it was when the process was killed after the last byte.
    let folder = first.path.parent().expect("a folder");
    let known = format!(
        "{{\"url\":\"{}\",\"length\":50000}}",
        server.url("/image.raw")
    );
    std::fs::rename(&first.path, folder.join("part")).expect("a file");
    std::fs::write(folder.join("part.json"), known).expect("a file");
    std::fs::remove_file(folder.join("entry.json")).expect("a file");
    drop(first);
    server.forget();
    let second = fetch(&it, &settings, &progress).await.expect("an image");
    assert!(std::fs::read(&second.path).expect("it is there") == content);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn what_a_crash_garbled_is_found_by_its_digest() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let (_, progress) = told();
    let known = format!(
        "{{\"url\":\"{}\",\"length\":50000,\"etag\":\"\\\"one\\\"\"}}",
        server.url("/image.raw")
    );
    // After a loss of power: a part of zeros; one that is too long; one of which nothing is known; half a side file.
    for (part, known) in [
        (vec![0; 20_000], known.as_str()),
        (vec![0; 60_000], known.as_str()),
        (vec![0; 50_000], known.as_str()),
        (vec![0; 20_000], ""),
        (vec![0; 20_000], "{\"url\":"),
    ] {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = cache
            .path()
            .join(sha256(&content).to_string().replace(':', "-"));
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::write(folder.join("part"), part).expect("a file");
        std::fs::write(folder.join("part.json"), known).expect("a file");
        std::fs::write(folder.join("unpacking"), "rest").expect("a file");
        let it = from_url(server.url("/image.raw"), &content);
        let fetched = fetch(&it, &settings(cache.path()), &progress)
            .await
            .expect("an image");
        assert!(std::fs::read(&fetched.path).expect("it is there") == content);
        assert_eq!(files(&folder), ["entry.json", "image"]);
    }
}

#[tokio::test]
async fn of_many_at_the_same_time_one_downloads() {
    let content = noise(3_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    server.then([Act::Trickle(Duration::from_micros(100))]);
    let cache = tempfile::tempdir().expect("a folder");
    let (told, progress) = told();
    let mut all = Vec::new();
    for _ in 0..6 {
        let it = from_url(server.url("/image.raw"), &content);
        let (settings, progress) = (settings(cache.path()), progress.clone());
        all.push(tokio::spawn(async move {
            fetch(&it, &settings, &progress).await
        }));
    }
    let mut made = 0;
    for one in all {
        let fetched = one.await.expect("it ends").expect("an image");
        assert!(std::fs::read(&fetched.path).expect("it is there") == content);
        made += usize::from(!fetched.from_cache);
    }
    assert_eq!((made, server.requests().len()), (1, 1));
    assert!(
        told.notes
            .lock()
            .expect("the list")
            .iter()
            .any(|note| note.contains("waiting for it"))
    );
}

/// A disk that says how much it has left, less with each look.
struct Shrinking(AtomicU64, u64);

impl download::Disk for Shrinking {
    fn free(&self, _: &Path) -> std::io::Result<u64> {
        let by = self.1;
        Ok(self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| {
                Some(free.saturating_sub(by))
            })
            .expect("it is never refused"))
    }
}

#[tokio::test]
async fn room_is_looked_for_before_the_first_byte() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &content);
    let (_, progress) = told();
    let mut settings = settings(cache.path());
    settings.keep_free = 1 << 20;
    settings.disk = Arc::new(Shrinking(AtomicU64::new((1 << 20) + 49_999), 0));
    let error = fetch(&it, &settings, &progress)
        .await
        .expect_err("there is no room");
    let text = error.to_string();
    assert!(
        text.contains("no room to download") && text.contains("48.9 KiB needed"),
        "{text}"
    );
    assert_eq!(files(cache.path()), Vec::<String>::new());
    settings.disk = Arc::new(Shrinking(AtomicU64::new((1 << 20) + 50_000), 0));
    fetch(&it, &settings, &progress).await.expect("an image");
}

#[tokio::test]
async fn a_verified_download_outlives_a_disk_that_is_too_small_to_unpack_it() {
    let content = noise(2 << 20);
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(&content).expect("memory");
    let published = writer.finish().expect("memory");
    let server = Server::start(&[("/image.raw.gz", &published)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw.gz"), &published);
    let (_, progress) = told();
    let mut small = settings(cache.path());
    // Enough for the two looks of the download, not for that of unpacking.
    small.disk = Arc::new(Shrinking(AtomicU64::new(6 << 20), (29 << 20) / 10));
    let error = fetch(&it, &small, &progress)
        .await
        .expect_err("there is no room");
    assert!(error.to_string().contains("no room to unpack"), "{error}");
    assert!(
        error.to_string().ends_with("kept for the next attempt"),
        "{error}"
    );
    assert!(
        !files(cache.path())
            .iter()
            .any(|name| name.ends_with("unpacking"))
    );
    server.forget();
    let fetched = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect("an image");
    assert!(std::fs::read(&fetched.path).expect("it is there") == content);
    assert!(server.requests().is_empty());
}

/// Runs a test of this program again in a mount namespace of its own, with a small disk at the folder it names.
fn on_a_small_disk(test: &str) -> bool {
    if std::env::var_os("SMALL_DISK").is_some() {
        return true;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=3m none '{0}' && SMALL_DISK='{0}' exec \"$0\" --exact {test} --nocapture",
        folder.path().display()
    );
    let done = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("this program"))
        .output()
        .expect("unshare is there");
    assert!(
        done.status.success() && String::from_utf8_lossy(&done.stdout).contains("1 passed"),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    false
}

#[test]
fn a_disk_that_is_full_after_all_is_said_so() {
    if !on_a_small_disk("a_disk_that_is_full_after_all_is_said_so") {
        return;
    }
    let disk = std::env::var_os("SMALL_DISK").expect("a folder");
    let cache = Path::new(&disk).join("cache");
    runtime().block_on(async {
        let content = noise(6 << 20);
        let packed = zstd::encode_all(&noise(1 << 20)[..], 1).expect("memory");
        let bomb = zstd::encode_all(&[&noise(64 << 10)[..]; 80].concat()[..], 1).expect("memory");
        let server = Server::start(&[
            ("/image.raw", &content),
            ("/good.zst", &packed),
            ("/large.zst", &bomb),
        ])
        .await;
        let (_, progress) = told();
        let mut settings = settings(&cache);
        // The system's own word first, then one who says that there is always room: the write itself fails.
        for lies in [false, true] {
            if lies {
                settings.disk = Arc::new(Shrinking(AtomicU64::new(u64::MAX), 0));
            }
            for (name, content) in [("/image.raw", &content), ("/large.zst", &bomb)] {
                let it = from_url(server.url(name), content);
                server.always(Act::Chunked);
                let error = fetch(&it, &settings, &progress)
                    .await
                    .expect_err("there is no room");
                assert!(
                    matches!(error, download::FetchError::NoRoom { .. }),
                    "{name} {lies} {error}"
                );
                download::prune(
                    &cache,
                    download::Keep {
                        bytes: Some(0),
                        age: None,
                    },
                )
                .expect("it is removed");
            }
            assert_eq!(files(&cache), Vec::<String>::new());
            let it = from_url(server.url("/good.zst"), &packed);
            fetch(&it, &settings, &progress).await.expect("an image");
            download::prune(
                &cache,
                download::Keep {
                    bytes: Some(0),
                    age: None,
                },
            )
            .expect("it is removed");
        }
    });
}

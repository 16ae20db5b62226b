//! Entries of the cache, their removal, and local files.
#![allow(missing_docs, clippy::disallowed_methods, reason = "tests")]

mod server;

use download::{
    Blame, Check, Checksum, Compression, Fetch, FetchError, Keep, Origin, Phase, fetch, identify,
    prune,
};
use server::{Act, Server, files, from_url, noise, settings, sha256, told};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn xz(content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut reader = liblzma::read::XzEncoder::new(content, 1);
    std::io::Read::read_to_end(&mut reader, &mut packed).expect("memory");
    packed
}

#[tokio::test]
async fn packed_images_are_unpacked_once() {
    let content = noise(100_000);
    let gz = {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut writer, &content).expect("memory");
        writer.finish().expect("memory")
    };
    for (published, compression) in [
        (xz(&content), Compression::Xz),
        (
            zstd::encode_all(&content[..], 1).expect("memory"),
            Compression::Zstd,
        ),
        (gz, Compression::Gzip),
    ] {
        // The name says nothing: what counts is the content.
        let server = Server::start(&[("/image.raw", &published)]).await;
        let cache = tempfile::tempdir().expect("a folder");
        let it = from_url(server.url("/image.raw"), &published);
        let (told, progress) = told();
        let fetched = fetch(&it, &settings(cache.path()), &progress)
            .await
            .expect("an image");
        assert!(fs::read(&fetched.path).expect("it is there") == content);
        assert_eq!(fetched.unpacked, Some(compression));
        assert_eq!(fetched.digest, sha256(&published));
        assert_eq!(
            (fetched.size, fetched.published_size),
            (100_000, published.len() as u64)
        );
        let length = published.len() as u64;
        assert_eq!(
            told.last.lock().expect("the list")[&Phase::Unpack],
            (length, Some(length))
        );
        assert_eq!(
            files(fetched.path.parent().expect("a folder")),
            ["entry.json", "image"]
        );
        let again = fetch(&it, &settings(cache.path()), &progress)
            .await
            .expect("an image");
        assert!(again.from_cache);
        assert_eq!(
            (again.unpacked, again.digest),
            (fetched.unpacked, fetched.digest)
        );
        assert_eq!(
            (again.size, again.published_size),
            (fetched.size, fetched.published_size)
        );
    }
}

#[tokio::test]
async fn what_is_published_broken_is_not_kept() {
    let mut published = xz(&noise(100_000));
    published.truncate(50_000);
    let server = Server::start(&[("/image.raw", &published)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &published);
    let (_, progress) = told();
    let error = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect_err("it is cut");
    assert!(matches!(error, FetchError::Packed { .. }), "{error}");
    assert_eq!(error.blame(), Blame::Input);
    assert_eq!(files(cache.path()), Vec::<String>::new());
}

#[tokio::test]
async fn entries_that_were_changed_are_made_anew() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &content);
    let (_, progress) = told();
    let mut settings = settings(cache.path());
    let image = fetch(&it, &settings, &progress)
        .await
        .expect("an image")
        .path;
    let changed = |path: &Path| {
        fs::metadata(path)
            .and_then(|file| file.modified())
            .expect("a time")
    };
    let time = changed(&image);
    let garble = |keep_time: bool| {
        let mut wrong = content.clone();
        wrong[25_000] ^= 1;
        fs::write(&image, wrong).expect("a file");
        if keep_time {
            File::options()
                .write(true)
                .open(&image)
                .and_then(|file| file.set_modified(time))
                .expect("a time");
        }
    };
    // Size, time, entry: seen by the quick check.
    let damages: [&dyn Fn(); 5] = [
        &|| {
            File::options()
                .write(true)
                .open(&image)
                .and_then(|file| file.set_len(49_999))
                .expect("a file")
        },
        &|| garble(false),
        &|| fs::remove_file(&image).expect("a file"),
        &|| fs::write(image.with_file_name("entry.json"), "{}").expect("a file"),
        &|| fs::remove_file(image.with_file_name("entry.json")).expect("a file"),
    ];
    for damage in damages {
        damage();
        server.forget();
        let fetched = fetch(&it, &settings, &progress).await.expect("an image");
        assert!(fs::read(&fetched.path).expect("it is there") == content);
        assert!(!fetched.from_cache);
        assert_eq!(server.requests().len(), 1);
    }
    // Another time alone: it is read, and found good.
    File::options()
        .write(true)
        .open(&image)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .expect("a time");
    server.forget();
    assert!(
        fetch(&it, &settings, &progress)
            .await
            .expect("an image")
            .from_cache
    );
    // Another content with the same time: seen by the full check alone.
    let time = changed(&image);
    fs::remove_file(image.with_file_name("entry.json")).expect("a file");
    fetch(&it, &settings, &progress).await.expect("an image");
    let entry_time = changed(&image);
    let mut wrong = content.clone();
    wrong[0] ^= 1;
    fs::write(&image, wrong).expect("a file");
    File::options()
        .write(true)
        .open(&image)
        .and_then(|file| file.set_modified(entry_time))
        .expect("a time");
    assert!(time <= entry_time);
    assert!(
        fetch(&it, &settings, &progress)
            .await
            .expect("an image")
            .from_cache
    );
    settings.check = Check::Full;
    let fetched = fetch(&it, &settings, &progress).await.expect("an image");
    assert!(!fetched.from_cache);
    assert!(fs::read(&fetched.path).expect("it is there") == content);
    assert!(
        fetch(&it, &settings, &progress)
            .await
            .expect("an image")
            .from_cache
    );
}

#[tokio::test]
async fn sha_512_identifies_as_well() {
    let content = noise(5_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let mut it = from_url(server.url("/image.raw"), &content);
    let long: [u8; 64] = <sha2::Sha512 as sha2::Digest>::digest(&content).into();
    it.checksum = Some(Checksum::Digest(download::Digest::Sha512(long)));
    let (_, progress) = told();
    let fetched = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect("an image");
    assert_eq!(
        (fetched.identity, fetched.digest),
        (download::Digest::Sha512(long), sha256(&content))
    );
    it.checksum = Some(Checksum::Digest(download::Digest::Sha512([7; 64])));
    let error = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect_err("it is another");
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn the_cache_is_pruned_by_last_use_and_never_in_use() {
    let cache = tempfile::tempdir().expect("a folder");
    let (_, progress) = told();
    let mut fetched = Vec::new();
    let contents: Vec<Vec<u8>> = (0..4).map(|n| noise(64 << 10 | n << 12)).collect();
    for content in &contents {
        let server = Server::start(&[("/image.raw", content)]).await;
        let it = from_url(server.url("/image.raw"), content);
        fetched.push(
            fetch(&it, &settings(cache.path()), &progress)
                .await
                .expect("an image"),
        );
    }
    for (n, one) in fetched.iter().enumerate() {
        let entry = one.path.with_file_name("entry.json");
        let used = SystemTime::now() - Duration::from_secs(1000 - 100 * n as u64);
        File::options()
            .write(true)
            .open(entry)
            .and_then(|file| file.set_modified(used))
            .expect("a time");
    }
    let keep = |bytes, age: Option<u64>| Keep {
        bytes,
        age: age.map(Duration::from_secs),
    };
    assert_eq!(
        prune(cache.path(), keep(None, None))
            .expect("it works")
            .removed,
        []
    );
    let all = prune(cache.path(), keep(Some(0), None)).expect("it works");
    assert_eq!((all.removed.len(), all.in_use), (0, 4));
    let path = fetched[1].path.clone();
    fetched.remove(1);
    let old = prune(cache.path(), keep(None, Some(750))).expect("it works");
    assert_eq!((old.removed.len(), old.in_use), (1, 2));
    assert!(!path.exists() && fetched.iter().all(|one| one.path.exists()));
    let last = fetched.pop().expect("one").path;
    fetched.clear();
    let most = fs::metadata(&last).expect("it is there").len() + 20_000;
    let much = prune(cache.path(), keep(Some(most), None)).expect("it works");
    assert_eq!(much.removed.len(), 2);
    assert!(last.exists() && much.left <= most);
    prune(cache.path(), keep(Some(0), None)).expect("it works");
    assert_eq!(files(cache.path()), Vec::<String>::new());
    assert_eq!(
        prune(&cache.path().join("nowhere"), keep(Some(0), None)).expect("it works"),
        download::Pruned::default()
    );
}

#[tokio::test]
async fn unfinished_downloads_are_pruned_too() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    server.then([Act::Cut(20_000)]);
    let cache = tempfile::tempdir().expect("a folder");
    let mut settings = settings(cache.path());
    settings.attempts = 1.try_into().expect("not 0");
    let (_, progress) = told();
    let it = from_url(server.url("/image.raw"), &content);
    fetch(&it, &settings, &progress)
        .await
        .expect_err("it is cut");
    assert!(!files(cache.path()).is_empty());
    let pruned = prune(
        cache.path(),
        Keep {
            bytes: Some(0),
            age: None,
        },
    )
    .expect("it works");
    assert_eq!(pruned.removed.len(), 1);
    assert_eq!(files(cache.path()), Vec::<String>::new());
}

fn local(path: &Path, checksum: Option<Checksum>) -> Fetch {
    Fetch {
        from: Origin::File(path.to_owned()),
        checksum,
        name: "the image".into(),
    }
}

#[tokio::test]
async fn a_local_file_is_used_where_it_lies() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let content = noise(50_000);
    let path = folder.path().join("disk.raw");
    fs::write(&path, &content).expect("a file");
    let (_, progress) = told();
    let settings = settings(&cache);
    for checksum in [None, Some(Checksum::Digest(sha256(&content)))] {
        let it = local(&path, checksum);
        assert_eq!(
            identify(&it, &settings, &progress)
                .await
                .expect("it can be told"),
            sha256(&content)
        );
        let fetched = fetch(&it, &settings, &progress).await.expect("an image");
        assert_eq!(
            (&fetched.path, fetched.size, fetched.digest),
            (&path, 50_000, sha256(&content))
        );
        assert!(fetched.lease.is_none() && !fetched.from_cache);
    }
    assert!(!cache.exists());
    let wrong = local(&path, Some(Checksum::Digest(sha256(b"other"))));
    let error = fetch(&wrong, &settings, &progress)
        .await
        .expect_err("it is another");
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    assert!(path.exists(), "a local file is never removed");
}

#[tokio::test]
async fn a_packed_local_file_is_unpacked_into_the_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let content = noise(50_000);
    let published = xz(&content);
    let path = folder.path().join("disk.raw.xz");
    fs::write(&path, &published).expect("a file");
    let (_, progress) = told();
    let settings = settings(&cache);
    let it = local(&path, None);
    for from_cache in [false, true] {
        let fetched = fetch(&it, &settings, &progress).await.expect("an image");
        assert!(fs::read(&fetched.path).expect("it is there") == content);
        assert_eq!(
            (fetched.from_cache, fetched.digest),
            (from_cache, sha256(&published))
        );
        assert_eq!(fetched.published_size, published.len() as u64);
    }
    fs::write(&path, &published[..9000]).expect("a file");
    let error = fetch(&it, &settings, &progress)
        .await
        .expect_err("it is cut");
    assert!(matches!(error, FetchError::Packed { .. }), "{error}");
    assert_eq!(
        fs::read_dir(&cache).expect("a folder").count(),
        2,
        "{:?}",
        files(&cache)
    );
}

#[tokio::test]
async fn local_files_that_are_no_images_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, progress) = told();
    let settings = settings(folder.path());
    let path = folder.path().join("file");
    let missing = fetch(&local(&path, None), &settings, &progress)
        .await
        .expect_err("it is not there");
    assert!(
        missing.to_string().contains("cannot read") && missing.blame() == Blame::Input,
        "{missing}"
    );
    for (content, says) in [
        (&b""[..], "0 bytes"),
        (b"<html>", "HTML"),
        (b"PK\x03\x04", "ZIP"),
    ] {
        fs::write(&path, content).expect("a file");
        let error = fetch(&local(&path, None), &settings, &progress)
            .await
            .expect_err("it is no image");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.blame(), Blame::Input);
    }
    let error = fetch(&local(folder.path(), None), &settings, &progress)
        .await
        .expect_err("it is a folder");
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

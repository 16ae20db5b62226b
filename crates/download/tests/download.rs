//! Downloads, from servers that behave and from those that do not.
#![allow(missing_docs, reason = "tests")]

mod server;

use download::{Blame, FetchError, Phase, fetch};
use server::{Act, Server, files, from_url, noise, settings, sha256, told};
use std::path::Path;
use std::time::Duration;

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the image is there")
}

#[tokio::test]
async fn a_download_is_kept_and_used_again_without_a_request() {
    let content = noise(300_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &content);
    let (told, progress) = told();
    let first = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect("an image");
    assert!(read(&first.path) == content);
    assert_eq!((first.size, first.published_size), (300_000, 300_000));
    assert_eq!(
        (first.digest, first.identity),
        (sha256(&content), sha256(&content))
    );
    assert!(!first.from_cache && first.unpacked.is_none());
    let last = told
        .last
        .lock()
        .expect("the list")
        .get(&Phase::Download)
        .copied();
    assert_eq!(last, Some((300_000, Some(300_000))));
    let second = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect("an image");
    assert!(second.from_cache);
    assert_eq!(second.path, first.path);
    assert_eq!(server.requests().len(), 1);
    let folder = first
        .path
        .parent()
        .and_then(Path::file_name)
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert_eq!(
        files(cache.path()),
        [
            format!("{folder}.lock"),
            format!("{folder}/entry.json"),
            format!("{folder}/image")
        ]
    );
}

/// Fetches once and expects an image of this content.
async fn expect(server: &Server, content: &[u8]) -> Vec<String> {
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), content);
    let (told, progress) = told();
    let mut settings = settings(cache.path());
    settings.stall_timeout = Duration::from_millis(300);
    let fetched = fetch(&it, &settings, &progress).await.expect("an image");
    assert!(read(&fetched.path) == content);
    told.notes.lock().expect("the list").clone()
}

/// Fetches once and expects an error, and that nothing is left.
async fn refuse(server: &Server, content: &[u8]) -> FetchError {
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), content);
    let (_, progress) = told();
    let mut settings = settings(cache.path());
    settings.stall_timeout = Duration::from_millis(200);
    let error = fetch(&it, &settings, &progress)
        .await
        .expect_err("there is none");
    assert_eq!(files(cache.path()), Vec::<String>::new());
    assert!(error.to_string().starts_with("the image: "), "{error}");
    error
}

#[tokio::test]
async fn an_answer_that_is_cut_is_continued_at_that_byte() {
    let content = noise(200_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    for at in [0, 1, 100, 511, 512, 513, 4096, 65_536, 199_999] {
        server.forget();
        server.then([Act::Cut(at)]);
        let notes = expect(&server, &content).await;
        assert_eq!(notes.len(), 1, "{notes:?}");
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        // Less than the first 512 bytes is not written: it is not known yet whether it is an image.
        let kept = if at < 512 { 0 } else { at };
        assert_eq!(requests[1].sent, 200_000 - kept, "cut at {at}");
        if kept > 0 {
            assert_eq!(requests[1].fields["range"], format!("bytes={kept}-"));
            assert_eq!(requests[1].fields["if-range"], "\"one\"");
        }
    }
}

//! Downloads, from servers that behave and from those that do not.
#![allow(missing_docs, clippy::disallowed_methods, reason = "tests")]

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

#[tokio::test]
async fn bad_moments_pass() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let busy = || {
        Act::Say(
            "503 Service Unavailable",
            String::new(),
            "<html>busy</html>".into(),
        )
    };
    let many = || {
        Act::Say(
            "429 Too Many Requests",
            "Retry-After: 0\r\n".into(),
            String::new(),
        )
    };
    for acts in [
        vec![busy(), busy(), busy()],
        vec![
            many(),
            Act::Say("500 Internal Server Error", String::new(), String::new()),
        ],
        vec![Act::HangUp, Act::Cut(0), Act::Stall(1000), Act::Stall(0)],
        vec![Act::Silence, Act::ChunkedCut(20_000)],
        vec![Act::Chunked],
        vec![Act::UntilClose],
        vec![Act::Cut(30_000), Act::IgnoreRange],
        vec![Act::Cut(30_000), Act::Cut(10_000), Act::Cut(5_000)],
        // It says that more follows, and when asked that nothing does.
        vec![Act::WrongLength(100)],
    ] {
        server.forget();
        let count = acts.len();
        server.then(acts.clone());
        let notes = expect(&server, &content).await;
        assert!(server.requests().len() >= count, "{acts:?}: {notes:?}");
    }
}

#[tokio::test]
async fn a_server_that_stays_bad_is_given_up_and_what_came_is_kept() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    server.then([Act::Cut(20_000)]);
    server.always(Act::HangUp);
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &content);
    let (_, progress) = told();
    let error = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect_err("it is gone");
    assert!(
        matches!(error, FetchError::Unreachable { attempts: 6, .. }),
        "{error}"
    );
    assert_eq!(error.blame(), Blame::Circumstances);
    assert_eq!(server.requests().len(), 6);
    server.always(Act::Proper);
    server.forget();
    let fetched = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect("an image");
    assert!(read(&fetched.path) == content);
    assert_eq!(server.requests()[0].sent, 30_000);
}

#[tokio::test]
async fn the_count_of_attempts_starts_anew_where_it_comes_further() {
    let content = noise(12 << 20);
    let server = Server::start(&[("/image.raw", &content)]).await;
    server.always(Act::Cut(3 << 19));
    // Seven answers are cut, and six failures in a row are the end.
    expect(&server, &content).await;
    assert_eq!(server.requests().len(), 8);
    // One that begins anew each time comes no further, and is given up.
    server.forget();
    server.always(Act::IgnoreRangeCut(3 << 19));
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &content);
    let (_, progress) = told();
    let fetched = fetch(&it, &settings(cache.path()), &progress).await;
    assert!(fetched.is_err());
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn what_cannot_get_better_is_asked_for_once() {
    let content = noise(5_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let page = "Content-Type: text/html; charset=utf-8\r\n".to_owned();
    let say =
        |status, fields: &str, body: &str| Act::Say(status, fields.to_owned(), body.to_owned());
    for (act, says) in [
        (say("404 Not Found", "", "x"), "404 Not Found"),
        (say("403 Forbidden", "", "x"), "403"),
        (say("401 Unauthorized", "", "x"), "a user and a password"),
        (say("410 Gone", "", ""), "410"),
        (say("400 Bad Request", "", ""), "400"),
        (say("204 No Content", "", ""), "204"),
        (say("304 Not Modified", "", ""), "304"),
        (say("206 Partial Content", "", "half"), "206"),
        (say("416 Range Not Satisfiable", "", ""), "416"),
        (say("302 Found", "", ""), "does not say where"),
        (say("200 OK", &page, "anything"), "HTML"),
        (
            say("200 OK", "", "  <!doctype html>\n<title>Log in</title>"),
            "HTML",
        ),
        (say("200 OK", "", ""), "0 bytes"),
        (say("200 OK", "", "PK\x03\x04"), "ZIP"),
        (
            say("429 Too Many Requests", "Retry-After: 3600\r\n", ""),
            "3600 seconds",
        ),
    ] {
        server.forget();
        server.then([act]);
        let error = refuse(&server, &content).await.to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(server.requests().len(), 1, "{error}");
    }
}

#[tokio::test]
async fn another_content_than_the_checksum_says_is_removed() {
    let content = noise(5_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let other = noise(6_000);
    let error = refuse(&server, &other).await;
    let (expected, got) = (sha256(&other).to_string(), sha256(&content).to_string());
    let text = error.to_string();
    assert!(text.contains(&expected) && text.contains(&got), "{text}");
    assert!(
        text.contains(&server.url("/image.raw").to_string()),
        "{text}"
    );
    assert_eq!(error.blame(), Blame::Input);
    assert_eq!(server.requests().len(), 1);
    // A length that is too short cuts the file.
    server.then([Act::WrongLength(-100)]);
    assert!(matches!(
        refuse(&server, &content).await,
        FetchError::Mismatch { .. }
    ));
}

#[tokio::test]
async fn content_that_changes_in_the_middle_is_begun_anew() {
    let (old, new) = (noise(50_000), noise(60_000));
    let change = |server: &Server, etag: Option<&str>| {
        let (etag, new) = (etag.map(str::to_owned), new.clone());
        server.with(|state| {
            state.files.insert("/image.raw".into(), new);
            state.etag = etag;
        });
    };
    // If-Range fails: 200 and all of it.
    let server = Server::start(&[("/image.raw", &old)]).await;
    server.then([Act::Cut(20_000)]);
    let (again, changed) = (server.clone(), new.clone());
    server.with(|state| {
        state.before_next = Some(Box::new(move |state| {
            state.before_next = Some(Box::new(move |state| {
                state.files.insert("/image.raw".into(), changed);
                state.etag = Some("\"two\"".into());
            }));
        }));
    });
    let notes = expect(&again, &new).await;
    assert!(
        notes.iter().any(|note| note.contains("beginning anew")),
        "{notes:?}"
    );
    assert_eq!(server.requests()[1].sent, 60_000);
    // Servers that do not look at If-Range, or have nothing to look at: the length differs.
    let server = Server::start(&[("/image.raw", &old)]).await;
    let cache = tempfile::tempdir().expect("a folder");
    let (told, progress) = told();
    server.then([Act::Cut(20_000)]);
    server.with(|state| (state.etag, state.modified) = (None, None));
    let mut once = settings(cache.path());
    once.attempts = 1.try_into().expect("not 0");
    let it = from_url(server.url("/image.raw"), &new);
    fetch(&it, &once, &progress).await.expect_err("it is cut");
    change(&server, None);
    let fetched = fetch(&it, &once, &progress).await.expect("an image");
    assert!(read(&fetched.path) == new);
    assert!(
        told.notes
            .lock()
            .expect("the list")
            .iter()
            .any(|note| note.contains("had 50000 bytes and now has 60000"))
    );
}

#[tokio::test]
async fn pieces_that_do_not_fit_together_are_thrown_away_once() {
    // Same length, no validators: only the digest shows it.
    let (old, new) = (noise(50_000), noise(60_000)[10_000..].to_vec());
    let server = Server::start(&[("/image.raw", &old)]).await;
    server.with(|state| (state.etag, state.modified) = (None, None));
    let cache = tempfile::tempdir().expect("a folder");
    let (told, progress) = told();
    let mut once = settings(cache.path());
    once.attempts = 1.try_into().expect("not 0");
    let it = from_url(server.url("/image.raw"), &new);
    server.then([Act::Cut(20_000)]);
    fetch(&it, &once, &progress).await.expect_err("it is cut");
    server.with(|state| state.files.insert("/image.raw".into(), new.clone()));
    server.forget();
    let fetched = fetch(&it, &once, &progress).await.expect("an image");
    assert!(read(&fetched.path) == new);
    let sent: Vec<usize> = server
        .requests()
        .iter()
        .map(|request| request.sent)
        .collect();
    assert_eq!(sent, [30_000, 50_000]);
    assert!(
        told.notes
            .lock()
            .expect("the list")
            .iter()
            .any(|note| note.contains("wrong digest"))
    );
}

#[tokio::test]
async fn a_server_that_sends_the_wrong_part_is_not_believed() {
    let content = noise(50_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    server.then([Act::Cut(20_000), Act::WrongPart]);
    let notes = expect(&server, &content).await;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("sends something else")),
        "{notes:?}"
    );
    server.forget();
    server.then((0..20).flat_map(|_| [Act::Cut(20_000), Act::WrongPart]));
    let error = refuse(&server, &content).await;
    assert!(
        matches!(error, FetchError::Unstable { restarts: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn redirections_are_followed_within_bounds() {
    let content = noise(5_000);
    let server = Server::start(&[("/image.raw", &content), ("/real", &content)]).await;
    let to = |location: &str| {
        Act::Say(
            "302 Found",
            format!("Location: {location}\r\n"),
            String::new(),
        )
    };
    server.then([
        to("/real"),
        to("real"),
        to(&format!("http://127.0.0.1:{}/image.raw?x=1", server.port)),
    ]);
    expect(&server, &content).await;
    let paths: Vec<String> = server
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths, ["/image.raw", "/real", "/real", "/image.raw?x=1"]);
    server.forget();
    server.always(to("/image.raw"));
    let error = refuse(&server, &content).await;
    assert!(
        error.to_string().contains("redirects more than 10 times"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 11);
    server.always(to("file:///etc/passwd"));
    assert!(
        refuse(&server, &content)
            .await
            .to_string()
            .contains("scheme file")
    );
}

#[tokio::test]
async fn credentials_go_to_their_host_alone_and_into_no_message() {
    let content = noise(5_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    let elsewhere = Server::start(&[("/image.raw", &content)]).await;
    let url = format!(
        "http://me:s3cret@127.0.0.1:{}/image.raw?sig=s3cret",
        server.port
    );
    let it = from_url(url.parse().expect("a URL"), &content);
    let cache = tempfile::tempdir().expect("a folder");
    let (told, progress) = told();
    let there = format!(
        "Location: http://127.0.0.1:{}/image.raw?sig=s3cret\r\n",
        elsewhere.port
    );
    elsewhere.then([Act::Cut(3_000)]);
    server.then([
        Act::Say(
            "301 Moved Permanently",
            "Location: /image.raw\r\n".into(),
            String::new(),
        ),
        Act::Say("503 Service Unavailable", String::new(), String::new()),
        Act::Say("302 Found", there.clone(), String::new()),
        Act::Say("302 Found", there, String::new()),
    ]);
    fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect("an image");
    for request in server.requests() {
        assert_eq!(request.fields["authorization"], "Basic bWU6czNjcmV0");
    }
    assert_eq!(elsewhere.requests().len(), 2);
    for request in elsewhere.requests() {
        assert!(!request.fields.contains_key("authorization"));
        assert!(!request.fields.contains_key("referer"));
    }
    let mut said = told.notes.lock().expect("the list").join("\n");
    for act in [
        Act::HangUp,
        Act::Say("404 Not Found", String::new(), String::new()),
        Act::Stall(10),
    ] {
        server.always(act);
        let cache = tempfile::tempdir().expect("a folder");
        let mut settings = settings(cache.path());
        settings.stall_timeout = Duration::from_millis(50);
        let error = fetch(&it, &settings, &progress)
            .await
            .expect_err("there is none");
        said += &format!("{error}{error:?}{it:?}");
    }
    assert!(!said.contains("s3cret"), "{said}");
    for file in files(cache.path()) {
        let content = std::fs::read(cache.path().join(file)).expect("a file");
        assert!(!content.windows(6).any(|part| part == b"s3cret"));
    }
}

#[tokio::test]
async fn no_tag_of_one_mirror_is_shown_to_another() {
    let content = noise(50_000);
    let mirrors = [
        Server::start(&[("/image.raw", &content)]).await,
        Server::start(&[("/image.raw", &content)]).await,
    ];
    mirrors[1].with(|state| state.etag = Some("\"other\"".into()));
    let server = Server::start(&[("/image.raw", &content)]).await;
    server.then(mirrors.iter().map(|mirror| {
        Act::Say(
            "302 Found",
            format!("Location: {}\r\n", mirror.url("/image.raw")),
            String::new(),
        )
    }));
    mirrors[0].then([Act::Cut(20_000)]);
    expect(&server, &content).await;
    let request = &mirrors[1].requests()[0];
    assert_eq!(request.fields["range"], "bytes=20000-");
    assert!(!request.fields.contains_key("if-range"));
    assert_eq!(request.sent, 30_000);
}

#[tokio::test]
async fn a_whole_fetch_has_its_time() {
    let content = noise(5_000);
    let server = Server::start(&[("/image.raw", &content)]).await;
    server.always(Act::Trickle(Duration::from_millis(20)));
    let cache = tempfile::tempdir().expect("a folder");
    let it = from_url(server.url("/image.raw"), &content);
    let (_, progress) = told();
    let mut settings = settings(cache.path());
    settings.overall_timeout = Some(Duration::from_millis(300));
    let error = fetch(&it, &settings, &progress)
        .await
        .expect_err("it is slow");
    assert!(matches!(error, FetchError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_url_needs_a_checksum() {
    let server = Server::start(&[]).await;
    let mut it = from_url(server.url("/image.raw"), b"");
    it.checksum = None;
    let (_, progress) = told();
    let cache = tempfile::tempdir().expect("a folder");
    let error = fetch(&it, &settings(cache.path()), &progress)
        .await
        .expect_err("none is given");
    assert!(matches!(error, FetchError::NoChecksum { .. }), "{error}");
    assert!(server.requests().is_empty());
}

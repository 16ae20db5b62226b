//! S3: what is put comes back, and what S3's documentation refuses is refused.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use base64::prelude::{BASE64_STANDARD, Engine};
use emulator::config::{Delays, EmulatorConfig};
use emulator::engine::request_log;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use support::LocalEc2;
use support::s3::{Got, S3, Sent};

const MIB: usize = 1 << 20;

/// Content without a period that any block or part has.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        data.extend((state >> 11).to_le_bytes());
    }
    data.truncate(length);
    data
}

fn sha256(data: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(data))
}

fn md5(data: &[u8]) -> String {
    BASE64_STANDARD.encode(md5::compute(data).0)
}

fn crc32(data: &[u8]) -> String {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    BASE64_STANDARD.encode((!crc).to_be_bytes())
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_comes_back() {
    let s3 = S3::new().await;
    s3.bucket("images").await;
    let data = content(3 * MIB + 7, 1);
    let headers = [
        ("content-type", "application/x-disk"),
        ("x-amz-meta-run", "r1"),
        ("x-amz-tagging", "qib%3Arun=r1&b=2"),
        ("content-md5", &md5(&data)),
    ];
    let put = s3
        .send("PUT", "/images/a/disk%20one.raw", &headers, &data)
        .await
        .ok();
    let etag = format!("\"{:x}\"", md5::compute(&data));
    assert_eq!(put.header("etag"), Some(etag.as_str()));
    assert_eq!(put.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    let got = s3.ask("GET", "/images/a/disk%20one.raw").await.ok();
    assert!(got.body == data);
    assert_eq!(got.header("etag"), Some(etag.as_str()));
    assert_eq!(got.header("content-type"), Some("application/x-disk"));
    assert_eq!(got.header("x-amz-meta-run"), Some("r1"));
    assert_eq!(got.header("x-amz-tagging-count"), Some("2"));
    let head = s3.ask("HEAD", "/images/a/disk%20one.raw").await.ok();
    assert_eq!(
        head.header("content-length"),
        Some(data.len().to_string().as_str())
    );
    assert!(head.body.is_empty());
    let range = [("range", "bytes=1048570-1048585")];
    let part = s3
        .send("GET", "/images/a/disk%20one.raw", &range, b"")
        .await
        .ok();
    assert_eq!(part.status, 206);
    assert_eq!(part.body, data[1_048_570..=1_048_585]);
    let all = format!("bytes 1048570-1048585/{}", data.len());
    assert_eq!(part.header("content-range"), Some(all.as_str()));
    let tags = s3.ask("GET", "/images/a/disk%20one.raw?tagging").await.ok();
    assert_eq!(tags.texts("Tag/Key"), ["b", "qib:run"]);
    s3.ask("DELETE", "/images/a/disk%20one.raw").await.ok();
    s3.ask("DELETE", "/images/a/disk%20one.raw").await.ok();
    let gone = s3.ask("GET", "/images/a/disk%20one.raw").await;
    assert_eq!(gone.refused(), refusal(404, "NoSuchKey"));
    let gone = s3.ask("HEAD", "/images/a/disk%20one.raw").await;
    assert_eq!((gone.status, gone.body.len()), (404, 0));
    let dir = s3.served.ec2.path().join("s3/buckets/images/data");
    assert_eq!(
        std::fs::read_dir(dir).unwrap().count(),
        0,
        "nothing is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_made_once_and_live_in_one_region() {
    let s3 = S3::new().await;
    s3.bucket("here").await;
    let constraint = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    let create = async |s3: &S3, name: &str, region: Option<&str>| {
        let body = region.map_or(String::new(), constraint);
        s3.send("PUT", &format!("/{name}"), &[], body.as_bytes())
            .await
    };
    let again = create(&s3, "here", Some("us-east-2")).await;
    assert_eq!(again.refused(), refusal(409, "BucketAlreadyOwnedByYou"));
    for (name, region, refused) in [
        (
            "elsewhere",
            None,
            refusal(400, "IllegalLocationConstraintException"),
        ),
        (
            "elsewhere",
            Some("eu-west-1"),
            refusal(400, "IllegalLocationConstraintException"),
        ),
        (
            "elsewhere",
            Some("moon-1"),
            refusal(400, "InvalidLocationConstraint"),
        ),
        (
            "Elsewhere",
            Some("us-east-2"),
            refusal(400, "InvalidBucketName"),
        ),
    ] {
        assert_eq!(
            create(&s3, name, region).await.refused(),
            refused,
            "{name} {region:?}"
        );
    }
    let other = s3.served.ec2.in_account("444455556666");
    let other = s3.also(&other.key, "us-east-2");
    let taken = create(&other, "here", Some("us-east-2")).await;
    assert_eq!(taken.refused(), refusal(409, "BucketAlreadyExists"));
    assert_eq!(
        other.ask("GET", "/here?location").await.refused(),
        refusal(403, "AccessDenied")
    );
    let virginia = s3.also(&s3.key, "us-east-1");
    create(&virginia, "there", None).await.ok();
    create(&virginia, "there", None).await.ok();
    let moved = s3.ask("GET", "/there?list-type=2").await;
    assert_eq!(moved.refused(), refusal(301, "PermanentRedirect"));
    assert_eq!(moved.header("x-amz-bucket-region"), Some("us-east-1"));
    assert_eq!(s3.ask("HEAD", "/there").await.status, 301);
    let head = s3.ask("HEAD", "/here").await.ok();
    assert_eq!(head.header("x-amz-bucket-region"), Some("us-east-2"));
    assert_eq!(s3.ask("HEAD", "/nowhere").await.status, 404);
    let location = s3.ask("GET", "/here?location").await.ok();
    assert!(location.said().contains(">us-east-2</LocationConstraint>"));
    let location = virginia.ask("GET", "/there?location").await.ok();
    assert!(
        location.said().ends_with("\"></LocationConstraint>"),
        "{}",
        location.said()
    );
    let all = s3.ask("GET", "/").await.ok();
    assert_eq!(all.texts("Bucket/Name"), ["here", "there"]);
    assert_eq!(
        other.ask("GET", "/").await.ok().texts("Bucket/Name"),
        Vec::<String>::new()
    );
    s3.send("PUT", "/here/k", &[], b"x").await.ok();
    assert_eq!(
        s3.ask("DELETE", "/here").await.refused(),
        refusal(409, "BucketNotEmpty")
    );
    s3.ask("DELETE", "/here/k").await.ok();
    s3.ask("DELETE", "/here").await.ok();
    assert_eq!(
        s3.ask("DELETE", "/here").await.refused(),
        refusal(404, "NoSuchBucket")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_was_said_is_refused_and_not_kept() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let (data, other) = (content(20_000, 2), content(20_000, 3));
    let put = async |headers: &[(&str, &str)], sent: Sent<'_>| {
        s3.sent("PUT", "/b01/k", headers, sent).await.refused()
    };
    let hash = hex::encode(Sha256::digest(&other));
    assert_eq!(
        put(&[], Sent::Claimed(&hash, &data)).await,
        refusal(400, "XAmzContentSHA256Mismatch")
    );
    assert_eq!(
        put(&[], Sent::Claimed("UNSIGNED", &data)).await,
        refusal(400, "InvalidArgument")
    );
    for (headers, code) in [
        (vec![("content-md5", md5(&other))], "BadDigest"),
        (vec![("content-md5", "AAAA".into())], "InvalidDigest"),
        (vec![("x-amz-checksum-sha256", sha256(&other))], "BadDigest"),
        (vec![("x-amz-checksum-crc32", crc32(&other))], "BadDigest"),
        (
            vec![("x-amz-checksum-crc32", sha256(&data))],
            "InvalidRequest",
        ),
        (
            vec![
                ("x-amz-checksum-crc32", crc32(&data)),
                ("x-amz-checksum-sha256", sha256(&data)),
            ],
            "InvalidRequest",
        ),
        (
            vec![("x-amz-sdk-checksum-algorithm", "CRC32".into())],
            "InvalidRequest",
        ),
        (
            vec![
                ("x-amz-sdk-checksum-algorithm", "SHA256".into()),
                ("x-amz-checksum-crc32", crc32(&data)),
            ],
            "InvalidRequest",
        ),
        (
            vec![("x-amz-trailer", "x-amz-checksum-crc32".into())],
            "InvalidRequest",
        ),
    ] {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let refused = put(&headers, Sent::Signed(&data)).await;
        assert_eq!(refused, refusal(400, code), "{headers:?}");
    }
    assert_eq!(
        s3.ask("GET", "/b01/k").await.refused(),
        refusal(404, "NoSuchKey")
    );
    assert!(
        !s3.served
            .ec2
            .path()
            .join("s3/incoming")
            .read_dir()
            .unwrap()
            .any(|_| true)
    );
    for header in [
        ("x-amz-checksum-sha256", sha256(&data)),
        ("x-amz-checksum-crc32", crc32(&data)),
    ] {
        let said = [(header.0, header.1.as_str())];
        s3.send("PUT", "/b01/k", &said, &data).await.ok();
        let mode = [("x-amz-checksum-mode", "ENABLED")];
        let head = s3.send("HEAD", "/b01/k", &mode, b"").await.ok();
        assert_eq!(head.header(header.0), Some(header.1.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_chunks_are_decoded_and_their_signatures_and_trailers_verified() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let data = content(70_000, 4);
    let (good, bad) = (crc32(&data), crc32(b"other"));
    let name = "x-amz-checksum-crc32";
    for signed in [true, false] {
        for trailer in [None, Some((name, good.as_str()))] {
            let sent = Sent::Chunks {
                data: &data,
                size: 16 * 1024,
                signed,
                trailer,
            };
            s3.sent("PUT", "/b01/k", &[], sent).await.ok();
            let got = s3.ask("GET", "/b01/k").await.ok();
            assert!(got.body == data, "{signed} {trailer:?}");
            assert_eq!(got.header("content-encoding"), None);
            s3.ask("DELETE", "/b01/k").await.ok();
        }
        let sent = Sent::Chunks {
            data: &data,
            size: 16 * 1024,
            signed,
            trailer: Some((name, &bad)),
        };
        let refused = s3.sent("PUT", "/b01/k", &[], sent).await;
        assert_eq!(refused.refused(), refusal(400, "BadDigest"));
        let sent = Sent::Chunks {
            data: &data,
            size: 4096,
            signed,
            trailer: None,
        };
        let refused = s3.sent("PUT", "/b01/k", &[], sent).await;
        assert_eq!(refused.refused(), refusal(403, "InvalidChunkSizeError"));
    }
    // A chunk, or a trailer, that somebody changed on the way.
    let trailer = Some((name, good.as_str()));
    let sent = Sent::Chunks {
        data: &data,
        size: 16 * 1024,
        signed: true,
        trailer,
    };
    let request = s3.request("PUT", "/b01/k", &[], sent);
    let body = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let in_chunk = body + 20_000;
    let in_trailer = request.len() - 160
        + request[request.len() - 160..]
            .windows(name.len())
            .position(|w| w == name.as_bytes())
            .unwrap()
        + name.len()
        + 2;
    for at in [in_chunk, in_trailer] {
        let mut changed = request.clone();
        changed[at] ^= 1;
        let got = support::s3::exchange(s3.served.at, changed).await.unwrap();
        assert_eq!(got.refused(), refusal(403, "SignatureDoesNotMatch"), "{at}");
    }
    assert_eq!(
        s3.ask("GET", "/b01/k").await.refused(),
        refusal(404, "NoSuchKey")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_is_asked_for_the_body_and_only_if_it_is_wanted() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let talk = async |target: &str, want: bool| {
        let expect = [("expect", "100-continue")];
        let data = content(100_000, 5);
        let request = s3.request("PUT", target, &expect, Sent::Signed(&data));
        let at = s3.served.at;
        tokio::task::spawn_blocking(move || {
            let body = request.len() - 100_000;
            let mut stream = std::net::TcpStream::connect(at).unwrap();
            stream.write_all(&request[..body]).unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            let said = String::from_utf8(first.to_vec()).unwrap();
            if want {
                stream.write_all(&request[body..]).unwrap();
            }
            let mut rest = String::new();
            stream.read_to_string(&mut rest).unwrap();
            (said, rest)
        })
        .await
        .unwrap()
    };
    let (said, rest) = talk("/b01/k", true).await;
    assert_eq!(said, "HTTP/1.1 100");
    assert!(rest.contains("200 OK"), "{rest}");
    let (said, rest) = talk("/nowhere/k", false).await;
    assert_eq!(said, "HTTP/1.1 404");
    assert!(rest.contains("NoSuchBucket"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_pages_with_common_prefixes() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    for key in ["a", "d/1", "d/2", "e%20%2B", "z"] {
        s3.send("PUT", &format!("/b01/{key}"), &[], b"x").await.ok();
    }
    let all = s3.ask("GET", "/b01?list-type=2").await.ok();
    assert_eq!(all.texts("Contents/Key"), ["a", "d/1", "d/2", "e +", "z"]);
    let list = s3
        .ask("GET", "/b01?list-type=2&delimiter=%2F&encoding-type=url")
        .await
        .ok();
    assert_eq!(list.texts("Contents/Key"), ["a", "e%20%2B", "z"]);
    assert_eq!(list.texts("CommonPrefixes/Prefix"), ["d/"]);
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = s3
            .ask("GET", &format!("/b01?list-type=2&max-keys=2{token}"))
            .await
            .ok();
        seen.extend(page.texts("Contents/Key"));
        match page.text("NextContinuationToken") {
            Some(next) => token = format!("&continuation-token={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "d/1", "d/2", "e +", "z"]);
    let below = s3
        .ask("GET", "/b01?list-type=2&prefix=d%2F&start-after=d%2F1")
        .await
        .ok();
    assert_eq!(below.texts("Contents/Key"), ["d/2"]);
    let wrong = s3.ask("GET", "/b01?list-type=2&continuation-token=x").await;
    assert_eq!(wrong.refused(), refusal(400, "InvalidArgument"));
    let body = b"<Delete><Object><Key>a</Key></Object><Object><Key>never</Key></Object></Delete>";
    let unprotected = s3.send("POST", "/b01?delete", &[], body).await;
    assert_eq!(unprotected.refused(), refusal(400, "InvalidRequest"));
    let digest = md5(body);
    let gone = s3
        .send("POST", "/b01?delete", &[("content-md5", &digest)], body)
        .await
        .ok();
    assert_eq!(gone.texts("Deleted/Key"), ["a", "never"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_hold() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let put = s3
        .send("PUT", "/b01/k", &[("if-none-match", "*")], b"one")
        .await
        .ok();
    let etag = put.header("etag").unwrap().to_owned();
    let again = s3
        .send("PUT", "/b01/k", &[("if-none-match", "*")], b"two")
        .await;
    assert_eq!(again.refused(), refusal(412, "PreconditionFailed"));
    let other = [("if-match", "\"0\"")];
    assert_eq!(
        s3.send("PUT", "/b01/k", &other, b"two").await.refused(),
        refusal(412, "PreconditionFailed")
    );
    assert_eq!(
        s3.send("PUT", "/b01/new", &other, b"two").await.refused(),
        refusal(404, "NoSuchKey")
    );
    assert_eq!(
        s3.send("GET", "/b01/k", &other, b"").await.refused(),
        refusal(412, "PreconditionFailed")
    );
    let own = [("if-match", etag.as_str())];
    assert_eq!(s3.send("GET", "/b01/k", &own, b"").await.ok().body, b"one");
    let known = s3
        .send("GET", "/b01/k", &[("if-none-match", &etag)], b"")
        .await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let later = [("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
    assert_eq!(s3.send("GET", "/b01/k", &later, b"").await.status, 304);
    let before = [("if-unmodified-since", "Thu, 01 Jan 2015 00:00:00 GMT")];
    assert_eq!(
        s3.send("GET", "/b01/k", &before, b"").await.refused(),
        refusal(412, "PreconditionFailed")
    );
    s3.send("PUT", "/b01/k", &own, b"two").await.ok();
    let beyond = s3
        .send("GET", "/b01/k", &[("range", "bytes=3-")], b"")
        .await;
    assert_eq!(beyond.refused(), refusal(416, "InvalidRange"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_checked_and_every_request_is_in_the_log() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let mut wrong = s3.also(&s3.key, "us-east-2");
    wrong.key.secret.push('x');
    assert_eq!(
        wrong.ask("GET", "/").await.refused(),
        refusal(403, "SignatureDoesNotMatch")
    );
    let mut unknown = s3.also(&s3.key, "us-east-2");
    unknown.key.access_key = "AKIANOBODY".into();
    assert_eq!(
        unknown.ask("GET", "/").await.refused(),
        refusal(403, "InvalidAccessKeyId")
    );
    let mut guest = s3.also(&s3.key, "us-east-2");
    guest.key.token = Some("made-up".into());
    assert_eq!(
        guest.ask("GET", "/").await.refused(),
        refusal(400, "InvalidToken")
    );
    assert_eq!(
        s3.ask("GET", "/b01?versions").await.refused(),
        refusal(501, "NotImplemented")
    );
    s3.served.faults(r#"{"clock_skew_ms":-960000}"#).await;
    assert_eq!(
        s3.ask("GET", "/").await.refused(),
        refusal(403, "RequestTimeTooSkewed")
    );
    s3.served.faults(r#"{"clock_skew_ms":-840000}"#).await;
    s3.ask("GET", "/").await.ok();
    let log = request_log::read(s3.served.ec2.path()).unwrap();
    let seen: Vec<_> = log
        .iter()
        .map(|r| {
            (
                r.service.as_str(),
                r.action.as_str(),
                r.code.as_deref(),
                r.effect,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("s3", "CreateBucket", None, true),
            ("s3", "ListBuckets", Some("SignatureDoesNotMatch"), false),
            ("s3", "ListBuckets", Some("InvalidAccessKeyId"), false),
            ("s3", "ListBuckets", Some("InvalidToken"), false),
            ("s3", "", Some("NotImplemented"), false),
            ("s3", "ListBuckets", Some("RequestTimeTooSkewed"), false),
            ("s3", "ListBuckets", None, true),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_hold() {
    let statements = json!([
        { "Effect": "Allow", "Action": ["s3:CreateBucket", "s3:PutObject"], "Resource": "*" },
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b01/mine/*" },
        { "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::b01/mine/*" },
    ]);
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::None,
        policy: Some(json!({ "Version": "2012-10-17", "Statement": statements })),
        ..EmulatorConfig::default()
    });
    let s3 = S3::over(ec2).await;
    s3.bucket("b01").await;
    for key in ["mine/k", "k"] {
        s3.send("PUT", &format!("/b01/{key}"), &[], b"x").await.ok();
    }
    s3.ask("GET", "/b01/mine/k").await.ok();
    let denied = s3.ask("GET", "/b01/k").await;
    assert_eq!(denied.refused(), refusal(403, "AccessDenied"));
    assert!(
        denied
            .said()
            .contains("s3:GetObject on resource: arn:aws:s3:::b01/k"),
        "{}",
        denied.said()
    );
    // Who may not list is not told whether there is an object.
    assert_eq!(
        s3.ask("GET", "/b01/mine/none").await.refused(),
        refusal(403, "AccessDenied")
    );
    assert_eq!(
        s3.ask("GET", "/b01?list-type=2").await.refused(),
        refusal(403, "AccessDenied")
    );
    assert_eq!(
        s3.ask("GET", "/").await.refused(),
        refusal(403, "AccessDenied")
    );
    let tagged = [("x-amz-tagging", "a=b")];
    assert_eq!(
        s3.send("PUT", "/b01/k", &tagged, b"x").await.refused(),
        refusal(403, "AccessDenied")
    );
    let body = b"<Delete><Object><Key>mine/k</Key></Object><Object><Key>k</Key></Object></Delete>";
    let digest = md5(body);
    let answer = s3
        .send("POST", "/b01?delete", &[("content-md5", &digest)], body)
        .await
        .ok();
    assert_eq!(answer.texts("Deleted/Key"), ["mine/k"]);
    assert_eq!(answer.texts("Error/Key"), ["k"]);
}

/// The parts of an upload, and what is sent with each.
async fn upload_part(s3: &S3, target: &str, headers: &[(&str, &str)], data: &[u8]) -> String {
    let got = s3.send("PUT", target, headers, data).await.ok();
    got.header("etag").unwrap().to_owned()
}

fn parts_xml(parts: &[(u32, &str, Option<&str>)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(n, etag, sum)| {
            let sum = sum.map_or(String::new(), |s| {
                format!("<ChecksumSHA256>{s}</ChecksumSHA256>")
            });
            format!("<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag>{sum}</Part>")
        })
        .collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

async fn begin(s3: &S3, headers: &[(&str, &str)]) -> String {
    let begun = s3.send("POST", "/b01/k?uploads", headers, b"").await.ok();
    begun.text("UploadId").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_an_object_with_the_checksum_of_their_checksums() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let algorithm = [
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-meta-run", "r1"),
    ];
    let id = begin(&s3, &algorithm).await;
    let data: Vec<Vec<u8>> = [5 * MIB, 5 * MIB + 1, 9]
        .iter()
        .zip(10..)
        .map(|(n, s)| content(*n, s))
        .collect();
    let sums: Vec<String> = data.iter().map(|d| sha256(d)).collect();
    let mut etags = Vec::new();
    for (n, (data, sum)) in data.iter().zip(&sums).enumerate() {
        let target = format!("/b01/k?partNumber={}&uploadId={id}", n + 1);
        let said = [("x-amz-checksum-sha256", sum.as_str())];
        etags.push(upload_part(&s3, &target, &said, data).await);
    }
    let listed = s3
        .ask("GET", &format!("/b01/k?uploadId={id}&max-parts=2"))
        .await
        .ok();
    assert_eq!(listed.texts("Part/ChecksumSHA256"), sums[..2]);
    assert_eq!(listed.text("NextPartNumberMarker").as_deref(), Some("2"));
    assert_eq!(listed.text("ChecksumType").as_deref(), Some("COMPOSITE"));
    let rest = s3
        .ask("GET", &format!("/b01/k?uploadId={id}&part-number-marker=2"))
        .await
        .ok();
    assert_eq!(rest.texts("Part/ETag"), etags[2..]);
    let under_way = s3.ask("GET", "/b01?uploads").await.ok();
    assert_eq!(
        under_way.texts("Upload/UploadId"),
        std::slice::from_ref(&id)
    );
    let xml: Vec<_> = (1..)
        .zip(etags.iter().zip(&sums))
        .map(|(n, (e, s))| (n, e.as_str(), Some(s.as_str())))
        .collect();
    let done = s3
        .send(
            "POST",
            &format!("/b01/k?uploadId={id}"),
            &[],
            parts_xml(&xml).as_bytes(),
        )
        .await
        .ok();
    let mut both = Sha256::new();
    let mut md5s = md5::Context::new();
    for part in &data {
        both.update(Sha256::digest(part));
        md5s.consume(md5::compute(part).0);
    }
    let checksum = format!("{}-3", BASE64_STANDARD.encode(both.finalize()));
    let etag = format!("\"{:x}-3\"", md5s.finalize());
    assert_eq!(done.text("ChecksumSHA256"), Some(checksum.clone()));
    assert_eq!(done.text("ETag"), Some(etag.clone()));
    let mode = [("x-amz-checksum-mode", "ENABLED")];
    let head = s3.send("HEAD", "/b01/k", &mode, b"").await.ok();
    assert_eq!(
        head.header("x-amz-checksum-sha256"),
        Some(checksum.as_str())
    );
    assert_eq!(head.header("x-amz-checksum-type"), Some("COMPOSITE"));
    assert_eq!(head.header("etag"), Some(etag.as_str()));
    assert_eq!(head.header("x-amz-meta-run"), Some("r1"));
    let got = s3.ask("GET", "/b01/k").await.ok();
    assert!(got.body == data.concat());
    // Across the parts' border.
    let range = format!("bytes={}-{}", 5 * MIB - 3, 5 * MIB + 2);
    let part = s3
        .send("GET", "/b01/k", &[("range", &range)], b"")
        .await
        .ok();
    assert_eq!(part.body, data.concat()[5 * MIB - 3..=5 * MIB + 2]);
    let again = s3
        .send(
            "POST",
            &format!("/b01/k?uploadId={id}"),
            &[],
            parts_xml(&xml).as_bytes(),
        )
        .await;
    assert_eq!(again.refused(), refusal(404, "NoSuchUpload"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_of_the_whole_follows_from_the_parts() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let (one, two) = (content(5 * MIB, 20), content(1000, 21));
    for (headers, header) in [
        (vec![], "x-amz-checksum-crc64nvme"),
        (
            vec![
                ("x-amz-checksum-algorithm", "CRC32"),
                ("x-amz-checksum-type", "FULL_OBJECT"),
            ],
            "x-amz-checksum-crc32",
        ),
    ] {
        let id = begin(&s3, &headers).await;
        let mut etags = Vec::new();
        for (n, data) in [&one, &two].iter().enumerate() {
            let sum = crc32(data);
            let said: &[(&str, &str)] = if headers.is_empty() {
                &[]
            } else {
                &[("x-amz-checksum-crc32", &sum)]
            };
            etags.push(
                upload_part(
                    &s3,
                    &format!("/b01/k?partNumber={}&uploadId={id}", n + 1),
                    said,
                    data,
                )
                .await,
            );
        }
        let xml = parts_xml(&[(1, &etags[0], None), (2, &etags[1], None)]);
        let target = format!("/b01/k?uploadId={id}");
        if !headers.is_empty() {
            let wrong = [("x-amz-checksum-crc32", "AAAAAA==")];
            let refused = s3.send("POST", &target, &wrong, xml.as_bytes()).await;
            assert_eq!(refused.refused(), refusal(400, "BadDigest"));
            let wrong = [("x-amz-mp-object-size", "7")];
            let refused = s3.send("POST", &target, &wrong, xml.as_bytes()).await;
            assert_eq!(refused.refused(), refusal(400, "InvalidRequest"));
        }
        let done = s3.send("POST", &target, &[], xml.as_bytes()).await.ok();
        assert_eq!(done.text("ChecksumType").as_deref(), Some("FULL_OBJECT"));
        // The same content at once has the same checksum.
        let whole = [one.clone(), two.clone()].concat();
        let sum = crc32(&whole);
        let said: &[(&str, &str)] = if headers.is_empty() {
            &[]
        } else {
            &[("x-amz-checksum-crc32", &sum)]
        };
        let put = s3.send("PUT", "/b01/whole", said, &whole).await.ok();
        assert_eq!(done.header(header), put.header(header));
        assert!(put.header(header).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_as_strict_as_s3s() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    let id = begin(&s3, &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let (big, small) = (content(5 * MIB, 30), content(100, 31));
    let part = |n: &str| format!("/b01/k?partNumber={n}&uploadId={id}");
    let put = async |target: &str, headers: &[(&str, &str)]| {
        s3.send("PUT", target, headers, &small).await.refused()
    };
    let sum = sha256(&small);
    let said = [("x-amz-checksum-sha256", sum.as_str())];
    for n in ["0", "10001", "x", ""] {
        assert_eq!(
            put(&part(n), &said).await,
            refusal(400, "InvalidArgument"),
            "{n}"
        );
    }
    assert_eq!(
        put("/b01/k?partNumber=1&uploadId=none", &said).await,
        refusal(404, "NoSuchUpload")
    );
    let other_key = format!("/b01/other?partNumber=1&uploadId={id}");
    assert_eq!(put(&other_key, &said).await, refusal(404, "NoSuchUpload"));
    assert_eq!(put(&part("1"), &[]).await, refusal(400, "InvalidRequest"));
    let crc = crc32(&small);
    assert_eq!(
        put(&part("1"), &[("x-amz-checksum-crc32", &crc)]).await,
        refusal(400, "InvalidRequest")
    );
    // Without an algorithm any will do, and of one checksum of the whole parts need none.
    let unsaid = begin(&s3, &[]).await;
    let target = format!("/b01/k?partNumber=1&uploadId={unsaid}");
    s3.send("PUT", &target, &said, &small).await.ok();
    let of_whole = [
        ("x-amz-checksum-algorithm", "CRC32"),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    ];
    let whole = begin(&s3, &of_whole).await;
    let target = format!("/b01/whole?partNumber=1&uploadId={whole}");
    assert_eq!(put(&target, &[]).await, refusal(404, "NoSuchUpload"));
    let target = format!("/b01/k?partNumber=1&uploadId={whole}");
    s3.send("PUT", &target, &[], &small).await.ok();
    assert_eq!(put(&target, &said).await, refusal(400, "InvalidRequest"));
    s3.ask("DELETE", &format!("/b01/k?uploadId={whole}"))
        .await
        .ok();
    for headers in [
        vec![
            ("x-amz-checksum-algorithm", "SHA256"),
            ("x-amz-checksum-type", "FULL_OBJECT"),
        ],
        vec![
            ("x-amz-checksum-algorithm", "CRC64NVME"),
            ("x-amz-checksum-type", "COMPOSITE"),
        ],
        vec![("x-amz-checksum-type", "COMPOSITE")],
        vec![("x-amz-checksum-algorithm", "MD4")],
    ] {
        let refused = s3.send("POST", "/b01/k?uploads", &headers, b"").await;
        assert_eq!(
            refused.refused(),
            refusal(400, "InvalidRequest"),
            "{headers:?}"
        );
    }
    let big_sum = sha256(&big);
    let of_big = [("x-amz-checksum-sha256", big_sum.as_str())];
    let e1 = upload_part(&s3, &part("1"), &said, &small).await;
    let e2 = upload_part(&s3, &part("2"), &said, &small).await;
    let e4 = upload_part(&s3, &part("4"), &said, &small).await;
    let target = format!("/b01/k?uploadId={id}");
    let complete = async |xml: String| {
        s3.send("POST", &target, &[], xml.as_bytes())
            .await
            .refused()
    };
    let sum = Some(sum.as_str());
    assert_eq!(
        complete(parts_xml(&[(1, &e1, sum), (2, &e2, sum)])).await,
        refusal(400, "EntityTooSmall")
    );
    assert_eq!(
        complete(parts_xml(&[(2, &e2, sum), (1, &e1, sum)])).await,
        refusal(400, "InvalidPartOrder")
    );
    assert_eq!(
        complete(parts_xml(&[(1, &e1, sum), (1, &e1, sum)])).await,
        refusal(400, "InvalidPartOrder")
    );
    assert_eq!(
        complete(parts_xml(&[(3, &e1, sum)])).await,
        refusal(400, "InvalidPart")
    );
    assert_eq!(
        complete(parts_xml(&[(1, "\"0\"", sum)])).await,
        refusal(400, "InvalidPart")
    );
    let wrong = sha256(b"wrong");
    assert_eq!(
        complete(parts_xml(&[(1, &e1, Some(&wrong))])).await,
        refusal(400, "InvalidPart")
    );
    assert_eq!(
        complete(parts_xml(&[(1, &e1, None)])).await,
        refusal(400, "InvalidRequest")
    );
    assert_eq!(
        complete(parts_xml(&[(4, &e4, sum)])).await,
        refusal(500, "InternalError")
    );
    for text in [String::new(), parts_xml(&[]), "<Complete/>".into(), "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>".into()] {
        assert_eq!(complete(text).await, refusal(400, "MalformedXML"));
    }
    // A part that is put again takes the place of what was there.
    let e1 = upload_part(&s3, &part("1"), &of_big, &big).await;
    let xml = parts_xml(&[(1, &e1, Some(&big_sum)), (2, &e2, sum)]);
    s3.send("POST", &target, &[], xml.as_bytes()).await.ok();
    assert!(s3.ask("GET", "/b01/k").await.ok().body == [big, small].concat());
    let unsaid = format!("/b01/k?uploadId={unsaid}");
    s3.ask("DELETE", &unsaid).await.ok();
    assert_eq!(
        s3.ask("DELETE", &unsaid).await.refused(),
        refusal(404, "NoSuchUpload")
    );
    assert!(
        s3.ask("GET", "/b01?uploads")
            .await
            .ok()
            .texts("Upload")
            .is_empty()
    );
    let dir = s3.served.ec2.path().join("s3/buckets/b01/data");
    assert_eq!(
        std::fs::read_dir(dir).unwrap().count(),
        2,
        "what the object does not need is gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_outlives_a_restart() {
    let first = S3::new().await;
    first.bucket("b01").await;
    let id = begin(&first, &[]).await;
    let (one, two) = (content(5 * MIB, 40), content(77, 41));
    let part = |n: u32| format!("/b01/k?partNumber={n}&uploadId={id}");
    let e1 = upload_part(&first, &part(1), &[], &one).await;
    first
        .send("PUT", "/b01/other", &[("x-amz-tagging", "a=b")], b"there")
        .await
        .ok();
    let dir = first.served.ec2.dir.clone();
    drop(first);
    let config = EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    };
    let again = S3::over(LocalEc2::over(dir, std::sync::Arc::default(), config)).await;
    let listed = again
        .ask("GET", &format!("/b01/k?uploadId={id}"))
        .await
        .ok();
    assert_eq!(listed.texts("Part/ETag"), std::slice::from_ref(&e1));
    let e2 = upload_part(&again, &part(2), &[], &two).await;
    let xml = parts_xml(&[(1, &e1, None), (2, &e2, None)]);
    again
        .send(
            "POST",
            &format!("/b01/k?uploadId={id}"),
            &[],
            xml.as_bytes(),
        )
        .await
        .ok();
    assert!(again.ask("GET", "/b01/k").await.ok().body == [one, two].concat());
    assert_eq!(again.ask("GET", "/b01/other").await.ok().body, b"there");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_calls_act_on_s3_too() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    s3.served.faults(r#"{"actions":[{"action":"PutObject","kind":"throttle","times":1},{"action":"PutObject","kind":"drop-before","times":1},{"action":"PutObject","kind":"drop-after","times":1},{"action":"PutObject","code":"InternalError","status":500,"times":1}]}"#).await;
    let data = content(MIB, 50);
    let slow = s3.send("PUT", "/b01/k", &[], &data).await;
    assert_eq!(slow.refused(), refusal(503, "SlowDown"));
    assert_eq!(s3.may_break("PUT", "/b01/k", &data).await, None);
    assert_eq!(
        s3.ask("GET", "/b01/k").await.refused(),
        refusal(404, "NoSuchKey")
    );
    assert_eq!(s3.may_break("PUT", "/b01/k", &data).await, None);
    assert!(
        s3.ask("GET", "/b01/k").await.ok().body == data,
        "the reply alone was lost"
    );
    assert_eq!(
        s3.send("PUT", "/b01/k", &[], &data).await.refused(),
        refusal(500, "InternalError")
    );
    s3.served.faults(r#"{"actions":[{"action":"PutObject","kind":"timeout","effect":"after","hold_ms":300}]}"#).await;
    assert_eq!(s3.may_break("PUT", "/b01/late", &data).await, None);
    s3.served.faults("{}").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while s3.ask("GET", "/b01/late").await.status != 200 {
        assert!(std::time::Instant::now() < deadline);
    }
    s3.served
        .faults(r#"{"latency_ms":{"HeadBucket":200}}"#)
        .await;
    let begun = std::time::Instant::now();
    s3.ask("HEAD", "/b01").await.ok();
    assert!(begun.elapsed().as_millis() >= 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupted_is_acknowledged_as_it_was_received() {
    let s3 = S3::new().await;
    s3.bucket("b01").await;
    s3.served.faults(r#"{"corrupt_uploads":[{"key":"k","part":2,"at_byte":3,"times":1},{"key":"whole","after":1}]}"#).await;
    let id = begin(&s3, &[]).await;
    let (one, two) = (content(5 * MIB, 60), content(100, 61));
    let part = |n: u32| format!("/b01/k?partNumber={n}&uploadId={id}");
    let e1 = upload_part(&s3, &part(1), &[], &one).await;
    let e2 = upload_part(&s3, &part(2), &[("content-md5", &md5(&two))], &two).await;
    assert_eq!(e2, format!("\"{:x}\"", md5::compute(&two)));
    let xml = parts_xml(&[(1, &e1, None), (2, &e2, None)]);
    let done = s3
        .send(
            "POST",
            &format!("/b01/k?uploadId={id}"),
            &[],
            xml.as_bytes(),
        )
        .await
        .ok();
    let got = s3
        .send("GET", "/b01/k", &[("x-amz-checksum-mode", "ENABLED")], b"")
        .await
        .ok();
    let mut changed = two.clone();
    changed[3] = !changed[3];
    assert!(got.body == [one, changed].concat());
    let header = "x-amz-checksum-crc64nvme";
    assert_eq!(
        got.header(header),
        done.header(header),
        "it says what was received"
    );
    s3.send("PUT", "/b01/whole", &[], &two).await.ok();
    assert_eq!(s3.ask("GET", "/b01/whole").await.ok().body, two);
    let put: Got = s3.send("PUT", "/b01/whole", &[], &two).await.ok();
    assert_eq!(
        put.header("etag"),
        Some(format!("\"{:x}\"", md5::compute(&two)).as_str())
    );
    assert_ne!(s3.ask("GET", "/b01/whole").await.ok().body, two);
}

//! A body that is not what was said is refused, however it is sent.

use super::*;

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

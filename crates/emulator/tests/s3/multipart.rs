//! Objects in parts.

use super::*;

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

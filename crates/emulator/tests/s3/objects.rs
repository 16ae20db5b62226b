//! Objects one by one: put, read, listed, on conditions.

use super::*;

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

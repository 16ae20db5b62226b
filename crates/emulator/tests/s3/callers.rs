//! Who may, what is logged, and what goes wrong when it is asked to.

use super::*;

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

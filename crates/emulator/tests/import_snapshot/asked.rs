//! What is refused when it is asked for.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_role_must_be_there_trust_the_service_and_read_the_object() {
    let import = Import::new().await;
    import.put("disk.raw", &disk(MIB)).await;
    let trust = |who: &str, id: &str| {
        json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": who }, "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:Externalid": id } } }] })
        .to_string()
    };
    let reads = |what: &str| {
        json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::images", what] }] })
        .to_string()
    };
    let role = |name: &str, trust: &str, policy: &str| {
        let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
        import.ec2().iam("CreateRole", &parameters).ok();
        let parameters = [
            ("RoleName", name),
            ("PolicyName", "p"),
            ("PolicyDocument", policy),
        ];
        import.ec2().iam("PutRolePolicy", &parameters).ok();
    };
    let all = reads("arn:aws:s3:::images/*");
    role("good", &trust("vmie.amazonaws.com", "vmimport"), &all);
    role("of-ec2", &trust("ec2.amazonaws.com", "vmimport"), &all);
    role("other-id", &trust("vmie.amazonaws.com", "other"), &all);
    let elsewhere = reads("arn:aws:s3:::images/other/*");
    role(
        "elsewhere",
        &trust("vmie.amazonaws.com", "vmimport"),
        &elsewhere,
    );
    for name in ["missing", "of-ec2", "other-id", "elsewhere", "packer"] {
        let refused = import.begin("disk.raw", "RAW", &[("RoleName", name)]);
        assert_eq!(refused.code(), "InvalidParameter");
        let words = format!(
            "The service role {name} provided does not exist or does not have sufficient permissions"
        );
        assert_eq!(refused.text("Message"), Some(words));
    }
    import
        .begin("disk.raw", "RAW", &[("RoleName", "good")])
        .ok();
    import.begin("disk.raw", "RAW", &[]).ok();
    // The one that is there from the start can be taken away.
    for (action, parameters) in [
        (
            "DeleteRolePolicy",
            vec![("RoleName", "vmimport"), ("PolicyName", "policy")],
        ),
        ("DeleteRole", vec![("RoleName", "vmimport")]),
    ] {
        import.ec2().iam(action, &parameters).ok();
    }
    assert_eq!(
        import.begin("disk.raw", "RAW", &[]).code(),
        "InvalidParameter"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_is_refused_when_it_is_asked_for() {
    let import = Import::with(Delays::Ec2Like).await;
    import.put("disk.raw", &disk(MIB)).await;
    let refused = |parameters: &[(&str, &str)]| import.ec2().ec2("ImportSnapshot", parameters);
    let url = |url| [("DiskContainer.Format", "RAW"), ("DiskContainer.Url", url)];
    assert_eq!(
        refused(&[("DiskContainer.Format", "RAW")]).code(),
        "MissingParameter"
    );
    for wrong in [
        "https://images.s3.amazonaws.com/disk.raw",
        "s3://images",
        "s3://images/none",
        "s3://nowhere/disk.raw",
    ] {
        assert_eq!(refused(&url(wrong)).code(), "InvalidParameter", "{wrong}");
    }
    assert_eq!(
        import.begin("disk.raw", "qcow2", &[]).code(),
        "InvalidParameter"
    );
    assert_eq!(
        import
            .begin(
                "disk.raw",
                "RAW",
                &[("DiskContainer.Url", "s3://images/disk.raw")]
            )
            .code(),
        "InvalidParameterCombination"
    );
    let snapshot_tags = [
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", "a"),
    ];
    assert_eq!(
        import.begin("disk.raw", "RAW", &snapshot_tags).code(),
        "InvalidParameterValue"
    );
    assert_eq!(
        import
            .begin("disk.raw", "RAW", &[("KmsKeyId", "alias/x")])
            .code(),
        "InvalidParameterDependency"
    );
    assert_eq!(
        import
            .begin(
                "disk.raw",
                "RAW",
                &[("Encrypted", "true"), ("KmsKeyId", "alias/x")]
            )
            .code(),
        "InvalidParameter"
    );
    assert_eq!(
        import
            .begin("disk.raw", "RAW", &[("DryRun", "true")])
            .code(),
        "DryRunOperation"
    );
    let other = import.ec2().in_region("eu-west-1");
    let far = other.ec2("ImportSnapshot", &url("s3://images/disk.raw"));
    assert_eq!(
        far.text("Message").as_deref(),
        Some(
            "The given S3 object is not local to the region. The object must be located in eu-west-1."
        )
    );
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let begun = refused(&url("s3://images/disk.raw")).ok();
        assert_eq!(begun.text("url").as_deref(), Some("s3://images/disk.raw"));
        tasks.push(begun.text("importTaskId").unwrap());
    }
    assert_eq!(
        import.begin("disk.raw", "RAW", &[]).code(),
        "ResourceLimitExceeded"
    );
    let cancelled = import
        .ec2()
        .ec2(
            "CancelImportTask",
            &[("ImportTaskId", &tasks[0]), ("CancelReason", "enough")],
        )
        .ok();
    assert_eq!(cancelled.text("previousState").as_deref(), Some("active"));
    assert_eq!(cancelled.text("state").as_deref(), Some("deleting"));
    let shown = import.is(&tasks[0], "deleting").await;
    assert!(shown.text("statusMessage").unwrap().contains("enough"));
    import.begin("disk.raw", "RAW", &[]).ok();
    for (id, code) in [
        ("import-snap-0123456789abcdef0", "InvalidConversionTaskId"),
        ("import-ami-1", "InvalidConversionTaskId.Malformed"),
    ] {
        let unknown = import
            .ec2()
            .ec2("CancelImportTask", &[("ImportTaskId", id)]);
        assert_eq!(unknown.code(), code);
        let unknown = import
            .ec2()
            .ec2("DescribeImportSnapshotTasks", &[("ImportTaskId.1", id)]);
        assert_eq!(unknown.code(), code);
    }
    let page = import
        .ec2()
        .ec2("DescribeImportSnapshotTasks", &[("MaxResults", "7")])
        .ok();
    assert_eq!(page.texts("importTaskId").len(), 7);
    let token = page.text("nextToken").unwrap();
    let rest = import
        .ec2()
        .ec2("DescribeImportSnapshotTasks", &[("NextToken", &token)])
        .ok();
    assert_eq!(rest.texts("importTaskId").len(), 14);
}

//! The real AWS CLI and boto3 as the referees of S3 and of ImportSnapshot.
//!
//! As in `aws_cli.rs`, `QIB_TEST_AWS` names the CLI's program; boto3 is in the same environment.

// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::cli::{Cli, text};

const MIB: usize = 1 << 20;

fn content(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        data.extend((state >> 11).to_le_bytes());
    }
    data.truncate(length);
    data
}

fn file(aws: &Cli, name: &str, data: &[u8]) -> PathBuf {
    let path = aws.ec2.path().join(name);
    std::fs::write(&path, data).unwrap();
    path
}

/// Runs a command whose output is no JSON; what it says.
async fn said(aws: &Cli, arguments: &str) -> String {
    let output = aws.output(arguments).await;
    assert!(
        output.status.success(),
        "aws {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn same(one: &Path, data: &[u8]) -> bool {
    std::fs::read(one).unwrap() == data
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_there_and_back_in_parts() {
    let Some(aws) = Cli::new().await else { return };
    said(&aws, "s3 mb s3://my-images").await;
    let again = aws.refused("s3 mb s3://my-images").await;
    assert!(again.contains("BucketAlreadyOwnedByYou"), "{again}");
    let location = aws
        .json("s3api get-bucket-location --bucket my-images")
        .await;
    assert_eq!(location["LocationConstraint"], "us-east-2");
    let data = content(40 * MIB + 5);
    let from = file(&aws, "from.raw", &data);
    said(
        &aws,
        &format!(
            "s3 cp --no-progress {} s3://my-images/a/disk.raw",
            from.display()
        ),
    )
    .await;
    let head = aws
        .json("s3api head-object --bucket my-images --key a/disk.raw --checksum-mode ENABLED")
        .await;
    assert!(text(&head["ETag"]).ends_with("-6\""), "{head}");
    assert_eq!(head["ContentLength"], data.len());
    let listed = said(&aws, "s3 ls s3://my-images/a/").await;
    assert!(listed.contains("disk.raw"), "{listed}");
    assert!(said(&aws, "s3 ls").await.contains("my-images"));
    let to = aws.ec2.path().join("to.raw");
    said(
        &aws,
        &format!(
            "s3 cp --no-progress s3://my-images/a/disk.raw {}",
            to.display()
        ),
    )
    .await;
    assert!(same(&to, &data));
    let small = file(&aws, "small", &data[..1000]);
    said(
        &aws,
        &format!(
            "s3 cp --no-progress {} s3://my-images/small --checksum-algorithm SHA256",
            small.display()
        ),
    )
    .await;
    let head = aws
        .json("s3api head-object --bucket my-images --key small --checksum-mode ENABLED")
        .await;
    assert_eq!(head["ChecksumType"], "FULL_OBJECT");
    assert!(head["ChecksumSHA256"].is_string(), "{head}");
    let full = aws.refused("s3 rb s3://my-images").await;
    assert!(full.contains("BucketNotEmpty"), "{full}");
    said(&aws, "s3 rm s3://my-images/small").await;
    said(&aws, "s3 rb s3://my-images --force").await;
    let gone = aws.refused("s3api head-bucket --bucket my-images").await;
    assert!(gone.contains("404"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_with_checksums_by_hand() {
    let Some(aws) = Cli::new().await else { return };
    said(&aws, "s3 mb s3://my-images").await;
    let data = content(6 * MIB);
    let (one, two) = (file(&aws, "one", &data), file(&aws, "two", &data[..100]));
    let begun = aws.json("s3api create-multipart-upload --bucket my-images --key k --checksum-algorithm SHA256 --tagging run=r1").await;
    let id = text(&begun["UploadId"]);
    let of = format!("--bucket my-images --key k --upload-id {id}");
    let mut parts = Vec::new();
    for (n, (path, data)) in [(&one, &data[..]), (&two, &data[..100])]
        .into_iter()
        .enumerate()
    {
        use base64::Engine;
        use sha2::Digest;
        let sum = base64::prelude::BASE64_STANDARD.encode(sha2::Sha256::digest(data));
        let number = n + 1;
        let put = aws
            .json(&format!(
                "s3api upload-part {of} --part-number {number} --body {} --checksum-sha256 {sum}",
                path.display()
            ))
            .await;
        assert_eq!(put["ChecksumSHA256"], sum.as_str());
        parts.push(
            serde_json::json!({ "PartNumber": number, "ETag": put["ETag"], "ChecksumSHA256": sum }),
        );
    }
    let wrong = aws.refused(&format!("s3api upload-part {of} --part-number 3 --body {} --checksum-sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", two.display())).await;
    assert!(wrong.contains("(BadDigest)"), "{wrong}");
    let listed = aws.json(&format!("s3api list-parts {of}")).await;
    assert_eq!(listed["Parts"].as_array().unwrap().len(), 2);
    assert_eq!(listed["ChecksumType"], "COMPOSITE");
    let uploads = aws
        .json("s3api list-multipart-uploads --bucket my-images")
        .await;
    assert_eq!(uploads["Uploads"][0]["UploadId"], id.as_str());
    let parts = file(
        &aws,
        "parts.json",
        serde_json::json!({ "Parts": parts }).to_string().as_bytes(),
    );
    let done = aws
        .json(&format!(
            "s3api complete-multipart-upload {of} --multipart-upload file://{}",
            parts.display()
        ))
        .await;
    assert!(text(&done["ChecksumSHA256"]).ends_with("-2"), "{done}");
    let tags = aws
        .json("s3api get-object-tagging --bucket my-images --key k")
        .await;
    assert_eq!(tags["TagSet"][0]["Value"], "r1");
    aws.json(
        "s3api put-object-tagging --bucket my-images --key k --tagging TagSet=[{Key=run,Value=r2}]",
    )
    .await;
    let tags = aws
        .json("s3api get-object-tagging --bucket my-images --key k")
        .await;
    assert_eq!(tags["TagSet"][0]["Value"], "r2");
    let deleted = aws
        .json("s3api delete-objects --bucket my-images --delete Objects=[{Key=k}]")
        .await;
    assert_eq!(deleted["Deleted"][0]["Key"], "k");
    let begun = aws
        .json("s3api create-multipart-upload --bucket my-images --key k")
        .await;
    let id = text(&begun["UploadId"]);
    aws.json(&format!(
        "s3api abort-multipart-upload --bucket my-images --key k --upload-id {id}"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_imported() {
    let Some(aws) = Cli::new().await else { return };
    said(&aws, "s3 mb s3://my-images").await;
    let image = file(&aws, "disk.raw", &content(3 * MIB));
    said(
        &aws,
        &format!(
            "s3 cp --no-progress {} s3://my-images/disk.raw",
            image.display()
        ),
    )
    .await;
    let container = file(
        &aws,
        "container.json",
        br#"{"Description":"root","Format":"raw","UserBucket":{"S3Bucket":"my-images","S3Key":"disk.raw"}}"#,
    );
    let begun = aws
        .json(&format!("ec2 import-snapshot --description mine --disk-container file://{} --tag-specifications ResourceType=import-snapshot-task,Tags=[{{Key=run,Value=r1}}]", container.display()))
        .await;
    let task = text(&begun["ImportTaskId"]);
    aws.json(&format!(
        "ec2 wait snapshot-imported --import-task-ids {task}"
    ))
    .await;
    let shown = aws.json(&format!("ec2 describe-import-snapshot-tasks --import-task-ids {task} --filters Name=task-state,Values=completed")).await;
    let shown = &shown["ImportSnapshotTasks"][0];
    assert_eq!(shown["Tags"][0]["Value"], "r1");
    let detail = &shown["SnapshotTaskDetail"];
    assert_eq!(
        (&detail["Status"], &detail["Format"]),
        (&Value::from("completed"), &Value::from("RAW"))
    );
    let snapshot = text(&detail["SnapshotId"]);
    let snapshots = aws
        .json(&format!("ec2 describe-snapshots --snapshot-ids {snapshot}"))
        .await;
    assert_eq!(
        snapshots["Snapshots"][0]["Description"],
        format!("Created by AWS-VMImport service for {task}")
    );
    let blocks = aws
        .json(&format!(
            "ebs list-snapshot-blocks --snapshot-id {snapshot}"
        ))
        .await;
    assert_eq!(blocks["Blocks"].as_array().unwrap().len(), 6);
    aws.faults(r#"{"import_tasks":[{"stuck_at_percent":20}]}"#);
    let begun = aws
        .json(&format!(
            "ec2 import-snapshot --disk-container file://{}",
            container.display()
        ))
        .await;
    let task = text(&begun["ImportTaskId"]);
    let cancelled = aws
        .json(&format!("ec2 cancel-import-task --import-task-id {task}"))
        .await;
    assert_eq!(
        (&cancelled["PreviousState"], &cancelled["State"]),
        (&Value::from("active"), &Value::from("deleting"))
    );
}

/// What boto3 does by itself: checksums, redirects, multipart transfers, retries.
const BOTO3: &str = r#"
import boto3, io, os, sys, hashlib
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
s3 = boto3.client("s3")
s3.create_bucket(Bucket="boto", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
data = os.urandom(21 * 1024 * 1024 + 3)
s3.upload_fileobj(io.BytesIO(data), "boto", "in parts/ü.raw", Config=TransferConfig(multipart_chunksize=5 * 1024 * 1024 + 1, multipart_threshold=1, max_concurrency=4))
back = io.BytesIO()
s3.download_fileobj("boto", "in parts/ü.raw", back, Config=TransferConfig(multipart_chunksize=7 * 1024 * 1024, multipart_threshold=1))
assert back.getvalue() == data
for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] if "awscrt" in sys.modules else ["CRC32", "SHA1", "SHA256"]:
    put = s3.put_object(Bucket="boto", Key="k", Body=data[:100000], ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket="boto", Key="k", ChecksumMode="ENABLED")
    assert got["Checksum" + algorithm] == put["Checksum" + algorithm]
    assert got["Body"].read() == data[:100000]
begun = s3.create_multipart_upload(Bucket="boto", Key="m")
part = s3.upload_part(Bucket="boto", Key="m", UploadId=begun["UploadId"], PartNumber=1, Body=data[:100])
done = s3.complete_multipart_upload(Bucket="boto", Key="m", UploadId=begun["UploadId"], MultipartUpload={"Parts": [{k: v for k, v in part.items() if k == "ETag" or k.startswith("Checksum")} | {"PartNumber": 1}]})
assert done["ETag"].endswith('-1"'), done
# A client of another region is sent to the bucket's own.
far = boto3.client("s3", region_name="eu-west-1")
assert far.get_object(Bucket="boto", Key="m")["Body"].read() == data[:100]
keys = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="boto", PaginationConfig={"PageSize": 1}) for o in page["Contents"]]
assert keys == ["in parts/ü.raw", "k", "m"], keys
try:
    s3.get_object(Bucket="boto", Key="none")
    assert False
except s3.exceptions.NoSuchKey:
    pass
s3.delete_objects(Bucket="boto", Delete={"Objects": [{"Key": k} for k in keys]})
s3.delete_bucket(Bucket="boto")
print("done")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn boto3_finds_nothing_amiss() {
    let Some(aws) = Cli::new().await else { return };
    let python = Path::new(&aws.program).with_file_name("python");
    let mut command = Command::new(python);
    command
        .args(["-c", BOTO3])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("PYTHONUTF8", "1")
        .envs(aws.environment());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "done\n",
        "{stderr}"
    );
}

//! The same by way of a bucket.

use super::*;

#[track_caller]
fn make_bucket(ec2: &LocalEc2, name: &str, region: &str) {
    let constraint = format!("LocationConstraint={region}");
    ec2.aws(&[
        "s3api",
        "create-bucket",
        "--region",
        region,
        "--bucket",
        name,
        "--create-bucket-configuration",
        &constraint,
    ])
    .exits(0);
}

/// EC2's own converter judges what is uploaded, and nothing but the images stays.
#[test]
fn by_s3_the_same_disks_come_out_and_the_bucket_is_empty_again() {
    let ec2 = LocalEc2::new(Config::QUICK);
    make_bucket(&ec2, "image-imports", REGION);
    let cases = [
        ("raw-of-qcow2", QCOW2, "raw", 20 * MIB + 512),
        ("raw-of-one-sector", RAW, "raw", 512),
        ("vhdx", VHDX, "original", 6 * MIB),
        ("vhd", VHD, "original", 5 * MIB + 512),
        ("vmdk", STREAM_OPTIMISED, "original", 3 * MIB),
        ("raw", RAW, "original", 2 * MIB + 512),
    ];
    let mut pipeline = format!("name: by-s3\naws: {{ region: {REGION} }}\nstages:\n");
    let mut disks = Vec::new();
    for (name, format, upload_as, size) in cases {
        let disk = scattered(&ec2, name, size, MIB);
        let file = in_format(&disk, format);
        pipeline.push_str(&format!(
            "  {name}:\n    source: {{ import: {{ file: {}, arch: x86_64, via: s3, bucket: image-imports, upload_as: {upload_as} }} }}\n    image: {{ name: {name}-image, tags: {{ Team: images }} }}\n",
            text(&file)
        ));
        disks.push((name, disk));
    }
    let ended = ec2.run(&ec2.pipeline(pipeline)).exits(0);
    for (name, disk) in &disks {
        let image = ended.image(name);
        assert_exports(&ec2, &id(&image), disk);
        let wanted = snapshot(&image);
        let found = [
            "ec2",
            "describe-snapshots",
            "--snapshot-ids",
            wanted.as_str(),
        ];
        let found = ec2.aws(&found).exits(0).json()["Snapshots"][0].clone();
        assert_eq!(tag(&found, "Team"), Some("images"), "{found}");
    }
    assert_eq!(ec2.transfers(), Vec::<String>::new(), "{ended}");
    assert_eq!(ec2.put_blocks(), []);
    let counts = [("images", cases.len()), ("snapshots", cases.len())];
    ec2.holdings().assert_counts(&counts, &ended);
}

/// From the command line, without a pipeline of one's own.
#[test]
fn by_s3_from_the_command_line() {
    let ec2 = LocalEc2::new(Config::QUICK);
    make_bucket(&ec2, "image-imports", REGION);
    let disk = scattered(&ec2, "line", 3 * MIB, MIB);
    let file = in_format(&disk, QCOW2);
    let more = [
        "--arch",
        "x86_64",
        "--via",
        "s3",
        "--bucket",
        "image-imports",
    ];
    let ended = import(&ec2, &file, "from-the-line", &more).exits(0);
    assert_exports(&ec2, &id(&only_image(&ended)), &disk);
    assert_eq!(ec2.transfers(), Vec::<String>::new(), "{ended}");
}

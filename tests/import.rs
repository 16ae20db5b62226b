//! Disk images become images and files again: made and compared by QEMU's programs, looked at by the AWS CLI and in the local
//! EC2's block log.

use end_to_end::disk_images::{
    BLOCK, FORMATS, Format, GIB, Numbers, QCOW2, RAW, RawDisk, STREAM_OPTIMISED, VHD, VHDX,
    program, text,
};
use end_to_end::service_log::{counts, once};
use end_to_end::shipped::{described, images, tag};
use end_to_end::web_server::WebServer;
use end_to_end::{Config, Ended, LocalEc2};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const REGION: &str = "us-east-2";
const MIB: u64 = 1 << 20;

#[track_caller]
fn import(ec2: &LocalEc2, file: &Path, name: &str, more: &[&str]) -> Ended {
    let file = text(file);
    let args = ["import", "--local", "--json", &file, "--name", name];
    ec2.qib([&args[..], more].concat())
}

#[track_caller]
fn only_image(ended: &Ended) -> Value {
    let images = images(ended);
    assert_eq!(images.len(), 1, "{ended}");
    images[0].clone()
}

#[track_caller]
fn id(image: &Value) -> String {
    image["image_id"]
        .as_str()
        .expect("an image's id")
        .to_owned()
}

#[track_caller]
fn snapshot(image: &Value) -> String {
    image["snapshots"][0]
        .as_str()
        .expect("a snapshot")
        .to_owned()
}

/// Writes what is in an image or a snapshot to files, and compares them with the disk.
#[track_caller]
fn assert_exports(ec2: &LocalEc2, what: &str, disk: &RawDisk) {
    for format in ["raw", "qcow2"] {
        assert_exports_as(ec2, what, disk, format);
    }
}

#[track_caller]
fn assert_exports_as(ec2: &LocalEc2, what: &str, disk: &RawDisk, format: &str) {
    let file = disk.path().with_extension(format!("exported.{format}"));
    let path = text(&file);
    ec2.qib(["export", "--local", what, &path]).exits(0);
    disk.assert_is_in(&file, format);
    if format == "qcow2" {
        program("qemu-img", ["check", "-q", "-f", "qcow2", &path]);
    }
    fs::remove_file(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// A disk with something at both its ends and here and there in between.
#[track_caller]
fn scattered(ec2: &LocalEc2, name: &str, size: u64, every: u64) -> RawDisk {
    let disk = RawDisk::new(ec2.path(format!("work/{name}.disk")), size);
    disk.scatter(every, &mut Numbers::of(name));
    disk
}

#[track_caller]
fn in_format(disk: &RawDisk, format: Format) -> PathBuf {
    let file = disk.path().with_extension(format.name);
    disk.convert(&file, format);
    file
}

/// One sector; 1 MiB and a sector; and 8 MiB and some, where blocks of the formats' own and EBS's do not end together.
const SIZES: [u64; 3] = [512, MIB + 512, 8 * MIB + 3 * 512];

#[test]
fn every_format_goes_in_and_comes_out_byte_for_byte() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let mut failures = Vec::new();
    for format in FORMATS {
        for size in SIZES {
            let case = format!("{}-{size}", format.name);
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                goes_in_and_comes_out(&ec2, &case, format, size);
            }));
            if let Err(cause) = checked {
                let said = cause.downcast_ref::<String>().cloned();
                failures.push(format!("{case}: {}", said.unwrap_or_default()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[track_caller]
fn goes_in_and_comes_out(ec2: &LocalEc2, case: &str, format: Format, size: u64) {
    let disk = scattered(ec2, case, size, MIB);
    let file = in_format(&disk, format);
    let ended = import(ec2, &file, case, &["--arch", "x86_64"]).exits(0);
    let image = only_image(&ended);
    assert_eq!(image["cached"], false, "{ended}");
    // What is written depends on the snapshot alone: one of the two for each.
    let exported = if size == SIZES[1] { "qcow2" } else { "raw" };
    assert_exports_as(ec2, &id(&image), &disk, exported);
    // Every block of the disk exactly once, zeros too. QEMU makes a disk a little larger in some formats.
    let there = virtual_size(&file, format).div_ceil(BLOCK);
    let puts = counts(&ec2.put_blocks(), &snapshot(&image));
    assert_eq!(puts, once(0..there), "{ended}");
}

/// How large QEMU says that the disk is.
#[track_caller]
fn virtual_size(file: &Path, format: Format) -> u64 {
    let info = program(
        "qemu-img",
        ["info", "--output=json", "-f", format.qemu, &text(file)],
    )
    .json();
    info["virtual-size"].as_u64().expect("a size")
}

#[test]
fn a_raw_disk_may_end_within_a_sector() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "odd", MIB + 1, MIB);
    let ended = import(&ec2, disk.path(), "odd-end", &["--arch", "x86_64"]).exits(0);
    assert_exports(&ec2, &id(&only_image(&ended)), &disk);
}

/// What is next to each other in the disk is not in the file, and the other way round.
#[test]
fn fragmented_images_are_put_together() {
    let ec2 = LocalEc2::new(Config::QUICK);
    for format in [VHDX, VHD, QCOW2] {
        let name = format!("fragmented-{}", format.name);
        let disk = RawDisk::new(ec2.path(format!("work/{name}.disk")), 24 * MIB);
        let file = in_format(&disk, format);
        let mut numbers = Numbers::of(&name);
        for _ in 0..40 {
            let (at, length) = (
                numbers.below(23 * 256) * 4096,
                4096 * (1 + numbers.below(40)),
            );
            let byte = numbers.below(255) as u8 + 1;
            disk.write(at, &vec![byte; length as usize]);
            let write = format!("write -q -P {byte} {at} {length}");
            program("qemu-io", ["-f", format.qemu, "-c", &write, &text(&file)]);
        }
        let ended = import(&ec2, &file, &name, &["--arch", "x86_64"]).exits(0);
        assert_exports(&ec2, &id(&only_image(&ended)), &disk);
    }
}

#[test]
fn a_sparse_disk_of_10_gib_sends_what_is_in_it_and_warns() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = RawDisk::new(ec2.path("work/large.disk"), 10 * GIB);
    let mut numbers = Numbers::of("large");
    let mut blocks = vec![0, 10 * GIB / BLOCK - 1];
    disk.write(3, b"the beginning");
    disk.write(10 * GIB - 7, b"the end");
    for _ in 0..40 {
        let at = numbers.below(10 * GIB - 9000);
        disk.write(at, &numbers.bytes(9000));
        blocks.extend([at / BLOCK, (at + 8999) / BLOCK]);
    }
    blocks.sort_unstable();
    blocks.dedup();
    let file = in_format(&disk, QCOW2);
    let ended = import(
        &ec2,
        &file,
        "large",
        &["--arch", "x86_64", "--holes", "skip"],
    )
    .exits(0);
    let image = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&image));
    assert_eq!(puts, once(blocks), "{ended}");
    let warned = ended.events_of("warning");
    let about_holes = warned.iter().any(|warning| {
        let text = warning["text"].as_str().unwrap_or_default();
        text.contains("zeros") && text.contains("encrypted")
    });
    assert!(about_holes, "{ended}");
    assert_exports(&ec2, &id(&image), &disk);
}

#[test]
fn zeros_are_sent_unless_asked_otherwise_and_what_is_there_is_not_sent_again() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = RawDisk::new(ec2.path("work/holey.disk"), 16 * MIB);
    disk.write(5 * BLOCK + 100, b"something");
    disk.write(20 * BLOCK - 1, b"over a border");
    let file = in_format(&disk, QCOW2);

    let ended = import(&ec2, &file, "holey", &["--arch", "x86_64"]).exits(0);
    let puts = ec2.put_blocks();
    let sent = only_image(&ended);
    assert_eq!(counts(&puts, &snapshot(&sent)), once(0..32), "{ended}");
    let zeros = puts.iter().filter(|put| put.zero).count();
    assert_eq!(zeros, 32 - 3, "{ended}");
    let warnings = ended.events_of("warning");
    assert!(warnings.is_empty(), "{warnings:?}{ended}");

    // The same again: it is there, and nothing but questions is asked.
    let (made, put) = (ec2.effects(), ec2.put_blocks().len());
    let starts = ec2.carried_out("StartSnapshot");
    let again = import(&ec2, &file, "holey", &["--arch", "x86_64"]).exits(0);
    let reused = only_image(&again);
    assert_eq!(
        (id(&reused), &reused["cached"]),
        (id(&sent), &json!(true)),
        "{again}"
    );
    again.says("reused");
    assert_eq!(ec2.put_blocks().len(), put);
    assert_eq!(
        (ec2.effects(), ec2.carried_out("StartSnapshot")),
        (made, starts)
    );

    let skip = ["--arch", "x86_64", "--holes", "skip"];
    let ended = import(&ec2, &file, "holey-skipped", &skip).exits(0);
    let skipped = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&skipped));
    assert_eq!(puts, once(disk.written_blocks()), "{ended}");
    assert_eq!(disk.written_blocks(), [5, 19, 20]);
    assert!(!ended.events_of("warning").is_empty(), "{ended}");
    assert_exports(&ec2, &id(&skipped), &disk);
    assert_exports(&ec2, &snapshot(&sent), &disk);
}

#[test]
fn an_image_has_the_name_that_was_asked_for_also_if_its_content_is_there_under_another() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "same", MIB, MIB);
    let first = import(&ec2, disk.path(), "one-name", &["--arch", "x86_64"]).exits(0);
    let second = import(&ec2, disk.path(), "other-name", &["--arch", "x86_64"]).exits(0);
    let second = only_image(&second);
    assert_eq!(described(&ec2, REGION, &id(&second))["Name"], "other-name");
    assert_ne!(id(&second), id(&only_image(&first)));
}

#[test]
fn with_a_parent_only_what_differs_is_sent() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "grown", 12 * MIB, 2 * MIB);
    let parent = import(&ec2, disk.path(), "grown-1", &["--arch", "x86_64"]).exits(0);
    let parent = snapshot(&only_image(&parent));

    // Something new, something that became zeros, and a byte that changes.
    disk.write(3 * BLOCK + 17, b"new");
    disk.write(0, &vec![0; BLOCK as usize]);
    let last = 24 * BLOCK - 1;
    disk.write(last, &[0]);
    let changed = [0, 3, 23];
    let args = ["--arch", "x86_64", "--parent", &parent];
    let ended = import(&ec2, disk.path(), "grown-2", &args).exits(0);
    let second = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&second));
    assert_eq!(puts, once(changed), "{ended}");
    assert_exports(&ec2, &id(&second), &disk);

    // A machine that knows nothing of the parent reads it first, and skips no block that has become zeros.
    disk.write(9 * BLOCK, &vec![0; BLOCK as usize]);
    disk.write(10 * BLOCK + 5, b"again");
    let file = text(disk.path());
    let parent = snapshot(&second);
    let mut command = ec2.command(["import", "--local", "--json", &file, "--name", "grown-3"]);
    command
        .args(["--arch", "x86_64", "--holes", "skip", "--parent", &parent])
        .env("QIB_STATE_DIR", ec2.path("another-state"));
    let ended = end_to_end::Running::start(command).end().exits(0);
    let third = only_image(&ended);
    let puts = counts(&ec2.put_blocks(), &snapshot(&third));
    assert_eq!(puts, once([9, 10]), "{ended}");
    assert_exports(&ec2, &id(&third), &disk);
}

/// Partitions as `sfdisk` makes them.
#[track_caller]
fn partitioned(ec2: &LocalEc2, name: &str, table: &str) -> PathBuf {
    let disk = RawDisk::new(ec2.path(format!("work/{name}.disk")), 6 * MIB);
    let script = ec2.write(format!("work/{name}.sfdisk"), table);
    let command = format!(
        "sfdisk -q --no-reread '{}' < '{}'",
        disk.path().display(),
        script.display()
    );
    program("sh", ["-euc", &command]);
    disk.write(5 * MIB, name.as_bytes());
    disk.path().to_owned()
}

const X86_64_ROOT: &str = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
const ARM64_ROOT: &str = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE";

#[test]
fn an_image_says_what_its_partition_table_does() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let esp = "size=1MiB, type=U\n";
    let cases = [
        (
            "gpt-esp",
            format!("label: gpt\n{esp}type={X86_64_ROOT}\n"),
            &[][..],
            ("x86_64", json!("uefi")),
        ),
        (
            "gpt-both",
            format!(
                "label: gpt\n{esp}size=1MiB, type=21686148-6449-6E6F-744E-656564454649\ntype={X86_64_ROOT}\n"
            ),
            &[],
            ("x86_64", json!("uefi-preferred")),
        ),
        (
            "gpt-bios",
            format!(
                "label: gpt\nsize=1MiB, type=21686148-6449-6E6F-744E-656564454649\ntype={X86_64_ROOT}\n"
            ),
            &[],
            ("x86_64", json!("legacy-bios")),
        ),
        (
            "gpt-arm64",
            format!("label: gpt\n{esp}type={ARM64_ROOT}\n"),
            &[],
            ("arm64", json!("uefi")),
        ),
        (
            "no-esp-arm64",
            String::from("label: gpt\ntype=L\n"),
            &["--arch", "arm64"],
            ("arm64", json!("uefi")),
        ),
        (
            "said",
            format!("label: gpt\n{esp}type={X86_64_ROOT}\n"),
            &["--boot-mode", "uefi-preferred"],
            ("x86_64", json!("uefi-preferred")),
        ),
    ];
    for (name, table, more, (arch, boot_mode)) in cases {
        let file = partitioned(&ec2, name, &table);
        let ended = import(&ec2, &file, name, more).exits(0);
        let image = described(&ec2, REGION, &id(&only_image(&ended)));
        assert_eq!(image["Architecture"], arch, "{name}: {image}");
        assert_eq!(image["BootMode"], boot_mode, "{name}: {image}");
        assert_eq!(image["EnaSupport"], true, "{name}: {image}");
    }
    let file = partitioned(&ec2, "untold", "label: dos\ntype=83\n");
    let ended = import(&ec2, &file, "untold", &[]).says("--arch");
    assert_ne!(ended.code, Some(0), "{ended}");
}

#[test]
fn an_image_is_registered_as_it_is_asked_for_and_tagged_from_birth() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let table = format!("label: gpt\nsize=1MiB, type=U\ntype={X86_64_ROOT}\n");
    let file = partitioned(&ec2, "all", &table);
    let more = [
        "--boot-mode",
        "uefi",
        "--tpm",
        "--imds-v2",
        "--root-device",
        "/dev/xvda",
        "--size",
        "3",
        "--volume-type",
        "gp3",
        "--description",
        "what it is",
        "--tag",
        "Team=images",
        "--tag",
        "Owner=e2e",
    ];
    let ended = import(&ec2, &file, "as-asked", &more).exits(0);
    let found = described(&ec2, REGION, &id(&only_image(&ended)));
    let root = &found["BlockDeviceMappings"][0];
    for (place, value, wanted) in [
        ("name", &found["Name"], json!("as-asked")),
        ("description", &found["Description"], json!("what it is")),
        ("boot mode", &found["BootMode"], json!("uefi")),
        ("tpm", &found["TpmSupport"], json!("v2.0")),
        ("imds", &found["ImdsSupport"], json!("v2.0")),
        ("ena", &found["EnaSupport"], json!(true)),
        ("virtualization", &found["VirtualizationType"], json!("hvm")),
        ("root device", &found["RootDeviceName"], json!("/dev/xvda")),
        ("device", &root["DeviceName"], json!("/dev/xvda")),
        ("size", &root["Ebs"]["VolumeSize"], json!(3)),
        ("type", &root["Ebs"]["VolumeType"], json!("gp3")),
        ("encryption", &root["Ebs"]["Encrypted"], json!(false)),
    ] {
        assert_eq!(*value, wanted, "{place}: {found}{ended}");
    }
    let snapshot = root["Ebs"]["SnapshotId"].as_str().expect("a snapshot");
    let snapshots = ["ec2", "describe-snapshots", "--snapshot-ids", snapshot];
    let snapshot = ec2.aws(&snapshots).exits(0).json()["Snapshots"][0].clone();
    assert_eq!(snapshot["VolumeSize"], 1, "{snapshot}");
    for tagged in [&found, &snapshot] {
        assert_eq!(tag(tagged, "Team"), Some("images"), "{tagged}");
        assert_eq!(tag(tagged, "Owner"), Some("e2e"), "{tagged}");
        assert_eq!(
            tag(tagged, "qib:run"),
            Some(ended.run_id().as_str()),
            "{tagged}"
        );
    }
    // One call tags afterwards: the one that says that the image is complete.
    assert_eq!(ec2.carried_out("CreateTags"), 1);
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &ended);
}

#[test]
fn an_encrypted_image_is_encrypted_from_its_first_block() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "sealed", 2 * MIB, MIB);
    let ended = import(
        &ec2,
        disk.path(),
        "sealed",
        &["--arch", "x86_64", "--encrypt"],
    )
    .exits(0);
    let image = only_image(&ended);
    let found = described(&ec2, REGION, &id(&image));
    assert_eq!(
        found["BlockDeviceMappings"][0]["Ebs"]["Encrypted"], true,
        "{found}"
    );
    assert_eq!(
        ec2.carried_out("CopySnapshot") + ec2.carried_out("CopyImage"),
        0
    );
    assert_eq!(counts(&ec2.put_blocks(), &snapshot(&image)), once(0..4));
    assert_exports(&ec2, &id(&image), &disk);
}

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

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The digest of a file, as the publisher's own tool says it.
#[track_caller]
fn digest(tool: &str, path: &Path) -> String {
    let said = program(tool, [path]);
    said.stdout.split(' ').next().unwrap_or_default().to_owned()
}

/// What is packed comes from the web and is checked as it is published; what is not is read where it lies.
#[test]
fn packed_images_come_from_the_web_by_literal_and_by_listed_checksums() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let web = WebServer::new();
    let mut sums = String::new();
    let mut pipeline = format!("name: web\naws: {{ region: {REGION} }}\nstages:\n");
    let mut disks = Vec::new();
    let packers = [
        ("xz", &["xz", "-k", "-0"][..], RAW),
        ("gz", &["gzip", "-k"], QCOW2),
        ("zst", &["zstd", "-q", "-k"], VHDX),
    ];
    for (suffix, packer, format) in packers {
        let disk = scattered(&ec2, &format!("packed-{suffix}"), 5 * MIB + 512, MIB);
        let file = in_format(&disk, format);
        let (path, packed) = (
            text(&file),
            PathBuf::from(format!("{}.{suffix}", text(&file))),
        );
        program(
            packer[0],
            packer[1..].iter().copied().chain([path.as_str()]),
        );
        let name = packed
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        let url = web.put(&format!("dl/{name}"), read(&packed));
        let checksum = match suffix {
            // As sha256sum writes it, and as BSD's does.
            "xz" => format!("sha512:{}", digest("sha512sum", &packed)),
            "gz" => {
                sums.push_str(&format!("{}  {name}\n", digest("sha256sum", &packed)));
                format!("{{ url: '{}' }}", web.url_of("dl/SHA256SUMS"))
            }
            _ => {
                sums.push_str(&format!(
                    "SHA256 ({name}) = {}\n",
                    digest("sha256sum", &packed)
                ));
                format!("{{ url: '{}', name: {name} }}", web.url_of("dl/SHA256SUMS"))
            }
        };
        pipeline.push_str(&format!(
            "  {suffix}:\n    source: {{ import: {{ url: '{url}', checksum: {checksum}, arch: x86_64 }} }}\n    image: {{ name: '{suffix}-${{{{ run.id }}}}', tags: {{ from: '${{{{ source.name }}}}', id: '${{{{ source.id }}}}' }} }}\n"
        ));
        disks.push((suffix, disk));
    }
    web.put("dl/SHA256SUMS", sums);
    let file = ec2.pipeline(pipeline);
    let ended = ec2.run(&file).exits(0);
    for (stage, disk) in &disks {
        let image = ended.image(stage);
        assert_exports(&ec2, &id(&image), disk);
        let from = format!("packed-{stage}");
        let found = described(&ec2, REGION, &id(&image));
        assert_eq!(tag(&found, "from"), Some(from.as_str()), "{found}");
        let source = tag(&found, "id").unwrap_or_default();
        let is_digest = source.starts_with("sha256:") || source.starts_with("sha512:");
        assert!(
            is_digest,
            "`source.id` is the digest, says the guide: {source}"
        );
    }
    // Again: nothing is fetched but the list, which may have changed, and nothing is sent.
    let (asked, put) = (web.requests().len(), ec2.put_blocks().len());
    let again = ec2.run(&file).exits(0);
    let cached: Vec<bool> = images(&again)
        .iter()
        .map(|image| image["cached"] == true)
        .collect();
    assert_eq!(cached, [true; 3], "{again}");
    let later = web.requests().split_off(asked);
    let of_images: Vec<_> = later
        .iter()
        .filter(|asked| !asked.path.ends_with("SUMS"))
        .collect();
    assert!(of_images.is_empty(), "{of_images:?}{again}");
    assert_eq!(ec2.put_blocks().len(), put);
}

/// A system of the test's own: what is in the image, what a provisioner adds, and a child of both.
#[test]
fn an_imported_system_is_provisioned_and_its_child_has_both() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("root/etc/imported-release", "a system\n");
    ec2.write("root/opt/of-the-image", "of the image\n");
    let system = ec2.path("work/system.raw");
    let (root, path) = (text(&ec2.path("root")), text(&system));
    program(
        "mke2fs",
        ["-q", "-F", "-t", "ext4", "-d", &root, &path, "12M"],
    );
    program(
        "qemu-img",
        [
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            &path,
            &format!("{path}.qcow2"),
        ],
    );
    let image = PathBuf::from(format!("{path}.qcow2"));
    let web = WebServer::new();
    let url = web.put("system.qcow2", read(&image));
    let sum = digest("sha256sum", &image);
    let guest = "launch: { instance_type: m5.large, subnet: { default_vpc: true, zone: c } }\n    connect: { user: ec2-user, timeout: 60s }";
    let pipeline = format!(
        r#"name: system
aws: {{ region: {REGION} }}
stages:
  base:
    source: {{ import: {{ url: '{url}', checksum: 'sha256:{sum}', arch: x86_64 }} }}
    {guest}
    provision: [{{ run: {{ name: adds, inline: "grep -q 'of the image' /opt/of-the-image; echo added | sudo tee /opt/added" }} }}]
    image: {{ name: "base-${{{{ run.id }}}}" }}
  child:
    source: {{ stage: base }}
    {guest}
    provision: [{{ run: {{ name: looks, inline: "cat /etc/imported-release /opt/of-the-image /opt/added" }} }}]
    image: {{ name: "child-${{{{ run.id }}}}" }}
"#
    );
    let ended = ec2.run(&ec2.pipeline(pipeline)).exits(0);
    let said: Vec<String> = ended
        .events_of("output")
        .iter()
        .filter(|event| event["stage"] == "child")
        .filter_map(|event| event["line"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, ["a system", "of the image", "added"], "{ended}");
    // The image that the instance started from was for that alone.
    assert_eq!(ec2.carried_out("RegisterImage"), 1);
    assert_eq!(ec2.carried_out("DeregisterImage"), 1);
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &ended);
}

/// As the guide says: `preflight` may make the file that is imported.
#[test]
fn a_disk_image_that_preflight_makes_is_imported() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let disk = scattered(&ec2, "of-preflight", MIB, MIB);
    let make = format!(
        "qemu-img convert -f raw -O qcow2 {} made.qcow2",
        text(disk.path())
    );
    let pipeline = format!(
        r#"name: made
aws: {{ region: {REGION} }}
preflight:
  - {{ run: {{ name: makes, inline: "{make}", creates: [made.qcow2] }} }}
stages:
  one:
    source: {{ import: {{ file: made.qcow2, arch: x86_64 }} }}
    image: {{ name: "one-${{{{ run.id }}}}" }}
"#
    );
    let ended = ec2.run(&ec2.pipeline(pipeline)).exits(0);
    assert_exports(&ec2, &id(&ended.image("one")), &disk);
}

//! Instances of imported disks: what can boot does, with its own files; what cannot is refused with the reason.

use end_to_end::import_aids::{Architecture, MIB, raw_image, system_disk};
use end_to_end::shipped::described;
use end_to_end::{Config, LocalEc2};

const REGION: &str = "us-east-2";

#[test]
fn an_instance_starts_from_an_imported_disk_and_is_provisioned_and_captured() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let said = b"from the disk image\n";
    system_disk(
        &ec2,
        "system.raw",
        Architecture::X86,
        &[("etc/published", said), ("srv/data", b"data")],
    );
    let file = ec2.pipeline(
        r#"name: booted
aws: { region: us-east-2 }
stages:
  provisioned:
    source: { import: { file: system.raw } }
    launch: { instance_type: m5.large }
    connect: { user: ec2-user, timeout: 60s }
    provision:
      - run: { name: read, inline: "grep -x 'from the disk image' /etc/published && test \"$(cat /srv/data)\" = data" }
      - run: { name: write, inline: "echo of the guest > made-by-the-guest" }
    image: { name: "booted-${{ run.id }}", tags: { Purpose: rehearsal } }
  next:
    source: { stage: provisioned }
    launch: { instance_type: m5.large }
    connect: { user: ec2-user, timeout: 60s }
    provision: [{ run: { name: both, inline: "cat /etc/published made-by-the-guest" } }]
    image: { name: "next-${{ run.id }}" }
"#,
    );
    let ended = ec2.run(&file).exits(0).says("of the guest");
    for stage in ["provisioned", "next"] {
        let image = ended.image(stage);
        let id = image["image_id"].as_str().unwrap_or_default();
        let image = described(&ec2, REGION, id);
        assert_eq!(image["Architecture"], "x86_64", "{image:#}{ended}");
        assert_eq!(image["BootMode"], "uefi", "{image:#}{ended}");
    }
    // The temporary image and its snapshot are gone.
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &ended);
    let again = ec2.run(&file).exits(0);
    for stage in ["provisioned", "next"] {
        let image = again.image(stage);
        assert_eq!(image["cached"], true, "{again}");
        assert_eq!(image["image_id"], ended.image(stage)["image_id"]);
    }
    // A step that fails leaves neither.
    let text = std::fs::read_to_string(&file).expect("the test wrote it");
    let file = ec2.pipeline(text.replace("of the guest > made", "of the guest; exit 7 > made"));
    let failed = ec2.run(&file).failed_in("provision");
    ec2.holdings()
        .assert_counts(&[("images", 2), ("snapshots", 2)], &failed);
}

#[test]
fn an_image_of_random_bytes_is_made_and_does_not_start() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let blocks: Vec<u64> = (0..8).collect();
    raw_image(&ec2, "noise.raw", 4 * MIB, 77, &blocks);
    let ended = ec2
        .qib([
            "import",
            "--local",
            "--json",
            "--arch",
            "x86_64",
            "--format",
            "raw",
            "--name",
            "noise",
            "noise.raw",
        ])
        .exits(0);
    let images = ended.finished()["images"].clone();
    let id = images[0]["image_id"].as_str().unwrap_or_default();
    let args = [
        "ec2",
        "run-instances",
        "--image-id",
        id,
        "--instance-type",
        "m5.large",
    ];
    let refused = ec2
        .aws(&args)
        .says("UnsupportedOperation")
        .says("as data")
        .says("the disk as a whole is");
    assert_ne!(refused.code, Some(0), "{refused}");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &refused);
    // A stage that would start from it fails where it is launched, and leaves nothing of its own.
    let file = ec2.pipeline(
        r#"name: noise
aws: { region: us-east-2 }
stages:
  one:
    source: { import: { file: noise.raw, format: raw, arch: x86_64 } }
    launch: { instance_type: m5.large }
    connect: { user: ec2-user, timeout: 60s }
    provision: [{ run: { name: never, inline: "true" } }]
    image: { name: "noise-${{ run.id }}" }
"#,
    );
    let failed = ec2.run(&file).failed_in("launch").says("as data");
    ec2.holdings()
        .assert_counts(&[("images", 1), ("snapshots", 1)], &failed);
}

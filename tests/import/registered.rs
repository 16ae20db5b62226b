//! What the image says of itself.

use super::*;

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
    import(&ec2, &file, "untold", &[]).exits(2).says("--arch");
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

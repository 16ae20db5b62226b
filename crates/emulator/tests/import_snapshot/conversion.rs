//! What the formats come to, by QEMU's judgement.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_image_is_taken_as_it_is() {
    let import = Import::new().await;
    for length in [512, MIB + 1, 40 * MIB] {
        let data = disk(length);
        import.put("disk.raw", &data).await;
        let snapshot = import.ended("disk.raw", "raw").await.unwrap();
        let (content, blocks, zeros) = import.content(&snapshot, length);
        assert!(content == data, "{length}");
        assert!(zeros + 3 >= blocks && zeros < blocks, "{zeros} of {blocks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_formats_are_converted() {
    let import = Import::new().await;
    let dir = tempfile::tempdir().unwrap();
    let data = disk(40 * MIB);
    for (format, options, word) in [
        ("vmdk", "subformat=streamOptimized", "vmdk"),
        ("vpc", "subformat=dynamic,force_size=on", "VHD"),
        ("vpc", "subformat=fixed,force_size=on", "VHD"),
        ("vhdx", "subformat=dynamic", "VHDX"),
    ] {
        let Some(file) = made(dir.path(), &data, format, options) else {
            return;
        };
        import.put("disk", &file).await;
        let snapshot = import.ended("disk", word).await.unwrap();
        assert!(
            import.content(&snapshot, data.len()).0 == data,
            "{format} {options}"
        );
    }
    let left = import
        .ec2()
        .path()
        .join("s3/incoming")
        .read_dir()
        .unwrap()
        .count();
    assert_eq!(left, 0, "what was made on the way is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_such_image_fails_in_ec2s_words() {
    let import = Import::new().await;
    let dir = tempfile::tempdir().unwrap();
    let data = disk(4 * MIB);
    import.put("disk.raw", &data).await;
    import.put("empty", b"").await;
    for (key, format, words) in [
        (
            "disk.raw",
            "VMDK",
            "ClientError: Disk validation failed [Unsupported VMDK File]",
        ),
        (
            "disk.raw",
            "VHD",
            "ClientError: Disk validation failed [Unsupported VHD File]",
        ),
        (
            "disk.raw",
            "VHDX",
            "ClientError: Disk validation failed [Unsupported VHDX File]",
        ),
        (
            "disk.raw",
            "ova",
            "ClientError: Disk validation failed [Unsupported specified file format]",
        ),
        (
            "empty",
            "RAW",
            "ClientError: Disk validation failed [Invalid disk size]",
        ),
    ] {
        assert_eq!(import.ended(key, format).await.unwrap_err(), words);
    }
    // Flat and sparse ones, which could name other files, are none that EC2 takes.
    for subformat in ["monolithicFlat", "monolithicSparse"] {
        let Some(file) = made(dir.path(), &data, "vmdk", &format!("subformat={subformat}")) else {
            return;
        };
        import.put("disk", &file).await;
        let refused = import.ended("disk", "VMDK").await.unwrap_err();
        assert!(
            refused.ends_with("[Unsupported VMDK File]"),
            "{subformat}: {refused}"
        );
    }
    let Some(mut file) = made(dir.path(), &data, "vhdx", "") else {
        return;
    };
    // Past the file's own name: its region tables.
    file[192 * 1024..320 * 1024].fill(0xaa);
    import.put("disk", &file).await;
    let refused = import.ended("disk", "VHDX").await.unwrap_err();
    assert!(
        refused.starts_with("ClientError: Disk validation failed [Invalid VHDX File"),
        "{refused}"
    );
    assert!(!refused.contains("s3/incoming"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_registered_from_what_was_imported_and_its_blocks_go_with_the_snapshot() {
    let import = Import::new().await;
    import.put("disk.raw", &disk(MIB)).await;
    let snapshot = import.ended("disk.raw", "RAW").await.unwrap();
    let registered = import
        .ec2()
        .ec2(
            "RegisterImage",
            &[
                ("Name", "imported"),
                ("Architecture", "arm64"),
                ("BootMode", "uefi"),
                ("VirtualizationType", "hvm"),
                ("RootDeviceName", "/dev/sda1"),
                ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
                ("BlockDeviceMapping.1.Ebs.SnapshotId", &snapshot),
            ],
        )
        .ok();
    let image = registered.text("imageId").unwrap();
    let deleted = import
        .ec2()
        .ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)]);
    assert_eq!(deleted.code(), "InvalidSnapshot.InUse");
    import
        .ec2()
        .ec2("DeregisterImage", &[("ImageId", &image)])
        .ok();
    import
        .ec2()
        .ec2("DeleteSnapshot", &[("SnapshotId", &snapshot)])
        .ok();
    // What it consisted of goes with it.
    let dir = import.ec2().path().join("blocks").join(&snapshot);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while dir.exists() {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

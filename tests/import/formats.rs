//! Every format goes in and comes out byte for byte.

use super::*;

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

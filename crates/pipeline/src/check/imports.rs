//! Disk images that become AMIs: what must fit the image that is made.

use crate::model::{Architecture, BootMode, Cell, Import, Via, VolumeType};
use crate::problem::Fault;

pub(super) fn check(cell: &Cell) -> Vec<Fault> {
    let Some(import) = cell.import() else {
        return Vec::new();
    };
    let image = &cell.image;
    let mut faults = Vec::new();
    if let Some(architecture) = &image.architecture {
        let word = architecture.as_str();
        let message = "of a disk that is imported, `source.import.arch` says the architecture";
        faults.push(Fault::new(architecture.span, message).hint(format!(
            "write `import: {{ …, arch: {word} }}`, or leave it out: the disk's partition table tells it"
        )));
    }
    if let (Some(arch), Some(mode)) = (&import.arch, &image.boot_mode)
        && arch.value == Architecture::Arm64
        && mode.value == BootMode::LegacyBios
    {
        let message = "instances of architecture arm64 boot with UEFI only";
        faults
            .push(Fault::new(mode.span, message).hint("leave `boot_mode` out: it is then `uefi`"));
    }
    // EBS direct APIs, StartSnapshot: a snapshot with a parent is encrypted as that is. One that is encrypted is refused
    // when it is seen: what is not sent over it reads as something else than zeros.
    if let Via::Ebs {
        parent: Some(parent),
        ..
    } = &import.via
        && image.encrypted.value
    {
        let message = format!(
            "a snapshot that is written as the difference to another ({}) is not encrypted, nor is that one",
            parent.value
        );
        faults.push(
            Fault::new(parent.span, message)
                .hint("leave `parent` out: the whole image is then sent, and encrypted"),
        );
    }
    if cell.is_import() {
        faults.extend(volumes(cell, import));
    }
    faults
}

/// The devices of an image that is registered of the imported snapshot alone.
fn volumes(cell: &Cell, import: &Import) -> Vec<Fault> {
    let mut faults = Vec::new();
    // EC2 takes `sdb` and `/dev/sdb` for the same device.
    let bare = |name: &str| name.trim_start_matches("/dev/").to_owned();
    let root = bare(import.root_device.as_str());
    for volume in &cell.image.volumes {
        let is_root = bare(volume.device.as_str()) == root;
        if let (true, Some(snapshot)) = (is_root, &volume.snapshot_id) {
            let message = "the root device is made of the snapshot that is imported";
            faults.push(Fault::new(snapshot.span, message).hint("leave `snapshot_id` out"));
        }
        // Volume types, "Throughput Optimized HDD and Cold HDD": <https://docs.aws.amazon.com/ebs/latest/userguide/hdd-vols.html>
        if let (true, Some(kind @ (VolumeType::St1 | VolumeType::Sc1))) = (is_root, volume.kind) {
            let message = format!("no instance boots from a volume of type {}", kind.as_str());
            faults.push(Fault::new(volume.device.span, message).hint("take gp3"));
        }
        if let (true, Some(no_device)) = (is_root, &volume.no_device) {
            let message = format!(
                "{} is the root device, which no image does without",
                volume.device
            );
            faults.push(Fault::new(no_device.span, message));
        } else if let Some(no_device) = &volume.no_device {
            let message = "an imported disk has no devices besides its own to leave out";
            faults.push(Fault::new(no_device.span, message).hint("leave this volume out"));
        }
        if !is_root
            && volume.snapshot_id.is_none()
            && volume.size_gib.is_none()
            && !volume.is_left_out()
        {
            let message = format!(
                "{} is an empty volume, and an empty volume needs `size_gib`",
                volume.device
            );
            faults.push(Fault::new(volume.device.span, message).hint(format!(
                "or did you mean the root device, {}?",
                import.root_device.value
            )));
        }
    }
    faults
}

//! Block devices.

use crate::model::{Volume, VolumeType};
use crate::problem::Fault;
use std::collections::BTreeMap;

pub(super) fn check(volumes: &[Volume]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut devices = BTreeMap::new();
    for volume in volumes {
        // EC2 takes `sdb` and `/dev/sdb` for the same device.
        let name = volume.device.as_str().trim_start_matches("/dev/");
        if let Some(first) = devices.insert(name, volume.device.span) {
            faults.push(
                Fault::new(
                    volume.device.span,
                    format!("the device {} stands here twice", volume.device),
                )
                .hint(format!("it first stands in line {}", first.line)),
            );
        }
        faults.extend(performance(volume));
        if let Some(key) = &volume.kms_key_id
            && volume.encrypted != Some(true)
        {
            faults.push(Fault::new(key.span, "`kms_key_id` needs `encrypted: true`"));
        }
    }
    faults
}

/// EC2 API Reference, EbsBlockDevice: `Iops` is for io1, io2 and gp3 and required for the first two; `Throughput` is
/// for gp3 only. Sizes: EBS User Guide, "Amazon EBS volume types".
fn performance(volume: &Volume) -> Vec<Fault> {
    let mut faults = Vec::new();
    match (&volume.iops, volume.kind) {
        (None, Some(kind @ (VolumeType::Io1 | VolumeType::Io2))) => {
            faults.push(Fault::new(
                volume.device.span,
                format!("a volume of type {} needs `iops`", kind.as_str()),
            ));
        }
        (Some(_), Some(VolumeType::Io1 | VolumeType::Io2 | VolumeType::Gp3)) | (None, _) => {}
        (Some(iops), _) => faults.push(Fault::new(
            iops.span,
            "`iops` goes with the types io1, io2 and gp3 only",
        )),
    }
    if let Some(throughput) = &volume.throughput
        && volume.kind != Some(VolumeType::Gp3)
    {
        faults.push(Fault::new(
            throughput.span,
            "`throughput` goes with the type gp3 only",
        ));
    }
    let range = match volume.kind {
        Some(VolumeType::Gp2) => 1..=16_384,
        Some(VolumeType::Io1) => 4..=16_384,
        Some(VolumeType::Io2) => 4..=65_536,
        Some(VolumeType::St1 | VolumeType::Sc1) => 125..=16_384,
        Some(VolumeType::Standard) => 1..=1_024,
        Some(VolumeType::Gp3) | None => 1..=65_536,
    };
    if let (Some(size), Some(kind)) = (&volume.size_gib, volume.kind)
        && !range.contains(&size.get())
    {
        let message = format!(
            "a volume of type {} has {} to {} GiB",
            kind.as_str(),
            range.start(),
            range.end()
        );
        faults.push(Fault::new(size.span, message));
    }
    faults
}

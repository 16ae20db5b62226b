//! Block devices.

use crate::model::{Located, Volume, VolumeType};
use crate::problem::Fault;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

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
        if let Some(no_device) = &volume.no_device {
            faults.extend(left_out(volume, no_device));
            continue;
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

/// EC2 API Reference, BlockDeviceMapping, `NoDevice`: it takes the place of everything else about the device.
fn left_out(volume: &Volume, no_device: &Located<bool>) -> Option<Fault> {
    if !no_device.value {
        let message = "`no_device: false` says nothing: a device that is named has a volume";
        return Some(Fault::new(no_device.span, message).hint("leave the key out"));
    }
    let alone = Volume {
        device: volume.device.clone(),
        size_gib: None,
        kind: None,
        iops: None,
        throughput: None,
        encrypted: None,
        kms_key_id: None,
        snapshot_id: None,
        no_device: volume.no_device.clone(),
        delete_on_termination: true,
    };
    (*volume != alone).then(|| {
        Fault::new(
            no_device.span,
            "`no_device` leaves the device out, and the rest describes its volume",
        )
        .hint("beside `no_device: true` stands `device` only")
    })
}

/// What EC2 takes of a volume type. (EBS User Guide, "Amazon EBS volume types" and the pages of each type.)
struct Limits {
    /// GiB.
    size: RangeInclusive<u32>,
    /// I/O operations per second, and the most of them for each GiB.
    iops: Option<(RangeInclusive<u32>, u32)>,
    /// MiB/s.
    throughput: Option<RangeInclusive<u32>>,
}

fn limits(kind: VolumeType) -> Limits {
    let size = match kind {
        VolumeType::Gp2 => 1..=16_384,
        VolumeType::Io1 => 4..=16_384,
        VolumeType::Io2 => 4..=65_536,
        VolumeType::St1 | VolumeType::Sc1 => 125..=16_384,
        VolumeType::Standard => 1..=1_024,
        VolumeType::Gp3 => 1..=65_536,
    };
    let iops = match kind {
        VolumeType::Gp3 => Some((3_000..=80_000, 500)),
        VolumeType::Io1 => Some((100..=64_000, 50)),
        VolumeType::Io2 => Some((100..=256_000, 1_000)),
        VolumeType::Gp2 | VolumeType::St1 | VolumeType::Sc1 | VolumeType::Standard => None,
    };
    let throughput = (kind == VolumeType::Gp3).then_some(125..=2_000);
    Limits {
        size,
        iops,
        throughput,
    }
}

/// gp3 has 3,000 operations per second unless more are asked for, and takes 1 MiB/s for each four of them.
const GP3_IOPS: u32 = 3_000;
const GP3_IOPS_PER_MIB: u32 = 4;

/// EC2 API Reference, EbsBlockDevice: `Iops` is for io1, io2 and gp3 and required for the first two; `Throughput` is
/// for gp3 only.
fn performance(volume: &Volume) -> Vec<Fault> {
    let mut faults = Vec::new();
    let known = volume.kind.map(|kind| (kind, limits(kind)));
    let range = |what: &str, kind: VolumeType, range: &RangeInclusive<u32>| {
        let (least, most) = (range.start(), range.end());
        format!(
            "a volume of type {} has {least} to {most} {what}",
            kind.as_str()
        )
    };
    match (&volume.iops, &known) {
        (None, Some((kind @ (VolumeType::Io1 | VolumeType::Io2), _))) => {
            let message = format!("a volume of type {} needs `iops`", kind.as_str());
            faults.push(Fault::new(volume.device.span, message));
        }
        (None, _) => {}
        (
            Some(iops),
            Some((
                kind,
                Limits {
                    iops: Some((allowed, _)),
                    ..
                },
            )),
        ) if !allowed.contains(&iops.value) => {
            faults.push(Fault::new(iops.span, range("IOPS", *kind, allowed)));
        }
        (
            Some(iops),
            Some((
                kind,
                Limits {
                    iops: Some((_, per_gib)),
                    ..
                },
            )),
        ) => {
            // Without a size it is the snapshot's, which is not known here.
            let most = volume
                .size_gib
                .as_ref()
                .map(|size| size.get().saturating_mul(*per_gib));
            // gp3's baseline is there at any size.
            let baseline = if *kind == VolumeType::Gp3 {
                GP3_IOPS
            } else {
                0
            };
            if let Some(most) = most.map(|most| most.max(baseline))
                && iops.value > most
            {
                let message = format!(
                    "a volume of type {} has at most {per_gib} IOPS for each GiB, here {most}",
                    kind.as_str()
                );
                faults.push(Fault::new(iops.span, message).hint("give it a larger `size_gib`"));
            }
        }
        (Some(iops), _) => {
            let message = "`iops` goes with the types io1, io2 and gp3 only";
            faults.push(Fault::new(iops.span, message));
        }
    }
    match (&volume.throughput, &known) {
        (None, _) => {}
        (
            Some(throughput),
            Some((
                kind,
                Limits {
                    throughput: Some(allowed),
                    ..
                },
            )),
        ) => {
            let most = volume.iops.as_ref().map_or(GP3_IOPS, |iops| iops.value) / GP3_IOPS_PER_MIB;
            if !allowed.contains(&throughput.value) {
                faults.push(Fault::new(throughput.span, range("MiB/s", *kind, allowed)));
            } else if throughput.value > most {
                let message = format!(
                    "a volume of type {} has at most 1 MiB/s for each {GP3_IOPS_PER_MIB} IOPS, here {most}",
                    kind.as_str()
                );
                faults.push(Fault::new(throughput.span, message).hint("give it more `iops`"));
            }
        }
        (Some(throughput), _) => {
            let message = "`throughput` goes with the type gp3 only";
            faults.push(Fault::new(throughput.span, message));
        }
    }
    if let (Some(size), Some((kind, limits))) = (&volume.size_gib, &known)
        && !limits.size.contains(&size.get())
    {
        faults.push(Fault::new(size.span, range("GiB", *kind, &limits.size)));
    }
    faults
}

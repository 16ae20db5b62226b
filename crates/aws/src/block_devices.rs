//! Volumes of instances and images.

use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, VolumeType};
use cloud::{EbsVolume, SnapshotId};

/// The port's volumes, and the devices to leave out, as the SDK's mappings; none if there are none.
pub(crate) fn mappings(
    volumes: &[EbsVolume],
    left_out: &[String],
) -> Option<Vec<BlockDeviceMapping>> {
    let volumes = volumes.iter().map(mapping);
    let all: Vec<_> = volumes.chain(left_out.iter().map(no_device)).collect();
    (!all.is_empty()).then_some(all)
}

/// "To omit the device from the block device mapping, specify an empty string."
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_BlockDeviceMapping.html>
fn no_device(device: &String) -> BlockDeviceMapping {
    BlockDeviceMapping::builder()
        .device_name(device)
        .no_device("")
        .build()
}

fn mapping(volume: &EbsVolume) -> BlockDeviceMapping {
    let ebs = EbsBlockDevice::builder()
        .set_volume_size(volume.size_gib.map(number))
        .set_volume_type(
            volume
                .volume_type
                .as_ref()
                .map(|kind| VolumeType::from(kind.0.as_str())),
        )
        .set_iops(volume.iops.map(number))
        .set_throughput(volume.throughput.map(number))
        .set_encrypted(volume.encrypted)
        .set_kms_key_id(volume.kms_key_id.clone())
        .set_delete_on_termination(volume.delete_on_termination)
        .set_snapshot_id(volume.snapshot_id.as_ref().map(ToString::to_string));
    BlockDeviceMapping::builder()
        .device_name(&volume.device)
        .ebs(ebs.build())
        .build()
}

/// EC2's numbers are signed. What does not fit is beyond all of EC2's limits, and EC2 says so best.
fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// The EBS volumes of an image as EC2 answers them; instance store and devices that are left out are none.
pub(crate) fn volumes(mappings: &[BlockDeviceMapping]) -> Vec<EbsVolume> {
    let ebs = mappings
        .iter()
        .filter_map(|mapping| Some((mapping.device_name()?, mapping.ebs()?)));
    ebs.map(|(device, ebs)| {
        let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
        EbsVolume {
            device: device.to_owned(),
            size_gib: number(ebs.volume_size()),
            volume_type: ebs
                .volume_type()
                .map(|kind| cloud::VolumeType(kind.as_str().to_owned())),
            iops: number(ebs.iops()),
            throughput: number(ebs.throughput()),
            encrypted: ebs.encrypted(),
            kms_key_id: ebs.kms_key_id().map(str::to_owned),
            delete_on_termination: ebs.delete_on_termination(),
            snapshot_id: ebs.snapshot_id().map(SnapshotId::from),
        }
    })
    .collect()
}

/// The snapshots behind an image.
pub(crate) fn snapshots(mappings: &[BlockDeviceMapping]) -> Vec<SnapshotId> {
    mappings
        .iter()
        .filter_map(|mapping| mapping.ebs()?.snapshot_id().map(SnapshotId::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud::VolumeType as PortVolumeType;

    #[test]
    fn what_is_not_given_is_not_sent() {
        let volume = EbsVolume {
            snapshot_id: None,
            device: "/dev/sda1".to_owned(),
            size_gib: Some(50),
            volume_type: Some(PortVolumeType("gp3".to_owned())),
            iops: None,
            throughput: None,
            encrypted: None,
            kms_key_id: None,
            delete_on_termination: Some(true),
        };
        let mappings = mappings(&[volume], &[]).unwrap();
        let ebs = mappings[0].ebs().unwrap();
        assert_eq!(mappings[0].device_name(), Some("/dev/sda1"));
        assert_eq!(ebs.volume_size(), Some(50));
        assert_eq!(ebs.volume_type(), Some(&VolumeType::Gp3));
        assert_eq!(ebs.delete_on_termination(), Some(true));
        assert_eq!(ebs.iops(), None);
        assert_eq!(ebs.encrypted(), None);
    }

    #[test]
    fn instance_store_devices_have_no_snapshot() {
        let given = [
            BlockDeviceMapping::builder()
                .device_name("/dev/sda1")
                .ebs(EbsBlockDevice::builder().snapshot_id("snap-1").build())
                .build(),
            BlockDeviceMapping::builder()
                .device_name("/dev/sdb")
                .virtual_name("ephemeral0")
                .build(),
        ];
        assert_eq!(snapshots(&given), [SnapshotId::from("snap-1")]);
    }
}

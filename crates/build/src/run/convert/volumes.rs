//! `volumes`, of `launch` and `image`.

use cloud::{EbsVolume, VolumeType};
use pipeline::model;

pub(super) fn volumes(volumes: &[model::Volume]) -> Vec<EbsVolume> {
    volumes
        .iter()
        .filter(|volume| !volume.is_left_out())
        .map(|volume| EbsVolume {
            device: volume.device.to_string(),
            size_gib: volume.size_gib.as_ref().map(|size| size.get()),
            volume_type: volume.kind.map(|kind| VolumeType(kind.as_str().to_owned())),
            iops: volume.iops.as_ref().map(|iops| iops.value),
            throughput: volume
                .throughput
                .as_ref()
                .map(|throughput| throughput.value),
            encrypted: volume.encrypted,
            kms_key_id: volume.kms_key_id.as_ref().map(ToString::to_string),
            snapshot_id: volume.snapshot_id.as_ref().map(|id| id.as_str().into()),
            delete_on_termination: Some(volume.delete_on_termination),
        })
        .collect()
}

/// The devices that are left out.
pub(super) fn left_out(volumes: &[model::Volume]) -> Vec<String> {
    volumes
        .iter()
        .filter(|volume| volume.is_left_out())
        .map(|volume| volume.device.to_string())
        .collect()
}

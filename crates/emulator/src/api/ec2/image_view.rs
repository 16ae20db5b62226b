//! Images as EC2 shows them.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html>

use super::tag_specs::write_tags;
use super::xml::Xml;
use crate::account::image::{DeviceMapping, Image, ProductCode};
use jiff::Timestamp;
use std::time::Duration;

/// An image's times have milliseconds, always three: `2026-01-01T00:00:00.000Z`.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The code of the reason why an image has failed.
pub(crate) const FAILED: &str = "Server.InternalError";

/// An image's `imageLocation`.
pub(crate) fn location(i: &Image) -> String {
    format!("{}/{}", i.owner_alias.as_ref().unwrap_or(&i.owner), i.name)
}

/// When an image was last launched from, as far as EC2 says so by now: "When the AMI is used to launch an instance, there is
/// a 24-hour delay before that usage is reported."
pub(crate) fn last_launched(i: &Image, now: Timestamp, reported: Duration) -> Option<String> {
    let at = i.last_launched?;
    let due = at.checked_add(reported).unwrap_or(at);
    (due <= now).then(|| time(at))
}

/// Writes an image.
pub(crate) fn image(x: &mut Xml, i: &Image, now: Timestamp, reported: Duration) {
    x.put("imageId", &i.id).put("imageLocation", location(i));
    x.put("imageState", i.state(now))
        .put("imageOwnerId", &i.owner)
        .put("creationDate", time(i.created));
    x.put("isPublic", i.launch_permission.all)
        .put("architecture", &i.architecture)
        .put("imageType", "machine");
    x.maybe("imageOwnerAlias", i.owner_alias.as_ref())
        .put("name", &i.name);
    if !i.description.is_empty() {
        x.put("description", &i.description);
    }
    x.put("rootDeviceType", "ebs")
        .put("rootDeviceName", &i.root_device);
    mappings(x, i);
    if !i.product_codes.is_empty() {
        product_codes(x, &i.product_codes);
    }
    x.maybe("kernelId", i.kernel.as_ref())
        .put("virtualizationType", i.virtualization.name())
        .put("hypervisor", "xen")
        .put("enaSupport", i.ena_support);
    x.maybe("sriovNetSupport", i.sriov_net_support.as_ref())
        .maybe("bootMode", i.boot_mode.as_ref());
    x.maybe("tpmSupport", i.tpm_support.as_ref())
        .maybe("imdsSupport", i.imds_support.as_ref());
    x.put("platformDetails", &i.platform_details)
        .put("usageOperation", &i.usage_operation);
    x.put("deregistrationProtection", i.protection.shown(now))
        .maybe("lastLaunchedTime", last_launched(i, now, reported));
    x.maybe("deprecationTime", i.deprecated.map(time))
        .maybe("sourceInstanceId", i.source_instance.as_ref());
    if let Some(source) = &i.source_image {
        x.put("sourceImageId", &source.id)
            .put("sourceImageRegion", &source.region);
    }
    if let Some(reason) = i.progress.failure(now) {
        x.node("stateReason", |x| {
            x.put("code", FAILED).put("message", reason);
        });
    }
    write_tags(x, &i.tags);
}

/// Writes product codes.
pub(crate) fn product_codes(x: &mut Xml, codes: &[ProductCode]) {
    x.list("productCodes", codes, |x, code| {
        x.put("productCode", &code.id).put("type", &code.kind);
    });
}

/// Writes devices.
pub(crate) fn mappings(x: &mut Xml, i: &Image) {
    x.node("blockDeviceMapping", |x| {
        for m in &i.mappings {
            x.node("item", |x| ebs(x, m));
        }
        for (device, name) in &i.ephemeral {
            x.node("item", |x| {
                x.put("deviceName", device).put("virtualName", name);
            });
        }
    });
}

fn ebs(x: &mut Xml, m: &DeviceMapping) {
    x.put("deviceName", &m.device).node("ebs", |x| {
        x.maybe("snapshotId", m.ebs.snapshot.as_ref())
            .put("volumeSize", m.ebs.size_gib)
            .put("volumeType", &m.ebs.volume_type);
        x.put("deleteOnTermination", m.ebs.delete_on_termination)
            .put("encrypted", m.ebs.encrypted);
        x.maybe("iops", m.ebs.iops)
            .maybe("throughput", m.ebs.throughput);
    });
}

//! Disk images become images and files again: made and compared by QEMU's programs, looked at by the AWS CLI and in the local
//! EC2's block log.

mod by_s3;
mod formats;
mod pipelines;
mod registered;
mod sent;

use end_to_end::disk_images::{
    BLOCK, FORMATS, Format, GIB, Numbers, QCOW2, RAW, RawDisk, STREAM_OPTIMISED, VHD, VHDX,
    program, text,
};
use end_to_end::service_log::{counts, once};
use end_to_end::shipped::{described, images, tag};
use end_to_end::web_server::WebServer;
use end_to_end::{Config, Ended, LocalEc2};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const REGION: &str = "us-east-2";
const MIB: u64 = 1 << 20;

#[track_caller]
fn import(ec2: &LocalEc2, file: &Path, name: &str, more: &[&str]) -> Ended {
    let file = text(file);
    let args = ["import", "--local", "--json", &file, "--name", name];
    ec2.qib([&args[..], more].concat())
}

#[track_caller]
fn only_image(ended: &Ended) -> Value {
    let images = images(ended);
    assert_eq!(images.len(), 1, "{ended}");
    images[0].clone()
}

#[track_caller]
fn id(image: &Value) -> String {
    image["image_id"]
        .as_str()
        .expect("an image's id")
        .to_owned()
}

#[track_caller]
fn snapshot(image: &Value) -> String {
    image["snapshots"][0]
        .as_str()
        .expect("a snapshot")
        .to_owned()
}

/// Writes what is in an image or a snapshot to files, and compares them with the disk.
#[track_caller]
fn assert_exports(ec2: &LocalEc2, what: &str, disk: &RawDisk) {
    for format in ["raw", "qcow2"] {
        assert_exports_as(ec2, what, disk, format);
    }
}

#[track_caller]
fn assert_exports_as(ec2: &LocalEc2, what: &str, disk: &RawDisk, format: &str) {
    let file = disk.path().with_extension(format!("exported.{format}"));
    let path = text(&file);
    ec2.qib(["export", "--local", what, &path]).exits(0);
    disk.assert_is_in(&file, format);
    if format == "qcow2" {
        program("qemu-img", ["check", "-q", "-f", "qcow2", &path]);
    }
    fs::remove_file(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// A disk with something at both its ends and here and there in between.
#[track_caller]
fn scattered(ec2: &LocalEc2, name: &str, size: u64, every: u64) -> RawDisk {
    let disk = RawDisk::new(ec2.path(format!("work/{name}.disk")), size);
    disk.scatter(every, &mut Numbers::of(name));
    disk
}

#[track_caller]
fn in_format(disk: &RawDisk, format: Format) -> PathBuf {
    let file = disk.path().with_extension(format.name);
    disk.convert(&file, format);
    file
}

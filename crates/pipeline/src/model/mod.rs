//! What a pipeline file says, as types: the file's keys are the fields, and a value that has been made is a valid one.
//!
//! The types are read by [`crate::load()`] and used by the engine. `schemars` makes the reference and the editors' JSON
//! Schema from the same types, so their documentation comments speak to the person who writes a pipeline.

mod address;
mod connect;
mod download;
mod entry;
mod files;
mod glob;
mod image;
mod json_path;
mod later;
mod launch;
mod located;
mod measure;
mod pause;
mod pipeline;
mod preflight;
mod provision;
mod provisioner;
mod reboot;
mod source;
mod spot;
mod stage;
mod text;
mod variables;
mod volume;
mod wait_for;

pub use address::{Address, Bind, ElasticIp, ElasticIpChoice};
pub use connect::{Connect, HostKey, LoginKey, WaitCloudInit};
pub use download::Download;
pub use files::{LocalFile, Presence, ScriptFile, UserDataFile};
pub use glob::Glob;
pub use image::{Image, Share};
pub use json_path::JsonPath;
pub use later::Later;
pub use launch::{Egress, Launch, SshFrom, SubnetChoice};
pub use located::Located;
pub use measure::{Cidr, FileMode, Gib, Lifetime, TimeSpan};
pub use pause::{Breakpoint, Pause};
pub use pipeline::{Aws, Output, OutputFormat, Pipeline};
pub use preflight::{PreflightAction, PreflightEntry};
pub use provision::{Commands, Need, Place, Provisioner, Run, Upload, UploadSource};
pub use provisioner::{CellChoice, ProvisionerEntry, Retry};
pub use reboot::Reboot;
pub use source::{Architecture, ImageFilter, Pick, RootDevice, Source, Virtualization};
pub use spot::{FallBack, Spot, SpotOptions};
pub use stage::{Cache, Cell, Recipe, Stages};
pub use text::{
    AccountId, AllocationId, DeviceName, DollarsPerHour, EnvName, Fingerprint, HeaderName,
    HostName, ImageId, InstanceProfileName, InstanceType, KmsKeyId, Owner, PipelineName, Region,
    SecurityGroupId, StageName, SubnetId, TagKey, UserName, VarName, ZoneLetter,
};
pub use variables::{Variable, Variables};
pub use volume::{Volume, VolumeType};
pub use wait_for::{
    CommandCheck, HttpCheck, JsonCondition, Vantage, WaitCondition, WaitFor, Wanted,
};

use crate::template::Template;
use std::collections::BTreeMap;

/// Tags by key.
pub type Tags = BTreeMap<Located<TagKey>, Template>;

//! What a pipeline file says, as types: the file's keys are the fields, and a value that has been made is a valid one.
//!
//! The types are read by [`crate::load()`] and used by the engine. `schemars` makes the reference and the editors' JSON
//! Schema from the same types, so their documentation comments speak to the person who writes a pipeline.

mod address;
mod connect;
mod copies;
mod files;
mod image;
mod launch;
mod located;
mod measure;
mod pipeline;
mod provision;
mod publish;
mod source;
mod spot;
mod stage;
mod test;
mod text;
mod variables;
mod volume;

pub use address::{Address, Bind, ElasticIp, ElasticIpChoice};
pub use connect::{Connect, HostKey, LoginKey, WaitCloudInit};
pub use copies::CopyTarget;
pub use files::{LocalFile, ScriptFile, UefiDataFile, UserDataFile};
pub use image::{BootMode, Image, ImageKind, Imds, Tpm};
pub use launch::{Egress, Launch, SshFrom, SubnetChoice};
pub use located::Located;
pub use measure::{Cidr, FileMode, Gib, Lifetime, TimeSpan};
pub use pipeline::{Aws, Output, OutputFormat, Pipeline};
pub use provision::{Commands, Need, Provisioner, Run, Upload, UploadSource};
pub use publish::{ImageParameter, OnConflict, ParameterRegions, Protection, Share};
pub use source::{Architecture, ImageFilter, Pick, RootDevice, Source, Virtualization};
pub use spot::{FallBack, Spot, SpotOptions};
pub use stage::{Cache, Cell, Recipe, Stages};
pub use test::{Test, TestLaunch};
pub use text::{
    AccountId, AllocationId, DeviceName, DollarsPerHour, EnvName, Fingerprint, HostName, ImageId,
    InstanceProfileName, InstanceType, KmsKeyId, OrganizationArn, OrganizationalUnitArn, Owner,
    PipelineName, Region, SecurityGroupId, StageName, SubnetId, TagKey, UserName, VarName,
    ZoneLetter,
};
pub use variables::{Variable, Variables};
pub use volume::{Volume, VolumeType};

use crate::template::Template;
use std::collections::BTreeMap;

/// Tags by key.
pub type Tags = BTreeMap<Located<TagKey>, Template>;

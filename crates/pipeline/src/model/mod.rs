//! What a pipeline file says, as types: the file's keys are the fields, and a value that has been made is a valid one.
//!
//! The types are read by [`crate::load()`] and used by the engine. `schemars` makes the reference and the editors' JSON
//! Schema from the same types, so their documentation comments speak to the person who writes a pipeline.

mod address;
mod ansible;
mod bastion;
mod connect;
mod extra_vars;
mod files;
mod image;
mod launch;
mod located;
mod measure;
mod pipeline;
mod provision;
mod proxy;
mod source;
mod spot;
mod stage;
mod text;
mod variables;
mod volume;

pub use address::{Address, Bind, ElasticIp, ElasticIpChoice};
pub use ansible::{Ansible, AnsibleLocal, GalaxyArchive, Requirements};
pub use bastion::{Bastion, BastionHostKey, BastionKey};
pub use connect::{Connect, HostKey, LoginKey, WaitCloudInit};
pub use extra_vars::{ExtraValue, ExtraVars};
pub use files::{LocalFile, ScriptFile, UserDataFile};
pub use image::{Image, Share};
pub use launch::{Egress, Launch, SshFrom, SubnetChoice};
pub use located::Located;
pub use measure::{Cidr, FileMode, Gib, Lifetime, TimeSpan};
pub use pipeline::{Aws, Output, OutputFormat, Pipeline};
pub use provision::{Commands, Need, Provisioner, Run, Upload, UploadSource};
pub use proxy::{Proxy, ProxyUrl};
pub use source::{Architecture, ImageFilter, Pick, RootDevice, Source, Virtualization};
pub use spot::{FallBack, Spot, SpotOptions};
pub use stage::{Cache, Cell, Recipe, Stages};
pub use text::{
    AccountId, AllocationId, AnsibleName, DeviceName, DollarsPerHour, EnvName, Fingerprint,
    GroupName, HostAlias, HostName, ImageId, InstanceProfileName, InstanceType, KeyPairName,
    KmsKeyId, Owner, PipelineName, Region, SecurityGroupId, StageName, SubnetId, TagKey, UserName,
    VarName, ZoneLetter,
};
pub use variables::{Variable, Variables};
pub use volume::{Volume, VolumeType};

use crate::template::Template;
use std::collections::BTreeMap;

/// Tags by key.
pub type Tags = BTreeMap<Located<TagKey>, Template>;

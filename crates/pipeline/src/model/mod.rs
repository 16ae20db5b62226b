//! What a pipeline file says, as types: the file's keys are the fields, and a value that has been made is a valid one.
//!
//! The types are read by [`crate::load()`] and used by the engine. `schemars` makes the reference and the editors' JSON
//! Schema from the same types, so their documentation comments speak to the person who writes a pipeline.

mod address;
mod connect;
mod entry;
mod files;
mod hosting;
mod image;
mod instance_profile;
mod later;
mod launch;
mod located;
mod matrix;
mod measure;
mod network;
mod output;
mod pipeline;
mod provision;
mod source;
mod spot;
mod stage;
mod text;
mod user_data;
mod variables;
mod volume;
mod word_or_map;

pub use address::{Address, Bind, ElasticIp, ElasticIpChoice};
pub use connect::{Connect, HostKey, LoginKey, WaitCloudInit};
pub use files::{LocalFile, ScriptFile, UserDataFile};
pub use hosting::{
    CapacityReservation, Credits, HopLimit, Metadata, OnShutdown, Placement, Tenancy,
};
pub use image::{Image, Share};
pub use instance_profile::{InstanceProfile, Policy, binding_statement};
pub use later::Later;
pub use launch::{Egress, Launch, SshFrom};
pub use located::Located;
pub use matrix::{Axes, Axis, Matrix, MatrixValues};
pub use measure::{Cidr, FileMode, Gib, Lifetime, TimeSpan};
pub use network::{
    GroupChoice, GroupFilter, PickSubnet, SubnetChoice, SubnetFilter, VpcChoice, VpcFilter,
};
pub use output::{
    Output, OutputContent, OutputFormat, OutputKind, Outputs, PairFormat, PairTemplates,
};
pub use pipeline::{Aws, Pipeline};
pub use provision::{Commands, Need, Provisioner, ProvisionerEntry, Run, Upload, UploadSource};
pub use source::{
    Architecture, Deprecated, ImageFilter, Pick, PipelineSource, RootDevice, Source, StageCell,
    Virtualization,
};
pub use spot::{FallBack, Spot, SpotOptions};
pub use stage::{Cache, Cell, Recipe, Stages};
pub use text::{
    AccountId, AllocationId, AxisName, CapacityReservationId, CellName, DeviceName, DollarsPerHour,
    EnvName, Fingerprint, HostId, HostName, ImageId, InstanceProfileName, InstanceType, KmsKeyId,
    Owner, ParameterName, PipelineName, PlacementGroupName, Region, ResourceGroupArn,
    SecurityGroupId, SnapshotId, StageName, SubnetId, TagKey, UserName, VarName, VpcId, ZoneLetter,
};
pub use user_data::UserData;
pub use variables::{Variable, Variables};
pub use volume::{Volume, VolumeType};

use crate::template::Template;
use std::collections::BTreeMap;

/// Tags by key.
pub type Tags = BTreeMap<Located<TagKey>, Template>;

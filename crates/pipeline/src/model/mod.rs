//! What a pipeline file says, as types: the file's keys are the fields, and a value that has been made is a valid one.
//!
//! The types are read by [`crate::load()`] and used by the engine. `schemars` makes the reference and the editors' JSON
//! Schema from the same types, so their documentation comments speak to the person who writes a pipeline.

mod address;
mod ansible;
mod bastion;
mod checksum;
mod connect;
mod copies;
mod download;
mod entry;
mod extra_vars;
mod files;
mod glob;
mod hosting;
mod image;
mod import;
mod import_file;
mod import_text;
mod instance_profile;
mod json_path;
mod later;
mod launch;
mod located;
mod matrix;
mod measure;
mod network;
mod output;
mod pause;
mod pipeline;
mod preflight;
mod provision;
mod provisioner;
mod proxy;
mod publish;
mod reboot;
mod shared;
mod source;
mod spot;
mod stage;
mod test;
mod text;
mod user_data;
mod variables;
mod volume;
mod wait_for;
mod word_or_map;

pub use address::{Address, Bind, ElasticIp, ElasticIpChoice};
pub use ansible::{Ansible, AnsibleLocal, GalaxyArchive, Requirements};
pub use bastion::{Bastion, BastionHostKey, BastionKey};
pub use checksum::Checksum;
pub use connect::{Connect, HostKey, LoginKey, WaitCloudInit};
pub use copies::CopyTarget;
pub use download::Download;
pub use extra_vars::{ExtraValue, ExtraVars};
pub use files::{LocalFile, Presence, ScriptFile, UefiDataFile, UserDataFile};
pub use glob::Glob;
pub use hosting::{
    CapacityReservation, Credits, HopLimit, Metadata, OnShutdown, Placement, Tenancy,
};
pub use image::{BootMode, Image, ImageKind, Imds, Tpm};
pub use import::{
    BackingFile, ChecksumList, Holes, Import, ImportAttempts, ImportChecksum, ImportFormat,
    ImportOrigin, UploadAs, Via,
};
pub(crate) use import_file::ImportFile;
pub use import_text::{BucketName, DownloadUrl, ListedName, RoleName};
pub use instance_profile::{InstanceProfile, Policy, binding_statement};
pub use json_path::JsonPath;
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
pub use pause::{Breakpoint, Pause};
pub use pipeline::{Aws, Pipeline};
pub use preflight::{PreflightAction, PreflightEntry};
pub use provision::{Commands, Need, Place, Provisioner, Run, Upload, UploadSource};
pub use provisioner::{CellChoice, ProvisionerEntry, Retry};
pub use proxy::{Proxy, ProxyUrl};
pub use publish::{ImageParameter, OnConflict, ParameterRegions, Protection, Share};
pub use reboot::Reboot;
pub use shared::{Maps, Profile, Profiles, StepSets};
pub use source::{
    Architecture, Deprecated, ImageFilter, Pick, PipelineSource, RootDevice, Source, StageCell,
    Virtualization,
};
pub use spot::{FallBack, Spot, SpotOptions};
pub use stage::{Cache, Cell, Recipe, Stages};
pub use test::{Test, TestLaunch};
pub(crate) use text::Scalar;
pub use text::{
    AccountId, AllocationId, AnsibleName, AxisName, CapacityReservationId, CellName, DeviceName,
    DollarsPerHour, EnvName, Fingerprint, GroupName, HeaderName, HostAlias, HostId, HostName,
    ImageId, InstanceProfileName, InstanceType, KeyPairName, KmsKeyId, Label, OrganizationArn,
    OrganizationalUnitArn, Owner, ParameterName, PipelineName, PlacementGroupName, Region,
    ResourceGroupArn, SecurityGroupId, SnapshotId, StageName, SubnetId, TagKey, UserName, VarName,
    VpcId, ZoneLetter,
};
pub use user_data::UserData;
pub use variables::{Variable, Variables};
pub use volume::{Volume, VolumeType};
pub use wait_for::{
    CommandCheck, HttpCheck, JsonCondition, Vantage, WaitCondition, WaitFor, Wanted,
};

use crate::template::Template;
use std::collections::BTreeMap;

/// Tags by key.
pub type Tags = BTreeMap<Located<TagKey>, Template>;

//! EC2, version 2016-11-15: one file for each family of resources.

pub mod addresses;
pub mod attributes;
pub mod block_devices;
pub mod capacity_reservations;
pub mod client_token;
pub mod console;
pub mod filter;
pub mod hosts;
pub mod image_attributes;
pub mod image_copy;
pub mod image_creation;
pub mod image_protection;
pub mod image_registration;
pub mod image_view;
pub mod images;
pub mod import_snapshot;
pub mod instance_credits;
pub mod instance_states;
pub mod instance_types;
pub mod instance_view;
pub mod instances;
pub mod key_pairs;
pub mod launch_checks;
pub mod launch_hosting;
pub mod launch_options;
pub mod launch_place;
pub mod launch_templates;
pub mod network;
pub mod page;
pub mod params;
pub mod permissions;
pub mod placement_groups;
pub mod places;
pub mod public_access;
pub mod run_instances;
pub mod security_groups;
pub mod security_rules;
pub mod security_rules_view;
pub mod snapshot_copy;
pub mod snapshot_creation;
pub mod snapshots;
pub mod spot;
pub mod subnets;
pub mod tag_specs;
pub mod tags;
pub mod volume_limits;
pub mod volumes;
pub mod vpcs;
pub mod xml;

use super::Cx;
use super::error::ApiError;
use params::{Params, Scope};
use xml::Xml;

/// An EC2 action: read whole, then carried out.
pub(crate) trait Action: Sized {
    /// Reads it. Whatever it does not read is refused.
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError>;

    /// Carries it out. If it fails, what it changed of the account is thrown away.
    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError>;
}

/// Whether an action can change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only looks.
    Read,
    /// It may change something.
    Write,
}

/// An action of the table.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Whether it can change anything.
    pub access: Access,
    /// Carries it out.
    pub run: fn(&Params, &mut Cx<'_>) -> Result<Xml, ApiError>,
}

/// The version that clients must ask for.
pub const VERSION: &str = "2016-11-15";

fn carry_out<A: Action>(params: &Params, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
    let top = params.top();
    let action = A::parse(&top)?;
    let dry_run = top.flag("DryRun")?.unwrap_or(false);
    for name in ["Action", "Version"] {
        let _ = top.text(name);
    }
    params.finish()?;
    // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html: DryRun answers with an error
    // whether the caller would have been allowed to. Permission has been checked before.
    if dry_run {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(ApiError::new("DryRunOperation", message).with_status(412));
    }
    action.run(cx)
}

/// The answer of an action that returns nothing but success.
pub(crate) fn done() -> Xml {
    let mut x = Xml::new();
    x.put("return", true);
    x
}

/// The action of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ACTIONS.iter().find(|e| e.name == name)
}

const fn read<A: Action>(name: &'static str) -> Entry {
    Entry {
        name,
        access: Access::Read,
        run: carry_out::<A>,
    }
}

const fn write<A: Action>(name: &'static str) -> Entry {
    Entry {
        name,
        access: Access::Write,
        run: carry_out::<A>,
    }
}

/// Every action there is.
pub static ACTIONS: &[Entry] = &[
    write::<addresses::AllocateAddress>("AllocateAddress"),
    write::<addresses::AssociateAddress>("AssociateAddress"),
    read::<addresses::DescribeAddresses>("DescribeAddresses"),
    write::<addresses::DisassociateAddress>("DisassociateAddress"),
    write::<addresses::ReleaseAddress>("ReleaseAddress"),
    read::<attributes::DescribeInstanceAttribute>("DescribeInstanceAttribute"),
    write::<attributes::ModifyInstanceAttribute>("ModifyInstanceAttribute"),
    write::<attributes::ModifyInstanceMetadataOptions>("ModifyInstanceMetadataOptions"),
    write::<capacity_reservations::CancelCapacityReservation>("CancelCapacityReservation"),
    write::<capacity_reservations::CreateCapacityReservation>("CreateCapacityReservation"),
    read::<capacity_reservations::DescribeCapacityReservations>("DescribeCapacityReservations"),
    read::<console::GetConsoleOutput>("GetConsoleOutput"),
    write::<hosts::AllocateHosts>("AllocateHosts"),
    read::<hosts::DescribeHosts>("DescribeHosts"),
    write::<hosts::ReleaseHosts>("ReleaseHosts"),
    read::<image_attributes::DescribeImageAttribute>("DescribeImageAttribute"),
    write::<image_attributes::DisableImageDeprecation>("DisableImageDeprecation"),
    write::<image_attributes::EnableImageDeprecation>("EnableImageDeprecation"),
    write::<image_attributes::ModifyImageAttribute>("ModifyImageAttribute"),
    write::<image_attributes::ResetImageAttribute>("ResetImageAttribute"),
    write::<spot::CancelSpotInstanceRequests>("CancelSpotInstanceRequests"),
    read::<spot::DescribeSpotInstanceRequests>("DescribeSpotInstanceRequests"),
    write::<image_copy::CopyImage>("CopyImage"),
    write::<image_creation::CreateImage>("CreateImage"),
    write::<image_protection::DisableImageDeregistrationProtection>(
        "DisableImageDeregistrationProtection",
    ),
    write::<image_protection::EnableImageDeregistrationProtection>(
        "EnableImageDeregistrationProtection",
    ),
    write::<image_registration::RegisterImage>("RegisterImage"),
    write::<images::DeregisterImage>("DeregisterImage"),
    read::<images::DescribeImages>("DescribeImages"),
    read::<instance_credits::DescribeInstanceCreditSpecifications>(
        "DescribeInstanceCreditSpecifications",
    ),
    write::<instance_states::RebootInstances>("RebootInstances"),
    write::<instance_states::StartInstances>("StartInstances"),
    write::<instance_states::StopInstances>("StopInstances"),
    write::<instance_states::TerminateInstances>("TerminateInstances"),
    read::<instance_types::DescribeInstanceTypeOfferings>("DescribeInstanceTypeOfferings"),
    read::<instance_types::DescribeInstanceTypes>("DescribeInstanceTypes"),
    read::<instances::DescribeIamInstanceProfileAssociations>(
        "DescribeIamInstanceProfileAssociations",
    ),
    read::<instances::DescribeInstanceStatus>("DescribeInstanceStatus"),
    read::<instances::DescribeInstances>("DescribeInstances"),
    write::<key_pairs::CreateKeyPair>("CreateKeyPair"),
    write::<key_pairs::DeleteKeyPair>("DeleteKeyPair"),
    read::<key_pairs::DescribeKeyPairs>("DescribeKeyPairs"),
    write::<key_pairs::ImportKeyPair>("ImportKeyPair"),
    write::<launch_templates::CreateLaunchTemplate>("CreateLaunchTemplate"),
    write::<launch_templates::CreateLaunchTemplateVersion>("CreateLaunchTemplateVersion"),
    write::<launch_templates::DeleteLaunchTemplate>("DeleteLaunchTemplate"),
    read::<launch_templates::DescribeLaunchTemplateVersions>("DescribeLaunchTemplateVersions"),
    read::<launch_templates::DescribeLaunchTemplates>("DescribeLaunchTemplates"),
    read::<network::DescribeNetworkInterfaces>("DescribeNetworkInterfaces"),
    write::<placement_groups::CreatePlacementGroup>("CreatePlacementGroup"),
    write::<placement_groups::DeletePlacementGroup>("DeletePlacementGroup"),
    read::<placement_groups::DescribePlacementGroups>("DescribePlacementGroups"),
    read::<places::DescribeAccountAttributes>("DescribeAccountAttributes"),
    read::<places::DescribeAvailabilityZones>("DescribeAvailabilityZones"),
    read::<places::DescribeRegions>("DescribeRegions"),
    write::<public_access::DisableImageBlockPublicAccess>("DisableImageBlockPublicAccess"),
    write::<public_access::DisableSnapshotBlockPublicAccess>("DisableSnapshotBlockPublicAccess"),
    write::<public_access::EnableImageBlockPublicAccess>("EnableImageBlockPublicAccess"),
    write::<public_access::EnableSnapshotBlockPublicAccess>("EnableSnapshotBlockPublicAccess"),
    read::<public_access::GetImageBlockPublicAccessState>("GetImageBlockPublicAccessState"),
    read::<public_access::GetSnapshotBlockPublicAccessState>("GetSnapshotBlockPublicAccessState"),
    write::<run_instances::RunInstances>("RunInstances"),
    write::<security_groups::CreateSecurityGroup>("CreateSecurityGroup"),
    write::<security_groups::DeleteSecurityGroup>("DeleteSecurityGroup"),
    read::<security_groups::DescribeSecurityGroups>("DescribeSecurityGroups"),
    read::<security_rules_view::DescribeSecurityGroupRules>("DescribeSecurityGroupRules"),
    write::<security_rules::AuthorizeIngress>("AuthorizeSecurityGroupIngress"),
    write::<security_rules::AuthorizeEgress>("AuthorizeSecurityGroupEgress"),
    write::<security_rules::RevokeIngress>("RevokeSecurityGroupIngress"),
    write::<security_rules::RevokeEgress>("RevokeSecurityGroupEgress"),
    write::<import_snapshot::CancelImportTask>("CancelImportTask"),
    read::<import_snapshot::DescribeImportSnapshotTasks>("DescribeImportSnapshotTasks"),
    write::<import_snapshot::ImportSnapshot>("ImportSnapshot"),
    write::<snapshot_copy::CopySnapshot>("CopySnapshot"),
    write::<snapshot_creation::CreateSnapshot>("CreateSnapshot"),
    write::<snapshot_creation::CreateSnapshots>("CreateSnapshots"),
    write::<snapshots::DeleteSnapshot>("DeleteSnapshot"),
    read::<snapshots::DescribeSnapshots>("DescribeSnapshots"),
    read::<permissions::DescribeSnapshotAttribute>("DescribeSnapshotAttribute"),
    write::<permissions::ModifySnapshotAttribute>("ModifySnapshotAttribute"),
    write::<permissions::ResetSnapshotAttribute>("ResetSnapshotAttribute"),
    write::<subnets::AssociateSubnetCidrBlock>("AssociateSubnetCidrBlock"),
    write::<subnets::CreateSubnet>("CreateSubnet"),
    write::<subnets::DeleteSubnet>("DeleteSubnet"),
    read::<subnets::DescribeSubnets>("DescribeSubnets"),
    write::<subnets::ModifySubnetAttribute>("ModifySubnetAttribute"),
    write::<tags::CreateTags>("CreateTags"),
    write::<tags::DeleteTags>("DeleteTags"),
    read::<tags::DescribeTags>("DescribeTags"),
    write::<volumes::CreateVolume>("CreateVolume"),
    write::<volumes::DeleteVolume>("DeleteVolume"),
    read::<volumes::DescribeVolumes>("DescribeVolumes"),
    write::<vpcs::AssociateVpcCidrBlock>("AssociateVpcCidrBlock"),
    write::<vpcs::CreateDefaultVpc>("CreateDefaultVpc"),
    write::<vpcs::CreateVpc>("CreateVpc"),
    write::<vpcs::DeleteVpc>("DeleteVpc"),
    read::<vpcs::DescribeVpcs>("DescribeVpcs"),
];

//! Calls with `DryRun`: EC2 checks whether it would do them, and does nothing.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
//!
//! ```text
//!   the call, DryRun=true ─▶ DryRunOperation ──────────────▶ Allowed
//!                         ─▶ UnauthorizedOperation … ──────▶ Denied
//!                         ─▶ no such resource, its state ──▶ Unknown
//!                         ─▶ anything else ────────────────▶ the error
//! ```
//!
//! Calls on what a run will have made are asked about with ids that nothing has. EC2 looks at the permission first in most
//! of them; where it looks for the resource first, the answer is [`Verdict::Unknown`].

use crate::answer::unreadable;
use crate::classify::failed;
use crate::{images, launch, snapshots, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::primitives::{Blob, DateTime};
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, IpPermission, IpRange,
    LaunchPermission, LaunchPermissionModifications, ResourceType, SnapshotAttributeName, Tag,
};
use cloud::port::Result;
use cloud::{CloudError, DryRun, ErrorKind, InstanceId, SnapshotsRequest, Tags, Verdict};
use std::error::Error;

// Well-formed, and nobody's.
const IMAGE: &str = "ami-00000000000000000";
const INSTANCE: &str = "i-00000000000000000";
const SNAPSHOT: &str = "snap-00000000000000000";
const GROUP: &str = "sg-00000000000000000";
const ALLOCATION: &str = "eipalloc-00000000000000000";
const ASSOCIATION: &str = "eipassoc-00000000000000000";
const ACCOUNT: &str = "000000000000";
/// What no run names anything.
const NAME: &str = "qib-dry-run";
/// A key of nobody's: its point is 32 zeros.
const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where EC2's words about a refusal end and those for its own eyes begin: kilobytes, which
/// `aws sts decode-authorization-message` could read.
const ENCODED: &str = "Encoded authorization failure message:";

/// Asks about one call.
pub(crate) async fn ask(ec2: &Client, call: &DryRun) -> Result<Verdict> {
    let instance = || InstanceId::from(INSTANCE);
    match call {
        DryRun::RunInstances(request) => judged(
            "RunInstances",
            launch::parameters(ec2.run_instances(), request)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::CreateImage(request) => judged(
            "CreateImage",
            images::create_parameters(ec2.create_image(), request)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::CreateSnapshots => {
            let request = SnapshotsRequest {
                instance_id: instance(),
                excluded: Vec::new(),
                description: String::new(),
                tags: Tags::new(),
            };
            judged(
                "CreateSnapshots",
                snapshots::create_parameters(ec2.create_snapshots(), &request)
                    .dry_run(true)
                    .send()
                    .await,
            )
        }
        DryRun::RegisterImage(request) => judged(
            "RegisterImage",
            images::register_parameters(ec2.register_image(), request)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::CopyImage(request) => judged(
            "CopyImage",
            images::copy_parameters(ec2.copy_image(), request)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::ImportKeyPair { tags } => judged(
            "ImportKeyPair",
            ec2.import_key_pair()
                .key_name(NAME)
                .public_key_material(Blob::new(PUBLIC_KEY))
                .set_tag_specifications(tagging::specifications([(
                    ResourceType::KeyPair,
                    tags.clone(),
                )]))
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::SecurityGroup { tags } => security_group(ec2, tags).await,
        DryRun::Address => address(ec2).await,
        DryRun::CreateTags => judged(
            "CreateTags",
            ec2.create_tags()
                .resources(IMAGE)
                .tags(Tag::builder().key("qib:complete").value("yes").build())
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::StopInstances => judged(
            "StopInstances",
            ec2.stop_instances()
                .instance_ids(INSTANCE)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::TerminateInstances => judged(
            "TerminateInstances",
            ec2.terminate_instances()
                .instance_ids(INSTANCE)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::ModifyInstanceAttribute => judged(
            "ModifyInstanceAttribute",
            ec2.modify_instance_attribute()
                .instance_id(INSTANCE)
                .groups(GROUP)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::GetConsoleOutput => judged(
            "GetConsoleOutput",
            ec2.get_console_output()
                .instance_id(INSTANCE)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::ModifyImageAttribute { .. }
        | DryRun::ModifySnapshotAttribute
        | DryRun::DeregisterImage
        | DryRun::DeleteSnapshot
        | DryRun::EnableImageDeprecation
        | DryRun::EnableImageDeregistrationProtection => of_an_image(ec2, call).await,
    }
}

/// The calls on images and snapshots that there are already by then.
async fn of_an_image(ec2: &Client, call: &DryRun) -> Result<Verdict> {
    match call {
        DryRun::ModifyImageAttribute { image } => {
            let permission = LaunchPermission::builder().user_id(ACCOUNT).build();
            let change = LaunchPermissionModifications::builder().add(permission);
            judged(
                "ModifyImageAttribute",
                ec2.modify_image_attribute()
                    .image_id(image.as_ref().map_or(IMAGE, |image| image.as_str()))
                    .launch_permission(change.build())
                    .dry_run(true)
                    .send()
                    .await,
            )
        }
        DryRun::ModifySnapshotAttribute => {
            let permission = CreateVolumePermission::builder().user_id(ACCOUNT).build();
            let change = CreateVolumePermissionModifications::builder().add(permission);
            judged(
                "ModifySnapshotAttribute",
                ec2.modify_snapshot_attribute()
                    .snapshot_id(SNAPSHOT)
                    .attribute(SnapshotAttributeName::CreateVolumePermission)
                    .create_volume_permission(change.build())
                    .dry_run(true)
                    .send()
                    .await,
            )
        }
        DryRun::DeregisterImage => judged(
            "DeregisterImage",
            ec2.deregister_image()
                .image_id(IMAGE)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::DeleteSnapshot => judged(
            "DeleteSnapshot",
            ec2.delete_snapshot()
                .snapshot_id(SNAPSHOT)
                .dry_run(true)
                .send()
                .await,
        ),
        DryRun::EnableImageDeprecation => judged(
            "EnableImageDeprecation",
            ec2.enable_image_deprecation()
                .image_id(IMAGE)
                // Any day to come; this one is far.
                .deprecate_at(DateTime::from_secs(4_000_000_000))
                .dry_run(true)
                .send()
                .await,
        ),
        _ => judged(
            "EnableImageDeregistrationProtection",
            ec2.enable_image_deregistration_protection()
                .image_id(IMAGE)
                .with_cooldown(false)
                .dry_run(true)
                .send()
                .await,
        ),
    }
}

async fn security_group(ec2: &Client, tags: &Tags) -> Result<Verdict> {
    let created = judged(
        "CreateSecurityGroup",
        ec2.create_security_group()
            .group_name(NAME)
            .description(NAME)
            .set_tag_specifications(tagging::specifications([(
                ResourceType::SecurityGroup,
                tags.clone(),
            )]))
            .dry_run(true)
            .send()
            .await,
    )?;
    let range = IpRange::builder().cidr_ip("192.0.2.1/32").build();
    let rule = IpPermission::builder().ip_protocol("tcp").ip_ranges(range);
    let opened = judged(
        "AuthorizeSecurityGroupIngress",
        ec2.authorize_security_group_ingress()
            .group_id(GROUP)
            .ip_permissions(rule.from_port(22).to_port(22).build())
            .dry_run(true)
            .send()
            .await,
    )?;
    Ok(worse(created, opened))
}

async fn address(ec2: &Client) -> Result<Verdict> {
    let bound = judged(
        "AssociateAddress",
        ec2.associate_address()
            .allocation_id(ALLOCATION)
            .instance_id(INSTANCE)
            .allow_reassociation(false)
            .dry_run(true)
            .send()
            .await,
    )?;
    let freed = judged(
        "DisassociateAddress",
        ec2.disassociate_address()
            .association_id(ASSOCIATION)
            .dry_run(true)
            .send()
            .await,
    )?;
    Ok(worse(bound, freed))
}

/// Of two calls that are both needed.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (&one, &other) {
        (Verdict::Denied(_), _) => one,
        (_, Verdict::Denied(_)) => other,
        (Verdict::Unknown(_), _) => one,
        _ => other,
    }
}

/// What the answer to a call with `DryRun` means. An answer without an error means that something stands in for EC2 which
/// does not know the parameter, and has done what it was only asked about.
pub(crate) fn judged<T, E>(
    operation: &'static str,
    answer: std::result::Result<T, SdkError<E, HttpResponse>>,
) -> Result<Verdict>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let Err(error) = answer.map_err(failed(operation)) else {
        return Err(CloudError {
            message: "the endpoint does not know DryRun: it has carried the call out".to_owned(),
            ..unreadable(operation)
        });
    };
    verdict(error)
}

fn verdict(error: CloudError) -> Result<Verdict> {
    /// Of KMS.
    const ALSO: &str = "DryRunOperationException";
    match (error.code.as_str(), error.kind) {
        ("DryRunOperation" | ALSO, _) => Ok(Verdict::Allowed),
        (_, ErrorKind::AccessDenied) => Ok(Verdict::Denied(words(&error))),
        (_, ErrorKind::NotFound | ErrorKind::WrongState) => Ok(Verdict::Unknown(words(&error))),
        _ => Err(error),
    }
}

/// EC2's words, with the call that they are about.
fn words(error: &CloudError) -> String {
    let said = error.message.split(ENCODED).next().unwrap_or_default();
    format!("{}: {} ({})", error.operation, said.trim_end(), error.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: &str, kind: ErrorKind, message: &str) -> Result<Verdict> {
        verdict(CloudError {
            code: code.to_owned(),
            kind,
            message: message.to_owned(),
            ..unreadable("RunInstances")
        })
    }

    #[test]
    fn a_refusal_is_told_without_what_is_encoded() {
        let said = "You are not authorized to perform this operation. User: arn:aws:iam::1:user/b is not authorized to \
                    perform: ec2:RunInstances. Encoded authorization failure message: kQ3ZmVtb";
        let verdict = answered("UnauthorizedOperation", ErrorKind::AccessDenied, said).unwrap();
        let Verdict::Denied(words) = verdict else {
            panic!("{verdict:?}")
        };
        assert!(
            words.starts_with("RunInstances: You are not authorized"),
            "{words}"
        );
        assert!(
            words.ends_with("ec2:RunInstances. (UnauthorizedOperation)"),
            "{words}"
        );
    }

    #[test]
    fn what_is_not_there_says_nothing_of_permissions_and_other_errors_stay_errors() {
        let missing = answered("InvalidInstanceID.NotFound", ErrorKind::NotFound, "none");
        assert!(matches!(missing, Ok(Verdict::Unknown(_))), "{missing:?}");
        let throttled = answered("RequestLimitExceeded", ErrorKind::Throttled, "later");
        assert_eq!(throttled.unwrap_err().kind, ErrorKind::Throttled);
        let wrong = answered("InvalidParameterValue", ErrorKind::InvalidInput, "no");
        assert_eq!(wrong.unwrap_err().kind, ErrorKind::InvalidInput);
    }

    #[test]
    fn of_two_verdicts_the_worse_one_counts() {
        let (denied, unknown) = (Verdict::Denied("d".into()), Verdict::Unknown("u".into()));
        assert_eq!(worse(Verdict::Allowed, Verdict::Allowed), Verdict::Allowed);
        assert_eq!(worse(Verdict::Allowed, unknown.clone()), unknown);
        assert_eq!(worse(unknown.clone(), Verdict::Allowed), unknown);
        assert_eq!(worse(unknown, denied.clone()), denied);
    }
}

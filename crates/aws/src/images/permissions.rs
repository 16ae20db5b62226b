//! Who may launch an image: DescribeImageAttribute, ModifyImageAttribute, GetImageBlockPublicAccessState.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    ImageAttributeName, LaunchPermission, LaunchPermissionModifications, PermissionGroup,
};
use cloud::port::Result;
use cloud::{AccountId, Grant, ImageId, Permissions, PublicSharing};

pub(crate) async fn permissions(ec2: &Client, image: &ImageId) -> Result<Permissions> {
    const CALL: &str = "DescribeImageAttribute";
    let answer = ec2
        .describe_image_attribute()
        .image_id(image.as_str())
        .attribute(ImageAttributeName::LaunchPermission)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(image))?;
    let mut permissions = Permissions::default();
    for answered in answer.launch_permissions() {
        add(&mut permissions, answered).map_err(|bad| BadAnswer::to(CALL)(bad).about(image))?;
    }
    Ok(permissions)
}

/// A kind of permission that is not known here must not be taken for none.
fn add(
    permissions: &mut Permissions,
    answered: &LaunchPermission,
) -> std::result::Result<(), BadAnswer> {
    let LaunchPermission {
        group,
        user_id,
        organization_arn,
        organizational_unit_arn,
        ..
    } = answered;
    match (group, user_id, organization_arn, organizational_unit_arn) {
        (Some(PermissionGroup::All), ..) => permissions.public = true,
        (Some(other), ..) => {
            return Err(BadAnswer {
                field: "group",
                value: Some(other.as_str().to_owned()),
            });
        }
        (_, Some(account), ..) => {
            permissions
                .accounts
                .insert(AccountId::from(account.as_str()));
        }
        (_, _, Some(organization), _) => {
            permissions.organizations.insert(organization.clone());
        }
        (_, _, _, Some(unit)) => {
            permissions.organizational_units.insert(unit.clone());
        }
        (None, None, None, None) => {
            return Err(BadAnswer {
                field: "launchPermission",
                value: Some("empty".to_owned()),
            });
        }
    }
    Ok(())
}

pub(crate) async fn change_permissions(
    ec2: &Client,
    image: &ImageId,
    grant: Grant,
    permissions: &Permissions,
) -> Result<()> {
    if permissions.is_empty() {
        return Ok(());
    }
    let permissions = Some(launch_permissions(permissions));
    let change = LaunchPermissionModifications::builder();
    let change = match grant {
        Grant::Add => change.set_add(permissions),
        Grant::Remove => change.set_remove(permissions),
    };
    ec2.modify_image_attribute()
        .image_id(image.as_str())
        .launch_permission(change.build())
        .send()
        .await
        .map_err(|error| failed("ModifyImageAttribute")(error).about(image))?;
    Ok(())
}

fn launch_permissions(permissions: &Permissions) -> Vec<LaunchPermission> {
    let one = LaunchPermission::builder;
    let accounts = permissions.accounts.iter();
    let organizations = permissions.organizations.iter();
    let units = permissions.organizational_units.iter();
    accounts
        .map(|account| one().user_id(account.as_str()).build())
        .chain(organizations.map(|arn| one().organization_arn(arn).build()))
        .chain(units.map(|arn| one().organizational_unit_arn(arn).build()))
        .chain(
            permissions
                .public
                .then(|| one().group(PermissionGroup::All).build()),
        )
        .collect()
}

/// `unblocked` or `block-new-sharing`; what else there may be, blocks something.
pub(crate) async fn public_sharing(ec2: &Client) -> Result<PublicSharing> {
    const CALL: &str = "GetImageBlockPublicAccessState";
    let answer = ec2
        .get_image_block_public_access_state()
        .send()
        .await
        .map_err(failed(CALL))?;
    let state = required(
        answer.image_block_public_access_state(),
        "imageBlockPublicAccessState",
    )
    .map_err(BadAnswer::to(CALL))?;
    Ok(match state {
        "unblocked" => PublicSharing::Allowed,
        _ => PublicSharing::Blocked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_of_an_unknown_kind_is_a_bad_answer() {
        let mut permissions = Permissions::default();
        let strange = LaunchPermission::builder().group(PermissionGroup::from("friends"));
        let error = add(&mut permissions, &strange.build()).unwrap_err();
        assert_eq!(error.value.as_deref(), Some("friends"));
        let empty = LaunchPermission::builder().build();
        assert!(add(&mut permissions, &empty).is_err());
        assert!(permissions.is_empty());
    }
}

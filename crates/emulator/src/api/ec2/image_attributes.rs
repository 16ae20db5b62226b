//! Attributes of images.

use super::image_view;
use super::images::own;
use super::params::Scope;
use super::permissions::{self, PermissionChange, Shared};
use super::snapshots::description;
use super::xml::Xml;
use super::{Action, done};
use crate::account::image::{Image, Permission};
use crate::account::public_access::PublicImages;
use crate::account::quotas::Quota;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::ImageId;
use jiff::Timestamp;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html>
pub(crate) struct ModifyImageAttribute {
    id: ImageId,
    change: Change,
}

enum Change {
    LaunchPermission(PermissionChange),
    Description(String),
    ImdsSupport,
}

impl Action for ModifyImageAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let id = ImageId::parse(p.required("ImageId")?)?;
        let attribute = p.word(
            "Attribute",
            &["launchPermission", "description", "imdsSupport"],
        )?;
        let permission = PermissionChange::parse(p, Shared::Image)?;
        let text = p.inside("Description");
        let imds = p.inside("ImdsSupport").word("Value", &["v2.0"])?;
        let value = p.text("Value");
        let mut changes = Vec::new();
        if !permission.is_empty() {
            changes.push(Change::LaunchPermission(permission));
        }
        if let Some(new) = text
            .text("Value")
            .or(value.filter(|_| attribute == Some("description")))
        {
            description(p)?;
            changes.push(Change::Description(new.to_owned()));
        }
        if imds.is_some() || (attribute == Some("imdsSupport") && value == Some("v2.0")) {
            changes.push(Change::ImdsSupport);
        }
        match changes.len() {
            0 => Err(ApiError::missing("Attribute")),
            1 => Ok(Self {
                id,
                change: changes.remove(0),
            }),
            _ => Err(ApiError::combination(
                "Fields for multiple attribute types specified",
            )),
        }
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let image = own(cx, &self.id)?.clone();
        if let Change::LaunchPermission(change) = &self.change {
            check_sharing(cx, &image, change)?;
        }
        let image = own(cx, &self.id)?;
        match self.change {
            Change::LaunchPermission(change) => change.apply(&mut image.launch_permission),
            Change::Description(text) => image.description = text,
            // "You can't change this back": https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-IMDS-new-instances-ami-configuration.html
            Change::ImdsSupport => image.imds_support = Some("v2.0".to_owned()),
        }
        Ok(done())
    }
}

/// What must not be shared, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-intro.html>,
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/block-public-access-to-amis.html> and
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-quotas.html>.
fn check_sharing(
    cx: &mut Cx<'_>,
    image: &Image,
    change: &PermissionChange,
) -> Result<(), ApiError> {
    if !change.adds() {
        return Ok(());
    }
    let (most_public, most_shared) = (
        cx.quotas().count(Quota::PublicImages),
        cx.quotas().count(Quota::ImageSharing),
    );
    let region = cx.region();
    let not_permitted = |message: &str| Err(ApiError::new("OperationNotPermitted", message));
    let snapshots = || image.snapshots().filter_map(|id| region.snapshots.get(id));
    if change.adds_all() && !image.launch_permission.all {
        if region.public_images != PublicImages::Unblocked {
            return not_permitted(
                "Public sharing of AMIs is blocked for this account by block public access for AMIs",
            );
        }
        // "If an AMI has a product code, or contains a snapshot of an encrypted volume, you can't make it public."
        if !image.product_codes.is_empty() {
            return not_permitted("An AMI with a product code cannot be made public");
        }
        if snapshots().any(|s| s.encrypted) {
            return not_permitted("An AMI with encrypted snapshots cannot be made public");
        }
        let public = region.images.values().filter(|i| i.launch_permission.all);
        if public.count() >= most_public {
            return Err(ApiError::new(
                "ResourceLimitExceeded",
                "You have reached the maximum number of public AMIs in this Region",
            ));
        }
    }
    if snapshots().any(|s| s.encrypted && !region.keys.is_shareable(s.kms_key.as_deref())) {
        return Err(ApiError::new(
            "InvalidParameter",
            "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
        ));
    }
    let mut after = image.launch_permission.clone();
    change.clone().apply(&mut after);
    if after.entities() > most_shared {
        return Err(ApiError::new(
            "ResourceLimitExceeded",
            format!(
                "AMI {} is shared with the maximum number of entities",
                image.id
            ),
        ));
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageAttribute.html>
pub(crate) struct DescribeImageAttribute {
    id: ImageId,
    attribute: &'static str,
}

impl Action for DescribeImageAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let known = [
            "description",
            "kernel",
            "ramdisk",
            "launchPermission",
            "productCodes",
            "blockDeviceMapping",
            "sriovNetSupport",
            "bootMode",
            "tpmSupport",
            "uefiData",
            "lastLaunchedTime",
            "imdsSupport",
            "deregistrationProtection",
        ];
        let attribute = p
            .word("Attribute", &known)?
            .ok_or_else(|| ApiError::missing("Attribute"))?;
        Ok(Self {
            id: ImageId::parse(p.required("ImageId")?)?,
            attribute,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, reported) = (cx.now, cx.timing.launch_reported);
        let image = own(cx, &self.id)?;
        let mut x = Xml::new();
        x.put("imageId", &self.id);
        let value = match self.attribute {
            "launchPermission" => {
                permissions::write(&mut x, "launchPermission", &image.launch_permission);
                return Ok(x);
            }
            "productCodes" => {
                image_view::product_codes(&mut x, &image.product_codes);
                return Ok(x);
            }
            // "Using this attribute returns the Client.AuthFailure error."
            "blockDeviceMapping" => {
                let message = "Unauthorized attempt to access restricted resource";
                return Err(ApiError::new("AuthFailure", message).with_status(403));
            }
            "description" => Some(image.description.clone()),
            "kernel" => image.kernel.clone(),
            "ramdisk" => None,
            "sriovNetSupport" => image.sriov_net_support.clone(),
            "bootMode" => image.boot_mode.clone(),
            "tpmSupport" => image.tpm_support.clone(),
            "uefiData" => image.uefi_data.clone(),
            "lastLaunchedTime" => image_view::last_launched(image, now, reported),
            "deregistrationProtection" => Some(image.protection.shown(now)),
            _ => image.imds_support.clone(),
        };
        x.node(self.attribute, |x| {
            x.maybe("value", value);
        });
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetImageAttribute.html>
pub(crate) struct ResetImageAttribute {
    id: ImageId,
}

impl Action for ResetImageAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.word("Attribute", &["launchPermission"])?
            .ok_or_else(|| ApiError::missing("Attribute"))?;
        Ok(Self {
            id: ImageId::parse(p.required("ImageId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        own(cx, &self.id)?.launch_permission = Permission::default();
        Ok(done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html>
pub(crate) struct EnableImageDeprecation {
    id: ImageId,
    at: Timestamp,
}

impl Action for EnableImageDeprecation {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let text = p.required("DeprecateAt")?;
        let at = text.parse().map_err(|_| {
            ApiError::invalid_value(
                "DeprecateAt",
                text,
                "Expected a time such as 2030-01-01T00:00:00Z.",
            )
        })?;
        Ok(Self {
            id: ImageId::parse(p.required("ImageId")?)?,
            at,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        if self.at < cx.now {
            return Err(ApiError::invalid_value(
                "DeprecateAt",
                &self.at.to_string(),
                "You can't specify a date in the past.",
            ));
        }
        own(cx, &self.id)?.deprecated = Some(self.at);
        Ok(done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisableImageDeprecation.html>
pub(crate) struct DisableImageDeprecation {
    id: ImageId,
}

impl Action for DisableImageDeprecation {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: ImageId::parse(p.required("ImageId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        own(cx, &self.id)?.deprecated = None;
        Ok(done())
    }
}

//! Attributes of images.

use super::image_view;
use super::images::own;
use super::params::Scope;
use super::permissions::{self, PermissionChange};
use super::snapshots::description;
use super::xml::Xml;
use super::{Action, done};
use crate::account::image::Permission;
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
        let permission = PermissionChange::parse(p, "LaunchPermission")?;
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
        let image = own(cx, &self.id)?;
        match self.change {
            Change::LaunchPermission(change) => change.apply(&mut image.launch_permission),
            Change::Description(text) => image.description = text,
            Change::ImdsSupport => image.imds_support = Some("v2.0".to_owned()),
        }
        Ok(done())
    }
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
            "launchPermission",
            "blockDeviceMapping",
            "sriovNetSupport",
            "bootMode",
            "tpmSupport",
            "uefiData",
            "imdsSupport",
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
        let image = own(cx, &self.id)?;
        let mut x = Xml::new();
        x.put("imageId", &self.id);
        let value = match self.attribute {
            "launchPermission" => {
                permissions::write(&mut x, "launchPermission", &image.launch_permission);
                return Ok(x);
            }
            "blockDeviceMapping" => {
                image_view::mappings(&mut x, &image.mappings);
                return Ok(x);
            }
            "description" => Some(image.description.clone()),
            "sriovNetSupport" => image.sriov_net_support.clone(),
            "bootMode" => image.boot_mode.clone(),
            "tpmSupport" => image.tpm_support.clone(),
            "uefiData" => image.uefi_data.clone(),
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

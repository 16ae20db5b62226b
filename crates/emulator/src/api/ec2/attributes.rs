//! Attributes of instances.

use super::instances::existing;
use super::launch_options::{MetadataWish, check_metadata_tags, shutdown_behavior, user_data};
use super::params::Scope;
use super::security_groups::not_found as group_not_found;
use super::xml::Xml;
use super::{Action, done, instance_view};
use crate::account::instance_types;
use crate::account::lifecycle::InstanceState;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{GroupId, InstanceId};
use base64::prelude::{BASE64_STANDARD, Engine};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html>
pub(crate) struct ModifyInstanceAttribute {
    id: InstanceId,
    change: Change,
}

enum Change {
    Groups(Vec<GroupId>),
    Ena(bool),
    Sriov(String),
    UserData(Vec<u8>),
    Type(&'static str),
    ShutdownBehavior(crate::account::instance::ShutdownBehavior),
    DisableApiTermination(bool),
    SourceDestCheck(bool),
    EbsOptimized(bool),
}

impl Action for ModifyInstanceAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let id = InstanceId::parse(p.required("InstanceId")?)?;
        let mut changes = Vec::new();
        let groups = p
            .texts("GroupId")
            .into_iter()
            .map(GroupId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if !groups.is_empty() {
            changes.push(Change::Groups(groups));
        }
        let flag = |name: &str| p.inside(name).flag("Value");
        let text = |name: &str| p.inside(name).text("Value");
        changes.extend(flag("EnaSupport")?.map(Change::Ena));
        changes.extend(flag("DisableApiTermination")?.map(Change::DisableApiTermination));
        changes.extend(flag("SourceDestCheck")?.map(Change::SourceDestCheck));
        changes.extend(flag("EbsOptimized")?.map(Change::EbsOptimized));
        changes.extend(text("SriovNetSupport").map(|v| Change::Sriov(v.to_owned())));
        if let Some(data) = text("UserData") {
            changes.push(Change::UserData(user_data(data)?));
        }
        let old_form = p.text("Attribute").zip(p.text("Value"));
        let of_attribute = |name: &str| old_form.filter(|(a, _)| *a == name).map(|(_, v)| v);
        if let Some(name) = text("InstanceType").or(of_attribute("instanceType")) {
            let found = instance_types::find(name);
            changes.push(Change::Type(
                found
                    .ok_or_else(|| {
                        ApiError::new(
                            "InvalidInstanceAttributeValue",
                            format!("The instanceType '{name}' is not valid."),
                        )
                    })?
                    .name,
            ));
        }
        if let Some(value) = text("InstanceInitiatedShutdownBehavior")
            .or(of_attribute("instanceInitiatedShutdownBehavior"))
        {
            changes.push(Change::ShutdownBehavior(shutdown_behavior(Some(value))?));
        }
        if let Some(value) = of_attribute("userData") {
            changes.push(Change::UserData(user_data(value)?));
        }
        // "You can specify only one attribute at a time."
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
        if let Change::Groups(groups) = &self.change {
            let region = cx.region();
            if let Some(unknown) = groups.iter().find(|g| !region.groups.contains_key(g)) {
                return Err(group_not_found(unknown.as_str()));
            }
        }
        let instance = existing(cx, &self.id)?;
        if instance.state.is_over() {
            let message = format!(
                "The instance '{}' is not in a valid state for this operation.",
                self.id
            );
            return Err(ApiError::new("IncorrectInstanceState", message));
        }
        let stopped_only = matches!(
            self.change,
            Change::Ena(_)
                | Change::Sriov(_)
                | Change::UserData(_)
                | Change::Type(_)
                | Change::EbsOptimized(_)
        );
        if stopped_only && instance.state != InstanceState::Stopped {
            let message = format!("The instance '{}' is not in the 'stopped' state.", self.id);
            return Err(ApiError::new("IncorrectInstanceState", message));
        }
        match self.change {
            Change::Groups(groups) => instance.interface.groups = groups,
            Change::Ena(on) => instance.ena_support = on,
            Change::Sriov(value) if value == "simple" => instance.sriov_net_support = Some(value),
            Change::Sriov(value) => {
                return Err(ApiError::invalid_value(
                    "SriovNetSupport",
                    &value,
                    "Expected: simple.",
                ));
            }
            Change::UserData(data) => instance.user_data = data,
            Change::Type(name) => instance.instance_type = name.to_owned(),
            Change::ShutdownBehavior(behavior) => instance.shutdown_behavior = behavior,
            Change::DisableApiTermination(on) => instance.disable_api_termination = on,
            Change::SourceDestCheck(on) => instance.interface.source_dest_check = on,
            Change::EbsOptimized(on) => instance.ebs_optimized = on,
        }
        Ok(done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceAttribute.html>
pub(crate) struct DescribeInstanceAttribute {
    id: InstanceId,
    attribute: &'static str,
}

impl Action for DescribeInstanceAttribute {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let known = [
            "instanceType",
            "userData",
            "disableApiTermination",
            "instanceInitiatedShutdownBehavior",
            "rootDeviceName",
            "blockDeviceMapping",
            "sourceDestCheck",
            "groupSet",
            "ebsOptimized",
            "sriovNetSupport",
            "enaSupport",
        ];
        let attribute = p
            .word("Attribute", &known)?
            .ok_or_else(|| ApiError::missing("Attribute"))?;
        Ok(Self {
            id: InstanceId::parse(p.required("InstanceId")?)?,
            attribute,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let instance = existing(cx, &self.id)?.clone();
        let mut x = Xml::new();
        x.put("instanceId", &self.id);
        let mut value = |value: String| {
            x.node(self.attribute, |x| {
                x.put("value", value);
            });
        };
        match self.attribute {
            "instanceType" => value(instance.instance_type),
            "userData" if instance.user_data.is_empty() => {
                x.node("userData", |_| {});
            }
            "userData" => value(BASE64_STANDARD.encode(&instance.user_data)),
            "disableApiTermination" => value(instance.disable_api_termination.to_string()),
            "instanceInitiatedShutdownBehavior" => {
                value(instance.shutdown_behavior.name().to_owned())
            }
            "rootDeviceName" => value(instance.root_device),
            "sourceDestCheck" => value(instance.interface.source_dest_check.to_string()),
            "ebsOptimized" => value(instance.ebs_optimized.to_string()),
            "enaSupport" => value(instance.ena_support.to_string()),
            "sriovNetSupport" => match instance.sriov_net_support {
                Some(support) => value(support),
                None => {
                    x.node("sriovNetSupport", |_| {});
                }
            },
            "groupSet" => instance_view::groups(&mut x, cx.region(), &instance),
            _ => instance_view::devices(&mut x, &instance),
        }
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceMetadataOptions.html>
pub(crate) struct ModifyInstanceMetadataOptions {
    id: InstanceId,
    wish: MetadataWish,
}

impl Action for ModifyInstanceMetadataOptions {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: InstanceId::parse(p.required("InstanceId")?)?,
            wish: MetadataWish::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let instance = existing(cx, &self.id)?;
        if self.wish.tags == Some(true) {
            check_metadata_tags(&instance.tags)?;
        }
        instance.metadata = self.wish.over(&instance.metadata);
        let mut x = Xml::new();
        x.put("instanceId", &self.id)
            .node("instanceMetadataOptions", |x| {
                instance_view::metadata(x, &instance.metadata, "pending")
            });
        Ok(x)
    }
}

//! What a launch says about network, user-data, profile and metadata service.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>

use super::params::Scope;
use crate::account::instance::{MetadataOptions, ShutdownBehavior};
use crate::account::{ACCOUNT_ID, iam};
use crate::api::error::ApiError;
use crate::ids::{GroupId, SubnetId};
use base64::prelude::{BASE64_STANDARD, Engine};
use std::net::Ipv4Addr;

/// "User data is limited to 16 KB, in raw form, before it is base64-encoded."
const MOST_USER_DATA: usize = 16_384;

/// Where an instance is to be.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) subnet: Option<SubnetId>,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) group_names: Vec<String>,
    pub(crate) private_ip: Option<Ipv4Addr>,
    pub(crate) public_ip: Option<bool>,
    pub(crate) description: String,
}

impl Network {
    /// Reads it from the top of the request or from its one network interface.
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let groups = |p: &Scope<'_>| {
            p.texts("SecurityGroupId")
                .into_iter()
                .map(GroupId::parse)
                .collect::<Result<Vec<_>, _>>()
        };
        let subnet = |p: &Scope<'_>| p.text("SubnetId").map(SubnetId::parse).transpose();
        let address = |p: &Scope<'_>| -> Result<Option<Ipv4Addr>, ApiError> {
            let bad = |text: &str| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!("Invalid IPv4 address: {text}"),
                )
            };
            p.text("PrivateIpAddress")
                .map(|text| text.parse().map_err(|_| bad(text)))
                .transpose()
        };
        let top = Self {
            subnet: subnet(p)?,
            groups: groups(p)?,
            group_names: p
                .texts("SecurityGroup")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            private_ip: address(p)?,
            ..Self::default()
        };
        let interfaces = p.each("NetworkInterface");
        let Some(interface) = interfaces.first() else {
            return Ok(top);
        };
        if interfaces.len() > 1 {
            return Err(ApiError::new(
                "AttachmentLimitExceeded",
                "An instance of the local EC2 has one network interface",
            ));
        }
        if top.subnet.is_some()
            || !top.groups.is_empty()
            || !top.group_names.is_empty()
            || top.private_ip.is_some()
        {
            let message = "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request";
            return Err(ApiError::combination(message));
        }
        match interface.number::<u32>("DeviceIndex")? {
            Some(0) => {}
            None => return Err(ApiError::missing(&interface.name("DeviceIndex"))),
            Some(other) => {
                return Err(ApiError::invalid_value(
                    "DeviceIndex",
                    &other.to_string(),
                    "The primary interface has index 0.",
                ));
            }
        }
        if interface.flag("DeleteOnTermination")? == Some(false) {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "An interface of the local EC2 goes with its instance",
            ));
        }
        Ok(Self {
            subnet: subnet(interface)?,
            groups: groups(interface)?,
            group_names: Vec::new(),
            private_ip: address(interface)?,
            public_ip: interface.flag("AssociatePublicIpAddress")?,
            description: interface.text("Description").unwrap_or_default().to_owned(),
        })
    }
}

/// Decodes user-data.
///
/// # Errors
/// `InvalidParameterValue` if it is no base64 or too long.
pub(crate) fn user_data(text: &str) -> Result<Vec<u8>, ApiError> {
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let data = BASE64_STANDARD.decode(plain).map_err(|_| {
        ApiError::new(
            "InvalidParameterValue",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if data.len() > MOST_USER_DATA {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("User data is limited to {MOST_USER_DATA} bytes"),
        ));
    }
    Ok(data)
}

/// Reads `IamInstanceProfile`.
pub(crate) fn profile(p: &Scope<'_>) -> Result<Option<&'static iam::InstanceProfile>, ApiError> {
    let bad = |parameter: &str, value: &str, what: &str| {
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({value}) for parameter iamInstanceProfile.{parameter} is invalid. Invalid IAM Instance Profile {what}"
            ),
        )
    };
    match (p.text("Arn"), p.text("Name")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(ApiError::combination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'",
        )),
        (None, Some(name)) => iam::profile(name)
            .map(Some)
            .ok_or_else(|| bad("name", name, "name")),
        (Some(arn), None) => iam::PROFILES
            .iter()
            .find(|p| p.arn(ACCOUNT_ID) == arn)
            .map(Some)
            .ok_or_else(|| bad("arn", arn, "ARN")),
    }
}

/// Reads `MetadataOptions`, over what holds already.
pub(crate) fn metadata_options(
    p: &Scope<'_>,
    mut options: MetadataOptions,
) -> Result<MetadataOptions, ApiError> {
    if let Some(tokens) = p.word("HttpTokens", &["optional", "required"])? {
        options.tokens_required = tokens == "required";
    }
    if let Some(endpoint) = p.word("HttpEndpoint", &["enabled", "disabled"])? {
        options.enabled = endpoint == "enabled";
    }
    if let Some(hops) = p.number::<u8>("HttpPutResponseHopLimit")? {
        if !(1..=64).contains(&hops) {
            return Err(ApiError::invalid_value(
                "HttpPutResponseHopLimit",
                &hops.to_string(),
                "Possible values: integers from 1 to 64.",
            ));
        }
        options.hop_limit = hops;
    }
    if let Some(tags) = p.word("InstanceMetadataTags", &["enabled", "disabled"])? {
        options.tags = tags == "enabled";
    }
    p.word("HttpProtocolIpv6", &["disabled"])?;
    Ok(options)
}

/// Reads `InstanceInitiatedShutdownBehavior`.
pub(crate) fn shutdown_behavior(text: Option<&str>) -> Result<ShutdownBehavior, ApiError> {
    match text {
        None | Some("stop") => Ok(ShutdownBehavior::Stop),
        Some("terminate") => Ok(ShutdownBehavior::Terminate),
        Some(other) => Err(ApiError::invalid_value(
            "InstanceInitiatedShutdownBehavior",
            other,
            "Expected one of: stop, terminate.",
        )),
    }
}

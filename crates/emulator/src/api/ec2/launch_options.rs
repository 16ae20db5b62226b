//! What a launch says about user-data, profile, metadata service and shutdown.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>

use super::params::Scope;
use crate::account::image::Image;
use crate::account::instance::{MetadataOptions, ProfileAssociation, ShutdownBehavior};
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::ProfileAssociationId;
use base64::prelude::{BASE64_STANDARD, Engine};

/// "User data is limited to 16 KB, in raw form, before it is base64-encoded."
const MOST_USER_DATA: usize = 16_384;

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

/// The instance profile that a request names.
pub(crate) enum ProfileWish {
    Name(String),
    Arn(String),
}

impl ProfileWish {
    /// Reads `IamInstanceProfile`.
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Option<Self>, ApiError> {
        match (p.text("Arn"), p.text("Name")) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(ApiError::combination(
                "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'",
            )),
            (None, Some(name)) => Ok(Some(Self::Name(name.to_owned()))),
            (Some(arn), None) => Ok(Some(Self::Arn(arn.to_owned()))),
        }
    }

    fn refusal(&self, why: &str) -> ApiError {
        let (parameter, value) = match self {
            Self::Name(name) => ("name", name),
            Self::Arn(arn) => ("arn", arn),
        };
        ApiError::new(
            "InvalidParameterValue",
            format!(
                "Value ({value}) for parameter iamInstanceProfile.{parameter} is invalid. {why}"
            ),
        )
    }

    /// The profile.
    ///
    /// # Errors
    /// `InvalidParameterValue` if there is none, if EC2 does not know of it yet, or if it has no role:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html>.
    pub(crate) fn find(&self, cx: &Cx<'_>) -> Result<ProfileAssociation, ApiError> {
        let (owner, late) = (cx.owner(), cx.timing.iam);
        let known = |since| cx.now.duration_since(since).unsigned_abs() >= late;
        let profiles = cx.account.iam.get(owner).map(|iam| iam.profiles.values());
        let found = profiles.into_iter().flatten().find(|p| match self {
            Self::Name(name) => p.name == *name,
            Self::Arn(arn) => p.arn(owner) == *arn,
        });
        let profile = found.filter(|p| known(p.created)).ok_or_else(|| {
            self.refusal(match self {
                Self::Name(_) => "Invalid IAM Instance Profile name",
                Self::Arn(_) => "Invalid IAM Instance Profile ARN",
            })
        })?;
        if profile.role.is_none() || !known(profile.role_since) {
            let arn = profile.arn(owner);
            return Err(self.refusal(&format!(
                "IAM Instance Profile \"{arn}\" has no associated IAM Roles"
            )));
        }
        Ok(ProfileAssociation {
            id: ProfileAssociationId::random(),
            name: profile.name.clone(),
            arn: profile.arn(owner),
            profile_id: profile.id.clone(),
        })
    }
}

/// What a request says about the metadata service.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetadataWish {
    tokens_required: Option<bool>,
    enabled: Option<bool>,
    hop_limit: Option<u8>,
    /// Whether tags are shown.
    pub(crate) tags: Option<bool>,
}

impl MetadataWish {
    /// Reads `MetadataOptions`, or the same at the top of ModifyInstanceMetadataOptions.
    pub(crate) fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let is = |name: &str, words: &[&'static str; 2]| -> Result<Option<bool>, ApiError> {
            Ok(p.word(name, words)?.map(|w| w == words[1]))
        };
        let hop_limit = p.number::<u8>("HttpPutResponseHopLimit")?;
        if let Some(hops) = hop_limit.filter(|h| !(1..=64).contains(h)) {
            return Err(ApiError::invalid_value(
                "HttpPutResponseHopLimit",
                &hops.to_string(),
                "Possible values: integers from 1 to 64.",
            ));
        }
        p.word("HttpProtocolIpv6", &["disabled"])?;
        Ok(Self {
            tokens_required: is("HttpTokens", &["optional", "required"])?,
            enabled: is("HttpEndpoint", &["disabled", "enabled"])?,
            hop_limit,
            tags: is("InstanceMetadataTags", &["disabled", "enabled"])?,
        })
    }

    /// It laid over what holds already.
    pub(crate) fn over(&self, now: &MetadataOptions) -> MetadataOptions {
        MetadataOptions {
            enabled: self.enabled.unwrap_or(now.enabled),
            tokens_required: self.tokens_required.unwrap_or(now.tokens_required),
            hop_limit: self.hop_limit.unwrap_or(now.hop_limit),
            tags: self.tags.unwrap_or(now.tags),
        }
    }

    /// What holds for an instance of an image: "Instances launched from this AMI will have HttpTokens automatically set to
    /// required … In addition, HttpPutResponseHopLimit is set to 2."
    pub(crate) fn of_image(&self, image: &Image) -> MetadataOptions {
        let usual = match image.imds_support {
            Some(_) => MetadataOptions {
                tokens_required: true,
                hop_limit: 2,
                ..MetadataOptions::default()
            },
            None => MetadataOptions::default(),
        };
        self.over(&usual)
    }
}

/// Checks the tags of an instance whose metadata service shows them: "tag keys can only include letters (a-z, A-Z), numbers
/// (0-9), and the following characters: + - = . , _ : @. Instance tag keys can't include spaces or /, and can't comprise only
/// . (one period), .. (two periods), or _index"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html>).
pub(crate) fn check_metadata_tags(tags: &Tags) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-=.,_:@".contains(c);
    let bad = |key: &str| [".", "..", "_index"].contains(&key) || !key.chars().all(allowed);
    match tags.iter().find(|(key, _)| bad(key)) {
        Some((key, _)) => Err(ApiError::new(
            "InvalidParameterValue",
            format!(
                "'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must not be a reserved name ('.', '..', '_index')"
            ),
        )),
        None => Ok(()),
    }
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

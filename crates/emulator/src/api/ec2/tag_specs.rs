//! Tags given in the request that makes a resource, and tags in answers.
//!
//! Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TagSpecification.html>.

use super::params::Scope;
use super::xml::Xml;
use crate::account::tags::Tags;
use crate::api::error::ApiError;
use std::collections::BTreeMap;

/// `TagSpecification.N`, by kind of resource.
#[derive(Clone, Debug, Default)]
pub struct TagSpecs(BTreeMap<&'static str, Tags>);

impl TagSpecs {
    /// Reads them. `kinds` are the resources that the action makes.
    ///
    /// # Errors
    /// `InvalidParameterValue` for another kind, a kind twice, a key twice or no tag at all; the limits of [`Tags`].
    pub fn parse(p: &Scope<'_>, kinds: &[&'static str]) -> Result<Self, ApiError> {
        Self::parse_list(p, "TagSpecification", kinds)
    }

    /// The same where the list has another name.
    ///
    /// # Errors
    /// As [`TagSpecs::parse`].
    pub fn parse_list(p: &Scope<'_>, list: &str, kinds: &[&'static str]) -> Result<Self, ApiError> {
        let mut specs = BTreeMap::new();
        for spec in p.each(list) {
            let kind = spec.required("ResourceType")?;
            let Some(kind) = kinds.iter().find(|k| **k == kind) else {
                let message =
                    format!("'{kind}' is not a valid taggable resource type for this operation.");
                return Err(ApiError::new("InvalidParameterValue", message));
            };
            let pairs = parse_tags(&spec)?;
            if pairs.is_empty() {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    "Tag specification must have at least one tag",
                ));
            }
            let mut tags = Tags::default();
            tags.set_all(&pairs)?;
            if specs.insert(*kind, tags).is_some() {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("Duplicate resource type '{kind}' specified in TagSpecifications"),
                ));
            }
        }
        Ok(Self(specs))
    }

    /// The tags for a kind.
    pub fn of(&self, kind: &str) -> Tags {
        self.0.get(kind).cloned().unwrap_or_default()
    }
}

/// Reads `Tag.N`.
///
/// # Errors
/// `InvalidParameterValue` for a key twice, `MissingParameter` for a tag without a key.
pub fn parse_tags(p: &Scope<'_>) -> Result<Vec<(String, String)>, ApiError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for tag in p.each("Tag") {
        let key = tag
            .text("Key")
            .ok_or_else(|| ApiError::missing(&tag.name("Key")))?
            .to_owned();
        let value = tag.text("Value").unwrap_or_default().to_owned();
        if pairs.iter().any(|(k, _)| *k == key) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Duplicate tag key '{key}' specified."),
            ));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Writes `tagSet`.
pub fn write_tags(x: &mut Xml, tags: &Tags) {
    x.list("tagSet", tags.iter(), |x, (key, value)| {
        x.put("key", key).put("value", value);
    });
}

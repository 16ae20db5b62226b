//! Tags and EC2's rules for them.
//!
//! Rules: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>: at most 50 tags for
//! each resource, keys of 1–128 and values of 0–256 characters, no key that starts with `aws:`.

use crate::api::error::ApiError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most tags a resource may have.
pub const MOST_TAGS: usize = 50;

/// The tags of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Tags that the local EC2 itself gives.
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    /// Sets tags, all or none of them.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a key or value that EC2 refuses, `TagLimitExceeded` above 50.
    pub fn set_all(&mut self, tags: &[(String, String)]) -> Result<(), ApiError> {
        let mut merged = self.0.clone();
        for (key, value) in tags {
            check(key, value)?;
            merged.insert(key.clone(), value.clone());
        }
        if merged.len() > MOST_TAGS {
            return Err(ApiError::new(
                "TagLimitExceeded",
                format!("The maximum number of tags is {MOST_TAGS} for each resource"),
            ));
        }
        self.0 = merged;
        Ok(())
    }

    /// Removes a tag; with a value, only if it has that value.
    pub fn remove(&mut self, key: &str, value: Option<&str>) {
        if value.is_none_or(|v| self.0.get(key).is_some_and(|have| have == v)) {
            self.0.remove(key);
        }
    }

    /// Removes all tags.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A tag's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All tags as pairs, as [`Tags::set_all`] takes them.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.0.clone().into_iter().collect()
    }

    /// All tags, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

fn check(key: &str, value: &str) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new("InvalidParameterValue", message));
    if key.is_empty() {
        return refuse("Tag keys cannot be empty".to_owned());
    }
    if key.chars().count() > 128 {
        return refuse("Tag key exceeds the maximum length of 128 characters".to_owned());
    }
    if value.chars().count() > 256 {
        return refuse(format!(
            "Tag value exceeds the maximum length of 256 characters (tag key '{key}')"
        ));
    }
    if key.len() >= 4 && key.get(..4).is_some_and(|p| p.eq_ignore_ascii_case("aws:")) {
        return refuse(format!(
            "Tag keys starting with 'aws:' are reserved for internal use (tag key '{key}')"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(k: &str, v: &str) -> (String, String) {
        (k.to_owned(), v.to_owned())
    }

    #[test]
    fn limits() {
        let mut tags = Tags::default();
        tags.set_all(&[tag(&"k".repeat(128), &"v".repeat(256)), tag("empty", "")])
            .unwrap();
        for bad in [
            tag("", "v"),
            tag(&"k".repeat(129), ""),
            tag("k", &"v".repeat(257)),
            tag("aws:x", ""),
            tag("AWS:x", ""),
        ] {
            assert_eq!(
                tags.clone()
                    .set_all(std::slice::from_ref(&bad))
                    .unwrap_err()
                    .code(),
                "InvalidParameterValue",
                "{bad:?}"
            );
        }
        let many: Vec<_> = (0..49).map(|n| tag(&n.to_string(), "")).collect();
        assert_eq!(tags.set_all(&many).unwrap_err().code(), "TagLimitExceeded");
        assert_eq!(tags.iter().count(), 2, "all or none");
        tags.set_all(&many[..48]).unwrap();
    }

    #[test]
    fn removal_by_value_spares_another_value() {
        let mut tags = Tags::default();
        tags.set_all(&[tag("a", "1")]).unwrap();
        tags.remove("a", Some("2"));
        assert_eq!(tags.get("a"), Some("1"));
        tags.remove("a", None);
        assert_eq!(tags.get("a"), None);
    }
}

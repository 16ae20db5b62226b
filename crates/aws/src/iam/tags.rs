//! IAM's tags in both directions.

use aws_sdk_iam::types::Tag;
use cloud::{CloudError, ErrorKind, Tags};

/// The tags of an answer.
pub(super) fn read(answered: &[Tag]) -> Tags {
    answered
        .iter()
        .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
        .collect()
}

/// The tags of a creating call; none if there are none, since IAM refuses an empty list.
pub(super) fn write(call: &'static str, tags: &Tags) -> Result<Option<Vec<Tag>>, CloudError> {
    if tags.is_empty() {
        return Ok(None);
    }
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    tags.collect::<Result<_, _>>()
        .map(Some)
        .map_err(|error| CloudError {
            kind: ErrorKind::InvalidInput,
            message: error.to_string(),
            ..crate::answer::unreadable(call)
        })
}

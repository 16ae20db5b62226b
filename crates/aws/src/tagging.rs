//! Tags in both directions.

use crate::classify::failed;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use cloud::Tags;
use cloud::port::Result;

/// The tags of an answer.
pub(crate) fn tags(answered: &[Tag]) -> Tags {
    answered
        .iter()
        .filter_map(|tag| {
            // A key without a value is a tag with an empty value.
            Some((
                tag.key()?.to_owned(),
                tag.value().unwrap_or_default().to_owned(),
            ))
        })
        .collect()
}

fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// The specifications of a creating call: one for each kind of resource that gets any tags, since EC2 refuses an empty
/// one.
pub(crate) fn specifications(
    kinds: impl IntoIterator<Item = (ResourceType, Tags)>,
) -> Option<Vec<TagSpecification>> {
    let specifications: Vec<_> = kinds
        .into_iter()
        .filter(|(_, tags)| !tags.is_empty())
        .map(|(kind, tags)| {
            TagSpecification::builder()
                .resource_type(kind)
                .set_tags(Some(sdk_tags(&tags)))
                .build()
        })
        .collect();
    (!specifications.is_empty()).then_some(specifications)
}

/// CreateTags.
pub(crate) async fn create(ec2: &Client, resources: &[String], tags: &Tags) -> Result<()> {
    if resources.is_empty() || tags.is_empty() {
        return Ok(());
    }
    ec2.create_tags()
        .set_resources(Some(resources.to_vec()))
        .set_tags(Some(sdk_tags(tags)))
        .send()
        .await
        .map_err(|error| failed("CreateTags")(error).about(resources.join(", ")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_without_tags_are_not_specified() {
        let some = Tags::new().with("qib:run", "r1");
        let specifications = specifications([
            (ResourceType::Instance, some),
            (ResourceType::Volume, Tags::new()),
        ])
        .unwrap();
        assert_eq!(specifications.len(), 1);
        assert_eq!(
            specifications[0].resource_type(),
            Some(&ResourceType::Instance)
        );
    }

    #[test]
    fn no_tags_at_all_send_no_specification() {
        assert_eq!(specifications([(ResourceType::Image, Tags::new())]), None);
    }

    #[test]
    fn a_tag_without_a_value_has_an_empty_one() {
        let answered = [Tag::builder().key("qib:keep").build()];
        assert_eq!(tags(&answered).get("qib:keep"), Some(""));
    }
}

//! DescribeImages.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{block_devices, filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;
use cloud::port::Result;
use cloud::{AccountId, Image, ImageFilter, ImageId, ImageState};

pub(crate) async fn describe(ec2: &Client, filter: &ImageFilter) -> Result<Vec<Image>> {
    const CALL: &str = "DescribeImages";
    let mut images = Vec::new();
    for filters in filters::requests("image-id", &filter.image_ids, &filter.filters) {
        let mut pages = ec2
            .describe_images()
            .set_filters(filters)
            .set_owners((!filter.owners.is_empty()).then(|| filter.owners.clone()))
            // An image asked for by its id is wanted even after its owner has deprecated it; of others, only the owner
            // sees deprecated ones by default, and they are no base to start from.
            // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deprecate.html
            .set_include_deprecated(
                (filter.include_deprecated || !filter.image_ids.is_empty()).then_some(true),
            )
            .into_paginator()
            .page_size(filters::PAGE)
            .items()
            .send();
        while let Some(answered) = pages.try_next().await.map_err(failed(CALL))? {
            images.push(image(&answered).map_err(BadAnswer::to(CALL))?);
        }
    }
    Ok(images)
}

fn image(answered: &types::Image) -> std::result::Result<Image, BadAnswer> {
    Ok(Image {
        image_id: ImageId::from(required(answered.image_id(), "imageId")?),
        // The name of another account's image is missing while it is being deregistered.
        name: answered.name().unwrap_or_default().to_owned(),
        description: answered.description().unwrap_or_default().to_owned(),
        state: state(required(answered.state(), "imageState")?),
        state_reason: answered
            .state_reason()
            .and_then(|reason| reason.message().or(reason.code()))
            .map(str::to_owned),
        created: answered.creation_date().and_then(|date| date.parse().ok()),
        owner: answered.owner_id().map(AccountId::from),
        architecture: answered
            .architecture()
            .map(|architecture| architecture.as_str().to_owned())
            .unwrap_or_default(),
        root_device: answered.root_device_name().map(str::to_owned),
        snapshots: block_devices::snapshots(answered.block_device_mappings()),
        tags: tagging::tags(answered.tags()),
        deprecated: answered
            .deprecation_time()
            .and_then(|time| time.parse().ok()),
        // `enabled`, `enabled-with-cooldown` or `disabled`.
        protected: answered
            .deregistration_protection()
            .is_some_and(|protection| protection.starts_with("enabled")),
        public: answered.public().unwrap_or(false),
        boot_mode: answered.boot_mode().map(|mode| mode.as_str().to_owned()),
        virtualization: answered
            .virtualization_type()
            .map(|kind| kind.as_str().to_owned())
            .unwrap_or_default(),
        volumes: block_devices::volumes(answered.block_device_mappings()),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-lifecycle.html> and the values of `imageState`.
fn state(answered: &types::ImageState) -> ImageState {
    match answered {
        types::ImageState::Pending => ImageState::Pending,
        types::ImageState::Available => ImageState::Available,
        types::ImageState::Failed | types::ImageState::Error | types::ImageState::Invalid => {
            ImageState::Failed
        }
        types::ImageState::Deregistered => ImageState::Gone,
        other => ImageState::Other(other.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, StateReason, Tag};

    #[test]
    fn an_image_is_read_whole() {
        let answered = types::Image::builder()
            .image_id("ami-1")
            .name("base")
            .state(types::ImageState::Failed)
            .state_reason(
                StateReason::builder()
                    .code("Client.InternalError")
                    .message("Client error on launch")
                    .build(),
            )
            .creation_date("2026-03-01T10:20:30.000Z")
            .owner_id("123456789012")
            .architecture(types::ArchitectureValues::X8664)
            .root_device_name("/dev/sda1")
            .block_device_mappings(
                BlockDeviceMapping::builder()
                    .ebs(EbsBlockDevice::builder().snapshot_id("snap-1").build())
                    .build(),
            )
            .tags(Tag::builder().key("qib:stage").value("base").build())
            .build();
        let image = image(&answered).unwrap();
        assert_eq!(image.state, ImageState::Failed);
        assert_eq!(
            image.state_reason.as_deref(),
            Some("Client error on launch")
        );
        assert_eq!(image.created, "2026-03-01T10:20:30Z".parse().ok());
        assert_eq!(image.architecture, "x86_64");
        assert_eq!(image.snapshots[0].as_str(), "snap-1");
        assert_eq!(image.tags.get("qib:stage"), Some("base"));
    }

    #[test]
    fn an_image_without_an_id_is_a_bad_answer() {
        let error = image(&types::Image::builder().build()).unwrap_err();
        assert_eq!(error.field, "imageId");
    }

    #[test]
    fn states_that_end_well_badly_or_elsewhere() {
        assert_eq!(state(&types::ImageState::Pending), ImageState::Pending);
        assert_eq!(state(&types::ImageState::Error), ImageState::Failed);
        assert_eq!(state(&types::ImageState::Invalid), ImageState::Failed);
        assert_eq!(state(&types::ImageState::Deregistered), ImageState::Gone);
        assert_eq!(
            state(&types::ImageState::Disabled),
            ImageState::Other("disabled".to_owned())
        );
    }
}

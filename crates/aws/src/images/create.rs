//! CreateImage.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{block_devices, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::create_image::builders::CreateImageFluentBuilder;
use aws_sdk_ec2::types::ResourceType;
use cloud::port::Result;
use cloud::{Capture, ImageId, ImageRequest};

pub(crate) async fn create(ec2: &Client, request: &ImageRequest) -> Result<ImageId> {
    const CALL: &str = "CreateImage";
    let answer = parameters(ec2.create_image(), request)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(&request.instance_id))?;
    required(answer.image_id(), "imageId")
        .map(ImageId::from)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(&request.instance_id))
}

/// What is left out keeps EC2's default.
pub(crate) fn parameters(
    call: CreateImageFluentBuilder,
    request: &ImageRequest,
) -> CreateImageFluentBuilder {
    call.instance_id(request.instance_id.as_str())
        .name(&request.name)
        .set_description((!request.description.is_empty()).then(|| request.description.clone()))
        // An instance that is not stopped would be rebooted by EC2 unless told otherwise.
        .no_reboot(match request.capture {
            Capture::Stopped => true,
            Capture::Rebooting => false,
        })
        .set_block_device_mappings(block_devices::mappings(
            &request.volumes,
            &request.left_out_devices,
        ))
        .set_tag_specifications(tagging::specifications([
            (ResourceType::Image, request.image_tags.clone()),
            (ResourceType::Snapshot, request.snapshot_tags.clone()),
        ]))
}

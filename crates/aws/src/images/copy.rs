//! CopyImage.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::tagging;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::copy_image::builders::CopyImageFluentBuilder;
use aws_sdk_ec2::types::ResourceType;
use cloud::port::Result;
use cloud::{CopyRequest, ImageId};

pub(crate) async fn copy(ec2: &Client, request: &CopyRequest) -> Result<ImageId> {
    const CALL: &str = "CopyImage";
    let answer = parameters(ec2.copy_image(), request)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(&request.source_image))?;
    required(answer.image_id(), "imageId")
        .map(ImageId::from)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(&request.source_image))
}

/// What is left out keeps EC2's default.
pub(crate) fn parameters(
    call: CopyImageFluentBuilder,
    request: &CopyRequest,
) -> CopyImageFluentBuilder {
    call.client_token(&request.client_token)
        .source_region(request.source_region.as_str())
        .source_image_id(request.source_image.as_str())
        .name(&request.name)
        .set_description((!request.description.is_empty()).then(|| request.description.clone()))
        // EC2 refuses "false" for an encrypted source, and a key without "true".
        // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopyImage.html
        .set_encrypted(request.encrypted.then_some(true))
        .set_kms_key_id(request.kms_key_id.clone())
        .set_tag_specifications(tagging::specifications([
            (ResourceType::Image, request.image_tags.clone()),
            (ResourceType::Snapshot, request.snapshot_tags.clone()),
        ]))
}

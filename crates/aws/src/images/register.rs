//! RegisterImage.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{block_devices, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::types::{
    ArchitectureValues, BootModeValues, ImdsSupportValues, ResourceType, TpmSupportValues,
};
use cloud::port::Result;
use cloud::{ImageId, RegisterRequest};

/// The only value that `sriovNetSupport` can have.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>
pub(crate) const SRIOV: &str = "simple";

pub(crate) async fn register(ec2: &Client, request: &RegisterRequest) -> Result<ImageId> {
    const CALL: &str = "RegisterImage";
    let answer = parameters(ec2.register_image(), request)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(&request.name))?;
    required(answer.image_id(), "imageId")
        .map(ImageId::from)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(&request.name))
}

/// What is left out keeps EC2's default.
pub(crate) fn parameters(
    call: RegisterImageFluentBuilder,
    request: &RegisterRequest,
) -> RegisterImageFluentBuilder {
    call.name(&request.name)
        .set_description((!request.description.is_empty()).then(|| request.description.clone()))
        .architecture(ArchitectureValues::from(request.architecture.as_str()))
        .virtualization_type(&request.virtualization)
        .root_device_name(&request.root_device)
        .set_block_device_mappings(block_devices::mappings(&request.volumes, &[]))
        .set_boot_mode(request.boot_mode.as_deref().map(BootModeValues::from))
        .set_tpm_support(request.tpm.as_deref().map(TpmSupportValues::from))
        .set_uefi_data(request.uefi_data.clone())
        .set_imds_support(request.imds_v2.then_some(ImdsSupportValues::V20))
        .set_ena_support(request.ena)
        .set_sriov_net_support(request.sriov.then(|| SRIOV.to_owned()))
        .set_tag_specifications(tagging::specifications([(
            ResourceType::Image,
            request.image_tags.clone(),
        )]))
}

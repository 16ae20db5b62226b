//! How images are kept and how they end: DeregisterImage, deprecation, protection, and what holds them.

use super::describe;
use crate::answer::{BadAnswer, parsed, required};
use crate::classify::failed;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{AttributeValue, ImageAttributeName};
use cloud::port::Result;
use cloud::{
    DeregistrationProtection, ErrorKind, ImageFilter, ImageId, ImageState, LaunchTemplateImage,
    Timestamp,
};

pub(crate) async fn deregister(ec2: &Client, image: &ImageId) -> Result<()> {
    let error = match ec2
        .deregister_image()
        .image_id(image.as_str())
        .send()
        .await
        .map_err(failed("DeregisterImage"))
    {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    match error.kind {
        ErrorKind::NotFound => Ok(()),
        // EC2 says InvalidAMIID.Unavailable both of an image deregistered a while ago and of one that cannot be
        // deregistered now: only a look tells them apart.
        ErrorKind::WrongState if is_gone(ec2, image).await? => Ok(()),
        _ => Err(error.about(image)),
    }
}

async fn is_gone(ec2: &Client, image: &ImageId) -> Result<bool> {
    let filter = ImageFilter {
        image_ids: vec![image.clone()],
        ..ImageFilter::default()
    };
    let images = describe(ec2, &filter).await?;
    Ok(images.iter().all(|image| image.state == ImageState::Gone))
}

/// ModifyImageAttribute.
pub(crate) async fn require_imds_v2(ec2: &Client, image: &ImageId) -> Result<()> {
    ec2.modify_image_attribute()
        .image_id(image.as_str())
        .imds_support(AttributeValue::builder().value("v2.0").build())
        .send()
        .await
        .map_err(|error| failed("ModifyImageAttribute")(error).about(image))?;
    Ok(())
}

/// DescribeImageAttribute.
pub(crate) async fn last_launched(ec2: &Client, image: &ImageId) -> Result<Option<Timestamp>> {
    const CALL: &str = "DescribeImageAttribute";
    let answer = ec2
        .describe_image_attribute()
        .image_id(image.as_str())
        .attribute(ImageAttributeName::LastLaunchedTime)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(image))?;
    let time = answer.last_launched_time().and_then(|time| time.value());
    parsed(time, "lastLaunchedTime").map_err(|bad| BadAnswer::to(CALL)(bad).about(image))
}

/// EnableImageDeprecation, DisableImageDeprecation.
pub(crate) async fn set_deprecation(
    ec2: &Client,
    image: &ImageId,
    at: Option<Timestamp>,
) -> Result<()> {
    match at {
        Some(at) => {
            let call = ec2
                .enable_image_deprecation()
                .image_id(image.as_str())
                .deprecate_at(DateTime::from_secs(at.as_second()));
            let sent = call.send().await;
            sent.map_err(|error| failed("EnableImageDeprecation")(error).about(image))?;
        }
        None => {
            let call = ec2.disable_image_deprecation().image_id(image.as_str());
            let sent = call.send().await;
            sent.map_err(|error| failed("DisableImageDeprecation")(error).about(image))?;
        }
    }
    Ok(())
}

/// EnableImageDeregistrationProtection, DisableImageDeregistrationProtection.
pub(crate) async fn set_deregistration_protection(
    ec2: &Client,
    image: &ImageId,
    protection: DeregistrationProtection,
) -> Result<()> {
    match protection {
        DeregistrationProtection::On { cooldown } => {
            const CALL: &str = "EnableImageDeregistrationProtection";
            let call = ec2
                .enable_image_deregistration_protection()
                .image_id(image.as_str())
                .with_cooldown(cooldown);
            let sent = call.send().await;
            sent.map_err(|error| failed(CALL)(error).about(image))?;
        }
        DeregistrationProtection::Off => {
            const CALL: &str = "DisableImageDeregistrationProtection";
            let call = ec2
                .disable_image_deregistration_protection()
                .image_id(image.as_str());
            let sent = call.send().await;
            sent.map_err(|error| failed(CALL)(error).about(image))?;
        }
    }
    Ok(())
}

/// DescribeLaunchTemplates, and DescribeLaunchTemplateVersions of each: without a template that call gives no more than
/// each template's latest and default version, and instances can be launched from the others too.
pub(crate) async fn launch_template_images(ec2: &Client) -> Result<Vec<LaunchTemplateImage>> {
    /// The largest page that the two calls give.
    const PAGE: i32 = 200;
    const TEMPLATES: &str = "DescribeLaunchTemplates";
    let mut templates = ec2
        .describe_launch_templates()
        .into_paginator()
        .page_size(PAGE)
        .items()
        .send();
    let mut images = Vec::new();
    while let Some(template) = templates.try_next().await.map_err(failed(TEMPLATES))? {
        let id = required(template.launch_template_id(), "launchTemplateId")
            .map_err(BadAnswer::to(TEMPLATES))?;
        images.extend(images_of(ec2, id, PAGE).await?);
    }
    Ok(images)
}

async fn images_of(ec2: &Client, template: &str, page: i32) -> Result<Vec<LaunchTemplateImage>> {
    const CALL: &str = "DescribeLaunchTemplateVersions";
    let mut versions = ec2
        .describe_launch_template_versions()
        .launch_template_id(template)
        // A template may name an SSM parameter, which stands for an image.
        .resolve_alias(true)
        .into_paginator()
        .page_size(page)
        .items()
        .send();
    let mut images = Vec::new();
    loop {
        let version = match versions.try_next().await.map_err(failed(CALL)) {
            Ok(Some(version)) => version,
            Ok(None) => return Ok(images),
            // Deleted since it was listed.
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.about(template)),
        };
        let data = version.launch_template_data();
        if let Some(image) = data.and_then(|data| data.image_id()) {
            let bad = |bad| BadAnswer::to(CALL)(bad).about(template);
            images.push(LaunchTemplateImage {
                template_id: template.to_owned(),
                template_name: version
                    .launch_template_name()
                    .unwrap_or_default()
                    .to_owned(),
                version: required(version.version_number(), "versionNumber").map_err(bad)?,
                image_id: ImageId::from(image),
            });
        }
    }
}

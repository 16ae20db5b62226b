//! How images are kept, and what holds them.

use crate::region;
use crate::server::Answer;
use cloud::{DeregistrationProtection, ErrorKind, ImageFilter, ImageId, Timestamp};

fn done(call: &str) -> Answer {
    Answer::xml(format!(
        "<{call}Response><return>true</return></{call}Response>"
    ))
}

fn image() -> ImageId {
    ImageId::from("ami-1")
}

#[tokio::test]
async fn imds_v2_is_required_of_an_image() {
    let (server, region) = region([done("ModifyImageAttribute")]).await;
    region.require_imds_v2(&image()).await.unwrap();
    server.only_request().assert_params(&[
        ("Action", "ModifyImageAttribute"),
        ("ImageId", "ami-1"),
        ("ImdsSupport.Value", "v2.0"),
    ]);
}

#[tokio::test]
async fn when_an_image_was_last_launched_is_read_as_far_as_ec2_knows() {
    let answer = |time: &str| {
        Answer::xml(format!(
            "<DescribeImageAttributeResponse><imageId>ami-1</imageId>{time}</DescribeImageAttributeResponse>"
        ))
    };
    let (server, region) = region([
        answer("<lastLaunchedTime><value>2026-03-01T10:20:30Z</value></lastLaunchedTime>"),
        answer("<lastLaunchedTime><value/></lastLaunchedTime>"),
        answer(""),
        answer("<lastLaunchedTime><value>last week</value></lastLaunchedTime>"),
    ])
    .await;
    let launched: Timestamp = "2026-03-01T10:20:30Z".parse().unwrap();
    let image = image();
    assert_eq!(
        region.image_last_launched(&image).await.unwrap(),
        Some(launched)
    );
    assert_eq!(region.image_last_launched(&image).await.unwrap(), None);
    assert_eq!(region.image_last_launched(&image).await.unwrap(), None);
    let error = region.image_last_launched(&image).await.unwrap_err();
    assert!(error.message.contains("last week"), "{error}");
    server.requests()[0].assert_params(&[
        ("Action", "DescribeImageAttribute"),
        ("ImageId", "ami-1"),
        ("Attribute", "lastLaunchedTime"),
    ]);
}

#[tokio::test]
async fn an_image_is_deprecated_at_a_time_and_that_is_taken_back() {
    let (server, region) = region([
        done("EnableImageDeprecation"),
        done("DisableImageDeprecation"),
        Answer::ec2_error(400, "InvalidAMIID.NotFound", "none"),
    ])
    .await;
    let at: Timestamp = "2027-03-01T10:20:00Z".parse().unwrap();
    region
        .set_image_deprecation(&image(), Some(at))
        .await
        .unwrap();
    region.set_image_deprecation(&image(), None).await.unwrap();
    let error = region
        .set_image_deprecation(&image(), Some(at))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.resource.as_deref(), Some("ami-1"));
    let requests = server.requests();
    requests[0].assert_params(&[
        ("Action", "EnableImageDeprecation"),
        ("ImageId", "ami-1"),
        ("DeprecateAt", "2027-03-01T10:20:00Z"),
    ]);
    requests[1].assert_params(&[("Action", "DisableImageDeprecation"), ("ImageId", "ami-1")]);
}

#[tokio::test]
async fn an_image_is_protected_and_released() {
    let (server, region) = region([
        done("EnableImageDeregistrationProtection"),
        done("EnableImageDeregistrationProtection"),
        done("DisableImageDeregistrationProtection"),
    ])
    .await;
    for protection in [
        DeregistrationProtection::On { cooldown: false },
        DeregistrationProtection::On { cooldown: true },
        DeregistrationProtection::Off,
    ] {
        region
            .set_deregistration_protection(&image(), protection)
            .await
            .unwrap();
    }
    let requests = server.requests();
    for (request, cooldown) in requests.iter().zip(["false", "true"]) {
        request.assert_params(&[
            ("Action", "EnableImageDeregistrationProtection"),
            ("ImageId", "ami-1"),
            ("WithCooldown", cooldown),
        ]);
    }
    requests[2].assert_params(&[
        ("Action", "DisableImageDeregistrationProtection"),
        ("ImageId", "ami-1"),
    ]);
}

#[tokio::test]
async fn a_protected_image_says_so_and_stays() {
    let (_server, region) = region([
        Answer::ec2_error(400, "OperationNotPermitted", "deregistration protection is on"),
        Answer::xml(
            "<DescribeImagesResponse><imagesSet><item><imageId>ami-1</imageId><imageState>available</imageState>\
             <deregistrationProtection>enabled-with-cooldown</deregistrationProtection></item></imagesSet>\
             </DescribeImagesResponse>",
        ),
    ])
    .await;
    let error = region.deregister_image(&image()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongState);
    assert!(error.message.contains("protection"), "{error}");
}

#[tokio::test]
async fn what_an_image_is_like_is_read() {
    let (server, region) = region([Answer::xml(
        "<DescribeImagesResponse><imagesSet><item><imageId>ami-1</imageId><imageState>available</imageState>\
         <isPublic>true</isPublic><bootMode>uefi-preferred</bootMode><virtualizationType>hvm</virtualizationType>\
         <deprecationTime>2027-03-01T10:20:00.000Z</deprecationTime>\
         <deregistrationProtection>enabled</deregistrationProtection><blockDeviceMapping><item>\
         <deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-1</snapshotId><volumeSize>8</volumeSize>\
         <volumeType>gp3</volumeType><encrypted>true</encrypted></ebs></item></blockDeviceMapping></item></imagesSet>\
         </DescribeImagesResponse>",
    )])
    .await;
    let filter = ImageFilter {
        owners: vec!["self".to_owned()],
        include_deprecated: true,
        ..ImageFilter::default()
    };
    let found = region.images(&filter).await.unwrap();
    assert!(found[0].public && found[0].protected);
    assert_eq!(found[0].boot_mode.as_deref(), Some("uefi-preferred"));
    assert_eq!(found[0].deprecated, "2027-03-01T10:20:00Z".parse().ok());
    assert_eq!(found[0].volumes[0].size_gib, Some(8));
    assert_eq!(found[0].volumes[0].encrypted, Some(true));
    server.only_request().assert_params(&[
        ("Action", "DescribeImages"),
        ("Owner.1", "self"),
        ("IncludeDeprecated", "true"),
        ("MaxResults", "1000"),
    ]);
}

#[tokio::test]
async fn the_images_of_all_versions_of_all_launch_templates_are_found() {
    let version = |number: u32, image: &str| {
        format!(
            "<item><launchTemplateId>lt-1</launchTemplateId><launchTemplateName>web</launchTemplateName>\
             <versionNumber>{number}</versionNumber><launchTemplateData>{image}</launchTemplateData></item>"
        )
    };
    let versions = |items: String, next: &str| {
        Answer::xml(format!(
            "<DescribeLaunchTemplateVersionsResponse><launchTemplateVersionSet>{items}</launchTemplateVersionSet>{next}\
             </DescribeLaunchTemplateVersionsResponse>"
        ))
    };
    let (server, region) = region([
        Answer::xml(
            "<DescribeLaunchTemplatesResponse><launchTemplates><item><launchTemplateId>lt-1</launchTemplateId></item>\
             <item><launchTemplateId>lt-2</launchTemplateId></item></launchTemplates></DescribeLaunchTemplatesResponse>",
        ),
        versions(
            version(2, "<imageId>ami-2</imageId>") + &version(3, ""),
            "<nextToken>more</nextToken>",
        ),
        versions(version(1, "<imageId>ami-1</imageId>"), ""),
        // Deleted in between.
        Answer::ec2_error(400, "InvalidLaunchTemplateId.NotFound", "none"),
    ])
    .await;
    let images = region.launch_template_images().await.unwrap();
    let found: Vec<_> = images
        .iter()
        .map(|of| (of.template_name.as_str(), of.version, of.image_id.as_str()))
        .collect();
    assert_eq!(found, [("web", 2, "ami-2"), ("web", 1, "ami-1")]);
    let requests = server.requests();
    requests[0].assert_params(&[("Action", "DescribeLaunchTemplates"), ("MaxResults", "200")]);
    requests[1].assert_params(&[
        ("Action", "DescribeLaunchTemplateVersions"),
        ("LaunchTemplateId", "lt-1"),
        ("ResolveAlias", "true"),
        ("MaxResults", "200"),
    ]);
    assert_eq!(requests[2].param("NextToken"), Some("more"));
    assert_eq!(requests[3].param("LaunchTemplateId"), Some("lt-2"));
}

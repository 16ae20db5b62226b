//! Images.

use crate::region;
use crate::server::Answer;
use cloud::{
    AccountId, Capture, EbsVolume, ErrorKind, Grant, ImageFilter, ImageId, ImageRequest,
    ImageState, InstanceId, Permissions, Tags,
};

fn images(ids: &[&str], next: Option<&str>) -> Answer {
    let items: String = ids
        .iter()
        .map(|id| {
            format!(
                "<item><imageId>{id}</imageId><name>{id}-name</name><imageState>available</imageState>\
                 <creationDate>2026-03-01T10:20:30.000Z</creationDate><architecture>x86_64</architecture></item>"
            )
        })
        .collect();
    let next = next.map_or(String::new(), |token| {
        format!("<nextToken>{token}</nextToken>")
    });
    Answer::xml(format!(
        "<DescribeImagesResponse><imagesSet>{items}</imagesSet>{next}</DescribeImagesResponse>"
    ))
}

#[tokio::test]
async fn all_pages_are_read() {
    let (server, region) = region([
        images(&["ami-1", "ami-2"], Some("more")),
        // EC2 may send a page with nothing on it before the last one.
        images(&[], Some("yet-more")),
        images(&["ami-3"], None),
    ])
    .await;
    let filter = ImageFilter {
        image_ids: Vec::new(),
        owners: vec!["309956199498".to_owned()],
        filters: vec![("name".to_owned(), vec!["RHEL-8.7*".to_owned()])],
        include_deprecated: false,
    };
    let found = region.images(&filter).await.unwrap();
    let ids: Vec<&str> = found.iter().map(|image| image.image_id.as_str()).collect();
    assert_eq!(ids, ["ami-1", "ami-2", "ami-3"]);
    assert_eq!(found[0].state, ImageState::Available);
    let requests = server.requests();
    let first = [
        ("Action", "DescribeImages"),
        ("Owner.1", "309956199498"),
        ("Filter.1.Name", "name"),
        ("Filter.1.Value.1", "RHEL-8.7*"),
        ("MaxResults", "1000"),
    ];
    requests[0].assert_params(&first);
    assert_eq!(requests[1].param("NextToken"), Some("more"));
    assert_eq!(requests[2].param("NextToken"), Some("yet-more"));
}

#[tokio::test]
async fn ids_go_into_a_filter_and_deprecated_images_count() {
    let (server, region) = region([images(&["ami-1"], None)]).await;
    let filter = ImageFilter {
        image_ids: vec![ImageId::from("ami-1"), ImageId::from("ami-2")],
        ..ImageFilter::default()
    };
    assert_eq!(region.images(&filter).await.unwrap().len(), 1);
    server.only_request().assert_params(&[
        ("Action", "DescribeImages"),
        ("Filter.1.Name", "image-id"),
        ("Filter.1.Value.1", "ami-1"),
        ("Filter.1.Value.2", "ami-2"),
        ("IncludeDeprecated", "true"),
        ("MaxResults", "1000"),
    ]);
}

#[tokio::test]
async fn an_image_is_made_without_a_reboot_and_with_its_tags() {
    let (server, region) = region([Answer::xml(
        "<CreateImageResponse><imageId>ami-9</imageId></CreateImageResponse>",
    )])
    .await;
    let request = ImageRequest {
        left_out_devices: Vec::new(),
        instance_id: InstanceId::from("i-1"),
        capture: Capture::Stopped,
        name: "base-1".to_owned(),
        description: String::new(),
        volumes: vec![EbsVolume {
            snapshot_id: None,
            device: "/dev/sda1".to_owned(),
            size_gib: None,
            volume_type: None,
            iops: None,
            throughput: None,
            encrypted: None,
            kms_key_id: None,
            delete_on_termination: Some(true),
        }],
        image_tags: Tags::new().with("qib:stage", "base"),
        snapshot_tags: Tags::new().with("qib:run", "r1"),
    };
    assert_eq!(
        region.create_image(&request).await.unwrap().as_str(),
        "ami-9"
    );
    server.only_request().assert_params(&[
        ("Action", "CreateImage"),
        ("InstanceId", "i-1"),
        ("Name", "base-1"),
        ("NoReboot", "true"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "qib:stage"),
        ("TagSpecification.1.Tag.1.Value", "base"),
        ("TagSpecification.2.ResourceType", "snapshot"),
        ("TagSpecification.2.Tag.1.Key", "qib:run"),
        ("TagSpecification.2.Tag.1.Value", "r1"),
    ]);
}

#[tokio::test]
async fn an_instance_that_cannot_be_stopped_is_rebooted_for_its_image() {
    let (server, region) = region([Answer::xml(
        "<CreateImageResponse><imageId>ami-9</imageId></CreateImageResponse>",
    )])
    .await;
    let request = ImageRequest {
        left_out_devices: Vec::new(),
        instance_id: InstanceId::from("i-1"),
        capture: Capture::Rebooting,
        name: "base-1".to_owned(),
        description: String::new(),
        volumes: Vec::new(),
        image_tags: Tags::new(),
        snapshot_tags: Tags::new(),
    };
    region.create_image(&request).await.unwrap();
    server.only_request().assert_params(&[
        ("Action", "CreateImage"),
        ("InstanceId", "i-1"),
        ("Name", "base-1"),
        ("NoReboot", "false"),
    ]);
}

#[tokio::test]
async fn deregistering_what_is_gone_is_done() {
    let (server, region) = region([
        Answer::ec2_error(400, "InvalidAMIID.NotFound", "gone"),
        // Gone a while ago: EC2 says so only to who looks.
        Answer::ec2_error(400, "InvalidAMIID.Unavailable", "no longer available"),
        images(&[], None),
    ])
    .await;
    let image = ImageId::from("ami-1");
    region.deregister_image(&image).await.unwrap();
    region.deregister_image(&image).await.unwrap();
    server.requests()[0].assert_params(&[("Action", "DeregisterImage"), ("ImageId", "ami-1")]);
}

#[tokio::test]
async fn an_image_that_cannot_be_deregistered_now_is_not_called_gone() {
    let (_server, region) = region([
        Answer::ec2_error(400, "InvalidAMIID.Unavailable", "not in a state"),
        images(&["ami-1"], None),
    ])
    .await;
    let error = region
        .deregister_image(&ImageId::from("ami-1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongState);
    assert_eq!(error.resource.as_deref(), Some("ami-1"));
}

#[tokio::test]
async fn an_image_is_shared_with_each_account() {
    let (server, region) = region([Answer::xml(
        "<ModifyImageAttributeResponse><return>true</return></ModifyImageAttributeResponse>",
    )])
    .await;
    let accounts = Permissions {
        accounts: [
            AccountId::from("111111111111"),
            AccountId::from("222222222222"),
        ]
        .into(),
        ..Permissions::default()
    };
    let image = ImageId::from("ami-1");
    region
        .change_image_permissions(&image, Grant::Add, &accounts)
        .await
        .unwrap();
    // With nobody nothing is sent: the server has no answer left.
    region
        .change_image_permissions(&image, Grant::Add, &Permissions::default())
        .await
        .unwrap();
    server.only_request().assert_params(&[
        ("Action", "ModifyImageAttribute"),
        ("ImageId", "ami-1"),
        ("LaunchPermission.Add.1.UserId", "111111111111"),
        ("LaunchPermission.Add.2.UserId", "222222222222"),
    ]);
}

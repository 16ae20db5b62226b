//! RunInstances.

use crate::region;
use crate::server::Answer;
use cloud::{
    EbsVolume, ImageId, InstanceState, LaunchRequest, Placement, SecurityGroupId, SubnetId,
    TagSpecification, Tags, VolumeType,
};

pub const ANSWER: &str = "<RunInstancesResponse><reservationId>r-1</reservationId><instancesSet><item>\
    <instanceId>i-1</instanceId><imageId>ami-1</imageId>\
    <instanceState><code>0</code><name>pending</name></instanceState></item></instancesSet></RunInstancesResponse>";

pub fn request() -> LaunchRequest {
    LaunchRequest {
        client_token: "token-1".to_owned(),
        image_id: ImageId::from("ami-1"),
        instance_type: "m5.xlarge".to_owned(),
        placement: Placement {
            subnet_id: SubnetId::from("subnet-1"),
            availability_zone: "us-east-2c".into(),
        },
        public_ip: true,
        security_groups: vec![SecurityGroupId::from("sg-1")],
        key_name: None,
        instance_profile: None,
        user_data: Vec::new(),
        volumes: Vec::new(),
        ebs_optimized: None,
        tags: TagSpecification::default(),
    }
}

const ALWAYS: &[(&str, &str)] = &[
    ("Action", "RunInstances"),
    ("MinCount", "1"),
    ("MaxCount", "1"),
    ("ClientToken", "token-1"),
    ("ImageId", "ami-1"),
    ("InstanceType", "m5.xlarge"),
    ("MetadataOptions.HttpTokens", "required"),
    ("MetadataOptions.HttpEndpoint", "enabled"),
    ("MetadataOptions.HttpPutResponseHopLimit", "2"),
    ("NetworkInterface.1.DeviceIndex", "0"),
    ("NetworkInterface.1.DeleteOnTermination", "true"),
    ("NetworkInterface.1.SubnetId", "subnet-1"),
    ("NetworkInterface.1.SecurityGroupId.1", "sg-1"),
];

fn always_and<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    ALWAYS.iter().chain(more).copied().collect()
}

#[tokio::test]
async fn the_least_that_is_sent() {
    let (server, region) = region([Answer::xml(ANSWER)]).await;
    let instance = region.run_instance(&request()).await.unwrap();
    assert_eq!(instance.instance_id.as_str(), "i-1");
    assert_eq!(instance.state, InstanceState::Pending);
    server.only_request().assert_params(&always_and(&[(
        "NetworkInterface.1.AssociatePublicIpAddress",
        "true",
    )]));
}

#[tokio::test]
async fn no_public_address_is_said_too() {
    let (server, region) = region([Answer::xml(ANSWER)]).await;
    let request = LaunchRequest {
        public_ip: false,
        ..request()
    };
    region.run_instance(&request).await.unwrap();
    server.only_request().assert_params(&always_and(&[(
        "NetworkInterface.1.AssociatePublicIpAddress",
        "false",
    )]));
}

#[tokio::test]
async fn the_most_that_is_sent() {
    let (server, region) = region([Answer::xml(ANSWER)]).await;
    let request = LaunchRequest {
        key_name: Some("qib-1".to_owned()),
        instance_profile: Some("builder".to_owned()),
        user_data: b"#!/bin/sh\n\xff".to_vec(),
        volumes: vec![EbsVolume {
            device: "/dev/sda1".to_owned(),
            size_gib: Some(50),
            volume_type: Some(VolumeType("gp3".to_owned())),
            iops: Some(4000),
            throughput: Some(250),
            encrypted: Some(true),
            kms_key_id: Some("alias/qib".to_owned()),
            delete_on_termination: Some(true),
        }],
        ebs_optimized: Some(true),
        tags: TagSpecification {
            instance: Tags::new().with("Name", "qib").with("qib:run", "r1"),
            volume: Tags::new().with("qib:run", "r1"),
            network_interface: Tags::new(),
        },
        ..request()
    };
    region.run_instance(&request).await.unwrap();
    server.only_request().assert_params(&always_and(&[
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("KeyName", "qib-1"),
        ("IamInstanceProfile.Name", "builder"),
        ("UserData", "IyEvYmluL3NoCv8="),
        ("EbsOptimized", "true"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "50"),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ("BlockDeviceMapping.1.Ebs.Iops", "4000"),
        ("BlockDeviceMapping.1.Ebs.Throughput", "250"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.1.Ebs.KmsKeyId", "alias/qib"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "qib"),
        ("TagSpecification.1.Tag.2.Key", "qib:run"),
        ("TagSpecification.1.Tag.2.Value", "r1"),
        ("TagSpecification.2.ResourceType", "volume"),
        ("TagSpecification.2.Tag.1.Key", "qib:run"),
        ("TagSpecification.2.Tag.1.Value", "r1"),
    ]));
}

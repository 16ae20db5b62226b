//! RunInstances.

use crate::region;
use crate::server::Answer;
use cloud::{
    CapacityReservation, EbsVolume, GuestShutdown, Hosting, ImageId, InstanceState, LaunchRequest,
    MetadataOptions, Placement, Purchase, SecurityGroupId, SubnetId, TagSpecification, Tags,
    VolumeType,
};

pub const ANSWER: &str = "<RunInstancesResponse><reservationId>r-1</reservationId><instancesSet><item>\
    <instanceId>i-1</instanceId><imageId>ami-1</imageId>\
    <instanceState><code>0</code><name>pending</name></instanceState></item></instancesSet></RunInstancesResponse>";

pub fn request() -> LaunchRequest {
    LaunchRequest {
        left_out_devices: Vec::new(),
        ipv6: false,
        hosting: cloud::Hosting::default(),
        metadata: cloud::MetadataOptions::default(),
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
        purchase: Purchase::OnDemand,
        spot_max_price: None,
        guest_shutdown: GuestShutdown::Stop,
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
            snapshot_id: None,
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

#[tokio::test]
async fn a_spot_instance_is_asked_for_once_and_its_request_is_tagged() {
    let answer = ANSWER.replace(
        "</item></instancesSet>",
        "<instanceLifecycle>spot</instanceLifecycle></item></instancesSet>",
    );
    let (server, region) = region([Answer::xml(answer.clone()), Answer::xml(answer)]).await;
    let request = LaunchRequest {
        purchase: Purchase::Spot,
        spot_max_price: Some("0.12".to_owned()),
        tags: TagSpecification {
            instance: Tags::new().with("qib:run", "r1"),
            ..TagSpecification::default()
        },
        ..request()
    };
    let instance = region.run_instance(&request).await.unwrap();
    assert_eq!(instance.purchase, Purchase::Spot);
    let spot = [
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("InstanceMarketOptions.MarketType", "spot"),
        (
            "InstanceMarketOptions.SpotOptions.SpotInstanceType",
            "one-time",
        ),
        (
            "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
            "terminate",
        ),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "qib:run"),
        ("TagSpecification.1.Tag.1.Value", "r1"),
        ("TagSpecification.2.ResourceType", "spot-instances-request"),
        ("TagSpecification.2.Tag.1.Key", "qib:run"),
        ("TagSpecification.2.Tag.1.Value", "r1"),
    ];
    let price = [("InstanceMarketOptions.SpotOptions.MaxPrice", "0.12")];
    server
        .only_request()
        .assert_params(&always_and(&[spot.as_slice(), &price].concat()));

    // Without a price the on-demand price is the limit.
    let request = LaunchRequest {
        spot_max_price: None,
        ..request
    };
    region.run_instance(&request).await.unwrap();
    server.requests()[1].assert_params(&always_and(&spot));
}

#[tokio::test]
async fn a_guest_that_shuts_down_can_end_its_instance() {
    let (server, region) = region([Answer::xml(ANSWER)]).await;
    let request = LaunchRequest {
        guest_shutdown: GuestShutdown::Terminate,
        ..request()
    };
    let instance = region.run_instance(&request).await.unwrap();
    assert_eq!(instance.purchase, Purchase::OnDemand);
    server.only_request().assert_params(&always_and(&[
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("InstanceInitiatedShutdownBehavior", "terminate"),
    ]));
}

#[tokio::test]
async fn where_the_machine_stands_and_how_its_metadata_answers() {
    let (server, region) = region([Answer::xml(ANSWER)]).await;
    let request = LaunchRequest {
        ipv6: true,
        left_out_devices: vec!["/dev/sdb".to_owned()],
        hosting: Hosting {
            capacity_reservation: Some(CapacityReservation::Id("cr-1".to_owned())),
            tenancy: Some("host".to_owned()),
            host_id: Some("h-1".to_owned()),
            host_resource_group: Some("arn:aws:resource-groups:group".to_owned()),
            placement_group: Some("near".to_owned()),
            cpu_credits: Some("unlimited".to_owned()),
        },
        metadata: MetadataOptions {
            hop_limit: Some(5),
            instance_tags: Some(true),
        },
        ..request()
    };
    region.run_instance(&request).await.unwrap();
    let mut expected = always_and(&[
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("NetworkInterface.1.Ipv6AddressCount", "1"),
        ("MetadataOptions.InstanceMetadataTags", "enabled"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sdb"),
        ("BlockDeviceMapping.1.NoDevice", ""),
        ("Placement.Tenancy", "host"),
        ("Placement.HostId", "h-1"),
        (
            "Placement.HostResourceGroupArn",
            "arn:aws:resource-groups:group",
        ),
        ("Placement.GroupName", "near"),
        (
            "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId",
            "cr-1",
        ),
        ("CreditSpecification.CpuCredits", "unlimited"),
    ]);
    for (name, value) in &mut expected {
        if *name == "MetadataOptions.HttpPutResponseHopLimit" {
            *value = "5";
        }
    }
    server.only_request().assert_params(&expected);
}

#[tokio::test]
async fn a_capacity_reservation_is_any_none_one_or_one_of_a_group() {
    const PREFERENCE: &str = "CapacityReservationSpecification.CapacityReservationPreference";
    const GROUP: &str = "CapacityReservationSpecification.CapacityReservationTarget.\
                         CapacityReservationResourceGroupArn";
    let cases = [
        (CapacityReservation::Open, PREFERENCE, "open"),
        (CapacityReservation::None, PREFERENCE, "none"),
        (CapacityReservation::Group("arn".to_owned()), GROUP, "arn"),
    ];
    for (reservation, name, value) in cases {
        let (server, region) = region([Answer::xml(ANSWER)]).await;
        let mut request = request();
        request.hosting.capacity_reservation = Some(reservation);
        region.run_instance(&request).await.unwrap();
        let public = ("NetworkInterface.1.AssociatePublicIpAddress", "true");
        let expected = always_and(&[public, (name, value)]);
        server.only_request().assert_params(&expected);
    }
}

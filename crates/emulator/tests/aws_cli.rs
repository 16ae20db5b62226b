//! The real AWS CLI as the referee: what it sends is understood, and what it gets it can read.
//!
//! `QIB_TEST_AWS` names its program; `cargo xtask test` installs it and sets that. Without it these tests say so and do
//! nothing, so that `cargo test` works on a machine without Python.

// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod support;

use support::cli::{Cli, text};

#[tokio::test(flavor = "multi_thread")]
async fn looking_around() {
    let Some(aws) = Cli::new().await else { return };
    let identity = aws.json("sts get-caller-identity").await;
    assert_eq!(identity["Account"], "123456789012");
    assert!(
        aws.json("ec2 describe-regions").await["Regions"]
            .as_array()
            .unwrap()
            .len()
            > 10
    );
    assert_eq!(
        aws.json("ec2 describe-availability-zones").await["AvailabilityZones"][0]["RegionName"],
        "us-east-2"
    );
    assert_eq!(
        aws.json("ec2 describe-vpcs").await["Vpcs"][0]["IsDefault"],
        true
    );
    assert_eq!(
        aws.json("ec2 describe-subnets").await["Subnets"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let groups = aws.json("ec2 describe-security-groups").await;
    assert_eq!(
        groups["SecurityGroups"][0]["IpPermissionsEgress"][0]["IpRanges"][0]["CidrIp"],
        "0.0.0.0/0"
    );
    let images = aws.json("ec2 describe-images --owners 309956199498 --filters Name=name,Values=RHEL-8.7*HVM-*Hourly*").await;
    let images = images["Images"].as_array().unwrap();
    assert!(
        images.len() > 1
            && images
                .iter()
                .all(|i| text(&i["Name"]).starts_with("RHEL-8.7"))
    );
    assert_eq!(
        aws.json("ec2 describe-addresses").await["Addresses"][0]["AllocationId"],
        "eipalloc-0local"
    );
    let types = aws
        .json("ec2 describe-instance-types --instance-types m5.xlarge")
        .await;
    assert_eq!(types["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"], 4);
    aws.json(
        "ec2 describe-instance-type-offerings --location-type availability-zone --max-items 5",
    )
    .await;
    aws.json("ec2 describe-account-attributes").await;
    aws.json("ec2 describe-tags").await;
    aws.json("ec2 describe-iam-instance-profile-associations")
        .await;
    aws.json("ec2 describe-security-group-rules").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_and_its_image() {
    // The CLI's own waiters look every 15 seconds: they are asked only when there is nothing to wait for any more.
    let Some(aws) = Cli::new().await else { return };
    let image = aws.ec2.image();
    let group = text(
        &aws.json("ec2 create-security-group --group-name g --description d")
            .await["GroupId"],
    );
    aws.json(&format!("ec2 authorize-security-group-ingress --group-id {group} --protocol tcp --port 22 --cidr 127.0.0.1/32")).await;
    let run = format!(
        "ec2 run-instances --image-id {image} --instance-type m5.xlarge --iam-instance-profile Name=packer --security-group-ids {group} \
         --user-data hello --client-token once --metadata-options HttpTokens=required \
         --block-device-mappings DeviceName=/dev/sda1,Ebs={{VolumeSize=50,VolumeType=gp3}} \
         --tag-specifications ResourceType=instance,Tags=[{{Key=Name,Value=one}}] ResourceType=volume,Tags=[{{Key=Name,Value=disk}}]"
    );
    let made = aws.json(&run).await;
    let id = text(&made["Instances"][0]["InstanceId"]);
    assert_eq!(made["Instances"][0]["State"]["Name"], "pending");
    assert_eq!(
        text(&aws.json(&run).await["Instances"][0]["InstanceId"]),
        id,
        "the same token, the same instance"
    );
    aws.ec2.state(&id, "running").await;
    aws.json(&format!("ec2 wait instance-running --instance-ids {id}"))
        .await;
    let shown = aws
        .json("ec2 describe-instances --filters Name=tag:Name,Values=one")
        .await;
    let instance = &shown["Reservations"][0]["Instances"][0];
    assert_eq!(instance["SecurityGroups"][0]["GroupId"], group.as_str());
    assert_eq!(instance["MetadataOptions"]["HttpTokens"], "required");
    assert!(text(&instance["IamInstanceProfile"]["Arn"]).ends_with("instance-profile/packer"));
    let volumes = aws.json("ec2 describe-volumes").await;
    assert_eq!(
        (
            &volumes["Volumes"][0]["Size"],
            &volumes["Volumes"][0]["VolumeType"]
        ),
        (&50.into(), &"gp3".into())
    );
    let bound = aws.json(&format!("ec2 associate-address --allocation-id eipalloc-0local --instance-id {id} --no-allow-reassociation")).await;
    aws.json(&format!(
        "ec2 disassociate-address --association-id {}",
        text(&bound["AssociationId"])
    ))
    .await;
    let console = aws
        .json(&format!(
            "ec2 get-console-output --instance-id {id} --latest"
        ))
        .await;
    assert!(text(&console["Output"]).contains(&format!("{id} is up")));
    let status = aws
        .json(&format!("ec2 describe-instance-status --instance-ids {id}"))
        .await;
    assert_eq!(
        status["InstanceStatuses"][0]["InstanceStatus"]["Status"],
        "ok"
    );
    aws.json(&format!(
        "ec2 describe-network-interfaces --filters Name=attachment.instance-id,Values={id}"
    ))
    .await;
    aws.json(&format!("ec2 stop-instances --instance-ids {id}"))
        .await;
    aws.ec2.state(&id, "stopped").await;
    aws.json(&format!("ec2 wait instance-stopped --instance-ids {id}"))
        .await;
    aws.json(&format!(
        "ec2 modify-instance-attribute --instance-id {id} --ena-support"
    ))
    .await;
    let made = aws
        .json(&format!("ec2 create-image --instance-id {id} --name mine --tag-specifications ResourceType=image,Tags=[{{Key=k,Value=v}}]"))
        .await;
    let mine = text(&made["ImageId"]);
    let there = |a: &support::Answer| a.text("imageState").as_deref() == Some("available");
    aws.ec2
        .until("DescribeImages", &[("ImageId.1", &mine)], there)
        .await;
    aws.json(&format!("ec2 wait image-available --image-ids {mine}"))
        .await;
    aws.json(&format!("ec2 modify-image-attribute --image-id {mine} --launch-permission Add=[{{UserId=111122223333}}]")).await;
    let permission = aws
        .json(&format!(
            "ec2 describe-image-attribute --image-id {mine} --attribute launchPermission"
        ))
        .await;
    assert_eq!(permission["LaunchPermissions"][0]["UserId"], "111122223333");
    let copy = aws.json(&format!("ec2 copy-image --region eu-west-1 --source-region us-east-2 --source-image-id {mine} --name copy")).await;
    aws.json(&format!(
        "ec2 wait image-available --region eu-west-1 --image-ids {}",
        text(&copy["ImageId"])
    ))
    .await;
    let snapshot = text(
        &aws.json("ec2 describe-snapshots --owner-ids self").await["Snapshots"][0]["SnapshotId"],
    );
    aws.json(&format!("ec2 copy-snapshot --region eu-west-1 --source-region us-east-2 --source-snapshot-id {snapshot}")).await;
    aws.json(&format!(
        "ec2 enable-image-deprecation --image-id {mine} --deprecate-at 2099-01-01T00:00:00Z"
    ))
    .await;
    aws.json(&format!("ec2 terminate-instances --instance-ids {id}"))
        .await;
    aws.ec2.state(&id, "terminated").await;
    aws.json(&format!("ec2 wait instance-terminated --instance-ids {id}"))
        .await;
    aws.json(&format!("ec2 deregister-image --image-id {mine}"))
        .await;
    aws.json(&format!("ec2 delete-snapshot --snapshot-id {snapshot}"))
        .await;
    aws.json(&format!("ec2 delete-security-group --group-id {group}"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_reach_the_person() {
    let Some(aws) = Cli::new().await else { return };
    let missing = aws
        .refused("ec2 describe-instances --instance-ids i-0123456789abcdef0")
        .await;
    assert!(
        missing.contains("(InvalidInstanceID.NotFound)")
            && missing.contains("'i-0123456789abcdef0' does not exist"),
        "{missing}"
    );
    let dry = aws
        .refused("ec2 create-security-group --group-name g --description d --dry-run")
        .await;
    assert!(dry.contains("(DryRunOperation)"), "{dry}");
    let unknown = aws.refused("ec2 describe-fleets").await;
    assert!(unknown.contains("(InvalidAction)"), "{unknown}");
    let parameter = aws.refused("ssm get-parameter --name nobody").await;
    assert!(parameter.contains("(ParameterNotFound)"), "{parameter}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_pairs_and_parameters() {
    let Some(aws) = Cli::new().await else { return };
    let made = aws
        .json("ec2 create-key-pair --key-name k --key-type ed25519")
        .await;
    assert!(text(&made["KeyMaterial"]).contains("OPENSSH PRIVATE KEY"));
    assert_eq!(
        aws.json("ec2 describe-key-pairs").await["KeyPairs"][0]["KeyType"],
        "ed25519"
    );
    aws.json("ec2 delete-key-pair --key-name k").await;
    let first = aws
        .json("ssm put-parameter --name /images/base --value ami-1 --type String")
        .await;
    assert_eq!(first["Version"], 1);
    let again = aws
        .refused("ssm put-parameter --name /images/base --value ami-2 --type String")
        .await;
    assert!(again.contains("(ParameterAlreadyExists)"), "{again}");
    aws.json("ssm put-parameter --name /images/base --value ami-2 --type String --overwrite")
        .await;
    assert_eq!(
        aws.json("ssm get-parameter --name /images/base").await["Parameter"]["Value"],
        "ami-2"
    );
    assert_eq!(
        aws.json("ssm get-parameters-by-path --path /images").await["Parameters"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    aws.json("ssm describe-parameters").await;
    aws.json("ssm delete-parameter --name /images/base").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spot_instances_and_their_requests() {
    let Some(aws) = Cli::new().await else { return };
    let image = aws.ec2.image();
    let made = aws
        .json(&format!(
            "ec2 run-instances --image-id {image} --instance-type m5.xlarge \
             --instance-market-options MarketType=spot,SpotOptions={{MaxPrice=0.1,SpotInstanceType=one-time,InstanceInterruptionBehavior=terminate}} \
             --tag-specifications ResourceType=spot-instances-request,Tags=[{{Key=k,Value=v}}]"
        ))
        .await;
    let instance = &made["Instances"][0];
    assert_eq!(instance["InstanceLifecycle"], "spot");
    let (id, sir) = (
        text(&instance["InstanceId"]),
        text(&instance["SpotInstanceRequestId"]),
    );
    aws.ec2.state(&id, "running").await;
    let shown = aws
        .json("ec2 describe-spot-instance-requests --filters Name=tag:k,Values=v")
        .await;
    let request = &shown["SpotInstanceRequests"][0];
    assert_eq!(request["SpotInstanceRequestId"], sir.as_str());
    assert_eq!(request["State"], "active");
    assert_eq!(request["Status"]["Code"], "fulfilled");
    assert_eq!(request["LaunchSpecification"]["InstanceType"], "m5.xlarge");
    let stop = aws
        .refused(&format!("ec2 stop-instances --instance-ids {id}"))
        .await;
    assert!(stop.contains("(UnsupportedOperation)"), "{stop}");
    let cancelled = aws
        .json(&format!(
            "ec2 cancel-spot-instance-requests --spot-instance-request-ids {sir}"
        ))
        .await;
    assert_eq!(
        cancelled["CancelledSpotInstanceRequests"][0]["State"],
        "cancelled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_reach_the_person() {
    let Some(aws) = Cli::new().await else { return };
    for kind in ["drop-before", "drop-after"] {
        aws.faults(&format!(
            r#"{{"actions":[{{"action":"DescribeVpcs","kind":"{kind}"}}]}}"#
        ));
        let closed = aws.refused("ec2 describe-vpcs").await;
        assert!(closed.contains("Connection was closed"), "{closed}");
    }
    aws.faults(
        r#"{"actions":[{"action":"DescribeVpcs","kind":"timeout","effect":"none","hold_ms":20000}]}"#,
    );
    let silent = aws.refused("ec2 describe-vpcs --cli-read-timeout 1").await;
    assert!(silent.contains("Read timeout"), "{silent}");
    aws.faults(r#"{"actions":[{"action":"*","kind":"throttle"}]}"#);
    let throttled = aws.refused("ec2 describe-vpcs").await;
    assert!(throttled.contains("(RequestLimitExceeded)"), "{throttled}");
    let throttled = aws.refused("ssm get-parameter --name a").await;
    assert!(throttled.contains("(ThrottlingException)"), "{throttled}");
    aws.faults(r#"{"capacity":[{"zone":"us-east-2a"}]}"#);
    let image = aws.ec2.image();
    let full = aws
        .refused(&format!(
            "ec2 run-instances --image-id {image} --instance-type m5.large --placement AvailabilityZone=us-east-2a"
        ))
        .await;
    assert!(
        full.contains("(InsufficientInstanceCapacity)") && full.contains("us-east-2b, us-east-2c"),
        "{full}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions() {
    let Some(aws) = Cli::new().await else { return };
    let session = aws.with_credentials(&aws.json("sts get-session-token").await);
    session.json("ec2 describe-vpcs").await;
    let assumed = aws
        .json("sts assume-role --role-arn arn:aws:iam::123456789012:role/administrator --role-session-name night")
        .await;
    assert!(text(&assumed["AssumedRoleUser"]["Arn"]).ends_with("assumed-role/administrator/night"));
    let role = aws.with_credentials(&assumed);
    let identity = role.json("sts get-caller-identity").await;
    assert_eq!(identity["Arn"], assumed["AssumedRoleUser"]["Arn"]);
    aws.faults(r#"{"expire_sessions":true}"#);
    for (command, code) in [
        ("ec2 describe-vpcs", "(RequestExpired)"),
        ("ssm get-parameter --name a", "(ExpiredTokenException)"),
        ("sts get-caller-identity", "(ExpiredToken)"),
    ] {
        let refused = role.refused(command).await;
        assert!(refused.contains(code), "{refused}");
    }
}

//! The real AWS CLI as the referee of IAM, KMS, Service Quotas, several accounts and regions, and what launches say.
//!
//! As in `aws_cli.rs`, `QIB_TEST_AWS` names its program.

// A test is an edge.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod support;

use emulator::config::{Delays, EmulatorConfig};
use serde_json::{Value, json};
use support::LocalEc2;
use support::cli::{Cli, text};

/// Writes a file that the CLI is given.
fn file(aws: &Cli, name: &str, content: &Value) -> String {
    let path = aws.ec2.path().join(name);
    std::fs::write(&path, content.to_string()).unwrap();
    format!("file://{}", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_profiles_and_the_simulator() {
    let Some(aws) = Cli::new().await else { return };
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }] });
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*" }] });
    let (trust_file, policy_file) = (
        file(&aws, "trust.json", &trust),
        file(&aws, "policy.json", &policy),
    );
    let made = aws
        .json(&format!(
            "iam create-role --role-name builder --path /qib/ --assume-role-policy-document {trust_file} --tags Key=qib:run,Value=r1"
        ))
        .await;
    assert_eq!(made["Role"]["AssumeRolePolicyDocument"], trust);
    let arn = text(&made["Role"]["Arn"]);
    aws.json(&format!(
        "iam put-role-policy --role-name builder --policy-name inline --policy-document {policy_file}"
    ))
    .await;
    let read = aws
        .json("iam get-role-policy --role-name builder --policy-name inline")
        .await;
    assert_eq!(read["PolicyDocument"], policy);
    aws.json("iam create-instance-profile --instance-profile-name builder --path /qib/")
        .await;
    aws.json(
        "iam add-role-to-instance-profile --instance-profile-name builder --role-name builder",
    )
    .await;
    aws.json("iam wait instance-profile-exists --instance-profile-name builder")
        .await;
    let profile = aws
        .json("iam get-instance-profile --instance-profile-name builder")
        .await;
    assert_eq!(
        profile["InstanceProfile"]["Roles"][0]["RoleName"],
        "builder"
    );
    let below = aws.json("iam list-roles --path-prefix /qib/").await;
    assert_eq!(below["Roles"].as_array().unwrap().len(), 1);
    let tags = aws.json("iam list-role-tags --role-name builder").await;
    assert_eq!(tags["Tags"][0]["Key"], "qib:run");
    let below = aws
        .json("iam list-instance-profiles --path-prefix /qib/")
        .await;
    assert_eq!(below["InstanceProfiles"].as_array().unwrap().len(), 1);
    let said = aws
        .json(&format!(
            "iam simulate-principal-policy --policy-source-arn {arn} --action-names ec2:DescribeImages ec2:RunInstances"
        ))
        .await;
    let decisions: Vec<_> = said["EvaluationResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| text(&r["EvalDecision"]))
        .collect();
    assert_eq!(decisions, ["allowed", "implicitDeny"]);
    let conflict = aws.refused("iam delete-role --role-name builder").await;
    assert!(conflict.contains("(DeleteConflict)"), "{conflict}");
    let image = aws.ec2.image();
    let launched = aws
        .json(&format!(
            "ec2 run-instances --image-id {image} --instance-type m5.large --iam-instance-profile Name=builder"
        ))
        .await;
    assert!(
        text(&launched["Instances"][0]["IamInstanceProfile"]["Arn"])
            .ends_with("instance-profile/qib/builder")
    );
    for command in [
        "remove-role-from-instance-profile --instance-profile-name builder --role-name builder",
        "delete-instance-profile --instance-profile-name builder",
        "delete-role-policy --role-name builder --policy-name inline",
        "delete-role --role-name builder",
    ] {
        aws.json(&format!("iam {command}")).await;
    }
    let gone = aws.refused("iam get-role --role-name builder").await;
    assert!(gone.contains("(NoSuchEntity)"), "{gone}");
    aws.json("iam get-user").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_quotas() {
    let Some(aws) = Cli::new().await else { return };
    let key = aws.json("kms create-key --description mine").await;
    let arn = text(&key["KeyMetadata"]["Arn"]);
    aws.json(&format!(
        "kms create-alias --alias-name alias/mine --target-key-id {arn}"
    ))
    .await;
    let shown = aws.json("kms describe-key --key-id alias/mine").await;
    assert_eq!(shown["KeyMetadata"]["Arn"], arn.as_str());
    let aliases = aws.json("kms list-aliases").await;
    assert_eq!(aliases["Aliases"][0]["AliasName"], "alias/mine");
    let dry = aws
        .refused(&format!(
            "kms create-grant --key-id {arn} --grantee-principal arn:aws:iam::123456789012:role/packer --operations Decrypt --dry-run"
        ))
        .await;
    assert!(dry.contains("(DryRunOperationException)"), "{dry}");
    aws.json(&format!("kms disable-key --key-id {arn}")).await;
    let quota = aws
        .json("service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A")
        .await;
    assert_eq!(quota["Quota"]["Value"], 512.0);
    let quotas = aws
        .json("service-quotas list-service-quotas --service-code ec2")
        .await;
    assert!(quotas["Quotas"].as_array().unwrap().len() >= 4);
    let default = aws
        .json("service-quotas get-aws-default-service-quota --service-code ebs --quota-code L-A84ABF80")
        .await;
    assert_eq!(default["Quota"]["Value"], 20.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_may_not_do_is_said_to_calls_and_dry_runs() {
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": ["ec2:CopyImage", "iam:CreateRole", "kms:*", "ssm:PutParameter"], "Resource": "*" },
    ] });
    let config = EmulatorConfig {
        delays: Delays::None,
        policy: Some(policy),
        ..EmulatorConfig::default()
    };
    let Some(aws) = Cli::over(LocalEc2::with(config)).await else {
        return;
    };
    let image = aws.ec2.image();
    let copy =
        format!("ec2 copy-image --source-region us-east-2 --source-image-id {image} --name copy");
    for (command, code) in [
        (copy.clone(), "(UnauthorizedOperation)"),
        (format!("{copy} --dry-run"), "(UnauthorizedOperation)"),
        (
            "ec2 create-vpc --cidr-block 10.0.0.0/16 --dry-run".to_owned(),
            "(DryRunOperation)",
        ),
        (
            "iam create-role --role-name a --assume-role-policy-document {}".to_owned(),
            "(AccessDenied)",
        ),
        ("kms list-keys".to_owned(), "(AccessDeniedException)"),
        (
            "ssm put-parameter --name a --value b --type String".to_owned(),
            "(AccessDeniedException)",
        ),
    ] {
        let refused = aws.refused(&command).await;
        assert!(refused.contains(code), "{command}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_accounts_and_sharing() {
    let Some(aws) = Cli::new().await else { return };
    let all = aws.json("ec2 describe-regions --all-regions").await;
    let off = all["Regions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["RegionName"] == "ap-east-1")
        .unwrap();
    assert_eq!(off["OptInStatus"], "not-opted-in");
    let refused = aws.refused("ec2 describe-vpcs --region ap-east-1").await;
    assert!(refused.contains("(AuthFailure)"), "{refused}");
    let stopped = aws.ec2.stopped().await;
    let image = aws.ec2.image_of(&stopped, "mine").await;
    let organization = "arn:aws:organizations::123456789012:organization/o-localec2org";
    aws.json(&format!(
        "ec2 modify-image-attribute --image-id {image} --attribute launchPermission --operation-type add --organization-arns {organization}"
    ))
    .await;
    let permission = aws
        .json(&format!(
            "ec2 describe-image-attribute --image-id {image} --attribute launchPermission"
        ))
        .await;
    assert_eq!(
        permission["LaunchPermissions"][0]["OrganizationArn"],
        organization
    );
    let assumed = aws
        .json("sts assume-role --role-arn arn:aws:iam::111122223333:role/administrator --role-session-name other")
        .await;
    let sister = aws.with_credentials(&assumed);
    let seen = sister
        .json("ec2 describe-images --executable-users self")
        .await;
    assert_eq!(seen["Images"][0]["ImageId"], image.as_str());
    let snapshot = text(
        &aws.json("ec2 describe-snapshots --owner-ids self").await["Snapshots"][0]["SnapshotId"],
    );
    aws.json(&format!(
        "ec2 modify-snapshot-attribute --snapshot-id {snapshot} --attribute createVolumePermission --operation-type add --user-ids 111122223333"
    ))
    .await;
    let copied = sister
        .json(&format!(
            "ec2 copy-image --region eu-west-1 --source-region us-east-2 --source-image-id {image} --name theirs --encrypted --copy-image-tags"
        ))
        .await;
    sister
        .json(&format!(
            "ec2 wait image-available --region eu-west-1 --image-ids {}",
            text(&copied["ImageId"])
        ))
        .await;
    aws.json(&format!(
        "ec2 enable-image-deregistration-protection --image-id {image} --with-cooldown"
    ))
    .await;
    let protected = aws
        .refused(&format!("ec2 deregister-image --image-id {image}"))
        .await;
    assert!(protected.contains("(OperationNotPermitted)"), "{protected}");
    for command in [
        "enable-image-block-public-access --image-block-public-access-state block-new-sharing",
        "get-image-block-public-access-state",
        "disable-image-block-public-access",
        "enable-snapshot-block-public-access --state block-all-sharing",
        "get-snapshot-block-public-access-state",
        "disable-snapshot-block-public-access",
    ] {
        aws.json(&format!("ec2 {command}")).await;
    }
    let mfa = aws
        .json("sts get-session-token --serial-number arn:aws:iam::123456789012:mfa/local --token-code 123456")
        .await;
    aws.with_credentials(&mfa).json("ec2 describe-vpcs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_launch_says_is_shown() {
    let Some(aws) = Cli::new().await else { return };
    let vpc = aws
        .json("ec2 create-vpc --cidr-block 10.0.0.0/16 --amazon-provided-ipv6-cidr-block")
        .await;
    let id = text(&vpc["Vpc"]["VpcId"]);
    let block = text(&vpc["Vpc"]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]);
    let subnet = aws
        .json(&format!(
            "ec2 create-subnet --vpc-id {id} --cidr-block 10.0.1.0/24 --availability-zone us-east-2a --ipv6-cidr-block {}",
            block.replace("/56", "/64")
        ))
        .await;
    let subnet = text(&subnet["Subnet"]["SubnetId"]);
    let reservation = aws
        .json("ec2 create-capacity-reservation --instance-type t3.micro --instance-platform Linux/UNIX --availability-zone us-east-2a --instance-count 1 --instance-match-criteria targeted --tag-specifications ResourceType=capacity-reservation,Tags=[{Key=k,Value=v}]")
        .await;
    let reservation = text(&reservation["CapacityReservation"]["CapacityReservationId"]);
    aws.json("ec2 create-placement-group --group-name apart --strategy spread")
        .await;
    let image = aws.ec2.image();
    let made = aws
        .json(&format!(
            "ec2 run-instances --image-id {image} --instance-type t3.micro --subnet-id {subnet} --ipv6-address-count 1 \
             --capacity-reservation-specification CapacityReservationTarget={{CapacityReservationId={reservation}}} \
             --placement GroupName=apart,Tenancy=default --credit-specification CpuCredits=standard \
             --metadata-options HttpTokens=required,HttpPutResponseHopLimit=3,InstanceMetadataTags=enabled \
             --instance-initiated-shutdown-behavior terminate \
             --block-device-mappings DeviceName=/dev/sdf,Ebs={{VolumeSize=9,VolumeType=gp3,Iops=4000,Throughput=250,Encrypted=true}} DeviceName=/dev/sdb,VirtualName=ephemeral0"
        ))
        .await;
    let instance = &made["Instances"][0];
    assert_eq!(instance["CapacityReservationId"], reservation.as_str());
    assert_eq!(instance["Placement"]["GroupName"], "apart");
    assert_eq!(instance["MetadataOptions"]["HttpPutResponseHopLimit"], 3);
    let address = &instance["NetworkInterfaces"][0]["Ipv6Addresses"][0]["Ipv6Address"];
    assert_eq!(&instance["Ipv6Address"], address);
    let instance = text(&instance["InstanceId"]);
    let credits = aws
        .json(&format!(
            "ec2 describe-instance-credit-specifications --instance-ids {instance}"
        ))
        .await;
    assert_eq!(
        credits["InstanceCreditSpecifications"][0]["CpuCredits"],
        "standard"
    );
    let hosts = aws
        .json("ec2 allocate-hosts --instance-type m5.large --availability-zone us-east-2a --quantity 1")
        .await;
    let host = text(&hosts["HostIds"][0]);
    aws.json(&format!(
        "ec2 run-instances --image-id {image} --instance-type m5.large --placement HostId={host},Tenancy=host,AvailabilityZone=us-east-2a"
    ))
    .await;
    let hosts = aws.json("ec2 describe-hosts").await;
    assert_eq!(hosts["Hosts"][0]["Instances"].as_array().unwrap().len(), 1);
    aws.json(&format!(
        "ec2 create-launch-template --launch-template-name web --launch-template-data ImageId={image},InstanceType=m5.large"
    ))
    .await;
    let versions = aws
        .json("ec2 describe-launch-template-versions --versions $Latest $Default")
        .await;
    assert_eq!(
        versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"],
        image.as_str()
    );
    for command in [
        "describe-capacity-reservations",
        "describe-placement-groups",
        "describe-launch-templates",
        "describe-instance-types --filters Name=supported-boot-mode,Values=uefi",
        "describe-subnets --filters Name=vpc-id,Values=vpc-0123456789abcdef0",
    ] {
        aws.json(&format!("ec2 {command}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_parameters() {
    let Some(aws) = Cli::new().await else { return };
    let centos = aws
        .json("ec2 describe-images --region eu-central-1 --owners aws-marketplace --filters Name=product-code,Values=aw0evgkw8e5c1q413zgy5pjce")
        .await;
    assert_eq!(
        centos["Images"][0]["ProductCodes"][0]["ProductCodeType"],
        "marketplace"
    );
    let found = aws
        .json("ssm get-parameter --name /aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id")
        .await;
    let image = text(&found["Parameter"]["Value"]);
    aws.json(&format!(
        "ssm put-parameter --name /golden --value {image} --type String --data-type aws:ec2:image"
    ))
    .await;
    let golden = aws.json("ssm get-parameter --name /golden").await;
    assert_eq!(golden["Parameter"]["DataType"], "aws:ec2:image");
    aws.json("ssm describe-parameters --parameter-filters Key=Name,Option=BeginsWith,Values=/gol")
        .await;
    let stopped = aws.ec2.stopped().await;
    let made = aws
        .json(&format!(
            "ec2 create-snapshots --instance-specification InstanceId={stopped} --description d --tag-specifications ResourceType=snapshot,Tags=[{{Key=k,Value=v}}]"
        ))
        .await;
    let snapshot = text(&made["Snapshots"][0]["SnapshotId"]);
    aws.json(&format!(
        "ec2 wait snapshot-completed --snapshot-ids {snapshot}"
    ))
    .await;
    let registered = aws
        .json(&format!(
            "ec2 register-image --name registered --architecture x86_64 --virtualization-type hvm --ena-support --sriov-net-support simple --boot-mode uefi --tpm-support v2.0 --imds-support v2.0 --root-device-name /dev/sda1 --block-device-mappings DeviceName=/dev/sda1,Ebs={{SnapshotId={snapshot},VolumeType=gp3}} --tag-specifications ResourceType=image,Tags=[{{Key=k,Value=v}}]"
        ))
        .await;
    let image = text(&registered["ImageId"]);
    let shown = aws
        .json(&format!("ec2 describe-images --image-ids {image}"))
        .await;
    let shown = &shown["Images"][0];
    for (member, value) in [
        ("BootMode", "uefi"),
        ("TpmSupport", "v2.0"),
        ("ImdsSupport", "v2.0"),
        ("SriovNetSupport", "simple"),
        ("DeregistrationProtection", "disabled"),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
    let launched = aws
        .json(&format!(
            "ec2 describe-image-attribute --image-id {image} --attribute lastLaunchedTime"
        ))
        .await;
    assert_eq!(launched["LastLaunchedTime"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_by_blocks() {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use sha2::{Digest, Sha256};
    let Some(aws) = Cli::new().await else { return };
    let dir = aws.ec2.path().to_owned();
    let block = vec![7; 524_288];
    let file = dir.join("block");
    std::fs::write(&file, &block).unwrap();
    let sum = BASE64_STANDARD.encode(Sha256::digest(&block));
    let start = "ebs start-snapshot --volume-size 1 --client-token once --timeout 10 --description d --tags Key=k,Value=v";
    let started = aws.json(start).await;
    let id = text(&started["SnapshotId"]);
    assert_eq!(started["BlockSize"], 524_288);
    assert_eq!(text(&aws.json(start).await["SnapshotId"]), id);
    let other = start.replace("--volume-size 1", "--volume-size 2");
    assert!(aws.refused(&other).await.contains("ConflictException"));
    let put = |index: u32, sum: &str| {
        let file = file.display();
        format!(
            "ebs put-snapshot-block --snapshot-id {id} --block-index {index} --data-length 524288 --block-data {file} --checksum {sum} --checksum-algorithm SHA256 --progress 50"
        )
    };
    assert_eq!(aws.json(&put(3, &sum)).await["Checksum"], sum.as_str());
    let wrong = BASE64_STANDARD.encode(Sha256::digest(b""));
    let refused = aws.refused(&put(4, &wrong)).await;
    assert!(refused.contains("ValidationException"), "{refused}");
    let shown = aws
        .json(&format!("ec2 describe-snapshots --snapshot-ids {id}"))
        .await;
    assert_eq!(shown["Snapshots"][0]["Progress"], "50%");
    let complete =
        |n| format!("ebs complete-snapshot --snapshot-id {id} --changed-blocks-count {n}");
    assert!(
        aws.refused(&complete(2))
            .await
            .contains("ValidationException")
    );
    let linear = BASE64_STANDARD.encode(Sha256::digest(Sha256::digest(&block)));
    let done = aws
        .json(&format!(
            "{} --checksum {linear} --checksum-algorithm SHA256 --checksum-aggregation-method LINEAR",
            complete(1)
        ))
        .await;
    assert_eq!(done["Status"], "completed");
    let list = aws
        .json(&format!("ebs list-snapshot-blocks --snapshot-id {id}"))
        .await;
    assert_eq!(list["Blocks"][0]["BlockIndex"], 3);
    assert!(list["ExpiryTime"].as_f64().unwrap() > 1.7e9, "{list}");
    let out = dir.join("out");
    let got = aws
        .json(&format!(
            "ebs get-snapshot-block --snapshot-id {id} --block-index 3 --block-token {} {}",
            text(&list["Blocks"][0]["BlockToken"]),
            out.display()
        ))
        .await;
    assert_eq!(
        (&got["Checksum"], &got["DataLength"]),
        (&sum.into(), &524_288.into())
    );
    assert!(std::fs::read(out).unwrap() == block);
    let child = format!("ebs start-snapshot --volume-size 1 --parent-snapshot-id {id}");
    let child = text(&aws.json(&child).await["SnapshotId"]);
    aws.json(&put(9, &text(&got["Checksum"])).replace(&id, &child))
        .await;
    aws.json(&complete(1).replace(&id, &child)).await;
    let changed =
        format!("ebs list-changed-blocks --first-snapshot-id {id} --second-snapshot-id {child}");
    let changed = aws.json(&changed).await;
    assert_eq!(changed["ChangedBlocks"][0]["BlockIndex"], 9);
    aws.json(&format!(
        "ec2 register-image --name imported --architecture x86_64 --virtualization-type hvm --root-device-name /dev/sda1 --block-device-mappings DeviceName=/dev/sda1,Ebs={{SnapshotId={id}}}"
    ))
    .await;
}

//! The real AWS CLI, from PyPI, as a client of the local EC2.

use end_to_end::{Config, Ended, LocalEc2};
use serde_json::{Value, json};

/// A local EC2 that is up.
#[track_caller]
fn up(config: Config) -> LocalEc2 {
    let ec2 = LocalEc2::new(config);
    ec2.qib(["local", "up"]).exits(0);
    ec2
}

#[track_caller]
fn text(ended: &Ended) -> String {
    ended
        .json()
        .as_str()
        .unwrap_or_else(|| panic!("not a string{ended}"))
        .to_owned()
}

#[track_caller]
fn an_image(ec2: &LocalEc2) -> String {
    let filter = "Name=name,Values=RHEL-8.7*HVM-*Hourly*";
    let query = "sort_by(Images,&CreationDate)[-1].ImageId";
    text(
        &ec2.aws(&[
            "ec2",
            "describe-images",
            "--owners",
            "309956199498",
            "--filters",
            filter,
            "--query",
            query,
        ])
        .exits(0),
    )
}

#[track_caller]
fn launch(ec2: &LocalEc2, image: &str) -> String {
    let tags = "ResourceType=instance,Tags=[{Key=Name,Value=by-hand}]";
    let args = [
        "ec2",
        "run-instances",
        "--image-id",
        image,
        "--instance-type",
        "m5.large",
        "--tag-specifications",
        tags,
    ];
    let launched = ec2.aws(&args).exits(0).json();
    let id = launched["Instances"][0]["InstanceId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    ec2.aws(&["ec2", "wait", "instance-running", "--instance-ids", &id])
        .exits(0);
    id
}

#[test]
fn who_am_i_and_where() {
    let ec2 = up(Config::QUICK);
    let identity = ec2.aws(&["sts", "get-caller-identity"]).exits(0).json();
    assert_eq!(
        identity["Account"].as_str().map(str::len),
        Some(12),
        "{identity}"
    );
    let vpcs = ec2
        .aws(&["ec2", "describe-vpcs", "--query", "Vpcs[].IsDefault"])
        .exits(0);
    assert_eq!(vpcs.json(), json!([true]));
    let zones = ec2
        .aws(&[
            "ec2",
            "describe-subnets",
            "--query",
            "Subnets[].AvailabilityZone",
        ])
        .exits(0)
        .json();
    assert!(
        zones
            .as_array()
            .is_some_and(|zones| zones.contains(&json!("us-east-2c"))),
        "{zones}"
    );
}

#[test]
fn an_instance_from_launch_to_image_to_nothing() {
    let ec2 = up(Config::QUICK);
    let instance = launch(&ec2, &an_image(&ec2));
    let named = [
        "ec2",
        "describe-instances",
        "--filters",
        "Name=tag:Name,Values=by-hand",
        "--query",
    ];
    let query = "Reservations[].Instances[].InstanceId";
    assert_eq!(
        ec2.aws(&[&named[..], &[query]].concat()).exits(0).json(),
        json!([instance])
    );

    ec2.aws(&[
        "ec2",
        "associate-address",
        "--allocation-id",
        "eipalloc-0local",
        "--instance-id",
        &instance,
    ])
    .exits(0);
    let address = ec2
        .aws(&["ec2", "describe-addresses", "--query", "Addresses[0]"])
        .exits(0)
        .json();
    assert_eq!(address["InstanceId"], instance.as_str());
    let association = address["AssociationId"].as_str().unwrap_or_default();
    ec2.aws(&[
        "ec2",
        "disassociate-address",
        "--association-id",
        association,
    ])
    .exits(0);

    ec2.aws(&["ec2", "stop-instances", "--instance-ids", &instance])
        .exits(0);
    ec2.aws(&[
        "ec2",
        "wait",
        "instance-stopped",
        "--instance-ids",
        &instance,
    ])
    .exits(0);
    let image = ec2
        .aws(&[
            "ec2",
            "create-image",
            "--instance-id",
            &instance,
            "--name",
            "by-hand",
        ])
        .exits(0);
    let image = image.json()["ImageId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    ec2.aws(&["ec2", "wait", "image-available", "--image-ids", &image])
        .exits(0);
    let twice = ec2.aws(&[
        "ec2",
        "create-image",
        "--instance-id",
        &instance,
        "--name",
        "by-hand",
    ]);
    assert_ne!(twice.code, Some(0), "{twice}");
    twice.says("InvalidAMIName.Duplicate");

    ec2.aws(&[
        "ec2",
        "create-tags",
        "--resources",
        &image,
        "--tags",
        "Key=a,Value=b",
    ])
    .exits(0);
    let described = ec2
        .aws(&[
            "ec2",
            "describe-images",
            "--image-ids",
            &image,
            "--query",
            "Images[0]",
        ])
        .exits(0)
        .json();
    assert_eq!(
        described["Tags"],
        json!([{ "Key": "a", "Value": "b" }]),
        "{described}"
    );
    let snapshot = described["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();

    let in_use = ec2.aws(&["ec2", "delete-snapshot", "--snapshot-id", &snapshot]);
    assert_ne!(in_use.code, Some(0), "{in_use}");
    in_use.says("InvalidSnapshot.InUse");
    ec2.aws(&["ec2", "deregister-image", "--image-id", &image])
        .exits(0);
    ec2.aws(&["ec2", "delete-snapshot", "--snapshot-id", &snapshot])
        .exits(0);
    let ended = ec2
        .aws(&["ec2", "terminate-instances", "--instance-ids", &instance])
        .exits(0);
    ec2.aws(&[
        "ec2",
        "wait",
        "instance-terminated",
        "--instance-ids",
        &instance,
    ])
    .exits(0);
    ec2.holdings().assert_none(&ended);
}

#[test]
fn the_console_shows_the_boot() {
    let ec2 = up(Config::QUICK);
    let instance = launch(&ec2, &an_image(&ec2));
    // "Latest" is what is there now; an instance that has just started may have said nothing yet.
    let output = [
        "ec2",
        "get-console-output",
        "--latest",
        "--instance-id",
        &instance,
        "--query",
        "Output",
    ];
    let shown = (0..50)
        .map(|_| ec2.aws(&output).exits(0))
        .find(|shown| shown.json().as_str().is_some_and(|t| !t.is_empty()));
    assert!(shown.is_some(), "nothing on the console of {instance}");
}

#[test]
fn a_client_token_makes_one_instance_and_other_parameters_with_it_are_refused() {
    let ec2 = up(Config::QUICK);
    let image = an_image(&ec2);
    let with = |kind: &str| {
        let args = [
            "ec2",
            "run-instances",
            "--image-id",
            &image,
            "--instance-type",
            kind,
            "--client-token",
            "token-1",
        ];
        ec2.aws(&args)
    };
    let id = |ended: Ended| ended.exits(0).json()["Instances"][0]["InstanceId"].clone();
    assert_eq!(id(with("m5.large")), id(with("m5.large")));
    let other = with("m5.xlarge");
    assert_ne!(other.code, Some(0), "{other}");
    other.says("IdempotentParameterMismatch");
}

#[test]
fn what_ec2_refuses_is_refused_with_ec2s_code() {
    let ec2 = up(Config::QUICK);
    let refused = [
        (
            vec![
                "ec2",
                "describe-images",
                "--image-ids",
                "ami-00000000000000000",
            ],
            "InvalidAMIID.NotFound",
        ),
        (
            vec![
                "ec2",
                "describe-instances",
                "--instance-ids",
                "i-00000000000000000",
            ],
            "InvalidInstanceID.NotFound",
        ),
        (
            vec!["ec2", "terminate-instances", "--instance-ids", "nonsense"],
            "InvalidInstanceID.Malformed",
        ),
        (
            vec![
                "ec2",
                "delete-security-group",
                "--group-id",
                "sg-00000000000000000",
            ],
            "InvalidGroup.NotFound",
        ),
        (
            vec!["ssm", "get-parameter", "--name", "/nowhere"],
            "ParameterNotFound",
        ),
    ];
    for (args, code) in refused {
        let ended = ec2.aws(&args);
        assert_ne!(ended.code, Some(0), "{ended}");
        ended.says(code);
    }
}

#[test]
fn a_group_in_use_cannot_be_deleted() {
    let ec2 = up(Config::QUICK);
    let made = ec2
        .aws(&[
            "ec2",
            "create-security-group",
            "--group-name",
            "mine",
            "--description",
            "mine",
        ])
        .exits(0);
    let group = made.json()["GroupId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let image = an_image(&ec2);
    let args = [
        "ec2",
        "run-instances",
        "--image-id",
        &image,
        "--instance-type",
        "m5.large",
        "--security-group-ids",
        &group,
    ];
    let instance = ec2.aws(&args).exits(0).json()["Instances"][0]["InstanceId"].clone();
    let refused = ec2.aws(&["ec2", "delete-security-group", "--group-id", &group]);
    assert_ne!(refused.code, Some(0), "{refused}");
    refused.says("DependencyViolation");
    let instance = instance.as_str().unwrap_or_default();
    ec2.aws(&["ec2", "terminate-instances", "--instance-ids", instance])
        .exits(0);
    ec2.aws(&[
        "ec2",
        "wait",
        "instance-terminated",
        "--instance-ids",
        instance,
    ])
    .exits(0);
    ec2.aws(&["ec2", "delete-security-group", "--group-id", &group])
        .exits(0);
}

#[test]
fn parameters_are_put_read_and_deleted() {
    let ec2 = up(Config::QUICK);
    let put = |value: &str, more: &[&str]| {
        let args = [
            "ssm",
            "put-parameter",
            "--name",
            "/mine/one",
            "--type",
            "String",
            "--value",
            value,
        ];
        ec2.aws(&[&args[..], more].concat())
    };
    assert_eq!(put("first", &[]).exits(0).json()["Version"], 1);
    put("second", &[]).says("ParameterAlreadyExists");
    assert_eq!(
        put("second", &["--overwrite"]).exits(0).json()["Version"],
        2
    );
    let value = ec2
        .aws(&[
            "ssm",
            "get-parameter",
            "--name",
            "/mine/one",
            "--query",
            "Parameter.Value",
        ])
        .exits(0);
    assert_eq!(value.json(), Value::from("second"));
    ec2.aws(&["ssm", "delete-parameter", "--name", "/mine/one"])
        .exits(0);
    ec2.aws(&["ssm", "get-parameter", "--name", "/mine/one"])
        .says("ParameterNotFound");
}

#[test]
fn a_wrong_key_is_refused() {
    let ec2 = up(Config::QUICK);
    let ended = ec2.shell("export AWS_SECRET_ACCESS_KEY=wrong\naws ec2 describe-vpcs");
    assert_ne!(ended.code, Some(0), "{ended}");
    ended.says("AuthFailure");
}

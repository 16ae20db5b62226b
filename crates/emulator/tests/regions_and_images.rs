//! Regions, public images and the parameters that name them.
// A test is an edge.
#![allow(clippy::disallowed_methods)]

mod support;

use emulator::config::{Delays, EmulatorConfig};
use serde_json::json;
use support::{Answer, LocalEc2};

const REGIONS_OF_B: [&str; 8] = [
    "ap-northeast-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "eu-west-1",
    "sa-east-1",
    "us-east-1",
    "us-west-1",
    "us-west-2",
];

fn items(answer: &Answer, list: &str) -> Vec<Answer> {
    let of = |body| Answer { status: 200, body };
    answer
        .texts(&format!("{list}/item"))
        .into_iter()
        .map(of)
        .collect()
}

#[tokio::test]
async fn regions_that_are_not_opted_in_are_shown_on_request_and_refuse_every_call() {
    let ec2 = LocalEc2::new();
    let usual = ec2.ec2("DescribeRegions", &[]).ok().texts("regionName");
    for region in REGIONS_OF_B.iter().chain(&["us-east-2", "eu-central-1"]) {
        assert!(usual.iter().any(|r| r == region), "{region}");
    }
    assert!(!usual.contains(&"ap-east-1".to_owned()));
    let all = ec2.ec2("DescribeRegions", &[("AllRegions", "true")]).ok();
    let off = items(&all, "regionInfo")
        .into_iter()
        .find(|r| r.text("regionName").as_deref() == Some("ap-east-1"))
        .unwrap();
    assert_eq!(off.text("optInStatus").unwrap(), "not-opted-in");
    // "You can specify any Regions, whether they are enabled and disabled for your account."
    let named = ec2
        .ec2("DescribeRegions", &[("RegionName.1", "ap-east-1")])
        .ok();
    assert_eq!(named.texts("regionName"), ["ap-east-1"]);
    let filtered = [
        ("AllRegions", "true"),
        ("Filter.1.Name", "opt-in-status"),
        ("Filter.1.Value.1", "not-opted-in"),
    ];
    let filtered = ec2.ec2("DescribeRegions", &filtered).ok();
    assert_eq!(filtered.texts("regionName").len(), 4);
    let there = ec2.in_region("ap-east-1");
    assert_eq!(there.ec2("DescribeRegions", &[]).code(), "AuthFailure");
    assert_eq!(
        there.sts("GetCallerIdentity").code(),
        "InvalidClientTokenId"
    );
    let refused = there.ssm("GetParameter", &json!({ "Name": "a" }));
    assert_eq!(refused.code(), "UnrecognizedClientException");
    let copy = [
        ("SourceRegion", "ap-east-1"),
        ("SourceImageId", "ami-0123456789abcdef0"),
        ("Name", "copy"),
    ];
    assert_eq!(ec2.ec2("CopyImage", &copy).code(), "InvalidParameterValue");
}

#[tokio::test]
async fn the_sources_of_32_cells_are_found_by_filter() {
    let ec2 = LocalEc2::new();
    let mut ids = std::collections::BTreeSet::new();
    for region in REGIONS_OF_B {
        let here = ec2.in_region(region);
        for release in ["precise-12.04", "trusty-14.04"] {
            for virtualization in ["hvm", "paravirtual"] {
                let name = format!("ubuntu/images/*/ubuntu-{release}-amd64-server-*");
                let found = here.ec2(
                    "DescribeImages",
                    &[
                        ("Owner.1", "099720109477"),
                        ("Filter.1.Name", "name"),
                        ("Filter.1.Value.1", &name),
                        ("Filter.2.Name", "virtualization-type"),
                        ("Filter.2.Value.1", virtualization),
                        ("Filter.3.Name", "is-public"),
                        ("Filter.3.Value.1", "true"),
                    ],
                );
                let found = found.ok().images();
                assert!(!found.is_empty(), "{region} {release} {virtualization}");
                for image in &found {
                    assert_eq!(image.text("virtualizationType").unwrap(), virtualization);
                    assert_eq!(
                        image.text("kernelId").is_some(),
                        virtualization == "paravirtual"
                    );
                    assert_eq!(image.text("rootDeviceType").unwrap(), "ebs");
                }
                ids.insert(found[0].id.clone());
            }
        }
    }
    assert_eq!(ids.len(), 32);
}

#[tokio::test]
async fn images_are_found_by_product_code_alias_and_exact_description() {
    let ec2 = LocalEc2::new().in_region("eu-central-1");
    let found = ec2
        .ec2(
            "DescribeImages",
            &[
                ("Owner.1", "aws-marketplace"),
                ("Filter.1.Name", "product-code"),
                ("Filter.1.Value.1", "aw0evgkw8e5c1q413zgy5pjce"),
                ("Filter.2.Name", "description"),
                (
                    "Filter.2.Value.1",
                    "CentOS Linux 7 x86_64 HVM EBS ENA 1805_01",
                ),
                ("Filter.3.Name", "product-code.type"),
                ("Filter.3.Value.1", "marketplace"),
            ],
        )
        .ok();
    assert_eq!(found.texts("imageId").len(), 1);
    assert_eq!(found.text("productCodes/item/type").unwrap(), "marketplace");
    assert_eq!(found.text("imageOwnerAlias").unwrap(), "aws-marketplace");
    let eks = ec2.public_image("602401143452", "amazon-eks-node-1.12-*");
    let shown = ec2.ec2("DescribeImages", &[("ImageId.1", &eks)]).ok();
    assert!(shown.text("name").unwrap().ends_with("v20190701"));
    for (architecture, name) in [("x86_64", "x86_64"), ("arm64", "aarch64")] {
        let parameters = [
            ("Owner.1", "125523088429"),
            ("Filter.1.Name", "name"),
            ("Filter.1.Value.1", "Fedora-Cloud-Base*-41-*"),
            ("Filter.2.Name", "architecture"),
            ("Filter.2.Value.1", architecture),
        ];
        let found = ec2.ec2("DescribeImages", &parameters).ok();
        assert!(found.text("name").unwrap().contains(name));
    }
    let day = [
        ("Owner.1", "125523088429"),
        ("Filter.1.Name", "creation-date"),
        ("Filter.1.Value.1", "2025-04-14T*"),
    ];
    assert_eq!(
        ec2.ec2("DescribeImages", &day).ok().texts("imageId").len(),
        2
    );
}

#[tokio::test]
async fn deprecated_images_of_others_are_shown_on_request_and_own_ones_always() {
    let ec2 = LocalEc2::new();
    let by_name = [
        ("Owner.1", "136693071363"),
        ("Filter.1.Name", "name"),
        ("Filter.1.Value.1", "debian-11-*"),
    ];
    assert!(
        ec2.ec2("DescribeImages", &by_name)
            .ok()
            .texts("imageId")
            .is_empty()
    );
    let mut included = by_name.to_vec();
    included.push(("IncludeDeprecated", "true"));
    let shown = ec2.ec2("DescribeImages", &included).ok();
    let id = shown.text("imageId").unwrap();
    assert_eq!(
        shown.text("deprecationTime").unwrap(),
        "2025-01-24T08:16:21.000Z"
    );
    // By its id it is neither shown nor missing.
    let by_id = ec2.ec2("DescribeImages", &[("ImageId.1", &id)]).ok();
    assert!(by_id.texts("imageId").is_empty());
    let stopped = ec2.stopped().await;
    let own = ec2.image_of(&stopped, "own").await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(300);
    let soon = soon.to_string();
    ec2.ec2(
        "EnableImageDeprecation",
        &[("ImageId", &own), ("DeprecateAt", &soon)],
    )
    .ok();
    let passed = |_: &Answer| jiff::Timestamp::now() > soon.parse().unwrap();
    let shown = ec2
        .until("DescribeImages", &[("Owner.1", "self")], passed)
        .await;
    assert_eq!(shown.text("imageId").unwrap(), own);
}

#[tokio::test]
async fn public_parameters_name_the_newest_image_of_each_region() {
    let ec2 = LocalEc2::new();
    let name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
    let value = |ec2: &LocalEc2| {
        let answer = ec2.ssm("GetParameter", &json!({ "Name": name })).json();
        assert_eq!(answer["Parameter"]["DataType"], "text");
        answer["Parameter"]["Value"].as_str().unwrap().to_owned()
    };
    let here = value(&ec2);
    assert_eq!(
        here,
        ec2.public_image("137112412989", "al2023-ami-2*-x86_64")
    );
    assert_ne!(here, value(&ec2.in_region("eu-west-1")));
    let canonical =
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id";
    let answer = ec2.ssm(
        "GetParameters",
        &json!({ "Names": [canonical, "/nothing"] }),
    );
    let answer = answer.json();
    assert_eq!(answer["Parameters"][0]["DataType"], "aws:ec2:image");
    assert_eq!(
        answer["Parameters"][0]["ARN"],
        format!("arn:aws:ssm:us-east-2::parameter{canonical}")
    );
    assert_eq!(answer["InvalidParameters"], json!(["/nothing"]));
    let below = ec2.ssm(
        "GetParametersByPath",
        &json!({ "Path": "/aws/service/ami-amazon-linux-latest" }),
    );
    assert_eq!(below.json()["Parameters"].as_array().unwrap().len(), 8);
    let own = ec2.ssm("DescribeParameters", &json!({})).json();
    assert_eq!(
        own["Parameters"],
        json!([]),
        "public ones are not the account's"
    );
    let taken = ec2.ssm(
        "PutParameter",
        &json!({ "Name": name, "Value": "x", "Type": "String", "Overwrite": true }),
    );
    assert_eq!(taken.code(), "AccessDeniedException");
    let by_parameter = ec2.ec2(
        "DescribeImages",
        &[
            ("Filter.1.Name", "public-ssm-parameter-name"),
            ("Filter.1.Value.1", name),
        ],
    );
    assert_eq!(by_parameter.ok().text("imageId").unwrap(), here);
}

#[tokio::test]
async fn an_image_parameter_is_checked_after_the_answer_and_keeps_its_value_if_it_is_wrong() {
    let ec2 = LocalEc2::with(EmulatorConfig {
        delays: Delays::Short,
        ..EmulatorConfig::default()
    });
    let image = ec2.image();
    let put = |value: &str, more: serde_json::Value| {
        let mut body = json!({ "Name": "/golden", "Value": value, "Type": "String", "DataType": "aws:ec2:image" });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        ec2.ssm("PutParameter", &body)
    };
    let get = || ec2.ssm("GetParameter", &json!({ "Name": "/golden" }));
    let settled = async |wished: &dyn Fn(&Answer) -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let answer = get();
            if wished(&answer) {
                return answer;
            }
            assert!(std::time::Instant::now() < deadline, "{answer:?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    // Nothing comes of an image that is not there, nor of what is no image.
    for wrong in ["ami-0123456789abcdef0", "not-an-image"] {
        assert_eq!(put(wrong, json!({})).json()["Version"], 1);
        assert_eq!(get().code(), "ParameterNotFound");
    }
    assert_eq!(put(&image, json!({})).json()["Version"], 1);
    assert_eq!(get().code(), "ParameterNotFound", "not at once");
    let there = settled(&|a| a.status == 200).await.json();
    assert_eq!(there["Parameter"]["Value"], image.as_str());
    assert_eq!(there["Parameter"]["DataType"], "aws:ec2:image");
    // A second wrong value leaves the first right one; a third, right one comes after it.
    put("ami-0123456789abcdef0", json!({ "Overwrite": true })).json();
    let second = ec2.public_image("137112412989", "al2023-ami-2*-x86_64");
    put(&second, json!({ "Overwrite": true })).json();
    assert_eq!(get().json()["Parameter"]["Value"], image.as_str());
    let after = settled(&|a| a.body.contains(&second)).await.json();
    assert_eq!(after["Parameter"]["Version"], 2);
    let described = ec2.ssm(
        "DescribeParameters",
        &json!({ "ParameterFilters": [{ "Key": "DataType", "Values": ["aws:ec2:image"] }] }),
    );
    assert_eq!(described.json()["Parameters"][0]["Name"], "/golden");
    // "You can't change a parameter to or from" this type.
    let changed = put(&image, json!({ "Overwrite": true, "DataType": "text" }));
    assert_eq!(changed.code(), "ValidationException");
    let list = put(&image, json!({ "Name": "/other", "Type": "StringList" }));
    assert_eq!(list.code(), "ValidationException");
}

#[tokio::test]
async fn what_earlier_versions_wrote_is_read() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let old = include_str!("states/before-accounts.json");
    std::fs::write(dir.path().join("state.json"), old).unwrap();
    let config = EmulatorConfig {
        delays: Delays::None,
        ..EmulatorConfig::default()
    };
    let ec2 = LocalEc2::over(dir, Default::default(), config);
    let shown = ec2.ec2("DescribeInstances", &[]).ok();
    assert_eq!(shown.texts("instanceId").len(), 2);
    assert!(
        shown
            .text("iamInstanceProfile/arn")
            .unwrap()
            .ends_with(":instance-profile/packer")
    );
    let image = ec2.ec2("DescribeImages", &[("Owner.1", "self")]).ok();
    assert_eq!(image.text("deregistrationProtection").unwrap(), "disabled");
    let vpcs = ec2.ec2("DescribeVpcs", &[]).ok();
    assert_eq!(vpcs.texts("isDefault"), ["true"]);
    assert_eq!(
        ec2.ec2("DescribeSubnets", &[]).ok().texts("defaultForAz"),
        ["true"; 3]
    );
    let roles = ec2.iam("ListRoles", &[]).ok().texts("RoleName");
    assert!(roles.contains(&"administrator".to_owned()), "{roles:?}");
}

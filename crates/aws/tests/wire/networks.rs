//! Regions, VPCs, kinds of machines and where they are.

use crate::region;
use crate::server::Answer;
use cloud::{EnhancedNetworking, ErrorKind, InstanceId, OptIn};

#[tokio::test]
async fn all_regions_are_named_with_whether_the_account_uses_them() {
    let item = |name: &str, status: &str| {
        format!("<item><regionName>{name}</regionName><optInStatus>{status}</optInStatus></item>")
    };
    let answer = |items: String| {
        Answer::xml(format!(
            "<DescribeRegionsResponse><regionInfo>{items}</regionInfo></DescribeRegionsResponse>"
        ))
    };
    let (server, region) = region([
        answer(
            item("us-east-2", "opt-in-not-required")
                + &item("af-south-1", "opted-in")
                + &item("ap-east-1", "not-opted-in"),
        ),
        answer(item("mars-1", "perhaps")),
    ])
    .await;
    let regions = region.regions().await.unwrap();
    let found: Vec<_> = regions
        .iter()
        .map(|r| (r.name.as_str(), r.opt_in))
        .collect();
    assert_eq!(
        found,
        [
            ("us-east-2", OptIn::NotRequired),
            ("af-south-1", OptIn::OptedIn),
            ("ap-east-1", OptIn::NotOptedIn)
        ]
    );
    server.requests()[0].assert_params(&[("Action", "DescribeRegions"), ("AllRegions", "true")]);
    let error = region.regions().await.unwrap_err();
    assert!(error.message.contains("perhaps"), "{error}");
}

#[tokio::test]
async fn vpcs_are_found_page_by_page() {
    let page = |id: &str, next: &str| {
        Answer::xml(format!(
            "<DescribeVpcsResponse><vpcSet><item><vpcId>{id}</vpcId><isDefault>true</isDefault><tagSet><item>\
             <key>Name</key><value>build</value></item></tagSet></item></vpcSet>{next}</DescribeVpcsResponse>"
        ))
    };
    let (server, region) =
        region([page("vpc-1", "<nextToken>t</nextToken>"), page("vpc-2", "")]).await;
    let filters = [("is-default".to_owned(), vec!["true".to_owned()])];
    let vpcs = region.vpcs(&filters).await.unwrap();
    assert_eq!(vpcs.len(), 2);
    assert!(vpcs[0].is_default);
    assert_eq!(vpcs[1].tags.get("Name"), Some("build"));
    server.requests()[0].assert_params(&[
        ("Action", "DescribeVpcs"),
        ("Filter.1.Name", "is-default"),
        ("Filter.1.Value.1", "true"),
        ("MaxResults", "1000"),
    ]);
}

fn types(names: impl Iterator<Item = String>, hypervisor: &str) -> Answer {
    let items: String = names
        .map(|name| {
            format!(
                "<item><instanceType>{name}</instanceType><processorInfo><supportedArchitectures><item>x86_64</item>\
                 </supportedArchitectures></processorInfo><vCpuInfo><defaultVCpus>4</defaultVCpus></vCpuInfo>\
                 {hypervisor}<supportedVirtualizationTypes><item>hvm</item></supportedVirtualizationTypes>\
                 <supportedBootModes><item>legacy-bios</item><item>uefi</item></supportedBootModes>\
                 <burstablePerformanceSupported>false</burstablePerformanceSupported><supportedUsageClasses>\
                 <item>on-demand</item><item>spot</item></supportedUsageClasses></item>"
            )
        })
        .collect();
    Answer::xml(format!(
        "<DescribeInstanceTypesResponse><instanceTypeSet>{items}</instanceTypeSet></DescribeInstanceTypesResponse>"
    ))
}

#[tokio::test]
async fn kinds_of_machines_are_asked_for_a_hundred_at_a_time() {
    let names: Vec<String> = (0..101).map(|n| format!("x{n}.large")).collect();
    let (server, region) = region([
        types(
            names[..100].iter().cloned(),
            "<hypervisor>nitro</hypervisor>",
        ),
        types(names[100..].iter().cloned(), "<hypervisor>xen</hypervisor>"),
    ])
    .await;
    let described = region.instance_types(&names).await.unwrap();
    assert_eq!(described.len(), 101);
    let first = &described[0];
    assert_eq!((first.name.as_str(), first.vcpus), ("x0.large", 4));
    assert_eq!(first.architectures, ["x86_64"]);
    assert_eq!(first.virtualizations, ["hvm"]);
    assert_eq!(first.boot_modes, ["legacy-bios", "uefi"]);
    assert!(first.nitro && first.spot && !first.burstable);
    assert!(!described[100].nitro);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].param("InstanceType.100"), Some("x99.large"));
    requests[1].assert_params(&[
        ("Action", "DescribeInstanceTypes"),
        ("InstanceType.1", "x100.large"),
    ]);
}

#[tokio::test]
async fn a_kind_of_machine_that_does_not_exist_is_an_error() {
    let (_server, region) = region([Answer::ec2_error(
        400,
        "InvalidInstanceType",
        "The following supplied instance types do not exist: [m5.huge]",
    )])
    .await;
    let error = region
        .instance_types(&["m5.huge".to_owned()])
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.to_string().contains("m5.huge"), "{error}");
}

#[tokio::test]
async fn bare_metal_is_nitro() {
    let (_server, region) = region([types(
        ["m5.metal".to_owned()].into_iter(),
        "<bareMetal>true</bareMetal>",
    )])
    .await;
    let described = region
        .instance_types(&["m5.metal".to_owned()])
        .await
        .unwrap();
    assert!(described[0].nitro);
}

#[tokio::test]
async fn which_zone_has_which_machine() {
    let (server, region) = region([Answer::xml(
        "<DescribeInstanceTypeOfferingsResponse><instanceTypeOfferingSet>\
         <item><instanceType>m5.large</instanceType><location>us-east-2a</location></item>\
         <item><instanceType>m5.large</instanceType><location>us-east-2c</location></item></instanceTypeOfferingSet>\
         </DescribeInstanceTypeOfferingsResponse>",
    )])
    .await;
    let names = ["m5.large".to_owned(), "x9.huge".to_owned()];
    let offered = region.offerings(&names).await.unwrap();
    let zones: Vec<_> = offered
        .iter()
        .map(|o| o.availability_zone.as_str())
        .collect();
    assert_eq!(zones, ["us-east-2a", "us-east-2c"]);
    server.only_request().assert_params(&[
        ("Action", "DescribeInstanceTypeOfferings"),
        ("LocationType", "availability-zone"),
        ("Filter.1.Name", "instance-type"),
        ("Filter.1.Value.1", "m5.large"),
        ("Filter.1.Value.2", "x9.huge"),
        ("MaxResults", "1000"),
    ]);
}

#[tokio::test]
async fn enhanced_networking_takes_a_call_for_each_attribute() {
    let done = || {
        Answer::xml(
            "<ModifyInstanceAttributeResponse><return>true</return></ModifyInstanceAttributeResponse>",
        )
    };
    let (server, region) = region([done(), done(), done()]).await;
    let instance = InstanceId::from("i-1");
    for (ena, sriov) in [(Some(true), true), (Some(false), false), (None, false)] {
        let networking = EnhancedNetworking { ena, sriov };
        region
            .set_enhanced_networking(&instance, networking)
            .await
            .unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    let call = ("Action", "ModifyInstanceAttribute");
    let of = ("InstanceId", "i-1");
    requests[0].assert_params(&[call, of, ("EnaSupport.Value", "true")]);
    requests[1].assert_params(&[call, of, ("SriovNetSupport.Value", "simple")]);
    requests[2].assert_params(&[call, of, ("EnaSupport.Value", "false")]);
}

//! What `launch` says about where, how and for how long an instance runs.

use crate::bad_input::{GOOD, setup};
use crate::memory::Setup;
use pipeline::model::{
    CapacityReservation, Credits, FallBack, InstanceProfile, Launch, OnShutdown, Spot, SpotOptions,
    UserData,
};
use std::time::Duration;

/// The launch of a pipeline that says `lines` besides its instance type.
fn launch(lines: &str) -> Launch {
    let text = GOOD.replace(
        "instance_type: t3.micro",
        &format!("instance_type: t3.micro\n      {lines}"),
    );
    launch_of(&text)
}

fn launch_of(text: &str) -> Launch {
    let loaded = setup().load(text).map_err(|error| error.to_string());
    loaded.unwrap().pipeline.stages[0].launch.clone().unwrap()
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_said_has_a_default() {
    let launch = launch_of(GOOD);
    assert_eq!(texts(&launch.instance_types), ["t3.micro"]);
    assert_eq!(texts(&launch.subnets), ["{ default_vpc: true }"]);
    assert_eq!(launch.spot, Spot::No);
    assert_eq!(launch.max_lifetime.get(), Duration::from_secs(4 * 3_600));
}

#[test]
fn instance_types_and_subnets_keep_their_order() {
    let text = GOOD.replace(
        "instance_type: t3.micro",
        "instance_types: [t3.small, m5.large, \"t3.${{ vars.class }}\"]\n      \
         subnets: [subnet-0b, { default_vpc: true, zone: c }, subnet-0a]",
    );
    let text = text.replace("vars:\n", "vars:\n  class: { default: micro }\n");
    let launch = launch_of(&text);
    assert_eq!(
        texts(&launch.instance_types),
        ["t3.small", "m5.large", "t3.micro"]
    );
    assert_eq!(
        texts(&launch.subnets),
        ["subnet-0b", "{ default_vpc: true, zone: c }", "subnet-0a"]
    );
}

#[test]
fn spot_is_a_word_or_its_terms() {
    assert_eq!(launch("spot: false").spot, Spot::No);
    assert_eq!(launch("spot: true").spot, Spot::Yes(SpotOptions::default()));
    let Spot::Yes(terms) = launch("spot: { max_price: 0.125, fall_back: none }").spot else {
        panic!("it is on demand");
    };
    assert_eq!(terms.max_price.unwrap().as_str(), "0.125");
    assert_eq!(terms.fall_back, FallBack::None);
    let Spot::Yes(terms) = launch("spot: { max_price: '1' }").spot else {
        panic!("it is on demand");
    };
    assert_eq!(terms.max_price.unwrap().as_str(), "1");
    assert_eq!(terms.fall_back, FallBack::OnDemand);
}

#[test]
fn the_shortest_lifetime_is_ten_minutes() {
    let lifetime = |lines: &str| launch(lines).max_lifetime.get();
    assert_eq!(lifetime("max_lifetime: 10m"), Duration::from_secs(600));
    assert_eq!(
        lifetime("max_lifetime: 1d12h"),
        Duration::from_secs(129_600)
    );
}

#[test]
fn a_vpc_alone_means_its_emptiest_subnet() {
    let launch = launch("vpc: { filter: { tags: { Name: 'build-*' } } }");
    assert_eq!(
        launch.vpc.unwrap().to_string(),
        "{ filter: { tags: { Name: build-* } } }"
    );
    assert_eq!(texts(&launch.subnets), ["{ filter: {}, pick: most_free }"]);
}

#[test]
fn subnets_and_groups_by_filter_stand_beside_those_by_id() {
    let launch = launch(
        "vpc: vpc-0a\n      subnets: [{ filter: { name: a, zone: c, cidr: 10.0.0.0/24 } }, subnet-0a]\n      \
         security_groups: [sg-0a, { filter: { name: ssh, tags: { For: \"${{ vars.size }}\" } } }]",
    );
    assert_eq!(
        texts(&launch.subnets),
        [
            "{ filter: { name: a, zone: c, cidr: 10.0.0.0/24 }, pick: only }",
            "subnet-0a"
        ]
    );
    assert_eq!(
        texts(&launch.security_groups),
        ["sg-0a", "{ filter: { tags: { For: 8 }, name: ssh } }"]
    );
}

#[test]
fn hosting_options_come_as_they_are_written() {
    let launch = launch(
        "capacity_reservation: { group: 'arn:aws:resource-groups:us-east-2:123456789012:group/mine' }\n      \
         placement: { host: h-0a }\n      credits: unlimited\n      \
         metadata: { hop_limit: 2, instance_tags: true }\n      on_shutdown: stop\n      ipv6: true",
    );
    let reservation = launch.capacity_reservation.unwrap().value;
    assert!(matches!(reservation, CapacityReservation::Group(_)));
    assert_eq!(
        launch
            .placement
            .as_ref()
            .unwrap()
            .host
            .as_ref()
            .unwrap()
            .as_str(),
        "h-0a"
    );
    assert_eq!(launch.credits.unwrap().value, Credits::Unlimited);
    assert_eq!(launch.metadata.hop_limit.unwrap().get(), 2);
    assert_eq!(launch.on_shutdown, OnShutdown::Stop);
    assert!(launch.ipv6);
}

#[test]
fn a_policy_in_place_and_one_in_a_file_are_the_same() {
    let policy = |text: &str, setup: &Setup| {
        let text = GOOD.replace(
            "instance_type: t3.micro",
            &format!("instance_type: t3.micro\n      instance_profile: {{ policy: {text} }}"),
        );
        let loaded = setup
            .load(&text)
            .map_err(|error| error.to_string())
            .unwrap();
        let launch = loaded.pipeline.stages[0].launch.clone().unwrap();
        match launch.instance_profile.unwrap().value {
            InstanceProfile::Temporary(policy) => policy.with_statements(Vec::new()),
            InstanceProfile::Named(name) => panic!("{name}"),
        }
    };
    let place = "{ Version: 2012-10-17, Statement: [{ Effect: Allow, Action: ['s3:GetObject'], \
                 Resource: 'arn:aws:s3:::bucket-${{ vars.size }}/*' }] }";
    let file = r#"{ "Statement": { "Action": ["s3:GetObject"], "Effect": "Allow",
        "Resource": "arn:aws:s3:::bucket-8/*" }, "Version": "2012-10-17" }"#;
    let mut with = setup();
    with.files = with.files.with("p/role.json", file);
    assert_eq!(policy(place, &with), policy("role.json", &with));
}

#[test]
fn a_volume_may_be_of_a_snapshot_or_left_out() {
    let text = GOOD.replace(
        "volumes: [{",
        "volumes: [{ device: /dev/sdb, no_device: true }, { device: /dev/sdc, snapshot_id: snap-0a }, \
         { device: /dev/sdd, type: gp3, size_gib: 8, iops: 4000, throughput: 1000 }, \
         { device: /dev/sde, type: io2, size_gib: 4, iops: 4000 }, { device: /dev/sdf, type: gp3, iops: 3000, size_gib: 1 }, {",
    );
    let launch = launch_of(&text);
    assert!(launch.volumes[0].is_left_out());
    assert_eq!(
        launch.volumes[1].snapshot_id.as_ref().unwrap().as_str(),
        "snap-0a"
    );
}

#[test]
fn user_data_in_place_keeps_what_only_a_run_knows() {
    let launch =
        launch("user_data: { content: \"#!/bin/sh\\necho ${{ vars.size }} ${{ run.id }}\\n\" }");
    let Some(UserData::Content(text)) = launch.user_data else {
        panic!("no text");
    };
    assert_eq!(text.source(), "#!/bin/sh\necho 8 ${{ run.id }}\n");
}

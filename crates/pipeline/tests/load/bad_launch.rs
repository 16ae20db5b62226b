//! Bad values of `launch`, `source` and of stages that only copy.

use crate::bad_input::{GOOD, answers, setup};
use crate::memory::Setup;

answers! {
    vpc_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      vpc: main";
    vpc_filter_says_nothing: "instance_type: t3.micro" => "instance_type: t3.micro\n      vpc: { filter: {} }";
    vpc_unknown_key: "instance_type: t3.micro" => "instance_type: t3.micro\n      vpc: { filter: { tag: { A: b } } }";
    vpc_and_default_vpc: "instance_type: t3.micro" => "instance_type: t3.micro\n      vpc: vpc-0a\n      subnet: { default_vpc: true }";
    subnet_filter_and_default_vpc: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnet: { default_vpc: true, filter: {} }";
    subnet_zone_beside_filter: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnet: { filter: { tags: { A: b } }, zone: c }";
    subnet_pick_without_filter: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnet: { default_vpc: true, pick: first }";
    subnet_pick_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnet: { filter: { tags: { A: b } }, pick: random }";
    subnet_zone_name: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnet: { filter: { zone: us-east-2c } }";
    subnet_nothing: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnet: {}";
    group_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      security_groups: [default]";
    group_filter_says_nothing: "instance_type: t3.micro" => "instance_type: t3.micro\n      security_groups: [{ filter: {} }]";
    group_repeated: "instance_type: t3.micro" => "instance_type: t3.micro\n      security_groups: [{ filter: { name: a } }, { filter: { name: a } }]";
    ipv6_address_without_ipv6: "{ user: ec2-user }" => "{ user: ec2-user, address: ipv6 }";
    ipv6_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      ipv6: maybe";
    profile_arn: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: arn:aws:iam::123456789012:instance-profile/x";
    profile_unknown_key: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { polcy: {} }";
    policy_without_version: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Statement: [] } }";
    policy_version: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-18, Statement: [] } }";
    policy_without_statement: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17 } }";
    policy_effect: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17, Statement: { Effect: allow, Action: '*', Resource: '*' } } }";
    policy_without_resource: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17, Statement: [{ Effect: Allow, Action: 's3:GetObject' }] } }";
    policy_with_a_principal: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17, Statement: [{ Effect: Allow, Action: '*', Resource: '*', Principal: '*' }] } }";
    policy_key: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17, Statements: [], Statement: [{ Effect: Allow, Action: '*', Resource: '*' }] } }";
    policy_with_a_secret: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: { Version: 2012-10-17, Statement: [{ Effect: Allow, Action: '*', Resource: \"${{ vars.token }}\" }] } }";
    policy_missing_file: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_profile: { policy: role.json }";
    capacity_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      capacity_reservation: any";
    capacity_group: "instance_type: t3.micro" => "instance_type: t3.micro\n      capacity_reservation: { group: mine }";
    capacity_of_a_spot_instance: "instance_type: t3.micro" => "instance_type: t3.micro\n      spot: { fall_back: none }\n      capacity_reservation: cr-0a";
    placement_says_nothing: "instance_type: t3.micro" => "instance_type: t3.micro\n      placement: {}";
    placement_tenancy: "instance_type: t3.micro" => "instance_type: t3.micro\n      placement: { tenancy: shared }";
    placement_host_and_tenancy: "instance_type: t3.micro" => "instance_type: t3.micro\n      placement: { tenancy: dedicated, host: h-0a }";
    placement_two_hosts: "instance_type: t3.micro" => "instance_type: t3.micro\n      placement: { host: h-0a, host_resource_group: 'arn:aws:resource-groups:us-east-2:123456789012:group/hosts' }";
    placement_host_in_a_group: "instance_type: t3.micro" => "instance_type: t3.micro\n      placement: { tenancy: host, group: near }";
    placement_spot_on_a_host: "instance_type: t3.micro" => "instance_type: t3.micro\n      spot: true\n      placement: { tenancy: host }";
    placement_host_id: "instance_type: t3.micro" => "instance_type: t3.micro\n      placement: { host: host-1 }";
    credits_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      credits: endless";
    credits_of_another_type: "instance_type: t3.micro" => "instance_types: [t3.micro, trn1.2xlarge]\n      credits: unlimited";
    metadata_hops: "instance_type: t3.micro" => "instance_type: t3.micro\n      metadata: { hop_limit: 65 }";
    metadata_hops_zero: "instance_type: t3.micro" => "instance_type: t3.micro\n      metadata: { hop_limit: 0 }";
    metadata_unknown_key: "instance_type: t3.micro" => "instance_type: t3.micro\n      metadata: { http_tokens: optional }";
    metadata_tags_with_a_blank: "instance_type: t3.micro" => "instance_type: t3.micro\n      tags: { 'Cost Centre': a }\n      metadata: { instance_tags: true }";
    on_shutdown_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      on_shutdown: hibernate";
    user_data_missing_file: "instance_type: t3.micro" => "instance_type: t3.micro\n      user_data: setup.sh";
    user_data_unknown_key: "instance_type: t3.micro" => "instance_type: t3.micro\n      user_data: { contents: x }";
    user_data_with_a_secret: "instance_type: t3.micro" => "instance_type: t3.micro\n      user_data: { content: \"#!/bin/sh\\n${{ vars.token }}\\n\" }";
    volume_snapshot_id: "{ device: /dev/sda1," => "{ device: /dev/sda1, snapshot_id: vol-0a,";
    volume_left_out_with_a_size: "{ device: /dev/sda1," => "{ device: /dev/sda1, no_device: true,";
    volume_left_out_not: "size_gib: \"${{ vars.size }}\"" => "no_device: false";
    volume_gp3_iops: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: gp3, iops: 2999,";
    volume_gp3_iops_for_its_size: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: gp3, iops: 4001,";
    volume_gp3_throughput: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: gp3, throughput: 2001,";
    volume_gp3_throughput_for_its_iops: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: gp3, throughput: 751,";
    volume_io1_iops: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: io1, iops: 401,";
    volume_io2_most_iops: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: io2, iops: 256001,";
    volume_io1_without_iops: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: io1,";
    throughput_of_another_type: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: io2, iops: 100, throughput: 125,";
    source_filter_says_nothing: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [self] } }";
    source_filter_without_owners: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [], name: x } }";
    source_owner: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [me], name: x } }";
    source_pick_word: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [self], name: x }, pick: oldest }";
    source_deprecated_beside_filter: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [self], name: x }, include_deprecated: true }";
    source_ssm_name: "{ image_id: ami-0123456789abcdef0 }" => "{ ssm: 'my parameter' }";
    source_ssm_and_image: "{ image_id: ami-0123456789abcdef0 }" => "{ ssm: /images/base, image_id: ami-0123456789abcdef0 }";
    source_pipeline_name: "{ image_id: ami-0123456789abcdef0 }" => "{ pipeline: '*' }";
    source_tags_without_pipeline: "{ image_id: ami-0123456789abcdef0 }" => "{ image_id: ami-0123456789abcdef0, tags: { A: b } }";
    source_pipeline_with_qibs_tags: "{ image_id: ami-0123456789abcdef0 }" => "{ pipeline: base, tags: { 'qib:cell': x } }";
    source_nothing: "{ image_id: ami-0123456789abcdef0 }" => "{ pick: newest }";
    provisioners_without_an_instance: "    launch:\n      instance_type: t3.micro\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n    connect: { user: ec2-user }\n" => "";
    launch_alone_is_missing: "    launch:\n      instance_type: t3.micro\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n" => "";
    connect_alone_is_missing: "    connect: { user: ec2-user }\n" => "";
}

/// What `launch` answers to a policy's file.
fn of_policy(content: &str) -> String {
    let text = GOOD.replace(
        "instance_type: t3.micro",
        "instance_type: t3.micro\n      instance_profile: { policy: role.json }",
    );
    let with = setup();
    let files = with.files.clone().with("p/role.json", content);
    Setup { files, ..with }.refuse(&text)
}

#[test]
fn the_file_of_a_policy_is_checked_as_one_in_place_is() {
    let statement =
        r#"{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::x" }"#;
    insta::assert_snapshot!(of_policy("{}"));
    insta::assert_snapshot!(of_policy("[1, 2]"));
    insta::assert_snapshot!(of_policy("{ \"Version\": \n }"));
    let templated = statement.replace("x\"", "${{ vars.size }}\"");
    insta::assert_snapshot!(of_policy(&format!(
        "{{ \"Version\": \"2012-10-17\", \"Statement\": {templated} }}"
    )));
    let long = vec![statement; 140].join(",");
    insta::assert_snapshot!(of_policy(&format!(
        "{{ \"Version\": \"2012-10-17\", \"Statement\": [{long}] }}"
    )));
    let secret = of_policy(r#"{ "Version": "hunter2" }"#);
    assert!(
        secret.contains("the value of a secret variable"),
        "{secret}"
    );
    assert!(!secret.contains("hunter2"), "{secret}");
}

/// A stage that copies.
const COPY: &str = "\
name: demo
stages:
  base:
    source: { image_id: ami-0123456789abcdef0 }
    image: { name: \"demo-${{ run.id }}\" }
";

#[test]
fn a_stage_with_nothing_but_source_and_image_copies() {
    let loaded = Setup::default()
        .load(COPY)
        .map_err(|error| error.to_string())
        .unwrap();
    assert!(loaded.pipeline.stages[0].is_copy());
    let volumes = COPY.replace(
        "run.id }}\"",
        "run.id }}\", volumes: [{ device: /dev/sdb, size_gib: 8 }]",
    );
    insta::assert_snapshot!(Setup::default().refuse(&volumes));
}

#[test]
fn an_ipv6_caller_is_not_let_in_by_its_ipv4_address() {
    let text = GOOD
        .replace("t3.micro", "t3.micro\n      ipv6: true")
        .replace("user: ec2-user", "user: ec2-user, address: ipv6");
    insta::assert_snapshot!(setup().refuse(&text));
    let open = text.replace(
        "ipv6: true",
        "ipv6: true\n      ssh_from: [\"2001:db8::/64\"]",
    );
    assert!(setup().load(&open).is_ok());
    let grouped = text.replace("ipv6: true", "ipv6: true\n      security_groups: [sg-0a]");
    assert!(setup().load(&grouped).is_ok());
}

//! What a pipeline says about its launch, from its text to the calls: where the instance goes, what it is given, and that
//! nothing is made where it could not be launched.

mod fake;

use build::report::ExitCode;
use cloud::{CapacityReservation, GuestShutdown, LaunchRequest};
use fake::network::{group, machine, subnet, vpc};
use fake::pipelines::{Site, connecting, launching};

/// What a run of `text` launches, once.
fn launched(site: &Site, text: &str) -> LaunchRequest {
    let report = site.run(1, text);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let store = site.account.store();
    let [request] = store.launches.as_slice() else {
        panic!("{} launches", store.launches.len());
    };
    request.clone()
}

/// An account with a VPC of the user's own beside the default one.
fn with_own_vpc() -> Site {
    let site = Site::new();
    let mut store = site.account.store();
    store
        .network
        .vpcs
        .push(vpc("vpc-2", false, &[("Name", "build"), ("For", "images")]));
    store.network.subnets.extend([
        subnet("subnet-2", "vpc-2", "b", 10, &[("Tier", "private")]),
        subnet("subnet-3", "vpc-2", "a", 90, &[("Tier", "private")]),
        subnet(
            "subnet-4",
            "vpc-2",
            "c",
            90,
            &[("Tier", "public"), ("Name", "door")],
        ),
        subnet("subnet-5", "vpc-1", "c", 99, &[("Tier", "private")]),
    ]);
    let groups = [
        group("sg-2", "ssh", "vpc-2", &[("For", "images")]),
        group("sg-3", "ssh", "vpc-1", &[("For", "images")]),
        group("sg-4", "web", "vpc-2", &[("For", "images")]),
        group("sg-5", "default", "vpc-2", &[]),
    ];
    for group in groups {
        store.groups.insert(group.group_id.to_string(), group);
    }
    drop(store);
    site
}

const TYPE: &str = "instance_type: m5.large";

#[test]
fn a_vpc_by_filter_gives_its_emptiest_subnet() {
    let site = with_own_vpc();
    let text = launching(&format!(
        "{TYPE}, vpc: {{ filter: {{ tags: {{ For: 'im*' }}, name: build }} }}"
    ));
    // Of two with as many free addresses the first by zone.
    assert_eq!(
        launched(&site, &text).placement.subnet_id.as_str(),
        "subnet-3"
    );
}

#[test]
fn subnets_and_groups_are_looked_for_in_the_vpc() {
    let site = with_own_vpc();
    let text = launching(&format!(
        "{TYPE}, vpc: vpc-2, subnets: [{{ filter: {{ tags: {{ Tier: private }}, zone: b }} }}, {{ filter: {{ name: door }} }}], \
         security_groups: [{{ filter: {{ name: ssh }} }}, sg-4, {{ filter: {{ tags: {{ For: images }}, name: 'w*' }} }}]"
    ));
    let request = launched(&site, &text);
    assert_eq!(request.placement.subnet_id.as_str(), "subnet-2");
    let groups: Vec<&str> = request
        .security_groups
        .iter()
        .map(|id| id.as_str())
        .collect();
    // The third is the second once more.
    assert_eq!(groups, ["sg-2", "sg-4"]);
    assert!(!site.account.store().calls.contains(&"CreateSecurityGroup"));
}

#[test]
fn without_a_vpc_a_filter_looks_in_the_default_one() {
    let site = with_own_vpc();
    let text = launching(&format!(
        "{TYPE}, subnet: {{ filter: {{ tags: {{ Tier: private }} }} }}"
    ));
    assert_eq!(
        launched(&site, &text).placement.subnet_id.as_str(),
        "subnet-5"
    );
}

#[test]
fn a_subnet_is_picked_as_the_pipeline_says() {
    let picked = |pick: &str| {
        let text = launching(&format!(
            "{TYPE}, vpc: vpc-2, subnet: {{ filter: {{ tags: {{ Tier: 'p*' }} }}, pick: {pick} }}"
        ));
        launched(&with_own_vpc(), &text)
            .placement
            .subnet_id
            .to_string()
    };
    assert_eq!(picked("first"), "subnet-3");
    assert_eq!(picked("most_free"), "subnet-3");
    let text = launching(&format!(
        "{TYPE}, vpc: vpc-2, subnet: {{ filter: {{ tags: {{ Tier: 'p*' }} }} }}"
    ));
    let told = with_own_vpc().refusal(&text);
    assert!(
        told.contains("3 subnets in vpc-2 fit")
            && told.contains(
                "subnet-3 in us-east-2a, subnet-2 in us-east-2b, subnet-4 in us-east-2c (door)"
            )
            && told.contains("pick: most_free"),
        "{told}"
    );
}

#[test]
fn what_a_filter_does_not_find_or_tell_apart_is_said_before_anything_is_made() {
    for (launch, told) in [
        (
            "vpc: vpc-9",
            "there is no VPC in us-east-2 for `launch.vpc: vpc-9`",
        ),
        (
            "vpc: { filter: { name: none } }",
            "for `launch.vpc: { filter: { name: none } }`",
        ),
        (
            "vpc: { filter: { tags: { For: '*' } } }",
            "2 VPCs in us-east-2 fit `launch.vpc: { filter: { tags: { For: * } } }`, and exactly one may: vpc-2 (build), vpc-3",
        ),
        (
            "vpc: vpc-2, subnet: { filter: { name: window } }",
            "there is no subnet in vpc-2 for `{ filter: { name: window }, pick: only }`",
        ),
        (
            "vpc: vpc-2, subnet: subnet-5",
            "there is no subnet in vpc-2 for `subnet-5`",
        ),
        (
            "subnet: subnet-9",
            "there is no subnet in us-east-2 for `subnet-9`",
        ),
        (
            "vpc: vpc-2, security_groups: [{ filter: { name: nobody } }]",
            "there is no security group in vpc-2 for `{ filter: { name: nobody } }`",
        ),
        (
            "vpc: vpc-2, security_groups: [{ filter: { tags: { For: images } } }]",
            "2 security groups in vpc-2 fit `{ filter: { tags: { For: images } } }`, and exactly one may: sg-2 (ssh), sg-4 (web)",
        ),
        (
            "subnet: { default_vpc: true, zone: a }",
            "no default subnet in the zone us-east-2a; it has some in: us-east-2c",
        ),
        (
            "subnets: [subnet-2, subnet-5]",
            "must be in one VPC: subnet-2 in vpc-2, subnet-5 in vpc-1",
        ),
    ] {
        let site = with_own_vpc();
        site.account
            .store()
            .network
            .vpcs
            .push(vpc("vpc-3", false, &[("For", "other")]));
        let text = launching(&format!("{TYPE}, {launch}"));
        let refusal = site.refusal(&text);
        assert!(refusal.starts_with("resolve: "), "{refusal}");
        assert!(refusal.contains(told), "{launch}: {refusal}");
        assert!(!refusal.ends_with("no hint"), "{refusal}");
        let plan = site.plan(&text).unwrap();
        assert_eq!(plan.rows[0].action, "blocked");
        assert!(
            plan.rows[0].reason.contains(told),
            "the plan says otherwise: {}",
            plan.rows[0].reason
        );
    }
}

#[test]
fn an_account_without_a_default_vpc_is_told_what_to_say() {
    for launch in [
        TYPE.to_owned(),
        format!("{TYPE}, subnet: {{ filter: {{ tags: {{ Tier: private }} }} }}"),
    ] {
        let site = with_own_vpc();
        let mut store = site.account.store();
        store.network.vpcs.remove(0);
        store
            .network
            .subnets
            .retain(|subnet| subnet.vpc_id.as_str() == "vpc-2");
        drop(store);
        let told = site.refusal(&launching(&launch));
        assert!(
            told.contains("us-east-2 has no default VPC")
                && told.contains("launch.vpc")
                && told.contains("launch.subnet: subnet-"),
            "{told}"
        );
        // Who says where to go needs no default VPC.
        let said = launching(&format!("{TYPE}, vpc: vpc-2"));
        assert_eq!(
            launched(&site, &said).placement.subnet_id.as_str(),
            "subnet-3"
        );
    }
}

#[test]
fn a_default_subnet_is_taken_in_a_zone_that_has_the_type() {
    let site = Site::new();
    let mut store = site.account.store();
    for zone in ["a", "b"] {
        let id = format!("subnet-{zone}");
        let mut subnet = subnet(&id, "vpc-1", zone, 5, &[]);
        subnet.default_for_zone = true;
        store.network.subnets.push(subnet);
    }
    store.network.offered.push(("m7i.large", vec!["b", "c"]));
    drop(store);
    let request = launched(&site, &launching("instance_type: m7i.large"));
    assert_eq!(request.placement.subnet_id.as_str(), "subnet-b");
}

#[test]
fn a_type_that_no_zone_of_the_subnets_has_is_told_before_anything_is_made() {
    let site = with_own_vpc();
    site.account
        .store()
        .network
        .offered
        .push(("m7i.large", vec!["a"]));
    let text = launching("instance_type: m7i.large, subnets: [subnet-2, subnet-4]");
    let told = site.refusal(&text);
    assert!(
        told.contains("no zone of the stage's subnets (us-east-2b, us-east-2c) has the instance type m7i.large")
            && told.contains("it is had in: us-east-2a"),
        "{told}"
    );
    // One of several types is enough, and only where it is had.
    let text = launching("instance_types: [m7i.large, m5.large], subnets: [subnet-2, subnet-3]");
    let request = launched(&site, &text);
    assert_eq!(
        (
            request.instance_type.as_str(),
            request.placement.subnet_id.as_str()
        ),
        ("m7i.large", "subnet-3")
    );
}

#[test]
fn a_type_that_the_image_does_not_run_on_is_told_before_anything_is_made() {
    let site = Site::new();
    site.account
        .store()
        .network
        .types
        .push(machine("m7g.large", "arm64"));
    let text = launching("instance_types: [m5.large, m7g.large]");
    let told = site.refusal(&text);
    assert!(
        told.contains("ami-1source (name of ami-1source) does not run on m7g.large: the image is for x86_64, and the type is arm64"),
        "{told}"
    );
}

/// They only look ahead: who may not make them launches as ever.
#[test]
fn without_permission_to_look_ahead_the_launch_goes_on_and_says_so() {
    for call in ["DescribeInstanceTypes", "DescribeInstanceTypeOfferings"] {
        let site = Site::new();
        site.account.store().denied.push(call);
        launched(&site, &launching(TYPE));
        let events = site.recorder.text();
        assert!(
            events.contains("is not known before the launch"),
            "{events}"
        );
    }
}

#[test]
fn options_of_the_machine_are_sent_as_they_are_said() {
    let site = Site::new();
    let request = launched(
        &site,
        &launching(
            "instance_type: t3.large, capacity_reservation: cr-0a, credits: unlimited, on_shutdown: stop, \
             placement: { tenancy: dedicated, group: near }, metadata: { hop_limit: 2, instance_tags: true }",
        ),
    );
    let hosting = &request.hosting;
    assert_eq!(
        hosting.capacity_reservation,
        Some(CapacityReservation::Id("cr-0a".into()))
    );
    assert_eq!(hosting.cpu_credits.as_deref(), Some("unlimited"));
    assert_eq!(hosting.tenancy.as_deref(), Some("dedicated"));
    assert_eq!(hosting.placement_group.as_deref(), Some("near"));
    assert_eq!(request.metadata.hop_limit, Some(2));
    assert_eq!(request.metadata.instance_tags, Some(true));
    assert_eq!(request.guest_shutdown, GuestShutdown::Stop);
    let events = site.recorder.text();
    assert!(
        events.contains("only stops when launch.max_lifetime is over"),
        "{events}"
    );
}

#[test]
fn what_is_not_said_is_left_to_ec2() {
    let request = launched(&Site::new(), &launching(TYPE));
    assert_eq!(request.hosting, cloud::Hosting::default());
    assert_eq!(request.metadata, cloud::MetadataOptions::default());
    assert_eq!(request.guest_shutdown, GuestShutdown::Terminate);
    assert!(!request.ipv6);
}

#[test]
fn a_host_implies_its_tenancy() {
    let host = launched(
        &Site::new(),
        &launching(&format!("{TYPE}, placement: {{ host: h-0a }}")),
    );
    assert_eq!(host.hosting.host_id.as_deref(), Some("h-0a"));
    assert_eq!(host.hosting.tenancy.as_deref(), Some("host"));
}

#[test]
fn only_the_launch_on_demand_uses_the_capacity_reservation() {
    let site = Site::new();
    let capacity = fake::account::Fault::Refused(cloud::ErrorKind::Capacity);
    site.account.store().faults.push(("RunInstances", capacity));
    let text = launching(&format!("{TYPE}, spot: true, capacity_reservation: open"));
    let report = site.run(1, &text);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let store = site.account.store();
    let reservations: Vec<_> = store
        .launches
        .iter()
        .map(|l| l.hosting.capacity_reservation.clone())
        .collect();
    // The spot instance was refused before it was written down.
    assert_eq!(reservations, [Some(CapacityReservation::Open)]);
    drop(store);
    let spot = Site::new();
    let text = launching(&format!("{TYPE}, spot: true, capacity_reservation: open"));
    // It is captured as it runs, which this account does not do.
    spot.account.store().denied.push("CreateImage");
    spot.run(1, &text);
    assert_eq!(
        spot.account.store().launches[0]
            .hosting
            .capacity_reservation,
        None
    );
}

#[test]
fn volumes_are_of_snapshots_or_left_out_of_instance_and_image() {
    let site = Site::new();
    let text = launching(&format!(
        "{TYPE}, volumes: [{{ device: /dev/sdb, snapshot_id: snap-0a, size_gib: 9 }}, {{ device: /dev/sdc, no_device: true }}]"
    ))
    .replace("image: {", "image: { volumes: [{ device: /dev/sdb, no_device: true }],");
    let request = launched(&site, &text);
    assert_eq!(request.volumes.len(), 1);
    assert_eq!(
        request.volumes[0].snapshot_id.as_ref().unwrap().as_str(),
        "snap-0a"
    );
    assert_eq!(request.left_out_devices, ["/dev/sdc"]);
    let store = site.account.store();
    assert_eq!(store.captures[0].left_out_devices, ["/dev/sdb"]);
    assert!(store.captures[0].volumes.is_empty());
}

#[test]
fn an_instance_does_not_do_without_its_root_device() {
    let text = launching(&format!(
        "{TYPE}, volumes: [{{ device: /dev/sda1, no_device: true }}]"
    ));
    let told = Site::new().refusal(&text);
    assert!(
        told.contains("/dev/sda1, which is the root device of the source image ami-1source"),
        "{told}"
    );
}

#[test]
fn anywhere_is_both_kinds_of_addresses() {
    let site = Site::new();
    launched(&site, &launching(&format!("{TYPE}, ssh_from: anywhere")));
    assert_eq!(site.account.store().ingress[0].from, ["0.0.0.0/0", "::/0"]);
}

#[test]
fn an_ipv6_address_is_asked_for_and_dialled() {
    let site = Site::new();
    site.account.store().network.subnets[0].ipv6 = true;
    let text = connecting(
        &format!("{TYPE}, ipv6: true, ssh_from: ['2001:db8:1::/48', 203.0.113.0/24]"),
        ", address: ipv6",
    );
    let request = launched(&site, &text);
    assert!(request.ipv6);
    assert_eq!(
        site.account.store().ingress[0].from,
        ["2001:db8:1::/48", "203.0.113.0/24"]
    );
    let done = site.guests.done.lock().unwrap();
    assert_eq!(done[0], "open ec2-user@2001:db8::5:22");
}

#[test]
fn a_subnet_without_ipv6_is_told_before_anything_is_made() {
    let text = connecting(
        &format!("{TYPE}, ipv6: true, ssh_from: anywhere"),
        ", address: ipv6",
    );
    let told = Site::new().refusal(&text);
    assert!(
        told.contains(
            "`launch.ipv6` needs a subnet with IPv6 addresses, and subnet-1 in us-east-2c has none"
        ),
        "{told}"
    );
}

#[test]
fn user_data_in_place_reaches_the_instance_with_its_expressions_filled_in() {
    use std::io::Read;
    let site = Site::new();
    let text = launching(&format!(
        "{TYPE}, user_data: {{ content: \"#!/bin/sh\\necho ${{{{ run.id }}}} ${{{{ source.id }}}}\\n\" }}"
    ));
    let request = launched(&site, &text);
    let mut message = String::new();
    flate2::read::GzDecoder::new(request.user_data.as_slice())
        .read_to_string(&mut message)
        .unwrap();
    let run = build::names::RunId::from_random(1);
    assert!(
        message.contains(&format!("\n#!/bin/sh\necho {run} ami-1source\n")),
        "{message}"
    );
}

#[test]
fn user_data_that_cloud_init_would_ignore_or_that_is_too_long_is_bad_input() {
    let problems = |content: &str| {
        let text = launching(&format!("{TYPE}, user_data: {{ content: \"{content}\" }}"));
        let loaded = fake::pipelines::load(&text);
        let problems = build::precheck::problems(&loaded, cloud::Timestamp::UNIX_EPOCH);
        problems
            .iter()
            .map(pipeline::render_problem)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let ignored = problems("packages: [jq] # ${{ run.id }}");
    assert!(
        ignored.contains("cloud-init would ignore it") && ignored.contains("p.yaml:6:"),
        "{ignored}"
    );
    assert_eq!(
        problems("#cloud-config\\npackages: [jq] # ${{ run.id }}"),
        ""
    );
    // Text that does not shrink.
    let mut state = 7_u32;
    let noise: String = (0..40_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + ((state >> 24) % 26) as u8)
        })
        .collect();
    let long = problems(&format!("#!/bin/sh\\n# {noise}"));
    assert!(long.contains("EC2 takes at most 16384"), "{long}");
}

/// The plan says the same words as the pipeline, and warns of what only a person can judge.
#[test]
fn a_plan_names_places_as_the_pipeline_does() {
    let site = with_own_vpc();
    let text = launching(&format!(
        "{TYPE}, vpc: vpc-2, on_shutdown: stop, subnets: [{{ filter: {{ tags: {{ Tier: 'p*' }} }}, pick: first }}, subnet-4]"
    ));
    let plan = site.plan(&text).unwrap();
    assert_eq!(
        plan.rows[0].subnets,
        [
            "{ filter: { tags: { Tier: p* } }, pick: first }",
            "subnet-4"
        ]
    );
    assert!(
        plan.rows[0]
            .warnings
            .iter()
            .any(|w| w.contains("on_shutdown: stop")),
        "{:?}",
        plan.rows[0].warnings
    );
    assert!(!site.account.store().calls.contains(&"RunInstances"));
}

#[test]
fn what_every_cell_of_a_stage_has_is_told_once_and_with_the_cells_own_name() {
    let problems = |name: &str| {
        let text = format!(
            "name: p\nstages:\n  base:\n    matrix: {{ axes: {{ os: [a, {0}] }} }}\n    \
             source: {{ image_id: ami-1source }}\n    launch: {{ {TYPE} }}\n    connect: {{ user: me }}\n    \
             image: {{ name: \"{name}\" }}\n",
            "b".repeat(60)
        );
        let loaded = fake::pipelines::load(&text);
        let mut problems = build::precheck::problems(&loaded, cloud::Timestamp::UNIX_EPOCH);
        // That both cells want one name is another problem.
        problems.retain(|problem| problem.message.contains("EC2 refuses"));
        problems
    };
    let fixed = format!("{}${{{{ run.id }}}}${{{{ run.id }}}}", "x".repeat(120));
    assert_eq!(problems(&fixed).len(), 1);
    // Too long in one cell only, by its name; how long a run's id is, the file does not tell.
    let by_cell = format!("{}${{{{ cell }}}}${{{{ run.id }}}}", "x".repeat(64));
    let found = problems(&by_cell);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains(&"b".repeat(60)), "{found:?}");
    assert!(problems("${{ cell }}-${{ run.id }}").is_empty());
}

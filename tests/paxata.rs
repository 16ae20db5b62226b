//! `pipelines/paxata.yaml`: three layers, the last of them made by Ansible.

use end_to_end::shipped::{self, Shipped, described, ids, tag};
use end_to_end::{Config, Ended, LocalEc2, ansible};
use std::fs;

const REGION: &str = "us-east-1";
const ROLES: [&str; 3] = ["paxata-server", "mongo-server", "proxy-server"];

/// The pipelines in a repository with one commit, as a checkout is.
#[track_caller]
fn checked_out() -> LocalEc2 {
    let ec2 = shipped::with_pipelines(Config::GUARDED);
    ec2.shell(
        "git init -q -b main && git add pipelines && \
         git -c user.name=somebody -c user.email=somebody@host.invalid commit -qm 'All of them'",
    )
    .exits(0);
    ec2
}

fn paxata(ec2: &LocalEc2) -> Shipped<'_> {
    Shipped {
        ec2,
        name: "paxata",
    }
}

#[track_caller]
fn commit(ec2: &LocalEc2) -> String {
    let said = ec2.shell("git rev-parse HEAD").exits(0);
    said.stdout.trim().to_owned()
}

#[test]
fn three_layers_and_the_tags_by_which_they_are_found() {
    let ec2 = checked_out();
    let planned = paxata(&ec2).is_valid_and_plans(5, &["--use", "centos-7"]);
    let built = paxata(&ec2).builds_once(5, &["--use", "centos-7"]);
    let ids = ids(&built);
    let root = &ids["root-server/us-east-1"];
    let base = &ids["base-server/us-east-1"];
    let published = planned[0]["source_image"].as_str().expect("it is found");
    let commit = commit(&ec2);
    let mut layers = vec![
        ("root-server", root, published),
        ("base-server", base, root),
    ];
    let servers = ROLES.map(|role| (role, &ids[&format!("servers/{role}")], base.as_str()));
    layers.extend(servers);
    for (role, id, source) in layers {
        let image = described(&ec2, REGION, id);
        assert_eq!(tag(&image, "role"), Some(role), "{image:#}");
        assert_eq!(tag(&image, "distro-id"), Some("centos-7"), "{image:#}");
        assert_eq!(tag(&image, "qib:source-image"), Some(source), "{image:#}");
        let is_server = ROLES.contains(&role);
        let sha = is_server.then_some(commit.as_str());
        assert_eq!(tag(&image, "scm-id"), sha, "{image:#}");
        let branch = is_server.then_some("main");
        assert_eq!(tag(&image, "scm-branch"), branch, "{image:#}");
    }
    let properties = fs::read_to_string(ec2.path("work/us-east-1.vmi.properties"));
    let expected: String = ["root-server/us-east-1", "base-server/us-east-1"]
        .map(str::to_owned)
        .into_iter()
        .chain(ROLES.map(|role| format!("servers/{role}")))
        .map(|cell| {
            let role = match cell.strip_suffix("/us-east-1") {
                Some(stage) => stage,
                None => cell.trim_start_matches("servers/"),
            };
            format!("{role}={}\n", ids[&cell])
        })
        .collect();
    assert_eq!(properties.expect("it is written"), expected, "{built}");
    the_newest_layer_is_found_by_its_tags(&ec2, base);
}

/// What the programs above the images do: the newest of one's own with a role and a distribution.
#[track_caller]
fn the_newest_layer_is_found_by_its_tags(ec2: &LocalEc2, base: &str) {
    let file = ec2.pipeline(
        "name: by-tag\naws: { region: us-east-1 }\nstages:\n  one:\n    \
         source: { filter: { owners: [self, '111122223333'], tags: { role: base-server, distro-id: centos-7 } } }\n    \
         launch: { instance_type: t2.medium }\n    connect: { user: centos }\n    \
         image: { name: 'by-tag-${{ run.id }}' }\n",
    );
    let file = file.to_str().expect("a path of the test's");
    let plan = ec2.qib(["plan", "--local", "--json", file]).exits(0);
    assert_eq!(plan.json()[0]["source_image"], base, "{plan}");
}

#[test]
fn a_layer_is_the_one_just_built_although_ec2_shows_it_late() {
    let ec2 = checked_out();
    let before = ids(&paxata(&ec2).builds_once(5, &[]));
    ec2.faults(serde_json::json!({ "stale_reads_ms": 3000 }));
    let more = ["--only", "servers/mongo-server", "--rebuild", "base-server"];
    let built = paxata(&ec2).run(&more).exits(0);
    ec2.no_faults();
    let after = ids(&built);
    let base = &after["base-server/us-east-1"];
    assert_ne!(base, &before["base-server/us-east-1"], "{built}");
    let mongo = described(&ec2, REGION, &after["servers/mongo-server"]);
    let source = tag(&mongo, "qib:source-image");
    assert_eq!(source, Some(base.as_str()), "{built}");
}

#[test]
fn settings_come_in_layers_and_later_ones_win() {
    let ec2 = checked_out();
    ec2.write(
        "work/customer.yaml",
        "distro: rhel-8\nlogin_user: ec2-user\n",
    );
    let plan = |more: &[&str]| {
        let rows = paxata(&ec2).is_valid_and_plans(5, more);
        let text = |key: &str| rows[0][key].as_str().unwrap_or_default().to_owned();
        (text("region"), text("image_name"))
    };
    let (region, name) = plan(&["--use", "centos-7", "--use", "eu-west-1"]);
    assert_eq!(region, "eu-west-1");
    assert!(name.starts_with("root-server centos-7 "), "{name}");
    let (region, name) = plan(&["--use", "centos-7", "--vars-file", "customer.yaml"]);
    assert_eq!(region, "us-east-1");
    assert!(name.starts_with("root-server rhel-8 "), "{name}");
    let more = [
        "--use",
        "eu-west-1",
        "--vars-file",
        "customer.yaml",
        "--var",
        "distro=centos-9",
        "--var",
        "region=us-west-2",
    ];
    let (region, name) = plan(&more);
    assert_eq!(region, "us-west-2");
    assert!(name.starts_with("root-server centos-9 "), "{name}");
    let wrong = paxata(&ec2).qib(&["validate"], &["--use", "mars"]);
    wrong.exits(2).says("mars");
    let wrong = paxata(&ec2).qib(&["validate"], &["--var", "distro=CentOS"]);
    wrong.exits(2).says("distro");
}

#[test]
fn ansible_makes_each_server_and_another_playbook_can_be_given() {
    let ec2 = checked_out();
    ansible::for_guests(&ec2, "centos");
    // What bootstrap installs where there is a network.
    let file = ec2.path("work/pipelines/paxata.yaml");
    let text = fs::read_to_string(&file).expect("the copy is there");
    let expects = "      - run: { name: what Ansible expects,";
    assert!(text.contains(expects), "{text}");
    let uploads = "      - upload: { from: ../ansible/, to: ansible/ }\n";
    let text = text.replace(expects, &format!("{uploads}{expects}"));
    fs::write(&file, text).expect("the copy is ours");
    let installed = [
        "--var",
        "ansible=installed",
        "--var",
        "ansible_playbook=/home/centos/ansible/bin/ansible-playbook",
    ];
    let built = paxata(&ec2).builds_once(5, &installed);
    let ids_built = ids(&built);
    let mongo = &ids_built["servers/mongo-server"];
    let told = |id: &str| said_by(&ec2, id, "cat /opt/service/etc/service.properties");
    let heap = |role: &str| if role == "mongo-server" { "2g" } else { "1g" };
    for role in ROLES {
        let expected = format!("role={role} distro=centos-7 heap={} ", heap(role));
        assert_eq!(told(&ids_built[&format!("servers/{role}")]), expected);
    }

    ec2.write(
        "work/pipelines/files/paxata/playbooks/hotfix.yaml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    \
         - ansible.builtin.copy: { dest: /opt/hotfix, content: 'of {{ inventory_hostname }}', mode: '0644' }\n",
    );
    let mut more = vec![
        "--only",
        "servers/mongo-server",
        "--var",
        "playbook=hotfix.yaml",
    ];
    more.extend(installed);
    let fixed = paxata(&ec2).run(&more).exits(0);
    let ids_fixed = ids(&fixed);
    let hot = &ids_fixed["servers/mongo-server"];
    assert_ne!(hot, mongo, "{fixed}");
    assert_eq!(
        said_by(&ec2, hot, "cat /opt/hotfix; echo"),
        "of mongo-server "
    );
    let image = described(&ec2, REGION, hot);
    assert_eq!(tag(&image, "playbook"), Some("hotfix.yaml"), "{image:#}");
}

/// The lines that a command says in an instance of the image, each with a space after it.
#[track_caller]
fn said_by(ec2: &LocalEc2, image: &str, command: &str) -> String {
    let file = ec2.pipeline(format!(
        "name: look\naws: {{ region: us-east-1 }}\nstages:\n  one:\n    source: {{ image_id: {image} }}\n    \
         launch: {{ instance_type: t2.medium }}\n    connect: {{ user: centos }}\n    \
         provision: [{{ run: {{ name: look, inline: '{command}' }} }}]\n    image: {{ name: 'look-${{{{ run.id }}}}' }}\n",
    ));
    let ended: Ended = ec2.run(&file).exits(0);
    let of_look = ended
        .events_of("output")
        .into_iter()
        .filter(|event| event["stream"] == "stdout");
    of_look
        .map(|event| format!("{} ", event["line"].as_str().unwrap_or_default()))
        .collect()
}

//! Every bad input and its answer: file, line, column, caret, hint.

use crate::memory::{Memory, Setup};
use pipeline::model::{Address, ElasticIpChoice};

/// A small pipeline that loads, for breaking one thing at a time.
pub const GOOD: &str = "\
name: demo
vars:
  size: { default: '8' }
  token: { env: TOKEN, secret: true }
stages:
  base:
    source: { image_id: ami-0123456789abcdef0 }
    launch:
      instance_type: t3.micro
      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]
    connect: { user: ec2-user }
    provision:
      - run: { script: scripts/a.sh, env: { TOKEN: \"${{ vars.token }}\" } }
      - upload: { from: files/, to: files/ }
    image: { name: \"demo-${{ run.id }}\" }
";

pub fn setup() -> Setup {
    let files = Memory::default()
        .with("p/scripts/a.sh", "echo a\n")
        .with("p/files/one", "1")
        .with("p/files/two", "2");
    Setup {
        files,
        env: vec![("TOKEN", "hunter2")],
        ..Setup::default()
    }
}

/// Breaks the good pipeline in one place and gives the answer.
pub fn broken(from: &str, to: &str) -> String {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from:?} is not in the good pipeline");
    setup().refuse(&text)
}

#[test]
fn the_good_pipeline_loads() {
    let loaded = setup()
        .load(GOOD)
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(
        loaded.pipeline.stages[0].launch.as_ref().unwrap().volumes[0]
            .size_gib
            .as_ref()
            .unwrap()
            .get(),
        8
    );
}

#[test]
fn a_pool_of_addresses_is_named_by_its_tag() {
    let pool = "{ user: ec2-user, address: { elastic_ip: { tag: { Purpose: \"${{ vars.size }}\" } }, bind: api } }";
    let text = GOOD.replace("{ user: ec2-user }", pool);
    let loaded = setup().load(&text).map_err(|e| e.to_string()).unwrap();
    let connect = loaded.pipeline.stages[0].connect.as_ref().unwrap();
    let Address::ElasticIp(elastic) = &connect.address.value else {
        panic!("no Elastic IP");
    };
    let tags = [("Purpose".to_owned(), "8".to_owned())].into();
    assert_eq!(elastic.choice, ElasticIpChoice::Pool(tags));
}

macro_rules! answers {
    ($($name:ident: $from:expr => $to:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ description => $to, omit_expression => true }, {
                insta::assert_snapshot!($crate::bad_input::broken($from, $to));
            });
        }
    )*};
}

pub(crate) use answers;

answers! {
    unknown_key: "provision:" => "provison:";
    unknown_key_deep: "size_gib" => "size_gb";
    key_of_a_later_version: "    connect:" => "    disk: { import: x }\n    connect:";
    duplicate_key: "    connect:" => "    launch: {}\n    connect:";
    missing_key: "instance_type: t3.micro" => "public_ip: true";
    wrong_type_number: "\"${{ vars.size }}\"" => "fifty";
    wrong_type_quoted_number: "\"${{ vars.size }}\"" => "'50'";
    wrong_type_map: "{ user: ec2-user }" => "ec2-user";
    wrong_type_list: "volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]" => "volumes: big";
    wrong_type_bool: "{ user: ec2-user }" => "{ user: ec2-user, pty: 'yes' }";
    empty_value: "instance_type: t3.micro" => "instance_type:";
    empty_text: "ami-0123456789abcdef0" => "''";
    undeclared_variable: "vars.size" => "vars.sizes";
    variable_without_value: "{ default: '8' }" => "{ env: DISK_SIZE, description: GiB of the root disk }";
    variable_empty: "{ default: '8' }" => "{ env: EMPTY_VARIABLE }";
    variable_against_pattern: "{ default: '8' }" => "{ default: '8x', pattern: '[0-9]+' }";
    variable_secret_against_pattern: "env: TOKEN, secret: true" => "env: TOKEN, secret: true, pattern: '[0-9]+'";
    variable_secret_with_a_default: "env: TOKEN, secret: true" => "default: letmein, secret: true, pattern: '[0-9]+'";
    pattern_that_is_none: "{ default: '8' }" => "{ default: '8', pattern: '[0-9' }";
    expression_in_a_declaration: "{ default: '8' }" => "{ default: '${{ vars.token }}' }";
    missing_script: "scripts/a.sh" => "scripts/b.sh";
    missing_upload_folder: "from: files/" => "from: fils/";
    missing_upload_file: "from: files/, to: files/" => "from: file, to: file";
    upload_folder_without_slash: "from: files/, to: files/" => "from: files, to: files";
    upload_file_with_slash: "from: files/, to: files/" => "from: files/one/, to: files/";
    missing_key_file: "{ user: ec2-user }" => "{ user: ec2-user, key: { file: ~/.ssh/id } }";
    unknown_stage: "{ image_id: ami-0123456789abcdef0 }" => "{ stage: bse }";
    stage_from_itself: "{ image_id: ami-0123456789abcdef0 }" => "{ stage: base }";
    two_sources: "{ image_id: ami-0123456789abcdef0 }" => "{ image_id: ami-0123456789abcdef0, stage: base }";
    after_without_filter: "{ image_id: ami-0123456789abcdef0 }" => "{ image_id: ami-0123456789abcdef0, after: base }";
    after_unknown_stage: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [self], name: x }, after: bse }";
    after_itself: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [self], name: x }, after: base }";
    cell_without_stage: "{ image_id: ami-0123456789abcdef0 }" => "{ filter: { owners: [self], name: x }, cell: base }";
    image_name_character: "demo-${{ run.id }}" => "demo#${{ run.id }}";
    image_name_time_without_format: "demo-${{ run.id }}" => "demo-${{ run.time }}";
    image_name_too_short: "demo-${{ run.id }}" => "ab";
    image_name_too_long: "demo-${{ run.id }}" => "demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-demo-${{ run.id }}";
    device_twice: "[{ device: /dev/sda1" => "[{ device: sda1 }, { device: /dev/sda1";
    device_name: "/dev/sda1" => "/dev/disk1";
    bad_cidr: "instance_type: t3.micro" => "instance_type: t3.micro\n      ssh_from: [10.0.0.0/33]";
    cidr_beyond_its_prefix: "instance_type: t3.micro" => "instance_type: t3.micro\n      ssh_from: [10.0.0.1/8]";
    ssh_from_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      ssh_from: everyone";
    instance_type_twice: "instance_type: t3.micro" => "instance_type: t3.micro\n      instance_types: [t3.small]";
    no_instance_types: "instance_type: t3.micro" => "instance_types: []";
    instance_type_repeated: "instance_type: t3.micro" => "instance_types: [t3.micro, t3.small, t3.micro]";
    instance_types_are_a_list: "instance_type: t3.micro" => "instance_types: t3.micro";
    subnet_twice: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnet: subnet-0a\n      subnets: [subnet-0b]";
    no_subnets: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnets: []";
    subnet_repeated: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnets: [{ default_vpc: true, zone: a }, subnet-0a, { default_vpc: true, zone: a }]";
    subnet_in_a_list: "instance_type: t3.micro" => "instance_type: t3.micro\n      subnets: [subnet-0a, vpc-0a]";
    spot_word: "instance_type: t3.micro" => "instance_type: t3.micro\n      spot: cheap";
    spot_unknown_key: "instance_type: t3.micro" => "instance_type: t3.micro\n      spot: { price: '0.12' }";
    spot_price: "instance_type: t3.micro" => "instance_type: t3.micro\n      spot: { max_price: $0.12 }";
    spot_price_too_low: "instance_type: t3.micro" => "instance_type: t3.micro\n      spot: { max_price: '0.0009' }";
    spot_fall_back: "instance_type: t3.micro" => "instance_type: t3.micro\n      spot: { fall_back: wait }";
    lifetime_too_short: "instance_type: t3.micro" => "instance_type: t3.micro\n      max_lifetime: 9m";
    lifetime_form: "instance_type: t3.micro" => "instance_type: t3.micro\n      max_lifetime: 240";
    reserved_tag: "image: {" => "tags: { 'aws:name': x }\n    image: {";
    own_tag: "image: {" => "tags: { 'qib:run': x }\n    image: {";
    unknown_need: "{ script: scripts/a.sh," => "{ script: scripts/a.sh, needs: [rhel, internt],";
    script_and_inline: "{ script: scripts/a.sh," => "{ script: scripts/a.sh, inline: ls,";
    user_data_bind_without_profile: "{ user: ec2-user }" => "{ user: ec2-user, address: { elastic_ip: eipalloc-0local } }";
    no_public_address_to_connect_to: "instance_type: t3.micro" => "instance_type: t3.micro\n      public_ip: false";
    inject_without_cloud_init: "{ user: ec2-user }" => "{ user: ec2-user, wait_cloud_init: false }";
    address_instead_of_allocation: "{ user: ec2-user }" => "{ user: ec2-user, address: { elastic_ip: 203.0.113.7 } }";
    address_pool_without_tag: "{ user: ec2-user }" => "{ user: ec2-user, address: { elastic_ip: { tag: {} }, bind: api } }";
    address_pool_with_another_key: "{ user: ec2-user }" => "{ user: ec2-user, address: { elastic_ip: { tags: { Purpose: builders } }, bind: api } }";
    key_word: "{ user: ec2-user }" => "{ user: ec2-user, key: rsa }";
    key_pair_without_its_key: "{ user: ec2-user }" => "{ user: ec2-user, key_pair: builders }";
    key_pair_name: "{ user: ec2-user }" => "{ user: ec2-user, key: agent, key_pair: 'größe' }";
    bastion_without_host_key: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: agent } }";
    bastion_without_key: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, host_key: accept-first } }";
    bastion_key_word: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: ed25519, host_key: accept-first } }";
    bastion_key_file: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: { file: ~/jump }, host_key: accept-first } }";
    bastion_host_key_word: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: agent, host_key: inject } }";
    bastion_known_hosts: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: agent, host_key: { known_hosts: nowhere } } }";
    bastion_fingerprint: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: agent, host_key: { fingerprint: 'MD5:aa' } } }";
    bastion_with_a_port_in_its_host: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: 'jump/22', user: me, key: agent, host_key: accept-first } }";
    bastion_port: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, port: 0, user: me, key: agent, host_key: accept-first } }";
    bastion_unknown_key: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: agent, hostkey: accept-first } }";
    bastion_that_the_group_keeps_out: "{ user: ec2-user }" => "{ user: ec2-user, bastion: { host: jump.example, user: me, key: agent, host_key: accept-first } }";
    proxy_scheme: "{ user: ec2-user }" => "{ user: ec2-user, proxy: 'http://proxy.example:3128' }";
    proxy_without_port: "{ user: ec2-user }" => "{ user: ec2-user, proxy: 'socks5://proxy.example' }";
    proxy_password_in_its_url: "{ user: ec2-user }" => "{ user: ec2-user, proxy: 'socks5://me:letmein@proxy.example:1080' }";
    proxy_user_without_password: "instance_type: t3.micro\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n    connect: { user: ec2-user }" => "instance_type: t3.micro\n      ssh_from: anywhere\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n    connect: { user: ec2-user, proxy: 'socks5://me@proxy.example:1080' }";
    proxy_password_without_user: "instance_type: t3.micro\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n    connect: { user: ec2-user }" => "instance_type: t3.micro\n      ssh_from: anywhere\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n    connect: { user: ec2-user, proxy: { url: 'socks5://proxy.example:1080', password: \"${{ vars.token }}\" } }";
    proxy_password_in_the_open: "instance_type: t3.micro\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n    connect: { user: ec2-user }" => "instance_type: t3.micro\n      ssh_from: anywhere\n      volumes: [{ device: /dev/sda1, size_gib: \"${{ vars.size }}\" }]\n    connect: { user: ec2-user, proxy: { url: 'socks5://me@proxy.example:1080', password: \"${{ vars.size }}\" } }";
    proxy_that_the_group_keeps_out: "{ user: ec2-user }" => "{ user: ec2-user, proxy: 'socks5://proxy.example:1080' }";
    ansible_without_playbook: "- run: { script: scripts/a.sh," => "- ansible: { become: root }\n      - run: { script: scripts/a.sh,";
    ansible_playbook_missing: "- run: { script: scripts/a.sh," => "- ansible: { playbook: plays/none.yaml }\n      - run: { script: scripts/a.sh,";
    ansible_playbook_is_a_folder: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files }\n      - run: { script: scripts/a.sh,";
    ansible_unknown_key: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, vars: { a: b } }\n      - run: { script: scripts/a.sh,";
    ansible_host_alias: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, host_alias: all }\n      - run: { script: scripts/a.sh,";
    ansible_group: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, inventory_groups: [web-servers] }\n      - run: { script: scripts/a.sh,";
    ansible_groups_are_a_list: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, inventory_groups: web }\n      - run: { script: scripts/a.sh,";
    ansible_host_vars_missing: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, host_vars: vars/ }\n      - run: { script: scripts/a.sh,";
    ansible_group_vars_is_a_file: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, group_vars: files/two }\n      - run: { script: scripts/a.sh,";
    ansible_variable_name: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, extra_vars: { a-b: 1 } }\n      - run: { script: scripts/a.sh,";
    ansible_variable_undeclared: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, extra_vars: { a: [{ b: \"${{ vars.nope }}\" }] } }\n      - run: { script: scripts/a.sh,";
    ansible_variable_without_value: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, extra_vars: { a: } }\n      - run: { script: scripts/a.sh,";
    ansible_secret_argument: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, extra_args: [-e, \"token=${{ vars.token }}\"] }\n      - run: { script: scripts/a.sh,";
    ansible_inventory_argument: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, extra_args: [-i, hosts] }\n      - run: { script: scripts/a.sh,";
    ansible_arguments_are_a_list: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, extra_args: --check }\n      - run: { script: scripts/a.sh,";
    ansible_requirements_missing: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, requirements: galaxy.yaml }\n      - run: { script: scripts/a.sh,";
    ansible_galaxy_arguments_alone: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, galaxy_args: [--offline] }\n      - run: { script: scripts/a.sh,";
    ansible_become_number: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, become: Root }\n      - run: { script: scripts/a.sh,";
    ansible_program_with_arguments: "- run: { script: scripts/a.sh," => "- ansible: { playbook: files/one, ansible_playbook: 'ansible-playbook -v' }\n      - run: { script: scripts/a.sh,";
    ansible_local_playbook_outside_of_its_folder: "- run: { script: scripts/a.sh," => "- ansible_local: { playbook: scripts/a.sh, dir: files }\n      - run: { script: scripts/a.sh,";
    ansible_local_folder_missing: "- run: { script: scripts/a.sh," => "- ansible_local: { playbook: files/one, dir: plays/ }\n      - run: { script: scripts/a.sh,";
    ansible_local_inventory_missing: "- run: { script: scripts/a.sh," => "- ansible_local: { playbook: files/one, inventory: hosts }\n      - run: { script: scripts/a.sh,";
    ansible_local_inventory_and_groups: "- run: { script: scripts/a.sh," => "- ansible_local: { playbook: files/one, inventory: files/two, inventory_groups: [web] }\n      - run: { script: scripts/a.sh,";
    ansible_local_inventory_and_alias: "- run: { script: scripts/a.sh," => "- ansible_local: { playbook: files/one, inventory: files/two, host_alias: web }\n      - run: { script: scripts/a.sh,";
    ansible_local_staging: "- run: { script: scripts/a.sh," => "- ansible_local: { playbook: files/one, staging: /var/../tmp }\n      - run: { script: scripts/a.sh,";
    ansible_local_command: "- run: { script: scripts/a.sh," => "- ansible_local: { playbook: files/one, command: 'sudo ansible-playbook' }\n      - run: { script: scripts/a.sh,";
    duration: "{ user: ec2-user }" => "{ user: ec2-user, timeout: 6 minutes }";
    account: "\"demo-${{ run.id }}\"" => "\"demo-${{ run.id }}\", share: { accounts: [12345] }";
    file_mode: "from: files/, to: files/" => "from: files/one, to: one, mode: '0999'";
    upload_upwards: "from: files/, to: files/" => "from: files/, to: ../files/";
    iops_without_type: "{ device: /dev/sda1," => "{ device: /dev/sda1, type: gp2, iops: 3000,";
    expression_that_does_not_end: "\"demo-${{ run.id }}\"" => "\"demo-${{ run.id\"";
    expression_without_name: "\"demo-${{ run.id }}\"" => "\"demo-${{ }}\"";
    expression_unknown_name: "run.id" => "run.uuid";
    expression_unknown_filter: "run.id" => "run.id | trim";
    expression_date_of_an_id: "run.id" => "run.id | date('%Y')";
    expression_env: "vars.size" => "env.SIZE";
    expression_in_a_key: "{ TOKEN:" => "{ '${{ vars.size }}':";
    run_time_where_it_is_not_known: "t3.micro" => "\"${{ run.id }}\"";
    secret_in_a_name: "run.id" => "vars.token";
    secret_in_a_tag: "image: {" => "tags: { Token: \"${{ vars.token }}\" }\n    image: {";
    secret_in_a_command: "{ script: scripts/a.sh," => "{ inline: \"echo ${{ vars.token }}\",";
    yaml_that_is_none: "stages:" => "stages: [";
    yaml_tag: "t3.micro" => "!type t3.micro";
    unknown_alias: "t3.micro" => "*nothing";
}

#[test]
fn a_cycle_of_stages_is_told_once() {
    let stage = "launch: { instance_type: t3.micro }, connect: { user: me }, image: { name: \"x-${{ run.id }}\" }";
    let text = format!(
        "name: demo\nstages:\n  a: {{ source: {{ stage: c }}, {stage} }}\n  b: {{ source: {{ stage: a }}, {stage} }}\n  \
         c: {{ source: {{ stage: b }}, {stage} }}\n"
    );
    insta::assert_snapshot!(setup().refuse(&text));
}

#[test]
fn binding_from_user_data_needs_a_way_out() {
    let text = GOOD
        .replace(
            "t3.micro",
            "t3.micro\n      public_ip: false\n      instance_profile: builder",
        )
        .replace(
            "{ user: ec2-user }",
            "{ user: ec2-user, address: { elastic_ip: eipalloc-0local } }",
        );
    insta::assert_snapshot!(setup().refuse(&text));
    let declared = text.replace("public_ip: false", "public_ip: false\n      egress: nat");
    assert!(setup().load(&declared).is_ok());
}

#[test]
fn expressions_are_pointed_at_inside_block_scalars() {
    let text = GOOD.replace(
        "{ script: scripts/a.sh, env: { TOKEN: \"${{ vars.token }}\" } }",
        "\n          inline: |\n            echo ${HOME}\n            echo ${{ run.id }} and ${{ vars.nix }}",
    );
    insta::assert_snapshot!(setup().refuse(&text));
}

#[test]
fn an_expression_in_an_uploaded_template_is_pointed_at_there() {
    let mut setup = setup();
    setup.files = setup.files.with("p/t.conf", "a: 1\nb: ${{ vars.nope }}\n");
    let text = GOOD.replace(
        "from: files/, to: files/",
        "from: t.conf, to: t.conf, template: true",
    );
    insta::assert_snapshot!(setup.refuse(&text));
}

#[test]
fn several_errors_of_meaning_are_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("scripts/a.sh", "scripts/b.sh")
        .replace("from: files/", "from: nowhere/");
    let error = setup().load(&text).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    let lines: Vec<_> = error
        .problems
        .iter()
        .map(|p| p.place.as_ref().unwrap().span.line)
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn bytes_that_are_no_text() {
    let mut bytes = GOOD.as_bytes().to_vec();
    let at = GOOD.find("demo").unwrap();
    bytes[at + 1] = 0xe9;
    insta::assert_snapshot!(setup().load_bytes(&bytes).unwrap_err().to_string());
    insta::assert_snapshot!(setup().refuse(""));
    insta::assert_snapshot!(setup().refuse("# nothing\n"));
    insta::assert_snapshot!(setup().refuse(&format!("{GOOD}---\n{GOOD}")));
    insta::assert_snapshot!(setup().refuse("- a\n- b\n"));
}

//! The example of the design loads, and means what it says.

use crate::memory::{Memory, Setup};
use pipeline::model::{
    Address, Bind, Cache, Commands, ElasticIpChoice, LoginKey, Need, OutputContent, OutputKind,
    Pick, Provisioner, Source, SshFrom, SubnetChoice, TimeSpan, UploadSource, VolumeType,
};
use pipeline::template::RunFacts;
use pipeline::{CellOrder, cell_order};

pub const DESIGN: &str = include_str!("design.yaml");

pub fn setup() -> Setup {
    let files = Memory::default()
        .with("p/files/playbooks/harden.yaml", "- hosts: all\n")
        .with(
            "p/files/imageset.yaml",
            "version: ${{ vars.ocp_version }}\nshell: ${HOME} $${{ kept }}\n",
        )
        .with("p/scripts/harden.sh", "#!/bin/bash\ndnf update -y\n")
        .with("p/scripts/clean.sh", "shred /etc/ssh/*\n");
    Setup {
        local: true,
        files,
        ..Setup::default()
    }
}

fn facts() -> RunFacts {
    RunFacts {
        run_id: Some("r7x2".into()),
        run_time: Some("2026-11-21T08:26:42Z".parse().unwrap()),
        ..RunFacts::default()
    }
}

#[test]
fn the_base_stage_means_what_it_says() {
    let loaded = setup()
        .load(DESIGN)
        .map_err(|error| error.to_string())
        .unwrap();
    let pipeline = &loaded.pipeline;
    assert_eq!(pipeline.name.as_str(), "ocp");
    assert_eq!(pipeline.aws.region.as_ref().unwrap().as_str(), "us-east-2");
    let base = &pipeline.stages[0];
    match &base.source.value {
        Source::Filter {
            filter,
            pick: Pick::Newest,
            after: None,
        } => {
            assert_eq!(filter.owners[0].as_str(), "309956199498");
            assert_eq!(filter.name.as_deref(), Some("RHEL-8.7*HVM-*Hourly*"));
        }
        other => panic!("{other:?}"),
    }
    let (launch, connect) = (
        base.launch.as_ref().unwrap(),
        base.connect.as_ref().unwrap(),
    );
    assert!(
        matches!(&launch.subnets[0].value, SubnetChoice::DefaultVpc { zone: Some(zone) } if zone.as_str() == "c")
    );
    assert_eq!(launch.ssh_from, SshFrom::Caller);
    assert_eq!(launch.volumes[0].kind, Some(VolumeType::Gp3));
    assert_eq!(launch.volumes[0].size_gib.as_ref().unwrap().get(), 50);
    assert_eq!(connect.key.value, LoginKey::EcdsaP256);
    assert_eq!(connect.timeout, Some(TimeSpan::from_secs(360)));
    assert!(connect.pty);
    match &connect.address.value {
        Address::ElasticIp(ip) => {
            assert!(
                matches!(&ip.choice, ElasticIpChoice::One(id) if id.as_str() == "eipalloc-0local")
            );
            assert_eq!(ip.bind, Bind::UserData);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        base.cache,
        Cache::On {
            max_age: Some(TimeSpan::from_secs(30 * 86_400))
        }
    );
    match &base.provision[1].value {
        Provisioner::Run(run) => {
            assert_eq!(
                base.provision[1]
                    .needs
                    .iter()
                    .map(|need| need.value)
                    .collect::<Vec<_>>(),
                [Need::Rhel, Need::Internet]
            );
            assert_eq!(run.become_user.as_ref().unwrap().as_str(), "root");
            assert!(run.errexit);
            assert!(
                matches!(&run.commands, Commands::Scripts(scripts) if scripts[0].content.starts_with(b"#!/bin/bash"))
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(&base.provision[2].value, Provisioner::Run(run) if !run.errexit));
    assert_eq!(
        base.image.name.render(&facts()).unwrap(),
        "quay-base-2026-11-21-082642-r7x2"
    );
    assert!(
        base.image
            .name
            .render(&RunFacts::default())
            .unwrap_err()
            .is_not_known_yet()
    );
}

#[test]
fn the_second_stage_starts_from_the_first_and_uploads_rendered_text() {
    let loaded = setup()
        .load(DESIGN)
        .map_err(|error| error.to_string())
        .unwrap();
    let pipeline = &loaded.pipeline;
    let ocp = &pipeline.stages[1];
    let uploads: Vec<_> = ocp
        .provision
        .iter()
        .map(|provisioner| match &provisioner.value {
            Provisioner::Upload(upload) => upload,
            other => panic!("{other:?}"),
        })
        .collect();
    let [secret, imageset] = uploads.as_slice() else {
        panic!("{uploads:?}")
    };
    assert!(matches!(&secret.what, UploadSource::Content(text)
        if text.is_secret() && text.render(&facts()).unwrap().expose() == r#"{"auths":{}}"#));
    assert_eq!(secret.mode.unwrap().bits(), 0o600);
    assert!(matches!(&imageset.what, UploadSource::Rendered { text, .. }
        if text.render(&facts()).unwrap().expose() == "version: 4.12.3\nshell: ${HOME} ${{ kept }}\n"));
    let names: Vec<_> = cell_order(pipeline)
        .into_iter()
        .map(|CellOrder { cell, after }| (cell.label(), after.map(|cell| cell.label())))
        .collect();
    assert_eq!(
        format!("{names:?}"),
        r#"[("base", None), ("ocp", Some("base"))]"#
    );
    let OutputKind::Write { path, content } = &pipeline.outputs[0].kind else {
        panic!("it writes a file");
    };
    assert!(matches!(content, OutputContent::Json));
    assert_eq!(path.as_literal(), Some("images.json"));
}

#[test]
fn debug_output_shows_no_secret() {
    let mut setup = setup();
    setup.files = setup
        .files
        .with("/home/me/pull-secret.txt", "hunter2hunter2\n");
    let loaded = setup
        .load(DESIGN)
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(
        loaded.values.get("pull_secret").unwrap().secret.expose(),
        "hunter2hunter2"
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert_eq!(loaded.values.secrets().count(), 1);
}

//! One cell, from its spec to its image, against an account and a guest in memory: whatever goes wrong, and at whatever
//! call, the account holds nothing afterwards but what was asked for.

mod fake;

use build::cancel::{Cancelled, Canceller, cancellation};
use build::effects::Effects;
use build::failure::StepError;
use build::guest::{OpenError, Script};
use build::host::Host;
use build::journal::{
    AddressBinder, Effect, EffectNumber, Invocation, Journal, JournalReader, Opening, RunDirectory,
};
use build::mask::Mask;
use build::names::{CellName, RunId};
use build::options::*;
use build::ports::Ports;
use build::resumption::Point;
use build::spec::*;
use build::steps::{self, BuiltImage, CellContext, Ingredients, Progress, RunContext};
use cloud::{
    Clock, Image, ImageState, LaunchRequest, Permissions, Placement, TagSpecification, Tags,
};
use fake::account::{FakeAccount, Fault};
use fake::guest::{Behaviour, FakeGuests};
use fake::{Home, Recorder, VirtualClock};
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

struct Stage {
    account: FakeAccount,
    recorder: Arc<Recorder>,
    guests: Arc<FakeGuests>,
    context: CellContext,
    canceller: Canceller,
    directory: RunDirectory,
    _state: tempfile::TempDir,
}

fn stage(behaviour: Behaviour) -> Stage {
    let account = FakeAccount::new();
    let recorder = Arc::new(Recorder::default());
    let guests = Arc::new(FakeGuests {
        behaviour,
        ..FakeGuests::default()
    });
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new());
    let state = tempfile::tempdir().unwrap();
    let run = RunId::from_random(42);
    let directory = RunDirectory::of(state.path(), &run);
    let opening = Opening {
        pipeline: "test".into(),
        file: "test.yaml".into(),
        account: "123456789012".into(),
        region: "us-east-2".into(),
        endpoint: None,
        invocation: Invocation::default(),
    };
    let journal = Journal::create(&directory, &run, opening, clock.now(), None).unwrap();
    let journal = Arc::new(journal);
    let ports = Ports {
        account: Arc::new(account.clone()),
        clock: clock.clone(),
        guests: guests.clone(),
        caller_address: Arc::new(Home),
        host: Host::absent(),
        observer: recorder.clone(),
        journal_watch: None,
    };
    let region: Arc<dyn cloud::Region> = Arc::new(account.clone());
    let (canceller, cancellation) = cancellation();
    let context = RunContext {
        options: RunOptions {
            venue: Venue::Aws,
            region: "us-east-2".into(),
            cells: CellOptions::default(),
            endpoint: None,
            guest_endpoint: GuestEndpoint::Regional,
            ssh_port: 22,
            on_failure: OnFailure::CleanUp,
            debugging: Debugging::Off,
            rebuild: BTreeSet::new(),
            agent_socket: None,
            state_dir: state.path().to_owned(),
            invocation: Invocation::default(),
        },
        effects: Effects::new(run, journal, clock.clone(), ports.account.clone(), None),
        cancellation,
        mask: Mask::new(["s3cret-value"]),
        directory: directory.clone(),
        folder: state.path().to_owned(),
        pipeline: "test".into(),
        started: clock.now(),
        leases: build::lease::Leases::default(),
        pollers: steps::Pollers::new(clock),
        steps: build::timing::StepLog::default(),
        ports,
    };
    let cell = CellName {
        stage: "base".into(),
        cell: "us-east-2".into(),
    };
    let context = CellContext::new(Arc::new(context), cell, region);
    Stage {
        account,
        recorder,
        guests,
        context,
        canceller,
        directory,
        _state: state,
    }
}

fn spec(address: AddressSpec) -> CellSpec {
    CellSpec {
        cell: CellName {
            stage: "base".into(),
            cell: "us-east-2".into(),
        },
        region: "us-east-2".into(),
        launch: LaunchSpec {
            machines: vec!["m5.xlarge".into()],
            subnets: vec![SubnetSpec::DefaultVpc {
                zone: Some("c".into()),
            }],
            purchase: PurchaseSpec::OnDemand,
            max_lifetime: Duration::from_secs(4 * 3600),
            security_groups: Vec::new(),
            vpc: None,
            instance_profile: Some(ProfileSpec::Named("builder".into())),
            volumes: Vec::new(),
            left_out_devices: Vec::new(),
            ssh_from: SshFrom::Caller,
            user_data: None,
            ebs_optimized: None,
            public_ip: true,
            ipv6: false,
            hosting: cloud::Hosting::default(),
            metadata: cloud::MetadataOptions::default(),
            guest_shutdown: cloud::GuestShutdown::Terminate,
            tags: Tags::new(),
        },
        connect: ConnectSpec {
            key_pair: None,
            bastion: None,
            proxy: None,
            user: "ec2-user".into(),
            key: KeySpec::Generated(ssh::KeyAlgorithm::Ed25519),
            address,
            host: None,
            port: None,
            timeout: Some(Duration::from_secs(60)),
            pty: true,
            wait_cloud_init: WaitCloudInit::Auto,
            host_key: HostKeySpec::Inject,
        },
        build_name: "base".into(),
        provision: vec![ProvisionerSpec {
            name: "install".into(),
            needs: Vec::new(),
            action: ActionSpec::Run(RunSpec {
                scripts: vec![Script {
                    name: "install.sh".into(),
                    text: b"true\n".to_vec(),
                }],
                become_user: Some("root".into()),
                interpreter: None,
                errexit: true,
                environment: vec![("TOKEN".into(), "s3cret-value".into())],
                timeout: None,
                exit_codes: vec![0],
                reboots_within: None,
            }),
            schedule: ScheduleSpec::default(),
        }],
        on_error: Vec::new(),
        image: ImageSpec {
            name: "test-image".into(),
            description: "a test".into(),
            tags: Tags::new(),
            volumes: Vec::new(),
            left_out_devices: Vec::new(),
            share: shared_with("111122223333"),
            wait: Duration::from_secs(600),
            cache_tags: Tags::new().with("qib:cache-key", "k"),
            ..ImageSpec::default()
        },
        test: None,
        tags: Tags::new().with("Purpose", "base"),
    }
}

fn shared_with(account: &str) -> ShareSpec {
    let permissions = Permissions {
        accounts: [account.into()].into(),
        ..Permissions::default()
    };
    ShareSpec {
        image: permissions.clone(),
        snapshots: permissions,
    }
}

fn elastic() -> AddressSpec {
    AddressSpec::Elastic {
        choice: AddressChoice::One("eipalloc-1".into()),
        by: AddressBinder::UserData,
        timeout: Duration::from_secs(120),
        wait: Duration::from_secs(600),
    }
}

fn launch_request() -> LaunchRequest {
    LaunchRequest {
        left_out_devices: Vec::new(),
        ipv6: false,
        hosting: cloud::Hosting::default(),
        metadata: cloud::MetadataOptions::default(),
        client_token: "token".into(),
        image_id: "ami-source".into(),
        instance_type: "t3.small".into(),
        placement: Placement {
            subnet_id: "subnet-1".into(),
            availability_zone: "us-east-2c".into(),
        },
        public_ip: true,
        security_groups: Vec::new(),
        key_name: None,
        instance_profile: None,
        user_data: Vec::new(),
        volumes: Vec::new(),
        ebs_optimized: None,
        purchase: cloud::Purchase::OnDemand,
        spot_max_price: None,
        guest_shutdown: cloud::GuestShutdown::Stop,
        tags: TagSpecification::default(),
    }
}

fn source() -> Image {
    Image {
        deprecated: None,
        protected: false,
        public: false,
        boot_mode: None,
        virtualization: "hvm".into(),
        volumes: Vec::new(),
        image_id: "ami-source".into(),
        name: "source".into(),
        description: String::new(),
        state: ImageState::Available,
        state_reason: None,
        created: None,
        owner: None,
        architecture: "x86_64".into(),
        root_device: Some("/dev/sda1".into()),
        snapshots: Vec::new(),
        tags: Tags::new(),
    }
}

impl Stage {
    /// Builds, and cleans up after a failure as a run does.
    async fn build(&self, spec: &CellSpec) -> Result<BuiltImage, StepError> {
        let source = source();
        let from = Ingredients {
            source: &source,
            inputs: "k",
        };
        let progress = Progress::default();
        let result = steps::build_cell(&self.context, spec, from, Point::Guest, &progress).await;
        let result = match result {
            Ok(built) => {
                let published =
                    steps::publish(&self.context, &spec.publication(), &built.image, &progress)
                        .await;
                published.and_then(|published| match published.failure {
                    None => Ok(built),
                    Some(failure) => Err(failure),
                })
            }
            Err(failure) => Err(failure),
        };
        match result {
            Ok(built) => Ok(built),
            Err(failure) => {
                let left = self.context.effects().unmake_all(None).await;
                assert!(
                    left.is_empty(),
                    "left behind after {:?}: {left:?}",
                    failure.error
                );
                Err(*failure.error)
            }
        }
    }

    fn outstanding_on_disk(&self) -> usize {
        JournalReader::read(&self.directory)
            .unwrap()
            .outstanding()
            .len()
    }
}

#[tokio::test]
async fn a_cell_becomes_a_complete_and_shared_image_and_nothing_else_stays() {
    let stage = stage(Behaviour::default());
    stage.account.store().binds_by_itself = true;
    let built = stage.build(&spec(elastic())).await.unwrap();
    let id = built.image.image_id.to_string();
    assert_eq!(
        stage.account.holdings().len(),
        2,
        "{:?}",
        stage.account.holdings()
    );
    let store = stage.account.store();
    let image = &store.images[&id];
    for (key, value) in [
        ("qib:complete", "true"),
        ("qib:cache-key", "k"),
        ("Purpose", "base"),
        ("qib:stage", "base"),
        ("qib:source-image", "ami-source"),
    ] {
        assert_eq!(image.tags.get(key), Some(value), "{key}");
    }
    assert_eq!(store.shared.len(), 2, "{:?}", store.shared);
    assert!(
        store.shared[0].starts_with("snap-"),
        "snapshots are shared before the image"
    );
    drop(store);
    assert_eq!(stage.outstanding_on_disk(), 0);
}

#[tokio::test]
async fn the_address_is_free_before_the_image_is_made() {
    let stage = stage(Behaviour::default());
    stage.account.store().binds_by_itself = true;
    stage.build(&spec(elastic())).await.unwrap();
    let calls = stage.account.store().calls.clone();
    let position = |wanted: &str| {
        calls
            .iter()
            .position(|call| *call == wanted)
            .unwrap_or_else(|| panic!("no {wanted}"))
    };
    assert!(position("DisassociateAddress") < position("StopInstances"));
    assert!(
        position("DeleteParameter") < position("StopInstances"),
        "the lease goes with the address"
    );
    assert!(
        position("DeleteSecurityGroup") < position("CreateImage"),
        "the group is gone before the instance ends"
    );
}

/// Every call that the build makes, refused once for good: it fails, and nothing stays.
#[tokio::test]
async fn a_refusal_of_any_call_leaves_nothing() {
    let good = stage(Behaviour::default());
    good.account.store().binds_by_itself = true;
    good.build(&spec(elastic())).await.unwrap();
    let mut operations: Vec<&'static str> = good.account.store().calls.clone();
    operations.sort_unstable();
    operations.dedup();
    assert!(operations.len() > 15, "{operations:?}");
    for operation in operations {
        let stage = stage(Behaviour::default());
        stage.account.store().binds_by_itself = true;
        stage
            .account
            .store()
            .faults
            .push((operation, Fault::Refused(ErrorKind::AccessDenied)));
        let result = stage.build(&spec(elastic())).await;
        let holdings = stage.account.holdings();
        match (operation, result) {
            // The image is complete by then: it stays, and only sharing it failed.
            (_, Err(StepError::NotPublished { .. })) => {
                assert_eq!(holdings.len(), 2, "{holdings:?}");
            }
            // A diagnosis, a courtesy or a removal that is tried again: the build goes on.
            (_, Ok(_)) => assert_eq!(holdings.len(), 2, "{operation}: {holdings:?}"),
            // The image is complete: the instance's end failed at first and was tried again.
            ("TerminateInstances", Err(_)) => assert_eq!(holdings.len(), 2, "{holdings:?}"),
            (_, Err(error)) => assert!(holdings.is_empty(), "{operation} ({error}): {holdings:?}"),
        }
        assert_eq!(stage.outstanding_on_disk(), 0, "{operation}");
    }
}

use cloud::ErrorKind;

/// Every creating call, done with its reply lost: it is found again, gone on with, and made only once.
#[tokio::test]
async fn a_lost_reply_costs_nothing() {
    for operation in [
        "ImportKeyPair",
        "CreateSecurityGroup",
        "RunInstances",
        "CreateImage",
    ] {
        let stage = stage(Behaviour::default());
        stage.account.store().binds_by_itself = true;
        stage
            .account
            .store()
            .faults
            .push((operation, Fault::LostReply));
        let result = stage.build(&spec(elastic())).await;
        assert!(result.is_ok(), "{operation}: {:?}", result.err());
        let holdings = stage.account.holdings();
        assert_eq!(holdings.len(), 2, "{operation}: {holdings:?}");
        let store = stage.account.store();
        let calls = store.calls.iter().filter(|call| **call == operation);
        assert_eq!(calls.count(), 1, "{operation}");
        drop(store);
        assert_eq!(stage.outstanding_on_disk(), 0, "{operation}");
    }
}

#[tokio::test]
async fn a_failing_provisioner_is_named_with_its_last_lines_and_no_secret() {
    let stage = stage(Behaviour {
        exit_codes: vec![("install.sh".into(), 7)],
        prints: Some("token is s3cret-value".into()),
        ..Behaviour::default()
    });
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    let StepError::Provisioner {
        name,
        how,
        last_lines,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (name.as_str(), how.as_str()),
        ("install", "ended with exit code 7")
    );
    assert_eq!(last_lines, &["token is ***"]);
    assert!(!stage.recorder.text().contains("s3cret-value"));
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

#[tokio::test]
async fn a_wrong_host_key_is_never_tried_twice() {
    let refuse = Some(OpenError::HostKeyMismatch("found SHA256:x".into()));
    let stage = stage(Behaviour {
        refuse,
        ..Behaviour::default()
    });
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(
        matches!(error, StepError::HostKeyMismatch { .. }),
        "{error:?}"
    );
    assert_eq!(stage.guests.done.lock().unwrap().len(), 1);
    assert!(stage.account.holdings().is_empty());
}

#[tokio::test]
async fn ssh_that_never_comes_up_ends_by_deadline_and_shows_the_console() {
    let stage = stage(Behaviour {
        refuse: Some(OpenError::NotYet("timed out".into())),
        ..Behaviour::default()
    });
    stage.account.store().console = "kernel panic".into();
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    let StepError::SshNeverCameUp { console, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(console, &["kernel panic"]);
    assert!(stage.account.holdings().is_empty());
}

#[tokio::test]
async fn an_address_that_is_never_bound_is_not_called_an_ssh_timeout() {
    let stage = stage(Behaviour::default());
    stage.account.store().console = "[  4.2] qib-bind-address: FAILED UnauthorizedOperation".into();
    let error = stage.build(&spec(elastic())).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("the address was not bound") && text.contains("UnauthorizedOperation"),
        "{text}"
    );
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

#[tokio::test]
async fn a_broken_connection_does_not_run_a_provisioner_again() {
    let stage = stage(Behaviour {
        breaks_in: Some("install.sh".into()),
        ..Behaviour::default()
    });
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(
        matches!(error, StepError::ConnectionLost { .. }),
        "{error:?}"
    );
    let runs = stage
        .guests
        .done
        .lock()
        .unwrap()
        .iter()
        .filter(|line| *line == "run install.sh")
        .count();
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn a_connection_that_ended_between_two_steps_is_opened_again() {
    let stage = stage(Behaviour {
        closes_after: Some("install.sh".into()),
        ..Behaviour::default()
    });
    stage.build(&spec(AddressSpec::Public)).await.unwrap();
    let done = stage.guests.done.lock().unwrap();
    assert_eq!(
        done.iter().filter(|line| line.starts_with("open ")).count(),
        2,
        "{done:?}"
    );
    assert_eq!(
        done.iter().filter(|line| *line == "run install.sh").count(),
        1
    );
}

#[tokio::test]
async fn a_failed_image_and_its_snapshots_go() {
    let stage = stage(Behaviour::default());
    stage.account.store().image_fails = true;
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(matches!(error, StepError::ImageFailed { .. }), "{error:?}");
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

/// An instance with the tag of `run`, that the journal says was launched: its effect.
async fn launched_by(stage: &Stage, run: &RunId) -> EffectNumber {
    let mut request = launch_request();
    request.tags.instance = Tags::new().with("qib:run", run.as_str());
    let launched = stage.context.region().run_instance(&request).await.unwrap();
    let effect = Effect::LaunchInstance {
        region: "us-east-2".into(),
        client_token: "token".into(),
        source_image: "ami-source".into(),
        recipe: String::new(),
    };
    let made = stage
        .context
        .effects()
        .make(
            stage.context.cell(),
            effect,
            async || Ok(launched.instance_id.clone()),
            async || Ok(None),
        )
        .await
        .unwrap();
    made.number
}

/// EC2 is eventually consistent: a termination right after the launch may be told that there is no such instance.
#[tokio::test]
async fn an_instance_that_does_not_show_yet_is_terminated_all_the_same() {
    let stage = stage(Behaviour::default());
    let number = launched_by(&stage, stage.context.run_id()).await;
    stage.account.store().shows_late = 5;
    stage.context.effects().unmake(number).await.unwrap();
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

/// A journal is a file, and whatever stands in it, what has not the run's tag is another's.
#[tokio::test]
async fn what_the_journal_names_but_is_anothers_is_not_touched() {
    let stage = stage(Behaviour::default());
    let number = launched_by(&stage, &RunId::from_random(7)).await;
    stage.context.effects().unmake(number).await.unwrap();
    let calls = stage.account.store().calls.clone();
    assert!(!calls.contains(&"TerminateInstances"), "{calls:?}");
    assert_eq!(stage.account.holdings().len(), 1);
}

#[tokio::test]
async fn a_cancelled_build_leaves_nothing() {
    let stage = stage(Behaviour {
        refuse: Some(OpenError::NotYet("timed out".into())),
        ..Behaviour::default()
    });
    stage.canceller.cancel(Cancelled::Interrupted);
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(
        matches!(error, StepError::Cancelled(Cancelled::Interrupted)),
        "{error:?}"
    );
    assert!(stage.account.holdings().is_empty());
}

/// The text of `user_data`, decompressed.
fn user_data_text(user_data: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(user_data)
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[tokio::test]
async fn the_timer_and_the_tag_say_the_same_end() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Public);
    spec.launch.max_lifetime = Duration::from_secs(7200);
    stage.build(&spec).await.unwrap();
    let store = stage.account.store();
    let launch = &store.launches[0];
    let end = build::lifetime::expires(&launch.tags.instance).unwrap();
    let text = user_data_text(&launch.user_data);
    let value = |name: &str| {
        let (_, rest) = text.split_once(&format!("\n{name}='")).unwrap();
        rest.split_once('\'').unwrap().0.parse::<i64>().unwrap()
    };
    assert_eq!(value("END"), end.as_second());
    assert_eq!(value("END") - value("RENDERED"), 7200);
    // Everything that belongs to the instance, and the image that is made of it later, says that end.
    for tags in [&launch.tags.volume, &launch.tags.network_interface] {
        assert_eq!(build::lifetime::expires(tags), Some(end));
    }
    let image = store
        .images
        .values()
        .find(|image| image.tags.get("qib:complete").is_some());
    assert_eq!(build::lifetime::expires(&image.unwrap().tags), Some(end));
}

#[tokio::test]
async fn a_stage_that_may_outlast_its_instance_is_told() {
    let told = async |max_lifetime| {
        let stage = stage(Behaviour::default());
        let mut spec = spec(AddressSpec::Public);
        spec.launch.max_lifetime = max_lifetime;
        spec.connect.timeout = Some(Duration::from_secs(360));
        spec.image.wait = Duration::from_secs(3600);
        stage.build(&spec).await.unwrap();
        stage.recorder.text().contains("terminates itself after")
    };
    assert!(told(Duration::from_secs(3959)).await);
    assert!(!told(Duration::from_secs(3960)).await);
}

/// A private key of the user's in a file.
fn key_file(stage: &Stage) -> std::path::PathBuf {
    let path = stage._state.path().join("builders");
    let key = ssh::KeyPair::generate(ssh::KeyAlgorithm::Ed25519);
    std::fs::write(&path, key.private_openssh().expose()).unwrap();
    path
}

#[tokio::test]
async fn an_existing_key_pair_is_launched_with_and_never_made_nor_removed() {
    let stage = stage(Behaviour::default());
    let pair = cloud::KeyPairDescription {
        key_pair_id: "key-builders".into(),
        name: "builders".into(),
        tags: Tags::new(),
    };
    stage
        .account
        .store()
        .key_pairs
        .insert("key-builders".into(), pair);
    let mut spec = spec(AddressSpec::Public);
    spec.connect.key = KeySpec::File(key_file(&stage));
    spec.connect.key_pair = Some("builders".into());
    stage.build(&spec).await.unwrap();
    let store = stage.account.store();
    assert_eq!(store.launches[0].key_name.as_deref(), Some("builders"));
    for call in ["ImportKeyPair", "DeleteKeyPair"] {
        assert!(!store.calls.contains(&call), "{call}: {:?}", store.calls);
    }
    assert!(store.key_pairs.contains_key("key-builders"));
    let told = user_data_text(&store.launches[0].user_data);
    assert!(
        !told.contains("ssh_authorized_keys"),
        "EC2 hands the key over: {told}"
    );
}

#[tokio::test]
async fn a_key_pair_that_is_not_there_is_told_before_the_group_is_made() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Public);
    spec.connect.key = KeySpec::File(key_file(&stage));
    spec.connect.key_pair = Some("builders".into());
    let error = stage.build(&spec).await.unwrap_err().to_string();
    assert!(
        error.contains("builders") && error.contains("us-east-2"),
        "{error}"
    );
    let store = stage.account.store();
    assert!(
        !store.calls.contains(&"CreateSecurityGroup"),
        "{:?}",
        store.calls
    );
    assert!(store.launches.is_empty());
}

#[tokio::test]
async fn a_bastion_and_a_proxy_are_the_way_to_the_guest_and_are_remembered() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Private);
    spec.connect.bastion = Some(BastionSpec {
        host: "jump.example".into(),
        port: 2200,
        user: "me".into(),
        key: BastionKeySpec::File(key_file(&stage)),
        host_key: BastionHostKeySpec::Fingerprint("SHA256:abc".into()),
    });
    spec.connect.proxy = Some(ssh::SocksProxy {
        destination: ssh::Destination {
            host: "proxy.example".into(),
            port: 1080,
        },
        login: Some(ssh::SocksLogin {
            user: "me".into(),
            password: ssh::Secret::new("s3cret-value"),
        }),
    });
    stage.build(&spec).await.unwrap();
    let ways = stage.guests.ways.lock().unwrap();
    let ssh::Dial::Jump(jump) = &ways[0] else {
        panic!("{ways:?}")
    };
    assert_eq!(jump.destination().to_string(), "jump.example:2200");
    let shown = format!("{ways:?}");
    assert!(
        shown.contains("proxy.example") && shown.contains("SHA256:abc"),
        "{shown}"
    );
    assert!(!shown.contains("s3cret-value"), "{shown}");
}

#[tokio::test]
async fn a_bastions_key_that_cannot_be_read_ends_the_cell() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Private);
    spec.connect.bastion = Some(BastionSpec {
        host: "jump.example".into(),
        port: 22,
        user: "me".into(),
        key: BastionKeySpec::Agent,
        host_key: BastionHostKeySpec::AcceptFirst,
    });
    let error = stage.build(&spec).await.unwrap_err().to_string();
    assert!(error.contains("SSH_AUTH_SOCK"), "{error}");
}

//! One cell, from its spec to its image, against an account and a guest in memory: whatever goes wrong, and at whatever
//! call, the account holds nothing afterwards but what was asked for.

mod access;
mod ended;
#[path = "../fake/mod.rs"]
mod fake;
mod lifetime;
mod reached;

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

use cloud::ErrorKind;

/// The text of `user_data`, decompressed.
fn user_data_text(user_data: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(user_data)
        .read_to_string(&mut text)
        .unwrap();
    text
}

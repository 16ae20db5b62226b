//! One rule of repeating each.

use crate::scripted::{Attempt, End, Scripted, error};
use crate::virtual_clock::{Moment, VirtualClock, run};
use cloud::port::Result;
use cloud::retry::{OPERATION_TIME, VISIBLE_WITHIN, until_visible};
use cloud::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

const MINUTE: Moment = 60_000;

/// What `work` gives, and when.
pub fn outcome<T: 'static>(
    clock: &VirtualClock,
    work: impl Future<Output = T> + 'static,
) -> (Moment, T) {
    let result = Rc::new(RefCell::new(None));
    let (kept, at) = (result.clone(), clock.clone());
    let task = async move {
        let value = work.await;
        *kept.borrow_mut() = Some((at.moment(), value));
    };
    run(clock, vec![Box::pin(task)]);
    result.take().unwrap()
}

fn describe(script: Vec<Attempt>) -> (Arc<Scripted>, Moment, Result<Vec<Instance>>) {
    let account = Scripted::new(script);
    let region = account.region();
    let (ended, result) = outcome(&account.clock, async move {
        region.instances(&InstanceFilter::default()).await
    });
    (account, ended, result)
}

#[test]
fn throttling_is_outlasted_for_minutes_and_never_hurried() {
    let throttled = vec![Attempt::error(ErrorKind::Throttled); 40];
    let script = [throttled, vec![Attempt::ok()]].concat();
    let (account, ended, result) = describe(script);
    result.unwrap();
    let attempts = account.attempts();
    assert_eq!(attempts.len(), 41);
    assert!(ended > 4 * MINUTE, "{ended}");
    for pair in attempts.windows(2) {
        let pause = pair[1] - pair[0] - 20;
        assert!((500..=20_000).contains(&pause), "{pause}");
    }
}

#[test]
fn endless_throttling_ends_with_the_operations_time_and_says_how_often_it_was_tried() {
    let (account, ended, result) = describe(vec![Attempt::error(ErrorKind::Throttled)]);
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled);
    let whole = Moment::try_from(OPERATION_TIME.as_millis()).unwrap();
    assert!((whole - MINUTE..=whole).contains(&ended), "{ended}");
    let said = format!(
        "as the test wants it (given up after {} attempts in 9 min)",
        account.attempts().len()
    );
    assert_eq!(error.message, said);
}

#[test]
fn a_read_outlasts_four_server_errors_but_not_a_fifth() {
    let bad = Attempt::error(ErrorKind::Transient);
    let (account, _, result) = describe(vec![bad, bad, bad, bad, Attempt::ok()]);
    result.unwrap();
    assert_eq!(account.attempts().len(), 5);

    let (account, _, result) = describe(vec![bad]);
    assert_eq!(result.unwrap_err().kind, ErrorKind::Transient);
    assert_eq!(account.attempts().len(), 5);
}

#[test]
fn answers_that_never_come_are_counted_by_time_too() {
    // As the adapter does it: each attempt gives up by itself after a minute.
    let lost = Attempt {
        takes: MINUTE,
        end: End::Error(ErrorKind::Transient),
    };
    let (account, ended, result) = describe(vec![lost]);
    assert_eq!(result.unwrap_err().kind, ErrorKind::Transient);
    assert_eq!(account.attempts().len(), 4);
    assert!(ended < 5 * MINUTE, "{ended}");
}

#[test]
fn an_attempt_that_hangs_is_cut_off_at_the_operations_time() {
    let hangs = Attempt {
        takes: 0,
        end: End::Hangs,
    };
    let (account, ended, result) = describe(vec![hangs]);
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_eq!(error.operation, "DescribeInstances");
    assert_eq!(account.attempts().len(), 1);
    assert_eq!(Moment::try_from(OPERATION_TIME.as_millis()), Ok(ended));
}

#[test]
fn throttling_takes_nothing_from_the_patience_with_server_errors() {
    let bad = Attempt::error(ErrorKind::Transient);
    let throttled = Attempt::error(ErrorKind::Throttled);
    let mut script = vec![throttled; 20];
    script.extend([bad, throttled, bad, throttled, bad, throttled, bad]);
    script.push(Attempt::ok());
    let (_, _, result) = describe(script);
    result.unwrap();
}

#[test]
fn expired_credentials_are_asked_for_anew_once_and_at_once() {
    let expired = Attempt::error(ErrorKind::Expired);
    let (account, ended, result) = describe(vec![expired, Attempt::ok()]);
    result.unwrap();
    assert_eq!(account.attempts(), [0, 20]);
    assert_eq!(ended, 40);

    let (account, _, result) = describe(vec![expired]);
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Expired);
    assert!(error.hint().unwrap().contains("aws sso login"));
    assert_eq!(account.attempts().len(), 2);
}

#[test]
fn what_repeating_cannot_mend_is_not_repeated() {
    use ErrorKind::*;
    for kind in [
        NotFound,
        Duplicate,
        Dependency,
        WrongState,
        AddressInUse,
        Capacity,
        Quota,
        Credentials,
        AccessDenied,
        InvalidInput,
        Other,
    ] {
        let (account, ended, result) = describe(vec![Attempt::error(kind)]);
        let error = result.unwrap_err();
        assert_eq!(error.kind, kind);
        assert_eq!(error.message, "as the test wants it");
        assert_eq!(account.attempts().len(), 1, "{kind:?}");
        assert_eq!(ended, 20);
    }
}

fn launch() -> LaunchRequest {
    LaunchRequest {
        left_out_devices: Vec::new(),
        ipv6: false,
        hosting: Hosting::default(),
        metadata: MetadataOptions::default(),
        client_token: "token".to_owned(),
        image_id: "ami-1".into(),
        instance_type: "m5.xlarge".to_owned(),
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
        purchase: Purchase::OnDemand,
        spot_max_price: None,
        guest_shutdown: GuestShutdown::Stop,
        tags: TagSpecification::default(),
    }
}

fn capture() -> ImageRequest {
    ImageRequest {
        left_out_devices: Vec::new(),
        instance_id: "i-1".into(),
        capture: Capture::Stopped,
        name: "image".to_owned(),
        description: String::new(),
        volumes: Vec::new(),
        image_tags: Tags::new(),
        snapshot_tags: Tags::new(),
    }
}

fn copy() -> CopyRequest {
    CopyRequest {
        client_token: "token".to_owned(),
        source_region: "us-east-2".into(),
        source_image: "ami-1".into(),
        name: "copy".to_owned(),
        description: String::new(),
        encrypted: false,
        kms_key_id: None,
        image_tags: Tags::new(),
        snapshot_tags: Tags::new(),
    }
}

fn registration() -> RegisterRequest {
    RegisterRequest {
        name: "image".to_owned(),
        description: String::new(),
        architecture: "x86_64".to_owned(),
        virtualization: "hvm".to_owned(),
        root_device: "/dev/sda1".to_owned(),
        volumes: Vec::new(),
        boot_mode: None,
        tpm: None,
        uefi_data: None,
        imds_v2: false,
        ena: None,
        sriov: false,
        image_tags: Tags::new(),
    }
}

/// How many calls the port has, both kinds of writing a parameter counted.
const CALLS: usize = 88;

/// The calls that move one block: whoever makes them repeats them.
const OF_ONE_BLOCK: [&str; 2] = ["PutSnapshotBlock", "GetSnapshotBlock"];

/// Makes every call of the port once.
async fn every_call(account: &dyn Account) {
    let region = account.region(&"us-east-2".into());
    let (tags, rule) = (
        Tags::new(),
        IngressRule {
            port: 22,
            from: Vec::new(),
            description: String::new(),
        },
    );
    let _ = account.caller_identity().await;
    let _ = account.credentials_expiry().await;
    let _ = region.images(&ImageFilter::default()).await;
    let _ = region.create_image(&capture()).await;
    let _ = region.deregister_image(&"ami-1".into()).await;
    let _ = region
        .change_image_permissions(&"ami-1".into(), Grant::Add, &Permissions::default())
        .await;
    let _ = region.snapshots(&[]).await;
    let _ = region.delete_snapshot(&"snap-1".into()).await;
    let _ = region
        .change_snapshot_permissions(&"snap-1".into(), Grant::Add, &Permissions::default())
        .await;
    let _ = region.volumes(&[]).await;
    let _ = region.delete_volume(&"vol-1".into()).await;
    let _ = region.subnets(&[]).await;
    let _ = region.security_groups(&[]).await;
    let vpc = VpcId::from("vpc-1");
    let _ = region.create_security_group("g", "g", &vpc, &tags).await;
    let _ = region.authorize_ingress(&"sg-1".into(), &rule).await;
    let _ = region.delete_security_group(&"sg-1".into()).await;
    let _ = region.key_pairs(&[]).await;
    let _ = region.import_key_pair("k", "ssh-ed25519 A", &tags).await;
    let _ = region.delete_key_pair(&"key-1".into()).await;
    let _ = region.addresses(&AddressFilter::default()).await;
    let (allocation, instance) = ("eipalloc-1".into(), InstanceId::from("i-1"));
    let _ = region.associate_address(&allocation, &instance).await;
    let _ = region.disassociate_address(&"eipassoc-1".into()).await;
    let _ = region.run_instance(&launch()).await;
    let _ = region.instances(&InstanceFilter::default()).await;
    let _ = region.set_instance_groups(&instance, &[]).await;
    let _ = region.stop_instance(&instance).await;
    let _ = region.terminate_instance(&instance).await;
    let _ = region.console_output(&instance).await;
    let _ = region.create_tags(&["i-1".to_owned()], &tags).await;
    let _ = region.parameter("/a").await;
    let _ = region.parameters_below("/", Depth::All).await;
    let (new, over) = (ParameterWrite::CreateOnly, ParameterWrite::Overwrite);
    let _ = region.put_parameter("/a", "v", new).await;
    let _ = region.put_parameter("/a", "v", over).await;
    let _ = region.delete_parameter("/a").await;
    every_call_about_images(region.as_ref()).await;
    every_question(region.as_ref()).await;
    every_call_of_an_import(region.as_ref()).await;
    every_call_of_iam(account.iam().as_ref()).await;
}

/// The calls that make images otherwise than from an instance, and what is said of images afterwards.
async fn every_call_about_images(region: &dyn Region) {
    let image = ImageId::from("ami-1");
    let snapshots = SnapshotsRequest {
        instance_id: "i-1".into(),
        excluded: Vec::new(),
        description: String::new(),
        tags: Tags::new(),
    };
    let _ = region.copy_image(&copy()).await;
    let _ = region.register_image(&registration()).await;
    let _ = region.create_snapshots(&snapshots).await;
    let _ = region.image_permissions(&image).await;
    let _ = region.snapshot_permissions(&"snap-1".into()).await;
    let _ = region.require_imds_v2(&image).await;
    let _ = region.image_last_launched(&image).await;
    let _ = region.set_image_deprecation(&image, None).await;
    let off = DeregistrationProtection::Off;
    let _ = region.set_deregistration_protection(&image, off).await;
    let (new, over) = (ParameterWrite::CreateOnly, ParameterWrite::Overwrite);
    let _ = region.put_image_parameter("/a", &image, new).await;
    let _ = region.put_image_parameter("/a", &image, over).await;
    let networking = EnhancedNetworking::default();
    let _ = region
        .set_enhanced_networking(&"i-1".into(), networking)
        .await;
}

async fn every_question(region: &dyn Region) {
    let _ = region.public_images().await;
    let _ = region.public_snapshots().await;
    let _ = region.launch_template_images().await;
    let _ = region.regions().await;
    let _ = region.vpcs(&[]).await;
    let _ = region.instance_types(&[]).await;
    let _ = region.offerings(&[]).await;
    let _ = region.dry_run(&DryRun::CreateTags).await;
    let _ = region.quota("ec2", "L-1").await;
    let _ = region.kms_key("alias/a").await;
    let _ = region.kms_grant("alias/a").await;
}

async fn every_call_of_iam(iam: &dyn Iam) {
    let tags = Tags::new();
    let _ = iam.role("r").await;
    let _ = iam.roles_below("/qib/").await;
    let _ = iam.create_instance_role("r", "/qib/", &tags).await;
    let _ = iam.put_role_policy("r", "p", "{}").await;
    let _ = iam.delete_role_policy("r", "p").await;
    let _ = iam.delete_role("r").await;
    let _ = iam.instance_profile("p").await;
    let _ = iam.instance_profiles_below("/qib/").await;
    let _ = iam.create_instance_profile("p", "/qib/", &tags).await;
    let _ = iam.add_role("p", "r").await;
    let _ = iam.remove_role("p", "r").await;
    let _ = iam.delete_instance_profile("p").await;
    let _ = iam.simulate("arn", &[], &[], &[]).await;
}

/// The calls by which a disk image becomes a snapshot.
async fn every_call_of_an_import(region: &dyn Region) {
    let start = StartRequest {
        client_token: "token".to_owned(),
        volume_gib: 1,
        description: "d".to_owned(),
        parent: None,
        encryption: SnapshotEncryption::AsAccount,
        idle_minutes: 60,
        tags: Tags::new(),
    };
    let write = BlockWrite {
        index: 0,
        content: bytes::Bytes::new(),
        digest: Sha256Digest([0; 32]),
    };
    let written = Written {
        blocks: 1,
        digest: Sha256Digest([0; 32]),
    };
    let listed = ListedBlock {
        index: 0,
        token: String::new(),
    };
    let (blocks, snapshot) = (region.blocks(), SnapshotId::from("snap-1"));
    let _ = blocks.start(&start).await;
    let _ = blocks.put(&snapshot, &write).await;
    let _ = blocks.complete(&snapshot, written).await;
    let _ = blocks.list(&snapshot, None).await;
    let _ = blocks.get(&snapshot, &listed).await;
    let (objects, upload) = (region.objects(), UploadId("u".to_owned()));
    let place = ObjectPlace {
        bucket: "b".to_owned(),
        key: "k".to_owned(),
    };
    let part = PartWrite {
        number: 1,
        content: bytes::Bytes::new(),
        digest: Sha256Digest([0; 32]),
    };
    let _ = objects.bucket_region("b").await;
    let _ = objects.begin_upload(&place).await;
    let _ = objects.put_part(&place, &upload, &part).await;
    let _ = objects.parts(&place, &upload).await;
    let _ = objects.finish_upload(&place, &upload, &[]).await;
    let _ = objects.uploads("b", "k").await;
    let _ = objects.abort_upload(&place, &upload).await;
    let _ = objects.list("b", "k").await;
    let _ = objects.facts(&place).await;
    let _ = objects.delete(&place).await;
    let request = ImportRequest {
        client_token: "token".to_owned(),
        object: place,
        format: "RAW".to_owned(),
        description: String::new(),
        role: "vmimport".to_owned(),
        encryption: SnapshotEncryption::AsAccount,
        tags: Tags::new(),
    };
    let _ = region.import_snapshot(&request).await;
    let _ = region.import_tasks(&[]).await;
    let _ = region.cancel_import(&"import-snap-1".into()).await;
}

/// Every call of the port, made once on an account that answers all with errors of `kind`: how often each was attempted.
fn attempts_of_every_call(kind: ErrorKind) -> Vec<(&'static str, usize)> {
    let scripted = Scripted::new(vec![Attempt::error(kind)]);
    let account = scripted.account();
    outcome(&scripted.clock, async move { every_call(&account).await });
    let mut counted: Vec<(&'static str, usize)> = Vec::new();
    for (_, call) in scripted.calls() {
        match counted.last_mut() {
            Some((last, count)) if *last == call => *count += 1,
            _ => counted.push((call, 1)),
        }
    }
    counted
}

#[test]
fn only_what_has_no_token_and_makes_something_is_not_repeated_after_a_lost_reply() {
    let creating: BTreeSet<&str> = [
        "CreateImage",
        "ImportKeyPair",
        "CreateSecurityGroup",
        "AssociateAddress",
        "PutParameter, new",
        "PutParameter, new image",
        "RegisterImage",
        "CreateSnapshots",
        "CreateRole",
        "CreateInstanceProfile",
        "CreateMultipartUpload",
        "CompleteMultipartUpload",
    ]
    .into();
    let counted = attempts_of_every_call(ErrorKind::Transient);
    assert_eq!(counted.len(), CALLS);
    for (call, attempts) in counted {
        let is_made_once = creating.contains(call) || OF_ONE_BLOCK.contains(&call);
        let expected = if is_made_once { 1 } else { 5 };
        assert_eq!(attempts, expected, "{call}");
    }
}

#[test]
fn every_call_is_repeated_while_throttled_and_once_with_new_credentials() {
    let counted = attempts_of_every_call(ErrorKind::Throttled);
    assert_eq!(counted.len(), CALLS);
    for (call, attempts) in counted {
        let is_repeated = !OF_ONE_BLOCK.contains(&call);
        assert_eq!(attempts > 30, is_repeated, "{call}: {attempts}");
        assert!(is_repeated || attempts == 1, "{call}: {attempts}");
    }
    for (call, attempts) in attempts_of_every_call(ErrorKind::Expired) {
        let expected = if OF_ONE_BLOCK.contains(&call) { 1 } else { 2 };
        assert_eq!(attempts, expected, "{call}");
    }
}

#[test]
fn those_who_are_refused_together_do_not_come_back_together() {
    let scripted = Scripted::new(vec![Attempt::error(ErrorKind::Throttled)]);
    let account = Rc::new(scripted.account());
    let tasks = (0..20)
        .map(|_| {
            let account = account.clone();
            let task = async move {
                let region = account.region(&"us-east-2".into());
                let _ = region.instances(&InstanceFilter::default()).await;
            };
            Box::pin(task) as std::pin::Pin<Box<dyn Future<Output = ()>>>
        })
        .collect();
    run(&scripted.clock, tasks);
    let second: BTreeSet<Moment> = scripted.attempts()[20..40].iter().copied().collect();
    assert!(second.len() > 15, "{second:?}");
}

/// Says that there is no such thing until the moment `shows`.
fn looked_for(shows: Moment) -> (Moment, usize, Result<()>) {
    let clock = VirtualClock::default();
    let looks = Rc::new(Cell::new(0));
    let (at, count) = (clock.clone(), looks.clone());
    let (ended, result) = outcome(&clock, async move {
        until_visible(&at, || {
            count.set(count.get() + 1);
            std::future::ready(if at.moment() < shows {
                Err(error("StopInstances", ErrorKind::NotFound))
            } else {
                Ok(())
            })
        })
        .await
    });
    (ended, looks.get(), result)
}

#[test]
fn what_was_just_made_may_show_late_but_not_never() {
    let (ended, looks, result) = looked_for(7_200);
    result.unwrap();
    assert_eq!((ended, looks), (7_500, 16));

    let (ended, _, result) = looked_for(MINUTE * 5);
    assert_eq!(result.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(Moment::try_from(VISIBLE_WITHIN.as_millis()), Ok(ended));
}

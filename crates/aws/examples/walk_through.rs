//! Goes through every call of the port against a local EC2 and says what each answers:
//!
//! ```text
//! local-ec2 up --dir D
//! local-ec2 status --dir D | cargo run -p aws --example walk_through
//! ```
//!
//! It makes an instance, an image and all that they need, and removes them.

// Examples talk to people, and wait.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use aws::{AwsAccount, AwsOptions, StaticCredentials, Timeouts};
use cloud::*;
use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The value of a text field of a flat JSON object without escapes, which `status` prints.
fn field<'a>(json: &'a str, name: &str) -> Outcome<&'a str> {
    json.split_once(&format!("\"{name}\""))
        .and_then(|(_, rest)| rest.split('"').nth(1))
        .ok_or_else(|| format!("the status has no {name}").into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut status = String::new();
    std::io::stdin().read_to_string(&mut status)?;
    let account = AwsAccount::connect(AwsOptions {
        region: Some(field(&status, "region")?.to_owned()),
        endpoint_url: Some(field(&status, "endpoint")?.to_owned()),
        credentials: Some(StaticCredentials {
            access_key_id: field(&status, "access_key_id")?.to_owned(),
            secret_access_key: field(&status, "secret_access_key")?.to_owned(),
        }),
        timeouts: Timeouts::default(),
        ..AwsOptions::default()
    })
    .await?;
    println!("identity: {:?}", account.caller_identity().await?);
    let region = account.region(account.default_region());
    let run = format!("walk-{}", std::process::id());
    let tags = Tags::new().with("qib:run", &run);

    let filter = ImageFilter {
        owners: vec!["309956199498".to_owned()],
        filters: vec![("name".to_owned(), vec!["RHEL-8*".to_owned()])],
        ..ImageFilter::default()
    };
    let images = region.images(&filter).await?;
    let source = images.first().ok_or("no image of RHEL 8")?;
    println!(
        "source: {} {} {:?}",
        source.image_id, source.name, source.created
    );
    let subnets = region
        .subnets(&[("default-for-az".to_owned(), vec!["true".to_owned()])])
        .await?;
    let subnet = subnets.first().ok_or("no default subnet")?;
    println!("subnet: {subnet:?}");

    let group = region
        .create_security_group(&run, "walk through", &subnet.vpc_id, &tags)
        .await?;
    let rule = IngressRule {
        port: 22,
        from: vec!["127.0.0.0/8".to_owned()],
        description: "SSH".to_owned(),
    };
    region.authorize_ingress(&group, &rule).await?;
    let two_ranges = IngressRule {
        from: vec!["127.0.0.0/8".to_owned(), "203.0.113.0/24".to_owned()],
        ..rule
    };
    region.authorize_ingress(&group, &two_ranges).await?;
    let by_run = [("tag:qib:run".to_owned(), vec![run.clone()])];
    println!("groups: {:?}", region.security_groups(&by_run).await?);
    let taken = region
        .create_security_group(&run, "again", &subnet.vpc_id, &tags)
        .await;
    println!("group twice: {:?}", taken.map_err(|e| (e.kind, e.code)));

    let public =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g walk";
    let key = region.import_key_pair(&run, public, &tags).await?;
    println!("key pairs: {:?}", region.key_pairs(&by_run).await?);
    let taken = region.import_key_pair(&run, public, &tags).await;
    println!("key twice: {:?}", taken.map_err(|e| (e.kind, e.code)));

    let request = LaunchRequest {
        left_out_devices: Vec::new(),
        ipv6: false,
        hosting: cloud::Hosting::default(),
        metadata: cloud::MetadataOptions::default(),
        client_token: run.clone(),
        image_id: source.image_id.clone(),
        instance_type: "m5.xlarge".to_owned(),
        placement: Placement {
            subnet_id: subnet.subnet_id.clone(),
            availability_zone: subnet.availability_zone.clone(),
        },
        public_ip: true,
        security_groups: vec![group.clone()],
        key_name: Some(run.clone()),
        instance_profile: None,
        user_data: b"#!/bin/sh\necho walked\n".to_vec(),
        volumes: vec![EbsVolume {
            snapshot_id: None,
            device: source.root_device.clone().ok_or("no root device")?,
            size_gib: Some(50),
            volume_type: Some(VolumeType("gp3".to_owned())),
            iops: None,
            throughput: None,
            encrypted: None,
            kms_key_id: None,
            delete_on_termination: Some(true),
        }],
        ebs_optimized: Some(true),
        purchase: Purchase::OnDemand,
        spot_max_price: None,
        guest_shutdown: GuestShutdown::Terminate,
        tags: TagSpecification {
            instance: tags.clone(),
            volume: tags.clone(),
            network_interface: tags.clone(),
        },
    };
    let instance = region.run_instance(&request).await?.instance_id;
    let again = region.run_instance(&request).await?.instance_id;
    println!("launched: {instance}, with the same token again: {again}");
    let unknown = InstanceFilter {
        instance_ids: vec![instance.clone(), InstanceId::from("i-0123456789abcdef0")],
        ..InstanceFilter::default()
    };
    println!(
        "of two asked for: {}",
        region.instances(&unknown).await?.len()
    );
    let running = until(&region, &instance, InstanceState::Running).await?;
    println!("running: {running:?}");

    let unknown = AddressFilter::allocation(&"eipalloc-0123456789abcdef0".into());
    println!("unknown address: {:?}", region.addresses(&unknown).await?);
    let addresses = region.addresses(&AddressFilter::default()).await?;
    println!("addresses: {addresses:?}");
    if let Some(address) = addresses.iter().find(|a| a.binding.is_none()) {
        let bound = region
            .associate_address(&address.allocation_id, &instance)
            .await?;
        println!(
            "bound twice: {:?}",
            region
                .associate_address(&address.allocation_id, &instance)
                .await
        );
        println!(
            "bound: {:?}",
            region
                .addresses(&AddressFilter::allocation(&address.allocation_id))
                .await?
        );
        region.disassociate_address(&bound).await?;
        region.disassociate_address(&bound).await?;
    }
    println!(
        "console: {:?}",
        region.console_output(&instance).await?.lines().next()
    );
    println!(
        "group in use: {:?}",
        region
            .delete_security_group(&group)
            .await
            .map_err(|e| (e.kind, e.code))
    );
    let defaults = region
        .security_groups(&[
            ("group-name".to_owned(), vec!["default".to_owned()]),
            ("vpc-id".to_owned(), vec![subnet.vpc_id.to_string()]),
        ])
        .await?;
    let default = defaults.first().ok_or("no default group")?;

    region.stop_instance(&instance).await?;
    until(&region, &instance, InstanceState::Stopped).await?;
    region
        .set_instance_groups(&instance, std::slice::from_ref(&default.group_id))
        .await?;
    region.delete_security_group(&group).await?;
    region.delete_security_group(&group).await?;
    let request = ImageRequest {
        left_out_devices: Vec::new(),
        instance_id: instance.clone(),
        capture: Capture::Stopped,
        name: run.clone(),
        description: "walk through".to_owned(),
        volumes: Vec::new(),
        image_tags: tags.clone(),
        snapshot_tags: tags.clone(),
    };
    let image = region.create_image(&request).await?;
    let taken = region.create_image(&request).await;
    println!("image twice: {:?}", taken.map_err(|e| (e.kind, e.code)));
    let filter = ImageFilter {
        image_ids: vec![image.clone(), ImageId::from("ami-0123456789abcdef0")],
        ..ImageFilter::default()
    };
    let made = loop {
        let found = region.images(&filter).await?;
        println!(
            "snapshots: {:?}",
            region
                .snapshots(&by_run)
                .await?
                .iter()
                .map(|s| s.progress_percent)
                .collect::<Vec<_>>()
        );
        if let Some(made) = found.into_iter().find(|i| i.state != ImageState::Pending) {
            break made;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    println!("image: {made:?}");
    region
        .create_tags(
            &[image.to_string()],
            &Tags::new().with("qib:complete", "yes"),
        )
        .await?;
    let shared = Permissions {
        accounts: [AccountId::from("111111111111")].into(),
        ..Permissions::default()
    };
    region
        .change_image_permissions(&image, Grant::Add, &shared)
        .await?;
    for snapshot in &made.snapshots {
        region
            .change_snapshot_permissions(snapshot, Grant::Add, &shared)
            .await?;
        println!(
            "snapshot in use: {:?}",
            region
                .delete_snapshot(snapshot)
                .await
                .map_err(|e| (e.kind, e.code))
        );
    }
    region.deregister_image(&image).await?;
    println!(
        "deregistered twice: {:?}",
        region.deregister_image(&image).await
    );
    for snapshot in &made.snapshots {
        region.delete_snapshot(snapshot).await?;
        region.delete_snapshot(snapshot).await?;
    }
    region.terminate_instance(&instance).await?;
    region.terminate_instance(&instance).await?;
    region
        .terminate_instance(&InstanceId::from("i-0123456789abcdef0"))
        .await?;
    until(&region, &instance, InstanceState::Terminated).await?;
    region.delete_key_pair(&key).await?;
    region.delete_key_pair(&key).await?;

    let name = format!("/qib/{run}/lease");
    region
        .put_parameter(&name, "mine", ParameterWrite::CreateOnly)
        .await?;
    let taken = region
        .put_parameter(&name, "mine", ParameterWrite::CreateOnly)
        .await;
    println!("parameter twice: {:?}", taken.map_err(|e| (e.kind, e.code)));
    let version = region
        .put_parameter(&name, "still mine", ParameterWrite::Overwrite)
        .await?;
    println!("version {version}: {:?}", region.parameter(&name).await?);
    println!(
        "below: {:?}",
        region
            .parameters_below(&format!("/qib/{run}"), Depth::All)
            .await?
    );
    region.delete_parameter(&name).await?;
    region.delete_parameter(&name).await?;
    println!("gone: {:?}", region.parameter(&name).await?);

    println!("left: {:?}", region.snapshots(&by_run).await?);
    Ok(())
}

async fn until(
    region: &Arc<dyn Region>,
    instance: &InstanceId,
    state: InstanceState,
) -> Outcome<Instance> {
    let filter = InstanceFilter {
        instance_ids: vec![instance.clone()],
        ..InstanceFilter::default()
    };
    for _ in 0..200 {
        if let Some(seen) = region.instances(&filter).await?.pop()
            && seen.state == state
        {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Err(format!("{instance} did not become {}", state.as_str()).into())
}

//! Goes through the calls that make no instance against a local EC2, and says what each answers: questions, IAM, KMS,
//! quotas, copies, permissions, deprecation, protection, parameters that are images.
//!
//! ```text
//! local-ec2 up --dir D
//! local-ec2 status --dir D | cargo run -p aws --example ask_and_share
//! ```
//!
//! It copies an image of Amazon Linux, whose snapshots are public, and removes what it makes.

// Examples talk to people, and wait.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use aws::{AwsAccount, AwsOptions, StaticCredentials};
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
        ..AwsOptions::default()
    })
    .await?;
    let identity = account.caller_identity().await?;
    let region = account.region(account.default_region());
    let name = format!("walk-{}", std::process::id());
    let tags = Tags::new().with("qib:run", &name);
    let filter = ImageFilter {
        owners: vec!["amazon".to_owned()],
        filters: vec![("name".to_owned(), vec!["al2023-ami-2023*x86_64".to_owned()])],
        ..ImageFilter::default()
    };
    let images = region.images(&filter).await?;
    let source = images.first().ok_or("no image of Amazon Linux")?;
    questions(&region, source, &tags).await?;
    identities(account.iam().as_ref(), &identity.arn, &name, &tags).await?;
    copies(&region, source, &name, &tags).await
}

async fn questions(region: &Arc<dyn Region>, source: &Image, tags: &Tags) -> Outcome<()> {
    println!("regions: {:?}", region.regions().await?.len());
    println!("vpcs: {:?}", region.vpcs(&[]).await?);
    let types = ["m5.large".to_owned(), "t4g.micro".to_owned()];
    println!("types: {:?}", region.instance_types(&types).await?);
    let unknown = region.instance_types(&["m5.huge".to_owned()]).await;
    println!("unknown type: {:?}", unknown.map_err(|e| (e.kind, e.code)));
    println!("offerings: {:?}", region.offerings(&types).await?);
    println!("public: {:?}", region.public_images().await?);
    println!("public snapshots: {:?}", region.public_snapshots().await?);
    let templates = region.launch_template_images().await;
    println!("templates: {:?}", templates.map_err(|e| e.to_string()));
    println!("quota: {:?}", region.quota("ec2", "L-1216C47A").await);
    println!("no quota: {:?}", region.quota("ec2", "L-NONE").await);
    println!("key: {:?}", region.kms_key("alias/aws/ebs").await);
    println!("no key: {:?}", region.kms_key("alias/none").await);
    println!("grant: {:?}", region.kms_grant("alias/aws/ebs").await);
    let copy = CopyRequest {
        client_token: "question".to_owned(),
        source_region: region.name().clone(),
        source_image: source.image_id.clone(),
        name: "question".to_owned(),
        description: String::new(),
        encrypted: false,
        kms_key_id: None,
        image_tags: tags.clone(),
        snapshot_tags: tags.clone(),
    };
    for question in [
        DryRun::CopyImage(Box::new(copy)),
        DryRun::CreateSnapshots,
        DryRun::ImportKeyPair { tags: tags.clone() },
        DryRun::SecurityGroup { tags: tags.clone() },
        DryRun::Address,
        DryRun::CreateTags,
        DryRun::StopInstances,
        DryRun::TerminateInstances,
        DryRun::ModifyInstanceAttribute,
        DryRun::ModifyImageAttribute { image: None },
        DryRun::ModifySnapshotAttribute,
        DryRun::DeregisterImage,
        DryRun::DeleteSnapshot,
        DryRun::EnableImageDeprecation,
        DryRun::EnableImageDeregistrationProtection,
        DryRun::GetConsoleOutput,
    ] {
        println!("{question:?}: {:?}", region.dry_run(&question).await);
    }
    Ok(())
}

async fn identities(iam: &dyn Iam, caller: &str, name: &str, tags: &Tags) -> Outcome<()> {
    println!("no role: {:?}", iam.role(name).await?);
    let role = iam.create_instance_role(name, "/qib/", tags).await?;
    println!("role: {role:?}");
    let again = iam.create_instance_role(name, "/qib/", tags).await;
    println!("role twice: {:?}", again.map_err(|e| (e.kind, e.code)));
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeImages","Resource":"*"}]}"#;
    iam.put_role_policy(name, "inline", policy).await?;
    let wrong = iam.put_role_policy(name, "inline", "{").await;
    println!("no policy: {:?}", wrong.map_err(|e| (e.kind, e.code)));
    iam.create_instance_profile(name, "/qib/", tags).await?;
    iam.add_role(name, name).await?;
    iam.add_role(name, name).await?;
    println!("profile: {:?}", iam.instance_profile(name).await?);
    println!("roles: {:?}", iam.roles_below("/qib/").await?);
    println!(
        "profiles: {:?}",
        iam.instance_profiles_below("/qib/").await?
    );
    let held = iam.delete_role(name).await;
    println!("role in use: {:?}", held.map_err(|e| (e.kind, e.code)));
    let held = iam.delete_instance_profile(name).await;
    println!("profile in use: {:?}", held.map_err(|e| (e.kind, e.code)));
    let actions = ["ec2:RunInstances".to_owned(), "ec2:CopyImage".to_owned()];
    let simulated = iam.simulate(caller, &actions, &[], &[]).await;
    println!("simulated: {simulated:?}");
    for _ in 0..2 {
        iam.remove_role(name, name).await?;
        iam.delete_instance_profile(name).await?;
        iam.delete_role_policy(name, "inline").await?;
        iam.delete_role(name).await?;
    }
    println!("left: {:?}", iam.roles_below("/qib/").await?);
    Ok(())
}

async fn copies(region: &Arc<dyn Region>, source: &Image, name: &str, tags: &Tags) -> Outcome<()> {
    let copy = CopyRequest {
        client_token: name.to_owned(),
        source_region: region.name().clone(),
        source_image: source.image_id.clone(),
        name: name.to_owned(),
        description: "walk".to_owned(),
        encrypted: false,
        kms_key_id: None,
        image_tags: tags.clone(),
        snapshot_tags: tags.clone(),
    };
    let image = region.copy_image(&copy).await?;
    let again = region.copy_image(&copy).await?;
    println!("copied: {image}, with the same token again: {again}");
    let made = available(region, &image).await?;
    println!("copy: {made:?}");
    let taken = CopyRequest {
        client_token: format!("{name}-2"),
        ..copy
    };
    let taken = region.copy_image(&taken).await;
    println!("name taken: {:?}", taken.map_err(|e| (e.kind, e.code)));

    let shared = Permissions {
        public: true,
        accounts: [AccountId::from("111111111111")].into(),
        ..Permissions::default()
    };
    for snapshot in &made.snapshots {
        region
            .change_snapshot_permissions(snapshot, Grant::Add, &shared)
            .await?;
        println!("{:?}", region.snapshot_permissions(snapshot).await?);
    }
    region
        .change_image_permissions(&image, Grant::Add, &shared)
        .await?;
    println!("shared: {:?}", region.image_permissions(&image).await?);
    region
        .change_image_permissions(&image, Grant::Remove, &shared)
        .await?;
    println!("private: {:?}", region.image_permissions(&image).await?);
    region.require_imds_v2(&image).await?;
    println!("launched: {:?}", region.image_last_launched(&image).await?);
    let later = "2099-01-01T00:00:00Z".parse().ok();
    region.set_image_deprecation(&image, later).await?;
    let protection = DeregistrationProtection::On { cooldown: false };
    region
        .set_deregistration_protection(&image, protection)
        .await?;
    let seen = available(region, &image).await?;
    println!(
        "deprecated {:?}, protected {}",
        seen.deprecated, seen.protected
    );
    let held = region.deregister_image(&image).await;
    println!("protected: {:?}", held.map_err(|e| (e.kind, e.code)));
    region.set_image_deprecation(&image, None).await?;
    region
        .set_deregistration_protection(&image, DeregistrationProtection::Off)
        .await?;

    let parameter = format!("/walk/{name}");
    let write = ParameterWrite::CreateOnly;
    region
        .put_image_parameter(&parameter, &image, write)
        .await?;
    println!("parameter: {:?}", region.parameter(&parameter).await?);
    region.delete_parameter(&parameter).await?;

    let snapshot = made.snapshots.first().ok_or("a copy without a snapshot")?;
    let registered = region
        .register_image(&RegisterRequest {
            name: format!("{name}-registered"),
            description: String::new(),
            architecture: made.architecture.clone(),
            virtualization: made.virtualization.clone(),
            root_device: "/dev/sda1".to_owned(),
            volumes: vec![EbsVolume {
                device: "/dev/sda1".to_owned(),
                snapshot_id: Some(snapshot.clone()),
                ..EbsVolume::default()
            }],
            boot_mode: Some("uefi".to_owned()),
            tpm: Some("v2.0".to_owned()),
            uefi_data: None,
            imds_v2: true,
            ena: Some(true),
            sriov: true,
            image_tags: tags.clone(),
        })
        .await?;
    println!("registered: {:?}", available(region, &registered).await?);
    region.deregister_image(&registered).await?;
    region.deregister_image(&image).await?;
    for snapshot in &made.snapshots {
        region.delete_snapshot(snapshot).await?;
    }
    Ok(())
}

async fn available(region: &Arc<dyn Region>, image: &ImageId) -> Outcome<Image> {
    let filter = ImageFilter {
        image_ids: vec![image.clone()],
        ..ImageFilter::default()
    };
    for _ in 0..200 {
        if let Some(seen) = region.images(&filter).await?.pop()
            && seen.state != ImageState::Pending
        {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Err(format!("{image} stays pending").into())
}

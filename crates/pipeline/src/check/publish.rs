//! What becomes of an image: what must fit each other, and what EC2 and SSM would refuse only after the whole build.

use super::parameters;
use crate::Span;
use crate::model::{
    Architecture, BootMode, Cell, Image, ImageKind, Located, OnConflict, Pipeline, Protection,
    Region, Spot, Volume,
};
use crate::problem::Fault;
use std::collections::BTreeSet;

pub(super) fn check(pipeline: &Pipeline, cell: &Cell) -> Vec<Fault> {
    let image = &cell.image;
    let mut faults: Vec<Fault> = kind(image).into_iter().collect();
    faults.extend(registration(cell));
    faults.extend(encryption(cell));
    faults.extend(sharing(image));
    faults.extend(copies(pipeline, cell));
    faults.extend(parameters::check(image));
    if let (OnConflict::Replace { .. }, Protection::WithCooldown) =
        (image.on_conflict.value, image.protect.value)
    {
        let message = "an image that is protected with a cooldown cannot be deregistered for 24 hours, so that \
                       `on_conflict: replace` could not retire it";
        faults.push(
            Fault::new(image.protect.span, message)
                .hint("write `protect: true`, which replacing takes off by itself, or give each image a name of its own"),
        );
    }
    faults
}

fn kind(image: &Image) -> Option<Fault> {
    (image.kind.value == ImageKind::S3Bundle).then(|| {
        let message = "S3-backed images (instance store) are legacy: only old instance types boot them, and qib does not \
                       make them";
        Fault::new(image.kind.span, message).hint(
            "leave `kind` out: the same stage then makes an image that is backed by EBS snapshots",
        )
    })
}

/// What RegisterImage and a stopped instance ask for.
/// (EC2 API Reference, RegisterImage; EC2 User Guide, "NitroTPM for Amazon EC2 instances" and "Amazon EC2 boot modes".)
fn registration(cell: &Cell) -> Vec<Fault> {
    let image = &cell.image;
    let mut faults = Vec::new();
    let boot_mode = image.boot_mode.as_ref().map(|mode| mode.value);
    if let Some(tpm) = &image.tpm
        && boot_mode != Some(BootMode::Uefi)
    {
        faults.push(
            Fault::new(tpm.span, "a NitroTPM needs `boot_mode: uefi`")
                .hint("add `boot_mode: uefi`; the guest must be able to boot so"),
        );
    }
    if let Some(data) = &image.uefi_data
        && !matches!(boot_mode, Some(BootMode::Uefi | BootMode::UefiPreferred))
    {
        faults.push(Fault::new(
            data.file.written.span,
            "`uefi_data` needs `boot_mode: uefi` or `uefi-preferred`",
        ));
    }
    // RegisterImage, BlockDeviceMapping: a volume that is made from a snapshot is encrypted as that is.
    if image.is_registered() || cell.is_import() {
        let encrypted = image
            .volumes
            .iter()
            .filter(|volume| volume.encrypted.is_some());
        faults.extend(encrypted.map(|volume| {
            if cell.is_import() {
                let message = "the image is registered of the snapshot that is imported, which is encrypted or not as a whole";
                return Fault::new(volume.device.span, message)
                    .hint("write `image.encrypted: true` instead");
            }
            let message = "an image with `architecture`, `boot_mode`, `tpm` or `uefi_data` is registered from snapshots, \
                           which are encrypted as the instance's volumes are";
            Fault::new(volume.device.span, message)
                .hint("write `encrypted` in `launch.volumes`, or `image.encrypted: true`")
        }));
    }
    if let (Some(BootMode::LegacyBios), Some(architecture), Some(mode)) =
        (boot_mode, &image.architecture, &image.boot_mode)
        && architecture.value == Architecture::Arm64
    {
        faults.push(Fault::new(
            mode.span,
            "instances of architecture arm64 boot with UEFI only",
        ));
    }
    let needs_a_stop = [
        image
            .architecture
            .as_ref()
            .map(|key| (key.span, "architecture")),
        image.boot_mode.as_ref().map(|key| (key.span, "boot_mode")),
        image.tpm.as_ref().map(|key| (key.span, "tpm")),
        image
            .uefi_data
            .as_ref()
            .map(|key| (key.file.written.span, "uefi_data")),
        image.ena.as_ref().map(|key| (key.span, "ena")),
        image.sriov.value.then_some((image.sriov.span, "sriov")),
    ];
    let needs_a_stop = needs_a_stop.into_iter().flatten().next();
    let Some(launch) = &cell.launch else {
        if let (Some((span, key)), false) = (needs_a_stop, cell.is_import()) {
            let message =
                format!("`{key}` is said of an instance, and a stage that only copies has none");
            faults.push(
                Fault::new(span, message)
                    .hint("give the stage `launch` and `connect`, or leave it out"),
            );
        }
        if let Some(test) = &cell.test {
            let at = test
                .provision
                .first()
                .map_or(cell.stage.span, |entry| entry.span);
            let does = if cell.is_import() {
                "registers what it imports"
            } else {
                "copies"
            };
            let message = format!(
                "a test is launched and reached as its stage, and a stage that only {does} says neither"
            );
            faults.push(Fault::new(at, message).hint(
                "give the stage `launch` and `connect`, or test in the stage that starts from this one",
            ));
        }
        return faults;
    };
    if let (Spot::Yes(_), Some((span, key))) = (&launch.spot, needs_a_stop) {
        let message = format!(
            "`{key}` needs the instance to be stopped first, and a spot instance cannot be stopped"
        );
        faults.push(Fault::new(span, message).hint("leave out `launch.spot`, or this key"));
    }
    faults
}

/// What holds for encrypted snapshots. (EBS User Guide, "Share an Amazon EBS snapshot": those encrypted with the account's
/// default key cannot be shared, and encrypted ones not with everyone.)
fn encryption(cell: &Cell) -> Vec<Fault> {
    let image = &cell.image;
    let mut faults = Vec::new();
    if let (Some(key), false) = (&image.kms_key_id, image.encrypted.value) {
        faults.push(Fault::new(key.span, "`kms_key_id` needs `encrypted: true`"));
    }
    let volumes: &[Volume] = match &cell.launch {
        Some(launch) => &launch.volumes,
        None => &[],
    };
    if image.encrypted.value {
        for volume in volumes {
            if volume.encrypted == Some(false) {
                let message = format!(
                    "`image.encrypted` encrypts every volume from the launch on, and {} says `encrypted: false`",
                    volume.device
                );
                faults
                    .push(Fault::new(volume.device.span, message).hint("leave one of the two out"));
            }
        }
    }
    let is_encrypted =
        image.encrypted.value || volumes.iter().any(|one| one.encrypted == Some(true));
    let copies = image.copy_to.iter();
    let not_so = copies.filter_map(|copy| copy.encrypted.as_ref().filter(|on| !on.value));
    faults.extend(not_so.filter(|_| is_encrypted).map(|on| {
        let message =
            "the copy of an encrypted image is encrypted: EC2 has no way to take that off";
        Fault::new(on.span, message).hint("leave `encrypted: false` out")
    }));
    if image.share.is_empty() {
        return faults;
    }
    let unshareable = |span: Span, what: &str| {
        Fault::new(
            span,
            format!("{what} would be encrypted with the account's default key for EBS, and such an image cannot be shared"),
        )
        .hint("name a KMS key of your own with `kms_key_id`, and let the others use it in its key policy")
    };
    let public = image.share.public.value;
    let for_everyone = |span: Span, what: &str| {
        Fault::new(
            span,
            format!("{what} is encrypted, and an encrypted image cannot be public"),
        )
        .hint("leave out `share.public`, or the encryption")
    };
    let mut main_is_encrypted = None;
    if image.encrypted.value {
        main_is_encrypted = Some(image.encrypted.span);
        if is_default_key(image.kms_key_id.as_ref().map(|key| key.as_str())) {
            faults.push(unshareable(image.encrypted.span, "the image"));
        } else if public {
            faults.push(for_everyone(image.encrypted.span, "the image"));
        }
    } else {
        for volume in volumes
            .iter()
            .filter(|volume| volume.encrypted == Some(true))
        {
            main_is_encrypted.get_or_insert(volume.device.span);
            if is_default_key(volume.kms_key_id.as_ref().map(|key| key.as_str())) {
                faults.push(unshareable(volume.device.span, volume.device.as_str()));
            } else if public {
                faults.push(for_everyone(volume.device.span, volume.device.as_str()));
            }
        }
    }
    for copy in &image.copy_to {
        let said = copy.encrypted.as_ref().map(|on| (on.value, on.span));
        // The copy of an encrypted image is encrypted, with the default key of its region unless told otherwise.
        let encrypted = match said {
            Some((true, span)) => Some(span),
            _ => main_is_encrypted.map(|_| copy.span),
        };
        let Some(span) = encrypted else { continue };
        if is_default_key(copy.kms_key_id.as_ref().map(|key| key.as_str())) {
            faults.push(unshareable(
                span,
                &format!("the copy in {}", copy.region.as_str()),
            ));
        } else if public && main_is_encrypted.is_none() {
            faults.push(for_everyone(
                span,
                &format!("the copy in {}", copy.region.as_str()),
            ));
        }
    }
    faults
}

/// Whether it is the key that AWS made for the account's EBS, which cannot be shared.
fn is_default_key(key: Option<&str>) -> bool {
    key.is_none_or(|key| key.ends_with("alias/aws/ebs"))
}

fn sharing(image: &Image) -> Vec<Fault> {
    let share = &image.share;
    let mut faults = Vec::new();
    super::stages::repeated(&share.accounts, "account", &mut faults);
    super::stages::repeated(&share.organizations, "organisation", &mut faults);
    super::stages::repeated(
        &share.organizational_units,
        "organisational unit",
        &mut faults,
    );
    if let Some(snapshots) = &share.snapshots
        && snapshots.value
        && share.accounts.is_empty()
        && !share.public.value
    {
        let fault = if share.is_empty() {
            Fault::new(snapshots.span, "`share.snapshots` shares with nobody")
                .hint("name `accounts`, or say `public: true`")
        } else {
            Fault::new(
                snapshots.span,
                "snapshots can be shared with accounts and with everyone, not with organisations",
            )
            .hint("name the `accounts` that copy the image, or leave `snapshots` out")
        };
        faults.push(fault);
    }
    faults
}

fn copies(pipeline: &Pipeline, cell: &Cell) -> Vec<Fault> {
    let image = &cell.image;
    let mut faults = Vec::new();
    let home: Option<&Located<Region>> = cell.region.as_ref().or(pipeline.aws.region.as_ref());
    let mut seen = BTreeSet::new();
    for copy in &image.copy_to {
        let region = copy.region.as_str();
        if !seen.insert(region) {
            let message = format!("the region {region} stands here twice");
            faults.push(Fault::new(copy.span, message));
        }
        if home.is_some_and(|home| home.as_str() == region) {
            let message = format!("{region} is where the image is built; it needs no copy there");
            faults.push(Fault::new(copy.span, message).hint("leave it out of `copy_to`"));
        }
        let Some(key) = &copy.kms_key_id else {
            continue;
        };
        if copy.encrypted.as_ref().is_some_and(|on| !on.value) {
            faults.push(Fault::new(key.span, "`kms_key_id` needs `encrypted: true`"));
        }
        if let Some(of) = region_of(key.as_str())
            && of != region
        {
            let message =
                format!("the KMS key is of {of}, and a copy in {region} needs one of {region}");
            faults.push(Fault::new(key.span, message));
        }
    }
    if let (Some(home), Some(key)) = (home, &image.kms_key_id)
        && let Some(of) = region_of(key.as_str())
        && of != home.as_str()
    {
        let message = format!("the KMS key is of {of}, and the image is built in {home}");
        faults.push(Fault::new(key.span, message));
    }
    faults
}

/// The region that a key's ARN names.
fn region_of(key: &str) -> Option<&str> {
    let mut fields = key.strip_prefix("arn:")?.splitn(4, ':');
    fields.nth(2).filter(|region| !region.is_empty())
}

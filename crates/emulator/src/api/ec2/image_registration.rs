//! Registering images: of snapshots, with properties that CreateImage cannot give.

use super::Action;
use super::block_devices::{self, DeviceRequest, Devices};
use super::image_creation::{answer, check_new, image_name};
use super::params::Scope;
use super::snapshots::{self, description};
use super::tag_specs::TagSpecs;
use super::xml::Xml;
use crate::account::image::{Disk, Image, Permission, Progress, Virtualization};
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::guest::BootAgent;
use crate::ids::ImageId;
use base64::prelude::{BASE64_STANDARD, Engine};

/// "Length Constraints: Minimum length of 0. Maximum length of 64000."
const MOST_UEFI_DATA: usize = 64_000;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>
pub(crate) struct RegisterImage {
    name: String,
    description: String,
    architecture: &'static str,
    virtualization: Virtualization,
    kernel: Option<String>,
    root_device: String,
    devices: Vec<DeviceRequest>,
    ena_support: bool,
    sriov_net_support: Option<String>,
    boot_mode: Option<&'static str>,
    tpm_support: Option<&'static str>,
    imds_support: Option<&'static str>,
    uefi_data: Option<String>,
    tags: TagSpecs,
}

impl Action for RegisterImage {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        if p.text("ImageLocation").is_some() {
            return Err(ApiError::new(
                "UnsupportedOperation",
                "The local EC2 has no images backed by Amazon S3: give RootDeviceName and a BlockDeviceMapping with a snapshot",
            ));
        }
        let devices = block_devices::parse(p)?;
        block_devices::check_for_image(&devices)?;
        // "Default: paravirtual".
        let virtualization = match p.word("VirtualizationType", &["hvm", "paravirtual"])? {
            Some("hvm") => Virtualization::Hvm,
            _ => Virtualization::Paravirtual,
        };
        Ok(Self {
            name: image_name(p)?,
            description: description(p)?,
            // "For Amazon EBS-backed AMIs, i386."
            architecture: p
                .word("Architecture", &["i386", "x86_64", "arm64"])?
                .unwrap_or("i386"),
            virtualization,
            kernel: kernel(p)?,
            root_device: p.required("RootDeviceName")?.to_owned(),
            devices,
            ena_support: p.flag("EnaSupport")?.unwrap_or(false),
            sriov_net_support: p.word("SriovNetSupport", &["simple"])?.map(str::to_owned),
            boot_mode: p.word("BootMode", &["legacy-bios", "uefi", "uefi-preferred"])?,
            tpm_support: p.word("TpmSupport", &["v2.0"])?,
            imds_support: p.word("ImdsSupport", &["v2.0"])?,
            uefi_data: uefi_data(p)?,
            tags: TagSpecs::parse(p, &["image"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        check_new(cx, &self.name)?;
        self.check()?;
        let devices = block_devices::overlay(&[], &self.devices, |id| snapshots::usable(cx, id))?;
        let disk = self.disk(cx, &devices)?;
        let id = ImageId::random();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let image = Image {
            id: id.clone(),
            name: self.name,
            description: self.description,
            owner: cx.owner().to_owned(),
            owner_alias: None,
            created: cx.now,
            progress: Progress::Done { complete: cx.now },
            architecture: self.architecture.to_owned(),
            root_device: self.root_device,
            mappings: devices.ebs,
            virtualization: self.virtualization,
            kernel: self.kernel,
            ephemeral: devices.ephemeral,
            product_codes: Vec::new(),
            launch_permission: Permission::default(),
            ena_support: self.ena_support,
            sriov_net_support: self.sriov_net_support,
            boot_mode: owned(self.boot_mode),
            tpm_support: owned(self.tpm_support),
            imds_support: owned(self.imds_support),
            uefi_data: self.uefi_data,
            // Billing codes are CreateImage's and CopyImage's to keep:
            // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-billing-info.html
            platform_details: "Linux/UNIX".to_owned(),
            usage_operation: "RunInstances".to_owned(),
            deprecated: None,
            protection: Default::default(),
            last_launched: None,
            source_instance: None,
            source_image: None,
            default_user: disk.default_user,
            agent: disk.agent,
            tags: self.tags.of("image"),
        };
        cx.region().images.insert(id.clone(), image);
        Ok(answer(&id))
    }
}

impl RegisterImage {
    /// Which properties go together:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-boot.html>,
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/enable-nitrotpm-prerequisites.html>.
    fn check(&self) -> Result<(), ApiError> {
        let paravirtual = self.virtualization == Virtualization::Paravirtual;
        let uefi = matches!(self.boot_mode, Some("uefi" | "uefi-preferred"));
        let wrong = |message: &str| Err(ApiError::combination(message));
        if self.architecture == "arm64" && paravirtual {
            return wrong("Images of the architecture arm64 have the virtualization type hvm");
        }
        if self.architecture == "arm64" && self.boot_mode == Some("legacy-bios") {
            return wrong("Images of the architecture arm64 boot by uefi, not legacy-bios");
        }
        if paravirtual && self.boot_mode.is_some() {
            return wrong("A boot mode is for images of the virtualization type hvm");
        }
        if self.tpm_support.is_some() && self.boot_mode != Some("uefi") {
            return wrong("TpmSupport needs the boot mode uefi");
        }
        if self.uefi_data.is_some() && !uefi {
            return wrong("UefiData needs the boot mode uefi or uefi-preferred");
        }
        if !paravirtual && self.kernel.is_some() {
            return wrong("A kernel is for images of the virtualization type paravirtual");
        }
        Ok(())
    }

    /// What is on the root device.
    fn disk(&self, cx: &Cx<'_>, devices: &Devices) -> Result<Disk, ApiError> {
        let root = devices.ebs.iter().find(|m| m.device == self.root_device);
        let snapshot = root.and_then(|m| m.ebs.snapshot.as_ref());
        let Some(snapshot) = snapshot.and_then(|id| cx.snapshot_in(cx.region, id)) else {
            let message = format!(
                "The root device '{}' needs a block device mapping with a snapshot",
                self.root_device
            );
            return Err(ApiError::new("InvalidBlockDeviceMapping", message));
        };
        // A disk that was never an instance's says nothing of its users.
        Ok(snapshot.disk.unwrap_or_else(|| Disk {
            default_user: "ec2-user".to_owned(),
            agent: BootAgent::BuiltIn,
        }))
    }
}

fn kernel(p: &Scope<'_>) -> Result<Option<String>, ApiError> {
    let Some(id) = p.text("KernelId") else {
        return Ok(None);
    };
    let formed = id.strip_prefix("aki-").is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    });
    match formed {
        true => Ok(Some(id.to_owned())),
        false => Err(ApiError::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"aki-...\")"),
        )),
    }
}

fn uefi_data(p: &Scope<'_>) -> Result<Option<String>, ApiError> {
    let Some(text) = p.text("UefiData") else {
        return Ok(None);
    };
    if text.len() > MOST_UEFI_DATA || BASE64_STANDARD.decode(text).is_err() {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("UefiData must be base64 of at most {MOST_UEFI_DATA} characters"),
        ));
    }
    Ok(Some(text.to_owned()))
}

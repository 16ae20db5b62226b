//! `image`.

use super::volumes::{left_out, volumes};
use super::{rendered, rendered_tags};
use crate::failure::StepError;
use crate::spec::*;
use cloud::{DeregistrationProtection, EbsVolume, Image, Permissions, Tags};
use pipeline::model;
use pipeline::template::RunFacts;

pub(super) fn image(image: &model::Image, facts: &RunFacts) -> Result<ImageSpec, StepError> {
    let description = image
        .description
        .as_ref()
        .map(|text| rendered(text, "image.description", facts))
        .transpose()?;
    let name = rendered(&image.name, "image.name", facts)?;
    pipeline::check_image_name(&name).map_err(|error| StepError::Template {
        field: String::from("image.name"),
        reason: error.to_string(),
    })?;
    Ok(ImageSpec {
        name,
        transitional_name: None,
        on_conflict: match image.on_conflict.value {
            model::OnConflict::Fail => OnConflict::Fail,
            model::OnConflict::Skip => OnConflict::Skip,
            model::OnConflict::Replace { force: false } => OnConflict::Replace(Replaceable::Own),
            model::OnConflict::Replace { force: true } => OnConflict::Replace(Replaceable::Any),
        },
        description: description.unwrap_or_default(),
        tags: rendered_tags(&image.tags, "image.tags", facts)?,
        volumes: volumes(&image.volumes),
        left_out_devices: left_out(&image.volumes),
        properties: properties(image),
        encryption: encryption(Some(image.encrypted.value), image.kms_key_id.as_ref()),
        copies: image
            .copy_to
            .iter()
            .map(|copy| CopySpec {
                region: copy.region.as_str().into(),
                encryption: encryption(
                    copy.encrypted.as_ref().map(|on| on.value),
                    copy.kms_key_id.as_ref(),
                ),
            })
            .collect(),
        share: share(&image.share),
        deprecate_after: image.deprecate_after.as_ref().map(|after| after.get()),
        protection: match image.protect.value {
            model::Protection::Off => None,
            model::Protection::On => Some(DeregistrationProtection::On { cooldown: false }),
            model::Protection::WithCooldown => {
                Some(DeregistrationProtection::On { cooldown: true })
            }
        },
        parameters: parameters(image, facts)?,
        wait: image.wait.get(),
        cache_tags: Tags::new(),
    })
}

fn properties(image: &model::Image) -> ImageProperties {
    ImageProperties {
        architecture: image
            .architecture
            .as_ref()
            .map(|architecture| architecture.as_str().to_owned()),
        boot_mode: image
            .boot_mode
            .as_ref()
            .map(|mode| mode.as_str().to_owned()),
        tpm: image.tpm.as_ref().map(|tpm| tpm.as_str().to_owned()),
        // The pipeline's check has seen to it that it is base64.
        uefi_data: image
            .uefi_data
            .as_ref()
            .map(|data| String::from_utf8_lossy(&data.content).into_owned()),
        ena: image.ena.as_ref().map(|on| on.value),
        sriov: image.sriov.value,
        imds_v2: image.imds.is_some(),
    }
}

/// A key alone says that there is encryption.
fn encryption(on: Option<bool>, key: Option<&model::Located<model::KmsKeyId>>) -> Encryption {
    match (on, key) {
        (Some(true), key) => Encryption::With(key.map(ToString::to_string)),
        (None, Some(key)) => Encryption::With(Some(key.to_string())),
        (Some(false), _) | (None, None) => Encryption::AsSource,
    }
}

fn share(share: &model::Share) -> ShareSpec {
    let image = Permissions {
        public: share.public.value,
        accounts: share.accounts.iter().map(|id| id.as_str().into()).collect(),
        organizations: share
            .organizations
            .iter()
            .map(ToString::to_string)
            .collect(),
        organizational_units: share
            .organizational_units
            .iter()
            .map(ToString::to_string)
            .collect(),
    };
    let said = share.snapshots.as_ref().map(|on| on.value);
    let snapshots = match said {
        Some(false) => Permissions::default(),
        // Left out, the accounts may copy it: they need its snapshots for that.
        Some(true) | None => Permissions {
            public: image.public && said == Some(true),
            accounts: image.accounts.clone(),
            ..Permissions::default()
        },
    };
    ShareSpec { image, snapshots }
}

fn parameters(image: &model::Image, facts: &RunFacts) -> Result<Vec<ParameterSpec>, StepError> {
    let mut parameters: Vec<ParameterSpec> = Vec::new();
    for (position, parameter) in image.parameters.iter().enumerate() {
        let field = format!("image.parameters[{position}].name");
        let name = rendered(&parameter.name, &field, facts)?;
        let refused = |reason: String| StepError::Template {
            field: field.clone(),
            reason,
        };
        pipeline::check_parameter_name(&name).map_err(|error| refused(error.to_string()))?;
        if parameters.iter().any(|other| other.name == name) {
            return Err(refused(format!("{name} stands there twice")));
        }
        parameters.push(ParameterSpec {
            name,
            overwrite: if parameter.overwrite {
                Overwrite::Any
            } else {
                Overwrite::Own
            },
            regions: match parameter.regions {
                model::ParameterRegions::All => ParameterRegions::All,
                model::ParameterRegions::Build => ParameterRegions::Build,
            },
        });
    }
    Ok(parameters)
}

/// Encrypts the volumes of the launch as the image asks for: then its snapshots are encrypted from birth. Volumes of the
/// source image that `launch` does not mention are named for it.
pub(in crate::run) fn encrypt_at_launch(spec: &mut CellSpec, source: &Image) {
    let Encryption::With(key) = &spec.image.encryption else {
        return;
    };
    let volumes = &mut spec.launch.volumes;
    for volume in volumes.iter_mut() {
        volume.encrypted = Some(true);
        if volume.kms_key_id.is_none() {
            volume.kms_key_id.clone_from(key);
        }
    }
    let bare = |device: &str| device.trim_start_matches("/dev/").to_owned();
    for from_source in &source.volumes {
        let named = volumes
            .iter()
            .any(|volume| bare(&volume.device) == bare(&from_source.device));
        if !named {
            volumes.push(EbsVolume {
                device: from_source.device.clone(),
                encrypted: Some(true),
                kms_key_id: key.clone(),
                ..EbsVolume::default()
            });
        }
    }
}

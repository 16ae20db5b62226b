//! From the pipeline's model to what the steps need: run-time expressions filled in, types of the port.

use crate::failure::StepError;
use crate::guest::Script;
use crate::journal::AddressBinder;
use crate::names::CellName;
use crate::options::RunOptions;
use crate::spec::*;
use crate::steps::{CellContext, RunContext};
use cloud::{CallerIdentity, EbsVolume, Image, RegionName, Tags, Timestamp, VolumeType};
use pipeline::model::{self, Stage};
use pipeline::template::{RunFacts, SecretTemplate, Template};

/// What stands for a run's id in a plan, where there is no run yet.
const PLANNED_RUN: &str = "r-00000000";
/// What stands for the source's id and name in a plan while it has to be built first.
const PLANNED_SOURCE: &str = "(built first)";

/// The name of a stage's only cell.
pub(crate) fn cell_name(stage: &Stage, region: &RegionName) -> CellName {
    CellName {
        stage: stage.name.to_string(),
        cell: region.to_string(),
    }
}

/// What run-time expressions of a stage may refer to.
pub(crate) fn facts_for(
    context: &CellContext,
    identity: &CallerIdentity,
    source: &Image,
) -> RunFacts {
    RunFacts {
        run_id: Some(context.run_id().to_string()),
        run_time: Some(context.run().started),
        source_id: Some(source.image_id.to_string()),
        source_name: Some(source.name.clone()),
        account_id: Some(identity.account.to_string()),
        region: Some(context.region().name().to_string()),
        cell: Some(context.cell().cell.clone()),
    }
}

/// The same for a plan: the run has no id yet, and the source may not be there yet.
pub(crate) fn plan_facts(
    now: Timestamp,
    identity: &CallerIdentity,
    options: &RunOptions,
    stage: &Stage,
    source: Option<&Image>,
) -> RunFacts {
    let planned = || String::from(PLANNED_SOURCE);
    RunFacts {
        run_id: Some(String::from(PLANNED_RUN)),
        run_time: Some(now),
        source_id: Some(source.map_or_else(planned, |image| image.image_id.to_string())),
        source_name: Some(source.map_or_else(planned, |image| image.name.clone())),
        account_id: Some(identity.account.to_string()),
        region: Some(options.region.to_string()),
        cell: Some(cell_name(stage, &options.region).cell),
    }
}

/// What expressions outside of stages may refer to.
pub(super) fn run_facts(context: &RunContext) -> RunFacts {
    RunFacts {
        run_id: Some(context.effects.run().to_string()),
        run_time: Some(context.started),
        region: Some(context.options.region.to_string()),
        ..RunFacts::default()
    }
}

/// `template` with its run-time expressions filled in.
pub(super) fn rendered(
    template: &Template,
    field: &str,
    facts: &RunFacts,
) -> Result<String, StepError> {
    template.render(facts).map_err(|error| StepError::Template {
        field: field.to_owned(),
        reason: error.to_string(),
    })
}

fn rendered_secret(
    template: &SecretTemplate,
    field: &str,
    facts: &RunFacts,
) -> Result<String, StepError> {
    template
        .render(facts)
        .map(|secret| secret.expose().to_owned())
        .map_err(|error| StepError::Template {
            field: field.to_owned(),
            reason: error.to_string(),
        })
}

fn rendered_tags(tags: &model::Tags, field: &str, facts: &RunFacts) -> Result<Tags, StepError> {
    tags.iter()
        .map(|(key, value)| {
            Ok((
                key.to_string(),
                rendered(value, &format!("{field}.{key}"), facts)?,
            ))
        })
        .collect()
}

/// The cell that `context` builds, from its stage.
pub(super) fn cell_spec(
    context: &CellContext,
    stage: &Stage,
    facts: &RunFacts,
) -> Result<CellSpec, StepError> {
    cell_spec_for(context.cell(), context.region().name(), stage, facts)
}

/// A cell from its stage.
pub(crate) fn cell_spec_for(
    cell: &CellName,
    region: &RegionName,
    stage: &Stage,
    facts: &RunFacts,
) -> Result<CellSpec, StepError> {
    Ok(CellSpec {
        cell: cell.clone(),
        region: region.clone(),
        launch: launch(&stage.launch, facts)?,
        connect: connect(&stage.connect),
        provision: stage
            .provision
            .iter()
            .map(|entry| provisioner(&entry.value, facts))
            .collect::<Result<_, _>>()?,
        image: image(&stage.image, facts)?,
        tags: rendered_tags(&stage.tags, "tags", facts)?,
    })
}

fn launch(launch: &model::Launch, facts: &RunFacts) -> Result<LaunchSpec, StepError> {
    Ok(LaunchSpec {
        machines: launch
            .instance_types
            .iter()
            .map(ToString::to_string)
            .collect(),
        subnets: launch.subnets.iter().map(|s| subnet(&s.value)).collect(),
        purchase: purchase(&launch.spot),
        max_lifetime: launch.max_lifetime.get(),
        security_groups: launch
            .security_groups
            .iter()
            .map(|id| id.as_str().into())
            .collect(),
        instance_profile: launch.instance_profile.as_ref().map(ToString::to_string),
        volumes: volumes(&launch.volumes),
        ssh_from: match &launch.ssh_from {
            model::SshFrom::Caller => SshFrom::Caller,
            model::SshFrom::Anywhere => SshFrom::Anywhere,
            model::SshFrom::Networks(networks) => {
                SshFrom::Ranges(networks.iter().map(ToString::to_string).collect())
            }
        },
        user_data: launch.user_data.as_ref().map(|file| file.content.clone()),
        ebs_optimized: launch.ebs_optimized,
        public_ip: launch.public_ip,
        tags: rendered_tags(&launch.tags, "launch.tags", facts)?,
    })
}

fn subnet(choice: &model::SubnetChoice) -> SubnetSpec {
    match choice {
        model::SubnetChoice::Id(id) => SubnetSpec::Id(id.as_str().into()),
        model::SubnetChoice::DefaultVpc { zone } => SubnetSpec::DefaultVpc {
            zone: zone.as_ref().map(ToString::to_string),
        },
    }
}

fn purchase(spot: &model::Spot) -> PurchaseSpec {
    match spot {
        model::Spot::No => PurchaseSpec::OnDemand,
        model::Spot::Yes(terms) => PurchaseSpec::Spot {
            max_price: terms.max_price.as_ref().map(ToString::to_string),
            fall_back: match terms.fall_back {
                model::FallBack::OnDemand => FallBack::OnDemand,
                model::FallBack::None => FallBack::None,
            },
        },
    }
}

fn volumes(volumes: &[model::Volume]) -> Vec<EbsVolume> {
    volumes
        .iter()
        .map(|volume| EbsVolume {
            device: volume.device.to_string(),
            size_gib: volume.size_gib.as_ref().map(|size| size.get()),
            volume_type: volume.kind.map(|kind| VolumeType(kind.as_str().to_owned())),
            iops: volume.iops.as_ref().map(|iops| iops.value),
            throughput: volume
                .throughput
                .as_ref()
                .map(|throughput| throughput.value),
            encrypted: volume.encrypted,
            kms_key_id: volume.kms_key_id.as_ref().map(ToString::to_string),
            delete_on_termination: Some(volume.delete_on_termination),
        })
        .collect()
}

fn connect(connect: &model::Connect) -> ConnectSpec {
    ConnectSpec {
        user: connect.user.to_string(),
        key: match &connect.key.value {
            model::LoginKey::Ed25519 => KeySpec::Generated(ssh::KeyAlgorithm::Ed25519),
            model::LoginKey::EcdsaP256 => KeySpec::Generated(ssh::KeyAlgorithm::EcdsaP256),
            model::LoginKey::File(key) => KeySpec::File(key.path().to_owned()),
            model::LoginKey::Agent => KeySpec::Agent,
        },
        address: match &connect.address.value {
            model::Address::Public => AddressSpec::Public,
            model::Address::Private => AddressSpec::Private,
            model::Address::ElasticIp(elastic) => AddressSpec::Elastic {
                choice: match &elastic.choice {
                    model::ElasticIpChoice::One(allocation) => {
                        AddressChoice::One(allocation.as_str().into())
                    }
                    model::ElasticIpChoice::Pool(tags) => AddressChoice::Pool(tags.clone()),
                },
                by: match elastic.bind {
                    model::Bind::UserData => AddressBinder::UserData,
                    model::Bind::Api => AddressBinder::Api,
                },
                timeout: elastic.timeout.get(),
                wait: elastic.wait.get(),
            },
        },
        host: connect.host.as_ref().map(ToString::to_string),
        port: connect.port.map(std::num::NonZeroU16::get),
        timeout: connect.timeout.map(model::TimeSpan::get),
        pty: connect.pty,
        wait_cloud_init: match connect.wait_cloud_init {
            model::WaitCloudInit::Auto => WaitCloudInit::Auto,
            model::WaitCloudInit::Always => WaitCloudInit::Always,
            model::WaitCloudInit::Never => WaitCloudInit::Never,
        },
        host_key: match &connect.host_key.value {
            model::HostKey::Inject => HostKeySpec::Inject,
            model::HostKey::Console => HostKeySpec::Console,
            model::HostKey::AcceptFirst => HostKeySpec::AcceptFirst,
            model::HostKey::Fingerprint(known) => HostKeySpec::Fingerprint(known.to_string()),
            model::HostKey::KnownHosts(known) => HostKeySpec::KnownHosts(known.path().to_owned()),
        },
    }
}

fn provisioner(entry: &model::Provisioner, facts: &RunFacts) -> Result<ProvisionerSpec, StepError> {
    let name = entry.label();
    let action = match entry {
        model::Provisioner::Run(run) => {
            let scripts = match &run.commands {
                model::Commands::Inline(text) => {
                    vec![Script {
                        name: name.clone(),
                        text: rendered(text, "run.inline", facts)?.into_bytes(),
                    }]
                }
                model::Commands::Scripts(files) => files
                    .iter()
                    .map(|script| Script {
                        name: script.file.written.value.clone(),
                        text: script.content.clone(),
                    })
                    .collect(),
            };
            let environment = run
                .env
                .iter()
                .map(|(key, value)| {
                    Ok((
                        key.to_string(),
                        rendered_secret(value, &format!("run.env.{key}"), facts)?,
                    ))
                })
                .collect::<Result<_, StepError>>()?;
            ActionSpec::Run(RunSpec {
                scripts,
                become_user: run.become_user.as_ref().map(ToString::to_string),
                interpreter: run.interpreter.as_ref().map(ToString::to_string),
                errexit: run.errexit,
                environment,
                timeout: run.timeout.map(model::TimeSpan::get),
                exit_codes: run.exit_codes.iter().map(|code| u32::from(*code)).collect(),
            })
        }
        model::Provisioner::Upload(upload) => {
            let content = match &upload.what {
                model::UploadSource::File(file) => UploadContent::File(file.path().to_owned()),
                model::UploadSource::Folder(folder) => {
                    UploadContent::Directory(folder.path().to_owned())
                }
                model::UploadSource::Rendered { text, .. } | model::UploadSource::Content(text) => {
                    UploadContent::Bytes(rendered_secret(text, "upload", facts)?.into_bytes())
                }
            };
            let secret = match &upload.what {
                model::UploadSource::Rendered { text, .. } | model::UploadSource::Content(text) => {
                    text.is_secret()
                }
                model::UploadSource::File(_) | model::UploadSource::Folder(_) => false,
            };
            let mode = upload.mode.map(model::FileMode::bits);
            let mode = match (&content, mode) {
                (UploadContent::Bytes(_), None) => Some(if secret { 0o600 } else { 0o644 }),
                (_, mode) => mode,
            };
            ActionSpec::Upload(UploadSpec {
                content,
                to: upload.to.value.clone(),
                mode,
                become_user: upload.become_user.as_ref().map(ToString::to_string),
            })
        }
    };
    let needs = entry
        .needs()
        .iter()
        .map(|need| need.as_str().to_owned())
        .collect();
    Ok(ProvisionerSpec {
        name,
        needs,
        action,
    })
}

fn image(image: &model::Image, facts: &RunFacts) -> Result<ImageSpec, StepError> {
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
        description: description.unwrap_or_default(),
        tags: rendered_tags(&image.tags, "image.tags", facts)?,
        volumes: volumes(&image.volumes),
        share_accounts: image
            .share
            .accounts
            .iter()
            .map(|id| id.as_str().into())
            .collect(),
        share_snapshots: image.share.snapshots,
        wait: image.wait.get(),
        cache_tags: Tags::new(),
    })
}

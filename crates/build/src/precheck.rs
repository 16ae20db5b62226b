//! What can be told of a pipeline before anything is created, but only by those who know how the parts are put together:
//! the size of the user-data, and the images' names as a run will fill them in.

use crate::failure::StepError;
use crate::names::CellName;
use crate::options::GuestEndpoint;
use crate::plan::names::{Target, clashes};
use crate::selection::{image_regions, name_of, region_of};
use crate::steps::user_data_parts::{Ingredients, compose_parts};
use cloud::{RegionName, Timestamp};
use pipeline::model::{
    Address, Bind, Cell, ElasticIpChoice, EnvName, HostKey, Located, LoginKey, OutputKind, UserData,
};
use pipeline::template::{RunFacts, SecretTemplate, SourceTags};
use pipeline::yaml_edit::set_values;
use pipeline::{Loaded, Problem, check_image_name};
use ssh::{KeyAlgorithm, KeyPair};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// The longest region's name and allocation there are, and the address with the most digits: what a run fills in is no longer.
const LONGEST_REGION: &str = "ap-southeast-1";
const LONGEST_ALLOCATION: &str = "eipalloc-00000000000000000";
const LONGEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 255);

/// Everything that is wrong with `loaded` and can be told without an account. `now` stands for the run's time.
pub fn problems(loaded: &Loaded, now: Timestamp) -> Vec<Problem> {
    let before = loaded.pipeline.preflight.iter();
    let mut problems = environment_problems(loaded, before.filter_map(|entry| entry.environment()));
    for cell in loaded.pipeline.stages.iter() {
        problems.extend(name_problem(loaded, cell, now));
        problems.extend(user_data_problem(loaded, cell, now));
        let environments = cell.all_entries().filter_map(|entry| entry.environment());
        problems.extend(environment_problems(loaded, environments));
    }
    problems.extend(folder_problems(loaded));
    problems.extend(update_problems(loaded));
    problems.extend(clash_problems(loaded, now));
    // What stands once in the file is said once, however many cells are made of it.
    let mut said = Vec::new();
    problems.retain(|problem| {
        let text = problem.render();
        let is_new = !said.contains(&text);
        said.push(text);
        is_new
    });
    problems
}

/// The name of the cell's image; none if it uses the source image, which is not known yet.
fn image_name(cell: &Cell, now: Timestamp) -> Option<String> {
    let region = RegionName::new(LONGEST_REGION);
    let facts = RunFacts {
        run_id: Some(String::from("r-00000000")),
        run_time: Some(now),
        account_id: Some(String::from("000000000000")),
        region: Some(region_of(cell, &region).to_string()),
        cell: Some(name_of(cell, &region).cell),
        ..RunFacts::default()
    };
    cell.image.name.render(&facts).ok()
}

fn name_problem(loaded: &Loaded, cell: &Cell, now: Timestamp) -> Option<Problem> {
    let name = image_name(cell, now)?;
    let error = check_image_name(&name).err()?;
    let message = format!("the image's name would be `{name}`, which EC2 refuses: {error}");
    Some(loaded.problem(cell.image.name.span(), message, None))
}

/// Cells whose images would have the same name in the same region.
fn clash_problems(loaded: &Loaded, now: Timestamp) -> Vec<Problem> {
    let default = RegionName::new(LONGEST_REGION);
    let cells = &loaded.pipeline.stages;
    let targets: Vec<Target> = cells
        .iter()
        .filter_map(|cell| Some((cell, image_name(cell, now)?)))
        .flat_map(|(cell, name)| {
            let regions = image_regions(cell, &default);
            let target = |region| Target {
                cell: name_of(cell, &default),
                region,
                name: name.clone(),
            };
            regions.into_iter().map(target).collect::<Vec<_>>()
        })
        .collect();
    clashes(&targets)
        .into_iter()
        .filter_map(|clash| {
            let second = cells
                .iter()
                .find(|cell| name_of(cell, &default) == clash.second)?;
            let shown = |cell: &CellName| {
                // The pipeline's own region is not known here.
                if cell.cell == LONGEST_REGION {
                    cell.stage.clone()
                } else {
                    cell.to_string()
                }
            };
            let message = format!(
                "the images of {} and {} would have the same name in the same region: `{}`",
                shown(&clash.first),
                shown(&clash.second),
                clash.name
            );
            let hint = String::from(
                "put `${{ cell }}` into the name, or the axes by which the cells differ",
            );
            Some(loaded.problem(second.image.name.span(), message, Some(hint)))
        })
        .collect()
}

/// A folder has the name of a file that is to be written.
fn folder_problems(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    for output in loaded.pipeline.outputs.iter() {
        if let OutputKind::Write { path, .. } = &output.value.kind
            && let Some(name) = path.as_literal()
            && std::path::Path::new(name).is_dir()
        {
            let message = format!("{name} is a folder, and a file is to be written");
            problems.push(loaded.problem(path.span(), message, None));
        }
    }
    problems
}

/// A file in which a value cannot be set is better known before the run than after it.
fn update_problems(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    for output in loaded.pipeline.outputs.iter() {
        let OutputKind::Update { path, from, set } = &output.value.kind else {
            continue;
        };
        // Which file it is, only the run knows.
        let Some(name) = path.as_literal() else {
            continue;
        };
        let read = match (std::fs::read_to_string(name), from) {
            (Err(error), Some(from)) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::read_to_string(from.path())
            }
            (read, _) => read,
        };
        let text = match read {
            Ok(text) => text,
            Err(error) => {
                let hint = String::from(
                    "the file's name is relative to the folder qib is called in; `from` names one to begin with",
                );
                let message = format!("{name} cannot be read: {error}");
                problems.push(loaded.problem(path.span(), message, Some(hint)));
                continue;
            }
        };
        // What is wrong with the file as a whole is told once.
        if let Err(error) = set_values(&text, &BTreeMap::new()) {
            let message = format!("{name} is no YAML that can be edited: {error}");
            problems.push(loaded.problem(path.span(), message, None));
            continue;
        }
        for place in set.keys() {
            let value = BTreeMap::from([(place.value.clone(), String::from("ami-00000000"))]);
            if let Err(error) = set_values(&text, &value) {
                problems.push(loaded.problem(place.span, format!("{name}: {error}"), None));
            }
        }
    }
    problems
}

/// No process can have a variable with a NUL byte in it.
fn environment_problems<'l>(
    loaded: &Loaded,
    environments: impl Iterator<Item = &'l BTreeMap<Located<EnvName>, SecretTemplate>>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in environments.flatten() {
        let text = value.render(&RunFacts::default());
        if text.is_ok_and(|text| text.expose().contains('\0')) {
            let message =
                format!("the value of the environment variable {name} contains a NUL byte");
            problems.push(loaded.problem(name.span, message, None));
        }
    }
    problems
}

/// What stands for what only a run knows, as long as it gets, but for the source image.
fn facts_without_source(now: Timestamp) -> RunFacts {
    RunFacts {
        run_id: Some(String::from("r-00000000")),
        run_time: Some(now),
        account_id: Some(String::from("000000000000")),
        region: Some(LONGEST_REGION.to_owned()),
        cell: Some(LONGEST_REGION.to_owned()),
        ..RunFacts::default()
    }
}

/// The same with the longest name that an image can have.
fn facts_with_source(now: Timestamp) -> RunFacts {
    RunFacts {
        source_id: Some(String::from("ami-00000000000000000")),
        source_name: Some("n".repeat(128)),
        source_created: Some(now),
        source_owner: Some(String::from("000000000000")),
        // EC2 allows a tag's value 256 characters.
        source_tags: SourceTags::Planned("v".repeat(256)),
        ..facts_without_source(now)
    }
}

fn user_data_problem(loaded: &Loaded, cell: &Cell, now: Timestamp) -> Option<Problem> {
    let (launch, connect) = (cell.launch.as_ref()?, cell.connect.as_ref()?);
    let user_data = launch.user_data.as_ref()?;
    let content = match user_data {
        UserData::File(file) => file.content.clone(),
        // A text that uses what is not known yet is checked when it is.
        UserData::Content(text) => text.render(&facts_with_source(now)).ok()?.into_bytes(),
    };
    let generated = KeyPair::generate(KeyAlgorithm::EcdsaP256);
    let host_keys: Vec<Arc<KeyPair>> = match connect.host_key.value {
        HostKey::Inject => [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519]
            .map(|kind| Arc::new(KeyPair::generate(kind)))
            .to_vec(),
        HostKey::Console
        | HostKey::AcceptFirst
        | HostKey::Fingerprint(_)
        | HostKey::KnownHosts(_) => Vec::new(),
    };
    let login_key = match connect.key.value {
        LoginKey::Ed25519 => None,
        LoginKey::File(_) | LoginKey::Agent if connect.key_pair.is_some() => None,
        LoginKey::EcdsaP256 | LoginKey::File(_) | LoginKey::Agent => {
            Some(generated.public_openssh())
        }
    };
    let binding = match &connect.address.value {
        Address::ElasticIp(elastic) if elastic.bind == Bind::UserData => Some((
            match &elastic.choice {
                ElasticIpChoice::One(allocation) => allocation.as_str(),
                ElasticIpChoice::Pool(_) => LONGEST_ALLOCATION,
            },
            LONGEST_ADDRESS,
            Duration::from_secs(elastic.timeout.get().as_secs()),
        )),
        Address::ElasticIp(_) | Address::Public | Address::Private | Address::Ipv6 => None,
    };
    let composed = compose_parts(&Ingredients {
        region: LONGEST_REGION,
        endpoint: &GuestEndpoint::Regional,
        binding,
        rendered: now,
        end_of_life: cloud::clock::after(now, launch.max_lifetime.get()),
        users_part: Some(&content),
        host_keys: &host_keys,
        login_key: login_key.as_deref(),
    });
    match composed {
        Err(error @ (StepError::UserDataTooLarge { .. } | StepError::UserData { .. })) => {
            Some(loaded.problem(user_data.span(), error.to_string(), error.hint()))
        }
        Ok(_) | Err(_) => None,
    }
}

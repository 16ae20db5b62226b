//! What can be told of a pipeline before anything is created, but only by those who know how the parts are put together:
//! the size of the user-data, and the image's name as a run will fill it in.

use crate::failure::StepError;
use crate::options::GuestEndpoint;
use crate::steps::user_data_parts::{Ingredients, compose_parts};
use cloud::Timestamp;
use pipeline::model::{
    Address, Bind, Cell, ElasticIpChoice, EnvName, HostKey, Located, LoginKey, OutputKind, UserData,
};
use pipeline::template::{RunFacts, SecretTemplate};
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
    for stage in loaded.pipeline.stages.iter() {
        problems.extend(name_problem(loaded, stage, now));
        problems.extend(user_data_problem(loaded, stage, now));
        let entries = stage.provision.iter().chain(&stage.on_error);
        let environments = entries.filter_map(|entry| entry.environment());
        problems.extend(environment_problems(loaded, environments));
    }
    problems.extend(update_problems(loaded));
    // What several cells of a stage have is told once.
    let mut told: Vec<Problem> = Vec::new();
    for problem in problems {
        if !told.contains(&problem) {
            told.push(problem);
        }
    }
    told
}

fn name_problem(loaded: &Loaded, stage: &Cell, now: Timestamp) -> Option<Problem> {
    let facts = RunFacts {
        run_id: Some(String::from("r-00000000")),
        run_time: Some(now),
        account_id: Some(String::from("000000000000")),
        region: Some(LONGEST_REGION.to_owned()),
        cell: Some(
            stage
                .name
                .clone()
                .unwrap_or_else(|| LONGEST_REGION.to_owned()),
        ),
        ..RunFacts::default()
    };
    // A name that uses the source image is checked when that is known.
    let name = stage.image.name.render(&facts).ok()?;
    let error = check_image_name(&name).err()?;
    let message = format!("the image's name would be `{name}`, which EC2 refuses: {error}");
    Some(loaded.problem(stage.image.name.span(), message, None))
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

/// What stands for what only a run knows in user-data: as long as it gets.
fn longest_facts(now: Timestamp) -> RunFacts {
    RunFacts {
        run_id: Some(String::from("r-00000000")),
        run_time: Some(now),
        source_id: Some(String::from("ami-00000000000000000")),
        source_name: Some("n".repeat(128)),
        account_id: Some(String::from("000000000000")),
        region: Some(LONGEST_REGION.to_owned()),
        cell: Some(LONGEST_REGION.to_owned()),
        ..RunFacts::default()
    }
}

fn user_data_problem(loaded: &Loaded, stage: &Cell, now: Timestamp) -> Option<Problem> {
    let (launch, connect) = (stage.launch.as_ref()?, stage.connect.as_ref()?);
    let user_data = launch.user_data.as_ref()?;
    let content = match user_data {
        UserData::File(file) => file.content.clone(),
        // A text that uses what is not known yet is checked when it is.
        UserData::Content(text) => text.render(&longest_facts(now)).ok()?.into_bytes(),
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

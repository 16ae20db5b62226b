//! What this cell's instance is told at its first boot. The parts themselves are files in `cloud-init/`.

use super::access::Access;
use super::address::ElasticAddress;
use super::context::CellContext;
use crate::failure::StepError;
use crate::journal::AddressBinder;
use crate::options::GuestEndpoint;
use crate::spec::CellSpec;
use crate::user_data::{LIMIT_BYTES, Part, PartKind, compose};
use ssh::{KeyAlgorithm, KeyPair};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// The script that binds the Elastic IP; its header lists the placeholders.
const BIND_ADDRESS: &str = include_str!("../../../../cloud-init/bind-address.sh");

/// The host keys as cloud-config.
const HOST_KEYS: &str = include_str!("../../../../cloud-init/host-keys.yaml");
/// The login key as cloud-config.
const LOGIN_KEY: &str = include_str!("../../../../cloud-init/login-key.yaml");

/// What a cell's user-data is made of.
pub(crate) struct Ingredients<'a> {
    /// The region.
    pub region: &'a str,
    /// Which EC2 endpoint the instance talks to.
    pub endpoint: &'a GuestEndpoint,
    /// The Elastic IP that the instance binds by itself: allocation, address, and how long it may take.
    pub binding: Option<(&'a str, Ipv4Addr, Duration)>,
    /// The user's own part.
    pub users_part: Option<&'a [u8]>,
    /// Host keys to put in.
    pub host_keys: &'a [Arc<KeyPair>],
    /// The login key to put in, if EC2 does not hand it over.
    pub login_key: Option<&'a str>,
}

/// The cell's user-data, compressed; empty if there is nothing to tell.
pub(super) fn compose_for(
    context: &CellContext,
    spec: &CellSpec,
    access: &Access,
    elastic: Option<&ElasticAddress>,
) -> Result<Vec<u8>, StepError> {
    compose_parts(&Ingredients {
        region: spec.region.as_str(),
        endpoint: &context.run().options.guest_endpoint,
        binding: elastic
            .filter(|address| address.by == AddressBinder::UserData)
            .map(|address| {
                (
                    address.allocation.as_str(),
                    address.public_ip,
                    address.timeout,
                )
            }),
        users_part: spec.launch.user_data.as_deref(),
        host_keys: &access.host_keys,
        login_key: access
            .login_key
            .as_deref()
            .filter(|_| access.key_name.is_none()),
    })
}

/// The user-data of these ingredients. Errs if EC2 would refuse it.
pub(crate) fn compose_parts(ingredients: &Ingredients<'_>) -> Result<Vec<u8>, StepError> {
    let mut parts = Vec::new();
    if let Some(binding) = ingredients.binding {
        let script = bind_script(ingredients.region, ingredients.endpoint, binding);
        parts.push(Part {
            kind: PartKind::Boothook,
            content: script.into_bytes(),
        });
    }
    if let Some(content) = ingredients.users_part {
        // The pipeline's check has seen to it that cloud-init knows the part.
        let kind = PartKind::of(content).unwrap_or(PartKind::ShellScript);
        parts.push(Part {
            kind,
            content: content.to_vec(),
        });
    }
    // Last: each says how it is merged into what came before.
    let configs = cloud_configs(ingredients).into_iter();
    parts.extend(configs.map(|config| Part {
        kind: PartKind::CloudConfig,
        content: config.into_bytes(),
    }));
    let user_data = compose(&parts).map_err(|error| StepError::LocalFile {
        path: String::from("user-data"),
        reason: error.to_string(),
    })?;
    if user_data.len() > LIMIT_BYTES {
        return Err(StepError::UserDataTooLarge {
            size: user_data.len(),
            limit: LIMIT_BYTES,
        });
    }
    Ok(user_data)
}

fn bind_script(
    region: &str,
    endpoint: &GuestEndpoint,
    (allocation, address, within): (&str, Ipv4Addr, Duration),
) -> String {
    let (partition, suffix) = partition_of(region);
    let endpoint = match endpoint {
        GuestEndpoint::Regional => format!("https://ec2.{region}.{suffix}"),
        GuestEndpoint::Fixed(url) => url.clone(),
    };
    BIND_ADDRESS
        .replace("@@REGION@@", region)
        .replace("@@PARTITION@@", partition)
        .replace("@@ENDPOINT@@", &endpoint)
        .replace("@@ALLOCATION_ID@@", allocation)
        .replace("@@PUBLIC_IP@@", &address.to_string())
        .replace("@@DEADLINE_SECONDS@@", &within.as_secs().to_string())
}

/// The partition of a region, and the domain of its endpoints.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
fn partition_of(region: &str) -> (&'static str, &'static str) {
    if region.starts_with("cn-") {
        ("aws-cn", "amazonaws.com.cn")
    } else if region.starts_with("us-gov-") {
        ("aws-us-gov", "amazonaws.com")
    } else {
        ("aws", "amazonaws.com")
    }
}

/// The cloud-config parts with host keys and login key.
fn cloud_configs(ingredients: &Ingredients<'_>) -> Vec<String> {
    let mut configs = Vec::new();
    if !ingredients.host_keys.is_empty() {
        let mut config = HOST_KEYS.to_owned();
        for key in ingredients.host_keys {
            let kind = match key.algorithm() {
                KeyAlgorithm::Ed25519 => "ED25519",
                KeyAlgorithm::EcdsaP256 => "ECDSA",
            };
            let private = key.private_openssh();
            let indented = private.expose().trim_end().replace('\n', "\n    ");
            config = config.replace(&format!("@@{kind}_PRIVATE@@"), &indented);
            config = config.replace(&format!("@@{kind}_PUBLIC@@"), &key.public_openssh());
        }
        configs.push(config);
    }
    if let Some(login) = ingredients.login_key {
        configs.push(LOGIN_KEY.replace("@@LOGIN_KEY@@", login));
    }
    configs
        .into_iter()
        .map(|config| without_comments(&config))
        .collect()
}

/// The comments of our own files are for those who read the files: user-data has 16 KiB.
fn without_comments(config: &str) -> String {
    let mut lines = config.lines();
    let first = lines.next().into_iter();
    first
        .chain(lines.filter(|line| !line.starts_with('#')))
        .map(|line| format!("{line}\n"))
        .collect()
}

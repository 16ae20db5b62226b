//! What this cell's instance is told at its first boot. The parts themselves are files in `cloud-init/`.

use super::access::Access;
use super::address::ElasticAddress;
use super::context::CellContext;
use crate::failure::StepError;
use crate::journal::AddressBinder;
use crate::options::GuestEndpoint;
use crate::spec::CellSpec;
use crate::user_data::{LIMIT_BYTES, Part, PartKind, compose, users_part};
use cloud::Timestamp;
use ssh::{KeyAlgorithm, KeyPair};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// The script that binds the Elastic IP; its header lists the placeholders.
const BIND_ADDRESS: &str = include_str!("../../../../cloud-init/bind-address.sh");

/// The script that ends the instance when its time has come; its header lists the placeholders.
const LIFETIME: &str = include_str!("../../../../cloud-init/lifetime.sh");

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
    /// When this is put together.
    pub rendered: Timestamp,
    /// When the instance terminates itself.
    pub end_of_life: Timestamp,
    /// The user's own part.
    pub users_part: Option<&'a [u8]>,
    /// Host keys to put in.
    pub host_keys: &'a [Arc<KeyPair>],
    /// The login key to put in, if EC2 does not hand it over.
    pub login_key: Option<&'a str>,
}

/// The cell's user-data, compressed.
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
        rendered: context.clock().now(),
        end_of_life: context.end_of_life(),
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
    // After the binding, which everything that connects waits for.
    parts.push(Part {
        kind: PartKind::Boothook,
        content: lifetime_script(ingredients).into_bytes(),
    });
    if let Some(content) = ingredients.users_part {
        let part = users_part(content).map_err(|reason| StepError::UserData { reason })?;
        parts.push(part);
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

fn lifetime_script(ingredients: &Ingredients<'_>) -> String {
    let script = LIFETIME
        .replace("@@END@@", &ingredients.end_of_life.as_second().to_string())
        .replace(
            "@@RENDERED@@",
            &ingredients.rendered.as_second().to_string(),
        );
    without_comments(&script)
}

/// The partition of a region, and the domain of its endpoints.
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
pub(crate) fn partition_of(region: &str) -> (&'static str, &'static str) {
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
fn without_comments(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().into_iter();
    first
        .chain(lines.filter(|line| !line.trim_start().starts_with('#')))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    const ENDPOINT: GuestEndpoint = GuestEndpoint::Regional;

    /// Everything that qib itself can put in, and a user's part.
    fn ingredients<'a>(host_keys: &'a [Arc<KeyPair>], login_key: &'a str) -> Ingredients<'a> {
        Ingredients {
            region: "ap-southeast-1",
            endpoint: &ENDPOINT,
            binding: Some((
                "eipalloc-0123456789abcdef0",
                Ipv4Addr::new(198, 51, 100, 7),
                Duration::from_secs(300),
            )),
            rendered: "2027-01-15T08:00:00Z".parse().unwrap(),
            end_of_life: "2027-01-15T12:00:00.7Z".parse().unwrap(),
            users_part: Some(b"#!/bin/sh\necho the user's own\n"),
            host_keys,
            login_key: Some(login_key),
        }
    }

    fn composed(ingredients: &Ingredients<'_>) -> (usize, String) {
        let user_data = compose_parts(ingredients).unwrap();
        let mut text = String::new();
        GzDecoder::new(user_data.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        (user_data.len(), text)
    }

    #[test]
    fn the_binding_comes_first_then_the_timer_then_the_users_part() {
        let (_, text) = composed(&ingredients(&[], "ssh-ed25519 AAAA"));
        let places: Vec<usize> = [
            "ALLOCATION='eipalloc-0123456789abcdef0'",
            "END='1800014400'\nRENDERED='1800000000'",
            "echo the user's own",
            "ssh-ed25519 AAAA",
        ]
        .iter()
        .map(|wanted| text.find(wanted).unwrap_or_else(|| panic!("no {wanted}")))
        .collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(!text.contains("='@@"), "a placeholder is left");
    }

    #[test]
    fn an_instance_without_an_elastic_ip_ends_as_well() {
        let bare = Ingredients {
            binding: None,
            users_part: None,
            login_key: None,
            ..ingredients(&[], "")
        };
        let (_, text) = composed(&bare);
        assert!(text.contains("Content-Type: text/cloud-boothook"));
        assert!(text.contains("END='1800014400'"));
    }

    #[test]
    fn most_of_the_limit_is_left_to_the_user() {
        let host_keys = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519]
            .map(|kind| Arc::new(KeyPair::generate(kind)));
        let login = KeyPair::generate(KeyAlgorithm::EcdsaP256).public_openssh();
        let (size, _) = composed(&ingredients(&host_keys, &login));
        assert!(size < LIMIT_BYTES * 6 / 10, "{size} bytes");
    }

    #[test]
    fn only_whole_lines_of_comment_are_left_out() {
        let script = without_comments(LIFETIME);
        assert!(script.starts_with("#!/bin/sh\n"));
        assert!(
            !script
                .lines()
                .skip(1)
                .any(|line| line.trim_start().starts_with('#'))
        );
        // What is left is what the tests in cloud-init/tests have run, line by line.
        let code = LIFETIME
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        assert_eq!(
            script.lines().skip(1).collect::<Vec<_>>(),
            code.collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_scripts_agree_on_where_the_end_stands() {
        let extend = include_str!("../../../../cloud-init/extend-lifetime.sh");
        let scrub = include_str!("../../../../cloud-init/scrub.sh");
        for path in [
            "/run/qib/lifetime",
            "/run/qib/watcher",
            "/var/lib/cloud/instance/qib-lifetime",
        ] {
            assert!(LIFETIME.contains(&format!("={path}\n")), "{path}");
            assert!(extend.contains(path), "{path}");
        }
        for left in ["/run/qib", "/qib-lifetime", "/var/log/qib-lifetime.log"] {
            assert!(scrub.contains(left), "{left} is left in the image");
        }
    }
}

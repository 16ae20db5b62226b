//! What this cell's instance is told at its first boot. The parts themselves are files in `cloud-init/`.

use super::access::Access;
use super::address::ElasticAddress;
use super::context::CellContext;
use crate::failure::StepError;
use crate::journal::AddressBinder;
use crate::options::GuestEndpoint;
use crate::spec::{CellSpec, HostKeySpec};
use crate::user_data::{LIMIT_BYTES, Part, PartKind, compose};
use ssh::KeyAlgorithm;

/// The script that binds the Elastic IP; its header lists the placeholders.
const BIND_ADDRESS: &str = include_str!("../../../../cloud-init/bind-address.sh");

/// The cell's user-data, compressed; empty if there is nothing to tell.
pub(super) fn compose_for(
    context: &CellContext,
    spec: &CellSpec,
    access: &Access,
    elastic: Option<&ElasticAddress>,
) -> Result<Vec<u8>, StepError> {
    let mut parts = Vec::new();
    if let Some(address) = elastic
        && address.by == AddressBinder::UserData
    {
        parts.push(Part { kind: PartKind::Boothook, content: bind_script(context, spec, address).into_bytes() });
    }
    if let Some(content) = &spec.launch.user_data {
        // The pipeline's check has seen to it that cloud-init knows the part.
        let kind = PartKind::of(content).unwrap_or(PartKind::ShellScript);
        parts.push(Part { kind, content: content.clone() });
    }
    if let Some(config) = cloud_config(spec, access) {
        parts.push(Part { kind: PartKind::CloudConfig, content: config.into_bytes() });
    }
    let user_data = compose(&parts).map_err(|error| StepError::LocalFile {
        path: String::from("user-data"),
        reason: error.to_string(),
    })?;
    if user_data.len() > LIMIT_BYTES {
        return Err(StepError::UserDataTooLarge { size: user_data.len(), limit: LIMIT_BYTES });
    }
    Ok(user_data)
}

fn bind_script(context: &CellContext, spec: &CellSpec, address: &ElasticAddress) -> String {
    let region = spec.region.as_str();
    let (partition, suffix) = partition_of(region);
    let endpoint = match &context.run().options.guest_endpoint {
        GuestEndpoint::Regional => format!("https://ec2.{region}.{suffix}"),
        GuestEndpoint::Fixed(url) => url.clone(),
    };
    BIND_ADDRESS
        .replace("@@REGION@@", region)
        .replace("@@PARTITION@@", partition)
        .replace("@@ENDPOINT@@", &endpoint)
        .replace("@@ALLOCATION_ID@@", address.allocation.as_str())
        .replace("@@PUBLIC_IP@@", &address.public_ip.to_string())
        .replace("@@DEADLINE_SECONDS@@", &address.timeout.as_secs().to_string())
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

/// Host keys and login key as cloud-config. Appended to the user's own lists, never in their place.
fn cloud_config(spec: &CellSpec, access: &Access) -> Option<String> {
    let injects = spec.connect.host_key == HostKeySpec::Inject;
    let login = access.login_key.as_ref().filter(|_| access.key_name.is_none());
    if !injects && login.is_none() {
        return None;
    }
    let mut config = String::from("#cloud-config\nmerge_how: 'list(append)+dict(no_replace,recurse_list)+str()'\n");
    if injects {
        config.push_str("ssh_deletekeys: true\nssh_keys:\n");
        for key in &access.host_keys {
            let kind = match key.algorithm() {
                KeyAlgorithm::Ed25519 => "ed25519",
                KeyAlgorithm::EcdsaP256 => "ecdsa",
            };
            config.push_str(&format!("  {kind}_private: |\n"));
            let private = key.private_openssh();
            for line in private.expose().lines() {
                config.push_str(&format!("    {line}\n"));
            }
            config.push_str(&format!("  {kind}_public: {}\n", key.public_openssh()));
        }
    }
    if let Some(login) = login {
        config.push_str(&format!("ssh_authorized_keys:\n  - {login}\n"));
    }
    Some(config)
}

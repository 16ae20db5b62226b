//! `connect`.

use super::rendered_secret;
use crate::failure::StepError;
use crate::journal::AddressBinder;
use crate::spec::*;
use pipeline::model;
use pipeline::template::RunFacts;

/// The port of SSH.
const SSH_PORT: u16 = 22;

pub(super) fn connect(
    connect: &model::Connect,
    facts: &RunFacts,
) -> Result<ConnectSpec, StepError> {
    let proxy = connect.proxy.as_ref();
    Ok(ConnectSpec {
        key_pair: connect.key_pair.as_ref().map(ToString::to_string),
        bastion: connect
            .bastion
            .as_ref()
            .map(|bastion| self::bastion(bastion)),
        proxy: proxy.map(|proxy| self::proxy(proxy, facts)).transpose()?,
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
            model::Address::Ipv6 => AddressSpec::Ipv6,
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
    })
}

fn bastion(bastion: &model::Bastion) -> BastionSpec {
    BastionSpec {
        host: bastion.host.to_string(),
        port: bastion.port.map_or(SSH_PORT, std::num::NonZeroU16::get),
        user: bastion.user.to_string(),
        key: match &bastion.key.value {
            model::BastionKey::File(key) => BastionKeySpec::File(key.path().to_owned()),
            model::BastionKey::Agent => BastionKeySpec::Agent,
        },
        host_key: match bastion.host_key.as_ref().map(|key| &key.value) {
            Some(model::BastionHostKey::Fingerprint(known)) => {
                BastionHostKeySpec::Fingerprint(known.to_string())
            }
            // The check of the pipeline has refused a bastion without a host key; an empty file knows none either.
            None => BastionHostKeySpec::KnownHosts("/dev/null".into()),
            Some(model::BastionHostKey::KnownHosts(known)) => {
                BastionHostKeySpec::KnownHosts(known.path().to_owned())
            }
            Some(model::BastionHostKey::AcceptFirst) => BastionHostKeySpec::AcceptFirst,
        },
    }
}

fn proxy(proxy: &model::Proxy, facts: &RunFacts) -> Result<ssh::SocksProxy, StepError> {
    let login = match (&proxy.url.user, &proxy.password) {
        (Some(user), Some(password)) => Some(ssh::SocksLogin {
            user: user.clone(),
            password: ssh::Secret::new(rendered_secret(password, "connect.proxy.password", facts)?),
        }),
        // The check of the pipeline has refused one without the other.
        (Some(_) | None, None) | (None, Some(_)) => None,
    };
    Ok(ssh::SocksProxy {
        destination: ssh::Destination {
            host: proxy.url.host.to_string(),
            port: proxy.url.port.get(),
        },
        login,
    })
}

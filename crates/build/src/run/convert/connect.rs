//! `connect`.

use crate::journal::AddressBinder;
use crate::spec::*;
use pipeline::model;

pub(super) fn connect(connect: &model::Connect) -> ConnectSpec {
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
    }
}

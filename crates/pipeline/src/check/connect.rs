//! How an instance is reached: what must fit each other.

use crate::Span;
use crate::model::Located;
use crate::model::{
    Address, Bind, Cell, Connect, HostKey, Launch, LoginKey, SshFrom, WaitCloudInit,
};
use crate::problem::Fault;
use crate::template::RunFacts;

pub(super) fn check(stage: &Cell) -> Vec<Fault> {
    let (Some(launch), Some(connect)) = (&stage.launch, &stage.connect) else {
        return Vec::new();
    };
    let profile = launch.instance_profile.is_some();
    let mut faults = check_one(stage, launch, connect, profile);
    if let Some(test) = &stage.test
        // What the stage says has been checked with it.
        && let Some(connect) = &test.connect
    {
        let profile = profile || test.launch.instance_profile.is_some();
        faults.extend(check_one(stage, launch, connect, profile));
    }
    faults
}

/// Where a key stands; of one that is left out, the stage's name is what there is to point at.
fn place<T>(key: &Located<T>, stage: &Cell) -> Span {
    if key.span == Span::START {
        stage.stage.span
    } else {
        key.span
    }
}

fn check_one(stage: &Cell, launch: &Launch, connect: &Connect, has_profile: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (address, host_key) = (
        place(&connect.address, stage),
        place(&connect.host_key, stage),
    );
    match &connect.address.value {
        Address::ElasticIp(ip) if ip.bind == Bind::UserData => {
            if !has_profile {
                let message = "binding the Elastic IP from user-data needs `launch.instance_profile`: \
                               the instance itself calls AssociateAddress";
                faults.push(
                    Fault::new(address, message)
                        .hint("name an instance profile, or write `bind: api` to let qib bind it"),
                );
            }
            if !launch.public_ip && launch.egress.is_none() {
                let message = "without a public address at launch the instance cannot reach EC2 to bind its Elastic IP";
                faults.push(Fault::new(address, message).hint(
                    "leave `launch.public_ip` on, say how it gets out with `launch.egress: nat` or `endpoint`, \
                     or write `bind: api`",
                ));
            }
        }
        Address::Public if !launch.public_ip && connect.host.is_none() => {
            let message = "`launch.public_ip: false` leaves no public address to connect to";
            faults.push(Fault::new(address, message).hint(
                "write `connect.address: private`, or name an Elastic IP or a `connect.host`",
            ));
        }
        Address::Ipv6 if !launch.ipv6 => {
            let message = "`connect.address: ipv6` needs an instance with an IPv6 address";
            faults.push(Fault::new(address, message).hint("write `launch.ipv6: true`"));
        }
        Address::Ipv6
            if launch.ssh_from == SshFrom::Caller
                && launch.security_groups.is_empty()
                && connect.host.is_none() =>
        {
            // The caller's address is asked for over IPv4.
            let message = "`ssh_from: caller` lets in the caller's IPv4 address, and `connect.address: ipv6` comes from another";
            faults.push(Fault::new(address, message).hint(
                "say which networks may come in: `launch.ssh_from: [\"2001:db8::/64\"]`, or `anywhere`",
            ));
        }
        _ => {}
    }
    if !launch.security_groups.is_empty() && launch.ssh_from != SshFrom::Caller {
        let at = launch
            .security_groups
            .first()
            .map_or(stage.stage.span, |group| group.span);
        faults.push(
            Fault::new(at, "`ssh_from` opens qib's own security group, and with `security_groups` there is none")
                .hint("leave one of the two out"),
        );
    }
    faults.extend(ways(stage, launch, connect));
    if connect.host_key.value == HostKey::Inject && connect.wait_cloud_init == WaitCloudInit::Never
    {
        let message = "`host_key: inject` needs cloud-init to have run, and `wait_cloud_init: false` does not wait for it";
        faults.push(
            Fault::new(host_key, message)
                .hint("leave `wait_cloud_init` at auto, or verify the host key another way: console, fingerprint"),
        );
    }
    faults
}

/// Bastion, proxy and key pair.
fn ways(stage: &Cell, launch: &Launch, connect: &Connect) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(bastion) = &connect.bastion
        && bastion.host_key.is_none()
    {
        let message = "there is nothing to verify the bastion's host key with";
        faults.push(Fault::new(bastion.span, message).hint(
            "add `host_key: { fingerprint: \"SHA256:…\" }` (`ssh-keygen -lf KEY.pub` on the bastion) or \
             `host_key: { known_hosts: FILE }`; `host_key: accept-first` believes whoever answers first",
        ));
    }
    if let Some(by) = connect.comes_from_elsewhere()
        && launch.security_groups.is_empty()
        && launch.ssh_from == SshFrom::Caller
    {
        let at = match (&connect.bastion, &connect.proxy) {
            (Some(bastion), _) => bastion.span,
            (None, Some(proxy)) => proxy.span,
            (None, None) => stage.stage.span,
        };
        let message = format!(
            "SSH comes from the {by}, and `launch.ssh_from: caller` (the default) opens the instance's group to this machine only"
        );
        faults.push(Fault::new(at, message).hint(format!(
            "say from where it comes: `ssh_from: [CIDR]` with the address that the instance sees the {by} at, or name `security_groups` that let it in"
        )));
    }
    if let Some(proxy) = &connect.proxy {
        match (&proxy.url.user, &proxy.password) {
            (Some(_), None) => faults.push(
                Fault::new(proxy.span, "the proxy's user has no password")
                    .hint("add `password: \"${{ vars.NAME }}\"` with a secret variable, or leave the user out of the URL"),
            ),
            (None, Some(_)) => faults.push(
                Fault::new(proxy.span, "the proxy's password belongs to nobody")
                    .hint("put the user into the URL: socks5://USER@HOST:PORT"),
            ),
            (Some(_), Some(password)) if !password.is_secret() => faults.push(
                Fault::new(password.span(), "the proxy's password is no secret here")
                    .hint("take it from a variable with `secret: true`, which no log shows"),
            ),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let used = proxy
            .password
            .as_ref()
            .map(|password| (password, password.render(&RunFacts::default())));
        match used {
            Some((password, Err(_))) => faults.push(Fault::new(
                password.span(),
                "a proxy's password cannot use what only a run knows",
            )),
            Some((password, Ok(text))) if !(1..=255).contains(&text.expose().len()) => {
                faults.push(Fault::new(
                    password.span(),
                    "a proxy's password has 1 to 255 bytes (RFC 1929)",
                ))
            }
            Some((_, Ok(_))) | None => {}
        }
    }
    if let Some(name) = &connect.key_pair
        && matches!(connect.key.value, LoginKey::Ed25519 | LoginKey::EcdsaP256)
    {
        let message = format!(
            "the private key of the key pair {:?} is not known",
            name.value.as_str()
        );
        faults.push(Fault::new(name.span, message).hint(
            "say where it is: `key: { file: … }`, or `key: agent` for a key in the SSH agent",
        ));
    }
    faults
}

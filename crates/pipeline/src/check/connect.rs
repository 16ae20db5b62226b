//! How an instance is reached: what must fit each other.

use crate::Span;
use crate::model::Located;
use crate::model::{Address, Bind, Cell, HostKey, SshFrom, WaitCloudInit};
use crate::problem::Fault;

/// Where a key stands; of one that is left out, the stage's name is what there is to point at.
fn place<T>(key: &Located<T>, stage: &Cell) -> Span {
    if key.span == Span::START {
        stage.stage.span
    } else {
        key.span
    }
}

pub(super) fn check(stage: &Cell) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (Some(launch), Some(connect)) = (&stage.launch, &stage.connect) else {
        return faults;
    };
    let (address, host_key) = (
        place(&connect.address, stage),
        place(&connect.host_key, stage),
    );
    match &connect.address.value {
        Address::ElasticIp(ip) if ip.bind == Bind::UserData => {
            if launch.instance_profile.is_none() {
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

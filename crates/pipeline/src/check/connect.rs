//! How an instance is reached: what must fit each other.

use crate::Span;
use crate::model::Located;
use crate::model::{Address, Bind, Cell, Connect, HostKey, SshFrom, WaitCloudInit};
use crate::problem::Fault;

pub(super) fn check(stage: &Cell) -> Vec<Fault> {
    let profile = stage.launch.instance_profile.is_some();
    let mut faults = check_one(stage, &stage.connect, profile);
    if let Some(test) = &stage.test {
        let connect = test.connect.as_ref().unwrap_or(&stage.connect);
        let has_profile = profile || test.launch.instance_profile.is_some();
        // What the stage says has been checked with it.
        if test.connect.is_some() {
            faults.extend(check_one(stage, connect, has_profile));
        }
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

fn check_one(stage: &Cell, connect: &Connect, has_profile: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let launch = &stage.launch;
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

//! Whether a stage's own timeouts fit into its instance's life. Pure.

use crate::spec::{AddressSpec, CellSpec};
use crate::steps::CONNECT_WITHIN;
use pipeline::model::TimeSpan;
use std::fmt;
use std::time::Duration;

/// A stage that may still be at work when its instance terminates itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// How long the instance lives.
    pub max_lifetime: Duration,
    /// What binding the address and connecting may take.
    pub connect: Duration,
    /// What provisioners that have a timeout may take, one after the other.
    pub provision: Duration,
    /// What making the image may take.
    pub image: Duration,
}

impl Shortage {
    /// What all of it may take.
    fn needed(&self) -> Duration {
        [self.connect, self.provision, self.image]
            .into_iter()
            .fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |duration: Duration| TimeSpan::from_secs(duration.as_secs());
        write!(
            f,
            "the instance terminates itself after {} (launch.max_lifetime), and the stage's own timeouts add up to {}: \
             connecting {}, provisioning {}, the image {}; raise launch.max_lifetime or lower them",
            span(self.max_lifetime),
            span(self.needed()),
            span(self.connect),
            span(self.provision),
            span(self.image),
        )
    }
}

/// What is short in the life of `spec`'s instance; none if its timeouts fit. A provisioner without a timeout counts as
/// nothing: how long it takes is not known.
pub fn shortage(spec: &CellSpec) -> Option<Shortage> {
    let bind = match &spec.connect.address {
        AddressSpec::Elastic { timeout, .. } => *timeout,
        AddressSpec::Public | AddressSpec::Private | AddressSpec::Ipv6 => Duration::ZERO,
    };
    let connect = spec.connect.timeout.unwrap_or(CONNECT_WITHIN);
    let provision = spec.provision.iter().map(|step| step.schedule.longest);
    let shortage = Shortage {
        max_lifetime: spec.launch.max_lifetime,
        connect: connect.saturating_add(bind),
        provision: provision.fold(Duration::ZERO, Duration::saturating_add),
        image: spec.image.wait,
    };
    (shortage.needed() > shortage.max_lifetime).then_some(shortage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::AddressBinder;
    use crate::names::CellName;
    use crate::spec::*;
    use cloud::Tags;

    const MINUTE: Duration = Duration::from_secs(60);

    fn spec(lifetime_minutes: u32) -> CellSpec {
        CellSpec {
            cell: CellName {
                stage: "base".into(),
                cell: "us-east-2".into(),
            },
            region: "us-east-2".into(),
            launch: LaunchSpec {
                machines: vec!["t3.micro".into()],
                subnets: vec![SubnetSpec::DefaultVpc { zone: None }],
                purchase: PurchaseSpec::OnDemand,
                max_lifetime: MINUTE * lifetime_minutes,
                security_groups: Vec::new(),
                vpc: None,
                instance_profile: None,
                volumes: Vec::new(),
                left_out_devices: Vec::new(),
                ssh_from: SshFrom::Caller,
                user_data: None,
                ebs_optimized: None,
                public_ip: true,
                ipv6: false,
                hosting: cloud::Hosting::default(),
                metadata: cloud::MetadataOptions::default(),
                guest_shutdown: cloud::GuestShutdown::Terminate,
                tags: Tags::new(),
            },
            connect: ConnectSpec {
                key_pair: None,
                bastion: None,
                proxy: None,
                user: "me".into(),
                key: KeySpec::Agent,
                address: AddressSpec::Public,
                host: None,
                port: None,
                timeout: Some(MINUTE * 6),
                pty: false,
                wait_cloud_init: WaitCloudInit::Auto,
                host_key: HostKeySpec::Inject,
            },
            build_name: "base".into(),
            provision: Vec::new(),
            on_error: Vec::new(),
            image: ImageSpec {
                name: "image".into(),
                description: String::new(),
                tags: Tags::new(),
                volumes: Vec::new(),
                wait: MINUTE * 60,
                ..ImageSpec::default()
            },
            test: None,
            tags: Tags::new(),
        }
    }

    fn pause(longest_minutes: u32) -> ProvisionerSpec {
        ProvisionerSpec {
            name: "pause".into(),
            needs: Vec::new(),
            action: ActionSpec::Pause(Duration::ZERO),
            schedule: ScheduleSpec {
                longest: MINUTE * longest_minutes,
                ..ScheduleSpec::default()
            },
        }
    }

    #[test]
    fn what_fits_to_the_second_is_not_short() {
        assert_eq!(shortage(&spec(66)), None);
        assert!(shortage(&spec(65)).is_some());
    }

    #[test]
    fn provisioners_add_up() {
        let mut stage = spec(240);
        stage.provision = vec![pause(90), pause(0)];
        assert_eq!(shortage(&stage), None);
        stage.provision.push(pause(100));
        let short = shortage(&stage).unwrap();
        assert_eq!(short.provision, MINUTE * 190);
        assert_eq!(
            short.to_string(),
            "the instance terminates itself after 4h (launch.max_lifetime), and the stage's own timeouts add up to \
             4h16m: connecting 6m, provisioning 3h10m, the image 1h; raise launch.max_lifetime or lower them"
        );
    }

    #[test]
    fn binding_an_address_and_the_default_of_connecting_count() {
        let mut stage = spec(10);
        stage.image.wait = Duration::ZERO;
        stage.connect.timeout = None;
        assert_eq!(shortage(&stage), None);
        stage.connect.address = AddressSpec::Elastic {
            choice: AddressChoice::One("eipalloc-1".into()),
            by: AddressBinder::Api,
            timeout: MINUTE * 10,
            // Waiting for the address comes before the launch.
            wait: MINUTE * 600,
        };
        assert_eq!(
            shortage(&stage).map(|short| short.connect),
            Some(MINUTE * 15)
        );
    }
}

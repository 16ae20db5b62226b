//! Launch options that must fit each other, by EC2's rules.

use crate::model::{
    CapacityReservation, Cell, FallBack, InstanceProfile, Launch, Placement, Policy, Spot,
    SubnetChoice, Tenancy,
};
use crate::problem::Fault;

pub(super) fn check(stage: &Cell, launch: &Launch) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(subnets(launch));
    faults.extend(policy(launch));
    faults.extend(credits(launch));
    if let Some(placement) = &launch.placement {
        faults.extend(host(launch, &placement.value));
        if placement.value == Placement::default() {
            faults.push(
                Fault::new(placement.span, "`placement` says nothing")
                    .hint("give it `tenancy`, `host`, `host_resource_group` or `group`"),
            );
        }
    }
    faults.extend(capacity_reservation(launch));
    faults.extend(instance_tags(stage, launch));
    faults
}

/// The default VPC's subnets are not in another one.
fn subnets(launch: &Launch) -> Option<Fault> {
    launch.vpc.as_ref()?;
    let default = launch
        .subnets
        .iter()
        .find(|subnet| matches!(subnet.value, SubnetChoice::DefaultVpc { .. }))?;
    let message = "`default_vpc: true` takes the default VPC, and `launch.vpc` says another one";
    Some(Fault::new(default.span, message).hint("leave one of the two out"))
}

fn policy(launch: &Launch) -> Option<Fault> {
    let InstanceProfile::Temporary(policy) = &launch.instance_profile.as_ref()?.value else {
        return None;
    };
    // A file's is checked where it is read.
    if policy.file.is_some() {
        return None;
    }
    let why = policy.check().err()?;
    Some(Fault::new(policy.span, why).hint(Policy::FORM))
}

/// EC2 API, RunInstances, `CreditSpecification`: valid for T instances only.
fn credits(launch: &Launch) -> Option<Fault> {
    let credits = launch.credits.as_ref()?;
    let burstable = |name: &str| {
        let mut letters = name.chars();
        letters.next() == Some('t') && letters.next().is_some_and(|c| c.is_ascii_digit())
    };
    let other = launch
        .instance_types
        .iter()
        .find(|kind| !burstable(kind.as_str()))?;
    let message = format!("`credits` is for burstable instance types (T), and {other} is none");
    Some(Fault::new(credits.span, message).hint("leave `credits` out, or name T types only"))
}

/// EC2 User Guide, "Amazon EC2 Dedicated Hosts", restrictions.
fn host(launch: &Launch, placement: &Placement) -> Vec<Fault> {
    let mut faults = Vec::new();
    let named = placement
        .host
        .as_ref()
        .map(|host| ("host", host.span))
        .into_iter()
        .chain(
            placement
                .host_resource_group
                .as_ref()
                .map(|group| ("host_resource_group", group.span)),
        );
    let named: Vec<_> = named.collect();
    if let [_, (_, span)] = named.as_slice() {
        faults.push(Fault::new(
            *span,
            "an instance runs on one `host`, or on one of a `host_resource_group`",
        ));
    }
    let is_host = !named.is_empty() || placement.tenancy == Some(Tenancy::Host);
    if let (Some((key, span)), Some(tenancy)) = (named.first(), placement.tenancy)
        && tenancy != Tenancy::Host
    {
        let message = format!("`{key}` needs `tenancy: host`, not `{}`", tenancy.as_str());
        faults.push(Fault::new(*span, message).hint("leave `tenancy` out: it follows"));
    }
    let at = launch.placement.as_ref().map(|placement| placement.span);
    if let (true, Some(group)) = (is_host, &placement.group) {
        let message = "dedicated hosts cannot be in a placement group";
        faults.push(Fault::new(group.span, message).hint("leave one of the two out"));
    }
    if let (true, Spot::Yes(_), Some(at)) = (is_host, &launch.spot, at) {
        faults.push(
            Fault::new(at, "dedicated hosts have no spot instances")
                .hint("leave `launch.spot` out"),
        );
    }
    faults
}

/// EC2 User Guide, "On-Demand Capacity Reservations", restrictions: spot instances use none.
fn capacity_reservation(launch: &Launch) -> Option<Fault> {
    let reservation = launch.capacity_reservation.as_ref()?;
    let Spot::Yes(terms) = &launch.spot else {
        return None;
    };
    let wanted = matches!(
        reservation.value,
        CapacityReservation::Id(_) | CapacityReservation::Group(_)
    );
    (wanted && terms.fall_back == FallBack::None).then(|| {
        Fault::new(reservation.span, "spot instances use no capacity reservation")
            .hint("leave one of the two out, or let the launch fall back: `spot: { fall_back: on-demand }`")
    })
}

/// EC2 User Guide, "View tags for your EC2 instances using instance metadata": the keys that can be paths.
fn instance_tags(stage: &Cell, launch: &Launch) -> Vec<Fault> {
    if !launch
        .metadata
        .instance_tags
        .as_deref()
        .is_some_and(|on| *on)
    {
        return Vec::new();
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-=.,_:@".contains(c);
    let keys = stage.tags.keys().chain(launch.tags.keys());
    keys.filter(|key| {
        let key = key.as_str();
        !key.chars().all(allowed) || matches!(key, "." | ".." | "_index")
    })
    .map(|key| {
        let message =
            format!("with `metadata.instance_tags` EC2 refuses the tag `{key}` of the instance");
        Fault::new(key.span, message)
            .hint("such keys have letters, digits and + - = . , _ : @ only, and are not . or .. or _index")
    })
    .collect()
}

//! What `launch` says about where, how and for how long an instance runs.

use crate::bad_input::{GOOD, setup};
use pipeline::model::{FallBack, Launch, Spot, SpotOptions};
use std::time::Duration;

/// The launch of a pipeline that says `lines` besides its instance type.
fn launch(lines: &str) -> Launch {
    let text = GOOD.replace(
        "instance_type: t3.micro",
        &format!("instance_type: t3.micro\n      {lines}"),
    );
    launch_of(&text)
}

fn launch_of(text: &str) -> Launch {
    let loaded = setup().load(text).map_err(|error| error.to_string());
    loaded.unwrap().pipeline.stages[0].launch.clone()
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_said_has_a_default() {
    let launch = launch_of(GOOD);
    assert_eq!(texts(&launch.instance_types), ["t3.micro"]);
    assert_eq!(texts(&launch.subnets), ["{ default_vpc: true }"]);
    assert_eq!(launch.spot, Spot::No);
    assert_eq!(launch.max_lifetime.get(), Duration::from_secs(4 * 3_600));
}

#[test]
fn instance_types_and_subnets_keep_their_order() {
    let text = GOOD.replace(
        "instance_type: t3.micro",
        "instance_types: [t3.small, m5.large, \"t3.${{ vars.class }}\"]\n      \
         subnets: [subnet-0b, { default_vpc: true, zone: c }, subnet-0a]",
    );
    let text = text.replace("vars:\n", "vars:\n  class: { default: micro }\n");
    let launch = launch_of(&text);
    assert_eq!(
        texts(&launch.instance_types),
        ["t3.small", "m5.large", "t3.micro"]
    );
    assert_eq!(
        texts(&launch.subnets),
        ["subnet-0b", "{ default_vpc: true, zone: c }", "subnet-0a"]
    );
}

#[test]
fn spot_is_a_word_or_its_terms() {
    assert_eq!(launch("spot: false").spot, Spot::No);
    assert_eq!(launch("spot: true").spot, Spot::Yes(SpotOptions::default()));
    let Spot::Yes(terms) = launch("spot: { max_price: 0.125, fall_back: none }").spot else {
        panic!("it is on demand");
    };
    assert_eq!(terms.max_price.unwrap().as_str(), "0.125");
    assert_eq!(terms.fall_back, FallBack::None);
    let Spot::Yes(terms) = launch("spot: { max_price: '1' }").spot else {
        panic!("it is on demand");
    };
    assert_eq!(terms.max_price.unwrap().as_str(), "1");
    assert_eq!(terms.fall_back, FallBack::OnDemand);
}

#[test]
fn the_shortest_lifetime_is_ten_minutes() {
    let lifetime = |lines: &str| launch(lines).max_lifetime.get();
    assert_eq!(lifetime("max_lifetime: 10m"), Duration::from_secs(600));
    assert_eq!(
        lifetime("max_lifetime: 1d12h"),
        Duration::from_secs(129_600)
    );
}

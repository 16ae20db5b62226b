//! How long an instance lives: every instance terminates itself at its end, whatever has become of qib.
//!
//! ```text
//!   launch ──── max_lifetime ────▶ end ──▶ the guest shuts itself down ──▶ EC2 terminates it
//!                                   ▲
//!                                   └── extend: a later end for an instance that was kept
//! ```
//!
//! The end stands in two places that say the same: the timer in the guest (`cloud-init/lifetime.sh`), which acts, and the
//! instance's tag `qib:expires`, which others read.

mod extend;
mod shortage;

pub use extend::{ExtendError, Extension, extend};
pub use shortage::{Shortage, shortage};

use crate::names::tag;
use crate::spec::CellSpec;
use cloud::{GuestShutdown, Tags, Timestamp};
use std::time::Duration;

/// How long an instance lives where the pipeline says nothing.
pub const DEFAULT: Duration = Duration::from_secs(4 * 3600);

/// What a person should know of the life of `spec`'s instance before it is launched.
pub fn warnings(spec: &CellSpec) -> Vec<String> {
    let short = shortage(spec).map(|short| short.to_string());
    let stays = (spec.launch.guest_shutdown == GuestShutdown::Stop).then(|| {
        String::from(
            "with `launch.on_shutdown: stop` the instance only stops when launch.max_lifetime is over, and stays with its \
             volumes; if qib is gone by then, `qib sweep` removes it",
        )
    });
    short.into_iter().chain(stays).collect()
}

/// `end` as `qib:expires` has it: RFC 3339, whole seconds, UTC.
pub fn tag_value(end: Timestamp) -> String {
    end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// When the resource with `tags` may be taken for abandoned; none if it does not say so in a form that can be read.
pub fn expires(tags: &Tags) -> Option<Timestamp> {
    tags.get(tag::EXPIRES)?.parse().ok()
}

/// The end of a life that ends at `end` and is to last `by` longer. One that is over already counts from `now`.
pub fn later_end(end: Option<Timestamp>, now: Timestamp, by: Duration) -> Timestamp {
    cloud::clock::after(end.unwrap_or(now).max(now), by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_tag_reads_back() {
        let end = at("2026-11-21T12:00:00.9Z");
        let tags = Tags::new().with(tag::EXPIRES, tag_value(end));
        assert_eq!(expires(&tags), Some(at("2026-11-21T12:00:00Z")));
        assert_eq!(expires(&Tags::new()), None);
        assert_eq!(expires(&Tags::new().with(tag::EXPIRES, "tomorrow")), None);
    }

    #[test]
    fn a_life_is_lengthened_from_its_end_or_from_now() {
        let now = at("2026-11-21T12:00:00Z");
        let hour = Duration::from_secs(3600);
        let later = |end| later_end(end, now, hour);
        assert_eq!(
            later(Some(at("2026-11-21T15:00:00Z"))),
            at("2026-11-21T16:00:00Z")
        );
        assert_eq!(
            later(Some(at("2026-11-21T09:00:00Z"))),
            at("2026-11-21T13:00:00Z")
        );
        assert_eq!(later(None), at("2026-11-21T13:00:00Z"));
    }
}

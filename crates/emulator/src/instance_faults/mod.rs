//! What is to go wrong with instances and the images made from them: keys of [`Faults`](crate::faults::Faults).
//!
//! Each may be for some instances only, see [`Selector`].
//!
//! | key | value | what happens |
//! |---|---|---|
//! | `instance_never_boots` | bool | shown as running, but nothing ever runs in it |
//! | `instance_never_runs` | bool | a launch ends in `terminated`, a start in `stopped`: `Server.InternalError` |
//! | `instance_boots_without_network` | bool | it runs, but its metadata service, its way to the API and its SSH server give no answer |
//! | `instance_never_stops` | bool | StopInstances leaves it `stopping` until it is forced or terminated |
//! | `instance_shutdown_takes_ms` | number | so long in `stopping` (unless forced) and in `shutting-down`, the guest still running |
//! | `instance_terminated_after_ms` | number | AWS terminates it so long after it came to run |
//! | `spot_interruption` | `{"after_ms", "notice_ms"}` | AWS takes it back; its metadata service says so `notice_ms` before, two minutes by default |
//! | `binding_refused` | bool | the guest may not bind an address, whatever its role says |
//! | `binding_delayed_ms` | number | AssociateAddress is answered at once and takes effect so much later |
//! | `image_creation_fails` | bool | its disk cannot be captured |
//! | `image_fails_at_percent` | 0–100 | images become `failed` when the snapshot has come so far; the snapshot is completed |
//! | `snapshot_fails_at_percent` | 0–100 | snapshots stop there with `error`, and their image is `failed` |
//! | `image_never_completes` | bool | snapshots stay at 99 %, images `pending` |
//! | `image_takes_ms` | number | how long the making takes once the disk is captured |
//! | `imds_down` | bool | the metadata service gives no answer |
//! | `imds_delay_ms` | number | each of its answers comes so late |
//! | `ssh_never_up` | bool | no packet to the SSH server is answered |
//! | `ssh_refuses_first` | number | the first so many connections are reset at once |
//! | `ssh_banner_delay_ms` | number | the server's first byte comes so late |
//! | `ssh_breaks` | see [`SshBreak`] | connections end or hang in the middle |

mod selector;

pub use selector::{Aimed, Selector, Subject, TagMatch};

use crate::account::image::Progress;
use crate::ids::InstanceId;
use jiff::Timestamp;
use serde::Deserialize;
use std::time::Duration;

/// The keys, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct InstanceFaults {
    instance_never_boots: Option<Aimed<bool>>,
    instance_never_runs: Option<Aimed<bool>>,
    instance_boots_without_network: Option<Aimed<bool>>,
    instance_never_stops: Option<Aimed<bool>>,
    instance_shutdown_takes_ms: Option<Aimed<u64>>,
    instance_terminated_after_ms: Option<Aimed<u64>>,
    spot_interruption: Option<Aimed<SpotInterruption>>,
    binding_refused: Option<Aimed<bool>>,
    binding_delayed_ms: Option<Aimed<u64>>,
    image_creation_fails: Option<Aimed<bool>>,
    image_fails_at_percent: Option<Aimed<Percent>>,
    snapshot_fails_at_percent: Option<Aimed<Percent>>,
    image_never_completes: Option<Aimed<bool>>,
    image_takes_ms: Option<Aimed<u64>>,
    imds_down: Option<Aimed<bool>>,
    imds_delay_ms: Option<Aimed<u64>>,
    ssh_never_up: Option<Aimed<bool>>,
    ssh_refuses_first: Option<Aimed<u32>>,
    ssh_banner_delay_ms: Option<Aimed<u64>>,
    ssh_breaks: Option<Aimed<SshBreak>>,
    /// The instances launched since these faults were set, in order, for [`Selector::Next`].
    #[serde(skip)]
    launched: Vec<InstanceId>,
}

/// AWS takes a spot instance back, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-interruptions.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotInterruption {
    /// From when it came to run until it is terminated.
    after_ms: u64,
    /// How long before its end the metadata service says so.
    #[serde(default = "two_minutes")]
    notice_ms: u64,
}

fn two_minutes() -> u64 {
    120_000
}

impl SpotInterruption {
    /// From when it came to run until it is terminated.
    pub fn after(self) -> Duration {
        Duration::from_millis(self.after_ms)
    }

    /// From when it came to run until it is told; at once where the notice is longer than the instance's life.
    pub fn told_after(self) -> Duration {
        Duration::from_millis(self.after_ms.saturating_sub(self.notice_ms))
    }
}

/// Part of a whole, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub struct Percent(u8);

impl TryFrom<u8> for Percent {
    type Error = String;

    fn try_from(percent: u8) -> Result<Self, String> {
        match percent {
            0..=100 => Ok(Self(percent)),
            _ => Err(format!("{percent} is not a percentage from 0 to 100")),
        }
    }
}

/// How a connection to an SSH server breaks.
///
/// `{"how": "close" | "reset" | "hang", "after_bytes": N, "after_ms": N, "first": N}`: after so many bytes or so much time,
/// whichever is first; at least one of the two. Bytes are those on the wire, both directions together, with the key exchange's
/// 3 to 4 KiB. With `first` only an instance's first so many connections break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenBreak")]
pub struct SshBreak {
    /// What the two sides notice of it.
    pub how: BreakKind,
    /// After so many bytes.
    pub after_bytes: Option<u64>,
    /// So long after the connection was made.
    pub after: Option<Duration>,
    /// How many connections; all if not given.
    first: Option<u32>,
}

/// What a breaking connection looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// It is closed in order (FIN).
    Close,
    /// It is reset (RST).
    Reset,
    /// It stays open, and nothing is read or written any more.
    Hang,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBreak {
    how: BreakKind,
    after_bytes: Option<u64>,
    after_ms: Option<u64>,
    first: Option<u32>,
}

impl TryFrom<WrittenBreak> for SshBreak {
    type Error = String;

    fn try_from(w: WrittenBreak) -> Result<Self, String> {
        if w.after_bytes.is_none() && w.after_ms.is_none() {
            return Err("ssh_breaks needs after_bytes, after_ms or both".to_owned());
        }
        Ok(Self {
            how: w.how,
            after_bytes: w.after_bytes,
            after: w.after_ms.map(Duration::from_millis),
            first: w.first,
        })
    }
}

/// What is to go wrong with one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultsOf {
    /// Nothing ever runs in it.
    pub never_boots: bool,
    /// It never comes to run.
    pub never_runs: bool,
    /// Nothing reaches it, and it reaches nothing.
    pub without_network: bool,
    /// It ignores an orderly stop.
    pub never_stops: bool,
    /// How long its shutdown takes.
    pub shutdown_takes: Option<Duration>,
    /// When AWS terminates it, counted from its coming to run.
    pub terminated_after: Option<Duration>,
    /// When AWS takes it back.
    pub spot_interruption: Option<SpotInterruption>,
    /// It may not bind an address itself.
    pub binding_refused: bool,
    /// How late a binding takes effect.
    pub binding_delayed: Option<Duration>,
    /// Images made from it.
    pub images: ImageFaults,
    /// Its metadata service.
    pub imds: ImdsFaults,
    /// Its SSH server.
    pub ssh: SshFaults,
}

/// What is to go wrong with the making of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageFaults {
    /// The disk cannot be captured.
    pub capture_fails: bool,
    fails_at: Option<Percent>,
    snapshot_fails_at: Option<Percent>,
    never_completes: bool,
    takes: Option<Duration>,
}

/// What is to go wrong with a metadata service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImdsFaults {
    /// It gives no answer.
    pub down: bool,
    /// How late its answers are.
    pub delay: Duration,
}

/// What is to go wrong with an SSH server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SshFaults {
    /// No packet is answered.
    pub never_up: bool,
    refuses_first: u32,
    banner_delay: Duration,
    breaks: Option<SshBreak>,
}

/// What is to go wrong with one connection to an SSH server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFaults {
    /// It is reset at once.
    pub refused: bool,
    /// How long the server says nothing.
    pub banner_delay: Duration,
    /// How it breaks.
    pub breaks: Option<SshBreak>,
}

/// How the making of an image goes on once the disk is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// The image.
    pub image: Progress,
    /// Its snapshots.
    pub snapshot: Progress,
}

/// Where a making that never completes stays.
const STUCK_AT: Percent = Percent(99);

impl InstanceFaults {
    /// Counts an instance as launched. One that is known already is not counted again.
    pub fn launched(&mut self, id: &InstanceId) {
        if !self.launched.contains(id) {
            self.launched.push(id.clone());
        }
    }

    /// What of all this is for `subject`.
    pub fn of<'a>(&self, subject: impl Into<Subject<'a>>) -> FaultsOf {
        let hit = Hit {
            subject: subject.into(),
            launched: &self.launched,
        };
        FaultsOf {
            never_boots: hit.yes(&self.instance_never_boots),
            never_runs: hit.yes(&self.instance_never_runs),
            without_network: hit.yes(&self.instance_boots_without_network),
            never_stops: hit.yes(&self.instance_never_stops),
            shutdown_takes: hit.time(&self.instance_shutdown_takes_ms),
            terminated_after: hit.time(&self.instance_terminated_after_ms),
            spot_interruption: hit.value(&self.spot_interruption),
            binding_refused: hit.yes(&self.binding_refused),
            binding_delayed: hit.time(&self.binding_delayed_ms),
            images: ImageFaults {
                capture_fails: hit.yes(&self.image_creation_fails),
                fails_at: hit.value(&self.image_fails_at_percent),
                snapshot_fails_at: hit.value(&self.snapshot_fails_at_percent),
                never_completes: hit.yes(&self.image_never_completes),
                takes: hit.time(&self.image_takes_ms),
            },
            imds: ImdsFaults {
                down: hit.yes(&self.imds_down),
                delay: hit.time(&self.imds_delay_ms).unwrap_or_default(),
            },
            ssh: SshFaults {
                never_up: hit.yes(&self.ssh_never_up),
                refuses_first: hit.value(&self.ssh_refuses_first).unwrap_or_default(),
                banner_delay: hit.time(&self.ssh_banner_delay_ms).unwrap_or_default(),
                breaks: hit.value(&self.ssh_breaks),
            },
        }
    }
}

/// Looks for what is for one subject.
struct Hit<'a> {
    subject: Subject<'a>,
    launched: &'a [InstanceId],
}

impl Hit<'_> {
    fn value<T: Copy>(&self, fault: &Option<Aimed<T>>) -> Option<T> {
        fault
            .as_ref()
            .filter(|f| f.instances.hits(self.subject, self.launched))
            .map(|f| f.value)
    }

    fn yes(&self, fault: &Option<Aimed<bool>>) -> bool {
        self.value(fault).unwrap_or(false)
    }

    fn time(&self, fault: &Option<Aimed<u64>>) -> Option<Duration> {
        self.value(fault).map(Duration::from_millis)
    }
}

impl ImageFaults {
    /// How a making goes on from `now`, that without faults would take `usual`.
    pub fn making(&self, now: Timestamp, usual: Duration) -> Making {
        let takes = self.takes.unwrap_or(usual);
        let at = |p: Percent| {
            let part = takes * u32::from(p.0) / 100;
            now.checked_add(part).unwrap_or(now)
        };
        let halting = |p: Percent, failure: Option<&str>| Progress::Halting {
            at: at(p),
            percent: p.0,
            failure: failure.map(str::to_owned),
        };
        let done = Progress::Done {
            complete: at(Percent(100)),
        };
        let snapshot = match (self.snapshot_fails_at, self.never_completes) {
            (Some(p), _) => halting(p, Some("fault: snapshot_fails_at_percent")),
            (None, true) => halting(STUCK_AT, None),
            (None, false) => done.clone(),
        };
        let image = match (self.fails_at, self.snapshot_fails_at, self.never_completes) {
            (Some(p), _, _) => halting(p, Some("fault: image_fails_at_percent")),
            (None, Some(p), _) => halting(p, Some("fault: snapshot_fails_at_percent")),
            (None, None, true) => halting(STUCK_AT, None),
            (None, None, false) => done,
        };
        Making { image, snapshot }
    }
}

impl SshFaults {
    /// What happens to an instance's connection number `nth`, from 0.
    pub fn of_connection(&self, nth: u32) -> ConnectionFaults {
        ConnectionFaults {
            refused: nth < self.refuses_first,
            banner_delay: self.banner_delay,
            breaks: self.breaks.filter(|b| b.first.is_none_or(|n| nth < n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tags::Tags;

    fn read(text: &str) -> InstanceFaults {
        serde_json::from_str(text).unwrap()
    }

    fn wrong(text: &str) -> String {
        serde_json::from_str::<InstanceFaults>(text)
            .unwrap_err()
            .to_string()
    }

    fn of(faults: &InstanceFaults, id: &InstanceId, tags: &[(&str, &str)]) -> FaultsOf {
        let tags = Tags::of(tags);
        faults.of(Subject {
            instance: Some(id),
            tags: &tags,
        })
    }

    #[test]
    fn a_bare_value_is_for_all() {
        let faults = read(r#"{"instance_never_boots": true, "imds_delay_ms": 5}"#);
        let found = of(&faults, &InstanceId::random(), &[]);
        assert!(found.never_boots && !found.never_stops);
        assert_eq!(found.imds.delay, Duration::from_millis(5));
    }

    #[test]
    fn the_next_are_counted_from_when_the_faults_were_set() {
        let mut faults =
            read(r#"{"instance_never_runs": {"value": true, "instances": {"next": 2}}}"#);
        let ids: Vec<_> = (0..4).map(|_| InstanceId::random()).collect();
        assert!(
            !of(&faults, &ids[3], &[]).never_runs,
            "it was there before the fault"
        );
        for id in [&ids[0], &ids[0], &ids[1], &ids[2]] {
            faults.launched(id);
        }
        let hit: Vec<bool> = ids
            .iter()
            .map(|id| of(&faults, id, &[]).never_runs)
            .collect();
        assert_eq!(hit, [true, true, false, false]);
    }

    #[test]
    fn a_tag_is_looked_for_by_key_and_value() {
        let faults = read(
            r#"{"imds_down": {"value": true, "instances": {"tag": "qib:stage=base"}},
                "ssh_never_up": {"value": true, "instances": {"tag": "qib:stage"}}}"#,
        );
        let id = InstanceId::random();
        let seen = |tags: &[(&str, &str)]| {
            let found = of(&faults, &id, tags);
            (found.imds.down, found.ssh.never_up)
        };
        assert_eq!(seen(&[("qib:stage", "base")]), (true, true));
        assert_eq!(seen(&[("qib:stage", "top")]), (false, true));
        assert_eq!(seen(&[("Name", "base")]), (false, false));
    }

    #[test]
    fn what_is_written_wrongly_is_told_as_such() {
        for (text, said) in [
            (r#"{"instance_never_boots": 3}"#, "invalid type"),
            (
                r#"{"imds_delay_ms": {"value": 3, "instances": "some"}}"#,
                "unknown variant `some`",
            ),
            (
                r#"{"imds_delay_ms": {"instances": "all"}}"#,
                "missing field `value`",
            ),
            (
                r#"{"imds_down": {"value": true, "instances": {"tag": "=base"}}}"#,
                "has no key",
            ),
            (
                r#"{"image_fails_at_percent": 101}"#,
                "not a percentage from 0 to 100",
            ),
            (
                r#"{"ssh_breaks": {"how": "reset"}}"#,
                "needs after_bytes, after_ms or both",
            ),
            (
                r#"{"ssh_breaks": {"how": "explode", "after_ms": 1}}"#,
                "unknown variant `explode`",
            ),
            (
                r#"{"spot_interruption": {"after_ms": 1, "notice": 1}}"#,
                "unknown field `notice`",
            ),
        ] {
            let error = wrong(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn an_image_that_fails_leaves_its_snapshot_to_be_completed() {
        let now = Timestamp::UNIX_EPOCH;
        let faults = read(r#"{"image_fails_at_percent": 40, "image_takes_ms": 1000}"#);
        let images = of(&faults, &InstanceId::random(), &[]).images;
        let making = images.making(now, Duration::ZERO);
        let ms = |n| now.checked_add(Duration::from_millis(n)).unwrap();
        assert_eq!(making.snapshot, Progress::Done { complete: ms(1000) });
        assert_eq!(
            making.image,
            Progress::Halting {
                at: ms(400),
                percent: 40,
                failure: Some("fault: image_fails_at_percent".to_owned()),
            }
        );
    }

    #[test]
    fn only_the_first_connections_break() {
        let faults = read(
            r#"{"ssh_refuses_first": 1, "ssh_breaks": {"how": "hang", "after_bytes": 9, "first": 2}}"#,
        );
        let ssh = of(&faults, &InstanceId::random(), &[]).ssh;
        let seen: Vec<_> = (0..3)
            .map(|n| ssh.of_connection(n))
            .map(|c| (c.refused, c.breaks.is_some()))
            .collect();
        assert_eq!(seen, [(true, true), (false, true), (false, false)]);
    }

    #[test]
    fn a_notice_that_is_longer_than_the_life_comes_at_once() {
        let faults = read(r#"{"spot_interruption": {"after_ms": 1000}}"#);
        let of = of(&faults, &InstanceId::random(), &[]);
        let spot = of.spot_interruption.unwrap();
        assert_eq!(
            (spot.told_after(), spot.after()),
            (Duration::ZERO, Duration::from_secs(1))
        );
    }
}

//! Which images have had their time. Pure.
//!
//! ```text
//!   image ─▶ excluded (tag, protection, shared, public, used, unfinished)? ── yes ─▶ stays
//!              │ no
//!              ▼
//!            one of the newest N of its set? ── yes ─▶ stays
//!              │ no
//!              ▼
//!            younger, or launched later, than asked? ── yes ─▶ stays
//!              │ no
//!              ▼
//!            goes
//! ```

use super::facts::ImageFacts;
use crate::names::tag;
use cloud::clock::between;
use cloud::{Image, ImageState, Tags, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneRule {
    /// So many of the newest of each set stay.
    pub keep: Option<usize>,
    /// Only what is older goes.
    pub older_than: Option<Duration>,
    /// Only what was not launched for so long goes. What was never launched counts from its creation.
    pub not_launched_for: Option<Duration>,
    /// The tags whose values make a set; none for pipeline, stage and cell.
    pub per: Vec<String>,
    /// An image with one of these tags stays: a key, and a value where only that counts.
    pub except: Vec<(String, Option<String>)>,
    /// Whether what others may launch goes too.
    pub shared_too: bool,
    /// Whether what everyone may launch goes too.
    pub public_too: bool,
}

/// A rule that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PruneRuleError {
    /// Neither a number nor an age is given: everything would go.
    #[error("prune needs at least one of --keep, --older-than and --not-launched-for")]
    Boundless,
}

/// What becomes of an image, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays(String),
    /// It goes.
    Goes(String),
}

/// An image and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The image.
    pub facts: ImageFacts,
    /// The values of the tags that make its set, `key=value`.
    pub set: Vec<String>,
    /// What becomes of it.
    pub fate: Fate,
}

impl PruneRule {
    /// # Errors
    /// If the rule has no bounds.
    pub fn check(&self) -> Result<(), PruneRuleError> {
        match (self.keep, self.older_than, self.not_launched_for) {
            (None, None, None) => Err(PruneRuleError::Boundless),
            _ => Ok(()),
        }
    }

    fn set_of(&self, tags: &Tags) -> Vec<String> {
        let default = [tag::PIPELINE, tag::STAGE, tag::CELL];
        let keys: Vec<&str> = match self.per.as_slice() {
            [] => default.to_vec(),
            per => per.iter().map(String::as_str).collect(),
        };
        keys.into_iter()
            .map(|key| format!("{key}={}", tags.get(key).unwrap_or_default()))
            .collect()
    }

    /// Why the image may not go whatever its age; none if it may.
    fn excluded(&self, facts: &ImageFacts) -> Option<String> {
        let image = &facts.image;
        for (key, value) in &self.except {
            match (image.tags.get(key), value) {
                (Some(found), Some(value)) if found == value => {
                    return Some(format!("it has the tag {key}={value}"));
                }
                (Some(_), None) => return Some(format!("it has the tag {key}")),
                _ => {}
            }
        }
        if image.state != ImageState::Available {
            return Some(String::from("it is not available"));
        }
        if image.tags.get(tag::RUN).is_some() && image.tags.get(tag::COMPLETE).is_none() {
            return Some(String::from(
                "no run has finished it; `qib sweep` sees to it",
            ));
        }
        if awaits_its_name(image) {
            return Some(String::from(
                "a run has stopped before it had its name: the next run of its pipeline goes on, or `qib images rm` removes it",
            ));
        }
        if image.protected {
            return Some(String::from("it is protected from being deregistered"));
        }
        if let Some(using) = facts.uses.first() {
            return Some(format!("{using} uses it"));
        }
        let permissions = &facts.permissions;
        if permissions.public && !self.public_too {
            return Some(String::from("it is public"));
        }
        let shared = !permissions.accounts.is_empty()
            || !permissions.organizations.is_empty()
            || !permissions.organizational_units.is_empty();
        if shared && !self.shared_too {
            return Some(String::from("it is shared"));
        }
        None
    }

    /// Why the image is too young or too much used; else why it may go.
    fn by_age(&self, facts: &ImageFacts, now: Timestamp) -> Fate {
        let Some(created) = facts.image.created else {
            return Fate::Stays(String::from("EC2 does not say when it was created"));
        };
        let mut reasons = Vec::new();
        if let Some(keep) = self.keep {
            let are = if keep == 1 { "is" } else { "are" };
            reasons.push(format!("{keep} of its set {are} newer"));
        }
        if let Some(wanted) = self.older_than {
            if between(created, now) <= wanted {
                return Fate::Stays(format!("it is younger than {}", span(wanted)));
            }
            reasons.push(format!("it is older than {}", span(wanted)));
        }
        if let Some(wanted) = self.not_launched_for {
            let last = facts
                .last_launched
                .map_or(created, |last| last.max(created));
            if between(last, now) <= wanted {
                return Fate::Stays(match facts.last_launched {
                    Some(_) => format!("it was launched within {}", span(wanted)),
                    None => format!("it was created within {}", span(wanted)),
                });
            }
            reasons.push(format!("it was not launched for {}", span(wanted)));
        }
        Fate::Goes(reasons.join(", "))
    }
}

fn span(duration: Duration) -> String {
    pipeline::model::TimeSpan::from_secs(duration.as_secs()).to_string()
}

/// Whether the image is under a name of transit: nobody can find it by the name that it is to have.
fn awaits_its_name(image: &Image) -> bool {
    let wanted = image.tags.get(tag::FINAL_NAME);
    wanted.is_some_and(|wanted| wanted != image.name)
}

/// What becomes of each image: sets in the order of their names, newest first within one. Among those of the same second
/// the id decides, so that two looks agree.
///
/// # Errors
/// If the rule has no bounds.
pub fn prune(
    rule: &PruneRule,
    images: Vec<ImageFacts>,
    now: Timestamp,
) -> Result<Vec<Pruned>, PruneRuleError> {
    rule.check()?;
    let mut sets: BTreeMap<Vec<String>, Vec<ImageFacts>> = BTreeMap::new();
    for facts in images {
        sets.entry(rule.set_of(&facts.image.tags))
            .or_default()
            .push(facts);
    }
    let mut pruned = Vec::new();
    for (set, mut images) in sets {
        images.sort_by(|a, b| {
            let by_age = b.image.created.cmp(&a.image.created);
            by_age.then_with(|| b.image.image_id.cmp(&a.image.image_id))
        });
        // What is not whole is nobody's newest.
        let mut whole = 0;
        for facts in images {
            let excluded = rule.excluded(&facts);
            let counts = !awaits_its_name(&facts.image)
                && facts.image.state == ImageState::Available
                && (facts.image.tags.get(tag::RUN).is_none()
                    || facts.image.tags.get(tag::COMPLETE).is_some());
            whole += usize::from(counts);
            let fate = match (excluded, rule.keep) {
                (Some(why), _) => Fate::Stays(why),
                (None, Some(keep)) if whole <= keep => Fate::Stays(match keep {
                    1 => String::from("it is the newest of its set"),
                    _ => format!("it is one of the newest {keep} of its set"),
                }),
                (None, _) => rule.by_age(&facts, now),
            };
            pruned.push(Pruned {
                facts,
                set: set.clone(),
                fate,
            });
        }
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::super::facts::ImageUse;
    use super::*;
    use cloud::Permissions;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const DAY: u64 = 86_400;

    fn now() -> Timestamp {
        Timestamp::constant(1_800_000_000, 0)
    }

    fn days_ago(days: u64) -> Timestamp {
        now() - Duration::from_secs(days * DAY)
    }

    fn image(id: &str, days: u64, tags: &[(&str, &str)]) -> ImageFacts {
        ImageFacts {
            image: Image {
                image_id: id.into(),
                name: id.to_owned(),
                description: String::new(),
                state: ImageState::Available,
                state_reason: None,
                created: Some(days_ago(days)),
                owner: None,
                architecture: String::from("x86_64"),
                root_device: None,
                snapshots: Vec::new(),
                tags: tags
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                deprecated: None,
                protected: false,
                public: false,
                boot_mode: None,
                virtualization: String::from("hvm"),
                volumes: Vec::new(),
            },
            permissions: Permissions::default(),
            last_launched: None,
            uses: BTreeSet::new(),
        }
    }

    fn keep(keep: usize) -> PruneRule {
        PruneRule {
            keep: Some(keep),
            per: vec![String::from("role")],
            ..PruneRule::default()
        }
    }

    fn going(rule: &PruneRule, images: Vec<ImageFacts>) -> Vec<String> {
        let pruned = prune(rule, images, now()).unwrap();
        pruned
            .into_iter()
            .filter(|one| matches!(one.fate, Fate::Goes(_)))
            .map(|one| one.facts.image.image_id.to_string())
            .collect()
    }

    #[test]
    fn an_image_that_awaits_its_name_is_no_sets_newest_and_stays() {
        let transit = image("ami-transit", 0, &[(tag::FINAL_NAME, "golden")]);
        let named = image("ami-named", 1, &[]);
        let fates = prune(&keep(1), vec![named, transit], now()).unwrap();
        let fates: Vec<(&str, bool)> = fates
            .iter()
            .map(|one| {
                let stays = matches!(one.fate, Fate::Stays(_));
                (one.facts.image.image_id.as_str(), stays)
            })
            .collect();
        assert_eq!(fates, [("ami-transit", true), ("ami-named", true)]);
    }

    #[test]
    fn each_set_keeps_its_newest() {
        let images = vec![
            image("ami-1", 30, &[("role", "a")]),
            image("ami-2", 10, &[("role", "a")]),
            image("ami-3", 90, &[("role", "b")]),
            image("ami-4", 20, &[("role", "a")]),
        ];
        assert_eq!(going(&keep(1), images.clone()), ["ami-4", "ami-1"]);
        assert_eq!(going(&keep(2), images.clone()), ["ami-1"]);
        let older = PruneRule {
            older_than: Some(Duration::from_secs(25 * DAY)),
            ..keep(1)
        };
        assert_eq!(going(&older, images), ["ami-1"]);
    }

    #[test]
    fn what_is_excluded_stays_whatever_its_age() {
        let rule = PruneRule {
            older_than: Some(Duration::from_secs(DAY)),
            except: vec![
                (String::from("permanent"), Some(String::from("true"))),
                (String::from("pinned"), None),
            ],
            ..PruneRule::default()
        };
        let old = |id: &str| image(id, 400, &[]);
        let mut protected = old("ami-protected");
        protected.image.protected = true;
        let mut public = old("ami-public");
        public.permissions.public = true;
        let mut shared = old("ami-shared");
        shared.permissions.accounts.insert("123456789012".into());
        let mut used = old("ami-used");
        used.uses
            .insert(ImageUse::LaunchTemplate(String::from("lt-1")));
        let mut pending = old("ami-pending");
        pending.image.state = ImageState::Pending;
        let all = vec![
            old("ami-old"),
            protected,
            public,
            shared,
            used,
            pending,
            image("ami-permanent", 400, &[("permanent", "true")]),
            image("ami-not-permanent", 400, &[("permanent", "false")]),
            image("ami-pinned", 400, &[("pinned", "")]),
            image("ami-unfinished", 400, &[(tag::RUN, "r-1")]),
        ];
        assert_eq!(going(&rule, all.clone()), ["ami-old", "ami-not-permanent"]);
        let more = PruneRule {
            shared_too: true,
            public_too: true,
            ..rule
        };
        assert_eq!(
            going(&more, all),
            ["ami-shared", "ami-public", "ami-old", "ami-not-permanent"]
        );
    }

    #[test]
    fn what_was_never_launched_counts_from_its_creation() {
        let rule = PruneRule {
            not_launched_for: Some(Duration::from_secs(30 * DAY)),
            ..PruneRule::default()
        };
        let mut launched = image("ami-launched", 400, &[]);
        launched.last_launched = Some(days_ago(3));
        let mut forgotten = image("ami-forgotten", 400, &[]);
        forgotten.last_launched = Some(days_ago(31));
        let images = vec![
            launched,
            forgotten,
            image("ami-young", 5, &[]),
            image("ami-never", 60, &[]),
        ];
        assert_eq!(going(&rule, images), ["ami-never", "ami-forgotten"]);
    }

    #[test]
    fn a_rule_without_bounds_is_refused() {
        assert_eq!(
            prune(&PruneRule::default(), Vec::new(), now()),
            Err(PruneRuleError::Boundless)
        );
    }

    proptest! {
        /// Whatever the images: a set never has fewer left than are to be kept, and nothing younger goes before something
        /// older of its set that may go.
        #[test]
        fn no_set_is_emptied(
            ages in prop::collection::vec((0u64..100, 0u8..3, any::<bool>()), 0..30),
            keep_count in 0usize..5,
            days in prop::option::of(0u64..100),
        ) {
            let rule = PruneRule {
                older_than: days.map(|days| Duration::from_secs(days * DAY)),
                ..keep(keep_count)
            };
            let images: Vec<ImageFacts> = ages
                .iter()
                .enumerate()
                .map(|(n, (days, role, pinned))| {
                    let mut one = image(&format!("ami-{n:02}"), *days, &[("role", &role.to_string())]);
                    one.image.protected = *pinned;
                    one
                })
                .collect();
            let pruned = prune(&rule, images.clone(), now()).unwrap();
            prop_assert_eq!(pruned.len(), images.len());
            for set in pruned.chunk_by(|a, b| a.set == b.set) {
                let stays = set.iter().filter(|one| matches!(one.fate, Fate::Stays(_))).count();
                prop_assert!(stays >= keep_count.min(set.len()));
                let mut one_goes = false;
                for one in set {
                    prop_assert!(one.facts.image.created <= set[0].facts.image.created);
                    match &one.fate {
                        Fate::Goes(_) => {
                            one_goes = true;
                            prop_assert!(!one.facts.image.protected);
                            if let Some(days) = days {
                                prop_assert!(one.facts.image.created < Some(days_ago(days)));
                            }
                        }
                        Fate::Stays(_) => prop_assert!(!one_goes || one.facts.image.protected),
                    }
                }
            }
        }

        /// Whatever else is so of an image: it goes exactly if nothing keeps it, the newest of its set are whole without it, and
        /// it is as old as was asked for.
        #[test]
        fn an_exclusion_holds_whatever_else_is_so(
            drawn in prop::collection::vec(
                (0u64..60, 0u8..2, any::<[bool; 7]>(), prop::option::of(0u64..60)), 0..25),
            keep_count in prop::option::of(0usize..4),
            older in prop::option::of(0u64..60),
            idle in prop::option::of(0u64..60),
            (shared_too, public_too) in any::<(bool, bool)>(),
        ) {
            let bound = |days: Option<u64>| days.map(|days| Duration::from_secs(days * DAY));
            let rule = PruneRule {
                keep: keep_count,
                older_than: bound(older),
                not_launched_for: bound(idle),
                per: vec![String::from("role")],
                except: vec![(String::from("pinned"), None)],
                shared_too,
                public_too,
            };
            prop_assume!(rule.check().is_ok());
            let images: Vec<ImageFacts> = drawn
                .iter()
                .enumerate()
                .map(|(n, (days, role, flags, launched))| {
                    let [pinned, protected, public, shared, used, pending, unfinished] = *flags;
                    let mut one = image(&format!("ami-{n:02}"), *days, &[("role", &role.to_string())]);
                    if pinned {
                        one.image.tags.set("pinned", "");
                    }
                    one.image.tags.set(tag::RUN, "r-1");
                    if !unfinished {
                        one.image.tags.set(tag::COMPLETE, "true");
                    }
                    one.image.protected = protected;
                    one.permissions.public = public;
                    if shared {
                        one.permissions.organizational_units.insert(String::from("arn:…:ou/o-1/ou-1"));
                    }
                    if used {
                        one.uses.insert(ImageUse::Instance(String::from("i-1")));
                    }
                    if pending {
                        one.image.state = ImageState::Pending;
                    }
                    one.last_launched = launched.map(days_ago);
                    one
                })
                .collect();
            let pruned = prune(&rule, images, now()).unwrap();
            prop_assert_eq!(pruned.len(), drawn.len());
            let mut newer_and_whole: BTreeMap<Vec<String>, usize> = BTreeMap::new();
            for one in &pruned {
                let number: usize = one.facts.image.image_id.as_str()[4..].parse().unwrap();
                let (days, _, flags, launched) = drawn[number];
                let [pinned, protected, public, shared, used, pending, unfinished] = flags;
                let kept = pinned || protected || used || pending || unfinished
                    || (public && !public_too) || (shared && !shared_too);
                let newer = newer_and_whole.entry(one.set.clone()).or_default();
                let idle_days = launched.map_or(days, |at| at.min(days));
                let goes = !kept
                    && keep_count.is_none_or(|keep| *newer >= keep)
                    && older.is_none_or(|older| days > older)
                    && idle.is_none_or(|idle| idle_days > idle);
                *newer += usize::from(!pending && !unfinished);
                let why = match &one.fate {
                    Fate::Goes(why) | Fate::Stays(why) => why,
                };
                prop_assert!(!why.is_empty());
                prop_assert_eq!(matches!(one.fate, Fate::Goes(_)), goes, "{}: {}", number, why);
            }
        }
    }
}

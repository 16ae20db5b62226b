//! An entry under `provision`: what it does, and the keys beside it that say when and how often.

use super::entry::{entry, entry_schema};
use super::provision::{ProvisionerFile, Written};
use super::{Glob, Later, Located, Need, Provisioner, TimeSpan};
use crate::Span;
use crate::template::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// One entry under `provision`.
#[derive(Clone, Debug)]
pub struct ProvisionerEntry {
    /// What it does.
    pub value: Provisioner,
    /// Where the entry stands.
    pub span: Span,
    /// What to call it in progress lines and errors.
    pub name: Option<Located<String>>,
    /// What it requires of its guest.
    pub needs: Vec<Located<Need>>,
    /// How long all of it may take, every attempt and the pauses between them; without it, as long as it takes.
    pub timeout: Option<TimeSpan>,
    /// How often it is tried again after a failure; without it, never.
    pub retry: Option<Retry>,
    /// The cells it is for.
    pub cells: CellChoice,
    /// How long to wait before it.
    pub pause_before: Option<TimeSpan>,
}

impl ProvisionerEntry {
    /// What to call it in progress lines and errors: its `name`, else what it does.
    pub fn label(&self) -> String {
        self.name
            .as_ref()
            .map_or_else(|| self.value.label(), |name| name.value.clone())
    }
}

impl ProvisionerEntry {
    /// How long it may take by its own timeouts. What has none counts as nothing: how long it takes is not known.
    pub fn longest(&self) -> Duration {
        let all = self.value.longest(self.retry);
        let bounded = self.timeout.map_or(all, |timeout| match all {
            Duration::ZERO => timeout.get(),
            all => all.min(timeout.get()),
        });
        let before = self.pause_before.map_or(Duration::ZERO, TimeSpan::get);
        bounded.saturating_add(before)
    }
}

/// Which of a stage's cells an entry is for. An entry that is not for a cell is not in it, nor in its cache key.
#[derive(Clone, Debug, Default)]
pub struct CellChoice {
    /// Only those whose name fits one of these; empty for all.
    pub only: Vec<Located<Glob>>,
    /// None of those whose name fits one of these.
    pub except: Vec<Located<Glob>>,
}

impl CellChoice {
    /// Whether the cell of that name is chosen.
    pub fn takes(&self, cell: &str) -> bool {
        let fits = |globs: &[Located<Glob>]| globs.iter().any(|glob| glob.matches(cell));
        (self.only.is_empty() || fits(&self.only)) && !fits(&self.except)
    }

    /// All its globs.
    pub fn globs(&self) -> impl Iterator<Item = &Located<Glob>> {
        self.only.iter().chain(&self.except)
    }
}

/// How often an entry is tried again after a failure. Each attempt begins it from the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// How many times at most, after the first attempt.
    pub times: NonZeroU32,
    /// How long to wait before each.
    pub delay: TimeSpan,
}

impl Retry {
    /// The pause between two attempts where the pipeline does not say.
    const DELAY: TimeSpan = TimeSpan::from_secs(10);
    /// More than this is a condition to be waited for (`wait_for`), not a failure to be got over.
    const MOST: u32 = 100;
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RetryFile {
    /// How many times at most it is tried again, after the first attempt.
    #[schemars(range(min = 1, max = 100))]
    times: u32,
    /// How long to wait before each of them.
    #[serde(default = "delay")]
    delay: TimeSpan,
}

const fn delay() -> TimeSpan {
    Retry::DELAY
}

fn retry(times: u32, delay: TimeSpan) -> Result<Retry, String> {
    match NonZeroU32::new(times) {
        Some(times) if times.get() <= Retry::MOST => Ok(Retry { times, delay }),
        _ => Err(format!(
            "it is tried again 1 to {} times, not {times}",
            Retry::MOST
        )),
    }
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RetryVisitor;

        impl<'de> Visitor<'de> for RetryVisitor {
            type Value = Retry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of times, or { times: NUMBER, delay: DURATION }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Retry, E> {
                let times = text
                    .parse()
                    .map_err(|_| E::invalid_type(de::Unexpected::Str(text), &self))?;
                retry(times, Retry::DELAY).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Retry, A::Error> {
                let file = RetryFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                retry(file.times, file.delay).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(RetryVisitor)
    }
}

impl JsonSchema for Retry {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Retry".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = RetryFile::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": Retry::MOST }, map] })
    }
}

/// The keys of [`Beside`].
const BESIDE: &[&str] = &[
    "when",
    "name",
    "needs",
    "timeout",
    "retry",
    "only",
    "except",
    "pause_before",
];

/// What may stand beside a provisioner's kind.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Beside {
    /// The condition on which the entry is there at all: `matrix.virt == 'hvm' && vars.size != '8'`.
    #[serde(rename = "when")]
    _when: Option<Later<Condition>>,
    /// What to call it in progress lines and errors.
    name: Option<Located<String>>,
    /// What it requires of its guest. On AWS it changes nothing; in a rehearsal it is skipped, and named, where the
    /// guest does not have it.
    #[serde(default)]
    needs: Vec<Located<Need>>,
    /// How long all of it may take, every attempt and the pauses between them; without it, as long as it takes.
    timeout: Option<TimeSpan>,
    /// How often it is tried again after a failure, each time from the start: a number, or `{ times: 3, delay: 10s }`.
    /// A lost connection is a failure like any other then. Without it nothing is ever done twice.
    retry: Option<Retry>,
    /// The cells of the stage's matrix that it is for, by name: `*` stands for any characters, `?` for one.
    only: Option<Vec<Located<Glob>>>,
    /// The cells of the stage's matrix that it is not for, by name, as in `only`.
    except: Option<Vec<Located<Glob>>>,
    /// How long to wait before it. Not part of its `timeout`.
    pause_before: Option<TimeSpan>,
}

impl<'de> Deserialize<'de> for ProvisionerEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (beside, kind) = entry::<D, Beside, ProvisionerFile>(deserializer, BESIDE)?;
        let Located { value, span } = kind;
        let (value, inner) = value.apart();
        let waits = matches!(value, Provisioner::Pause(_) | Provisioner::Breakpoint(_));
        if waits && (beside.retry.is_some() || beside.timeout.is_some()) {
            return Err(de::Error::custom(
                "`retry` and `timeout` are for what can fail or hang, not for a pause or a breakpoint",
            ));
        }
        let Inner { name, needs } = inner
            .joined(beside.name, beside.needs)
            .map_err(de::Error::custom)?;
        Ok(Self {
            value,
            span,
            name,
            needs,
            timeout: beside.timeout,
            retry: beside.retry,
            cells: CellChoice {
                only: globs(beside.only, "only").map_err(de::Error::custom)?,
                except: globs(beside.except, "except").map_err(de::Error::custom)?,
            },
            pause_before: beside.pause_before,
        })
    }
}

impl JsonSchema for ProvisionerEntry {
    fn schema_name() -> Cow<'static, str> {
        "Provisioner".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        entry_schema::<Beside, ProvisionerFile>(
            "One thing to do, or a step set's; with what stands beside it.",
            generator,
        )
    }
}

impl Deref for ProvisionerEntry {
    type Target = Provisioner;
    fn deref(&self) -> &Provisioner {
        &self.value
    }
}

impl DerefMut for ProvisionerEntry {
    fn deref_mut(&mut self) -> &mut Provisioner {
        &mut self.value
    }
}

/// The keys that may stand beside a `run` or `upload` and also inside of it.
#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) name: Option<Located<String>>,
    pub(crate) needs: Vec<Located<Need>>,
}

impl Inner {
    /// What stood inside, apart from what it stood in.
    pub(crate) fn of<T>(written: Written<T>) -> (T, Self) {
        let Written { what, name, needs } = written;
        (what, Self { name, needs })
    }

    /// With what stands beside. One thing said at both places is a mistake.
    pub(crate) fn joined(
        self,
        name: Option<Located<String>>,
        needs: Vec<Located<Need>>,
    ) -> Result<Self, &'static str> {
        if self.name.is_some() && name.is_some() {
            return Err("`name` stands here twice: beside the entry's kind and in it");
        }
        if !self.needs.is_empty() && !needs.is_empty() {
            return Err("`needs` stands here twice: beside the entry's kind and in it");
        }
        Ok(Self {
            name: self.name.or(name),
            needs: if self.needs.is_empty() {
                needs
            } else {
                self.needs
            },
        })
    }
}

fn globs(written: Option<Vec<Located<Glob>>>, key: &str) -> Result<Vec<Located<Glob>>, String> {
    match written {
        Some(globs) if globs.is_empty() => Err(format!("`{key}` names no cell")),
        Some(globs) => Ok(globs),
        None => Ok(Vec::new()),
    }
}

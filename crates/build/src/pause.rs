//! Where a run waits for a person: `--pause-after` and `--step`.

use crate::event::Step;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use std::fmt;
use std::str::FromStr;

/// What stands before a provisioner's name.
const PROVISIONER: &str = "provision:";

/// After what it is waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PausePoint {
    /// A step.
    Step(Step),
    /// The provisioner of this name.
    Provisioner(String),
}

impl FromStr for PausePoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix(PROVISIONER) {
            return if name.is_empty() {
                Err(String::from("a provisioner is written provision:NAME"))
            } else {
                Ok(Self::Provisioner(name.to_owned()))
            };
        }
        let named: StrDeserializer<'_, Error> = text.into_deserializer();
        // Its message lists the steps.
        serde::Deserialize::deserialize(named)
            .map(Self::Step)
            .map_err(|error| format!("there is no such step: {error}, or `provision:NAME`"))
    }
}

impl fmt::Display for PausePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => f.write_str(step.name()),
            Self::Provisioner(name) => write!(f, "{PROVISIONER}{name}"),
        }
    }
}

/// Where it is waited for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// After these.
    pub after: Vec<PausePoint>,
    /// How often besides.
    pub pace: Pace,
}

/// How often it is waited for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Only where that was asked for.
    #[default]
    WhereAsked,
    /// Before each step (`--step`).
    StepByStep,
}

impl Pauses {
    /// Whether it is waited for a person anywhere.
    pub fn any(&self) -> bool {
        !self.after.is_empty() || self.pace == Pace::StepByStep
    }

    /// Where it is waited between `before`, the step that has ended, and `next`; in words, none if nowhere.
    pub(crate) fn between(&self, before: Option<Step>, next: Option<Step>) -> Option<String> {
        let after = before.filter(|step| self.after.contains(&PausePoint::Step(*step)));
        match (after, self.pace, next) {
            (_, Pace::StepByStep, Some(next)) => Some(format!("before {}", next.describe())),
            (Some(step), _, _) => Some(format!("after {}", step.describe())),
            (None, _, _) => None,
        }
    }

    /// Whether it is waited after the provisioner `name`.
    pub(crate) fn after_provisioner(&self, name: &str) -> bool {
        self.after
            .iter()
            .any(|point| matches!(point, PausePoint::Provisioner(wanted) if wanted == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_named_as_they_are_printed() {
        for step in [Step::Launch, Step::CreateImage, Step::KeyPair] {
            assert_eq!(step.name().parse(), Ok(PausePoint::Step(step)));
        }
        let point: PausePoint = "provision:install java".parse().unwrap();
        assert_eq!(point, PausePoint::Provisioner("install java".into()));
        assert_eq!(point.to_string(), "provision:install java");
        let error = "lunch".parse::<PausePoint>().unwrap_err();
        assert!(
            error.contains("lunch") && error.contains("`create-image`"),
            "{error}"
        );
        assert!("provision:".parse::<PausePoint>().is_err());
    }

    #[test]
    fn it_is_waited_after_what_was_asked_for_and_step_by_step_before_each() {
        let after = |text: &str| Pauses {
            after: vec![text.parse().unwrap()],
            pace: Pace::WhereAsked,
        };
        let (launch, connect) = (Some(Step::Launch), Some(Step::Connect));
        assert!(!Pauses::default().any());
        assert_eq!(after("launch").between(None, launch), None);
        assert_eq!(
            after("launch").between(launch, connect).as_deref(),
            Some("after launching the instance")
        );
        assert_eq!(after("launch").between(connect, None), None);
        let each = Pauses {
            pace: Pace::StepByStep,
            ..after("launch")
        };
        assert_eq!(
            each.between(launch, connect).as_deref(),
            Some("before connecting over SSH")
        );
        assert!(after("provision:a").after_provisioner("a"));
        assert!(!after("provision:a").after_provisioner("b"));
    }
}

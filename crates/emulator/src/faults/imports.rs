//! Import tasks that go wrong: entries of `import_tasks` in `faults.json`.
//!
//! | key | default | |
//! |---|---|---|
//! | `message` | | what the status message says when it fails, such as `ClientError: Disk validation failed [Timeout]` |
//! | `at_percent` | 50 | how far it comes |
//! | `stuck_at_percent` | | it comes so far and no further, for ever; in place of `message` |
//! | `after` | 0 | so many tasks go well first |
//! | `times` | all | so many go wrong |

use crate::account::import_task::ImportFate;
use serde::Deserialize;

/// Tasks that go wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ImportFault {
    fate: ImportFate,
    /// How many more go well.
    after: u32,
    /// How many more go wrong; all if none.
    times: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    message: Option<String>,
    at_percent: Option<u8>,
    stuck_at_percent: Option<u8>,
    #[serde(default)]
    after: u32,
    times: Option<u32>,
}

impl TryFrom<Written> for ImportFault {
    type Error = String;

    fn try_from(w: Written) -> Result<Self, String> {
        let percent = |name: &str, n: u8| match n {
            0..=99 => Ok(n),
            _ => Err(format!("`{name}` {n} is not a percentage from 0 to 99")),
        };
        let fate = match (w.message, w.stuck_at_percent) {
            (Some(message), None) => ImportFate::Fails {
                percent: percent("at_percent", w.at_percent.unwrap_or(50))?,
                message,
            },
            (None, Some(_)) if w.at_percent.is_some() => {
                return Err("`at_percent` has no meaning beside `stuck_at_percent`".to_owned());
            }
            (None, Some(n)) => ImportFate::Stuck {
                percent: percent("stuck_at_percent", n)?,
            },
            _ => {
                return Err(
                    "an import task needs its `message` or its `stuck_at_percent`, one of the two"
                        .to_owned(),
                );
            }
        };
        Ok(Self {
            fate,
            after: w.after,
            times: w.times,
        })
    }
}

/// What becomes of the next task, if anything does; counts it.
pub fn meet(faults: &mut [ImportFault]) -> Option<ImportFate> {
    faults.iter_mut().find_map(|f| {
        if f.times == Some(0) {
            return None;
        }
        if f.after > 0 {
            f.after -= 1;
            return None;
        }
        f.times = f.times.map(|n| n - 1);
        Some(f.fate.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_two_and_within_bounds() {
        let read =
            |text: &str| serde_json::from_str::<ImportFault>(text).map_err(|e| e.to_string());
        for (text, why) in [
            ("{}", "message"),
            (r#"{"message":"x","stuck_at_percent":1}"#, "one of the two"),
            (r#"{"stuck_at_percent":1,"at_percent":1}"#, "at_percent"),
            (r#"{"message":"x","at_percent":100}"#, "100"),
            (r#"{"message":"x","percent":1}"#, "percent"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        let mut faults = [read(r#"{"message":"x","after":1,"times":1}"#).unwrap()];
        assert_eq!(meet(&mut faults), None);
        let fails = ImportFate::Fails {
            percent: 50,
            message: "x".into(),
        };
        assert_eq!(meet(&mut faults), Some(fails));
        assert_eq!(meet(&mut faults), None);
    }
}

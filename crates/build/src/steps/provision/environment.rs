//! What scripts are told of the build that they are part of.

use crate::names::RunId;
use crate::steps::CellContext;

/// What holds for all entries of a cell.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The instance's id; none before there is one.
    pub instance: Option<String>,
    /// Where it is dialled.
    pub host: Option<String>,
    /// What scripts know the build by; none before there are builds.
    pub build_name: Option<String>,
    /// What has failed, masked: for what is done after a failure.
    pub error: Option<String>,
}

impl About {
    /// The variables, for an attempt at an entry. None of their values is secret.
    ///
    /// `QIB_ATTEMPT` is the same for no two attempts of a run: by it an attempt finds what an earlier one has left
    /// running.
    pub(crate) fn environment(
        &self,
        context: &CellContext,
        attempt: &AttemptId,
    ) -> Vec<(String, String)> {
        let mut variables = vec![
            ("QIB_RUN_ID", context.run_id().to_string()),
            ("QIB_REGION", context.region().name().to_string()),
            ("QIB_ATTEMPT", attempt.to_string()),
        ];
        if let Some(build_name) = &self.build_name {
            variables.extend([
                ("QIB_STAGE", context.cell().stage.clone()),
                ("QIB_CELL", context.cell().cell.clone()),
                ("QIB_BUILD_NAME", build_name.clone()),
            ]);
        }
        let optional = [
            ("QIB_INSTANCE_ID", &self.instance),
            ("QIB_HOST", &self.host),
            ("QIB_ERROR", &self.error),
        ];
        variables.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.clone()?))),
        );
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// Which attempt at which entry of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptId {
    /// The run.
    pub run: RunId,
    /// Which list the entry is in, and its place there.
    pub entry: (List, usize),
    /// Which attempt, from 1.
    pub attempt: u32,
}

/// A list of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// `preflight`.
    Preflight,
    /// `provision`.
    Provision,
    /// `on_error`.
    OnError,
}

impl AttemptId {
    /// What the ids of all attempts at the same entry begin with.
    pub(crate) fn prefix(&self) -> String {
        let (list, place) = self.entry;
        let list = match list {
            List::Preflight => "preflight",
            List::Provision => "provision",
            List::OnError => "on_error",
        };
        format!("{}.{list}.{place}.", self.run)
    }
}

impl std::fmt::Display for AttemptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.prefix(), self.attempt)
    }
}

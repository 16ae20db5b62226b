//! What follows a process that died: a sweep, by another process.

use crate::fault::Crash;
use crate::process::{Ear, ports};
use crate::world::World;
use build::effects::Effects;
use build::journal::{Journal, RunDirectory};
use build::names::RunId;
use std::sync::Arc;
use std::time::Duration;

/// How long after a removal everything of it is gone.
const SETTLED: Duration = Duration::from_secs(60);

/// Removes what a dead run left, from its journal. Gives what could not be removed.
pub async fn sweep(world: &World, host: &str, run: &RunId) -> Vec<String> {
    let wire = world.wire(Vec::new(), Crash::Never);
    let ports = ports(world, &wire, Arc::new(Ear::default()), None);
    let directory = RunDirectory::of(&world.state_dir(host), run);
    let journal = match Journal::reopen(&directory, run, None) {
        Ok(journal) => journal,
        Err(error) => return vec![error.to_string()],
    };
    let effects = Effects::new(
        run.clone(),
        Arc::new(journal),
        ports.clock.clone(),
        ports.account.clone(),
        None,
    );
    let left = effects.unmake_all(None).await;
    left.into_iter()
        .map(|l| format!("{} {}: {}", l.kind, l.id, l.reason))
        .collect()
}

/// Lets everything that is ending end.
pub async fn settle() {
    tokio::time::sleep(SETTLED).await;
}

//! What follows a process that died: a sweep, by another process on any host.

use crate::fault::Crash;
use crate::process::{Ear, ports};
use crate::world::World;
use build::sweep::{KeptToo, Sweep, SweepProgress, SweepWatch, carry_out, look};
use std::sync::Arc;
use std::time::Duration;

/// How long after a removal everything of it is gone.
const SETTLED: Duration = Duration::from_secs(60);

/// Removes what dead runs left, from `host`. Gives what could not be removed.
pub async fn sweep(world: &World, host: &str) -> Vec<String> {
    let wire = world.wire(Vec::new(), Crash::Never);
    let ports = ports(world, &wire, Arc::new(Ear::of(world)), None);
    let sweep = Sweep {
        account: ports.account,
        account_id: emulator::account::ACCOUNT_ID.to_owned(),
        regions: vec!["us-east-2".into()],
        endpoint: None,
        clock: ports.clock,
        buckets: Vec::new(),
        state_dir: world.state_dir(host),
        only: None,
        kept: KeptToo::No,
    };
    let carried = async {
        let plan = look(&sweep).await?;
        carry_out(&sweep, plan, &Silent).await
    };
    match carried.await {
        Ok(carried) => {
            let left = carried.left(None).into_iter();
            left.map(|l| format!("{} {}: {}", l.kind, l.id, l.reason))
                .collect()
        }
        Err(error) => vec![format!("the sweep failed: {error}")],
    }
}

struct Silent;

impl SweepWatch for Silent {
    fn progress(&self, _: &SweepProgress<'_>) {}
}

/// Lets everything that is ending end.
pub async fn settle() {
    tokio::time::sleep(SETTLED).await;
}

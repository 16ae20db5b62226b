//! Layers on the disk: removed when nothing in the account needs them.

use super::Engine;
use crate::account::Account;
use crate::account::image::Progress;
use crate::ids::LayerId;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Engine {
    /// Removes layers and instances' folders that nothing needs.
    pub(super) async fn sweep_layers(self: &Arc<Self>) {
        let _held = self.layers.lock().await;
        let engine = self.clone();
        let swept = tokio::task::spawn_blocking(move || engine.remove_unused()).await;
        if let Err(e) = swept {
            tracing::error!("removing layers failed: {e}");
        }
    }

    fn remove_unused(&self) {
        let (layers, instances, blocks) = {
            let account = self.account();
            // While the account is held, so that no snapshot begins in between.
            let blocks = self.blocks.forget_all_but(&account.blocks_in_use());
            (needed(&account), live(&account), blocks)
        };
        for folder in blocks {
            if let Err(e) = std::fs::remove_dir_all(&folder) {
                tracing::warn!("cannot remove {}: {e}", folder.display());
            }
        }
        for (folder, keep) in [("layers", &layers), ("instances", &instances)] {
            let Ok(entries) = std::fs::read_dir(self.dir.join(folder)) else {
                continue;
            };
            for entry in entries
                .flatten()
                .filter(|e| !keep.contains(&*e.file_name().to_string_lossy()))
            {
                if let Err(e) = self.runtime.remove_layer(&entry.path()) {
                    tracing::warn!("cannot remove {}: {e}", entry.path().display());
                }
            }
        }
    }
}

/// The layers in use, and those that are being captured.
fn needed(account: &Account) -> BTreeSet<String> {
    let capturing = account
        .regions
        .values()
        .flat_map(|r| r.snapshots.values())
        .filter_map(|s| match &s.progress {
            Progress::Capturing { layer, .. } => Some(layer.clone()),
            Progress::Writing { .. }
            | Progress::Done { .. }
            | Progress::Halting { .. }
            | Progress::Failed { .. } => None,
        });
    let all: BTreeSet<LayerId> = account
        .layers_in_use()
        .into_iter()
        .chain(capturing)
        .collect();
    all.iter().map(ToString::to_string).collect()
}

/// Instances that are not terminated, or whose console can still be asked for.
fn live(account: &Account) -> BTreeSet<String> {
    account
        .regions
        .values()
        .flat_map(|r| r.instances.keys())
        .map(ToString::to_string)
        .collect()
}

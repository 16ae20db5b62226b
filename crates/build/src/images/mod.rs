//! What becomes of images after the build: `qib images`.
//!
//! ```text
//!   account ──look──▶ facts ──rule (pure)──▶ plan ──shown──▶ --yes ──carry out──▶ what was done, what resisted
//! ```

mod change;
mod copy;
mod facts;
mod list;
mod prune;
mod remove;
mod verify;

pub use change::{Deprecation, deprecate, share};
pub use copy::{
    CopiedImage, CopyOrder, CopyProgress, CopyStatus, CopyTo, CopyWatch, NotCopyable, common_tags,
    copy,
};
pub use facts::{ImageFacts, ImageUse, facts_of, find, uses};
pub use list::{ImageQuery, ImageRow, list, row};
pub use prune::{Fate, PruneRule, PruneRuleError, Pruned, prune};
pub use remove::{Removed, RemovedImage, remove};
pub use verify::{Difference, ManifestProblem, Verified, VerifiedImage, read_manifest, verify};

use cloud::ImageState;

/// An image's state as EC2 writes it.
pub fn state_word(state: &ImageState) -> String {
    match state {
        ImageState::Pending => String::from("pending"),
        ImageState::Available => String::from("available"),
        ImageState::Failed => String::from("failed"),
        ImageState::Gone => String::from("deregistered"),
        ImageState::Other(word) => word.clone(),
    }
}

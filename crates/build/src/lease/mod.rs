//! Leases: the exclusive use of something, held as an SSM parameter.
//!
//! SSM offers one atomic claim: PutParameter without overwrite fails if the name exists. DeleteParameter is
//! unconditional, so nobody ever deletes a name that another may hold. Hence generations:
//!
//! ```text
//!   /qib/leases/<what>/00000001   held by r-…    ◀─ the highest generation is the lease
//!
//!   free ──claim: create generation n+1──▶ settling ──still the highest?──▶ held ──release──▶ free
//!                                             │ no: withdraw one's own        │
//!                                             ▼                               │ not renewed for 2 minutes
//!                                          waiting ◀──────────────────────────┘ (as the waiter's own clock counts):
//!                                                                               create the next generation
//! ```
//!
//! A holder renews by rewriting its own parameter, which raises SSM's version of it. A waiter compares versions with
//! its own clock, so no two clocks are ever compared. [`next_move`] is the whole rule, and it is pure.

mod claim;
mod rule;

pub use claim::{Lease, LeaseProgress, claim_lease, release_lease, renew};
pub use rule::{
    ADDRESS_FOLDER, Claim, LeaseMove, LeaseView, Observation, address_folder, image_folder,
    is_settled, lease_name, next_move,
};

//! Leases: who is alive, and whose turn it is, as SSM parameters below `/qib/leases`.
//!
//! A run shows that it is alive by `run/<run id>`, which it renews every 30 seconds; [`liveness()`] is the rule by which
//! others judge it. Who wants an Elastic IP, or wants to build an image that others may want too, stands in line: each
//! thing has a folder, and each who wants it writes a **ticket** there.
//!
//! # The queue
//!
//! ```text
//!   /qib/leases/address/eipalloc-…/1790000000000-r-…-base-us-east-2   the lowest living ticket holds
//!                                  1790000004711-r-…-base-us-east-2   next in line
//!
//!   list ─▶ create the next higher number ─▶ list ─▶ a greater one there? ──yes─▶ withdrawn ─▶ list …
//!                                                       │ no
//!                                                       ▼
//!                                         ┌────────▶ settled ──────────▶ held ─▶ given back
//!                                         │             │  a lower one      │
//!                                        list ◀─ pause ─┘  lives            │
//!                                                       │                   │
//!                                                       └─── not renewed ───┴─▶ lost (never renewed again)
//! ```
//!
//! [`Place::look`] is the rule, and [`Fence`] says how long a ticket is one's own. A ticket's name carries its run and
//! cell, so nobody else ever writes it: deleting it by name, which is all that SSM offers, never takes another's place.
//!
//! # Why two never hold at once
//!
//! *Two settled tickets L < H are seen by H.* L settled by a look that showed nothing greater. Had H been there at that
//! look, L would have withdrawn. So H was created after it, and after L; every look of H's shows L for as long as L is
//! there. Hence H holds only after L is gone, or dead. Nobody comes in before a settled ticket either: order of arrival.
//!
//! *L dead means that L knows.* H takes L for dead when the service says that it was last written two minutes ago; or,
//! where L's journal is on H's host, when no process has that locked. In the second case nobody is there to use the
//! thing. In the first, L's own clock has moved on by two minutes since it *began* its last renewal that was answered
//! in time, and [`Fence`] has told it so ten seconds earlier: it neither uses the thing nor renews again. A renewal that
//! was under way meanwhile may make the ticket look young once more, or make it anew after a sweep; its answer comes
//! too late, so L has lost its turn nevertheless, and others only wait for the ghost to grow old.
//!
//! *A stale look does no harm if it is stale for everybody's past:* a look that does not show one's own ticket counts
//! for nothing. Beyond that the rule needs what SSM promises for one parameter: that a write that was answered is seen.
//!
//! # Why somebody always comes to hold
//!
//! Of all tickets that are not settled the greatest settles at its next look, unless another is created before that;
//! who withdraws pauses for a time that grows and differs from one to the next. A dead ticket stops nobody for longer
//! than two minutes, and a holder never waits for another lease: there is no circle to be caught in. Who waits in
//! several queues at once, for any one of a pool of addresses, holds none while it waits.
//!
//! The same text in words for users is `docs/leases.md`; `tests/leases.rs` runs the rule through random interleavings,
//! with crashes, pauses, slow writes and a sweeper.

mod fence;
mod held;
mod liveness;
mod queue;
mod record;
mod ticket;

pub use fence::{Fence, Lost};
pub use held::{Content, LeaseKey, Leases, Renewal};
pub use liveness::{AliveBecause, DEAD_AFTER, Liveness, Signs, WithoutLease, liveness};
pub use queue::{Line, Place, Queued, Standing, look_pause};
pub use record::{LeaseRecord, Leased, all};
pub use ticket::{
    ADDRESS_FOLDER, Claim, IMAGE_FOLDER, LEASES, RUN_FOLDER, Ticket, address_folder, image_folder,
    run_lease,
};

use std::time::Duration;

/// How often a lease is renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(30);

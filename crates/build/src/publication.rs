//! From an image that is available to one that everybody may use: in which order, in each region. Pure.
//!
//! ```text
//!                 ┌─────────────────────────── its name is free ──────────────────────────┐
//!                 │                                                                       ▼
//!  build region: captured ─▶ whole ─▶ tested ─▶ complete ─────────────────────────▶ complete, named ─┐
//!                                                  │                                      ▲          │
//!  other region: absent ─▶ copied ─▶ whole ────────┴─▶ complete, under a name of transit  │          │
//!                                                          │ the old image is retired     │          │
//!                                                          ▼                              │          │
//!                                                      name free ─▶ copied to the name ───┘          │
//!                                                                                                    │
//!   done ◀─ old snapshots gone ◀─ transit image gone ◀─ parameters ◀─ shared ◀─ protected ◀─ deprecated ◀─┘
//! ```
//!
//! What holds at every moment, whatever dies when (the property test at the end):
//!
//! - Nothing is shared, and no parameter names it, before it has passed its test and is complete.
//! - An image that has the wanted name is retired only when the new one is complete in that region.
//! - No two of ours have the wanted name in one region.
//! - What a retired image was made of goes last of all.
//!
//! All regions go through a [`Phase`] before any begins the next, so that nobody is given an image while its copies are
//! still being made. A region that fails takes no part in what follows; the others do.
//!
//! Why a name of transit and a copy: `docs/decisions/0031-replacing-an-image.md`.

/// How far an image of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// EC2 is making it.
    Pending,
    /// It is available.
    Whole,
    /// It carries `qib:complete`.
    Complete,
}

/// Under which name an image of ours is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Under {
    /// The wanted one.
    Name,
    /// One of transit, until the wanted one is free.
    Transit,
}

/// What is to become of another image that has the wanted name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// It is the region's image, and stays.
    Stays,
    /// It is retired.
    Goes,
}

/// Whether something that is wanted is done; also so where it is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is to be done.
    Yes,
    /// It is done.
    No,
}

/// What is seen of one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Our image under the wanted name.
    pub named: Option<Standing>,
    /// Our image under a name of transit.
    pub transit: Option<Standing>,
    /// Another image that has the wanted name.
    pub holder: Option<Holder>,
    /// The test, in the build's region.
    pub test: Due,
    /// Its deprecation.
    pub deprecation: Due,
    /// Its protection.
    pub protection: Due,
    /// Who it is shared with.
    pub sharing: Due,
    /// The parameters that name it.
    pub parameters: Due,
    /// The snapshots of the image that it replaced.
    pub remains: Due,
}

/// What is done next in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An instance is booted from the build's image, and checked.
    Test,
    /// It is copied from the build's region.
    Copy(Under),
    /// It is waited for.
    Await(Under),
    /// It is marked as complete.
    Complete(Under),
    /// The image that has the name is deregistered.
    Retire,
    /// The image of transit is copied, within the region, to the wanted name.
    TakeName,
    /// It is given its end.
    Deprecate,
    /// It is protected.
    Protect,
    /// Snapshots, then image.
    Share,
    /// The parameters that name it are written.
    WriteParameters,
    /// The image of transit goes.
    RemoveTransit,
    /// The snapshots of the retired image go.
    RemoveRemains,
}

/// What all regions have done before any does the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The build's image is tested and complete: other runs may find it.
    Complete,
    /// Every region has it, under whatever name.
    Copy,
    /// It has its name.
    Name,
    /// It has its end, and is protected.
    Deprecate,
    /// It is shared.
    Share,
    /// Parameters name it.
    Parameters,
    /// What it took the place of is gone.
    Tidy,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Complete,
        Self::Copy,
        Self::Name,
        Self::Deprecate,
        Self::Share,
        Self::Parameters,
        Self::Tidy,
    ];
}

/// Where a region is: in the build's, the image has been made already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The build's region.
    Home,
    /// One that it is copied to.
    Away,
}

/// What comes next in a region, and in which phase; none if all is done there.
pub fn next(place: Place, seen: &Seen) -> Option<(Phase, Action)> {
    let making = match place {
        Place::Home => Phase::Complete,
        Place::Away => Phase::Copy,
    };
    let to_complete = |standing: Standing, under: Under, phase: Phase| match standing {
        Standing::Pending => Some((phase, Action::Await(under))),
        Standing::Whole if seen.test == Due::Yes => Some((phase, Action::Test)),
        Standing::Whole => Some((phase, Action::Complete(under))),
        // One that another run completed before there was this test.
        Standing::Complete if seen.test == Due::Yes => Some((phase, Action::Test)),
        Standing::Complete => None,
    };
    match (seen.named, seen.transit, seen.holder) {
        (Some(named), transit, _) => {
            let phase = if transit.is_some() {
                Phase::Name
            } else {
                making
            };
            to_complete(named, Under::Name, phase).or_else(|| finish(seen))
        }
        (None, Some(transit), holder) => {
            to_complete(transit, Under::Transit, making).or(match holder {
                Some(Holder::Goes) => Some((Phase::Name, Action::Retire)),
                // It is the region's image for whoever asks by name; ours stays beside it under its own.
                Some(Holder::Stays) => None,
                None => Some((Phase::Name, Action::TakeName)),
            })
        }
        (None, None, Some(Holder::Stays)) => None,
        (None, None, Some(Holder::Goes)) => Some((Phase::Copy, Action::Copy(Under::Transit))),
        (None, None, None) => Some((Phase::Copy, Action::Copy(Under::Name))),
    }
}

/// What follows once our image is complete and has its name.
fn finish(seen: &Seen) -> Option<(Phase, Action)> {
    let transit = if seen.transit.is_some() {
        Due::Yes
    } else {
        Due::No
    };
    let in_order = [
        (seen.deprecation, Phase::Deprecate, Action::Deprecate),
        (seen.protection, Phase::Deprecate, Action::Protect),
        (seen.sharing, Phase::Share, Action::Share),
        (seen.parameters, Phase::Parameters, Action::WriteParameters),
        (transit, Phase::Tidy, Action::RemoveTransit),
        (seen.remains, Phase::Tidy, Action::RemoveRemains),
    ];
    in_order
        .into_iter()
        .find(|(due, _, _)| *due == Due::Yes)
        .map(|(_, phase, action)| (phase, action))
}

impl Seen {
    /// A region in which there is nothing of ours, and nothing is wanted but the image.
    pub const NOTHING: Self = Self {
        named: None,
        transit: None,
        holder: None,
        test: Due::No,
        deprecation: Due::No,
        protection: Due::No,
        sharing: Due::No,
        parameters: Due::No,
        remains: Due::No,
    };

    /// What is seen after `action` was done.
    #[must_use]
    pub fn after(self, action: Action) -> Self {
        let mut seen = self;
        let standing = |seen: &mut Self, under: Under, standing: Standing| match under {
            Under::Name => seen.named = Some(standing),
            Under::Transit => seen.transit = Some(standing),
        };
        match action {
            Action::Test => seen.test = Due::No,
            Action::Copy(under) => standing(&mut seen, under, Standing::Pending),
            Action::Await(under) => standing(&mut seen, under, Standing::Whole),
            Action::Complete(under) => standing(&mut seen, under, Standing::Complete),
            Action::Retire => {
                seen.holder = None;
                seen.remains = Due::Yes;
            }
            Action::TakeName => seen.named = Some(Standing::Pending),
            Action::Deprecate => seen.deprecation = Due::No,
            Action::Protect => seen.protection = Due::No,
            Action::Share => seen.sharing = Due::No,
            Action::WriteParameters => seen.parameters = Due::No,
            Action::RemoveTransit => seen.transit = None,
            Action::RemoveRemains => seen.remains = Due::No,
        }
        seen
    }
}

#[cfg(test)]
mod tests;

use super::*;
use proptest::prelude::*;

/// An image in the model of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Image {
    standing: Standing,
    tested: bool,
    deprecated: bool,
    protected: bool,
    shared: bool,
}

impl Image {
    const NEW: Self = Self {
        standing: Standing::Pending,
        tested: false,
        deprecated: false,
        protected: false,
        shared: false,
    };
}

/// One region of the account.
#[derive(Clone, Debug)]
struct Region {
    place: Place,
    named: Option<Image>,
    transit: Option<Image>,
    /// The old image that has the name.
    old: bool,
    /// Its snapshots, which stay for a while after it.
    old_snapshots: bool,
    /// Whether the parameters name our image.
    written: bool,
    /// Whether a run that died had the old image retired.
    retired: bool,
}

/// What the pipeline wants.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    holder: Holder,
    test: bool,
    finishing: bool,
}

fn due(wanted: bool, done: bool) -> Due {
    if wanted && !done { Due::Yes } else { Due::No }
}

/// What a process that has just begun sees.
fn look(region: &Region, wanted: Wanted) -> Seen {
    let image = region.named.or(region.transit);
    let of = |get: fn(&Image) -> bool| region.named.as_ref().is_some_and(get);
    Seen {
        named: region.named.map(|image| image.standing),
        transit: region.transit.map(|image| image.standing),
        holder: region.old.then_some(wanted.holder),
        test: due(
            wanted.test && region.place == Place::Home,
            image.is_some_and(|image| image.tested),
        ),
        deprecation: due(wanted.finishing, of(|image| image.deprecated)),
        protection: due(wanted.finishing, of(|image| image.protected)),
        sharing: due(wanted.finishing, of(|image| image.shared)),
        parameters: due(wanted.finishing, region.written),
        remains: due(region.retired, !region.old_snapshots),
    }
}

/// Does it in the account. `home` is the image that copies are made of.
fn perform(region: &mut Region, action: Action, home: Option<Image>) {
    match action {
        Action::Test => {
            let under = if region.named.is_some() {
                Under::Name
            } else {
                Under::Transit
            };
            change(region, under, |image| image.tested = true);
        }
        Action::Copy(under) => {
            let home = home.expect("copied before there is something to copy");
            assert_eq!(home.standing, Standing::Complete, "copied before complete");
            let copy = Image {
                tested: home.tested,
                ..Image::NEW
            };
            match under {
                Under::Name => {
                    assert!(
                        !region.old && region.named.is_none(),
                        "EC2 refuses a second name"
                    );
                    region.named = Some(copy);
                }
                Under::Transit => region.transit = Some(copy),
            }
        }
        Action::Await(under) => change(region, under, |image| image.standing = Standing::Whole),
        Action::Complete(under) => change(region, under, |image| {
            assert_eq!(image.standing, Standing::Whole);
            image.standing = Standing::Complete;
        }),
        Action::Retire => {
            region.old = false;
            region.retired = true;
        }
        Action::TakeName => {
            assert!(
                !region.old && region.named.is_none(),
                "EC2 refuses a second name"
            );
            let transit = region.transit.expect("copied from nothing");
            region.named = Some(Image {
                tested: transit.tested,
                ..Image::NEW
            });
        }
        Action::Deprecate => change(region, Under::Name, |image| image.deprecated = true),
        Action::Protect => change(region, Under::Name, |image| image.protected = true),
        Action::Share => change(region, Under::Name, |image| image.shared = true),
        Action::WriteParameters => region.written = true,
        Action::RemoveTransit => region.transit = None,
        Action::RemoveRemains => region.old_snapshots = false,
    }
}

fn change(region: &mut Region, under: Under, change: fn(&mut Image)) {
    let image = match under {
        Under::Name => region.named.as_mut(),
        Under::Transit => region.transit.as_mut(),
    };
    change(image.expect("there is none to change"));
}

/// What must hold at every moment.
fn check(regions: &[Region], wanted: Wanted, had_old: &[bool]) {
    for (region, had_old) in regions.iter().zip(had_old) {
        let complete =
            |image: Option<Image>| image.is_some_and(|image| image.standing == Standing::Complete);
        for image in region.named.iter().chain(&region.transit) {
            if image.standing == Standing::Complete {
                assert!(!wanted.test || image.tested, "complete, and not tested");
            }
            if image.shared {
                assert_eq!(image.standing, Standing::Complete, "shared before complete");
            }
        }
        if region.written {
            assert!(
                complete(region.named),
                "a parameter names what is not complete"
            );
            assert!(
                region.named.is_some_and(|image| image.shared),
                "a parameter names what is not shared"
            );
        }
        if *had_old && !region.old {
            assert_eq!(wanted.holder, Holder::Goes, "retired what was to stay");
            assert!(
                complete(region.named) || complete(region.transit),
                "the old image is gone, and there is no new one"
            );
        }
        if *had_old && !region.old_snapshots {
            assert!(
                complete(region.named) && region.transit.is_none(),
                "the old snapshots are gone before the rest"
            );
            assert!(
                !wanted.finishing
                    || (region.written && region.named.is_some_and(|image| image.shared)),
                "the old snapshots are gone before the new image is used"
            );
        }
        assert!(
            !(region.old && region.named.is_some()),
            "two images have the name"
        );
    }
    // Nobody is given an image while a copy is still to be made.
    if regions
        .iter()
        .any(|region| region.named.is_some_and(|image| image.shared))
    {
        for region in regions {
            let has = region.named.or(region.transit);
            assert!(
                has.is_some_and(|image| image.standing == Standing::Complete)
                    || (region.old && wanted.holder == Holder::Stays),
                "shared before every region has it"
            );
        }
    }
}

/// Runs until all is done or `crash` actions have been done; gives what is left of those.
fn drive(
    regions: &mut [Region],
    wanted: Wanted,
    had_old: &[bool],
    mut crash: u32,
    mut choose: impl FnMut(usize) -> usize,
) -> Option<u32> {
    let mut seen: Vec<Seen> = regions.iter().map(|region| look(region, wanted)).collect();
    for phase in Phase::ALL {
        loop {
            let ready: Vec<(usize, Action)> = regions
                .iter()
                .enumerate()
                .filter_map(|(index, region)| {
                    let (due, action) = next(region.place, &seen[index])?;
                    (due <= phase).then_some((index, action))
                })
                .collect();
            if ready.is_empty() {
                break;
            }
            let (index, action) = ready[choose(ready.len())];
            let home = regions[0].named.or(regions[0].transit);
            perform(&mut regions[index], action, home);
            check(regions, wanted, had_old);
            if crash == 0 {
                // It was done, and nobody knows.
                return None;
            }
            crash -= 1;
            seen[index] = seen[index].after(action);
            assert_eq!(
                seen[index],
                look(&regions[index], wanted),
                "after {action:?}"
            );
        }
    }
    Some(crash)
}

fn regions() -> impl Strategy<Value = (Vec<Region>, Wanted)> {
    let olds = proptest::collection::vec(any::<bool>(), 1..4);
    let holder = prop_oneof![Just(Holder::Goes), Just(Holder::Stays)];
    (olds, holder, any::<bool>(), any::<bool>()).prop_map(|(olds, holder, test, finishing)| {
        let regions = olds
            .iter()
            .enumerate()
            .map(|(index, old)| {
                let place = if index == 0 { Place::Home } else { Place::Away };
                // At home, a name that stays another's ends the cell before anything is built.
                let old = *old && (index > 0 || holder == Holder::Goes);
                let made = (index == 0).then_some(Image::NEW);
                Region {
                    place,
                    named: made.filter(|_| !old),
                    transit: made.filter(|_| old),
                    old,
                    old_snapshots: old,
                    written: false,
                    retired: false,
                }
            })
            .collect();
        let wanted = Wanted {
            holder,
            test,
            finishing,
        };
        (regions, wanted)
    })
}

proptest! {
    /// Whatever dies when, and whichever region is faster, what must hold holds at every moment, and who comes next brings
    /// it to its end.
    #[test]
    fn no_crash_breaks_the_order(
        (mut regions, wanted) in regions(),
        crashes in proptest::collection::vec(0_u32..12, 0..6),
        choices in proptest::collection::vec(any::<prop::sample::Index>(), 128),
    ) {
        let had_old: Vec<bool> = regions.iter().map(|region| region.old).collect();
        let mut choices = choices.into_iter().cycle();
        let mut choose = move |count: usize| choices.next().map_or(0, |index| index.index(count));
        for crash in crashes {
            drive(&mut regions, wanted, &had_old, crash, &mut choose);
        }
        prop_assert!(drive(&mut regions, wanted, &had_old, 1_000, &mut choose).is_some());
        for region in &regions {
            if region.old {
                prop_assert_eq!(wanted.holder, Holder::Stays);
                prop_assert!(region.named.is_none());
                continue;
            }
            let named = region.named.expect("it has no image in the end");
            prop_assert_eq!(named.standing, Standing::Complete);
            prop_assert_eq!(named.shared && named.deprecated && named.protected, wanted.finishing);
            prop_assert_eq!(region.written, wanted.finishing);
            prop_assert!(region.transit.is_none() && !region.old_snapshots);
        }
    }
}

#[test]
fn a_test_comes_before_everything_also_for_an_image_that_is_complete() {
    let seen = Seen {
        named: Some(Standing::Complete),
        test: Due::Yes,
        sharing: Due::Yes,
        ..Seen::NOTHING
    };
    assert_eq!(
        next(Place::Home, &seen),
        Some((Phase::Complete, Action::Test))
    );
}

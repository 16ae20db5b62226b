//! A run that dies at every record of its journal.

use super::*;
use build::sweep::{KeptToo, Sweep, SweepProgress, SweepWatch, carry_out, look};

/// A run that dies at a record, before or after it is written. Gives whether it came to that.
fn dies(world: &Arc<World>, wanted: Wanted<'_>, again: bool, at: u64, after: bool) -> bool {
    let looked = world.clone();
    let watch = Watch(Box::new(move |number, written| {
        check_replacing(&looked, true);
        if (number, written) == (at, after) {
            std::panic::resume_unwind(Box::new("killed"));
        }
    }));
    let (_canceller, cancellation) = cancellation();
    let ports = world.ports(Some(Arc::new(watch)));
    let options = world.options(wanted);
    let loaded = wanted.load();
    let work = async {
        if again {
            resume(loaded, wanted.id(), options, ports, cancellation).await
        } else {
            run(loaded, wanted.id(), options, ports, cancellation).await
        }
    };
    let ended = world.clock.run(AssertUnwindSafe(work).catch_unwind());
    match ended {
        Ok(report) => {
            assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
            false
        }
        Err(panic) => {
            assert_eq!(
                panic.downcast_ref::<&str>(),
                Some(&"killed"),
                "a check failed"
            );
            true
        }
    }
}

/// At every record of a run that tests, copies, replaces, shares and writes parameters, the process dies; another goes on
/// with the run, or the next run of the pipeline comes. At no moment does anything hold that must not, and in the end all
/// is as if nothing had died.
#[test]
fn a_run_that_dies_anywhere_is_brought_to_its_end() {
    let mut moments = 0;
    'moments: for at in 1.. {
        // Of the four ways to die at a record and be followed, two; the next record has the other two.
        for (after, next_run) in [(false, at % 2 == 0), (true, at % 2 == 1)] {
            let world = Arc::new(to_be_replaced());
            let first = wanted(1, REPLACE).with(TEST);
            if !dies(&world, first, false, at, after) {
                break 'moments;
            }
            moments += 1;
            let report = if next_run {
                world.run(wanted(2, REPLACE).with(TEST))
            } else {
                let (_canceller, cancellation) = cancellation();
                let (ports, options) = (world.ports(None), world.options(first));
                let work = resume(first.load(), first.id(), options, ports, cancellation);
                world.clock.run(work)
            };
            if report.exit == ExitCode::BadInput {
                // Of a journal without a whole record nothing can be gone on with, and nothing was begun; and a run that
                // had written its end has nothing left to do.
                match (at, after) {
                    (1, false) => continue,
                    _ => assert!(
                        report.failures[0].error.contains("succeeded"),
                        "{:?}",
                        report.failures
                    ),
                }
            } else {
                assert_eq!(
                    report.exit,
                    ExitCode::Done,
                    "record {at}, after {after}, next {next_run}: {:?} {:?}",
                    report.failures,
                    report.left_behind
                );
            }
            check_replacing(&world, true);
            check_replaced(&world);
            let checked = world.scripts().iter().any(|name| name == "check");
            assert!(checked, "record {at}: nobody ran the test");
        }
    }
    assert!(moments > 200, "{moments}");
}

struct Unwatched;

impl SweepWatch for Unwatched {
    fn progress(&self, _progress: &SweepProgress<'_>) {}
}

/// Sweeps all regions, as another process of this machine.
fn sweep(world: &World) {
    let sweep = Sweep {
        account: Arc::new(world.account.clone()),
        account_id: String::from("123456789012"),
        regions: [HOME, WEST, EUROPE].map(RegionName::new).to_vec(),
        endpoint: None,
        clock: Arc::new(world.clock.clone()),
        buckets: Vec::new(),
        state_dir: world.state.path().to_owned(),
        only: None,
        kept: KeptToo::No,
    };
    let carried = world.clock.run(async {
        let plan = look(&sweep).await.expect("it can look");
        carry_out(&sweep, plan, &Unwatched)
            .await
            .expect("it sweeps")
    });
    assert!(carried.is_complete(), "{:?}", carried.left(None));
}

/// Wherever a run dies that replaces an image, a sweep takes the name from nobody, and the next run finishes.
#[test]
fn a_sweep_leaves_the_name_to_the_image_that_has_it() {
    let named = |world: &World, region| {
        let there = world.region(region);
        let store = there.store();
        let mut images = store.images.values();
        images.any(|image| image.name == "golden" && image.state == ImageState::Available)
    };
    let mut taken_over = 0;
    for at in 1.. {
        let world = Arc::new(to_be_replaced());
        if !dies(
            &world,
            wanted(1, REPLACE).with(TEST),
            false,
            at,
            at % 2 == 0,
        ) {
            break;
        }
        let had = [HOME, WEST, EUROPE].map(|region| (region, named(&world, region)));
        sweep(&world);
        for (region, had) in had {
            assert!(
                !had || named(&world, region) || region == EUROPE,
                "record {at}: {region}"
            );
        }
        let waits = world.named("golden").into_iter();
        taken_over += waits
            .filter(|(_, image)| {
                image.tags.get(tag::RUN).is_some() && image.tags.get(tag::COMPLETE).is_none()
            })
            .count();
        let report = world.run(wanted(2, REPLACE).with(TEST));
        assert_eq!(
            report.exit,
            ExitCode::Done,
            "record {at}: {:?}",
            report.failures
        );
        check_replaced(&world);
    }
    assert!(
        taken_over > 0,
        "no run died when an image had just taken the name"
    );
}

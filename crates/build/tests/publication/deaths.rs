//! A run that dies at every record of its journal.

use super::*;

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

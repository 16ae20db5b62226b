//! What changes between the look and the removal.

use super::*;

#[test]
fn a_run_that_comes_to_life_after_it_was_shown_is_spared() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let plan = look(&sweep).await.unwrap();
        let before = account.holdings();
        let renewed = Written {
            kind: ParameterKind::Text,
            value: String::from("{}"),
            version: 2,
            at: Some(sweep.clock.now()),
        };
        account
            .store()
            .parameters
            .insert(run_lease(&run()), renewed);
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert!(carried.is_complete());
        assert_eq!(account.holdings(), before);
        let rows = rows(&carried, None);
        assert!(rows.iter().all(|row| row.action == "keep"), "{rows:?}");
    });
}

#[test]
fn a_run_whose_journal_another_process_holds_is_spared() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let journal = begin(state.path(), "123456789012");
        drop(journal);
        let plan = look(&sweep).await.unwrap();
        let before = account.holdings();
        let directory = RunDirectory::of(state.path(), &run());
        let _resumed = Journal::reopen(&directory, &run(), None).unwrap();
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert!(carried.is_complete());
        assert_eq!(account.holdings(), before);
    });
}

#[test]
fn an_image_that_became_complete_meanwhile_stays_with_its_snapshot() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let finished = account.clone();
        let watch = When(move |progress: &SweepProgress<'_>| {
            if let SweepProgress::Removing(Finding { thing, .. }) = progress
                && thing.id() == "i-1"
                && let Some(image) = finished.store().images.get_mut("ami-1")
            {
                image.tags.set(tag::COMPLETE, "true");
            }
        });
        let carried = swept(&sweep, &watch).await;
        let holdings = account.holdings();
        assert!(holdings.contains(&String::from("ami-1")), "{holdings:?}");
        let snapshot = String::from("snap-of-ami-1");
        assert!(holdings.contains(&snapshot), "{holdings:?}");
        assert_eq!(failed(&carried), [""; 0]);
        assert!(!holdings.contains(&String::from("i-1")), "{holdings:?}");
    });
}

#[test]
fn what_a_call_of_the_dead_process_makes_meanwhile_goes_as_well() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let late = account.clone();
        let watch = When(move |progress: &SweepProgress<'_>| {
            if let SweepProgress::Removed(Finding { thing, .. }) = progress
                && thing.id() == "sg-1"
            {
                let image = image("ami-late", tags());
                let mut store = late.store();
                store.images.insert("ami-late".into(), image);
                let snapshot = snapshot("snap-of-ami-late", tags());
                store.snapshots.insert("snap-of-ami-late".into(), snapshot);
            }
        });
        let carried = swept(&sweep, &watch).await;
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        assert_eq!(account.holdings(), OTHERS);
    });
}

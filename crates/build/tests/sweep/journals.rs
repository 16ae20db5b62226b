//! This machine's records of dead runs.

use super::*;

#[test]
fn the_journal_of_this_machine_is_brought_up_to_date_and_closed() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        let directory = RunDirectory::of(state.path(), &run());
        let folder = directory.cell(&cell()).unwrap();
        std::fs::write(folder.join("id"), "a private key").unwrap();
        // Nothing but the journal tells that this may be there: it shows only after the first look.
        let effect = Effect::LaunchInstance {
            region: REGION.into(),
            client_token: "late".into(),
            source_image: "ami-0".into(),
            recipe: String::new(),
        };
        let journal = Journal::reopen(&directory, &run(), None).unwrap();
        let at = sweep.clock.now();
        journal.intend(&cell(), effect, at).unwrap();
        drop(journal);
        let carried = swept(&sweep, &Nobody).await;
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!(journal.closed(), Some(RunStatus::Swept));
        assert!(journal.outstanding().is_empty());
        assert!(
            !folder.join("id").exists(),
            "the key leads nowhere any more"
        );
        assert_eq!(account.holdings(), OTHERS);
        let plan = look(&sweep).await.unwrap();
        assert_eq!(plan.removals().count(), 0);
    });
}

#[test]
fn what_only_the_journal_knows_of_is_looked_for() {
    timed(async |clock| {
        let account = FakeAccount::new();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        // Made by a call that was under way when the process died. EC2 shows it after a while.
        let mut tags = tags();
        tags.set("Name", "late");
        let late = account.clone();
        late.store().shows_late = 12;
        late.store()
            .instances
            .insert("i-1".into(), instance("i-1", tags));
        let carried = swept(&sweep, &Nobody).await;
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        assert_eq!(account.holdings(), [""; 0]);
    });
}

#[test]
fn what_resists_keeps_the_journal_open_for_the_next_sweep() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        account.store().denied = vec!["DeleteKeyPair"];
        let carried = swept(&sweep, &Nobody).await;
        assert_eq!(failed(&carried), ["key-1", run().as_str()]);
        let directory = RunDirectory::of(state.path(), &run());
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!((journal.closed(), journal.outstanding().len()), (None, 1));
        account.store().denied.clear();
        assert!(swept(&sweep, &Nobody).await.is_complete());
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!(journal.closed(), Some(RunStatus::Swept));
    });
}

#[test]
fn the_journal_of_another_accounts_run_is_left_alone() {
    timed(async |clock| {
        let account = FakeAccount::new();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "999999999999"));
        let directory = RunDirectory::of(state.path(), &run());
        let before = JournalReader::read(&directory).unwrap();
        assert!(swept(&sweep, &Nobody).await.is_complete());
        assert_eq!(JournalReader::read(&directory).unwrap(), before);
    });
}

#[test]
fn a_journal_that_cannot_be_read_does_not_keep_the_runs_things_alive() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        drop(begin(state.path(), "123456789012"));
        let directory = RunDirectory::of(state.path(), &run());
        let file = directory.path().join("journal.jsonl");
        std::fs::write(&file, "from another world\n").unwrap();
        let plan = look(&sweep).await.unwrap();
        assert_eq!(plan.unreadable.len(), 1);
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert!(carried.is_complete(), "{:?}", failed(&carried));
        assert_eq!(account.holdings(), OTHERS);
    });
}

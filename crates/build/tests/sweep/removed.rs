//! What goes and in which order, and what stays.

use super::*;

#[test]
fn everything_that_a_dead_run_left_goes_in_order_and_nothing_else() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let plan = look(&sweep).await.unwrap();
        let planned = planned_rows(&plan, None);
        assert!(planned.iter().all(|row| row.action != "removed"));
        let before = account.holdings().len();
        assert_eq!(account.holdings().len(), before, "looking changes nothing");

        account.store().calls.clear();
        let carried = carry_out(&sweep, plan, &Nobody).await.unwrap();
        assert_eq!(failed(&carried), [""; 0]);
        assert!(carried.is_complete());
        assert_eq!(account.holdings(), OTHERS);
        let calls = account.store().calls.clone();
        let order = [
            "DisassociateAddress",
            "TerminateInstances",
            "DeregisterImage",
            "DeleteSnapshot",
            "DeleteKeyPair",
            "DeleteSecurityGroup",
            "DeleteParameter",
        ];
        let places: Vec<usize> = order.iter().map(|call| position(&calls, call)).collect();
        assert!(places.is_sorted(), "{calls:?}");

        let again = swept(&sweep, &Nobody).await;
        assert!(again.is_complete());
        let touched = rows(&again, None);
        assert!(
            touched.iter().all(|row| row.action == "keep"),
            "{touched:?}"
        );
        assert_eq!(account.holdings(), OTHERS);
    });
}

#[test]
fn a_passing_refusal_and_a_lost_reply_end_nothing() {
    timed(async |clock| {
        for (call, fault) in [
            ("TerminateInstances", Fault::LostReply),
            ("DeregisterImage", Fault::LostReply),
            ("DeleteSnapshot", Fault::Refused(ErrorKind::Throttled)),
            ("DeleteKeyPair", Fault::LostReply),
            ("DeleteSecurityGroup", Fault::Refused(ErrorKind::Dependency)),
            ("DeleteParameter", Fault::Refused(ErrorKind::Transient)),
            ("DisassociateAddress", Fault::LostReply),
        ] {
            let account = left_by_a_dead_run();
            let state = tempfile::tempdir().unwrap();
            let sweep = sweep(&account, clock, state.path());
            account.store().faults.extend([(call, fault); 3]);
            let carried = swept(&sweep, &Nobody).await;
            assert!(carried.is_complete(), "{call}: {:?}", failed(&carried));
            assert_eq!(account.holdings(), OTHERS, "{call}");
        }
    });
}

#[test]
fn what_cannot_be_removed_is_named_with_its_command_and_a_second_sweep_finishes() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        account.store().denied = vec!["TerminateInstances"];
        let carried = swept(&sweep, &Nobody).await;
        assert!(!carried.is_complete());
        // The group is in use for as long as the instance is there.
        assert_eq!(failed(&carried), ["i-1", "sg-1"]);
        let left = carried.left(Some("http://127.0.0.1:1"));
        assert_eq!(
            left[0].remove_with,
            "aws --region us-east-2 --endpoint-url http://127.0.0.1:1 ec2 terminate-instances --instance-ids i-1"
        );
        assert!(left[0].reason.contains("TerminateInstances"), "{left:?}");

        account.store().denied.clear();
        assert!(swept(&sweep, &Nobody).await.is_complete());
        assert_eq!(account.holdings(), OTHERS);
    });
}

#[test]
fn what_is_kept_stays_until_it_is_asked_for_and_the_rest_of_the_run_goes() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let mut sweep = sweep(&account, clock, state.path());
        let journal = begin(state.path(), "123456789012");
        let numbers: Vec<_> = journal
            .state()
            .outstanding()
            .into_iter()
            .filter(|(_, entry)| {
                let kept = matches!(
                    entry.effect,
                    Effect::LaunchInstance { .. }
                        | Effect::ImportKeyPair { .. }
                        | Effect::CreateSecurityGroup { .. }
                );
                kept
            })
            .map(|(number, _)| number)
            .collect();
        for number in numbers {
            journal.append(&Record::Kept { number }).unwrap();
        }
        drop(journal);
        if let Some(instance) = account.store().instances.get_mut("i-1") {
            instance.tags.set(tag::KEPT, "keep-on-failure");
        }
        assert!(swept(&sweep, &Nobody).await.is_complete());
        let mut kept = OTHERS.map(String::from).to_vec();
        kept.extend(["i-1", "sg-1", "key-1", "binding of eipalloc-1"].map(String::from));
        kept.sort();
        let mut holdings = account.holdings();
        holdings.sort();
        assert_eq!(holdings, kept);
        let directory = RunDirectory::of(state.path(), &run());
        let journal = JournalReader::read(&directory).unwrap();
        assert_eq!(journal.kept().len(), 3);
        assert_eq!(journal.closed(), Some(RunStatus::Swept));

        sweep.kept = KeptToo::Yes;
        assert!(swept(&sweep, &Nobody).await.is_complete());
        assert_eq!(account.holdings(), OTHERS);
        let journal = JournalReader::read(&directory).unwrap();
        assert!(journal.kept().is_empty());
    });
}

#[test]
fn one_run_can_be_swept_alone() {
    timed(async |clock| {
        let account = left_by_a_dead_run();
        let state = tempfile::tempdir().unwrap();
        let sweep = sweep(&account, clock, state.path());
        let other = RunId::from_random(8);
        let before = account.holdings();
        assert!(sweep_run(&sweep, &other, &Nobody).await.unwrap().is_empty());
        assert_eq!(account.holdings(), before);
        assert!(sweep_run(&sweep, &run(), &Nobody).await.unwrap().is_empty());
        assert_eq!(account.holdings(), OTHERS);
    });
}

#[test]
fn nothing_is_removed_where_it_cannot_be_looked() {
    timed(async |clock| {
        for call in [
            "DescribeInstances",
            "DescribeVolumes",
            "DescribeKeyPairs",
            "DescribeSecurityGroups",
            "DescribeImages",
            "DescribeSnapshots",
            "DescribeAddresses",
        ] {
            let account = left_by_a_dead_run();
            let state = tempfile::tempdir().unwrap();
            let sweep = sweep(&account, clock, state.path());
            let plan = look(&sweep).await.unwrap();
            let before = account.holdings();
            account.store().denied = vec![call];
            assert!(look(&sweep).await.is_err(), "{call}");
            assert!(carry_out(&sweep, plan, &Nobody).await.is_err(), "{call}");
            assert_eq!(account.holdings(), before, "{call}");
        }
    });
}

//! However it ends, nothing stays but what was asked for.

use super::*;

#[tokio::test]
async fn a_cell_becomes_a_complete_and_shared_image_and_nothing_else_stays() {
    let stage = stage(Behaviour::default());
    stage.account.store().binds_by_itself = true;
    let built = stage.build(&spec(elastic())).await.unwrap();
    let id = built.image.image_id.to_string();
    assert_eq!(
        stage.account.holdings().len(),
        2,
        "{:?}",
        stage.account.holdings()
    );
    let store = stage.account.store();
    let image = &store.images[&id];
    for (key, value) in [
        ("qib:complete", "true"),
        ("qib:cache-key", "k"),
        ("Purpose", "base"),
        ("qib:stage", "base"),
        ("qib:source-image", "ami-source"),
    ] {
        assert_eq!(image.tags.get(key), Some(value), "{key}");
    }
    assert_eq!(store.shared.len(), 2, "{:?}", store.shared);
    assert!(
        store.shared[0].starts_with("snap-"),
        "snapshots are shared before the image"
    );
    drop(store);
    assert_eq!(stage.outstanding_on_disk(), 0);
}

#[tokio::test]
async fn the_address_is_free_before_the_image_is_made() {
    let stage = stage(Behaviour::default());
    stage.account.store().binds_by_itself = true;
    stage.build(&spec(elastic())).await.unwrap();
    let calls = stage.account.store().calls.clone();
    let position = |wanted: &str| {
        calls
            .iter()
            .position(|call| *call == wanted)
            .unwrap_or_else(|| panic!("no {wanted}"))
    };
    assert!(position("DisassociateAddress") < position("StopInstances"));
    assert!(
        position("DeleteParameter") < position("StopInstances"),
        "the lease goes with the address"
    );
    assert!(
        position("DeleteSecurityGroup") < position("CreateImage"),
        "the group is gone before the instance ends"
    );
}

/// Every call that the build makes, refused once for good: it fails, and nothing stays.
#[tokio::test]
async fn a_refusal_of_any_call_leaves_nothing() {
    let good = stage(Behaviour::default());
    good.account.store().binds_by_itself = true;
    good.build(&spec(elastic())).await.unwrap();
    let mut operations: Vec<&'static str> = good.account.store().calls.clone();
    operations.sort_unstable();
    operations.dedup();
    assert!(operations.len() > 15, "{operations:?}");
    for operation in operations {
        let stage = stage(Behaviour::default());
        stage.account.store().binds_by_itself = true;
        stage
            .account
            .store()
            .faults
            .push((operation, Fault::Refused(ErrorKind::AccessDenied)));
        let result = stage.build(&spec(elastic())).await;
        let holdings = stage.account.holdings();
        match (operation, result) {
            // The image is complete by then: it stays, and only sharing it failed.
            (_, Err(StepError::NotPublished { .. })) => {
                assert_eq!(holdings.len(), 2, "{holdings:?}");
            }
            // A diagnosis, a courtesy or a removal that is tried again: the build goes on.
            (_, Ok(_)) => assert_eq!(holdings.len(), 2, "{operation}: {holdings:?}"),
            // The image is complete: the instance's end failed at first and was tried again.
            ("TerminateInstances", Err(_)) => assert_eq!(holdings.len(), 2, "{holdings:?}"),
            (_, Err(error)) => assert!(holdings.is_empty(), "{operation} ({error}): {holdings:?}"),
        }
        assert_eq!(stage.outstanding_on_disk(), 0, "{operation}");
    }
}

/// Every creating call, done with its reply lost: it is found again, gone on with, and made only once.
#[tokio::test]
async fn a_lost_reply_costs_nothing() {
    for operation in [
        "ImportKeyPair",
        "CreateSecurityGroup",
        "RunInstances",
        "CreateImage",
    ] {
        let stage = stage(Behaviour::default());
        stage.account.store().binds_by_itself = true;
        stage
            .account
            .store()
            .faults
            .push((operation, Fault::LostReply));
        let result = stage.build(&spec(elastic())).await;
        assert!(result.is_ok(), "{operation}: {:?}", result.err());
        let holdings = stage.account.holdings();
        assert_eq!(holdings.len(), 2, "{operation}: {holdings:?}");
        let store = stage.account.store();
        let calls = store.calls.iter().filter(|call| **call == operation);
        assert_eq!(calls.count(), 1, "{operation}");
        drop(store);
        assert_eq!(stage.outstanding_on_disk(), 0, "{operation}");
    }
}

#[tokio::test]
async fn a_failed_image_and_its_snapshots_go() {
    let stage = stage(Behaviour::default());
    stage.account.store().image_fails = true;
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(matches!(error, StepError::ImageFailed { .. }), "{error:?}");
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

/// An instance with the tag of `run`, that the journal says was launched: its effect.
async fn launched_by(stage: &Stage, run: &RunId) -> EffectNumber {
    let mut request = launch_request();
    request.tags.instance = Tags::new().with("qib:run", run.as_str());
    let launched = stage.context.region().run_instance(&request).await.unwrap();
    let effect = Effect::LaunchInstance {
        region: "us-east-2".into(),
        client_token: "token".into(),
        source_image: "ami-source".into(),
        recipe: String::new(),
    };
    let made = stage
        .context
        .effects()
        .make(
            stage.context.cell(),
            effect,
            async || Ok(launched.instance_id.clone()),
            async || Ok(None),
        )
        .await
        .unwrap();
    made.number
}

/// EC2 is eventually consistent: a termination right after the launch may be told that there is no such instance.
#[tokio::test]
async fn an_instance_that_does_not_show_yet_is_terminated_all_the_same() {
    let stage = stage(Behaviour::default());
    let number = launched_by(&stage, stage.context.run_id()).await;
    stage.account.store().shows_late = 5;
    stage.context.effects().unmake(number).await.unwrap();
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

/// A journal is a file, and whatever stands in it, what has not the run's tag is another's.
#[tokio::test]
async fn what_the_journal_names_but_is_anothers_is_not_touched() {
    let stage = stage(Behaviour::default());
    let number = launched_by(&stage, &RunId::from_random(7)).await;
    stage.context.effects().unmake(number).await.unwrap();
    let calls = stage.account.store().calls.clone();
    assert!(!calls.contains(&"TerminateInstances"), "{calls:?}");
    assert_eq!(stage.account.holdings().len(), 1);
}

#[tokio::test]
async fn a_cancelled_build_leaves_nothing() {
    let stage = stage(Behaviour {
        refuse: Some(OpenError::NotYet("timed out".into())),
        ..Behaviour::default()
    });
    stage.canceller.cancel(Cancelled::Interrupted);
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(
        matches!(error, StepError::Cancelled(Cancelled::Interrupted)),
        "{error:?}"
    );
    assert!(stage.account.holdings().is_empty());
}

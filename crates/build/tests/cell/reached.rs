//! The guest is reached, or it is said why not.

use super::*;

#[tokio::test]
async fn a_failing_provisioner_is_named_with_its_last_lines_and_no_secret() {
    let stage = stage(Behaviour {
        exit_codes: vec![("install.sh".into(), 7)],
        prints: Some("token is s3cret-value".into()),
        ..Behaviour::default()
    });
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    let StepError::Provisioner {
        name,
        how,
        last_lines,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (name.as_str(), how.as_str()),
        ("install", "ended with exit code 7")
    );
    assert_eq!(last_lines, &["token is ***"]);
    assert!(!stage.recorder.text().contains("s3cret-value"));
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

#[tokio::test]
async fn a_wrong_host_key_is_never_tried_twice() {
    let refuse = Some(OpenError::HostKeyMismatch("found SHA256:x".into()));
    let stage = stage(Behaviour {
        refuse,
        ..Behaviour::default()
    });
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(
        matches!(error, StepError::HostKeyMismatch { .. }),
        "{error:?}"
    );
    assert_eq!(stage.guests.done.lock().unwrap().len(), 1);
    assert!(stage.account.holdings().is_empty());
}

#[tokio::test]
async fn ssh_that_never_comes_up_ends_by_deadline_and_shows_the_console() {
    let stage = stage(Behaviour {
        refuse: Some(OpenError::NotYet("timed out".into())),
        ..Behaviour::default()
    });
    stage.account.store().console = "kernel panic".into();
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    let StepError::SshNeverCameUp { console, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(console, &["kernel panic"]);
    assert!(stage.account.holdings().is_empty());
}

#[tokio::test]
async fn an_address_that_is_never_bound_is_not_called_an_ssh_timeout() {
    let stage = stage(Behaviour::default());
    stage.account.store().console = "[  4.2] qib-bind-address: FAILED UnauthorizedOperation".into();
    let error = stage.build(&spec(elastic())).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("the address was not bound") && text.contains("UnauthorizedOperation"),
        "{text}"
    );
    assert!(
        stage.account.holdings().is_empty(),
        "{:?}",
        stage.account.holdings()
    );
}

#[tokio::test]
async fn a_broken_connection_does_not_run_a_provisioner_again() {
    let stage = stage(Behaviour {
        breaks_in: Some("install.sh".into()),
        ..Behaviour::default()
    });
    let error = stage.build(&spec(AddressSpec::Public)).await.unwrap_err();
    assert!(
        matches!(error, StepError::ConnectionLost { .. }),
        "{error:?}"
    );
    let runs = stage
        .guests
        .done
        .lock()
        .unwrap()
        .iter()
        .filter(|line| *line == "run install.sh")
        .count();
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn a_connection_that_ended_between_two_steps_is_opened_again() {
    let stage = stage(Behaviour {
        closes_after: Some("install.sh".into()),
        ..Behaviour::default()
    });
    stage.build(&spec(AddressSpec::Public)).await.unwrap();
    let done = stage.guests.done.lock().unwrap();
    assert_eq!(
        done.iter().filter(|line| line.starts_with("open ")).count(),
        2,
        "{done:?}"
    );
    assert_eq!(
        done.iter().filter(|line| *line == "run install.sh").count(),
        1
    );
}

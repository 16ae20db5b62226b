//! A person who is waited for.

use super::*;

#[test]
fn it_is_waited_for_a_person_who_may_end_the_run() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let pauses = Pauses {
        after: vec![
            "launch".parse().unwrap(),
            "provision:install-eu-west-1-1404-hvm".parse().unwrap(),
        ],
        pace: Pace::WhereAsked,
    };
    let operator = Arc::new(Asked::default());
    let wanted = Wanted {
        pauses: pauses.clone(),
        operator: Some(operator.clone()),
        ..Wanted::default()
    };
    let (report, recorder) = world.run_watched(&loaded, wanted);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let questions = operator.questions.lock().unwrap().clone();
    let after = |what: &str| {
        questions
            .iter()
            .filter(|asked| asked.contains(what))
            .count()
    };
    assert_eq!(
        (
            after("after launching"),
            after("after provisioner"),
            questions.len()
        ),
        (4, 1, 5),
        "{questions:?}"
    );
    // After the launch there is no way in yet; after a provisioner there is.
    let events = recorder.0.lock().unwrap();
    let ways_in = events.iter().filter_map(|event| match event {
        Event::Paused { way_in, .. } => Some(way_in.is_some()),
        _ => None,
    });
    assert_eq!(ways_in.filter(|known| *known).count(), 1);
    drop(events);

    let world = World::new(&[]);
    let operator = Arc::new(Asked {
        aborts_at: 2,
        ..Asked::default()
    });
    let wanted = Wanted {
        pauses,
        operator: Some(operator.clone()),
        jobs: Some(1),
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    assert_eq!(report.exit, ExitCode::Interrupted, "{:?}", report.failures);
    assert_eq!((report.images.len(), report.skipped.len()), (1, 2));
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn step_by_step_each_step_is_asked_for() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let operator = Arc::new(Asked::default());
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        pauses: Pauses {
            after: Vec::new(),
            pace: Pace::StepByStep,
        },
        operator: Some(operator.clone()),
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let questions = operator.questions.lock().unwrap().len();
    let steps = report
        .steps
        .iter()
        .filter(|step| step.provisioner.is_none())
        .count();
    assert_eq!(questions, steps);
}

#[test]
fn while_a_person_is_waited_for_leases_are_renewed() {
    struct Slow(EventClock, AtomicUsize);
    #[async_trait]
    impl Operator for Slow {
        async fn confirm(&self, _: &str) -> Answer {
            cloud::Clock::sleep(&self.0, Duration::from_secs(600)).await;
            self.1.fetch_add(1, Ordering::SeqCst);
            Answer::GoOn
        }
    }
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        pauses: Pauses {
            after: vec!["launch".parse().unwrap()],
            pace: Pace::WhereAsked,
        },
        ..Wanted::default()
    };
    let operator = Arc::new(Slow(world.clock.clone(), AtomicUsize::new(0)));
    let recorder = Arc::new(Recorder::default());
    let ports = Ports {
        host: Host {
            operator: Some(operator.clone()),
            ..Host::absent()
        },
        ..world.ports(&wanted, &recorder)
    };
    let (_canceller, cancellation) = cancellation();
    let options = world.options(&wanted);
    let id = RunId::from_random(7);
    let report = world
        .clock
        .run(run(loaded, id, options, ports, cancellation));
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    assert_eq!(operator.1.load(Ordering::SeqCst), 1);
    let calls = world.calls("eu-west-1");
    let writes = calls.iter().filter(|call| **call == "PutParameter").count();
    // The run's lease and the image's ticket, each every 30 s for ten minutes.
    assert!(writes >= 2 * 600 / 30, "{writes} writes");
}

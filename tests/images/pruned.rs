//! Images that are removed by a rule.

use super::*;

#[test]
fn prune_keeps_the_newest_of_each_set_and_everything_that_is_excluded() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let first = golden(&ec2);
    let role = |name: &str, role: &str, more: &[&str]| {
        let role = format!("Role={role}");
        another(&ec2, &first, name, &[&[role.as_str()], more].concat())
    };
    let web = [role("web-1", "web", &[]), role("web-2", "web", &[])];
    let tagged = role("web-3", "web", &["Keep=until it's Friday"]);
    let shared = role("web-4", "web", &[]);
    let public = role("web-5", "web", &[]);
    let template = role("web-6", "web", &[]);
    let running = role("web-7", "web", &[]);
    let protected = role("web-8", "web", &[]);
    let newest_web = role("web-9", "web", &[]);
    let db = [role("db-1", "db", &[]), role("db-2", "db", &[])];
    images(&ec2, &["share", &shared, "--with-account", OTHERS]).exits(0);
    images(&ec2, &["share", &public, "--public"]).exits(0);
    launch_template(&ec2, "web", &template);
    let instance = launch(&ec2, &running);
    aws(
        &ec2,
        HOME,
        &[
            "ec2",
            "enable-image-deregistration-protection",
            "--image-id",
            &protected,
        ],
    );
    let rule = [
        "prune",
        "--keep",
        "1",
        "--stage",
        "one",
        "--per",
        "Role",
        "--except-tag",
        "Keep=until it's Friday",
    ];
    let before = own_ids(&ec2, HOME);
    assert_eq!(before.len(), 12);
    let plan = images(&ec2, &[&rule[..], &["--json"]].concat()).exits(0);
    let fate = |ended: &Ended, image: &str| text(&row(ended, image), "fate");
    for image in [&web[0], &web[1], &db[0]] {
        assert_eq!(fate(&plan, image), "goes", "{image}{plan}");
    }
    for (image, why) in [
        (&tagged, "Keep=until it's Friday"),
        (&shared, "shared"),
        (&public, "public"),
        (&template, "launch template web"),
        (&running, instance.as_str()),
        (&protected, "protected"),
        (&newest_web, "newest of its set"),
        (&db[1], "newest of its set"),
        (&first, "newest of its set"),
    ] {
        let row = row(&plan, image);
        assert_eq!(row["fate"], "stays", "{why}{plan}");
        assert!(text(&row, "reason").contains(why), "{why}{plan}");
    }
    assert_eq!(own_ids(&ec2, HOME), before, "a plan removes nothing");
    // The command that the plan ends with does what was shown: it is given to a shell as it stands.
    let said = images(&ec2, &rule).exits(0);
    let again = said.stderr.rsplit("to do it: ").next().unwrap_or_default();
    ec2.shell(again)
        .exits(0)
        .says("3 images removed, 9 images stay");
    let gone = [&web[0], &web[1], &db[0]];
    let mut left: Vec<String> = before.clone();
    left.retain(|id| !gone.contains(&id));
    assert_eq!(own_ids(&ec2, HOME), left);
    // Their snapshots are gone with them: each image has one.
    assert_eq!(own_snapshots(&ec2, HOME).len(), left.len());
    // What is shared or public goes when that is said.
    let more = [&rule[..], &["--shared", "--public", "--yes", "--json"]].concat();
    let ended = images(&ec2, &more).exits(0);
    assert_eq!(fate(&ended, &shared), "removed", "{ended}");
    assert_eq!(fate(&ended, &public), "removed", "{ended}");
    assert_eq!(fate(&ended, &template), "stays", "{ended}");
    let nothing = images(&ec2, &[&rule[..], &["--yes"]].concat()).exits(0);
    assert!(nothing.stderr.contains("0 images removed"), "{nothing}");
}

/// Asks again until what is asked for has come: ages grow by themselves.
#[track_caller]
fn until(ec2: &LocalEc2, args: &[&str], fits: impl Fn(&Ended) -> bool) -> Ended {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = images(ec2, args).exits(0);
        if fits(&ended) {
            return ended;
        }
        assert!(Instant::now() < deadline, "it never came{ended}");
    }
}

#[test]
fn prune_by_age_and_by_the_last_launch() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    let never = another(&ec2, &image, "never-launched", &[]);
    let fate = |ended: &Ended, image: &str| text(&row(ended, image), "fate");
    let plan = images(&ec2, &["prune", "--older-than", "30d", "--json"]).exits(0);
    assert_eq!(fate(&plan, &image), "stays", "{plan}");
    assert!(
        text(&row(&plan, &image), "reason").contains("younger than 30d"),
        "{plan}"
    );
    let plan = images(&ec2, &["prune", "--not-launched-for", "30d", "--json"]).exits(0);
    assert!(
        text(&row(&plan, &never), "reason").contains("created within"),
        "{plan}"
    );
    // Both are old enough after two seconds, and then one is launched.
    let old = ["prune", "--not-launched-for", "2s", "--json"];
    until(&ec2, &old, |ended| {
        fate(ended, &image) == "goes" && fate(ended, &never) == "goes"
    });
    let instance = launch(&ec2, &image);
    terminate(&ec2, &instance);
    let recently = images(
        &ec2,
        &[
            "prune",
            "--not-launched-for",
            "10m",
            "--older-than",
            "2s",
            "--json",
        ],
    )
    .exits(0);
    assert!(
        text(&row(&recently, &image), "reason").contains("launched within 10m"),
        "{recently}"
    );
    // All conditions must hold.
    let both = ["prune", "--older-than", "2s", "--keep", "2", "--json"];
    let kept = images(&ec2, &both).exits(0);
    assert_eq!(fate(&kept, &image), "stays", "{kept}");
    until(&ec2, &old, |ended| fate(ended, &image) == "goes");
    let removed = images(&ec2, &["prune", "--not-launched-for", "2s", "--yes"]).exits(0);
    assert!(removed.stderr.contains("2 images removed"), "{removed}");
    assert_eq!(own(&ec2, HOME), Vec::<Value>::new());
    assert_eq!(own_snapshots(&ec2, HOME), Vec::<Value>::new());
}

#[test]
fn prune_looks_at_every_region_before_it_removes_anything() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let image = golden(&ec2);
    images(&ec2, &["copy", &image, "--to", WEST]).exits(0);
    ec2.faults(json!({ "actions": [
        { "action": "DescribeImages", "region": WEST, "code": "UnauthorizedOperation", "message": "no", "status": 403 }
    ] }));
    let rule = [
        "prune", "--keep", "0", "--region", HOME, "--region", WEST, "--yes",
    ];
    images(&ec2, &rule).exits(1).says("DescribeImages");
    ec2.no_faults();
    assert_eq!(own(&ec2, HOME).len(), 1, "nothing is removed");
    images(&ec2, &rule).exits(0).says("2 images removed");
    for region in [HOME, WEST] {
        assert_eq!(own(&ec2, region), Vec::<Value>::new());
        assert_eq!(own_snapshots(&ec2, region), Vec::<Value>::new());
    }
}

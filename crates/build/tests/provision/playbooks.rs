//! Ansible from here and inside.

use super::*;

/// A world with a playbook, and `provision:` with this entry.
fn with_playbook() -> World {
    let world = World::new();
    let folder = world.folder.path().join("plays");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("site.yaml"), "- hosts: all\n").unwrap();
    world
}

const FROM_HERE: &str = "    provision: [{ ansible: { playbook: plays/site.yaml, \
    extra_vars: { token: '${{ vars.token }}' } } }]";

const INSIDE: &str = "    provision: [{ ansible_local: { playbook: plays/site.yaml, staging: /var/tmp, \
    extra_vars: { token: '${{ vars.token }}' } }, timeout: 10m }]";

/// What was done, with the folder in the guest that nobody can guess as `STAGING`.
fn done_inside(world: &World) -> Vec<String> {
    let done = world.done();
    let folder = done
        .iter()
        .find_map(|line| line.strip_prefix("guest upload ")?.strip_suffix("/play/"))
        .unwrap_or_default()
        .to_owned();
    assert!(folder.starts_with("/var/tmp/.qib-ansible-"), "{done:?}");
    done.iter()
        .map(|line| line.replace(&folder, "STAGING"))
        .collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn ansible_is_looked_for_before_anything_is_made() {
    let world = with_playbook();
    world.scripted.ends("ansible-version", [Ends::Exit(127)]);
    let report = world.run(FROM_HERE);
    assert_eq!(report.exit, ExitCode::BadInput, "{report:?}");
    let error = &report.failures[0].error;
    assert!(
        error.contains("plays/site.yaml") && error.contains("has no Ansible"),
        "{error}"
    );
    let hint = report.failures[0].hint.clone().unwrap();
    assert!(hint.contains("pip install ansible-core"), "{hint}");
    assert_eq!(world.done(), ["here ansible-version"]);
    assert!(world.account.store().instances.is_empty());
    // Inside the guest, nobody needs it here.
    let world = with_playbook();
    done(&world.run(INSIDE));
    assert!(!world.done().contains(&String::from("here ansible-version")));
}

#[test]
fn a_playbook_from_here_fails_its_stage_with_what_qib_knows_of_it() {
    let world = with_playbook();
    world.scripted.ends("ansible-playbook", [Ends::Exit(4)]);
    let error = failed(&world.run(FROM_HERE));
    for part in [
        "plays/site.yaml",
        "exit code 4",
        "could not be reached",
        "connection refused",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(
        world.done(),
        ["here ansible-version", "here ansible-playbook"]
    );
    assert!(world.nothing_is_left());
    let left = files(world.state.path());
    assert!(
        !left.iter().any(|path| path.contains("/ansible/")),
        "{left:?}"
    );
}

#[test]
fn a_playbook_from_here_is_stopped_with_its_run() {
    let mut world = with_playbook();
    world.scripted.ends("ansible-playbook", [Ends::Never]);
    world.cancel_after = Some(30 * MINUTE);
    let report = world.run(FROM_HERE);
    assert_eq!(report.exit, ExitCode::Interrupted, "{report:?}");
    assert!(world.nothing_is_left());
    let left = files(world.state.path());
    assert!(
        !left.iter().any(|path| path.contains("/ansible/")),
        "{left:?}"
    );
}

#[test]
fn a_playbook_inside_is_uploaded_run_and_removed() {
    let world = with_playbook();
    done(&world.run(INSIDE));
    let wanted = [
        "guest ansible-staging",
        "guest upload STAGING/play/",
        "guest upload STAGING/inventory/hosts.yml",
        "guest upload STAGING/extra-vars.json",
        "guest ansible-playbook",
        "guest ansible-staging",
    ];
    assert_eq!(done_inside(&world), wanted);
    // Names of files stand in the environment, not on a command line; the secret stands in neither.
    let environment = world.scripted.environment("ansible-staging");
    assert!(environment["QIB_STAGING"].starts_with("/var/tmp/.qib-ansible-"));
    assert!(!format!("{environment:?}").contains("s3cret-value"));
}

#[test]
fn the_folder_inside_goes_also_after_a_failure_a_lost_connection_and_a_timeout() {
    for (ends, says) in [
        (Ends::Exit(2), "a task failed"),
        (Ends::Lost, "reset by peer"),
        (Ends::Never, "did not end within"),
    ] {
        let world = with_playbook();
        world.scripted.ends("ansible-playbook", [ends.clone()]);
        let error = failed(&world.run(INSIDE));
        assert!(error.contains(says), "{ends:?}: {error}");
        let done = done_inside(&world);
        let after = done
            .iter()
            .skip_while(|line| *line != "guest ansible-playbook");
        let after: Vec<&String> = after.collect();
        assert_eq!(
            after,
            ["guest ansible-playbook", "guest ansible-staging"],
            "{ends:?}"
        );
        assert!(world.nothing_is_left());
    }
}

#[test]
fn a_folder_inside_that_stays_keeps_the_image_from_being_made() {
    let world = with_playbook();
    world
        .scripted
        .ends("ansible-staging", [Ends::Exit(0), Ends::Exit(1)]);
    let error = failed(&world.run(INSIDE));
    assert!(
        error.contains("removing the playbook's folder from the guest"),
        "{error}"
    );
    let store = world.account.store();
    assert_eq!(store.images.len(), 1, "only the source");
}

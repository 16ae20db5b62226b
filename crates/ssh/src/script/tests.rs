use super::*;
use crate::secret::Secret;
use proptest::prelude::*;
use std::process::Command;

fn prepared(script: &Script) -> PreparedScript {
    let id = "0a-test".parse().expect("an id");
    script.prepare(&id).expect("the script is well formed")
}

fn with_secret(value: &str) -> Script {
    let mut script = Script {
        body: format!("echo {value}").into_bytes(),
        ..Script::default()
    };
    script
        .environment
        .set("TOKEN", Secret::new(value))
        .expect("a variable");
    script
}

fn staged<'a>(prepared: &'a PreparedScript, name: &str) -> &'a str {
    let file = prepared
        .staged
        .iter()
        .find(|f| f.path.as_str().ends_with(name))
        .expect("the file");
    std::str::from_utf8(&file.content).expect("text")
}

#[test]
fn no_command_line_and_no_debug_text_holds_a_secret() {
    for become_user in [
        Become::LoginUser,
        Become::User("root".parse().expect("a name")),
        Become::User("app".parse().expect("a name")),
    ] {
        let script = Script {
            become_user,
            pty: Some(PtySize::default()),
            ..with_secret("h1dden")
        };
        let prepared = prepared(&script);
        for line in [
            prepared.command.command.clone(),
            prepared.cleanup.command.clone(),
            prepared.make_folder(),
            prepared.receive("cat >file"),
            format!("{prepared:?}"),
            format!("{:?}", script.environment),
        ] {
            assert!(!line.contains("h1dden"), "{line}");
        }
        assert!(staged(&prepared, "/run").contains("export TOKEN=h1dden\n"));
    }
}

#[test]
fn the_environment_is_gone_before_the_script_begins() {
    let prepared = prepared(&with_secret("x"));
    let run = staged(&prepared, "/run");
    let removed = run
        .find("rm -f /tmp/qib-0a-test/run")
        .expect("it is removed");
    let begins = run.find("/tmp/qib-0a-test/script").expect("the script");
    assert!(removed < begins, "{run}");
}

#[test]
fn the_command_line_of_each_user() {
    let command = |become_user| {
        prepared(&Script {
            become_user,
            ..Script::default()
        })
        .command
        .command
    };
    assert_eq!(
        command(Become::LoginUser),
        "exec /bin/sh -c 'exec /bin/sh /tmp/qib-0a-test/run </dev/null'"
    );
    let root = command(Become::User("root".parse().expect("a name")));
    assert!(
        root.contains("exec sudo -n -H -u root -- /bin/sh /tmp/qib-0a-test/run </dev/null"),
        "{root}"
    );
    assert!(root.contains("$(id -u root"), "{root}");
}

#[test]
fn errexit_is_for_shells_only() {
    let run = |body: &str, errexit| {
        let script = Script {
            body: body.into(),
            errexit,
            ..Script::default()
        };
        staged(&prepared(&script), "/run").to_owned()
    };
    assert!(run("", Errexit::On).contains("/bin/sh $qib_options /tmp/"));
    assert!(
        run("#!/usr/bin/env bash", Errexit::On).contains("/usr/bin/env bash $qib_options /tmp/")
    );
    assert!(run("#!/bin/bash", Errexit::Off).contains("\nexec /bin/bash /tmp/"));
    assert!(run("#!/usr/bin/python3 -u", Errexit::On).contains("\nexec /usr/bin/python3 -u /tmp/"));
}

#[test]
fn names_that_could_be_shell_text_are_refused() {
    for bad in ["", "-root", "a b", "a;b", "$(id)", "a\n", "a/b"] {
        assert!(bad.parse::<UserName>().is_err(), "{bad}");
        assert!(bad == "-root" || bad.parse::<ScriptId>().is_err(), "{bad}");
    }
    for good in ["root", "ec2-user", "a.b_c", "machine$"] {
        assert!(good.parse::<UserName>().is_ok(), "{good}");
    }
    assert_ne!(ScriptId::random(), ScriptId::random());
}

#[test]
fn a_broken_first_line_is_found_before_anything_is_sent() {
    let script = Script {
        body: b"#!/bin/sh\r\necho\r\n".to_vec(),
        ..Script::default()
    };
    assert_eq!(
        script.prepare(&ScriptId::random()),
        Err(ScriptError::Shebang(ShebangError::CarriageReturn))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_reaches_the_script_through_a_real_shell(value in "[^\\x00]{0,80}") {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().to_str().expect("a name");
        let mut environment = Environment::new();
        environment.set("VALUE", Secret::new(value.clone())).expect("a variable");
        let run = runner(folder, &Interpreter::new("/bin/sh"), Errexit::On, &environment);
        std::fs::write(dir.path().join("run"), &*run).expect("the file is written");
        std::fs::write(dir.path().join("script"), "printf %s \"$VALUE\"; exit 7").expect("the file is written");
        let out = Command::new("/bin/sh").arg(dir.path().join("run")).output().expect("/bin/sh runs");
        prop_assert_eq!(out.stdout, value.as_bytes());
        prop_assert_eq!(out.status.code(), Some(7));
        prop_assert!(!dir.path().exists(), "the folder is removed");
    }
}

//! A secret never reaches a log, an error, a tag, user-data, a process's arguments, the state, or the image.

use end_to_end::{Config, LocalEc2, OneStage, Running};
use std::fs;
use std::path::{Path, PathBuf};

const FIRST_LINE: &str = "hunter2-first-line-of-it";
const SECOND_LINE: &str = "hunter2-second-line-of-it";

/// Files below `folder` that hold the secret.
fn holding_it(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            holding_it(&path, found);
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap_or_default();
            let has = |needle: &str| {
                content
                    .windows(needle.len())
                    .any(|window| window == needle.as_bytes())
            };
            if has(FIRST_LINE) || has(SECOND_LINE) {
                found.push(path);
            }
        }
    }
}

fn with_secret(provision: &str) -> String {
    OneStage {
        top: "vars:\n  token: { file: token.txt, secret: true }",
        provision,
        ..OneStage::default()
    }
    .text()
}

#[test]
fn a_secret_of_two_lines_is_used_and_never_seen() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let token = ec2.write("work/token.txt", format!("{FIRST_LINE}\n{SECOND_LINE}\n"));
    // It prints the secret whole and in parts, says what it could read of any process's arguments, and fails with it.
    ec2.write(
        "work/tell.sh",
        "#!/bin/sh\n\
         test \"$(printf %s \"$TOKEN\" | wc -c)\" -gt 40 && echo it arrived\n\
         echo \"$TOKEN\"\n\
         cat /proc/[0-9]*/cmdline | tr '\\0' ' '\n\
         echo \"error: $TOKEN\" >&2\n\
         exit 1\n",
    );
    let provision =
        r#"[{ run: { name: tell, script: tell.sh, env: { TOKEN: "${{ vars.token }}" } } }]"#;
    let file = ec2.pipeline(with_secret(provision));
    let mut command = ec2.command(["run", "--local", "--json", "-v"]);
    command.arg(&file).env("RUST_LOG", "trace");
    let ended = Running::start(command).end().failed_in("provision");
    assert!(
        ended
            .events_of("output")
            .iter()
            .any(|event| event["line"] == "it arrived"),
        "{ended}"
    );
    let ended = ended.never_says(FIRST_LINE).never_says(SECOND_LINE);
    let mut found = Vec::new();
    for folder in ["state", "local", "home"] {
        holding_it(&ec2.path(folder), &mut found);
    }
    assert!(found.is_empty(), "the secret is in {found:?}{ended}");
    assert!(token.exists());
}

#[test]
fn a_secret_that_is_uploaded_and_deleted_is_not_in_the_image_nor_in_user_data() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("work/token.txt", format!("{FIRST_LINE}\n{SECOND_LINE}\n"));
    let provision = r#"[
        { upload: { content: "${{ vars.token }}", to: token.txt } },
        { run: { name: use, inline: "grep -q second token.txt && shred -u token.txt" } } ]"#;
    let file = ec2.pipeline(with_secret(provision));
    let ended = ec2
        .run(&file)
        .exits(0)
        .never_says(FIRST_LINE)
        .never_says(SECOND_LINE);
    // The image's layer is below the local EC2's folder.
    let mut found = Vec::new();
    for folder in ["state", "local", "home"] {
        holding_it(&ec2.path(folder), &mut found);
    }
    assert!(found.is_empty(), "the secret is in {found:?}{ended}");
}

#[test]
fn a_secret_in_a_tag_or_a_name_is_bad_input() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.write("work/token.txt", "only-one-line\n");
    let top = "vars:\n  token: { file: token.txt, secret: true }";
    for stage in [
        OneStage {
            top,
            image: r#"{ name: "one-${{ vars.token }}" }"#,
            ..OneStage::default()
        },
        OneStage {
            top,
            more: "    tags: { Token: \"${{ vars.token }}\" }",
            ..OneStage::default()
        },
        OneStage {
            top,
            provision: r#"[{ run: { inline: "echo ${{ vars.token }}" } }]"#,
            ..OneStage::default()
        },
    ] {
        let file = ec2.pipeline(stage.text());
        ec2.qib(["validate".as_ref(), file.as_os_str()])
            .exits(2)
            .says("token")
            .never_says("only-one-line");
    }
}

#[test]
fn the_login_and_host_keys_of_a_run_are_gone_from_the_image_and_the_state() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let ended = ec2.run(&file).exits(0);
    let source = r#"{ filter: { owners: [self], name: "one-*" } }"#;
    // A second stage would have keys of its own; what the first had must not be among them.
    let look = "#!/bin/sh\nls /var/lib/cloud/instances 2>/dev/null | sed 's/^/instance: /'\n\
                cat ~ec2-user/.ssh/authorized_keys | sed 's/^/login: /'\nexit 0\n";
    ec2.write("work/look.sh", look);
    let provision = "[{ run: { name: look, become: root, errexit: false, script: look.sh } }]";
    let second = OneStage {
        name: "second",
        source,
        provision,
        ..OneStage::default()
    };
    let second = ec2
        .run(&ec2.write("work/second.yaml", second.text()))
        .exits(0);
    let count = |prefix: &str| {
        second
            .events_of("output")
            .iter()
            .filter(|e| e["line"].as_str().unwrap_or_default().starts_with(prefix))
            .count()
    };
    assert_eq!(count("login: "), 1, "only the second run's own key{second}");
    let mut keys = Vec::new();
    private_keys(&ec2.path("state"), &mut keys);
    assert!(keys.is_empty(), "private keys stay: {keys:?}{ended}");
}

fn private_keys(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            private_keys(&path, found);
        } else if fs::read(&path)
            .unwrap_or_default()
            .starts_with(b"-----BEGIN")
        {
            found.push(path);
        }
    }
}

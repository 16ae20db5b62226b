//! Bad input: exit code 2, nothing created, one message with file, line and column, and a hint.

use end_to_end::{Config, Ended, LocalEc2, OneStage};
use std::path::Path;

/// A pipeline with one mistake in it.
struct Mistake<'a> {
    what: &'a str,
    text: String,
    /// The mistake itself: the message must point to the line that has it.
    at: &'a str,
    /// What the message must say.
    says: &'a [&'a str],
}

fn one(stage: OneStage<'_>) -> String {
    stage.text()
}

fn mistakes() -> Vec<Mistake<'static>> {
    let usual = OneStage::default;
    let long_name = r#"{ name: "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" }"#;
    vec![
        Mistake {
            what: "an unknown key",
            text: one(OneStage {
                connect: "{ user: ec2-user, timeuot: 6m }",
                ..usual()
            }),
            at: "timeuot",
            says: &["timeuot", "timeout"],
        },
        Mistake {
            what: "a duplicate key",
            text: one(OneStage {
                image: r#"{ name: "first-one", name: "second-one" }"#,
                ..usual()
            }),
            at: "second-one",
            says: &["name"],
        },
        Mistake {
            what: "a wrong type",
            text: one(OneStage {
                provision: "{ run: once }",
                ..usual()
            }),
            at: "{ run: once }",
            says: &[],
        },
        Mistake {
            what: "a duration that is none",
            text: one(OneStage {
                connect: "{ user: ec2-user, timeout: soon }",
                ..usual()
            }),
            at: "soon",
            says: &["soon"],
        },
        Mistake {
            what: "an undefined variable",
            text: one(OneStage {
                image: r#"{ name: "one-${{ vars.vresion }}" }"#,
                ..usual()
            }),
            at: "vars.vresion",
            says: &["vresion"],
        },
        Mistake {
            what: "an empty variable",
            text: one(OneStage {
                top: "vars:\n  version: { default: \"\" }",
                image: r#"{ name: "one-${{ vars.version }}" }"#,
                ..usual()
            }),
            at: "version: {",
            says: &["version"],
        },
        Mistake {
            what: "a variable that its pattern refuses",
            text: one(OneStage {
                top: "vars:\n  version: { default: \"five\", pattern: '^[0-9]+$' }",
                image: r#"{ name: "one-${{ vars.version }}" }"#,
                ..usual()
            }),
            at: "version: {",
            says: &["version"],
        },
        Mistake {
            what: "a file to upload that is not there",
            text: one(OneStage {
                provision: "[{ upload: { from: files/missing.txt, to: x } }]",
                ..usual()
            }),
            at: "files/missing.txt",
            says: &["files/missing.txt"],
        },
        Mistake {
            what: "a script that does not exist",
            text: one(OneStage {
                provision: "[{ run: { script: scripts/missing.sh } }]",
                ..usual()
            }),
            at: "scripts/missing.sh",
            says: &["scripts/missing.sh"],
        },
        Mistake {
            what: "a stage that starts from itself",
            text: one(OneStage {
                source: "{ stage: one }",
                ..usual()
            }),
            at: "stage: one",
            says: &["one"],
        },
        Mistake {
            what: "a stage that starts from none that exists",
            text: one(OneStage {
                source: "{ stage: two }",
                ..usual()
            }),
            at: "stage: two",
            says: &["two"],
        },
        Mistake {
            what: "an image name with characters that EC2 refuses",
            text: one(OneStage {
                image: r#"{ name: "one:two" }"#,
                ..usual()
            }),
            at: "one:two",
            says: &["one:two"],
        },
        Mistake {
            what: "an image name that is too short",
            text: one(OneStage {
                image: r#"{ name: "ab" }"#,
                ..usual()
            }),
            at: "\"ab\"",
            says: &["3"],
        },
        Mistake {
            what: "an image name that is too long",
            text: one(OneStage {
                image: long_name,
                ..usual()
            }),
            at: "nnnnnnnn",
            says: &["128"],
        },
        Mistake {
            what: "a device twice",
            text: one(OneStage {
                launch: "volumes: [{ device: /dev/sda1, size_gib: 10 }, { device: /dev/sda1, size_gib: 20 }]",
                ..usual()
            }),
            at: "/dev/sda1",
            says: &["/dev/sda1"],
        },
        Mistake {
            what: "an interpolation that does not parse",
            text: one(OneStage {
                image: r#"{ name: "one-${{ run.id | }}" }"#,
                ..usual()
            }),
            at: "run.id |",
            says: &[],
        },
        Mistake {
            what: "an interpolation without an end",
            text: one(OneStage {
                image: r#"{ name: "one-${{ run.id" }"#,
                ..usual()
            }),
            at: "${{ run.id",
            says: &[],
        },
        Mistake {
            what: "a YAML bomb",
            text: bomb(),
            at: "",
            says: &[],
        },
        Mistake {
            what: "a file that is no YAML",
            text: "name: [unclosed\nstages: }\n".to_owned(),
            at: "",
            says: &[],
        },
    ]
}

/// Nine levels of nine aliases each: 387 million strings if it is expanded.
fn bomb() -> String {
    let mut text = "name: bomb\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = level - 1;
        let aliases = vec![format!("*a{below}"); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

/// The message is about the file, with a line and a column, and the line is the one that has the mistake.
#[track_caller]
fn points_to(ended: &Ended, file: &Path, text: &str, mistake: &Mistake<'_>) {
    let what = mistake.what;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let lines: Vec<u32> = ended
        .stderr
        .match_indices(&format!("{name}:"))
        .filter_map(|(at, found)| {
            let mut numbers = ended.stderr[at + found.len()..].splitn(3, ':');
            let line = numbers.next()?.parse().ok()?;
            let column: String = numbers
                .next()?
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            column.parse::<u32>().ok().map(|_| line)
        })
        .collect();
    assert!(!lines.is_empty(), "{what}: no {name}:LINE:COLUMN{ended}");
    if !mistake.at.is_empty() {
        let wanted = text
            .lines()
            .position(|line| line.contains(mistake.at))
            .expect("the mistake is in the text")
            + 1;
        assert!(
            lines.iter().any(|line| *line as usize == wanted),
            "{what}: line {wanted} is not pointed to{ended}"
        );
    }
    for needle in mistake.says {
        assert!(
            ended.stderr.contains(needle),
            "{what}: {needle:?} is not in the message{ended}"
        );
    }
}

#[test]
fn each_mistake_is_shown_where_it_is_and_nothing_is_started() {
    let ec2 = LocalEc2::new(Config::QUICK);
    for mistake in mistakes() {
        let file = ec2.pipeline(&mistake.text);
        for args in [
            vec!["validate"],
            vec!["plan", "--local"],
            vec!["run", "--local"],
        ] {
            let mut command = ec2.command(&args);
            command.arg(&file);
            let ended = end_to_end::Running::start(command).end();
            assert_eq!(ended.code, Some(2), "{}{ended}", mistake.what);
            assert_eq!(ended.stdout, "", "{}{ended}", mistake.what);
            points_to(&ended, &file, &mistake.text, &mistake);
        }
    }
    nothing_was_started(&ec2);
}

/// No local EC2 was started for any of it: nothing can have been created.
#[track_caller]
fn nothing_was_started(ec2: &LocalEc2) {
    let status = ec2.qib(["local", "status", "--json"]);
    assert_eq!(status.json()["running"], false, "{status}");
}

#[test]
fn the_message_shows_the_line_with_a_caret() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(
        OneStage {
            connect: "{ user: ec2-user, timeuot: 6m }",
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.qib(["validate".as_ref(), file.as_os_str()]).exits(2);
    let source_line = ended
        .stderr
        .lines()
        .position(|line| line.contains("connect:"))
        .unwrap_or_else(|| {
            panic!("the line is not shown{ended}");
        });
    let below: String = ended.stderr.lines().skip(source_line + 1).take(1).collect();
    let column = ended
        .stderr
        .lines()
        .nth(source_line)
        .and_then(|line| line.find("timeuot"));
    let caret = below.find('^').or_else(|| below.find('─'));
    assert!(
        caret.is_some() && column.is_some(),
        "no caret below the line{ended}"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_its_position() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.write("work/pipeline.yaml", b"name: caf\xe9\nstages: {}\n");
    let ended = ec2
        .qib(["validate".as_ref(), file.as_os_str()])
        .exits(2)
        .says("UTF-8")
        .says("pipeline.yaml:1:");
    assert!(!ended.stderr.contains("panicked"), "{ended}");
}

#[test]
fn a_pipeline_that_does_not_exist_is_bad_input() {
    let ec2 = LocalEc2::new(Config::QUICK);
    ec2.qib(["run", "--local", "nowhere.yaml"])
        .exits(2)
        .says("nowhere.yaml");
    nothing_was_started(&ec2);
}

#[test]
fn a_variable_that_nothing_uses_and_one_without_a_value_are_bad_input() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(
        OneStage {
            top: "vars:\n  version: { description: what to build }",
            image: r#"{ name: "one-${{ vars.version }}" }"#,
            ..OneStage::default()
        }
        .text(),
    );
    let file = file.to_string_lossy();
    ec2.qib(["validate", &file])
        .exits(2)
        .says("version")
        .says("what to build")
        .says("--var");
    ec2.qib([
        "validate",
        "--var",
        "version=1",
        "--var",
        "vresion=2",
        &file,
    ])
    .exits(2)
    .says("vresion");
    ec2.qib(["validate", "--var", "version=1", &file]).exits(0);
}

#[test]
fn later_vars_files_win_and_var_wins_over_them() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(
        OneStage {
            top: "vars:\n  version: { pattern: '^9$' }",
            image: r#"{ name: "one-${{ vars.version }}" }"#,
            ..OneStage::default()
        }
        .text(),
    );
    let file = file.to_string_lossy();
    ec2.write("work/good.yaml", "version: \"9\"\n");
    ec2.write("work/bad.yaml", "version: \"1\"\n");
    let good_last = [
        "validate",
        "--vars-file",
        "bad.yaml",
        "--vars-file",
        "good.yaml",
        &file,
    ];
    ec2.qib(good_last).exits(0);
    let bad_last = [
        "validate",
        "--vars-file",
        "good.yaml",
        "--vars-file",
        "bad.yaml",
        &file,
    ];
    ec2.qib(bad_last).exits(2).says("version");
    let overridden = [
        "validate",
        "--vars-file",
        "bad.yaml",
        "--var",
        "version=9",
        &file,
    ];
    ec2.qib(overridden).exits(0);
}

#[test]
fn profiles_are_chosen_in_order_and_an_unknown_one_is_refused() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(
        OneStage {
            top: "vars:\n  version: { pattern: '^9$' }\n\
                  profiles:\n  bad: { vars: { version: 1 } }\n  good: { vars: { version: 9 } }",
            image: r#"{ name: "one-${{ vars.version }}" }"#,
            ..OneStage::default()
        }
        .text(),
    );
    let file = file.to_string_lossy();
    ec2.qib(["validate", "--use", "bad", "--use", "good", &file])
        .exits(0);
    ec2.qib(["validate", "--use", "good", "--use", "bad", &file])
        .exits(2)
        .says("version");
    ec2.qib(["validate", "--use", "bad", "--var", "version=9", &file])
        .exits(0);
    ec2.qib(["validate", "--use", "god", &file])
        .exits(2)
        .says("did you mean `good`?");
}

#[test]
fn user_data_that_is_too_large_is_refused_before_anything_is_created() {
    let ec2 = LocalEc2::new(Config::QUICK);
    // Bytes that do not compress: a linear congruential generator's, as hexadecimal digits.
    let mut state: u64 = 1;
    let mut noise = "#!/bin/sh\n: ".to_owned();
    for _ in 0..40_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        noise.push(char::from_digit(u32::try_from(state >> 60).unwrap_or(0), 16).unwrap_or('0'));
    }
    ec2.write("work/large.sh", noise);
    let file = ec2.pipeline(
        OneStage {
            launch: "user_data: large.sh",
            ..OneStage::default()
        }
        .text(),
    );
    let ended = ec2.run(&file);
    assert_eq!(ended.code, Some(2), "{ended}");
    let ended = ended.says("16384");
    ec2.qib(["local", "up"]).exits(0);
    ec2.holdings().assert_none(&ended);
}

#[test]
fn validate_needs_no_network_no_credentials_and_no_local_ec2() {
    let ec2 = LocalEc2::new(Config::QUICK);
    let file = ec2.pipeline(OneStage::default().text());
    let mut command = ec2.command(["validate"]);
    // A proxy where nobody listens: whatever asks the network fails.
    command
        .arg(&file)
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("HTTP_PROXY", "http://127.0.0.1:1");
    end_to_end::Running::start(command).end().exits(0);
    nothing_was_started(&ec2);
}

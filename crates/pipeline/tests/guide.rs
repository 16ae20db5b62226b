//! The examples of the guides to the language, to provisioners and to disk images: each loads, and the editors' schema takes it.
//!
//! A fence's words say what its example is: `yaml pipeline` a whole pipeline, `yaml file=NAME` a file that those after it
//! include, `yaml stage` keys of a stage, `yaml top` keys of a pipeline beside a small one.

mod support;

use pipeline::schema::json_schema;
use pipeline::{GitFacts, LoadOptions, Loaded, load};
use std::fs;
use std::path::Path;
use support::json::violations;

const LANGUAGE: &str = include_str!("../../../docs/guide/language.md");
const PROVISIONERS: &str = include_str!("../../../docs/guide/provisioners.md");
const IMPORT: &str = include_str!("../../../docs/guide/import.md");

/// An example: the words after the fence, and the text.
fn examples() -> Vec<(String, String)> {
    [LANGUAGE, PROVISIONERS, IMPORT]
        .into_iter()
        .flat_map(examples_of)
        .collect()
}

fn examples_of(guide: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```yaml") else {
            continue;
        };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        found.push((words.trim().to_owned(), text.join("\n") + "\n"));
    }
    found
}

const STAGE: &str = "    source: { image_id: ami-0123456789abcdef0 }
    launch: { instance_type: t3.micro }
    connect: { user: ec2-user }
    image: { name: \"demo-${{ run.id }}\" }
";

/// The whole pipeline that an example stands for.
fn whole(words: &str, text: &str) -> Option<String> {
    match words {
        "pipeline" => Some(text.to_owned()),
        "stage" => {
            let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
            let rest: String = STAGE
                .lines()
                .filter(|line| {
                    let key = line.trim().split(':').next().unwrap_or_default();
                    !text.lines().any(|own| own.starts_with(&format!("{key}:")))
                })
                .map(|line| format!("{line}\n"))
                .collect();
            Some(format!("name: demo\nstages:\n  base:\n{lines}{rest}"))
        }
        "top" => Some(if text.contains("stages:") {
            format!("name: demo\n{text}")
        } else {
            format!("name: demo\n{text}stages:\n  base:\n{STAGE}")
        }),
        file if file.starts_with("file=") => None,
        other => panic!("```yaml {other}: this test knows no such example"),
    }
}

fn loaded(folder: &Path, text: &str) -> Result<Loaded, String> {
    let options = LoadOptions {
        env: &|name| (name == "BUILD_NUMBER").then(|| "17".to_owned()),
        git: &|| {
            Some(GitFacts {
                sha: "0123456789abcdef0123456789abcdef01234567".into(),
                branch: Some("main".into()),
                dirty: false,
                user: Some("A B".into()),
            })
        },
        ..LoadOptions::default()
    };
    let file = folder.join("pipeline.yaml");
    load(&file, text.as_bytes(), &options, &pipeline::Disk).map_err(|error| error.to_string())
}

/// What the examples name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("VERSION", "4.12.3\n"),
        ("token.txt", "hunter2\n"),
        ("scripts/setup.sh", "echo setup\n"),
        ("scripts/grub.sh", "echo grub\n"),
        ("common/update.sh", "echo update\n"),
        ("files/app/x", "x\n"),
        ("appliance.vmdk", "x\n"),
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for (words, text) in examples() {
        if let Some(file) = words.strip_prefix("file=") {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    folder
}

#[test]
fn every_example_loads_and_the_schema_takes_it() {
    let folder = folder();
    let schema = json_schema();
    let mut tried = 0;
    for (words, text) in examples() {
        let Some(whole) = whole(&words, &text) else {
            continue;
        };
        if let Err(error) = loaded(folder.path(), &whole) {
            panic!("{error}\n{whole}");
        }
        let found = violations(&schema, &whole);
        assert!(found.is_empty(), "{found:#?}\n{whole}");
        tried += 1;
    }
    assert!(tried >= 22, "the guide has {tried} examples");
}

#[test]
fn the_guides_cells_are_those_that_it_names() {
    let folder = folder();
    let (_, text) = examples()
        .into_iter()
        .find(|(words, text)| words == "pipeline" && text.contains("name: comboami"))
        .expect("the example of a matrix");
    let loaded = loaded(folder.path(), &text).unwrap();
    for cell in loaded.pipeline.stages.iter() {
        let line = format!("| `{}` |", cell.name.as_deref().unwrap_or_default());
        assert!(LANGUAGE.contains(&line), "{line}");
    }
    let rows = LANGUAGE
        .lines()
        .skip_while(|line| !line.starts_with("| cell |"))
        .skip(2)
        .take_while(|line| line.starts_with("| `"))
        .count();
    assert_eq!(rows, loaded.pipeline.stages.len());
}

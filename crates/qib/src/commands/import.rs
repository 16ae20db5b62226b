//! `qib import`: a pipeline of one stage, run as any other. So it has a journal, is gone on with after a crash, is swept, and
//! is found again instead of being done twice.

use super::conduct::{self, Asked, Start};
use super::error::CommandError;
use super::pipeline_file::{Target, try_load};
use super::terminal::Terminal;
use crate::args::import::{ImportArgs, OnConflict, Way};
use crate::args::variables::VariableArgs;
use crate::edge::environment::Environment;
use build::options::{AfterFailure, Debugging, OnFailure};
use build::pause::{Pace, Pauses};
use build::selection::Choice;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Does it and gives the exit code.
///
/// # Errors
/// If the import could not begin.
pub async fn import(
    args: ImportArgs,
    environment: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let text = pipeline(&args)?;
    let file = keep(&text, environment)?;
    let variables = VariableArgs::default();
    let target = Target::of(args.account.local);
    // What is wrong with the options must not be told as what is wrong with a file that nobody has written.
    if let Err(error) = try_load(&file, &variables, target, environment)? {
        let problems: Vec<String> = error
            .problems
            .iter()
            .map(|problem| problem.message.clone())
            .collect();
        let hint = error
            .problems
            .iter()
            .find_map(|problem| problem.hint.clone());
        let error = CommandError::bad_input(problems.join("\n"));
        return Err(match hint {
            Some(hint) => error.hinted(hint),
            None => error,
        });
    }
    let asked = Asked {
        pipeline: file,
        variables,
        account: args.account,
        cells: Choice::default(),
        jobs: None,
        after_failure: AfterFailure::OthersGoOn,
        log_dir: None,
        pauses: Pauses {
            after: Vec::new(),
            pace: Pace::WhereAsked,
        },
        rebuild: Vec::new(),
        on_failure: OnFailure::CleanUp,
        debugging: Debugging::Off,
        json: args.json,
    };
    conduct::conduct(Start::New, asked, environment, terminal).await
}

fn is_address(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Where a file is, whatever the folder is that a later process goes on in.
fn absolute(path: &str) -> Result<String, CommandError> {
    let path = std::path::absolute(path).map_err(|error| {
        CommandError::bad_input(format!(
            "the path {path:?} cannot be made absolute: {error}"
        ))
    })?;
    path.into_os_string().into_string().map_err(|path| {
        CommandError::bad_input(format!("the path {} is not UTF-8", path.display()))
    })
}

/// What an option's value is called in a pipeline.
fn word<T: ValueEnum>(value: &T) -> Option<Value> {
    let value = value.to_possible_value()?;
    Some(json!(value.get_name()))
}

/// What a pipeline would be refused for, in the words of the command line.
fn check(args: &ImportArgs) -> Result<(), CommandError> {
    if is_address(&args.image) && args.checksum.is_none() {
        let missing = "an image that is downloaded needs a --checksum";
        return Err(CommandError::bad_input(missing).hinted(
            "give sha256:HEX, sha512:HEX, or the publisher's checksum file or its address; with --signed-by KEY.asc if it is signed",
        ));
    }
    let given = |options: &[(&'static str, bool)]| {
        let found = options.iter().find(|(_, is_given)| *is_given);
        found.map(|(option, _)| *option)
    };
    let of_ebs = [
        ("--holes", args.holes.is_some()),
        ("--parent", args.parent.is_some()),
    ];
    let of_s3 = [
        ("--bucket", args.bucket.is_some()),
        ("--role", args.role.is_some()),
    ];
    match args.via {
        Way::Ebs => match given(&of_s3) {
            None => Ok(()),
            Some(option) => Err(CommandError::bad_input(format!(
                "{option} goes with --via s3 only"
            ))
            .hinted("leave it out: --via ebs, the default, needs neither a bucket nor a role")),
        },
        Way::S3 => match given(&of_ebs) {
            Some(option) => Err(CommandError::bad_input(format!(
                "{option} goes with --via ebs only"
            ))
            .hinted("leave it out: by S3 the whole image is uploaded and imported")),
            None if args.bucket.is_none() => Err(CommandError::bad_input(
                "--via s3 needs a bucket",
            )
            .hinted("name one of the region with --bucket, or take --via ebs, which needs none")),
            None => Ok(()),
        },
    }
}

/// The pipeline. JSON, which is YAML as well.
fn pipeline(args: &ImportArgs) -> Result<String, CommandError> {
    check(args)?;
    let mut import = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            import.insert(key.to_owned(), value);
        }
    };
    match is_address(&args.image) {
        true => set("url", Some(json!(args.image))),
        false => set("file", Some(json!(absolute(&args.image)?))),
    }
    set("checksum", checksum(args)?);
    set("format", args.format.as_ref().and_then(word));
    set("arch", args.arch.as_ref().and_then(word));
    set(
        "root_device",
        args.root_device.as_ref().map(|device| json!(device)),
    );
    set("via", word(&args.via));
    set("holes", args.holes.as_ref().and_then(word));
    set("parent", args.parent.as_ref().map(|parent| json!(parent)));
    set("bucket", args.bucket.as_ref().map(|bucket| json!(bucket)));
    set("role", args.role.as_ref().map(|role| json!(role)));
    let mut image = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            image.insert(key.to_owned(), value);
        }
    };
    set("name", Some(json!(args.name)));
    set(
        "description",
        args.description.as_ref().map(|text| json!(text)),
    );
    set("boot_mode", args.boot_mode.as_ref().and_then(word));
    set("tpm", args.tpm.then(|| json!("v2.0")));
    set("imds", args.imds_v2.then(|| json!("v2")));
    set(
        "encrypted",
        (args.encrypt || args.kms_key.is_some()).then_some(json!(true)),
    );
    set("kms_key_id", args.kms_key.as_ref().map(|key| json!(key)));
    set("volumes", volumes(args));
    let tags: Map<String, Value> = args
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    set("tags", (!tags.is_empty()).then_some(Value::Object(tags)));
    set(
        "on_conflict",
        match args.on_conflict {
            OnConflict::Fail => None,
            OnConflict::Skip => Some(json!("skip")),
            OnConflict::Replace => Some(json!("replace")),
        },
    );
    let stage = stage(&args.name);
    let pipeline = json!({
        "name": "import",
        "stages": { stage: { "source": { "import": import }, "image": image } },
    });
    let text = serde_json::to_string_pretty(&pipeline)
        .map_err(|error| CommandError::failed(error.to_string()))?;
    if text.contains("${{") {
        return Err(CommandError::bad_input(
            "`${{` stands in one of the options, and is an expression in pipelines alone",
        ));
    }
    Ok(text)
}

fn checksum(args: &ImportArgs) -> Result<Option<Value>, CommandError> {
    let Some(text) = &args.checksum else {
        return Ok(None);
    };
    let is_literal = ["sha256:", "sha512:"]
        .iter()
        .any(|kind| text.starts_with(kind));
    if is_literal {
        return match &args.signed_by {
            None => Ok(Some(json!(text))),
            Some(_) => Err(CommandError::bad_input(
                "--signed-by is about a checksum file, and --checksum gives a checksum",
            )),
        };
    }
    let mut list = Map::new();
    match is_address(text) {
        true => list.insert(String::from("url"), json!(text)),
        false => list.insert(String::from("file"), json!(absolute(text)?)),
    };
    if let Some(key) = &args.signed_by {
        list.insert(String::from("signed_by"), json!(absolute(key)?));
    }
    Ok(Some(Value::Object(list)))
}

fn volumes(args: &ImportArgs) -> Option<Value> {
    if args.size.is_none() && args.volume_type.is_none() {
        return None;
    }
    let device = args.root_device.as_deref().unwrap_or("/dev/sda1");
    let mut volume = Map::new();
    volume.insert(String::from("device"), json!(device));
    if let Some(size) = args.size {
        volume.insert(String::from("size_gib"), json!(size));
    }
    if let Some(kind) = &args.volume_type {
        volume.insert(String::from("type"), json!(kind));
    }
    Some(json!([volume]))
}

/// The stage of an image of this name: an import is found again by it.
fn stage(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let slug: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(63)
        .collect();
    let slug = slug.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    match slug {
        "" => String::from("image"),
        slug => slug.to_owned(),
    }
}

/// Writes the pipeline where `qib runs resume` finds it.
fn keep(text: &str, environment: &Environment) -> Result<PathBuf, CommandError> {
    let folder = environment.state_dir.join("imports");
    let failed = |path: &Path, error: std::io::Error| {
        CommandError::bad_input(format!("{} cannot be written: {error}", path.display()))
            .hinted("QIB_STATE_DIR names another folder")
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| failed(&folder, error))?;
    // The same import is the same file.
    let digest = Sha256::digest(text);
    let name = format!("{}.yaml", hex::encode(&digest[..8]));
    let file = folder.join(name);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|error| failed(&file, error))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn made(args: &[&str]) -> Result<Value, CommandError> {
        let all = ["qib", "import"].iter().chain(args);
        let Command::Import(args) = Cli::try_parse_from(all).unwrap().command else {
            panic!("it is not an import");
        };
        pipeline(&args).map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn every_option_has_its_place_in_the_pipeline() {
        let made = made(&[
            "https://example.org/x.qcow2",
            "--name",
            "Fedora 43 (cloud)",
            "--checksum",
            "https://example.org/SUMS",
            "--signed-by",
            "/keys/fedora.gpg",
            "--format",
            "qcow2",
            "--arch",
            "arm64",
            "--boot-mode",
            "uefi",
            "--root-device",
            "/dev/xvda",
            "--size",
            "20",
            "--volume-type",
            "gp3",
            "--tpm",
            "--imds-v2",
            "--description",
            "d",
            "--tag",
            "a=b",
            "--kms-key",
            "alias/k",
            "--via",
            "s3",
            "--bucket",
            "my-bucket",
            "--role",
            "importer",
            "--on-conflict",
            "replace",
        ])
        .unwrap();
        insta::assert_snapshot!(format!("{made:#}"));
    }

    #[test]
    fn what_contradicts_itself_is_refused_in_the_words_of_the_command_line() {
        for (more, words) in [
            ("x.raw --via s3", "--via s3 needs a bucket"),
            ("x.raw --bucket b", "--bucket goes with --via s3"),
            ("x.raw --role r", "--role goes with --via s3"),
            (
                "x.raw --via s3 --bucket b --holes skip",
                "--holes goes with --via ebs",
            ),
            (
                "x.raw --via s3 --bucket b --parent snap-1",
                "--parent goes with --via ebs",
            ),
            ("https://example.org/x.raw", "needs a --checksum"),
            ("x.raw --checksum sha256:00 --signed-by k", "--signed-by"),
            ("x-${{.raw", "${{"),
        ] {
            let args: Vec<&str> = ["--name", "n"].into_iter().chain(more.split(' ')).collect();
            let error = made(&args).expect_err("must be refused");
            assert_eq!(error.exit.code(), 2);
            let said = format!("{:?}", error.message);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_stage_has_a_name_that_the_language_takes() {
        assert_eq!(stage("Fedora 43 (cloud)"), "Fedora-43--cloud");
        assert_eq!(stage("4.12"), "4.12");
        assert_eq!(stage("(@)"), "image");
    }
}

//! The options as a pipeline of one stage. JSON, which is YAML as well.

use crate::args::import::{ImportArgs, OnConflict, Way};
use crate::commands::error::CommandError;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// An address of the web, with its scheme as pipelines write it; none if the text is a path.
fn address(text: &str) -> Result<Option<String>, CommandError> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(None);
    };
    match scheme.to_ascii_lowercase().as_str() {
        scheme @ ("http" | "https") => Ok(Some(format!("{scheme}://{rest}"))),
        other => Err(
            CommandError::bad_input(format!("`{other}://` is not downloaded from"))
                .hinted("give an http:// or https:// address, or the path of a file"),
        ),
    }
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
    if address(&args.image)?.is_some() && args.checksum.is_none() {
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

/// The pipeline.
///
/// # Errors
/// If the options contradict each other, or name what is not there.
pub(super) fn pipeline(args: &ImportArgs) -> Result<String, CommandError> {
    check(args)?;
    let mut import = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            import.insert(key.to_owned(), value);
        }
    };
    match address(&args.image)? {
        Some(url) => set("url", Some(json!(url))),
        None => set("file", Some(json!(absolute(&args.image)?))),
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
    let mut tags = Map::new();
    for (key, value) in &args.tags {
        if tags.insert(key.clone(), json!(value)).is_some() {
            return Err(CommandError::bad_input(format!(
                "--tag {key} is given twice"
            )));
        }
    }
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
        "name": name_of(&args.name),
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
    let is_hex = |text: &str| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = text
        .split_once(':')
        .map_or(text.as_str(), |(_, digits)| digits);
    if is_hex(digits) {
        return Err(CommandError::bad_input(format!(
            "--checksum {text} is neither a SHA-256 nor a SHA-512"
        ))
        .hinted("write sha256:HEX or sha512:HEX"));
    }
    let mut list = Map::new();
    match address(text)? {
        Some(url) => list.insert(String::from("url"), json!(url)),
        None => list.insert(String::from("file"), json!(absolute(text)?)),
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

/// The pipeline of an image of this name, and of no other: what a run of it left by dying is the next one's to remove.
fn name_of(name: &str) -> String {
    const ROOM: usize = 46;
    let slug: String = stage(name).chars().take(ROOM).collect();
    if slug == name {
        return format!("import-{slug}");
    }
    let digest = Sha256::digest(name);
    format!("import-{slug}-{}", hex::encode(&digest[..4]))
}

/// The stage of an image of this name.
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
            ("ftp://example.org/x.raw", "`ftp://`"),
            ("x.raw --tag a=1 --tag a=2", "--tag a is given twice"),
            (
                "x.raw --checksum md5:d41d8cd98f00b204e9800998ecf8427e",
                "neither a SHA-256 nor",
            ),
        ] {
            let args: Vec<&str> = ["--name", "n"].into_iter().chain(more.split(' ')).collect();
            let error = made(&args).expect_err("must be refused");
            assert_eq!(error.exit.code(), 2);
            let said = format!("{:?}", error.message);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn every_image_has_a_pipeline_of_its_own() {
        assert_eq!(name_of("my-image"), "import-my-image");
        let long = "n".repeat(128);
        let names = [
            "col lide",
            "col-lide",
            "col_lide",
            "a",
            "(a)",
            &long,
            &long[1..],
        ];
        let pipelines: std::collections::BTreeSet<String> = names.map(name_of).into();
        assert_eq!(pipelines.len(), names.len());
        assert!(
            pipelines.iter().all(|name| name.len() <= 63),
            "{pipelines:?}"
        );
    }

    #[test]
    fn a_scheme_is_written_in_any_case() {
        let made = made(&[
            "HTTPS://example.org/x.raw",
            "--name",
            "n",
            "--checksum",
            "SUMS",
        ]);
        let import = &made.unwrap()["stages"]["n"]["source"]["import"];
        assert_eq!(import["url"], "https://example.org/x.raw");
    }

    #[test]
    fn a_stage_has_a_name_that_the_language_takes() {
        assert_eq!(stage("Fedora 43 (cloud)"), "Fedora-43--cloud");
        assert_eq!(stage("4.12"), "4.12");
        assert_eq!(stage("(@)"), "image");
    }
}

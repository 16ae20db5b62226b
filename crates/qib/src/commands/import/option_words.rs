//! What is wrong with the pipeline of an import, told of the options that it was made of.

use crate::commands::error::CommandError;
use pipeline::{LoadError, Problem};

/// The option that each key of the pipeline comes from.
const OPTIONS: &[(&str, &str)] = &[
    ("url", "the address"),
    ("file", "FILE"),
    ("checksum", "--checksum"),
    ("signed_by", "--signed-by"),
    ("format", "--format"),
    ("arch", "--arch"),
    ("root_device", "--root-device"),
    ("device", "the root volume"),
    ("via", "--via"),
    ("holes", "--holes"),
    ("parent", "--parent"),
    ("bucket", "--bucket"),
    ("role", "--role"),
    ("name", "--name"),
    ("description", "--description"),
    ("boot_mode", "--boot-mode"),
    ("tpm", "--tpm"),
    ("imds", "--imds-v2"),
    ("encrypted", "--encrypt"),
    ("kms_key_id", "--kms-key"),
    ("size_gib", "--size"),
    ("type", "--volume-type"),
    ("on_conflict", "--on-conflict"),
];

/// One error of all problems.
pub(super) fn told(error: &LoadError) -> CommandError {
    let problems: Vec<String> = error.problems.iter().map(of_option).collect();
    let told = CommandError::bad_input(problems.join("\n"));
    // What a pipeline would say instead is no help to whoever has none.
    let hint = error.problems.iter().find_map(|problem| {
        let hint = problem.hint.as_deref()?;
        let is_of_pipelines = hint.contains('`') || hint.contains("${{");
        (!is_of_pipelines).then(|| hint.to_owned())
    });
    match hint {
        Some(hint) => told.hinted(hint),
        None => told,
    }
}

/// The pipeline has one key a line.
fn of_option(problem: &Problem) -> String {
    let key = problem.place.as_ref().and_then(|place| {
        let (key, _) = place.source.trim().strip_prefix('"')?.split_once('"')?;
        Some(key)
    });
    let known = OPTIONS.iter().find(|(of, _)| Some(*of) == key);
    match (known, key) {
        (Some((_, option)), _) => format!("{option}: {}", problem.message),
        (None, Some(tag)) if is_in_tags(problem) => format!("--tag {tag}: {}", problem.message),
        _ => problem.message.clone(),
    }
}

/// Tags are the deepest part of the pipeline that the options make, but for volumes, whose keys are known.
fn is_in_tags(problem: &Problem) -> bool {
    let place = problem.place.as_ref();
    place.is_some_and(|place| place.source.starts_with("          \""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::{Place, Span};

    fn problem(line: &str, hint: Option<&str>) -> Problem {
        Problem {
            message: String::from("this text is empty"),
            hint: hint.map(str::to_owned),
            place: Some(Place {
                file: "x".into(),
                span: Span::point(1, 1),
                source: line.to_owned(),
            }),
        }
    }

    #[test]
    fn a_problem_names_its_option() {
        for (line, words) in [
            ("        \"name\": \"\",", "--name: this"),
            ("        \"kms_key_id\": \"\"", "--kms-key: this"),
            ("          \"Team\": \"\"", "--tag Team: this"),
            ("      }", "this"),
        ] {
            assert!(of_option(&problem(line, None)).starts_with(words), "{line}");
        }
    }

    #[test]
    fn only_hints_that_do_not_speak_of_pipelines_are_told() {
        let of_pipelines = problem("", Some("add `boot_mode: uefi`"));
        let plain = problem("", Some("leave it out"));
        let error = LoadError {
            problems: vec![of_pipelines, plain],
        };
        let told = format!("{:?}", told(&error).message);
        assert!(
            told.contains("leave it out") && !told.contains("add"),
            "{told}"
        );
    }
}

//! What outputs name among the stages.

use crate::model::{Output, OutputContent, OutputKind, PairFormat, Pipeline};
use crate::problem::Fault;
use crate::suggest::closest;
use crate::template::{Name, Template};
use std::collections::BTreeSet;

pub(super) fn check(pipeline: &Pipeline) -> Vec<Fault> {
    let axes: BTreeSet<&str> = pipeline
        .stages
        .iter()
        .flat_map(|cell| cell.matrix.keys().map(String::as_str))
        .collect();
    let mut faults = written_twice(pipeline);
    for output in pipeline.outputs.iter() {
        faults.extend(no_file(&output.value));
        faults.extend(wrong_key(&output.value));
        faults.extend(unknown_stage(pipeline, &output.value));
        for template in templates(&output.value) {
            for name in template.run_time_names() {
                if let Name::Matrix(axis) = name
                    && !axes.contains(axis.as_str())
                {
                    let message = format!("no stage's matrix has `{axis}`");
                    let fault = Fault::new(template.span(), message);
                    faults.push(match closest(axis, axes.iter().copied()) {
                        Some(near) => fault.hint(format!("did you mean `matrix.{near}`?")),
                        None => fault,
                    });
                }
            }
        }
        if let OutputKind::Write {
            path,
            content: OutputContent::Json | OutputContent::Junit,
        } = &output.value.kind
        {
            let of_image = path.run_time_names().find(|name| {
                !matches!(
                    name,
                    Name::RunId | Name::RunTime | Name::AccountId | Name::Region
                )
            });
            if let Some(name) = of_image {
                let message =
                    format!("this file is about the whole run, and {name} is of one image");
                faults.push(
                    Fault::new(path.span(), message)
                        .hint("its name may use run.id, run.time and region"),
                );
            }
            if let Some(stage) = &output.value.stage {
                faults.push(
                    Fault::new(stage.span, "this file is about the whole run")
                        .hint("leave `stage` out; `manifest`, `properties`, `dotenv`, `github` and `grouped` take it"),
                );
            }
        }
    }
    faults
}

/// Files of which the later would replace the earlier. What is put behind what is there can be the same file many times.
fn written_twice(pipeline: &Pipeline) -> Vec<Fault> {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut faults = Vec::new();
    for output in pipeline.outputs.iter() {
        let OutputKind::Write { path, content } = &output.value.kind else {
            continue;
        };
        let appends = matches!(content, OutputContent::Pairs(PairFormat::Github, _));
        if let Some(name) = path.as_literal()
            && !appends
            && !seen.insert(name)
        {
            let message =
                format!("another output writes {name} already, and this one would replace it");
            faults.push(Fault::new(path.span(), message).hint("give it another name"));
        }
    }
    faults
}

/// A name that no file can have.
fn no_file(output: &Output) -> Option<Fault> {
    let (OutputKind::Write { path, .. } | OutputKind::Update { path, .. }) = &output.kind;
    match path.as_literal() {
        Some("") => Some(Fault::new(path.span(), "the file's name is empty")),
        Some(name) if name.ends_with('/') => {
            let message = format!("{name} is a folder, and a file is to be written");
            Some(Fault::new(path.span(), message))
        }
        Some(_) | None => None,
    }
}

/// A key that is the same for every image, and none of its format.
fn wrong_key(output: &Output) -> Option<Fault> {
    let OutputKind::Write {
        content: OutputContent::Pairs(format, Some(pair)),
        ..
    } = &output.kind
    else {
        return None;
    };
    let key = pair.key.as_literal()?;
    let why = format.check_key(key).err()?;
    Some(Fault::new(
        pair.key.span(),
        format!("`{key}` cannot be a key here: {why}"),
    ))
}

fn unknown_stage(pipeline: &Pipeline, output: &Output) -> Option<Fault> {
    let stage = output.stage.as_ref()?;
    if pipeline.stage(stage).is_some() {
        return None;
    }
    let names = pipeline.stages.iter().map(|cell| cell.stage.as_str());
    let fault = Fault::new(stage.span, format!("there is no stage `{stage}`"));
    Some(match closest(stage.as_str(), names) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault,
    })
}

fn templates(output: &Output) -> Vec<&Template> {
    let mut all = Vec::new();
    match &output.kind {
        OutputKind::Update { path, set, .. } => {
            all.push(path);
            all.extend(set.values());
        }
        OutputKind::Write { path, content } => {
            all.push(path);
            match content {
                OutputContent::Json | OutputContent::Junit | OutputContent::Pairs(_, None) => {}
                OutputContent::Manifest { data } => all.extend(data.values()),
                OutputContent::Pairs(_, Some(pair)) => all.extend([&pair.key, &pair.value]),
                OutputContent::Grouped { group_by, entry } => {
                    all.push(group_by);
                    all.extend(entry.values());
                }
            }
        }
    }
    all
}

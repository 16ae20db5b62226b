//! The files that a pipeline wants written about its images: which row goes into which file, and the writing.

use crate::failure::StepError;
use crate::names::RunId;
use crate::outputs::{self, Pair, Row};
use crate::report::{Report, ReportedImage};
use crate::steps::RunContext;
use pipeline::model::{Output, OutputContent, OutputKind, PairFormat, Pipeline};
use pipeline::template::{ImageFacts, RunFacts, Template};
use pipeline::yaml_edit::{ValuePath, set_values};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Writes all of them. On failure gives which one and why; the others are written all the same.
pub(super) fn write_all(pipeline: &Pipeline, context: &RunContext, report: &Report) -> Vec<Failed> {
    let state = context.effects.state();
    let facts = RunFacts {
        account_id: state.opened().map(|opened| opened.account.clone()),
        ..super::convert::run_facts(context)
    };
    let writer = Writer {
        pipeline,
        report,
        facts,
    };
    let outputs = pipeline.outputs.iter();
    outputs
        .filter_map(|output| writer.write(&output.value).err())
        .collect()
}

struct Writer<'a> {
    pipeline: &'a Pipeline,
    report: &'a Report,
    /// What is known of the run.
    facts: RunFacts,
}

/// The file of an output that was not written, and why.
type Failed = (String, Box<StepError>);

impl Writer<'_> {
    fn write(&self, output: &Output) -> Result<(), Failed> {
        let images: Vec<&ReportedImage> = self
            .report
            .images
            .iter()
            .filter(|image| {
                let stage = output.stage.as_ref();
                stage.is_none_or(|stage| stage.as_str() == image.stage)
            })
            .collect();
        let rows: Vec<Row<'_>> = images
            .iter()
            .flat_map(|image| outputs::rows(std::slice::from_ref(*image)))
            .collect();
        match &output.kind {
            OutputKind::Write { path, content } => match content {
                OutputContent::Json => {
                    let path = rendered(path, "outputs.write", &self.facts)?;
                    let mut text = serde_json::to_vec_pretty(self.report)
                        .map_err(|error| failed(&path, error))?;
                    text.push(b'\n');
                    replace(&path, &self.report.run, &text)
                }
                OutputContent::Junit => {
                    let path = rendered(path, "outputs.write", &self.facts)?;
                    replace(
                        &path,
                        &self.report.run,
                        &outputs::junit(self.report, self.pipeline.name.as_str()),
                    )
                }
                OutputContent::Manifest { data } => {
                    let built: Vec<Row<'_>> = rows
                        .into_iter()
                        .filter(|row| {
                            row.region == row.image.region && row.image_id == row.image.image_id
                        })
                        .collect();
                    self.by_file(path, &built, |path, rows| {
                        let images: Vec<&ReportedImage> =
                            rows.iter().map(|row| row.image).collect();
                        let account = self.facts.account_id.clone().unwrap_or_default();
                        let manifest = outputs::manifest(
                            self.report,
                            self.pipeline.name.as_str(),
                            &account,
                            &images,
                            |row| self.entry(data, "outputs.data", row),
                        )?;
                        let mut text = serde_json::to_vec_pretty(&manifest)
                            .map_err(|error| failed(path, error))?;
                        text.push(b'\n');
                        replace(path, &self.report.run, &text)
                    })
                }
                OutputContent::Pairs(format, templates) => {
                    self.by_file(path, &rows, |path, rows| {
                        let pairs = match templates {
                            None => outputs::pairs_by_name(rows, joined(*format)),
                            Some(templates) => rows
                                .iter()
                                .map(|row| {
                                    let facts = self.of(row);
                                    Ok(Pair {
                                        key: rendered(&templates.key, "outputs.key", &facts)?,
                                        value: rendered(&templates.value, "outputs.value", &facts)?,
                                    })
                                })
                                .collect::<Result<_, Failed>>()?,
                        };
                        for Pair { key, .. } in &pairs {
                            format.check_key(key).map_err(|why| {
                                failed(path, format!("`{key}` cannot be a key: {why}"))
                            })?;
                        }
                        refuse_two_values(path, &pairs)?;
                        match format {
                            PairFormat::Properties => {
                                replace(path, &self.report.run, &outputs::properties(&pairs))
                            }
                            PairFormat::Dotenv => {
                                replace(path, &self.report.run, &outputs::dotenv(&pairs))
                            }
                            PairFormat::Github => {
                                let delimiter = format!("end-of-{}", self.report.run);
                                append(path, &outputs::github(&pairs, &delimiter))
                            }
                        }
                    })
                }
                OutputContent::Grouped { group_by, entry } => {
                    self.by_file(path, &rows, |path, rows| {
                        let entries = rows
                            .iter()
                            .map(|row| {
                                let group = rendered(group_by, "outputs.group_by", &self.of(row))?;
                                Ok((group, self.entry(entry, "outputs.entry", row)?))
                            })
                            .collect::<Result<Vec<_>, Failed>>()?;
                        replace(path, &self.report.run, &outputs::grouped(&entries))
                    })
                }
            },
            OutputKind::Update { path, from, set } => {
                // Without an image there is no value to set.
                if rows.is_empty() {
                    return Ok(());
                }
                self.by_file(path, &rows, |path, rows| {
                    let values = self.values(path, set, rows)?;
                    let from = from.as_ref().map(|from| from.path());
                    update(path, &self.report.run, from, &values)
                })
            }
        }
    }

    /// Gives `write` each file and its rows. A file whose name depends on no image is written also without any.
    fn by_file(
        &self,
        path: &Template,
        rows: &[Row<'_>],
        mut write: impl FnMut(&str, &[Row<'_>]) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut files: Vec<(String, Vec<Row<'_>>)> = Vec::new();
        for row in rows {
            let path = rendered(path, "outputs.write", &self.of(row))?;
            match files.iter_mut().find(|(file, _)| *file == path) {
                Some((_, rows)) => rows.push(*row),
                None => files.push((path, vec![*row])),
            }
        }
        if rows.is_empty()
            && let Ok(path) = path.render(&self.facts)
        {
            files.push((path, Vec::new()));
        }
        for (path, rows) in &files {
            write(path, rows)?;
        }
        Ok(())
    }

    fn of(&self, row: &Row<'_>) -> RunFacts {
        RunFacts {
            region: Some(row.region.to_owned()),
            cell: Some(row.image.cell.clone()),
            source_id: row.image.source_image.clone(),
            image: Some(ImageFacts {
                id: row.image_id.to_owned(),
                name: row.image.name.clone(),
                tags: row.image.tags.clone(),
                stage: row.image.stage.clone(),
                matrix: row.image.matrix.clone(),
            }),
            ..self.facts.clone()
        }
    }

    fn entry(
        &self,
        templates: &BTreeMap<String, Template>,
        field: &str,
        row: &Row<'_>,
    ) -> Result<BTreeMap<String, String>, Failed> {
        let facts = self.of(row);
        templates
            .iter()
            .map(|(key, template)| {
                let value = rendered(template, &format!("{field}.{key}"), &facts)?;
                Ok((key.clone(), value))
            })
            .collect()
    }

    /// The values for one file: every image must mean the same.
    fn values(
        &self,
        path: &str,
        set: &BTreeMap<pipeline::model::Located<ValuePath>, Template>,
        rows: &[Row<'_>],
    ) -> Result<BTreeMap<ValuePath, String>, Failed> {
        let mut values: BTreeMap<ValuePath, String> = BTreeMap::new();
        for row in rows {
            let facts = self.of(row);
            for (place, template) in set {
                let value = rendered(template, &format!("outputs.set.{place}"), &facts)?;
                let earlier = values.insert(place.value.clone(), value.clone());
                if let Some(earlier) = earlier.filter(|earlier| *earlier != value) {
                    let reason = format!(
                        "`{place}` would be {earlier} by one image and {value} by another; `stage` chooses between stages, and an expression in the file's name between cells"
                    );
                    return Err(failed(path, reason));
                }
            }
        }
        Ok(values)
    }
}

/// How a key is put together where the pipeline does not say.
fn joined(format: PairFormat) -> fn(&[&str]) -> String {
    match format {
        PairFormat::Properties => |parts| parts.join("."),
        PairFormat::Dotenv => |parts| word(&parts.join("_")).to_uppercase(),
        PairFormat::Github => |parts| word(&parts.join("_")),
    }
}

/// Letters, digits and `_` only, and no digit first, as shells have them.
fn word(text: &str) -> String {
    let begins_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let letters = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    begins_with_digit
        .then_some('_')
        .into_iter()
        .chain(letters)
        .collect()
}

fn refuse_two_values(path: &str, pairs: &[Pair]) -> Result<(), Failed> {
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for Pair { key, value } in pairs {
        if let Some(earlier) = values.insert(key, value)
            && earlier != value
        {
            let reason = format!("two images have the key `{key}`: {earlier} and {value}");
            return Err(failed(path, reason));
        }
    }
    Ok(())
}

fn rendered(template: &Template, field: &str, facts: &RunFacts) -> Result<String, Failed> {
    super::convert::rendered(template, field, facts)
        .map_err(|error| (String::from("outputs"), Box::new(error)))
}

fn failed(path: &str, reason: impl ToString) -> Failed {
    let error = StepError::Output {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    (path.to_owned(), Box::new(error))
}

/// Written beside and renamed, so that nobody ever reads half a file. What stands beside has the run's name in it: another
/// run may be writing the same file.
fn replace(path: &str, run: &RunId, bytes: &[u8]) -> Result<(), Failed> {
    let written = || {
        // A link stays one: what it names is written.
        let path = match std::fs::canonicalize(path) {
            Ok(path) => path,
            Err(_) => {
                make_folder_of(path)?;
                path.into()
            }
        };
        let mut partial = path.clone().into_os_string();
        partial.push(format!(".{run}.partial"));
        let put = || {
            std::fs::write(&partial, bytes)?;
            if let Ok(there) = std::fs::metadata(&path) {
                std::fs::set_permissions(&partial, there.permissions())?;
            }
            std::fs::rename(&partial, &path)
        };
        put().inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = std::fs::remove_file(&partial);
        })
    };
    written().map_err(|error: std::io::Error| failed(path, error))
}

/// The folders that a file is to stand in, where they are missing.
fn make_folder_of(path: &str) -> std::io::Result<()> {
    match Path::new(path).parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    }
}

fn append(path: &str, bytes: &[u8]) -> Result<(), Failed> {
    let appended = || {
        make_folder_of(path)?;
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        file.write_all(bytes)
    };
    appended().map_err(|error| failed(path, error))
}

fn update(
    path: &str,
    run: &RunId,
    from: Option<&Path>,
    values: &BTreeMap<ValuePath, String>,
) -> Result<(), Failed> {
    let read = match (std::fs::read_to_string(path), from) {
        (Err(error), Some(from)) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::read_to_string(from)
        }
        (read, _) => read,
    };
    let text = read.map_err(|error| failed(path, error))?;
    let edited = set_values(&text, values).map_err(|error| failed(path, error))?;
    replace(path, run, edited.as_bytes())
}

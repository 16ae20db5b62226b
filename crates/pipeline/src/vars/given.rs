//! Values passed by hand.

use crate::problem::{Fault, Problem};
use crate::yaml::{self, Value};
use std::path::{Path, PathBuf};

/// A `--var NAME=VALUE`.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenVar {
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for GivenVar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value may be secret: whether it is, only the declaration says.
        write!(f, "GivenVar({})", self.name)
    }
}

impl GivenVar {
    /// Reads `NAME=VALUE`; the value may hold more equals signs.
    ///
    /// # Errors
    /// A sentence for the person who typed it. It does not repeat the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("--var takes NAME=VALUE, for example --var region=us-east-2".to_owned()),
        }
    }
}

/// A `--vars-file`: its path and what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct VarsFile {
    /// As the caller named it.
    pub path: PathBuf,
    /// Its content: a YAML map of names to values (so JSON as well).
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for VarsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VarsFile({})", self.path.display())
    }
}

/// A value from a vars file, with the fault to raise when it is not wanted.
pub(super) struct FileValue {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) path: PathBuf,
    fault: Fault,
    text: String,
}

impl FileValue {
    /// The problem with this entry, at its key.
    pub(super) fn problem(&self, message: String, hint: Option<String>) -> Problem {
        let fault = Fault {
            message,
            hint,
            ..self.fault.clone()
        };
        hide_value(fault.in_file(&self.path, &self.text))
    }
}

/// A vars file may hold secrets, so a message never shows its lines.
fn hide_value(mut problem: Problem) -> Problem {
    if let Some(place) = &mut problem.place {
        place.source.clear();
    }
    problem
}

impl VarsFile {
    pub(super) fn entries(&self) -> Result<Vec<FileValue>, Vec<Problem>> {
        let path: &Path = &self.path;
        let lossy = String::from_utf8_lossy(&self.bytes).into_owned();
        let one = |fault: Fault| hide_value(fault.in_file(path, &lossy));
        let (node, text) = yaml::compose(&self.bytes, 0).map_err(|fault| vec![one(fault)])?;
        let Value::Map(entries) = node.value else {
            return Err(vec![one(Fault::new(
                node.span,
                "a vars file is a map of names to values",
            ))]);
        };
        let mut values = Vec::new();
        let mut problems = Vec::new();
        for (key, node) in entries {
            match node.value {
                Value::Scalar(scalar) if !scalar.is_null() && !scalar.text.is_empty() => values
                    .push(FileValue {
                        fault: Fault::new(key.span, ""),
                        name: key.text,
                        value: scalar.text,
                        path: path.to_owned(),
                        text: text.to_owned(),
                    }),
                Value::Scalar(_) => problems.push(one(Fault::new(
                    key.span,
                    format!("`{}` is empty", key.text),
                ))),
                _ => {
                    let message = format!("`{}` must be a text, a number or a boolean", key.text);
                    problems.push(one(Fault::new(key.span, message)));
                }
            }
        }
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(problems)
        }
    }
}

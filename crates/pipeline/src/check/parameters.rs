//! The SSM parameters that name an image.

use crate::model::{Image, ImageParameter, Pipeline};
use crate::problem::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// SSM takes names of at most 1011 characters, ARN included. The ARN's beginning takes some of them.
const MAX_NAME: usize = 900;
/// A name has at most 15 levels.
const MAX_LEVELS: usize = 15;

/// Why a parameter's name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterNameError {
    /// It does not begin with a slash, or has an empty part.
    NotAPath,
    /// This character is not among those allowed.
    Character(char),
    /// It is too long, or has too many levels.
    TooLong,
    /// It begins with a word that SSM or qib keep for themselves.
    Reserved(&'static str),
}

impl fmt::Display for ParameterNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPath => {
                f.write_str("a parameter's name is a path such as /images/base/latest")
            }
            Self::Character(c) => write!(
                f,
                "SSM refuses a parameter's name with {c:?} in it; allowed are letters, digits and . - _ /"
            ),
            Self::TooLong => write!(
                f,
                "a parameter's name has at most {MAX_NAME} characters and {MAX_LEVELS} levels"
            ),
            Self::Reserved(word) => write!(f, "a parameter's name cannot begin with {word}"),
        }
    }
}

impl std::error::Error for ParameterNameError {}

/// Checks a finished parameter name. (Systems Manager User Guide, "Creating Parameter Store parameters": names.)
///
/// # Errors
/// The first rule that it breaks.
pub fn check_parameter_name(name: &str) -> Result<(), ParameterNameError> {
    let Some(path) = name.strip_prefix('/') else {
        return Err(ParameterNameError::NotAPath);
    };
    if path.split('/').any(str::is_empty) {
        return Err(ParameterNameError::NotAPath);
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    if let Some(c) = name.chars().find(|c| !allowed(c)) {
        return Err(ParameterNameError::Character(c));
    }
    if name.len() > MAX_NAME || path.split('/').count() > MAX_LEVELS {
        return Err(ParameterNameError::TooLong);
    }
    let lower = path.to_ascii_lowercase();
    for word in ["aws", "ssm"] {
        if lower.starts_with(word) {
            return Err(ParameterNameError::Reserved(word));
        }
    }
    // Where the runs keep their leases.
    if path == "qib" || path.starts_with("qib/") {
        return Err(ParameterNameError::Reserved("/qib/"));
    }
    Ok(())
}

pub(super) fn check(image: &Image) -> Vec<Fault> {
    let mut faults = Vec::new();
    for parameter in &image.parameters {
        if let Some(name) = parameter.name.as_literal()
            && let Err(why) = check_parameter_name(name)
        {
            faults.push(Fault::new(parameter.name.span(), why.to_string()));
        }
    }
    faults
}

/// No two cells write the same parameter of the same region: which one wins would be chance.
pub(super) fn written_once(pipeline: &Pipeline) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut told = BTreeSet::new();
    let mut writers: BTreeMap<(String, Option<String>), &ImageParameter> = BTreeMap::new();
    for cell in pipeline.stages.iter() {
        let home = cell.region.as_ref().or(pipeline.aws.region.as_ref());
        let home = home.map(|region| region.to_string());
        for parameter in &cell.image.parameters {
            let Some(name) = parameter.name.as_literal() else {
                continue;
            };
            let key = (name.to_owned(), home.clone());
            let Some(first) = writers.insert(key, parameter) else {
                continue;
            };
            let (here, there) = (parameter.name.span(), first.name.span());
            if !told.insert(here) {
                continue;
            }
            let hint = if here == there {
                String::from("put the values by which the cells differ into it: ${{ matrix.NAME }}")
            } else {
                format!(
                    "it first stands in line {}; give each image a parameter of its own",
                    there.line
                )
            };
            let message = format!("two images are written into the parameter {name}");
            faults.push(Fault::new(here, message).hint(hint));
        }
    }
    faults
}

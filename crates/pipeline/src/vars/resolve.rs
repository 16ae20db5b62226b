//! Which of its sources gives a variable its value.

use super::derive::order;
use super::given::FileValue;
use super::{GivenVar, Origin, Value, Values, VarsFile};
use crate::files::Files;
use crate::model::{Located, Profile, VarName, Variable, Variables};
use crate::problem::{Fault, Problem};
use crate::suggest::closest;
use crate::template::Secret;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a derived variable comes to.
#[derive(Default)]
pub(crate) struct Derived {
    pub(crate) text: String,
    /// Whether a secret is in it.
    pub(crate) is_secret: bool,
}

/// Where values may come from, besides the declarations.
pub(crate) struct Sources<'a> {
    pub(crate) given: &'a [GivenVar],
    pub(crate) vars_files: &'a [VarsFile],
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) files: &'a dyn Files,
    /// The profiles chosen, in order.
    pub(crate) profiles: &'a [(&'a str, &'a Profile)],
    /// The path that a name stands for, written in the file of that number.
    pub(crate) locate: &'a dyn Fn(u16, &str) -> std::path::PathBuf,
    /// The variables that each derived one is made of.
    pub(crate) uses: &'a BTreeMap<String, BTreeSet<String>>,
    /// Makes a derived variable's value of those that have theirs.
    pub(crate) derive: &'a dyn Fn(&str, &Values) -> Result<Derived, Fault>,
    /// Whether this is a rehearsal.
    pub(crate) local: bool,
}

/// Gives every declared variable its value.
///
/// # Errors
/// All that is wrong: a variable without a value, an empty one, one that its pattern refuses, a value for a variable
/// that is not declared.
pub(crate) fn resolve(
    declared: &Variables,
    sources: &Sources<'_>,
    place: &dyn Fn(Fault) -> Problem,
) -> Result<Values, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut from_files: Vec<FileValue> = Vec::new();
    for file in sources.vars_files {
        match file.entries() {
            Ok(entries) => from_files.extend(entries),
            Err(found) => problems.extend(found),
        }
    }
    let names = || declared.keys().map(|name| name.as_str());
    let undeclared = |name: &str| match closest(name, names()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None => Some(format!(
            "declared are: {}",
            names().collect::<Vec<_>>().join(", ")
        )),
    };
    for given in sources
        .given
        .iter()
        .filter(|given| !names().any(|name| name == given.name))
    {
        let message = format!(
            "--var {}: the pipeline declares no such variable",
            given.name
        );
        problems.push(Problem {
            message,
            hint: undeclared(&given.name),
            place: None,
        });
    }
    for entry in from_files
        .iter()
        .filter(|entry| !names().any(|name| name == entry.name))
    {
        problems.push(entry.problem(
            format!("the pipeline declares no variable `{}`", entry.name),
            undeclared(&entry.name),
        ));
    }
    let mut values = Values::default();
    for (name, variable) in declared {
        if let (Some(derive), Some(default)) = (&variable.derive, &variable.default) {
            let at = derive.span.max(default.span);
            let message = format!("the variable `{name}` has both `default` and `derive`");
            problems.push(place(Fault::new(at, message).hint("leave one of them out")));
        } else if variable.derive.is_none() {
            let found = value(name, variable, sources, &from_files);
            let found =
                found.and_then(|found| found.ok_or_else(|| missing(name, variable, sources)));
            match found.and_then(|(text, origin)| checked(name, variable, text, origin)) {
                Ok(value) => drop(values.0.insert(name.as_str().to_owned(), value)),
                Err(fault) => problems.push(place(fault)),
            }
        }
    }
    let (order, circles) = order(declared, sources.uses);
    problems.extend(circles.into_iter().map(place));
    for name in order {
        let known = declared.iter().find(|(known, _)| known.as_str() == name);
        if let Some((name, variable)) = known {
            match derived(name, variable, declared, sources, &from_files, &values) {
                Ok(Some(value)) => drop(values.0.insert(name.as_str().to_owned(), value)),
                Ok(None) => {}
                Err(fault) => problems.push(place(fault)),
            }
        }
    }
    if problems.is_empty() {
        Ok(values)
    } else {
        Err(problems)
    }
}

/// A derived variable's value; none where one that it is made of has no value, which is told there.
fn derived(
    name: &Located<VarName>,
    variable: &Variable,
    declared: &Variables,
    sources: &Sources<'_>,
    from_files: &[FileValue],
    values: &Values,
) -> Result<Option<Value>, Fault> {
    let uses = sources.uses.get(name.as_str());
    let is_declared = |used: &String| declared.keys().any(|known| known.as_str() == used);
    let mut uses = uses.into_iter().flatten();
    if uses
        .clone()
        .any(|used| is_declared(used) && values.get(used).is_none())
    {
        return Ok(None);
    }
    // A value given instead is no less secret than what it stands for.
    let of_secrets = uses.any(|used| values.get(used).is_some_and(|value| value.is_secret));
    let (text, origin, is_secret) = match value(name, variable, sources, from_files)? {
        Some((text, origin)) => (text, origin, of_secrets),
        None => {
            let Derived { text, is_secret } = (sources.derive)(name.as_str(), values)?;
            (text, Origin::Derived, is_secret || of_secrets)
        }
    };
    let variable = Variable {
        secret: variable.secret || is_secret,
        ..variable.clone()
    };
    checked(name, &variable, text, origin).map(Some)
}

/// What gives the variable its value by hand, from the environment, a file, or its declaration.
fn value(
    name: &Located<VarName>,
    variable: &Variable,
    sources: &Sources<'_>,
    from_files: &[FileValue],
) -> Result<Option<(String, Origin)>, Fault> {
    if let Some(given) = sources
        .given
        .iter()
        .rev()
        .find(|given| given.name == name.as_str())
    {
        return Ok(Some((given.value.clone(), Origin::CommandLine)));
    }
    if let Some(entry) = from_files
        .iter()
        .rev()
        .find(|entry| entry.name == name.as_str())
    {
        let origin = Origin::VarsFile(entry.path.clone());
        return Ok(Some((entry.value.clone(), origin)));
    }
    for (profile, given) in sources.profiles.iter().rev() {
        if let Some(value) = given.vars.get(name) {
            let origin = Origin::Profile((*profile).to_owned());
            return Ok(Some((value.value.clone(), origin)));
        }
    }
    if let Some(key) = &variable.env
        && let Some(text) = (sources.env)(key)
        && !text.is_empty()
    {
        return Ok(Some((text, Origin::Environment(key.value.clone()))));
    }
    if let Some(file) = &variable.file {
        let path = (sources.locate)(file.span.file, file);
        match read(sources.files, &path) {
            Ok(Some(text)) => return Ok(Some((text, Origin::File(path)))),
            Ok(None) => {}
            Err(why) => {
                return Err(Fault::new(
                    file.span,
                    format!(
                        "the value of `{name}` cannot be read from {}: {why}",
                        path.display()
                    ),
                ));
            }
        }
    }
    if sources.local
        && let Some(text) = &variable.rehearsal
    {
        return Ok(Some((text.value.clone(), Origin::Rehearsal)));
    }
    let default = variable.default.as_ref();
    Ok(default.map(|text| (text.value.clone(), Origin::Default)))
}

/// The fault of a variable that nothing gives a value.
fn missing(name: &Located<VarName>, variable: &Variable, sources: &Sources<'_>) -> Fault {
    // What is there has given the value.
    let missing_file = variable
        .file
        .as_ref()
        .map(|file| (sources.locate)(file.span.file, file));
    let what = variable
        .description
        .as_ref()
        .map(|what| format!(" ({what})"))
        .unwrap_or_default();
    let message = match &missing_file {
        Some(path) => format!(
            "the variable `{name}`{what} has no value: there is no file {}",
            path.display()
        ),
        None => format!("the variable `{name}`{what} has no value"),
    };
    let env = variable
        .env
        .as_ref()
        .map(|env| format!(", or set {env}"))
        .unwrap_or_default();
    let file = missing_file
        .map(|path| format!(", or write {}", path.display()))
        .unwrap_or_default();
    Fault::new(name.span, message).hint(format!(
        "give it with --var {name}=… or in a --vars-file{env}{file}"
    ))
}

/// A file's text without one line end at its end, or nothing where there is no such file.
fn read(files: &dyn Files, path: &Path) -> Result<Option<String>, String> {
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why.to_string()),
    };
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Some(text))
}

fn checked(
    name: &Located<VarName>,
    variable: &Variable,
    text: String,
    origin: Origin,
) -> Result<Value, Fault> {
    if text.is_empty() {
        return Err(Fault::new(
            name.span,
            format!("the variable `{name}` is empty (from {origin})"),
        )
        .hint("give it a value; a variable that may be empty is one that nobody notices missing"));
    }
    if let Some(pattern) = &variable.pattern {
        // Whole-value match, whatever anchors the pattern has.
        let regex = Regex::new(&format!("^(?:{})$", pattern.value)).map_err(|why| {
            let last = why.to_string();
            let last = last
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            Fault::new(
                pattern.span,
                format!("this pattern is no regular expression: {last}"),
            )
        })?;
        if !regex.is_match(&text) {
            let shown = if variable.secret {
                "its value".to_owned()
            } else {
                format!("{text:?}")
            };
            return Err(Fault::new(
                name.span,
                format!("the variable `{name}` does not fit its pattern: {shown} (from {origin})"),
            )
            .hint(format!("the whole value must match {}", pattern.value)));
        }
    }
    Ok(Value {
        secret: Secret::new(text),
        is_secret: variable.secret,
        origin,
    })
}

//! Loading a pipeline: the one way in.

use crate::check;
use crate::decode::{
    Expressions, FilePart, GitFacts, Host, MapTables, NodeDeserializer, ROOM, Scope, StepSetNodes,
    Surroundings, cells,
};
use crate::files::Files;
use crate::model::{Pipeline, Stages, Variables};
use crate::problem::{Fault, LoadError, Problem};
use crate::vars::{GivenVar, Sources, Values, VarsFile, resolve};
use crate::yaml::{self, Node};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What loading needs to know besides the file.
pub struct LoadOptions<'a> {
    /// Whether this is a rehearsal (`--local`): `rehearsal` values count.
    pub local: bool,
    /// Values given with `--var`; of two for one variable the later wins.
    pub vars: Vec<GivenVar>,
    /// Files given with `--vars-file`; of two values for one variable the later file's wins.
    pub vars_files: Vec<VarsFile>,
    /// Looks an environment variable up.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The home folder that `~/` stands for.
    pub home: Option<PathBuf>,
    /// Asks git about the folder of the pipeline's file: once, and only if the pipeline uses a `git.…`. None outside of a
    /// repository, and before its first commit.
    pub git: &'a dyn Fn() -> Option<GitFacts>,
}

impl Default for LoadOptions<'_> {
    /// Nothing given by hand, no environment, no home, no git: what a test starts from.
    fn default() -> Self {
        Self {
            local: false,
            vars: Vec::new(),
            vars_files: Vec::new(),
            env: &|_| None,
            home: None,
            git: &|| None,
        }
    }
}

/// A pipeline that has passed all checks.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The pipeline. What was known is in place; what a run knows is still a template.
    pub pipeline: Pipeline,
    /// The variables' values.
    pub values: Values,
    /// The file it was read from.
    pub file: PathBuf,
    /// The file's text, for pointing into it later on.
    pub text: String,
}

impl Loaded {
    /// A problem found later (an image name that is too long once it is rendered), with its place in the file.
    pub fn problem(
        &self,
        span: crate::Span,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        Fault {
            span,
            message: message.into(),
            hint,
        }
        .in_file(&self.file, &self.text)
    }
}

/// Reads and checks a pipeline. `path` is what messages call the file, and its folder is what relative paths in it
/// begin at.
///
/// # Errors
/// Everything that is wrong and can be told apart: the first error of form, or all errors of meaning.
pub fn load(
    path: &Path,
    bytes: &[u8],
    options: &LoadOptions<'_>,
    files: &dyn Files,
) -> Result<Loaded, LoadError> {
    let lossy = String::from_utf8_lossy(bytes);
    let lossy = lossy.strip_prefix('\u{feff}').unwrap_or(&lossy);
    let place = |fault: Fault| fault.in_file(path, lossy);
    let fail = |fault: Fault| LoadError {
        problems: vec![place(fault)],
    };

    let (root, text) = yaml::compose(bytes, 0).map_err(fail)?;
    let locate_in = |_: u16, name: &str| locate(path, options.home.as_deref(), name);
    let locate = |name: &str| locate_in(0, name);
    let used = RefCell::new(BTreeSet::new());
    let none = Values::default();
    let host = Host::new(files, options.env, options.git, &locate_in);
    let maps = MapTables::new();
    let step_sets = StepSetNodes::new();
    let room = Cell::new(ROOM);
    let bare = Scope {
        around: Surroundings {
            host: &host,
            maps: &maps,
            step_sets: &step_sets,
            used: &used,
            room: &room,
        },
        values: &none,
        pipeline: None,
        stage: None,
        matrix: None,
        cell: None,
        expressions: Expressions::Refused(
            "a variable's declaration cannot use expressions",
            "`derive` can",
        ),
        part: FilePart::Elsewhere,
    };

    let declared = match root.get("vars") {
        Some(node) => decode::<Variables>(node, bare).map_err(fail)?,
        None => Variables::new(),
    };
    let hidden = secret_lines(&declared);
    let place = |fault: Fault| {
        let mut problem = fault.in_file(path, lossy);
        if let Some(place) = &mut problem.place
            && hidden.contains(&place.span.line)
        {
            place.source.clear();
        }
        problem
    };
    let fail = |fault: Fault| LoadError {
        problems: vec![place(fault)],
    };
    let sources = Sources {
        given: &options.vars,
        vars_files: &options.vars_files,
        env: options.env,
        files,
        locate: &locate,
        local: options.local,
    };
    let values = resolve(&declared, &sources, &place).map_err(|problems| LoadError { problems })?;

    let mut scope = Scope {
        values: &values,
        expressions: Expressions::Allowed,
        ..bare
    };
    let name = match root.get("name") {
        Some(node) => Some(decode::<String>(node, scope).map_err(fail)?),
        None => None,
    };
    scope.pipeline = name.as_deref();
    let mut pipeline: Pipeline = decode(&root, scope).map_err(fail)?;
    let found = match root.get("stages") {
        Some(stages) => cells(stages, scope).map_err(|faults| LoadError {
            problems: faults.into_iter().map(&place).collect(),
        })?,
        None => Default::default(),
    };
    pipeline.stages = Stages(found.cells);

    let mut faults = check::read_files(&mut pipeline, files, &locate, scope);
    faults.extend(check::check(&pipeline, &found.left_out));
    faults.sort_by_key(|fault| fault.span);
    let mut problems: Vec<Problem> = faults.into_iter().map(&place).collect();
    problems.extend(unused(&declared, options, &used.borrow()));
    if problems.is_empty() {
        Ok(Loaded {
            pipeline,
            values,
            file: path.to_owned(),
            text: text.to_owned(),
        })
    } else {
        Err(LoadError { problems })
    }
}

fn decode<'n, T: Deserialize<'n>>(node: &'n Node, scope: Scope<'n>) -> Result<T, Fault> {
    T::deserialize(NodeDeserializer::new(node, scope))
        .map_err(|error| error.or_at(node.span).into_fault())
}

/// The lines in which a secret's default is written: no message shows them.
fn secret_lines(declared: &Variables) -> BTreeSet<u32> {
    let secrets = declared.values().filter(|variable| variable.secret);
    secrets
        .filter_map(|variable| variable.default.as_ref())
        .map(|default| default.span.line)
        .collect()
}

/// The path that a name in the pipeline's file stands for.
fn locate(pipeline: &Path, home: Option<&Path>, name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => pipeline.parent().unwrap_or(Path::new("")).join(name),
    }
}

/// A value given by hand that nothing uses: it was meant to change something, and changes nothing.
fn unused(
    declared: &Variables,
    options: &LoadOptions<'_>,
    used: &BTreeSet<String>,
) -> Vec<Problem> {
    let idle = |name: &str| declared.keys().any(|key| key.as_str() == name) && !used.contains(name);
    let given: BTreeSet<&str> = options
        .vars
        .iter()
        .map(|var| var.name.as_str())
        .filter(|name| idle(name))
        .collect();
    given
        .into_iter()
        .map(|name| Problem {
            message: format!(
                "--var {name}: the pipeline declares this variable, but nothing in it uses it"
            ),
            hint: Some(format!(
                "use it as ${{{{ vars.{name} }}}}, or leave the --var out"
            )),
            place: None,
        })
        .collect()
}

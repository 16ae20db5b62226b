//! Loading a pipeline: the one way in.

mod include;

use crate::check;
use crate::decode::{
    Expressions, FilePart, GitFacts, Host, MapTables, NodeDeserializer, ROOM, Scope, StepSetNodes,
    Surroundings, cells, check_step_sets, mentions, step_sets,
};
use crate::files::Files;
use crate::model::{Maps, Pipeline, Profile, Profiles, Stages, Variables};
use crate::problem::{Fault, LoadError, Problem};
use crate::sources::SourceFiles;
use crate::suggest::closest;
use crate::vars::{Derived, GivenVar, Origin, Sources, Values, VarsFile, resolve};
use crate::yaml::Node;
use include::{Reader, locate};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What loading needs to know besides the file.
pub struct LoadOptions<'a> {
    /// Whether this is a rehearsal (`--local`): `rehearsal` values count.
    pub local: bool,
    /// Values given with `--var`; of two for one variable the later wins.
    pub vars: Vec<GivenVar>,
    /// Files given with `--vars-file`; of two values for one variable the later file's wins.
    pub vars_files: Vec<VarsFile>,
    /// Profiles chosen with `--use`; of two values for one variable the later profile's wins.
    pub profiles: Vec<String>,
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
            profiles: Vec::new(),
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
    /// That file and those that it includes, for pointing into them later on.
    pub sources: SourceFiles,
}

impl Loaded {
    /// A problem found later (an image name that is too long once it is rendered), with its place in its file.
    pub fn problem(
        &self,
        span: crate::Span,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        self.sources.problem(Fault {
            span,
            message: message.into(),
            hint,
        })
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
    let mut reader = Reader::new(files, options.home.as_deref());
    let root = match reader.read(path, bytes) {
        Ok(root) => root,
        Err(fault) => return Err(reader.sources.refuse(vec![fault])),
    };
    let mut sources = reader.sources;
    let paths = sources.clone();
    let locate = |file: u16, name: &str| locate(paths.path(file), options.home.as_deref(), name);
    let host = Host::new(files, options.env, options.git, &locate);
    let maps = tables(&root, &host).map_err(|fault| sources.refuse(vec![fault]))?;
    let step_sets = step_sets(&root);
    let used = RefCell::new(BTreeSet::new());
    let room = Cell::new(ROOM);
    let around = Surroundings {
        host: &host,
        maps: &maps,
        step_sets: &step_sets,
        used: &used,
        room: &room,
    };
    let Declared {
        variables,
        profiles,
        uses,
    } = Declared::read(&root, around, &mut sources)?;
    let chosen = choose(&profiles, &options.profiles)?;

    let derive_used = RefCell::new(BTreeSet::new());
    let derive = |name: &str, values: &Values| {
        let scope = Scope {
            values,
            expressions: Expressions::Allowed,
            ..bare(Surroundings {
                used: &derive_used,
                ..around
            })
        };
        derive(&root, name, scope)
    };
    let values = resolve(
        &variables,
        &Sources {
            given: &options.vars,
            vars_files: &options.vars_files,
            profiles: &chosen,
            env: options.env,
            files,
            locate: &locate,
            local: options.local,
            uses: &uses,
            derive: &derive,
        },
        &|fault| sources.problem(fault),
    )
    .map_err(|problems| LoadError { problems })?;

    let mut scope = Scope {
        values: &values,
        expressions: Expressions::Allowed,
        ..bare(around)
    };
    let fail = |fault: Fault| sources.refuse(vec![fault]);
    let name = match root.get("name") {
        Some(node) => Some(decode::<String>(node, scope).map_err(fail)?),
        None => None,
    };
    scope.pipeline = name.as_deref();
    let mut pipeline: Pipeline = decode(&root, scope).map_err(fail)?;
    let faults = check_step_sets(&step_sets);
    if !faults.is_empty() {
        return Err(sources.refuse(faults));
    }
    let found = match root.get("stages") {
        Some(stages) => cells(stages, scope).map_err(|faults| sources.refuse(faults))?,
        None => Default::default(),
    };
    pipeline.stages = Stages(found.cells);

    let mut faults = check::choose_entries(&mut pipeline);
    faults.extend(check::read_files(&mut pipeline, files, &locate, scope));
    faults.extend(check::check(&pipeline, &found.left_out));
    let mut problems = sources.refuse(faults).problems;
    let used = with_origins(used.take(), &values, &uses);
    problems.extend(unused(&variables, options, &used));
    if problems.is_empty() {
        Ok(Loaded {
            pipeline,
            values,
            file: path.to_owned(),
            sources,
        })
    } else {
        Err(LoadError { problems })
    }
}

impl SourceFiles {
    /// All that is wrong, the first in the files first.
    fn refuse(&self, mut faults: Vec<Fault>) -> LoadError {
        faults.sort_by_key(|fault| fault.span);
        LoadError {
            problems: faults
                .into_iter()
                .map(|fault| self.problem(fault))
                .collect(),
        }
    }
}

/// The scope of a declaration: nothing is known in it.
fn bare(around: Surroundings<'_>) -> Scope<'_> {
    static NONE: Values = Values(BTreeMap::new());
    Scope {
        around,
        values: &NONE,
        pipeline: None,
        stage: None,
        matrix: None,
        cell: None,
        of_import: false,
        expressions: Expressions::Refused(
            "a variable's declaration cannot use expressions",
            "`derive` can: it stands instead of `default`",
        ),
        part: FilePart::Elsewhere,
    }
}

/// The pipeline's maps, for the filter `map`.
fn tables(root: &Node, host: &Host<'_>) -> Result<MapTables, Fault> {
    let Some(node) = root.get("maps") else {
        return Ok(MapTables::new());
    };
    let (none, sets) = (MapTables::new(), StepSetNodes::new());
    let (used, room) = (RefCell::default(), Cell::new(0));
    let scope = Scope {
        expressions: Expressions::Refused(
            "a map's values cannot use expressions",
            "a derived variable can: `derive: \"${{ vars.x | map('NAME') }}-…\"`",
        ),
        ..bare(Surroundings {
            host,
            maps: &none,
            step_sets: &sets,
            used: &used,
            room: &room,
        })
    };
    let maps: Maps = decode(node, scope)?;
    let tables = maps.into_iter();
    Ok(tables
        .map(|(name, table)| (name.to_string(), Arc::new(table)))
        .collect())
}

/// What a file declares before anything has a value.
struct Declared {
    variables: Variables,
    profiles: Profiles,
    /// The variables that each derived one is made of.
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Declared {
    fn read(
        root: &Node,
        around: Surroundings<'_>,
        sources: &mut SourceFiles,
    ) -> Result<Self, LoadError> {
        let fail = |fault: Fault| sources.refuse(vec![fault]);
        let variables: Variables = match root.get("vars") {
            Some(node) => decode(node, bare(around)).map_err(fail)?,
            None => Variables::new(),
        };
        let of_profiles = Scope {
            expressions: Expressions::Refused(
                "a profile's values cannot use expressions",
                "a derived variable can, of the variable that the profile sets",
            ),
            part: FilePart::Elsewhere,
            ..bare(around)
        };
        let profiles: Profiles = match root.get("profiles") {
            Some(node) => decode(node, of_profiles).map_err(fail)?,
            None => Profiles::new(),
        };
        for (name, variable) in &variables {
            if variable.secret {
                let defaults = variable.default.iter();
                let given = profiles
                    .values()
                    .filter_map(|profile| profile.vars.get(name));
                for value in defaults.chain(given) {
                    sources.hide(value.span.file, value.span.line);
                }
            }
        }
        let undeclared: Vec<Fault> = profiles
            .values()
            .flat_map(|profile| profile.vars.keys())
            .filter(|name| !variables.contains_key(*name))
            .map(|name| {
                let message = format!("the pipeline declares no variable `{name}`");
                let known = variables.keys().map(|name| name.as_str());
                let fault = Fault::new(name.span, message);
                match closest(name.as_str(), known) {
                    Some(near) => fault.hint(format!("did you mean `{near}`?")),
                    None => fault,
                }
            })
            .collect();
        if !undeclared.is_empty() {
            return Err(sources.refuse(undeclared));
        }
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, variable) in &variables {
            if variable.derive.is_some() {
                let used = uses.entry(name.to_string()).or_default();
                if let Some(node) = derivation(root, name.as_str()) {
                    mentions(node, &mut |name| {
                        used.insert(name.to_owned());
                    });
                }
            }
        }
        Ok(Self {
            variables,
            profiles,
            uses,
        })
    }
}

fn derivation<'n>(root: &'n Node, name: &str) -> Option<&'n Node> {
    root.get("vars")?.get(name)?.get("derive")
}

/// What a derived variable comes to.
fn derive(root: &Node, name: &str, scope: Scope<'_>) -> Result<Derived, Fault> {
    match derivation(root, name) {
        Some(node) => NodeDeserializer::new(node, scope)
            .derived()
            .map_err(|why| why.or_at(node.span).into_fault()),
        None => Ok(Derived::default()),
    }
}

/// The profiles that `--use` names, in its order.
fn choose<'p>(
    profiles: &'p Profiles,
    names: &'p [String],
) -> Result<Vec<(&'p str, &'p Profile)>, LoadError> {
    let mut chosen = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        match profiles.iter().find(|(known, _)| known.as_str() == name) {
            Some((_, profile)) => chosen.push((name.as_str(), profile)),
            None => {
                let known = || profiles.keys().map(|name| name.as_str());
                let hint = match closest(name, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if profiles.is_empty() => {
                        format!("declare it: `profiles: {{ {name}: {{ vars: {{ … }} }} }}`")
                    }
                    None => format!(
                        "the profiles are: {}",
                        known().collect::<Vec<_>>().join(", ")
                    ),
                };
                problems.push(Problem {
                    message: format!("--use {name}: the pipeline has no such profile"),
                    hint: Some(hint),
                    place: None,
                });
            }
        }
    }
    if problems.is_empty() {
        Ok(chosen)
    } else {
        Err(LoadError { problems })
    }
}

/// The variables used, with those that a used variable was derived from.
fn with_origins(
    used: BTreeSet<String>,
    values: &Values,
    uses: &BTreeMap<String, BTreeSet<String>>,
) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open: Vec<String> = used.into_iter().collect();
    while let Some(name) = open.pop() {
        let derived = values
            .get(&name)
            .is_some_and(|value| value.origin == Origin::Derived);
        if derived && !all.contains(&name) {
            open.extend(uses.get(&name).into_iter().flatten().cloned());
        }
        all.insert(name);
    }
    all
}

fn decode<'n, T: Deserialize<'n>>(node: &'n Node, scope: Scope<'n>) -> Result<T, Fault> {
    T::deserialize(NodeDeserializer::new(node, scope))
        .map_err(|error| error.or_at(node.span).into_fault())
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

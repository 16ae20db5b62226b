//! What is known when a file is loaded, and how a text's expressions become values with it.

use super::Host;
use crate::Span;
use crate::problem::Fault;
use crate::suggest::closest;
use crate::template::{
    Comparison, Condition, Expression, Filter, Name, Operand, Part, Secret, Segment, parse,
};
use crate::vars::Values;
use crate::yaml::{Node, Scalar};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The pipeline's maps.
pub(crate) type MapTables = BTreeMap<String, Arc<BTreeMap<String, String>>>;
/// The pipeline's step sets, still to be read: what they hold depends on where they are used.
pub(crate) type StepSetNodes<'a> = BTreeMap<&'a str, &'a Node>;

/// What is the same in every part of the file.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) host: &'a Host<'a>,
    pub(crate) maps: &'a MapTables,
    pub(crate) step_sets: &'a StepSetNodes<'a>,
    /// The variables used so far: one given by hand that no expression uses is a mistake.
    pub(crate) used: &'a RefCell<BTreeSet<String>>,
    /// How many more values matrices and step sets may make.
    pub(crate) room: &'a Cell<usize>,
}

/// What a text may come to; more is data.
const MAX_TEXT: usize = 1 << 24;

/// How many values matrices and step sets may make of a file.
pub(crate) const ROOM: usize = 1_000_000;

impl Surroundings<'_> {
    /// Takes the room that a node needs when it is read once more.
    pub(crate) fn make_room(&self, node: &Node) -> Result<(), Fault> {
        match self.room.get().checked_sub(node.size()) {
            Some(rest) => {
                self.room.set(rest);
                Ok(())
            }
            None => Err(Fault::new(
                node.span,
                format!("matrices and step sets make more than {ROOM} values of this file"),
            )
            .hint("step sets that repeat step sets multiply, and every cell has its own")),
        }
    }
}

/// A cell's values and the names that its stage's other cells have.
pub(crate) struct MatrixScope<'a> {
    pub(crate) values: &'a BTreeMap<String, String>,
    pub(crate) names: &'a BTreeSet<String>,
}

/// The names that have a value while a part of the file is read.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) around: Surroundings<'a>,
    pub(crate) values: &'a Values,
    pub(crate) pipeline: Option<&'a str>,
    pub(crate) stage: Option<&'a str>,
    pub(crate) matrix: Option<&'a MatrixScope<'a>>,
    /// The cell's name, where its matrix gives it one. Elsewhere it is the region's, which a run knows.
    pub(crate) cell: Option<&'a str>,
    /// Whether the stage starts from a disk image, of which less is known than of an AMI.
    pub(crate) of_import: bool,
    pub(crate) expressions: Expressions,
    pub(crate) part: FilePart,
}

/// Which part of the file it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilePart {
    /// The outputs: what a cell has is known only when its image is there.
    Outputs,
    /// Another one.
    Elsewhere,
}

/// Whether expressions may stand in a part of the file at all.
#[derive(Clone, Copy)]
pub(crate) enum Expressions {
    /// They may.
    Allowed,
    /// They may not: the message and the hint for one that does.
    Refused(&'static str, &'static str),
}

/// What a text may hold besides what is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allows {
    /// Nothing.
    Known,
    /// Secrets.
    Secrets,
    /// Run-time expressions.
    RunTime,
    /// Run-time expressions and secrets.
    RunTimeAndSecrets,
}

impl Allows {
    const fn run_time(self) -> bool {
        matches!(self, Self::RunTime | Self::RunTimeAndSecrets)
    }

    pub(crate) const fn secrets(self) -> bool {
        matches!(self, Self::Secrets | Self::RunTimeAndSecrets)
    }
}

/// The value of an expression that is known; none where there is nothing and that is no mistake yet.
struct Found {
    text: Option<String>,
    is_secret: bool,
}

impl Scope<'_> {
    /// Replaces what is known in a scalar's text.
    pub(crate) fn segments(
        &self,
        scalar: &Scalar,
        span: Span,
        allows: Allows,
    ) -> Result<Vec<Segment>, Fault> {
        self.text_segments(&scalar.text, allows, |occurrence, offset, width| {
            let Some(opening) = scalar.openings.get(occurrence) else {
                return span;
            };
            Span {
                column: opening.column + offset,
                width,
                ..*opening
            }
        })
    }

    /// Replaces what is known in a text. `place` says where the `n`th `${{` is, plus an offset, at a width.
    pub(crate) fn text_segments(
        &self,
        text: &str,
        allows: Allows,
        place: impl Fn(usize, u32, u32) -> Span,
    ) -> Result<Vec<Segment>, Fault> {
        let parts = parse(text).map_err(|why| {
            Fault::new(place(why.occurrence, why.offset as u32, 1), why.message)
                .hint("`$${{` stands for a literal `${{`")
        })?;
        let mut segments = Vec::new();
        let mut length = 0_usize;
        for part in parts {
            let segment = match part {
                Part::Text(text) => Segment::Literal(text),
                Part::Expression {
                    expression,
                    occurrence,
                    width,
                } => self.segment(&expression, allows, place(occurrence, 0, width as u32))?,
            };
            length += match &segment {
                Segment::Literal(text) => text.len(),
                Segment::Secret { value, .. } => value.expose().len(),
                Segment::RunTime(_) => 0,
            };
            if length > MAX_TEXT {
                let message =
                    format!("this text has more than {MAX_TEXT} bytes with its values put in");
                return Err(Fault::new(place(0, 0, 1), message).hint("upload large data as a file"));
            }
            match (segments.last_mut(), segment) {
                (Some(Segment::Literal(last)), Segment::Literal(more)) => last.push_str(&more),
                (_, segment) => segments.push(segment),
            }
        }
        Ok(segments)
    }

    fn segment(&self, expression: &Expression, allows: Allows, at: Span) -> Result<Segment, Fault> {
        if let Expressions::Refused(message, hint) = self.expressions {
            return Err(Fault::new(at, message).hint(hint));
        }
        let expression = &self.with_maps(expression, at)?;
        if self.part == FilePart::Elsewhere
            && let Name::ImageId | Name::ImageName | Name::ImageTag(_) = expression.name
        {
            let name = &expression.name;
            let message =
                format!("{name} is known only when the image is there; it may not stand here");
            return Err(Fault::new(at, message).hint("it may stand in `outputs`"));
        }
        if self.of_import
            && let Name::SourceCreated | Name::SourceOwner | Name::SourceTag(_) = expression.name
        {
            let name = &expression.name;
            let message =
                format!("{name} is known of an AMI, and this stage starts from a disk image");
            return Err(Fault::new(at, message).hint(
                "of an import there are source.id, the digest of its file, and source.name, the file's name without its extension",
            ));
        }
        let of_cell = self.part == FilePart::Outputs
            && matches!(expression.name, Name::Matrix(_) | Name::StageName);
        let known = expression.name == Name::Cell && self.cell.is_some();
        if (expression.name.is_run_time() && !known) || of_cell {
            return if allows.run_time() {
                Ok(Segment::RunTime(expression.clone()))
            } else {
                let name = &expression.name;
                Err(Fault::new(at, format!("{name} is known only when a stage is built; it may not stand here"))
                    .hint("it may stand in names, descriptions, tags, `run.inline`, `run.env`, uploaded texts and `outputs`"))
            };
        }
        let (text, is_secret) = self.value(expression, at)?;
        if !is_secret {
            return Ok(Segment::Literal(text));
        }
        if allows.secrets() {
            return Ok(Segment::Secret {
                expression: expression.to_string(),
                value: Secret::new(text),
            });
        }
        let name = &expression.name;
        Err(Fault::new(
            at,
            format!(
                "the variable `{}` is secret and may not stand here",
                name.to_string().trim_start_matches("vars.")
            ),
        )
        .hint("a secret may stand in `run.env`, `upload.content`, an uploaded template, `extra_vars` of Ansible and `connect.proxy.password`"))
    }

    /// The expression with what its maps hold.
    fn with_maps(&self, expression: &Expression, at: Span) -> Result<Expression, Fault> {
        let mut expression = expression.clone();
        for filter in &mut expression.filters {
            if let Filter::Map { name, entries } = filter {
                let Some(table) = self.around.maps.get(name) else {
                    let known = || self.around.maps.keys().map(String::as_str);
                    let fault = Fault::new(at, format!("there is no map `{name}`"));
                    return Err(match closest(name, known()) {
                        Some(near) => fault.hint(format!("did you mean `{near}`?")),
                        None => fault.hint(format!(
                            "declare it: `maps: {{ {name}: {{ KEY: VALUE }} }}`"
                        )),
                    });
                };
                *entries = table.clone();
            }
        }
        Ok(expression)
    }

    /// An expression's value with its filters applied, and whether it is secret.
    fn value(&self, expression: &Expression, at: Span) -> Result<(String, bool), Fault> {
        let Found { text, is_secret } = self.named(&expression.name, at)?;
        let mut filters = expression.filters.as_slice();
        let mut text = match (text, filters.split_first()) {
            (Some(text), _) => text,
            (None, Some((Filter::Default(text), rest))) => {
                filters = rest;
                text.clone()
            }
            (None, _) => return Err(absent(&expression.name, at)),
        };
        for filter in filters {
            text = filter.apply(&text).map_err(|why| {
                let (message, hint) = why.describe(is_secret);
                let fault = Fault::new(at, message);
                match hint {
                    Some(hint) => fault.hint(hint),
                    None => fault,
                }
            })?;
        }
        if text.is_empty() {
            return Err(Fault::new(at, format!("{expression} is empty")));
        }
        Ok((text, is_secret))
    }

    /// What a name that is known at load time stands for.
    fn named(&self, name: &Name, at: Span) -> Result<Found, Fault> {
        let open = |text: String| Found {
            text: Some(text),
            is_secret: false,
        };
        match name {
            Name::Variable(name) => {
                let Some(value) = self.values.get(name) else {
                    return Err(self.undeclared(name, at));
                };
                self.around.used.borrow_mut().insert(name.clone());
                Ok(Found {
                    text: Some(value.secret.expose().to_owned()),
                    is_secret: value.is_secret,
                })
            }
            Name::Matrix(name) => self.of_matrix(name, at).map(|text| Found {
                text,
                is_secret: false,
            }),
            Name::PipelineName => match self.pipeline {
                Some(name) => Ok(open(name.to_owned())),
                None => Err(Fault::new(at, "pipeline.name is not known here")),
            },
            Name::StageName => match self.stage {
                Some(name) => Ok(open(name.to_owned())),
                None => Err(Fault::new(at, "stage.name is known only inside a stage")),
            },
            Name::Cell if let Some(name) = self.cell => Ok(open(name.to_owned())),
            Name::Git(fact) => self.around.host.git(*fact, at).map(open),
            Name::File(path) => self.around.host.text(path, at).map(open),
            Name::Hash(path) => self.around.host.hash(path, at).map(open),
            Name::Env(name) => Ok(Found {
                text: self.around.host.env(name),
                is_secret: false,
            }),
            run_time => Err(Fault::new(
                at,
                format!("{run_time} is known only when a stage is built; it may not stand here"),
            )),
        }
    }

    fn of_matrix(&self, name: &str, at: Span) -> Result<Option<String>, Fault> {
        let Some(matrix) = self.matrix else {
            return Err(Fault::new(
                at,
                format!("matrix.{name} is known only inside a stage that has a `matrix`"),
            ));
        };
        if let Some(value) = matrix.values.get(name) {
            return Ok(Some(value.clone()));
        }
        if matrix.names.contains(name) {
            return Ok(None);
        }
        let known = || matrix.names.iter().map(String::as_str);
        let fault = Fault::new(at, format!("the matrix has no `{name}`"));
        Err(match closest(name, known()) {
            Some(near) => fault.hint(format!("did you mean `matrix.{near}`?")),
            None => fault.hint(format!(
                "it has: {}",
                known().collect::<Vec<_>>().join(", ")
            )),
        })
    }

    fn undeclared(&self, name: &str, at: Span) -> Fault {
        let fault = Fault::new(at, format!("the variable `{name}` is not declared"));
        match closest(name, self.values.names()) {
            Some(near) => fault.hint(format!("did you mean `vars.{near}`?")),
            None => fault.hint(format!(
                "declare it: `vars: {{ {name}: {{ default: … }} }}`"
            )),
        }
    }

    /// Whether a condition holds.
    pub(crate) fn holds(&self, condition: &Condition, at: Span) -> Result<bool, Fault> {
        // A name that stands on the side that does not decide is looked at all the same: a slip there is one.
        for name in condition.names() {
            if name.is_run_time() {
                let message = format!(
                    "{name} is known only when a stage is built, and a condition is decided when the file is loaded"
                );
                return Err(Fault::new(at, message).hint(
                    "a condition may use matrix.NAME, vars.NAME, git.…, env('NAME'), pipeline.name and stage.name",
                ));
            }
            if self.named(name, at)?.is_secret {
                let message = format!("{name} is secret and may not decide a condition");
                return Err(Fault::new(at, message)
                    .hint("what a condition decides shows its value: decide by a variable that is no secret"));
            }
        }
        self.decide(condition, at)
    }

    fn decide(&self, condition: &Condition, at: Span) -> Result<bool, Fault> {
        match condition {
            Condition::Value(operand) => match self.operand(operand, at)?.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                other => Err(Fault::new(
                    at,
                    format!("{operand} alone is no condition: it is {other:?}, not true or false"),
                )
                .hint(format!("compare it: {operand} == '{other}'"))),
            },
            Condition::Compare {
                left,
                comparison,
                right,
            } => {
                let equal = self.operand(left, at)? == self.operand(right, at)?;
                Ok(equal == (*comparison == Comparison::Equal))
            }
            Condition::In { item, list } => {
                let item = self.operand(item, at)?;
                for other in list {
                    if self.operand(other, at)? == item {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::Not(inner) => Ok(!self.decide(inner, at)?),
            Condition::All(parts) => {
                for part in parts {
                    if !self.decide(part, at)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Any(parts) => {
                for part in parts {
                    if self.decide(part, at)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn operand(&self, operand: &Operand, at: Span) -> Result<String, Fault> {
        match operand {
            Operand::Text(text) => Ok(text.clone()),
            Operand::Boolean(value) => Ok(value.to_string()),
            Operand::Expression(expression) => self
                .value(&self.with_maps(expression, at)?, at)
                .map(|(text, _)| text),
        }
    }
}

fn absent(name: &Name, at: Span) -> Fault {
    match name {
        Name::Env(variable) => Fault::new(
            at,
            format!("the environment variable {variable} is not set, or empty"),
        )
        .hint(format!(
            "set it, or say what to use without it: env('{variable}') | default('…')"
        )),
        name => Fault::new(at, format!("this cell has no value for {name}"))
            .hint(format!("say what to use without it: {name} | default('…')")),
    }
}

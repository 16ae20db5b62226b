//! What is known when a file is loaded, and how a text's expressions become values with it.

use crate::Span;
use crate::problem::Fault;
use crate::suggest::closest;
use crate::template::{Expression, Name, Part, Secret, Segment, parse};
use crate::vars::Values;
use crate::yaml::Scalar;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The names that have a value while a part of the file is read.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) values: &'a Values,
    pub(crate) pipeline: Option<&'a str>,
    pub(crate) stage: Option<&'a str>,
    /// The variables used so far: one given by hand that no expression uses is a mistake.
    pub(crate) used: &'a RefCell<BTreeSet<String>>,
    /// Whether expressions may stand here at all; a variable's own declaration has none.
    pub(crate) expressions: bool,
}

/// What a text may hold besides what is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allows {
    /// Nothing.
    Known,
    /// Run-time expressions.
    RunTime,
    /// Run-time expressions and secrets.
    RunTimeAndSecrets,
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
                line: opening.line,
                column: opening.column + offset,
                width,
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
        for part in parts {
            let segment = match part {
                Part::Text(text) => Segment::Literal(text),
                Part::Expression {
                    expression,
                    occurrence,
                    width,
                } => self.value(&expression, allows, place(occurrence, 0, width as u32))?,
            };
            match (segments.last_mut(), segment) {
                (Some(Segment::Literal(last)), Segment::Literal(more)) => last.push_str(&more),
                (_, segment) => segments.push(segment),
            }
        }
        Ok(segments)
    }

    fn value(&self, expression: &Expression, allows: Allows, at: Span) -> Result<Segment, Fault> {
        if !self.expressions {
            return Err(Fault::new(
                at,
                "a variable's declaration cannot use expressions",
            ));
        }
        let filtered = |text: &str| {
            let text = expression
                .filters
                .iter()
                .fold(text.to_owned(), |text, filter| filter.apply(&text));
            if text.is_empty() {
                return Err(Fault::new(at, format!("{expression} is empty")));
            }
            Ok(text)
        };
        match &expression.name {
            Name::Variable(name) => {
                let Some(value) = self.values.get(name) else { return Err(self.undeclared(name, at)) };
                self.used.borrow_mut().insert(name.clone());
                let text = filtered(value.secret.expose())?;
                if !value.is_secret {
                    return Ok(Segment::Literal(text));
                }
                if allows == Allows::RunTimeAndSecrets {
                    return Ok(Segment::Secret { expression: expression.to_string(), value: Secret::new(text) });
                }
                Err(Fault::new(at, format!("the variable `{name}` is secret and may not stand here"))
                    .hint("a secret may stand in `run.env`, in `upload.content` and in an uploaded template"))
            }
            Name::PipelineName => match self.pipeline {
                Some(name) => filtered(name).map(Segment::Literal),
                None => Err(Fault::new(at, "pipeline.name is not known here")),
            },
            Name::StageName => match self.stage {
                Some(name) => filtered(name).map(Segment::Literal),
                None => Err(Fault::new(at, "stage.name is known only inside a stage")),
            },
            _ if allows != Allows::Known => Ok(Segment::RunTime(expression.clone())),
            run_time => Err(Fault::new(at, format!("{run_time} is known only when a stage is built; it may not stand here"))
                .hint("it may stand in names, descriptions, tags, `run.inline`, `run.env`, uploaded texts and `outputs`")),
        }
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
}

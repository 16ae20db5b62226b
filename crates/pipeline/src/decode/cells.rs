//! From the stages of a file to the cells of a pipeline: each stage is read once for every combination of its matrix.

use super::access::key;
use super::combinations::{Combination, combinations};
use super::{DecodeError, MatrixScope, NodeDeserializer, Scope};
use crate::Span;
use crate::model::{Cell, Located, Matrix, Recipe, StageName};
use crate::problem::Fault;
use crate::told_once::told_once;
use crate::yaml::{Key, Node, Value};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A name that stands in file names, tags and lists.
const MAX_NAME: usize = 63;

/// What a file's stages come to.
#[derive(Default)]
pub(crate) struct Found {
    /// The cells, in the order of the file.
    pub(crate) cells: Vec<Cell>,
    /// The stages that have no cell left, since a condition left them out.
    pub(crate) left_out: Vec<StageName>,
}

/// Reads the stages.
///
/// # Errors
/// For each stage the first fault of form; one that all cells of a stage have once.
pub(crate) fn cells(stages: &Node, scope: Scope<'_>) -> Result<Found, Vec<Fault>> {
    let all = NodeDeserializer::new(stages, scope);
    let Value::Map(entries) = &stages.value else {
        return Err(vec![
            all.mismatch_of_map("a map of stages by name").into_fault(),
        ]);
    };
    if entries.is_empty() {
        return Err(vec![Fault::new(
            stages.span,
            "a pipeline needs at least one stage",
        )]);
    }
    let mut found = Found::default();
    let mut faults = Vec::new();
    for entry in entries {
        match stage(entry, scope) {
            Ok((name, cells)) if cells.is_empty() => found.left_out.push(name.value),
            Ok((_, cells)) => found.cells.extend(cells),
            Err(wrong) => faults.extend(wrong),
        }
    }
    if faults.is_empty() && found.cells.is_empty() {
        faults.push(
            Fault::new(stages.span, "no stage is left: every `when` is false")
                .hint("a pipeline needs at least one stage to build"),
        );
    }
    if faults.is_empty() {
        Ok(found)
    } else {
        Err(faults)
    }
}

fn one(why: DecodeError, at: Span) -> Vec<Fault> {
    vec![why.or_at(at).into_fault()]
}

fn stage(
    (written, node): &(Key, Node),
    scope: Scope<'_>,
) -> Result<(Located<StageName>, Vec<Cell>), Vec<Fault>> {
    let name: Located<StageName> = key(written).map_err(|why| one(why, written.span))?;
    if matches!(&node.value, Value::Scalar(scalar) if scalar.is_null()) {
        let message = format!("the key `{}` has no value", written.text);
        return Err(vec![
            Fault::new(written.span, message).hint("give it one, or leave the key out"),
        ]);
    }
    let scope = Scope {
        stage: Some(&written.text),
        ..scope
    };
    let Some(matrix_node) = node.get("matrix") else {
        let cells = cell(&name, node, None, Combination::new(), scope);
        return Ok((
            name.clone(),
            cells.map_err(|fault| vec![fault])?.into_iter().collect(),
        ));
    };
    let matrix = Matrix::deserialize(NodeDeserializer::new(matrix_node, scope))
        .map_err(|why| one(why, matrix_node.span))?;
    let combinations = combinations(&matrix, matrix_node.span)?;
    let names: BTreeSet<String> = combinations
        .iter()
        .flat_map(|combination| combination.keys().cloned())
        .collect();
    let mut cells: Vec<Cell> = Vec::new();
    let mut faults = Vec::new();
    let described: Vec<String> = combinations.iter().map(describe).collect();
    for (at, values) in combinations.into_iter().enumerate() {
        let of_cell = MatrixScope {
            values: &values,
            names: &names,
        };
        let scope = Scope {
            matrix: Some(&of_cell),
            ..scope
        };
        match cell(
            &name,
            node,
            Some((matrix_node, &matrix)),
            values.clone(),
            scope,
        ) {
            Ok(found) => cells.extend(found),
            Err(fault) => faults.push((at, fault)),
        }
    }
    if !faults.is_empty() {
        return Err(told_once(&described, faults));
    }
    unique(&name, &cells, matrix_node)?;
    Ok((name, cells))
}

/// One cell; none where a condition leaves it out.
fn cell(
    stage: &Located<StageName>,
    node: &Node,
    matrix: Option<(&Node, &Matrix)>,
    values: Combination,
    scope: Scope<'_>,
) -> Result<Option<Cell>, Fault> {
    scope.around.make_room(node)?;
    let here = NodeDeserializer::new(node, scope);
    if let Some(when) = node.get("when") {
        let holds = here
            .child(when)
            .condition()
            .map_err(|why| why.or_at(when.span).into_fault())?;
        if !holds {
            here.use_variables(node);
            return Ok(None);
        }
    }
    let name = match matrix {
        Some((written, matrix)) => Some(name(written, matrix, &values, scope)?),
        None => None,
    };
    let axes = matrix.map(|(_, matrix)| {
        let axes = matrix.axes.0.iter().map(|axis| axis.name.to_string());
        axes.collect()
    });
    let of_import = node.get("source").and_then(|source| source.get("import"));
    let of_cell = Scope {
        cell: name.as_deref(),
        of_import: of_import.is_some(),
        ..scope
    };
    let recipe = Recipe::deserialize(NodeDeserializer::new(node, of_cell))
        .map_err(|why| why.or_at(node.span).into_fault())?;
    Ok(Some(Cell {
        stage: stage.clone(),
        name,
        axes: axes.unwrap_or_default(),
        matrix: values,
        recipe,
    }))
}

fn name(
    written: &Node,
    matrix: &Matrix,
    values: &Combination,
    scope: Scope<'_>,
) -> Result<String, Fault> {
    let (name, at) = match written.get("name") {
        Some(node) => {
            let name = NodeDeserializer::new(node, scope).string();
            (
                name.map_err(|why| why.or_at(node.span).into_fault())?,
                node.span,
            )
        }
        None => {
            let axes = matrix.axes.0.iter();
            let parts: Vec<&str> = axes
                .filter_map(|axis| values.get(axis.name.as_str()))
                .map(String::as_str)
                .collect();
            (parts.join("-"), written.span)
        }
    };
    let word = "a cell's name is made of letters, digits, `-`, `_` and `.`, begins with a letter or digit, and has at most 63 characters";
    if name.is_empty() {
        return Err(Fault::new(
            at,
            format!("the cell {} has no axis to be named by", describe(values)),
        )
        .hint("say what to call the cells: name: \"${{ matrix.… }}\""));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() <= MAX_NAME && first && name.chars().all(legal) {
        return Ok(name);
    }
    Err(
        Fault::new(at, format!("{name:?} cannot be a cell's name")).hint(
            if written.get("name").is_some() {
                word.to_owned()
            } else {
                format!("{word}: say what to call the cells with `name`")
            },
        ),
    )
}

/// No two cells of a stage have one name.
fn unique(stage: &Located<StageName>, cells: &[Cell], matrix: &Node) -> Result<(), Vec<Fault>> {
    let mut seen: BTreeMap<&str, &Cell> = BTreeMap::new();
    for cell in cells {
        let Some(name) = cell.name.as_deref() else {
            continue;
        };
        if let Some(first) = seen.insert(name, cell) {
            let at = matrix.get("name").map_or(matrix.span, |name| name.span);
            let message = format!(
                "two cells of the stage `{stage}` are called `{name}`: {} and {}",
                describe(&first.matrix),
                describe(&cell.matrix)
            );
            return Err(vec![
                Fault::new(at, message).hint("put what tells them apart into `matrix.name`"),
            ]);
        }
    }
    Ok(())
}

/// A combination as a person would write it.
fn describe(values: &Combination) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    format!("{{ {} }}", values.join(", "))
}

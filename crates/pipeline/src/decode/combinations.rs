//! A matrix's combinations, by GitHub Actions' rules.

use crate::Span;
use crate::model::{Axis, AxisName, Located, Matrix, MatrixValues};
use crate::problem::Fault;
use crate::suggest::closest;
use std::collections::{BTreeMap, BTreeSet};

/// What one stage may have; more is a slip in the axes, and a bill.
pub(crate) const MAX_CELLS: usize = 256;
/// Combinations before `exclude`.
const MAX_COMBINATIONS: usize = 16_384;

/// One combination: its values by name.
pub(super) type Combination = BTreeMap<String, String>;

/// The combinations of a matrix, the first axis changing slowest; those that `include` adds come last.
pub(super) fn combinations(matrix: &Matrix, at: Span) -> Result<Vec<Combination>, Vec<Fault>> {
    let axes = matrix.axes.0.as_slice();
    let faults = faults(matrix, at);
    if !faults.is_empty() {
        return Err(faults);
    }
    let too_many = |what: String| {
        vec![
            Fault::new(at, what)
                .hint("give the axes fewer values, or make several stages of this one"),
        ]
    };
    let all = axes
        .iter()
        .try_fold(1_usize, |all, axis| all.checked_mul(axis.values.len()));
    if all.is_none_or(|all| all > MAX_COMBINATIONS) {
        return Err(too_many(format!(
            "the axes have more than {MAX_COMBINATIONS} combinations"
        )));
    }
    let mut originals = product(axes);
    originals.retain(|combination| !matrix.exclude.iter().any(|gone| has_all(combination, gone)));
    let mut found = originals.clone();
    let mut more = Vec::new();
    for include in &matrix.include {
        let fits: Vec<usize> = originals
            .iter()
            .enumerate()
            .filter(|(_, original)| !contradicts(original, include))
            .map(|(at, _)| at)
            .collect();
        let values = || {
            include
                .iter()
                .map(|(name, value)| (name.to_string(), value.value.clone()))
        };
        if fits.is_empty() {
            more.push(values().collect());
        }
        for at in fits {
            if let Some(combination) = found.get_mut(at) {
                combination.extend(values());
            }
        }
    }
    found.extend(more);
    match found.len() {
        0 => Err(vec![
            Fault::new(at, "the matrix leaves no combination")
                .hint("give it `axes`, or `include` combinations"),
        ]),
        1..=MAX_CELLS => Ok(found),
        many => Err(too_many(format!(
            "the matrix makes {many} cells; a stage has at most {MAX_CELLS}"
        ))),
    }
}

fn product(axes: &[Axis]) -> Vec<Combination> {
    if axes.is_empty() {
        return Vec::new();
    }
    let mut found = vec![Combination::new()];
    for axis in axes {
        found = found
            .iter()
            .flat_map(|combination| {
                axis.values.iter().map(|value| {
                    let mut longer = combination.clone();
                    longer.insert(axis.name.to_string(), value.value.clone());
                    longer
                })
            })
            .collect();
    }
    found
}

fn has_all(combination: &Combination, values: &MatrixValues) -> bool {
    values
        .iter()
        .all(|(name, value)| combination.get(name.as_str()) == Some(&value.value))
}

/// Whether one of the values differs from the combination's in an axis.
fn contradicts(original: &Combination, values: &MatrixValues) -> bool {
    values.iter().any(|(name, value)| {
        original
            .get(name.as_str())
            .is_some_and(|own| *own != value.value)
    })
}

fn faults(matrix: &Matrix, at: Span) -> Vec<Fault> {
    let mut faults = Vec::new();
    let axes = matrix.axes.0.as_slice();
    if axes.is_empty() && matrix.include.is_empty() {
        faults.push(
            Fault::new(at, "a matrix needs `axes`, or combinations to `include`")
                .hint("axes: { region: [us-east-1, eu-west-1], os: ['1404', '1604'] }"),
        );
    }
    for axis in axes {
        if axis.values.is_empty() {
            faults.push(Fault::new(
                axis.name.span,
                format!("the axis `{}` has no values", axis.name),
            ));
        }
        let mut seen = BTreeSet::new();
        for value in &axis.values {
            if !seen.insert(&value.value) {
                let message = format!("the axis `{}` has {:?} twice", axis.name, value.value);
                faults.push(Fault::new(value.span, message));
            }
        }
    }
    for (entries, what) in [(&matrix.include, "include"), (&matrix.exclude, "exclude")] {
        for entry in entries.iter().filter(|entry| entry.is_empty()) {
            faults.push(Fault::new(
                entry.span,
                format!("this entry of `{what}` has no values"),
            ));
        }
    }
    for (name, value) in matrix.exclude.iter().flat_map(|entry| entry.value.iter()) {
        faults.extend(unknown(axes, name, value));
    }
    faults
}

/// What `exclude` names must be there, or it excludes nothing.
fn unknown(axes: &[Axis], name: &Located<AxisName>, value: &Located<String>) -> Option<Fault> {
    let Some(axis) = axes.iter().find(|axis| axis.name.value == name.value) else {
        let known = || axes.iter().map(|axis| axis.name.as_str());
        let fault = Fault::new(name.span, format!("there is no axis `{name}`"));
        return Some(match closest(name.as_str(), known()) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!(
                "the axes are: {}",
                known().collect::<Vec<_>>().join(", ")
            )),
        });
    };
    if axis.values.contains(value) {
        return None;
    }
    let values = || axis.values.iter().map(|value| value.as_str());
    let message = format!("the axis `{name}` has no value {:?}", value.value);
    Some(Fault::new(value.span, message).hint(format!(
        "its values are: {}",
        values().collect::<Vec<_>>().join(", ")
    )))
}

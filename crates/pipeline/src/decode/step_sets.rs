//! Step sets, as far as they can be checked before they are used.

use super::StepSetNodes;
use crate::problem::Fault;
use crate::suggest::closest;
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;

/// The step sets of a file by name.
pub(crate) fn step_sets(root: &Node) -> StepSetNodes<'_> {
    let Some(Node {
        value: Value::Map(entries),
        ..
    }) = root.get("step_sets")
    else {
        return BTreeMap::new();
    };
    entries
        .iter()
        .map(|(key, node)| (key.text.as_str(), node))
        .collect()
}

/// What is wrong with step sets whoever uses them: a set that is no list, or that uses itself or one that is not there.
pub(crate) fn check_step_sets(sets: &StepSetNodes<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut done = Vec::new();
    for (name, node) in sets {
        if !matches!(node.value, Value::Sequence(_)) {
            faults.push(
                Fault::new(node.span, format!("the step set `{name}` is not a list"))
                    .hint("it is a list of entries as under `provision`"),
            );
        }
        follow(name, sets, &mut Vec::new(), &mut done, &mut faults);
    }
    faults
}

fn follow<'s>(
    name: &'s str,
    sets: &StepSetNodes<'s>,
    way: &mut Vec<&'s str>,
    done: &mut Vec<&'s str>,
    faults: &mut Vec<Fault>,
) {
    let Some(Node {
        value: Value::Sequence(items),
        ..
    }) = sets.get(name).copied()
    else {
        return;
    };
    if done.contains(&name) {
        return;
    }
    way.push(name);
    for item in items {
        // A name with an expression in it is known only where the set is used.
        let Some((used, at)) = item.get("use").and_then(|node| match &node.value {
            Value::Scalar(scalar) if !scalar.is_null() && !scalar.text.contains("${{") => {
                Some((scalar.text.as_str(), node.span))
            }
            _ => None,
        }) else {
            continue;
        };
        if let Some(start) = way.iter().position(|known| *known == used) {
            let mut circle: Vec<&str> = way.iter().skip(start).copied().collect();
            circle.push(used);
            let message = format!(
                "step sets use each other in a circle: {}",
                circle.join(" → ")
            );
            faults.push(Fault::new(at, message));
        } else if sets.contains_key(used) {
            follow(used, sets, way, done, faults);
        } else {
            faults.push(unknown_set(used, sets, at));
        }
    }
    way.pop();
    done.push(name);
}

/// The fault of using a step set that is not there.
pub(super) fn unknown_set(name: &str, sets: &StepSetNodes<'_>, at: crate::Span) -> Fault {
    let known = || sets.keys().copied();
    let fault = Fault::new(at, format!("there is no step set `{name}`"));
    match closest(name, known()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None if sets.is_empty() => {
            fault.hint(format!("declare it: `step_sets: {{ {name}: [ … ] }}`"))
        }
        None => fault.hint(format!(
            "the step sets are: {}",
            known().collect::<Vec<_>>().join(", ")
        )),
    }
}

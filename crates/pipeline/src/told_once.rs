//! Faults of several cells of one stage: what all of them have is told once.

use crate::problem::Fault;

/// Names listed in one message.
const SHOWN: usize = 3;

/// The faults of a stage's cells, each with its cell's place in `names`. What not every cell has says which have it.
pub(crate) fn told_once(names: &[String], faults: Vec<(usize, Fault)>) -> Vec<Fault> {
    let mut groups: Vec<(Fault, Vec<usize>)> = Vec::new();
    for (cell, fault) in faults {
        match groups.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, cells)) if cells.contains(&cell) => {}
            Some((_, cells)) => cells.push(cell),
            None => groups.push((fault, vec![cell])),
        }
    }
    groups
        .into_iter()
        .map(|(mut fault, cells)| {
            if cells.len() < names.len() {
                let shown: Vec<String> = cells
                    .iter()
                    .take(SHOWN)
                    .filter_map(|cell| names.get(*cell))
                    .map(|name| format!("`{name}`"))
                    .collect();
                let more = match cells.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let cells = if cells.len() == 1 { "cell" } else { "cells" };
                fault
                    .message
                    .push_str(&format!(" (in the {cells} {}{more})", shown.join(", ")));
            }
            fault
        })
        .collect()
}

//! Which entries are for which cell: `only` and `except`.

use crate::model::Pipeline;
use crate::problem::Fault;
use std::collections::BTreeSet;

/// Takes the entries that are not for a cell out of it, and says which patterns fit no cell of their stage: what they
/// were meant to choose is not there.
pub(crate) fn choose_entries(pipeline: &mut Pipeline) -> Vec<Fault> {
    let names: Vec<(String, Option<String>)> = pipeline
        .stages
        .iter()
        .map(|cell| (cell.stage.to_string(), cell.name.clone()))
        .collect();
    let mut faults = Vec::new();
    // Every cell of a stage has the same entries, each at the same place of the file.
    let mut reported = BTreeSet::new();
    for cell in &mut pipeline.stages.0 {
        let of_stage: Vec<&str> = names
            .iter()
            .filter(|(stage, _)| *stage == *cell.stage.as_str())
            .filter_map(|(_, name)| name.as_deref())
            .collect();
        for entry in cell.all_entries() {
            for glob in entry.cells.globs() {
                let fault = if of_stage.is_empty() {
                    Fault::new(
                        glob.span,
                        format!(
                            "the stage `{}` has no matrix, so there are no cells to choose among",
                            cell.stage
                        ),
                    )
                    .hint("leave `only` and `except` out, or give the stage a `matrix`")
                } else if !of_stage.iter().any(|name| glob.matches(name)) {
                    Fault::new(
                        glob.span,
                        format!("no cell of the stage `{}` fits {glob:?}", cell.stage),
                    )
                    .hint(format!("its cells are {}", listed(&of_stage)))
                } else {
                    continue;
                };
                if reported.insert((glob.span, cell.stage.to_string())) {
                    faults.push(fault);
                }
            }
        }
        if let Some(name) = cell.name.clone() {
            let recipe = &mut cell.recipe;
            recipe.provision.retain(|entry| entry.cells.takes(&name));
            recipe.on_error.retain(|entry| entry.cells.takes(&name));
            if let Some(test) = &mut recipe.test {
                test.provision.retain(|entry| entry.cells.takes(&name));
            }
        }
    }
    faults
}

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let first = names.iter().take(SHOWN).copied().collect::<Vec<_>>();
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", first.join(", ")),
        _ => first.join(", "),
    }
}

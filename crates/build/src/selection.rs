//! Which cells a run builds, where each does, and which it starts from. Pure.
//!
//! ```text
//!   all cells ──only, except──▶ asked for ──their sources, and theirs──▶ chosen, each after the one it starts from
//! ```

use crate::glob::Glob;
use crate::names::CellName;
use cloud::RegionName;
use pipeline::model::{Cell, Pipeline};
use std::collections::BTreeSet;

/// What the command line says about the cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `--only`: these alone; empty for all.
    pub only: Vec<Glob>,
    /// `--except`: all but these.
    pub except: Vec<Glob>,
}

/// Why a cell is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was asked for.
    Asked,
    /// Another starts from it.
    NeededBy(CellName),
}

/// A cell that a run finds or builds.
#[derive(Clone, Debug)]
pub struct ChosenCell<'p> {
    /// The cell.
    pub cell: &'p Cell,
    /// Its name in the run.
    pub name: CellName,
    /// Where it is built.
    pub region: RegionName,
    /// The cell whose image it starts from, or looks for one after, by its place in [`Selection::cells`]; it stands before
    /// this one.
    pub source: Option<usize>,
    /// Why it is chosen.
    pub why: Why,
}

/// The cells that a run finds or builds.
#[derive(Clone, Debug)]
pub struct Selection<'p> {
    /// Each after the one that it starts from; otherwise in the order of the pipeline.
    pub cells: Vec<ChosenCell<'p>>,
}

/// Why cells cannot be chosen so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum SelectionError {
    #[error("{option} {glob}: no cell fits")]
    NothingFits {
        option: &'static str,
        glob: String,
        names: Vec<CellName>,
    },
    #[error("--except leaves no cell to build")]
    NothingLeft { names: Vec<CellName> },
    #[error(
        "{cell} is built in {region}, and the cell that it starts from, {source_cell}, has no image there: it is built in {source_regions}"
    )]
    SourceElsewhere {
        cell: Box<CellName>,
        region: RegionName,
        source_cell: Box<CellName>,
        source_regions: String,
    },
    #[error(
        "no cell of stage {stage} has the values that {cell} has, so there is none that it can start from"
    )]
    NoSource { cell: CellName, stage: String },
}

impl SelectionError {
    /// What the reader can do.
    pub fn hint(&self) -> String {
        match self {
            Self::NothingFits { names, .. } | Self::NothingLeft { names } => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                format!(
                    "a pattern is compared with the stage, the cell and STAGE/CELL; the cells are {}",
                    names.join(", ")
                )
            }
            Self::SourceElsewhere { .. } => String::from(
                "give both stages the same `region`, or make it an axis of both matrices",
            ),
            Self::NoSource { .. } => String::from(
                "give both matrices the same values, or leave the combination out with `exclude`",
            ),
        }
    }
}

/// Where `cell` is built: its own region, else the run's.
pub fn region_of(cell: &Cell, default: &RegionName) -> RegionName {
    cell.region.as_ref().map_or_else(
        || default.clone(),
        |region| RegionName::new(region.as_str()),
    )
}

/// The name of `cell` in a run: that of its matrix, else its region's.
pub fn name_of(cell: &Cell, default: &RegionName) -> CellName {
    CellName {
        stage: cell.stage.to_string(),
        cell: cell
            .name
            .clone()
            .unwrap_or_else(|| region_of(cell, default).to_string()),
    }
}

/// The regions that the image of `cell` will be in, its own first. An image's name must be free in all of them.
pub fn image_regions(cell: &Cell, default: &RegionName) -> Vec<RegionName> {
    let copies = cell.image.copy_to.iter();
    std::iter::once(region_of(cell, default))
        .chain(copies.map(|copy| RegionName::new(copy.region.as_str())))
        .collect()
}

impl<'p> Selection<'p> {
    /// Chooses from the cells of `pipeline`; those that say no region of their own are built in `default`.
    ///
    /// # Errors
    /// If a pattern fits no cell, if nothing is left, or if a cell cannot start from what it says.
    pub fn choose(
        pipeline: &'p Pipeline,
        default: &RegionName,
        choice: &Choice,
    ) -> Result<Self, SelectionError> {
        let all: Vec<&Cell> = pipeline.stages.iter().collect();
        let names: Vec<CellName> = all.iter().map(|cell| name_of(cell, default)).collect();
        let mut why = asked_for(&names, choice)?;
        let sources = sources(pipeline, &all, &names, default)?;
        // What is asked for draws in what it starts from, to the first stage.
        let mut pending: Vec<usize> = (0..all.len()).filter(|at| why[*at].is_some()).collect();
        while let Some(at) = pending.pop() {
            if let Some(source) = sources[at]
                && why[source].is_none()
            {
                why[source] = Some(Why::NeededBy(names[at].clone()));
                pending.push(source);
            }
        }
        let mut place: Vec<Option<usize>> = vec![None; all.len()];
        let mut cells: Vec<ChosenCell<'p>> = Vec::new();
        // A loaded pipeline has no cycle; cells of one would be left out.
        loop {
            let ready = (0..all.len()).find(|at| {
                why[*at].is_some()
                    && place[*at].is_none()
                    && sources[*at].is_none_or(|source| place[source].is_some())
            });
            let Some(at) = ready else {
                return Ok(Self { cells });
            };
            place[at] = Some(cells.len());
            cells.push(ChosenCell {
                cell: all[at],
                name: names[at].clone(),
                region: region_of(all[at], default),
                source: sources[at].and_then(|source| place[source]),
                why: why[at].clone().unwrap_or(Why::Asked),
            });
        }
    }

    /// The regions that the cells are built in.
    pub fn regions(&self) -> BTreeSet<RegionName> {
        self.cells
            .iter()
            .flat_map(|cell| image_regions(cell.cell, &cell.region))
            .collect()
    }
}

fn asked_for(names: &[CellName], choice: &Choice) -> Result<Vec<Option<Why>>, SelectionError> {
    let fits = |glob: &Glob, name: &CellName| {
        glob.fits(&name.stage) || glob.fits(&name.cell) || glob.fits(&name.to_string())
    };
    for (option, globs) in [("--only", &choice.only), ("--except", &choice.except)] {
        for glob in globs {
            if !names.iter().any(|name| fits(glob, name)) {
                return Err(SelectionError::NothingFits {
                    option,
                    glob: glob.to_string(),
                    names: names.to_vec(),
                });
            }
        }
    }
    let asked: Vec<Option<Why>> = names
        .iter()
        .map(|name| {
            let wanted = choice.only.is_empty() || choice.only.iter().any(|glob| fits(glob, name));
            let left_out = choice.except.iter().any(|glob| fits(glob, name));
            (wanted && !left_out).then_some(Why::Asked)
        })
        .collect();
    if asked.iter().all(Option::is_none) {
        return Err(SelectionError::NothingLeft {
            names: names.to_vec(),
        });
    }
    Ok(asked)
}

/// For each cell the place of the one that it starts from.
fn sources(
    pipeline: &Pipeline,
    all: &[&Cell],
    names: &[CellName],
    default: &RegionName,
) -> Result<Vec<Option<usize>>, SelectionError> {
    all.iter()
        .zip(names)
        .map(|(cell, name)| {
            let Some(wanted) = cell.source.value.predecessor() else {
                return Ok(None);
            };
            let source = pipeline.source_cell(cell);
            let at =
                source.and_then(|source| all.iter().position(|one| std::ptr::eq(*one, source)));
            let Some(at) = at else {
                return Err(SelectionError::NoSource {
                    cell: name.clone(),
                    stage: wanted.stage.to_string(),
                });
            };
            let region = region_of(cell, default);
            let there = image_regions(all[at], default);
            if !there.contains(&region) {
                let there: Vec<&str> = there.iter().map(RegionName::as_str).collect();
                return Err(SelectionError::SourceElsewhere {
                    cell: Box::new(name.clone()),
                    region,
                    source_cell: Box::new(names[at].clone()),
                    source_regions: there.join(", "),
                });
            }
            Ok(Some(at))
        })
        .collect()
}

#[cfg(test)]
mod tests;

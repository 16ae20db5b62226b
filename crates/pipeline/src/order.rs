//! The order in which cells can be built.

use crate::model::{Cell, Pipeline};

/// A cell and the one that it waits for.
#[derive(Clone, Copy, Debug)]
pub struct CellOrder<'p> {
    /// The cell.
    pub cell: &'p Cell,
    /// The cell whose image it starts from.
    pub after: Option<&'p Cell>,
}

/// The cells, each after the one it starts from; otherwise in the order of the file. A loaded pipeline has no circle;
/// cells of one would be left out.
pub fn cell_order(pipeline: &Pipeline) -> Vec<CellOrder<'_>> {
    let cells = &*pipeline.stages;
    let sources: Vec<Option<usize>> = cells
        .iter()
        .map(|cell| {
            let source = pipeline.source_cell(cell)?;
            cells.iter().position(|other| std::ptr::eq(other, source))
        })
        .collect();
    let mut order = Vec::new();
    let mut done = vec![false; cells.len()];
    let ready = |at: usize, done: &[bool]| {
        let waits = sources.get(at).copied().flatten();
        !done.get(at).copied().unwrap_or(true)
            && waits.is_none_or(|source| done.get(source).copied().unwrap_or(false))
    };
    while let Some(next) = (0..cells.len()).find(|at| ready(*at, &done)) {
        if let (Some(done), Some(cell)) = (done.get_mut(next), cells.get(next)) {
            *done = true;
            let after = sources.get(next).copied().flatten();
            order.push(CellOrder {
                cell,
                after: after.and_then(|source| cells.get(source)),
            });
        }
    }
    order
}

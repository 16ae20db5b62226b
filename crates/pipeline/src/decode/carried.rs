//! How a text's parts travel through serde's data model: as JSON in a string, for a moment and in memory only.

use crate::Span;
use crate::template::{Expression, Filter, Part, Secret, Segment, parse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A loaded text and its place, as [`crate::template::Template`] receives it.
pub(crate) struct Carried {
    pub(crate) segments: Vec<Segment>,
    pub(crate) span: Span,
}

#[derive(Serialize, Deserialize)]
struct Packed {
    span: Span,
    pieces: Vec<Piece>,
}

#[derive(Serialize, Deserialize)]
enum Piece {
    Literal(String),
    Secret {
        expression: String,
        value: String,
    },
    RunTime {
        source: String,
        /// What each of its `map` filters holds, in their order.
        maps: Vec<BTreeMap<String, String>>,
    },
}

impl Carried {
    pub(crate) fn pack(&self) -> Result<String, serde_json::Error> {
        let piece = |segment: &Segment| match segment {
            Segment::Literal(text) => Piece::Literal(text.clone()),
            Segment::Secret { expression, value } => Piece::Secret {
                expression: expression.clone(),
                value: value.expose().to_owned(),
            },
            Segment::RunTime(expression) => Piece::RunTime {
                source: expression.to_string(),
                maps: expression.filters.iter().filter_map(map_of).collect(),
            },
        };
        serde_json::to_string(&Packed {
            span: self.span,
            pieces: self.segments.iter().map(piece).collect(),
        })
    }

    pub(crate) fn unpack(text: &str) -> Result<Self, String> {
        // Only the pipeline's own deserializer speaks this form. What another one passes must not end in a message.
        let foreign = || "a template comes from a pipeline file only".to_owned();
        let packed: Packed = serde_json::from_str(text).map_err(|_| foreign())?;
        let mut segments = Vec::new();
        for piece in packed.pieces {
            segments.push(match piece {
                Piece::Literal(text) => Segment::Literal(text),
                Piece::Secret { expression, value } => Segment::Secret {
                    expression,
                    value: Secret::new(value),
                },
                Piece::RunTime { source, maps } => {
                    match parse(&source).map_err(|_| foreign())?.pop() {
                        Some(Part::Expression { expression, .. }) => {
                            Segment::RunTime(with_maps(expression, maps))
                        }
                        _ => return Err(foreign()),
                    }
                }
            });
        }
        Ok(Self {
            segments,
            span: packed.span,
        })
    }
}

fn map_of(filter: &Filter) -> Option<BTreeMap<String, String>> {
    match filter {
        Filter::Map { entries, .. } => Some(entries.as_ref().clone()),
        _ => None,
    }
}

fn with_maps(mut expression: Expression, maps: Vec<BTreeMap<String, String>>) -> Expression {
    let mut maps = maps.into_iter();
    for filter in &mut expression.filters {
        if let Filter::Map { entries, .. } = filter {
            *entries = Arc::new(maps.next().unwrap_or_default());
        }
    }
    expression
}

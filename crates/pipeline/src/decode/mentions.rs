//! The variables that a part of the file names, whether or not it is read.

use crate::template::{Name, Part, parse, parse_condition};
use crate::yaml::{Node, Value};

/// Calls `found` with each variable that an expression or a `when` in the node names.
pub(crate) fn mentions(node: &Node, found: &mut dyn FnMut(&str)) {
    match &node.value {
        Value::Scalar(scalar) => {
            for part in parse(&scalar.text).unwrap_or_default() {
                if let Part::Expression { expression, .. } = part
                    && let Name::Variable(name) = &expression.name
                {
                    found(name);
                }
            }
        }
        Value::Sequence(items) => items.iter().for_each(|item| mentions(item, found)),
        Value::Map(entries) => {
            for (key, node) in entries {
                match &node.value {
                    Value::Scalar(scalar) if key.text == "when" => {
                        let Ok(condition) = parse_condition(&scalar.text) else {
                            continue;
                        };
                        for name in condition.names() {
                            if let Name::Variable(name) = name {
                                found(name);
                            }
                        }
                    }
                    _ => mentions(node, found),
                }
            }
        }
    }
}

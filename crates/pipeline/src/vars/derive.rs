//! Variables that are made of other ones: in which order, and that none is made of itself.

use crate::model::Variables;
use crate::problem::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// The derived variables, each after those that it is made of; those of a circle are left out, with a fault.
pub(super) fn order<'v>(
    declared: &'v Variables,
    uses: &'v BTreeMap<String, BTreeSet<String>>,
) -> (Vec<&'v str>, Vec<Fault>) {
    let mut walk = Walk {
        declared,
        uses,
        order: Vec::new(),
        in_circle: BTreeSet::new(),
        faults: Vec::new(),
    };
    for name in uses.keys() {
        walk.visit(name, &mut Vec::new());
    }
    (walk.order, walk.faults)
}

struct Walk<'v> {
    declared: &'v Variables,
    uses: &'v BTreeMap<String, BTreeSet<String>>,
    order: Vec<&'v str>,
    in_circle: BTreeSet<&'v str>,
    faults: Vec<Fault>,
}

impl<'v> Walk<'v> {
    /// Whether the variable has a place in the order.
    fn visit(&mut self, name: &'v str, way: &mut Vec<&'v str>) -> bool {
        let Some(uses) = self.uses.get(name) else {
            // Not derived: it has its value, or a fault of its own.
            return true;
        };
        if self.order.contains(&name) {
            return true;
        }
        if self.in_circle.contains(name) {
            return false;
        }
        if let Some(start) = way.iter().position(|known| *known == name) {
            let mut circle: Vec<&str> = way.iter().skip(start).copied().collect();
            self.in_circle.extend(circle.iter());
            circle.push(name);
            let at = self
                .declared
                .iter()
                .find(|(declared, _)| declared.as_str() == name)
                .and_then(|(_, variable)| variable.derive);
            if let Some(derive) = at {
                let message = format!(
                    "variables are derived from each other in a circle: {}",
                    circle.join(" ← ")
                );
                self.faults.push(
                    Fault::new(derive.span, message)
                        .hint("one of them must have its value from elsewhere"),
                );
            }
            return false;
        }
        way.push(name);
        let mut whole = true;
        for used in uses {
            whole &= self.visit(used, way);
        }
        way.pop();
        if whole {
            self.order.push(name);
        } else {
            self.in_circle.insert(name);
        }
        whole
    }
}

//! What a source's types cannot say.

use crate::model::{Located, Source};
use crate::problem::Fault;

pub(super) fn check(source: &Located<Source>) -> Vec<Fault> {
    let mut faults = Vec::new();
    match &source.value {
        Source::Filter { filter, .. } => {
            if filter.owners.is_empty() {
                let message = "a filter without owners finds anyone's images";
                faults.push(Fault::new(source.span, message).hint("name the owner"));
            }
            let says = filter.name.is_some()
                || filter.description.is_some()
                || filter.product_code.is_some()
                || !filter.tags.is_empty();
            if !says {
                let message = "this filter finds every image of its owners";
                faults.push(
                    Fault::new(source.span, message)
                        .hint("give it a `name`, a `description`, a `product_code` or `tags`"),
                );
            }
        }
        Source::Pipeline(wanted) => {
            if let Some(key) = wanted.tags.keys().find(|key| key.starts_with("qib:")) {
                let message = format!("the tag `{key}` is qib's own");
                faults.push(
                    Fault::new(source.span, message)
                        .hint("`pipeline` and `stage` look for qib's tags; `tags` is for yours"),
                );
            }
        }
        Source::ImageId { .. } | Source::Stage(_) | Source::Ssm { .. } | Source::Import(_) => {}
    }
    faults
}

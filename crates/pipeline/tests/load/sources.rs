//! What `source` may say.

use crate::bad_input::{GOOD, setup};
use pipeline::model::{Deprecated, Pick, Source};

fn source(text: &str) -> Source {
    let text = GOOD.replace("{ image_id: ami-0123456789abcdef0 }", text);
    let loaded = setup().load(&text).map_err(|error| error.to_string());
    loaded.unwrap().pipeline.stages[0].source.value.clone()
}

#[test]
fn an_image_by_id_may_be_let_be_deprecated() {
    let deprecated = |text: &str| match source(text) {
        Source::ImageId { deprecated, .. } => deprecated,
        other => panic!("{other:?}"),
    };
    assert_eq!(deprecated("{ image_id: ami-0a }"), Deprecated::Refused);
    assert_eq!(
        deprecated("{ image_id: ami-0a, include_deprecated: true }"),
        Deprecated::Taken
    );
}

#[test]
fn a_filter_needs_no_name_if_it_says_something_else() {
    for more in [
        "tags: { Layer: base }",
        "description: 'A *'",
        "product_code: abc",
    ] {
        let text = format!(
            "{{ filter: {{ owners: [self, '123456789012', amazon], {more}, include_deprecated: true }}, pick: only }}"
        );
        let Source::Filter { filter, pick, .. } = source(&text) else {
            panic!("no filter");
        };
        assert_eq!((filter.name, pick), (None, Pick::Only));
        assert_eq!(filter.owners.len(), 3);
        assert!(filter.include_deprecated);
    }
}

#[test]
fn a_parameter_is_named_with_its_version_or_label() {
    for name in [
        "/images/base",
        "/aws/service/debian/release/12/latest/amd64",
        "base:3",
    ] {
        let Source::Ssm { parameter, .. } = source(&format!("{{ ssm: '{name}' }}")) else {
            panic!("no parameter");
        };
        assert_eq!(parameter.as_str(), name);
    }
}

#[test]
fn the_stage_beside_a_pipeline_is_that_pipelines() {
    let Source::Pipeline(wanted) = source(
        "{ pipeline: layers, stage: base, tags: { Os: \"${{ vars.size }}\" }, owners: [self, '123456789012'] }",
    ) else {
        panic!("no pipeline");
    };
    assert_eq!(wanted.pipeline.as_str(), "layers");
    assert_eq!(wanted.stage.unwrap().as_str(), "base");
    assert_eq!(wanted.tags["Os"], "8");
    assert_eq!(wanted.owners.len(), 2);
}

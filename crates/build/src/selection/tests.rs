use super::*;
use pipeline::{Disk, LoadOptions};
use std::path::Path;

/// Two stages with a cell for each region and release, as a matrix makes them.
fn two_stages() -> Pipeline {
    let text = r#"
name: p
stages:
  base:
    source: { image_id: ami-0123456789abcdef0 }
    launch: { instance_type: m5.large, ssh_from: anywhere }
    connect: { user: u }
    image: { name: "base" }
  top:
    source: { stage: base }
    launch: { instance_type: m5.large, ssh_from: anywhere }
    connect: { user: u }
    image: { name: "top" }
"#;
    let options = LoadOptions {
        local: false,
        vars: Vec::new(),
        vars_files: Vec::new(),
        env: &|_| None,
        home: None,
    };
    let mut pipeline = pipeline::load(Path::new("p.yaml"), text.as_bytes(), &options, &Disk)
        .unwrap()
        .pipeline;
    let plain: Vec<Cell> = pipeline.stages.to_vec();
    let mut cells = Vec::new();
    for cell in &plain {
        for region in ["us-east-1", "us-west-1"] {
            for os in ["1204", "1404"] {
                let mut cell = cell.clone();
                cell.matrix.insert("region".into(), region.into());
                cell.matrix.insert("os".into(), os.into());
                cell.name = Some(format!("{region}-{os}"));
                cell.recipe.region = Some(located_region(region));
                cells.push(cell);
            }
        }
    }
    pipeline.stages.0 = cells;
    pipeline
}

fn located_region(name: &str) -> pipeline::model::Located<pipeline::model::Region> {
    let region = pipeline::model::Region::new(name).unwrap();
    pipeline::model::Located::new(region, pipeline::Span::START)
}

fn choice(only: &[&str], except: &[&str]) -> Choice {
    let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Choice {
        only: globs(only),
        except: globs(except),
    }
}

fn chosen(pipeline: &Pipeline, choice: &Choice) -> Vec<String> {
    let selection = Selection::choose(pipeline, &"eu-west-1".into(), choice).unwrap();
    selection
        .cells
        .iter()
        .map(|cell| match &cell.why {
            Why::Asked => cell.name.to_string(),
            Why::NeededBy(by) => format!("{} for {by}", cell.name),
        })
        .collect()
}

#[test]
fn each_cell_stands_after_the_one_it_starts_from_which_has_the_same_values() {
    let pipeline = two_stages();
    let selection = Selection::choose(&pipeline, &"eu-west-1".into(), &Choice::default()).unwrap();
    assert_eq!(selection.cells.len(), 8);
    for (at, cell) in selection.cells.iter().enumerate() {
        match cell.name.stage.as_str() {
            "base" => assert_eq!(cell.source, None),
            _ => {
                let source = cell.source.expect("it starts from base");
                assert!(source < at);
                assert_eq!(selection.cells[source].name.cell, cell.name.cell);
                assert_eq!(selection.cells[source].region, cell.region);
            }
        }
    }
    let regions: Vec<String> = selection
        .regions()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(regions, ["us-east-1", "us-west-1"]);
}

#[test]
fn patterns_fit_the_stage_the_cell_or_both_and_draw_in_what_is_needed() {
    let pipeline = two_stages();
    assert_eq!(
        chosen(&pipeline, &choice(&["top/us-east-1-*"], &["*-1204"])),
        [
            "base/us-east-1-1404 for top/us-east-1-1404",
            "top/us-east-1-1404"
        ]
    );
    assert_eq!(
        chosen(&pipeline, &choice(&["us-west-1-1204"], &[])),
        ["base/us-west-1-1204", "top/us-west-1-1204"]
    );
    assert_eq!(chosen(&pipeline, &choice(&["base"], &[])).len(), 4);
    // What is left out is drawn in again where something else needs it.
    assert_eq!(
        chosen(&pipeline, &choice(&[], &["base"]))[0],
        "base/us-east-1-1204 for top/us-east-1-1204"
    );
}

#[test]
fn a_pattern_that_fits_nothing_is_an_error_with_the_names() {
    let pipeline = two_stages();
    let choose = |choice| Selection::choose(&pipeline, &"eu-west-1".into(), &choice).unwrap_err();
    let error = choose(choice(&["top", "us-east-3-*"], &[]));
    assert_eq!(error.to_string(), "--only us-east-3-*: no cell fits");
    assert!(
        error.hint().contains("base/us-west-1-1404"),
        "{}",
        error.hint()
    );
    let error = choose(choice(&[], &["bas"]));
    assert_eq!(error.to_string(), "--except bas: no cell fits");
    let error = choose(choice(&["base"], &["us-*"]));
    assert!(
        matches!(error, SelectionError::NothingLeft { .. }),
        "{error}"
    );
}

#[test]
fn a_source_in_another_region_is_refused() {
    let mut pipeline = two_stages();
    for cell in &mut pipeline.stages.0 {
        if cell.stage.as_str() == "base" {
            cell.recipe.region = None;
        }
    }
    let error =
        Selection::choose(&pipeline, &"us-east-1".into(), &choice(&["*-1404"], &[])).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("top/us-west-1-1204 is built in us-west-1") && said.contains("us-east-1"),
        "{said}"
    );
}

#[test]
fn a_source_without_an_equal_combination_is_refused() {
    let mut pipeline = two_stages();
    pipeline
        .stages
        .0
        .retain(|cell| cell.stage.as_str() != "base" || cell.matrix["os"] != "1204");
    let error = Selection::choose(&pipeline, &"us-east-1".into(), &Choice::default()).unwrap_err();
    assert_eq!(
        error,
        SelectionError::NoSource {
            cell: CellName {
                stage: "top".into(),
                cell: "us-east-1-1204".into()
            },
            stage: "base".into()
        }
    );
}

#[test]
fn a_stage_without_a_matrix_is_one_cell_named_after_its_region() {
    let mut pipeline = two_stages();
    pipeline.stages.0.truncate(1);
    let cell = &mut pipeline.stages.0[0];
    (cell.name, cell.recipe.region) = (None, None);
    cell.matrix.clear();
    let selection = Selection::choose(&pipeline, &"eu-west-1".into(), &Choice::default()).unwrap();
    assert_eq!(selection.cells[0].name.to_string(), "base/eu-west-1");
}

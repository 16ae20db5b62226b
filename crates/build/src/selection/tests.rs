use super::*;
use pipeline::{Disk, LoadOptions};
use std::path::Path;

const STAGE: &str = "    launch: { instance_type: m5.large, ssh_from: anywhere }
    connect: { user: u }
    image: { name: '${{ stage.name }}-${{ cell }}' }
";

fn load(text: &str) -> Pipeline {
    let text = text.replace("    STAGE\n", STAGE);
    let options = LoadOptions::default();
    pipeline::load(Path::new("p.yaml"), text.as_bytes(), &options, &Disk)
        .unwrap_or_else(|error| panic!("{error}"))
        .pipeline
}

/// Two stages with a cell for each region and release.
fn two_stages() -> Pipeline {
    load(
        r#"
name: p
stages:
  base:
    matrix: &each { axes: { region: [us-east-1, us-west-1], os: ["1204", "1404"] } }
    region: "${{ matrix.region }}"
    source: { image_id: ami-0123456789abcdef0 }
    STAGE
  top:
    matrix: *each
    region: "${{ matrix.region }}"
    source: { stage: base }
    STAGE
"#,
    )
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
    let pipeline = load(
        r#"
name: p
stages:
  base:
    source: { image_id: ami-0123456789abcdef0 }
    STAGE
  top:
    region: us-west-1
    source: { stage: base }
    STAGE
"#,
    );
    let choose = |region: &str| Selection::choose(&pipeline, &region.into(), &choice(&[], &[]));
    assert!(choose("us-west-1").is_ok());
    let said = choose("us-east-1").unwrap_err().to_string();
    assert!(
        said.contains("top/us-west-1 is built in us-west-1") && said.contains("base/us-east-1"),
        "{said}"
    );
}

#[test]
fn a_source_without_an_equal_combination_is_refused() {
    // Reading the file refuses it as well.
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
    let pipeline = load(
        "name: p\nstages:\n  base:\n    source: { image_id: ami-0123456789abcdef0 }\n    STAGE\n",
    );
    let selection = Selection::choose(&pipeline, &"eu-west-1".into(), &Choice::default()).unwrap();
    assert_eq!(selection.cells[0].name.to_string(), "base/eu-west-1");
}

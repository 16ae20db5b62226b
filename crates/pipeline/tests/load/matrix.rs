//! Matrices: which cells a stage has, what they are called, and which cell starts from which.

use crate::bad_input::setup;
use pipeline::cell_order;
use pipeline::model::Cell;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A pipeline of one stage with that matrix.
fn with_matrix(matrix: &str) -> String {
    format!(
        "name: demo\nstages:\n  base:\n    matrix:\n{}\n    source: {{ image_id: ami-0123456789abcdef0 }}\n    \
         launch: {{ instance_type: t3.micro }}\n    connect: {{ user: ec2-user }}\n    \
         image: {{ name: \"demo-${{{{ cell }}}}\" }}\n",
        indented(matrix, 6)
    )
}

fn indented(text: &str, by: usize) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{}{line}", " ".repeat(by)))
        .collect();
    lines.join("\n")
}

fn cells(text: &str) -> Vec<Cell> {
    let loaded = setup().load(text).map_err(|error| error.to_string());
    loaded.unwrap().pipeline.stages.to_vec()
}

fn names(text: &str) -> Vec<String> {
    cells(text).iter().map(Cell::label).collect()
}

fn values(cell: &Cell) -> Vec<(&str, &str)> {
    let values = cell.matrix.iter();
    values.map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

#[test]
fn the_first_axis_changes_slowest_and_a_value_is_taken_as_written() {
    let text = with_matrix("axes: { version: [4.10, 4.2], os: ['08', el9] }");
    assert_eq!(
        names(&text),
        [
            "base/4.10-08",
            "base/4.10-el9",
            "base/4.2-08",
            "base/4.2-el9"
        ]
    );
    let first = &cells(&text)[0];
    assert_eq!(values(first), [("os", "08"), ("version", "4.10")]);
    assert_eq!(first.axes.len(), 2);
}

/// The example in GitHub's documentation, "Running variations of jobs in a workflow", Expanding or adding matrix
/// configurations.
#[test]
fn include_means_what_it_means_in_github_actions() {
    let text = with_matrix(
        "axes: { fruit: [apple, pear], animal: [cat, dog] }\n\
         include:\n  - { color: green }\n  - { color: pink, animal: cat }\n  - { fruit: apple, shape: circle }\n  \
         - { fruit: banana }\n  - { fruit: banana, animal: cat }",
    );
    let cells = cells(&text);
    let values: Vec<_> = cells.iter().map(values).collect();
    assert_eq!(
        values,
        [
            vec![
                ("animal", "cat"),
                ("color", "pink"),
                ("fruit", "apple"),
                ("shape", "circle")
            ],
            vec![
                ("animal", "dog"),
                ("color", "green"),
                ("fruit", "apple"),
                ("shape", "circle")
            ],
            vec![("animal", "cat"), ("color", "pink"), ("fruit", "pear")],
            vec![("animal", "dog"), ("color", "green"), ("fruit", "pear")],
            vec![("fruit", "banana")],
            vec![("animal", "cat"), ("fruit", "banana")],
        ]
    );
    let names: Vec<_> = cells
        .iter()
        .filter_map(|cell| cell.name.as_deref())
        .collect();
    assert_eq!(
        names,
        [
            "apple-cat",
            "apple-dog",
            "pear-cat",
            "pear-dog",
            "banana",
            "banana-cat"
        ]
    );
}

#[test]
fn exclude_goes_before_include_so_that_include_can_bring_one_back() {
    let text = with_matrix(
        "axes: { os: [a, b], virt: [hvm, pv] }\nexclude: [{ virt: pv }]\ninclude: [{ os: b, virt: pv, old: 'yes' }]",
    );
    assert_eq!(names(&text), ["base/a-hvm", "base/b-hvm", "base/b-pv"]);
}

#[test]
fn a_matrix_of_includes_alone_is_named_by_its_template() {
    let text = with_matrix(
        "include:\n  - { region: us-east-1, ami: ami-01 }\n  - { region: eu-west-1, ami: ami-02 }\n\
         name: \"${{ matrix.region }}\"",
    )
    .replace("ami-0123456789abcdef0", "\"${{ matrix.ami }}\"")
    .replace(
        "    source:",
        "    region: \"${{ matrix.region }}\"\n    source:",
    );
    let cells = cells(&text);
    assert_eq!(cells[1].label(), "base/eu-west-1");
    assert_eq!(cells[1].region.as_ref().unwrap().as_str(), "eu-west-1");
    assert_eq!(
        format!("{:?}", cells[1].source.value),
        "ImageId { id: \"ami-02\", deprecated: Refused }"
    );
    assert!(cells[1].axes.is_empty());
}

#[test]
fn each_cell_has_its_own_values_everywhere_in_the_stage() {
    let mut setup = setup();
    setup.files = setup
        .files
        .with("p/scripts/a.sh", "a")
        .with("p/scripts/b.sh", "b")
        .with(
            "p/t.conf",
            "os=${{ matrix.os }} extra=${{ matrix.extra | default('none') }}\n",
        );
    let text = with_matrix("axes: { os: [a, b] }\ninclude: [{ os: b, extra: '1' }]")
        + "    provision:\n      - run: { script: \"scripts/${{ matrix.os }}.sh\" }\n      \
           - upload: { from: t.conf, to: t.conf, template: true }\n";
    let loaded = setup.load(&text).map_err(|e| e.to_string()).unwrap();
    let shown: Vec<String> = loaded
        .pipeline
        .stages
        .iter()
        .map(|cell| format!("{:?}", cell.provision))
        .collect();
    assert!(
        shown[0].contains("scripts/a.sh") && shown[0].contains("os=a extra=none"),
        "{shown:?}"
    );
    assert!(
        shown[1].contains("scripts/b.sh") && shown[1].contains("os=b extra=1"),
        "{shown:?}"
    );
}

/// Else two cells that differ in nothing but what they print would have one key, and one image.
#[test]
fn a_cells_name_is_known_when_the_file_is_loaded_and_decides_the_key() {
    let text = with_matrix("axes: { os: [a, b] }").replace(
        "    image:",
        "    provision: [{ run: { name: 'at ${{ cell }}', inline: 'echo ${{ cell }}' } }]\n    image:",
    );
    let cells = cells(&text);
    let label = |cell: &Cell| cell.provision[0].label();
    assert_eq!(
        (label(&cells[0]), label(&cells[1])),
        ("at a".into(), "at b".into())
    );
    let key = |cell: &Cell| {
        let inputs = pipeline::cache_key::StageInputs::collect(cell, &pipeline::Disk).unwrap();
        let source = pipeline::model::ImageId::new("ami-0123456789abcdef0")
            .unwrap()
            .into();
        pipeline::cache_key::cache_key(&inputs, &source, &BTreeSet::new())
    };
    assert_ne!(key(&cells[0]), key(&cells[1]));
}

#[test]
fn a_condition_leaves_cells_out() {
    let text = with_matrix("axes: { os: [a, b, c] }").replace(
        "    source:",
        "    when: matrix.os in ['a', 'c'] && !(matrix.os == 'c')\n    source:",
    );
    assert_eq!(names(&text), ["base/a"]);
}

/// Two stages, the second from the first.
fn two(base: &str, next: &str, source: &str) -> String {
    with_matrix(base)
        + &format!(
            "  next:\n    matrix:\n{}\n    source: {source}\n    launch: {{ instance_type: t3.micro }}\n    \
             connect: {{ user: ec2-user }}\n    image: {{ name: \"next-${{{{ cell }}}}\" }}\n",
            indented(next, 6)
        )
}

fn sources(text: &str) -> Vec<String> {
    let loaded = setup()
        .load(text)
        .map_err(|error| error.to_string())
        .unwrap();
    let order = cell_order(&loaded.pipeline);
    // Each comes after its source.
    for (at, ordered) in order.iter().enumerate() {
        if let Some(after) = ordered.after {
            assert!(
                order[..at]
                    .iter()
                    .any(|before| std::ptr::eq(before.cell, after))
            );
        }
    }
    let of_next = order
        .iter()
        .filter(|ordered| ordered.cell.stage.as_str() == "next");
    of_next
        .map(|ordered| {
            let after = ordered.after.expect("a source").label();
            format!("{} from {after}", ordered.cell.label())
        })
        .collect()
}

#[test]
fn a_cell_starts_from_the_one_that_agrees_in_the_axes_that_both_have() {
    let text = two(
        "axes: { os: [a, b] }",
        "axes: { os: [a, b], size: [s, l] }",
        "{ stage: base }",
    );
    assert_eq!(
        sources(&text),
        [
            "next/a-s from base/a",
            "next/a-l from base/a",
            "next/b-s from base/b",
            "next/b-l from base/b"
        ]
    );
    let named = two(
        "axes: { os: [a, b] }",
        "axes: { kind: [x, y] }\ninclude: [{ kind: x, from: b }, { kind: y, from: a }]",
        "{ stage: base, cell: \"${{ matrix.from }}\" }",
    );
    assert_eq!(
        sources(&named),
        ["next/x from base/b", "next/y from base/a"]
    );
}

#[test]
fn values_that_include_adds_are_no_axes_and_match_nothing() {
    let text = two(
        "axes: { os: [a] }\ninclude: [{ note: one }]",
        "axes: { os: [a] }\ninclude: [{ note: two }]",
        "{ stage: base }",
    );
    assert_eq!(sources(&text), ["next/a from base/a"]);
}

#[test]
fn a_cell_starts_from_one_of_its_region() {
    let region = |text: String| {
        text.replace(
            "    source:",
            "    region: \"${{ matrix.region }}\"\n    source:",
        )
    };
    let text = region(two(
        "include: [{ region: us-east-1 }, { region: eu-west-1 }]\nname: \"${{ matrix.region }}\"",
        "axes: { region: [eu-west-1, us-east-1] }",
        "{ stage: base }",
    ));
    assert_eq!(
        sources(&text),
        [
            "next/eu-west-1 from base/eu-west-1",
            "next/us-east-1 from base/us-east-1"
        ]
    );
}

macro_rules! answers {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ omit_expression => true }, {
                insta::assert_snapshot!(setup().refuse(&$text));
            });
        }
    )*};
}

answers! {
    no_axes: with_matrix("name: x");
    unknown_key: with_matrix("axis: { os: [a] }");
    axes_are_a_map: with_matrix("axes: [os]");
    an_axis_is_a_list: with_matrix("axes: { os: a }");
    an_axis_without_values: with_matrix("axes: { os: [] }");
    a_value_twice: with_matrix("axes: { os: [a, b, a] }");
    a_value_that_is_a_map: with_matrix("axes: { os: [{ a: b }] }");
    an_axis_with_a_dot: with_matrix("axes: { os.name: [a] }");
    exclude_of_another_axis: with_matrix("axes: { os: [a, b] }\nexclude: [{ oss: a }]");
    exclude_of_another_value: with_matrix("axes: { os: [a, b] }\nexclude: [{ os: c }]");
    exclude_of_everything: with_matrix("axes: { os: [a] }\nexclude: [{ os: a }]");
    an_empty_include: with_matrix("axes: { os: [a] }\ninclude: [{}]");
    too_many_cells: with_matrix("axes: { a: [1,2,3,4,5,6,7], b: [1,2,3,4,5,6,7], c: [1,2,3,4,5,6,7] }");
    far_too_many_cells: with_matrix(&format!("axes: {{ {} }}", (0..30).map(|n| format!("a{n}: [1, 2, 3]")).collect::<Vec<_>>().join(", ")));
    two_cells_of_one_name: with_matrix("axes: { os: [a, b], size: [s, l] }\nname: \"${{ matrix.os }}\"");
    a_name_that_is_none: with_matrix("axes: { os: [a] }\nname: \"${{ matrix.os }}/x\"");
    a_value_that_makes_no_name: with_matrix("axes: { os: ['Red Hat', b] }");
    a_name_that_is_too_long: with_matrix(&format!("axes: {{ os: [{}] }}", "x".repeat(64)));
    no_axis_to_be_named_by: with_matrix("include: [{ os: a }]");
    an_unknown_value: with_matrix("axes: { os: [a, b] }").replace("t3.micro", "\"${{ matrix.oss }}\"");
    a_value_that_one_cell_has_not: with_matrix("axes: { os: [a, b] }\ninclude: [{ os: a, size: t3.micro }]").replace("t3.micro }\n    connect", "\"${{ matrix.size }}\" }\n    connect");
    a_matrix_value_outside_of_a_matrix: crate::bad_input::GOOD.replace("t3.micro", "\"${{ matrix.os }}\"");
    a_matrix_value_in_outputs: with_matrix("axes: { os: [a] }") + "outputs: [{ write: \"${{ matrix.os }}.json\" }]\n";
    a_fault_of_form_in_every_cell: with_matrix("axes: { os: [a, b] }").replace("t3.micro", "big");
    a_fault_of_form_in_one_cell: with_matrix("axes: { type: [t3.micro, big] }").replace("_type: t3.micro", "_type: \"${{ matrix.type }}\"");
    a_fault_of_meaning_in_every_cell: with_matrix("axes: { os: [a, b] }").replace("demo-$", "demo#-$");
    a_fault_of_meaning_in_some_cells: with_matrix("axes: { os: [a, b, c, d, e, f] }").replace("user: ec2-user }", "user: ec2-user }\n    provision: [{ when: matrix.os != 'a', run: { script: nowhere.sh } }]");
    no_cell_left: with_matrix("axes: { os: [a, b] }").replace("    source:", "    when: matrix.os == 'x'\n    source:");
    no_cell_agrees: two("axes: { os: [a, b] }", "axes: { os: [a, c] }", "{ stage: base }");
    several_cells_fit: two("axes: { os: [a, b] }", "axes: { size: [s, l] }", "{ stage: base }");
    an_unknown_cell: two("axes: { os: [el8, el9] }", "axes: { size: [s, l] }", "{ stage: base, cell: el7 }");
    a_cell_of_another_region: two("axes: { os: [a] }", "axes: { size: [s, l] }", "{ stage: base, cell: a }").replacen("    source:", "    region: us-east-1\n    source:", 1).replace("    source: { stage", "    region: us-east-2\n    source: { stage");
    a_cell_without_a_stage: with_matrix("axes: { os: [a] }").replace("{ image_id: ami-0123456789abcdef0 }", "{ image_id: ami-0123456789abcdef0, cell: a }");
    a_cell_of_a_stage_without_a_matrix: crate::bad_input::GOOD.to_owned() + "  next: { source: { stage: base, cell: x }, launch: { instance_type: t3.micro }, connect: { user: me }, image: { name: next } }\n";
    a_stage_from_its_own_cells: two("axes: { os: [a, b] }", "axes: { os: [a, b] }", "{ stage: next }");
    from_a_stage_that_is_left_out: two("axes: { os: [a] }", "axes: { os: [a] }", "{ stage: base }").replacen("    source:", "    when: false\n    source:", 1);
}

/// An independent account of the rules: each original combination by itself, then the includes that fitted none.
fn model(
    axes: &[(String, Vec<String>)],
    exclude: &[BTreeMap<String, String>],
    include: &[BTreeMap<String, String>],
) -> Vec<BTreeMap<String, String>> {
    let mut originals: Vec<Vec<(String, String)>> = if axes.is_empty() {
        vec![]
    } else {
        vec![vec![]]
    };
    for (axis, values) in axes {
        let mut longer = Vec::new();
        for original in &originals {
            for value in values {
                let mut next = original.clone();
                next.push((axis.clone(), value.clone()));
                longer.push(next);
            }
        }
        originals = longer;
    }
    let pair = |original: &[(String, String)], name: &String, value: &String| {
        original.iter().any(|(n, v)| n == name && v == value)
    };
    let is_axis = |name: &String| axes.iter().any(|(axis, _)| axis == name);
    let mut cells = Vec::new();
    let mut taken = BTreeSet::new();
    for original in &originals {
        if exclude
            .iter()
            .any(|gone| gone.iter().all(|(name, value)| pair(original, name, value)))
        {
            continue;
        }
        let mut cell: BTreeMap<String, String> = original.iter().cloned().collect();
        for (at, entry) in include.iter().enumerate() {
            let of_axes = entry.iter().filter(|(name, _)| is_axis(name));
            if of_axes
                .clone()
                .all(|(name, value)| pair(original, name, value))
            {
                taken.insert(at);
                for (name, value) in entry {
                    cell.insert(name.clone(), value.clone());
                }
            }
        }
        cells.push(cell);
    }
    for (at, entry) in include.iter().enumerate() {
        if !taken.contains(&at) {
            cells.push(entry.clone());
        }
    }
    cells
}

fn entry(names: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(
        prop::sample::select(names.to_vec()).prop_map(str::to_owned),
        "[xyz]",
        1..3,
    )
}

proptest! {
    #[test]
    fn a_matrix_has_the_cells_that_the_rules_say(
        axes in prop::collection::vec(1_usize..4, 0..3),
        exclude in prop::collection::vec(entry(&["a0", "a1", "a2"]), 0..3),
        include in prop::collection::vec(entry(&["a0", "a1", "b", "c"]), 0..5),
    ) {
        let axes: Vec<(String, Vec<String>)> = axes
            .iter()
            .enumerate()
            .map(|(at, values)| {
                let values = ["x", "y", "z"].iter().take(*values).map(|v| (*v).to_owned());
                (format!("a{at}"), values.collect())
            })
            .collect();
        // What is excluded must be there.
        let exclude: Vec<_> = exclude
            .into_iter()
            .filter(|entry| entry.iter().all(|(name, value)| {
                axes.iter().any(|(axis, values)| axis == name && values.contains(value))
            }))
            .collect();
        let expected = model(&axes, &exclude, &include);
        let write = |entry: &BTreeMap<String, String>| {
            let pairs: Vec<String> = entry.iter().map(|(n, v)| format!("{n}: {v}")).collect();
            format!("{{ {} }}", pairs.join(", "))
        };
        let list = |entries: &[BTreeMap<String, String>]| entries.iter().map(write).collect::<Vec<_>>().join(", ");
        let written: Vec<String> = axes.iter().map(|(n, v)| format!("{n}: [{}]", v.join(", "))).collect();
        let text = with_matrix(&format!(
            "axes: {{ {} }}\nexclude: [{}]\ninclude: [{}]\n\
             name: \"n-${{{{ matrix.a0 | default('_') }}}}-${{{{ matrix.a1 | default('_') }}}}-${{{{ matrix.b | default('_') }}}}-${{{{ matrix.c | default('_') }}}}\"",
            written.join(", "), list(&exclude), list(&include)
        ));
        // The name's template must name values that the matrix has.
        let text = ["a0", "a1", "b", "c"].iter().fold(text, |text, name| {
            if expected.iter().any(|cell| cell.contains_key(*name)) { text }
            else { text.replace(&format!("${{{{ matrix.{name} | default('_') }}}}"), "_") }
        });
        let unique: BTreeSet<_> = expected.iter().collect();
        match setup().load(&text) {
            Ok(loaded) => {
                let found: Vec<_> = loaded.pipeline.stages.iter().map(|cell| cell.matrix.clone()).collect();
                prop_assert_eq!(found, expected);
            }
            Err(error) if expected.is_empty() => {
                let error = error.to_string();
                prop_assert!(error.contains("no combination") || error.contains("needs `axes`"), "{}", error);
            }
            Err(error) => prop_assert!(
                unique.len() < expected.len() && error.to_string().contains("two cells"),
                "{}\n{}", error, text
            ),
        }
    }
}

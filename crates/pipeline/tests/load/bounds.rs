//! Hostile input costs little and never panics.

use crate::bad_input::{GOOD, setup};
use crate::memory::Memory;
use pipeline::template::{Part, parse};
use proptest::prelude::*;

#[test]
fn a_yaml_bomb_is_refused_before_it_grows() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..40 {
        let before = n - 1;
        let aliases = vec![format!("*a{before}"); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    // Ten to the fortieth values: only a bound ends this.
    let error = setup().refuse(&text);
    assert!(error.contains("more than 100000 values"), "{error}");
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("name: {}", "[".repeat(100_000));
    setup().refuse(&text);
    let block: String = (0..2_000)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect();
    setup().refuse(&block);
}

#[test]
fn a_file_of_megabytes_is_refused() {
    let error = setup().refuse(&"# x\n".repeat(1 << 19));
    assert!(error.contains("the most is"), "{error}");
}

#[test]
fn an_alias_inside_its_own_anchor_is_refused() {
    setup().refuse("name: &a [*a]\n");
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = GOOD.replace(
        "connect: { user: ec2-user }",
        "connect: &connect { user: ec2-user, pty: true }",
    ) + "  second:\n    source: { stage: base }\n    launch: { instance_type: t3.micro }\n    \
           connect: { <<: *connect, user: other }\n    image: { name: \"second-${{ run.id }}\" }\n";
    let loaded = setup()
        .load(&text)
        .map_err(|error| error.to_string())
        .unwrap();
    let second = &loaded.pipeline.stages[1].connect.as_ref().unwrap();
    assert_eq!((second.user.as_str(), second.pty), ("other", true));
}

/// Pieces that meet at the parser's corners.
fn piece() -> impl Strategy<Value = String> {
    let corners = [
        "${{",
        "}}",
        "$${{",
        " ",
        "|",
        "(",
        ")",
        "'",
        "\"",
        ",",
        "vars.x",
        "run.time",
        "date('%Y')",
        "lower",
        "\n",
        "é",
        "$",
        "{",
    ];
    prop_oneof![
        prop::sample::select(corners.to_vec()).prop_map(str::to_owned),
        "\\PC{0,4}"
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..20).prop_map(|pieces| pieces.concat())
}

fn expression() -> impl Strategy<Value = String> {
    let names = ["vars.x", "vars.a-b_c", "run.id", "source.name", "region"];
    let filter = prop_oneof![
        Just(" | lower".to_owned()),
        Just("|upper".to_owned()),
        ("[a-z' ]{1,4}", "[a-z\" ]{0,4}").prop_map(|(from, to)| {
            format!(" | replace('{}' , '{}')", from.replace('\'', "''"), to)
        }),
    ];
    (
        prop::sample::select(names.to_vec()),
        prop::collection::vec(filter, 0..3),
    )
        .prop_map(|(name, filters)| format!("${{{{ {name}{} }}}}", filters.concat()))
}

fn write(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.replace("${{", "$${{"),
        Part::Expression { expression, .. } => expression.to_string(),
    };
    parts.iter().map(part).collect()
}

/// Parts without their places, which writing changes.
fn bare(parts: &[Part]) -> Vec<String> {
    let part = |part: &Part| match part {
        Part::Text(text) => format!("text {text:?}"),
        Part::Expression { expression, .. } => format!("{expression:?}"),
    };
    parts.iter().map(part).collect()
}

/// A pipeline with something of everything.
const LANGUAGE: &str = "\
name: demo
include: [common.yaml]
vars: { a: { default: 4.12.3 }, b: { derive: \"${{ vars.a | minor }}\" }, t: { env: TOKEN, secret: true } }
maps: { m: { a: b, '4.12': x } }
profiles: { p: { vars: { a: 5.1.0 } } }
stages:
  base:
    matrix: { axes: { os: [a, b], v: [1] }, include: [{ os: a, n: x }], exclude: [{ os: b }], name: \"${{ matrix.os }}-x\" }
    when: matrix.os in ['a', 'b'] && !(vars.b == 'x')
    source: { image_id: ami-01 }
    launch: { instance_type: t3.micro }
    connect: { user: me }
    provision: [{ use: s, when: vars.a != '1' }, { run: { inline: \"${{ vars.b | map('m') }} ${{ matrix.n | default('y') }}\" } }]
    image: { name: \"x-${{ cell }}-${{ source.tags.a | default('z') }}\" }
  next:
    source: { stage: base, cell: a-x }
    launch: { instance_type: t3.micro }
    connect: { user: me }
    image: { name: \"y-${{ run.id }}\" }
";

const COMMON: &str = "\
vars: { a: { default: hers }, c: { default: x } }
step_sets:
  s: [{ use: r }, { run: { script: a.sh, env: { T: \"${{ vars.t }}\" } } }]
  r: [{ run: { inline: \"${{ matrix.os | upper }}\" }, when: matrix.os == 'a' }]
";

#[test]
fn the_pipeline_with_something_of_everything_loads() {
    let mut setup = setup();
    setup.files = Memory::default()
        .with("p/common.yaml", COMMON)
        .with("p/a.sh", "x");
    let loaded = setup
        .load(LANGUAGE)
        .map_err(|error| error.to_string())
        .unwrap();
    assert_eq!(loaded.pipeline.stages.len(), 2);
}

proptest! {
    #[test]
    fn the_template_parser_never_panics_and_its_errors_point_into_the_text(text in text()) {
        if let Err(why) = parse(&text) {
            let (at, _) = text.match_indices("${{").nth(why.occurrence).expect("an occurrence of the text");
            prop_assert!(why.offset <= text[at..].chars().count());
        }
    }

    #[test]
    fn what_parses_is_written_so_that_it_parses_to_the_same(
        pieces in prop::collection::vec(prop_oneof![expression(), "[a-z ${}]{0,6}", Just("$${{".to_owned())], 0..6)
    ) {
        if let Ok(parts) = parse(&pieces.concat()) {
            // A literal that ends in `$` before an expression would escape it; writing cannot say that, so it is left out.
            let ambiguous = parts.windows(2).any(|pair| matches!(&pair[0], Part::Text(text) if text.ends_with('$')));
            prop_assume!(!ambiguous);
            prop_assert_eq!(bare(&parse(&write(&parts)).unwrap()), bare(&parts));
        }
    }

    #[test]
    fn loading_never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(setup().load_bytes(&bytes).is_err());
    }

    #[test]
    fn loading_never_panics_on_a_pipeline_with_a_piece_replaced(
        at in 0..GOOD.len(), len in 0usize..30,
        with in prop_oneof![
            "[a-z:{}\\[\\]'\"&*!|>#%@, \n-]{0,12}",
            prop::sample::select(vec!["${{", "}}", "*a", "&a", "<<: ", "? ", "- ", "\t", "\u{feff}", "é"]).prop_map(str::to_owned),
        ]
    ) {
        let end = (at + len).min(GOOD.len());
        let text = format!("{}{with}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(error) = setup().load(&text) {
            for problem in error.problems {
                let place = problem.place.as_ref().expect("a place in the file");
                prop_assert!(place.span.line as usize <= text.split('\n').count() + 1);
                prop_assert!(!problem.render().contains("hunter2"));
            }
        }
    }

    #[test]
    fn loading_never_panics_on_what_the_language_has_with_a_piece_replaced(
        included in any::<bool>(), at in any::<prop::sample::Index>(), len in 0usize..40,
        with in prop_oneof![
            "[a-z:{}\\[\\]'\"&*!|>#%@, \n-]{0,12}",
            prop::sample::select(vec![
                "${{", "}}", "matrix.os", "vars.a", "use: s", "when: ", "source.tags['", "| map('m')", "file('x')", "[]", "{}", "é",
            ]).prop_map(str::to_owned),
        ]
    ) {
        let text = if included { COMMON } else { LANGUAGE };
        let start = at.index(text.len());
        let end = (start + len).min(text.len());
        let broken = format!("{}{with}{}", &text[..start], &text[end..]);
        let (main, common) = if included { (LANGUAGE, broken.as_str()) } else { (broken.as_str(), COMMON) };
        let mut setup = setup();
        setup.files = Memory::default().with("p/common.yaml", common).with("p/a.sh", "x");
        if let Err(error) = setup.load(main) {
            for problem in error.problems {
                let place = problem.place.as_ref().expect("a place in a file");
                let of = if place.file.ends_with("common.yaml") { common } else { main };
                prop_assert!(place.span.line as usize <= of.split('\n').count() + 1, "{}", problem.render());
                prop_assert!(!problem.render().contains("hunter2"));
            }
        }
    }
}

//! Hostile input costs little and never panics.

use crate::bad_input::{GOOD, setup};
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
}

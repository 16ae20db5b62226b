//! Conditions, step sets, functions and facts: what they do to a loaded pipeline.

use crate::bad_input::{GOOD, setup};
use crate::memory::Setup;
use pipeline::GitFacts;
use pipeline::cache_key::{StageInputs, cache_key};
use pipeline::model::ImageId;
use pipeline::template::{
    Comparison, Condition, Expression, Filter, GitFact, Name, Operand, RunFacts, SourceTags,
    VersionPart, parse_condition,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The labels of the first cell's provisioners.
fn labels(setup: &Setup, text: &str) -> Vec<String> {
    let loaded = setup.load(text).map_err(|error| error.to_string());
    let entries = loaded.unwrap().pipeline.stages[0].provision.clone();
    entries.iter().map(|entry| entry.label()).collect()
}

fn key(setup: &Setup, text: &str) -> String {
    let loaded = setup.load(text).map_err(|error| error.to_string()).unwrap();
    let inputs = StageInputs::collect(&loaded.pipeline.stages[0], &setup.files).unwrap();
    let source = ImageId::new("ami-0123456789abcdef0").unwrap().into();
    cache_key(&inputs, &source, &BTreeSet::new()).to_string()
}

/// The good pipeline with other provisioners.
fn provision(entries: &str) -> String {
    let (before, rest) = GOOD.split_once("      - run:").unwrap();
    let (_, image) = rest.split_once("    image:").unwrap();
    format!("{before}{entries}    image:{image}")
}

/// An expression's value, as the image's description.
fn value(setup: &Setup, expression: &str) -> Result<String, String> {
    let text = GOOD.replace(
        "image: {",
        &format!("image: {{ description: \"${{{{ {expression} }}}}\", "),
    );
    let loaded = setup.load(&text).map_err(|error| error.to_string())?;
    let description = loaded.pipeline.stages[0].image.description.clone().unwrap();
    Ok(description.as_literal().unwrap_or_default().to_owned())
}

fn git() -> GitFacts {
    GitFacts {
        sha: "0123456789abcdef0123456789abcdef01234567".into(),
        branch: Some("main".into()),
        dirty: true,
        user: None,
    }
}

#[test]
fn an_entry_whose_condition_is_false_is_not_there() {
    let text = provision(
        "      - run: { inline: one }\n      - { when: \"vars.size == '9'\", run: { inline: two } }\n      \
         - run: { inline: three }\n        when: vars.size == '8'\n",
    );
    assert_eq!(labels(&setup(), &text), ["run one", "run three"]);
    // The key is that of a pipeline in which the entry never stood.
    let without = provision("      - run: { inline: one }\n      - run: { inline: three }\n");
    assert_eq!(key(&setup(), &text), key(&setup(), &without));
}

#[test]
fn step_sets_are_put_in_their_place_one_inside_the_other() {
    let text = provision(
        "      - run: { inline: before }\n      - use: all\n      - { use: more, when: false }\n      \
         - run: { inline: after }\n",
    ) + "step_sets:\n  all:\n    - use: more\n    - run: { inline: last }\n  more:\n    - run: { inline: \"size ${{ vars.size }}\" }\n    \
         - { when: \"vars.size != '8'\", run: { inline: never } }\n";
    assert_eq!(
        labels(&setup(), &text),
        ["run before", "run size 8", "run last", "run after"]
    );
    let written_out = provision(
        "      - run: { inline: before }\n      - run: { inline: size 8 }\n      - run: { inline: last }\n      \
         - run: { inline: after }\n",
    );
    assert_eq!(key(&setup(), &text), key(&setup(), &written_out));
}

#[test]
fn which_step_set_is_used_may_depend_on_a_value() {
    let text = provision("      - use: \"of-${{ vars.size }}\"\n")
        + "step_sets:\n  of-8: [{ run: { inline: eight } }]\n  of-9: [{ run: { inline: nine } }]\n";
    assert_eq!(labels(&setup(), &text), ["run eight"]);
    let mut setup = setup();
    setup.vars = vec!["size=9"];
    assert_eq!(
        labels(&setup, &text.replace("\"${{ vars.size }}\" }]", "9 }]")),
        ["run nine"]
    );
}

#[test]
fn a_variable_of_an_entry_that_is_left_out_counts_as_used() {
    let mut setup = setup();
    setup.vars = vec!["flavour=plain", "kind=x"];
    let text = provision(
        "      - run: { inline: one }\n      - { when: vars.flavour == 'rich', run: { inline: \"${{ vars.kind }}\" } }\n",
    )
    .replace("vars:", "vars:\n  flavour: { default: rich }\n  kind: { default: y }");
    assert_eq!(labels(&setup, &text), ["run one"]);
}

#[test]
fn values_go_through_filters() {
    let mut setup = setup();
    setup.env.push(("V", "v4.12.3-rc.1+x"));
    setup.env.push(("BRANCH", "feat/é:1"));
    let with = |expression: &str| {
        let text = GOOD.replace("vars:", "vars:\n  v: { env: V }").replace(
            "image: {",
            &format!("image: {{ description: \"${{{{ {expression} }}}}\", "),
        ) + "maps: { short: { paravirtual: pv, 'v4': four } }\n";
        let loaded = setup
            .load(&text)
            .map_err(|error| error.to_string())
            .unwrap();
        let description = loaded.pipeline.stages[0].image.description.clone().unwrap();
        description.as_literal().map(str::to_owned)
    };
    for (expression, expected) in [
        ("vars.v | major", "v4"),
        ("vars.v | minor", "v4.12"),
        ("vars.v | patch", "v4.12.3"),
        ("vars.v | major | map('short')", "four"),
        (
            "vars.v | upper | lower | replace('v4', 'x')",
            "x.12.3-rc.1+x",
        ),
        ("env('BRANCH') | clean_name | replace('v4', '')", "feat/--1"),
        ("env('NOWHERE') | default('none') | upper", "NONE"),
        (
            "vars.v | major | sha256",
            "8e38a1ea5c681c8e9a08f1af465f1f07d33d931de8f71af45ecbe957751c9a86",
        ),
    ] {
        assert_eq!(with(expression).as_deref(), Some(expected), "{expression}");
    }
}

#[test]
fn files_and_folders_are_read_and_hashed_relative_to_the_pipeline() {
    let mut setup = setup();
    setup.files = setup
        .files
        .with("p/version", "4.12.3\r\n")
        .with("/home/me/x", "home\n");
    assert_eq!(value(&setup, "file('version') | minor").unwrap(), "4.12");
    assert_eq!(value(&setup, "file('~/x')").unwrap(), "home");
    assert_eq!(
        value(&setup, "hash('files/one')").unwrap(),
        // printf 1 | sha256sum
        "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    );
    let folder = value(&setup, "hash('files/')").unwrap();
    assert_eq!(folder, value(&setup, "hash('files')").unwrap());
    setup.files = setup.files.with("p/files/three", "");
    assert_ne!(folder, value(&setup, "hash('files')").unwrap());
}

#[test]
fn git_says_its_facts() {
    let setup = Setup {
        git: Some(git()),
        ..setup()
    };
    assert_eq!(value(&setup, "git.sha").unwrap(), git().sha);
    assert_eq!(value(&setup, "git.short_sha").unwrap(), "0123456");
    assert_eq!(value(&setup, "git.branch").unwrap(), "main");
    assert_eq!(value(&setup, "git.dirty").unwrap(), "true");
    let text = provision("      - { when: git.dirty, run: { inline: dirty } }\n");
    assert_eq!(labels(&setup, &text), ["run dirty"]);
    insta::assert_snapshot!(value(&setup, "git.user").unwrap_err());
    let detached = Setup {
        git: Some(GitFacts {
            branch: None,
            ..git()
        }),
        ..setup
    };
    insta::assert_snapshot!(value(&detached, "git.branch").unwrap_err());
}

#[test]
fn git_is_asked_once_and_only_if_the_pipeline_wants_to_know() {
    let asked = std::cell::Cell::new(0);
    let ask = || {
        asked.set(asked.get() + 1);
        Some(git())
    };
    let setup = setup();
    let load = |text: &str| {
        let options = pipeline::LoadOptions {
            env: &|_| Some("x".into()),
            git: &ask,
            ..pipeline::LoadOptions::default()
        };
        let path = std::path::Path::new("p/pipeline.yaml");
        pipeline::load(path, text.as_bytes(), &options, &setup.files).unwrap();
        asked.get()
    };
    assert_eq!(load(GOOD), 0);
    assert_eq!(
        load(&GOOD.replace("demo-$", "${{ git.sha }}-${{ git.branch }}-$")),
        1
    );
}

#[test]
fn git_facts_in_names_and_tags_do_not_enter_the_key() {
    let tagged = GOOD.replace(
        "image: {",
        "tags: { Commit: \"${{ git.sha }}\" }\n    image: { description: \"${{ git.branch }}\", ",
    );
    let setup = Setup {
        git: Some(git()),
        ..setup()
    };
    assert_eq!(key(&setup, &tagged), key(&setup, GOOD));
    let inside = GOOD.replace("script: scripts/a.sh", "inline: \"echo ${{ git.sha }}\"");
    let other = Setup {
        git: Some(GitFacts {
            sha: "f".repeat(40),
            ..git()
        }),
        ..setup.clone()
    };
    assert_ne!(key(&setup, &inside), key(&other, &inside));
}

#[test]
fn a_matrix_value_enters_the_key_through_what_it_is_used_in() {
    let matrix = |values: &str, inline: &str| {
        provision(&format!("      - run: {{ inline: \"{inline}\" }}\n")).replace(
            "    source:",
            &format!("    matrix: {{ axes: {{ os: [{values}] }} }}\n    source:"),
        )
    };
    let key = |text: String| key(&setup(), &text);
    assert_eq!(key(matrix("a, b", "echo")), key(matrix("b, a", "echo")));
    assert_eq!(
        key(matrix("a, b", "echo")),
        key(provision("      - run: { inline: echo }\n"))
    );
    assert_ne!(
        key(matrix("a, b", "echo ${{ matrix.os }}")),
        key(matrix("b, a", "echo ${{ matrix.os }}"))
    );
}

#[test]
fn a_map_of_a_run_time_name_is_read_in_the_run_and_enters_the_key() {
    let text = |short: &str| {
        provision("      - run: { inline: \"echo ${{ region | map('short') }}\" }\n")
            + &format!("maps: {{ short: {{ us-east-1: {short} }} }}\n")
    };
    let loaded = setup()
        .load(&text("use1"))
        .map_err(|e| e.to_string())
        .unwrap();
    let shown = format!("{:?}", loaded.pipeline.stages[0].provision[0]);
    assert!(shown.contains("${{ region | map('short') }}"), "{shown}");
    let pipeline::model::Provisioner::Run(run) = &loaded.pipeline.stages[0].provision[0].value
    else {
        panic!("{shown}");
    };
    let pipeline::model::Commands::Inline(inline) = &run.commands else {
        panic!("{shown}");
    };
    let facts = |region: &str| RunFacts {
        region: Some(region.into()),
        ..RunFacts::default()
    };
    assert_eq!(inline.render(&facts("us-east-1")).unwrap(), "echo use1");
    let error = inline.render(&facts("us-east-2")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "${{ region | map('short') }}: the map `short` has no key \"us-east-2\""
    );
    assert_ne!(key(&setup(), &text("use1")), key(&setup(), &text("other")));
}

#[test]
fn facts_of_the_source_are_known_in_the_run() {
    let description = |expression: &str| {
        let text = GOOD.replace(
            "image: {",
            &format!("image: {{ description: \"{expression}\", "),
        );
        let loaded = setup()
            .load(&text)
            .map_err(|error| error.to_string())
            .unwrap();
        loaded.pipeline.stages[0].image.description.clone().unwrap()
    };
    let facts = RunFacts {
        source_created: Some("2023-05-06T07:08:09Z".parse().unwrap()),
        source_owner: Some("309956199498".into()),
        source_tags: SourceTags::Known(
            [
                ("role".to_owned(), "base".to_owned()),
                ("a b".to_owned(), "c".to_owned()),
                ("empty".to_owned(), String::new()),
            ]
            .into(),
        ),
        ..RunFacts::default()
    };
    let render = |expression: &str| {
        description(expression)
            .render(&facts)
            .map_err(|e| e.to_string())
    };
    assert_eq!(
        render("${{ source.created | date('%Y%m%d') }} ${{ source.created }}").unwrap(),
        "20230506 2023-05-06T07:08:09Z"
    );
    assert_eq!(render("${{ source.owner }}").unwrap(), "309956199498");
    assert_eq!(render("${{ source.tags.role | upper }}").unwrap(), "BASE");
    assert_eq!(render("${{ source.tags['a b'] }}").unwrap(), "c");
    assert_eq!(
        render("${{ source.tags.nope | default('x') }}").unwrap(),
        "x"
    );
    assert_eq!(
        render("${{ source.tags.empty | default('x') }}").unwrap(),
        "x"
    );
    insta::assert_snapshot!(render("${{ source.tags.nope }}").unwrap_err());
    insta::assert_snapshot!(render("${{ source.tags.empty }}").unwrap_err());
    // In a plan, of an image that is built first, any tag will do.
    let planned = RunFacts {
        source_tags: SourceTags::Planned("(built first)".into()),
        ..RunFacts::default()
    };
    let text = description("${{ source.tags.v | minor }}");
    assert_eq!(text.render(&planned).unwrap(), "(built first)");
    assert!(
        text.render(&RunFacts::default())
            .unwrap_err()
            .is_not_known_yet()
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

/// An entry with that condition.
fn when(condition: &str) -> String {
    provision(&format!(
        "      - run: {{ inline: one }}\n        when: {condition}\n"
    ))
}

answers! {
    when_assigns: when("vars.size = '8'");
    when_is_in_quotes_and_wrong: when("\"vars.size === '8'\"");
    when_with_braces: when("\"${{ vars.size }} == '8'\"");
    when_of_a_number: when("vars.size == 8");
    when_of_a_text_alone: when("\"'yes'\"");
    when_of_a_value_that_is_no_boolean: when("vars.size");
    when_is_a_list: when("[a]");
    when_is_empty: when("''");
    when_without_a_value: when("");
    when_not_closed: when("(vars.size == '8'");
    when_of_an_undeclared_variable: when("vars.size == '8' || vars.sizes == '9'");
    when_of_a_secret: when("vars.token == 'x'");
    when_of_a_run_time_name: when("region == 'us-east-1'");
    when_of_a_list_that_is_none: when("vars.size in 'a'");
    when_nested_too_deep: when(&format!("\"{}true\"", "!".repeat(60)));
    when_misspelt: provision("      - run: { inline: one }\n        whn: vars.size == '8'\n");
    an_unknown_key_beside_a_kind: provision("      - run: { inline: one }\n        colour: red\n");
    two_kinds_in_one_entry: provision("      - run: { inline: one }\n        upload: { from: files/, to: files/ }\n");
    an_entry_of_nothing: provision("      - when: true\n");
    an_entry_that_is_a_word: provision("      - run\n");
    provision_is_a_map: provision("      run: { inline: one }\n");
    a_stage_when_is_wrong: GOOD.replace("    source:", "    when: vars.size ==\n    source:");
    use_unknown: provision("      - use: comon\n") + "step_sets: { common: [{ run: { inline: x } }] }\n";
    use_without_any: provision("      - use: common\n");
    use_with_a_key_beside_it: provision("      - { use: common, run: { inline: x } }\n") + "step_sets: { common: [] }\n";
    use_of_a_list: provision("      - use: [a]\n") + "step_sets: { a: [] }\n";
    step_set_in_a_circle: GOOD.to_owned() + "step_sets:\n  a: [{ use: b }]\n  b: [{ use: c }]\n  c: [{ use: b }]\n";
    step_set_in_a_circle_by_a_value: provision("      - use: a\n").replace("vars:", "vars:\n  back: { default: a }") + "step_sets:\n  a: [{ use: \"b\" }]\n  b: [{ use: \"${{ vars.back }}\" }]\n";
    step_set_that_uses_an_unknown_one: GOOD.to_owned() + "step_sets:\n  a: [{ use: b }]\n";
    step_set_that_is_a_map: GOOD.to_owned() + "step_sets:\n  a: { run: { inline: x } }\n";
    step_sets_are_a_list: GOOD.to_owned() + "step_sets: [{ run: { inline: x } }]\n";
    a_fault_in_a_step_set_is_told_there: provision("      - use: a\n") + "step_sets:\n  a: [{ run: { inlin: x } }]\n";
    map_unknown: GOOD.replace("vars.size", "vars.size | map('siz')") + "maps: { size: { '8': '9' } }\n";
    map_undeclared: GOOD.replace("vars.size", "vars.size | map('size')");
    map_without_the_key: GOOD.replace("vars.size", "vars.size | map('size')") + "maps: { size: { small: '8', large: '80' } }\n";
    map_with_a_near_key: GOOD.replace("default: '8'", "default: smal").replace("vars.size", "vars.size | map('size')") + "maps: { size: { small: '8', large: '80' } }\n";
    map_with_an_expression: GOOD.to_owned() + "maps: { size: { small: \"${{ vars.size }}\" } }\n";
    map_of_lists: GOOD.to_owned() + "maps: { size: { small: [a] } }\n";
    map_with_an_empty_value: GOOD.to_owned() + "maps: { size: { small: '' } }\n";
    map_in_a_condition_without_the_key: when("\"(vars.size | map('size')) == '1'\"") + "maps: { size: { small: '8' } }\n";
    filter_minor_of_no_version: GOOD.replace("vars.size", "vars.size | minor");
    filter_default_of_a_variable: GOOD.replace("vars.size", "vars.size | default('8')");
    filter_default_not_first: GOOD.replace("vars.size", "env('X') | lower | default('8')");
    filter_with_an_argument: GOOD.replace("vars.size", "vars.size | major('1')");
    function_without_an_argument: GOOD.replace("vars.size", "env()");
    function_with_a_name: GOOD.replace("vars.size", "env(HOME)");
    function_unknown: GOOD.replace("vars.size", "read('x')");
    function_file_missing: GOOD.replace("vars.size", "file('size.txt')");
    function_hash_missing: GOOD.replace("vars.size", "hash('size.txt')");
    function_env_unset: GOOD.replace("vars.size", "env('DISK_SIZE')");
    function_env_of_a_secret_stays_out_of_messages: GOOD.replace("vars.size", "vars.token | minor");
    git_outside_of_a_repository: GOOD.replace("demo-$", "${{ git.sha }}-$");
    git_unknown_fact: GOOD.replace("demo-$", "${{ git.commit }}-$");
    a_step_set_bomb: provision("      - use: s0\n") + "step_sets:\n" + &(0..30).map(|n| format!("  s{n}: [{}]\n", vec![format!("{{ use: s{} }}", n + 1); 10].join(", "))).collect::<String>() + "  s30: [{ run: { inline: x } }]\n";
    a_bomb_of_empty_step_sets: provision("      - use: s0\n") + "step_sets:\n" + &(0..30).map(|n| format!("  s{n}: [{}]\n", vec![format!("{{ use: s{} }}", n + 1); 10].join(", "))).collect::<String>() + "  s30: []\n";
    variables_that_double_each_other: provision("      - run: { inline: x }\n").replace("vars:", &("vars:\n  d0: { default: xxxxxxxx }\n".to_owned() + &(1..60).map(|n| format!("  d{n}: {{ derive: \"${{{{ vars.d{0} }}}}${{{{ vars.d{0} }}}}\" }}\n", n - 1)).collect::<String>()));
    filters_that_multiply: GOOD.replace("vars.size", &format!("vars.size{}", " | replace('8', '88888888')".repeat(30)));
    source_tags_without_a_key: GOOD.replace("run.id", "source.tags");
}

fn operand() -> impl Strategy<Value = Operand> {
    let name = prop_oneof![
        "[a-z][a-z0-9_]{0,6}".prop_map(Name::Variable),
        "[a-z][a-z0-9_-]{0,6}".prop_map(Name::Matrix),
        "[A-Z_' ]{1,6}".prop_map(Name::Env),
        Just(Name::Git(GitFact::Branch)),
        Just(Name::StageName),
    ];
    let filter = prop_oneof![
        Just(Filter::Lower),
        Just(Filter::Version(VersionPart::Minor)),
        Just(Filter::CleanName),
        ("[a-z' |]{1,4}", "[a-z\"&]{0,4}").prop_map(|(from, to)| Filter::Replace { from, to }),
        "[a-z]{1,4}".prop_map(|name| Filter::Map {
            name,
            entries: Default::default()
        }),
    ];
    prop_oneof![
        "[a-z'\"|&()=! ]{0,8}".prop_map(Operand::Text),
        any::<bool>().prop_map(Operand::Boolean),
        (name, prop::collection::vec(filter, 0..3))
            .prop_map(|(name, filters)| Operand::Expression(Expression { name, filters })),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        operand().prop_filter_map("a text alone is no condition", |operand| {
            (!matches!(operand, Operand::Text(_))).then_some(Condition::Value(operand))
        }),
        (operand(), any::<bool>(), operand()).prop_map(|(left, equal, right)| {
            Condition::Compare {
                left,
                comparison: if equal {
                    Comparison::Equal
                } else {
                    Comparison::Different
                },
                right,
            }
        }),
        (operand(), prop::collection::vec(operand(), 1..4))
            .prop_map(|(item, list)| Condition::In { item, list }),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|inner| Condition::Not(Box::new(inner))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::All),
            prop::collection::vec(inner, 2..4).prop_map(Condition::Any),
        ]
    })
}

/// What a condition of constants comes to, told in another way: true and false as numbers.
fn meaning(condition: &Condition) -> u8 {
    let text = |operand: &Operand| match operand {
        Operand::Text(text) => text.clone(),
        Operand::Boolean(value) => value.to_string(),
        Operand::Expression(_) => unreachable!("constants only"),
    };
    match condition {
        Condition::Value(operand) => u8::from(text(operand) == "true"),
        Condition::Compare {
            left,
            comparison,
            right,
        } => u8::from((text(left) == text(right)) == (*comparison == Comparison::Equal)),
        Condition::In { item, list } => {
            u8::from(list.iter().map(text).any(|other| other == text(item)))
        }
        Condition::Not(inner) => 1 - meaning(inner),
        Condition::All(parts) => parts.iter().map(meaning).product(),
        Condition::Any(parts) => parts.iter().map(meaning).max().unwrap_or(0),
    }
}

fn without_names(condition: Condition) -> Condition {
    let plain = |operand: Operand| match operand {
        Operand::Expression(_) => Operand::Boolean(true),
        other => other,
    };
    let all = |parts: Vec<Condition>| parts.into_iter().map(without_names).collect();
    match condition {
        Condition::Value(operand) => Condition::Value(plain(operand)),
        Condition::Compare {
            left,
            comparison,
            right,
        } => Condition::Compare {
            left: plain(left),
            comparison,
            right: plain(right),
        },
        Condition::In { item, list } => Condition::In {
            item: plain(item),
            list: list.into_iter().map(plain).collect(),
        },
        Condition::Not(inner) => Condition::Not(Box::new(without_names(*inner))),
        Condition::All(parts) => Condition::All(all(parts)),
        Condition::Any(parts) => Condition::Any(all(parts)),
    }
}

proptest! {
    #[test]
    fn a_condition_is_written_so_that_it_parses_to_itself(condition in condition()) {
        let text = condition.to_string();
        prop_assert_eq!(parse_condition(&text), Ok(condition), "{}", text);
    }

    #[test]
    fn the_parser_of_conditions_never_panics_and_points_into_the_text(text in "[a-z.' !&|()=\\[\\],\"$\\{é]{0,24}") {
        if let Err(why) = parse_condition(&text) {
            prop_assert!(why.offset <= text.chars().count());
        }
    }

    #[test]
    fn a_condition_means_what_it_says(condition in condition()) {
        let condition = without_names(condition);
        let quoted = condition.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        let text = provision(&format!("      - run: {{ inline: always }}\n      - {{ run: {{ inline: one }}, when: \"{quoted}\" }}\n"));
        let found = labels(&setup(), &text).len() == 2;
        prop_assert_eq!(u8::from(found), meaning(&condition), "{}", condition);
    }
}

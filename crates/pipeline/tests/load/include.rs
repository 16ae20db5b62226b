//! Pipelines of several files: what is merged, where paths begin, and whose line a message shows.

use crate::memory::{Memory, Setup};
use pipeline::model::{Cell, OutputKind, Provisioner, UploadSource};

const STAGE: &str = "launch: { instance_type: t3.micro }, connect: { user: me }, image: { name: \"x-${{ run.id }}\" }";

fn main_file(more: &str) -> String {
    format!(
        "name: demo\ninclude: [inc/common.yaml]\n{more}stages:\n  base: {{ source: {{ image_id: ami-01 }}, {STAGE}, \
         provision: [{{ use: common }}] }}\n"
    )
}

/// A pipeline whose `inc/common.yaml` holds that, and that has a few more files around.
fn setup(common: &str) -> Setup {
    let files = Memory::default()
        .with("p/inc/common.yaml", common)
        .with("p/inc/a.sh", "echo inc\n")
        .with("p/a.sh", "echo main\n")
        .with("p/inc/files/x", "x");
    Setup {
        files,
        ..Setup::default()
    }
}

const COMMON: &str = "\
step_sets:
  common:
    - run: { script: a.sh }
    - upload: { from: files/, to: files/ }
";

fn load(setup: &Setup, text: &str) -> pipeline::Loaded {
    setup.load(text).map_err(|error| error.to_string()).unwrap()
}

fn refuse(common: &str, main: &str) -> String {
    setup(common).refuse(main)
}

#[test]
fn a_path_begins_at_the_file_that_it_is_written_in() {
    let text = main_file("").replace(
        "[{ use: common }]",
        "[{ use: common }, { run: { script: a.sh } }]",
    );
    let loaded = load(&setup(COMMON), &text);
    let provision = &loaded.pipeline.stages[0].provision;
    let script = |at: usize| match &provision[at].value {
        Provisioner::Run(run) => format!("{:?}", run.commands),
        other => panic!("{other:?}"),
    };
    assert!(script(0).contains("a.sh"));
    let paths: Vec<String> = provision
        .iter()
        .map(|entry| match &entry.value {
            Provisioner::Run(run) => match &run.commands {
                pipeline::model::Commands::Scripts(scripts) => {
                    scripts[0].file.path.display().to_string()
                }
                pipeline::model::Commands::Inline(_) => String::new(),
            },
            Provisioner::Upload(upload) => match &upload.what {
                UploadSource::Folder(folder) => folder.path.display().to_string(),
                _ => String::new(),
            },
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(paths, ["p/inc/a.sh", "p/inc/files/", "p/a.sh"]);
}

#[test]
fn files_functions_and_variables_files_begin_there_too() {
    let common = "vars: { v: { file: v.txt }, w: { derive: \"${{ file('w.txt') }}-${{ hash('a.sh') }}\" } }\n".to_owned()
        + COMMON;
    let mut setup = setup(&common);
    setup.files = setup
        .files
        .with("p/inc/v.txt", "one\n")
        .with("p/inc/w.txt", "two\n");
    let loaded = load(&setup, &main_file(""));
    let value = |name: &str| loaded.values.get(name).unwrap().secret.expose().to_owned();
    assert_eq!(value("v"), "one");
    assert!(value("w").starts_with("two-"), "{}", value("w"));
}

#[test]
fn what_has_a_name_here_goes_before_the_same_name_there() {
    let common = format!(
        "{COMMON}vars: {{ a: {{ default: theirs }}, b: {{ default: theirs }} }}\n\
         maps: {{ m: {{ theirs: from-there }}, n: {{ ours: from-n }} }}\n\
         profiles: {{ p: {{ vars: {{ a: profile-there }} }} }}\n\
         stages: {{ base: {{ source: {{ image_id: ami-02 }}, {STAGE} }}, other: {{ source: {{ stage: base }}, {STAGE} }} }}\n\
         outputs: [{{ write: there.json }}]\n"
    );
    let main = main_file(
        "vars: { a: { default: ours } }\nmaps: { m: { ours: from-here } }\noutputs: [{ write: here.json }]\n",
    )
    .replace("x-$", "${{ vars.a | map('m') }}-${{ vars.a | map('n') }}-${{ vars.b }}-$");
    let loaded = load(&setup(&common), &main);
    let pipeline = &loaded.pipeline;
    let labels: Vec<String> = pipeline.stages.iter().map(Cell::label).collect();
    assert_eq!(labels, ["base", "other"]);
    assert!(
        pipeline.stages[0]
            .image
            .name
            .source()
            .starts_with("from-here-from-n-theirs-"),
        "{}",
        pipeline.stages[0].image.name
    );
    assert_eq!(
        format!("{:?}", pipeline.stages[0].source.value),
        "ImageId { id: \"ami-01\", deprecated: Refused }"
    );
    let outputs: Vec<String> = pipeline
        .outputs
        .iter()
        .map(|output| match &output.kind {
            OutputKind::Write { path, .. } | OutputKind::Update { path, .. } => path.source(),
        })
        .collect();
    assert_eq!(outputs, ["there.json", "here.json"]);
    assert_eq!(loaded.sources.paths().count(), 2);
}

#[test]
fn a_later_file_goes_before_an_earlier_one_and_each_is_read_once() {
    let mut setup =
        setup("include: [deep.yaml]\nvars: { a: { default: first }, b: { default: first } }\n");
    setup.files = setup
        .files
        .with("p/inc/deep.yaml", "vars: { b: { default: deep }, c: { default: deep } }\noutputs: [{ write: deep.json }]\n")
        .with("p/second.yaml", &format!("include: [inc/deep.yaml, './inc/../inc/deep.yaml']\nvars: {{ a: {{ default: second }} }}\n{COMMON}")
            .replace("a.sh", "inc/a.sh").replace("files/,", "inc/files/,"));
    let main = main_file("").replace("[inc/common.yaml]", "[inc/common.yaml, second.yaml]");
    let loaded = load(&setup, &main);
    let value = |name: &str| loaded.values.get(name).unwrap().secret.expose().to_owned();
    assert_eq!(
        [value("a"), value("b"), value("c")],
        ["second", "first", "deep"]
    );
    assert_eq!(loaded.pipeline.outputs.len(), 1);
}

#[test]
fn a_variable_used_in_an_included_file_counts_as_used() {
    let mut setup = setup(
        "step_sets:\n  common:\n    - { when: vars.a == 'x', run: { inline: \"echo ${{ vars.b }} ${{ vars.d }}\" } }\n",
    );
    setup.vars = vec!["a=x", "b=y", "c=z"];
    let declared = "vars: { a: {}, b: {}, c: {}, d: { derive: \"${{ vars.c }}!\" } }\n";
    load(&setup, &main_file(declared));
    // Derived, but of no use to anything.
    let idle =
        "vars: { a: {}, b: {}, c: {}, d: { default: x }, e: { derive: \"${{ vars.c }}!\" } }\n";
    insta::assert_snapshot!(setup.refuse(&main_file(idle)));
}

#[test]
fn a_secret_default_in_an_included_file_is_not_shown() {
    let error = refuse(
        &format!(
            "{COMMON}vars: {{ t: {{ default: hunter2, secret: true, pattern: '[0-9]+' }} }}\n"
        ),
        &main_file(""),
    );
    assert!(
        error.contains("p/inc/common.yaml:5:9") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn a_fault_is_shown_in_its_own_file() {
    insta::assert_snapshot!(
        "form",
        refuse(&COMMON.replace("script:", "scrpt:"), &main_file(""))
    );
    insta::assert_snapshot!(
        "meaning",
        refuse(&COMMON.replace("files/,", "fils/,"), &main_file(""))
    );
    insta::assert_snapshot!("yaml", refuse("vars: [", &main_file("")));
    insta::assert_snapshot!("latin", setup("").with_latin().refuse(&main_file("")));
    let expression = COMMON.replace("script: a.sh", "inline: \"${{ vars.nope }}\"");
    insta::assert_snapshot!("expression", refuse(&expression, &main_file("")));
    let stage = format!("{COMMON}stages: {{ other: {{ source: {{ stage: bse }}, {STAGE} }} }}\n");
    insta::assert_snapshot!("stage", refuse(&stage, &main_file("")));
}

impl Setup {
    fn with_latin(mut self) -> Self {
        self.files.0.insert(
            "p/inc/common.yaml".into(),
            (b"vars: {}\nmaps: { m: { a: \xe9 } }\n".to_vec(), 0o644),
        );
        self
    }
}

macro_rules! answers {
    ($($name:ident: $common:expr => $main:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::with_settings!({ omit_expression => true }, {
                insta::assert_snapshot!(refuse($common, &$main));
            });
        }
    )*};
}

answers! {
    include_missing: COMMON => main_file("").replace("common.yaml", "comon.yaml");
    include_is_no_list: COMMON => main_file("").replace("[inc/common.yaml]", "inc/common.yaml");
    include_of_a_map: COMMON => main_file("").replace("[inc/common.yaml]", "[{ file: inc/common.yaml }]");
    include_with_an_expression: COMMON => main_file("").replace("inc/common.yaml", "\"inc/${{ vars.os }}.yaml\"");
    include_of_itself: "include: [common.yaml]\n" => main_file("");
    include_in_a_circle: "include: [../pipeline.yaml]\n" => main_file("");
    include_with_a_name: "name: other\n" => main_file("");
    include_with_an_unknown_key: "stepsets: {}\n" => main_file("");
    include_that_is_a_list: "- run: {}\n" => main_file("");
    include_that_is_empty: "# nothing\n" => main_file("");
    include_whose_vars_are_a_list: "vars: [a]\n" => main_file("");
    include_whose_outputs_are_a_map: "outputs: { write: x }\n" => main_file("");
}

#[test]
fn a_chain_of_files_has_an_end() {
    let mut setup = setup("include: [f0.yaml]\n");
    for n in 0..100 {
        let next = n + 1;
        setup.files = setup.files.with(
            &format!("p/inc/f{n}.yaml"),
            &format!("include: [f{next}.yaml]\n"),
        );
    }
    insta::assert_snapshot!(setup.refuse(&main_file("")));
}

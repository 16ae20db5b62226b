//! Whole runs of many cells in several regions, against an account in memory.

mod fake;

use async_trait::async_trait;
use build::cancel::{Canceller, cancellation};
use build::event::Event;
use build::host::{Answer, Host, Operator};
use build::journal::{Invocation, JournalWatch};
use build::names::{CellName, RunId, tag};
use build::options::*;
use build::pause::{Pace, Pauses};
use build::plan::{Plan, plan};
use build::ports::Ports;
use build::report::{ExitCode, Report, StepOutcome};
use build::run::run;
use build::selection::Choice;
use build::steps::Pollers;
use build::sweep::{KeptToo, Sweep, SweepProgress, SweepWatch, carry_out, look};
use cloud::{Image, ImageState, RegionName, Snapshot, SnapshotState, Tags};
use fake::account::FakeAccount;
use fake::guest::{Behaviour, FakeGuests};
use fake::time::EventClock;
use fake::{Home, Recorder};
use futures::FutureExt;
use pipeline::{LoadOptions, Loaded};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const REGIONS: [&str; 8] = [
    "ap-northeast-1",
    "ap-southeast-1",
    "eu-central-1",
    "eu-west-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
];

struct World {
    account: FakeAccount,
    clock: EventClock,
    host: tempfile::TempDir,
    runs: Mutex<u64>,
    guests: Arc<FakeGuests>,
}

/// How a run is asked for.
#[derive(Clone, Default)]
struct Wanted {
    only: Vec<&'static str>,
    except: Vec<&'static str>,
    jobs: Option<usize>,
    fail_fast: bool,
    pauses: Pauses,
    operator: Option<Arc<Asked>>,
}

impl World {
    fn new(breaking: &[&str]) -> Self {
        let account = FakeAccount::new();
        let clock = EventClock::new();
        account.store().clock = Some(Arc::new(clock.clone()));
        for region in REGIONS {
            for os in ["1204", "1404"] {
                let id = source_id(region, os);
                let image = Image {
                    deprecated: None,
                    protected: false,
                    public: false,
                    boot_mode: None,
                    virtualization: "hvm".into(),
                    volumes: Vec::new(),
                    image_id: id.as_str().into(),
                    name: format!("ubuntu-{os}"),
                    description: String::new(),
                    state: ImageState::Available,
                    state_reason: None,
                    created: None,
                    owner: None,
                    architecture: "x86_64".into(),
                    root_device: Some("/dev/sda1".into()),
                    snapshots: Vec::new(),
                    tags: Tags::new(),
                };
                let there = account.in_region(&RegionName::new(region));
                there.store().images.insert(id, image);
            }
        }
        let guests = Arc::new(FakeGuests {
            behaviour: Behaviour {
                exit_codes: breaking
                    .iter()
                    .map(|name| ((*name).to_owned(), 3))
                    .collect(),
                ..Behaviour::default()
            },
            works: Some((Arc::new(clock.clone()), Duration::from_secs(100))),
            ..FakeGuests::default()
        });
        Self {
            account,
            clock,
            host: tempfile::tempdir().unwrap(),
            runs: Mutex::new(0),
            guests,
        }
    }

    fn options(&self, wanted: &Wanted) -> RunOptions {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        RunOptions {
            venue: Venue::Aws,
            region: "us-east-2".into(),
            cells: CellOptions {
                choice: Choice {
                    only: globs(&wanted.only),
                    except: globs(&wanted.except),
                },
                jobs: wanted
                    .jobs
                    .map_or(USUAL_JOBS, |jobs| NonZeroUsize::new(jobs).unwrap()),
                after_failure: if wanted.fail_fast {
                    AfterFailure::NoneBegins
                } else {
                    AfterFailure::OthersGoOn
                },
                pauses: wanted.pauses.clone(),
            },
            endpoint: None,
            guest_endpoint: GuestEndpoint::Regional,
            ssh_port: 22,
            on_failure: OnFailure::CleanUp,
            debugging: Debugging::Off,
            rebuild: BTreeSet::new(),
            agent_socket: None,
            state_dir: self.host.path().to_owned(),
            invocation: Invocation::default(),
        }
    }

    fn ports(&self, wanted: &Wanted, recorder: &Arc<Recorder>) -> Ports {
        Ports {
            account: Arc::new(self.account.clone()),
            clock: Arc::new(self.clock.clone()),
            guests: self.guests.clone(),
            caller_address: Arc::new(Home),
            observer: recorder.clone(),
            host: Host {
                operator: wanted
                    .operator
                    .as_ref()
                    .map(|operator| operator.clone() as Arc<dyn Operator>),
                ..Host::absent()
            },
            journal_watch: None,
        }
    }

    fn run_watched(&self, loaded: &Arc<Loaded>, wanted: Wanted) -> (Report, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        let number = {
            let mut runs = self.runs.lock().unwrap();
            *runs += 1;
            *runs
        };
        let ports = self.ports(&wanted, &recorder);
        let (canceller, cancellation) = cancellation();
        if let Some(operator) = &wanted.operator {
            *operator.canceller.lock().unwrap() = Some(canceller.clone());
        }
        let id = RunId::from_random(number);
        let options = self.options(&wanted);
        let report = self
            .clock
            .run(run(loaded.clone(), id, options, ports, cancellation));
        drop(canceller);
        (report, recorder)
    }

    fn run(&self, loaded: &Arc<Loaded>, wanted: Wanted) -> Report {
        self.run_watched(loaded, wanted).0
    }

    fn plan(&self, loaded: &Loaded, wanted: Wanted) -> Plan {
        let ports = self.ports(&wanted, &Arc::default());
        let options = self.options(&wanted);
        self.clock
            .run(plan(&loaded.pipeline, &options, &ports))
            .unwrap()
    }

    fn calls(&self, region: &str) -> Vec<&'static str> {
        let there = self.account.in_region(&RegionName::new(region));
        there.store().calls.clone()
    }

    /// What is there besides images, their snapshots, and what was there before.
    fn clutter(&self) -> Vec<String> {
        let mut holdings = self.account.holdings();
        holdings.retain(|thing| !thing.starts_with("ami-") && !thing.starts_with("snap-"));
        holdings
    }
}

fn source_id(region: &str, os: &str) -> String {
    format!("ami-{}{os}", region.replace('-', ""))
}

/// A pipeline with a stage, and perhaps some on top of it, each with a cell for each region, release and virtualisation.
fn matrix(regions: &[&str], stages: &[&str]) -> Loaded {
    let provision = |_: &str| {
        String::from(
            "[{ run: { name: 'install-${{ cell }}', inline: 'echo ${{ matrix.virt }}' } }]",
        )
    };
    matrix_of(regions, stages, provision)
}

fn matrix_of(regions: &[&str], stages: &[&str], provision: impl Fn(&str) -> String) -> Loaded {
    let stage = |(at, name): (usize, &&str)| {
        let source = match at {
            0 => String::from("{ image_id: '${{ matrix.source }}' }"),
            _ => format!("{{ stage: {} }}", stages[at - 1]),
        };
        let sources: String = regions
            .iter()
            .flat_map(|region| ["1204", "1404"].map(|os| (region, os)))
            .map(|(region, os)| {
                let id = source_id(region, os);
                format!("        - {{ region: {region}, os: '{os}', source: {id} }}\n")
            })
            .collect();
        let include = if at == 0 {
            format!("      include:\n{sources}")
        } else {
            String::new()
        };
        format!(
            "  {name}:\n    matrix:\n      axes: {{ region: [{}], os: ['1204', '1404'], virt: [pv, hvm] }}\n{include}    \
             region: '${{{{ matrix.region }}}}'\n    source: {source}\n    \
             launch: {{ instance_type: m3.medium }}\n    connect: {{ user: ubuntu }}\n    \
             provision: {}\n    image: {{ name: '{name}-${{{{ cell }}}}' }}\n",
            regions.join(", "),
            provision(name),
        )
    };
    let text = format!(
        "name: comboami\nstages:\n{}",
        stages.iter().enumerate().map(stage).collect::<String>()
    );
    let options = LoadOptions::default();
    let path = Path::new("/p.yaml");
    let loaded = pipeline::load(path, text.as_bytes(), &options, &pipeline::Disk);
    loaded.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn names(images: &[build::report::ReportedImage], cached: bool) -> Vec<String> {
    let mut names: Vec<String> = images
        .iter()
        .filter(|image| image.cached == cached)
        .map(|image| format!("{}/{}", image.stage, image.cell))
        .collect();
    names.sort();
    names
}

/// A person who answers what was arranged, and keeps the questions.
#[derive(Default)]
struct Asked {
    questions: Mutex<Vec<String>>,
    /// The question that is answered with no, from 1.
    aborts_at: usize,
    canceller: Mutex<Option<Canceller>>,
}

#[async_trait]
impl Operator for Asked {
    async fn confirm(&self, question: &str) -> Answer {
        let mut questions = self.questions.lock().unwrap();
        questions.push(question.to_owned());
        if questions.len() == self.aborts_at {
            Answer::Abort
        } else {
            Answer::GoOn
        }
    }
}

#[test]
fn each_cell_is_built_in_its_region_and_nothing_else_stays() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["base", "top"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    assert_eq!(names(&report.images, false).len(), 16);
    for image in &report.images {
        assert_eq!(image.region, image.matrix["region"], "{image:?}");
        let there = world.account.in_region(&RegionName::new(&image.region));
        assert!(
            there.store().images.contains_key(&image.image_id),
            "{image:?}"
        );
    }
    // Each started from the image of its own combination.
    for image in report.images.iter().filter(|image| image.stage == "top") {
        let base = report
            .images
            .iter()
            .find(|other| other.stage == "base" && other.cell == image.cell)
            .unwrap();
        assert_eq!(image.source_image.as_ref(), Some(&base.image_id));
    }
    assert_eq!(world.clutter(), Vec::<String>::new());
    // Nothing was done where nothing was to be done.
    assert!(!world.calls("us-east-2").contains(&"PutParameter"));
    for region in ["eu-west-1", "us-west-1"] {
        assert!(world.calls(region).contains(&"PutParameter"), "{region}");
    }
}

#[test]
fn one_cells_failure_leaves_the_others_done_and_the_next_run_builds_just_that_one() {
    let loaded = Arc::new(matrix(&REGIONS, &["image"]));
    let mut world = World::new(&["install-us-east-1-1404-hvm"]);
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    assert_eq!(names(&report.images, false).len(), 31);
    let failed: Vec<&str> = report
        .failures
        .iter()
        .map(|one| one.cell.as_str())
        .collect();
    assert_eq!(failed, ["us-east-1-1404-hvm"]);
    assert_eq!(report.failures[0].region, "us-east-1");
    assert_eq!(world.clutter(), Vec::<String>::new());

    world.guests = Arc::new(FakeGuests::default());
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    assert_eq!(names(&report.images, false), ["image/us-east-1-1404-hvm"]);
    assert_eq!(names(&report.images, true).len(), 31);
}

#[test]
fn what_starts_from_a_failed_cell_is_skipped_and_says_so() {
    // Only one cell of the base breaks.
    let breaking = matrix_of(&["eu-west-1"], &["base", "middle", "top"], |stage| {
        format!(
            "[{{ run: {{ name: 'install-{stage}-${{{{ cell }}}}', inline: 'echo ${{{{ matrix.virt }}}}' }} }}]"
        )
    });
    let world = World::new(&["install-base-eu-west-1-1204-pv"]);
    let (report, recorder) = world.run_watched(&Arc::new(breaking), Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    let skipped: Vec<(&str, &str)> = report
        .skipped
        .iter()
        .map(|one| (one.stage.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(
        skipped,
        [
            (
                "middle",
                "it starts from base/eu-west-1-1204-pv, of which there is no image"
            ),
            (
                "top",
                "it starts from middle/eu-west-1-1204-pv, of which there is no image"
            ),
        ]
    );
    assert_eq!(report.images.len(), 9);
    let told = recorder.0.lock().unwrap();
    let told = told
        .iter()
        .filter(|event| matches!(event, Event::Skipped { .. }));
    assert_eq!(told.count(), 2);
    let steps = report.steps.iter();
    let skipped = steps.filter(|step| step.outcome == StepOutcome::Skipped);
    assert_eq!(skipped.count(), 2);
}

#[test]
fn no_more_cells_build_at_once_than_were_asked_for() {
    for jobs in [1, 3] {
        let world = World::new(&[]);
        let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
        let wanted = Wanted {
            jobs: Some(jobs),
            ..Wanted::default()
        };
        let (report, recorder) = world.run_watched(&loaded, wanted);
        assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
        let mut alive: BTreeSet<String> = BTreeSet::new();
        let mut most = 0;
        for event in recorder.0.lock().unwrap().iter() {
            match event {
                Event::StepStarted {
                    cell,
                    step: build::event::Step::Launch,
                } => {
                    alive.insert(cell.to_string());
                }
                Event::StepFinished {
                    cell,
                    step: build::event::Step::Terminate,
                } => {
                    alive.remove(&cell.to_string());
                }
                _ => {}
            }
            most = most.max(alive.len());
        }
        assert_eq!(most, jobs);
    }
}

#[test]
fn fail_fast_lets_no_other_cell_begin() {
    let world = World::new(&["install-eu-west-1-1204-pv"]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let wanted = Wanted {
        jobs: Some(1),
        fail_fast: true,
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    assert_eq!((report.images.len(), report.skipped.len()), (0, 3));
    assert!(
        report.skipped[0].reason.contains("--fail-fast"),
        "{:?}",
        report.skipped
    );
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn only_what_was_asked_for_and_what_that_needs_is_built() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["base", "top"]));
    let wanted = Wanted {
        only: vec!["top/eu-west-1-*"],
        except: vec!["*-pv"],
        ..Wanted::default()
    };
    let plan = world.plan(&loaded, wanted.clone());
    let planned: Vec<(String, Option<String>)> = plan
        .rows
        .iter()
        .map(|row| (format!("{}/{}", row.stage, row.cell), row.needed_by.clone()))
        .collect();
    let needed = |os: &str| {
        let cell = format!("eu-west-1-{os}-hvm");
        (format!("base/{cell}"), Some(format!("top/{cell}")))
    };
    assert_eq!(planned[..2], [needed("1204"), needed("1404")]);
    assert_eq!(planned.len(), 4);
    let report = world.run(&loaded, wanted);
    assert_eq!(
        names(&report.images, false),
        [
            "base/eu-west-1-1204-hvm",
            "base/eu-west-1-1404-hvm",
            "top/eu-west-1-1204-hvm",
            "top/eu-west-1-1404-hvm"
        ]
    );
    assert!(!world.calls("us-west-1").contains(&"RunInstances"));
}

#[test]
fn a_region_that_refuses_fails_its_own_cells_and_no_others() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["ap-east-1", "eu-west-1"], &["image"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    assert_eq!((report.images.len(), report.failures.len()), (4, 4));
    for failure in &report.failures {
        assert_eq!(failure.region, "ap-east-1");
        assert!(
            failure.error.contains("has not opted in"),
            "{}",
            failure.error
        );
    }
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.blocked().count(), 4);
    assert!(
        plan.rows[0].reason.contains("has not opted in"),
        "{}",
        plan.rows[0].reason
    );
    assert!(world.calls("ap-east-1").is_empty());
    // One that may not be used for another reason.
    let world = World::new(&[]);
    let there = world.account.in_region(&"us-west-1".into());
    there.store().faults = vec![(
        "PutParameter",
        fake::account::Fault::Refused(cloud::ErrorKind::Quota),
    )];
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!((report.images.len(), report.failures.len()), (4, 4));
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn names_that_are_taken_are_found_in_all_regions_before_anything_is_launched() {
    let world = World::new(&[]);
    for region in ["eu-west-1", "us-west-1"] {
        let there = world.account.in_region(&RegionName::new(region));
        let mut store = there.store();
        let mut image = store.images[&source_id(region, "1204")].clone();
        image.image_id = format!("ami-taken-{region}").as_str().into();
        image.name = format!("image-{region}-1404-hvm");
        store.images.insert(image.image_id.to_string(), image);
    }
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
    let report = world.run(&loaded, Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    let mut failed: Vec<&str> = report
        .failures
        .iter()
        .map(|one| one.cell.as_str())
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, ["eu-west-1-1404-hvm", "us-west-1-1404-hvm"]);
    assert!(
        report.failures[0].error.contains("ami-taken-"),
        "{:?}",
        report.failures
    );
    assert_eq!(report.skipped.len(), 6);
    for region in ["eu-west-1", "us-west-1"] {
        assert!(!world.calls(region).contains(&"RunInstances"));
    }
    let plan = world.plan(&loaded, Wanted::default());
    let taken: Vec<&str> = plan
        .rows
        .iter()
        .filter_map(|row| row.name_taken_by.as_deref())
        .collect();
    assert_eq!(taken, ["ami-taken-eu-west-1", "ami-taken-us-west-1"]);
}

#[test]
fn the_name_of_an_image_that_is_reused_is_not_taken() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["base", "top"]));
    let first = world.run(&loaded, Wanted::default());
    assert_eq!(first.exit, ExitCode::Done);
    let again = world.run(&loaded, Wanted::default());
    assert_eq!(again.exit, ExitCode::Done, "{:?}", again.failures);
    assert_eq!(names(&again.images, true).len(), 8);
    let plan = world.plan(&loaded, Wanted::default());
    assert!(
        plan.rows
            .iter()
            .all(|row| row.action == "reuse" && row.warnings.is_empty())
    );
    assert_eq!(plan.instance_hours(), BTreeMap::new());
}

#[test]
fn a_plan_of_many_cells_takes_few_calls_in_each_region() {
    let world = World::new(&[]);
    let loaded = matrix(&REGIONS, &["base", "top"]);
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.rows.len(), 64);
    assert!(
        plan.rows.iter().all(|row| row.action == "build"),
        "{:?}",
        plan.rows[0]
    );
    for region in REGIONS {
        let describes = world.calls(region);
        let images = describes.iter().filter(|call| **call == "DescribeImages");
        // Sources, keys, earlier images, names: for all cells of the region together.
        assert_eq!(images.count(), 4, "{region}: {describes:?}");
    }
    let hours = plan.instance_hours();
    let each = 8.0 * plan.rows[0].instance_hours;
    assert!(plan.rows[0].instance_hours > 0.0);
    assert!(
        hours.len() == 8 && hours.values().all(|one| (one - each).abs() < 1e-9),
        "{hours:?}"
    );
}

#[test]
fn cells_of_a_stage_with_the_same_inputs_have_an_image_each() {
    let world = World::new(&[]);
    // Those of one release differ in their names only.
    let provision =
        |_: &str| String::from("[{ run: { name: same, inline: 'echo ${{ matrix.os }}' } }]");
    let loaded = Arc::new(matrix_of(&["eu-west-1"], &["image"], provision));
    let plan = world.plan(&loaded, Wanted::default());
    assert!(plan.rows.iter().all(|row| row.warnings.is_empty()));
    let ids = |report: &Report| -> BTreeMap<String, String> {
        let images = report.images.iter();
        images
            .map(|image| (image.cell.clone(), image.image_id.clone()))
            .collect()
    };
    let first = world.run(&loaded, Wanted::default());
    assert_eq!(names(&first.images, false).len(), 4);
    // In the order of the matrix, whichever was done first.
    let cells: Vec<&str> = first.images.iter().map(|image| &*image.cell).collect();
    let ordered = ["1204-pv", "1204-hvm", "1404-pv", "1404-hvm"];
    assert_eq!(cells, ordered.map(|cell| format!("eu-west-1-{cell}")));
    let distinct: BTreeSet<String> = ids(&first).into_values().collect();
    assert_eq!(distinct.len(), 4);
    let second = world.run(&loaded, Wanted::default());
    assert_eq!(names(&second.images, true).len(), 4);
    assert_eq!(ids(&second), ids(&first));
}

/// Two layers, the upper of which is found by a tag after the lower.
fn layers(wanted: &str) -> Arc<Loaded> {
    let stage = |name: &str, source: &str| {
        format!(
            "  {name}: {{ region: eu-west-1, source: {source}, launch: {{ instance_type: m3.medium }}, connect: {{ user: ubuntu }}, \
             provision: [{{ run: {{ name: \"{name}\", inline: 'true' }} }}], image: {{ name: \"{name}-${{{{ run.id }}}}\" }}, \
             tags: {{ role: {name} }} }}\n"
        )
    };
    let start = format!("{{ image_id: {} }}", source_id("eu-west-1", "1204"));
    let found =
        format!("{{ filter: {{ owners: [self], tags: {{ role: {wanted} }} }}, after: lower }}");
    let text = format!(
        "name: layers\nstages:\n{}{}",
        stage("upper", &found),
        stage("lower", &start)
    );
    let options = LoadOptions::default();
    let loaded = pipeline::load(
        Path::new("/p.yaml"),
        text.as_bytes(),
        &options,
        &pipeline::Disk,
    );
    Arc::new(loaded.unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// An image that was there before, with the role, created when the epoch was.
fn yesterdays(world: &World, id: &str, role: &str) {
    let there = world.account.in_region(&RegionName::new("eu-west-1"));
    let like = source_id("eu-west-1", "1204");
    let image = Image {
        image_id: id.into(),
        name: id.to_owned(),
        created: Some(cloud::Timestamp::UNIX_EPOCH),
        tags: Tags::new().with("role", role),
        ..there.store().images[&like].clone()
    };
    there.store().images.insert(id.to_owned(), image);
}

#[test]
fn a_layer_that_is_found_by_its_tags_is_the_one_that_the_run_has_built() {
    let world = World::new(&[]);
    yesterdays(&world, "ami-old", "lower");
    let loaded = layers("lower");
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.rows[0].stage, "lower");
    assert_eq!(plan.rows[1].source_image, None, "it is not there yet");
    let report = world.run(&loaded, Wanted::default());
    let lower = &report.images[0];
    assert_eq!((lower.stage.as_str(), lower.cached), ("lower", false));
    assert_eq!(
        report.images[1].source_image.as_ref(),
        Some(&lower.image_id)
    );
    // Now it is there, and so is what was made from it.
    let plan = world.plan(&loaded, Wanted::default());
    assert_eq!(plan.rows[1].source_image.as_ref(), Some(&lower.image_id));
    let again = world.run(&loaded, Wanted::default());
    assert!(again.images.iter().all(|image| image.cached), "{again:?}");
    // Somebody's newer one with the tags is the layer from then on.
    let newer = world.account.in_region(&RegionName::new("eu-west-1"));
    let image = Image {
        image_id: "ami-newer".into(),
        created: cloud::Timestamp::from_second(32_503_680_000).ok(),
        ..newer.store().images["ami-old"].clone()
    };
    newer.store().images.insert("ami-newer".into(), image);
    let third = world.run(&loaded, Wanted::default());
    assert!(
        third.images[0].cached && !third.images[1].cached,
        "{third:?}"
    );
    assert_eq!(third.images[1].source_image.as_deref(), Some("ami-newer"));
}

#[test]
fn a_filter_that_finds_only_what_was_there_before_is_told() {
    let world = World::new(&[]);
    yesterdays(&world, "ami-old", "other");
    let report = world.run(&layers("other"), Wanted::default());
    assert_eq!(report.exit, ExitCode::Failed);
    let error = &report.failures[0].error;
    assert!(error.contains("ami-old, is older"), "{error}");
    // Without any, what is said is that there is none.
    let report = World::new(&[]).run(&layers("other"), Wanted::default());
    assert!(report.failures[0].error.contains("role"), "{report:?}");
}

#[test]
fn an_image_that_a_run_is_not_through_with_is_no_source() {
    let world = World::new(&[]);
    yesterdays(&world, "ami-old", "lower");
    let there = world.account.in_region(&RegionName::new("eu-west-1"));
    let old = there.store().images["ami-old"].clone();
    let unfinished = Image {
        image_id: "ami-untested".into(),
        created: cloud::Timestamp::from_second(32_503_680_000).ok(),
        tags: old.tags.clone().with(tag::RUN, "r-00000000"),
        ..old
    };
    there
        .store()
        .images
        .insert("ami-untested".into(), unfinished);
    let report = world.run(&layers("lower"), Wanted::default());
    let lower = &report.images[0].image_id;
    assert_eq!(report.images[1].source_image.as_ref(), Some(lower));
}

#[test]
fn an_image_that_is_reused_under_another_name_is_told() {
    let world = World::new(&[]);
    let named = |name: &str| {
        let text = format!(
            "name: one\nstages:\n  base: {{ region: eu-west-1, source: {{ image_id: {} }}, \
             launch: {{ instance_type: m3.medium }}, connect: {{ user: ubuntu }}, image: {{ name: \"{name}\" }} }}\n",
            source_id("eu-west-1", "1204")
        );
        let options = LoadOptions::default();
        let loaded = pipeline::load(
            Path::new("/p.yaml"),
            text.as_bytes(),
            &options,
            &pipeline::Disk,
        );
        Arc::new(loaded.unwrap_or_else(|error| panic!("{error}\n{text}")))
    };
    world.run(&named("golden-1"), Wanted::default());
    for (name, told) in [
        ("golden-1", false),
        ("golden-2", true),
        ("golden-${{ run.id }}", false),
    ] {
        let plan = world.plan(&named(name), Wanted::default());
        let (report, recorder) = world.run_watched(&named(name), Wanted::default());
        assert!(report.images[0].cached, "{name}");
        let said = "with the name `golden-1`, not `golden-2`";
        assert_eq!(
            plan.rows[0].warnings.iter().any(|text| text.contains(said)),
            told
        );
        assert_eq!(recorder.text().contains(said), told, "{name}");
    }
}

#[test]
fn a_plan_says_which_stages_would_come_to_one_image() {
    let world = World::new(&[]);
    let stage = |name: &str| {
        format!(
            "  {name}: {{ region: eu-west-1, source: {{ image_id: {} }}, launch: {{ instance_type: m3.medium }}, connect: {{ user: ubuntu }}, \
             provision: [{{ run: {{ name: same, inline: 'true' }} }}], image: {{ name: {name} }} }}\n",
            source_id("eu-west-1", "1204")
        )
    };
    let text = format!(
        "name: twins\naws: {{ region: eu-west-1 }}\nstages:\n{}{}",
        stage("one"),
        stage("two")
    );
    let options = LoadOptions::default();
    let loaded = pipeline::load(
        Path::new("/p.yaml"),
        text.as_bytes(),
        &options,
        &pipeline::Disk,
    );
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let plan = world.plan(&loaded, Wanted::default());
    assert!(plan.rows[0].warnings.is_empty(), "{:?}", plan.rows);
    let warned = plan.rows[1].warnings.first();
    assert!(
        warned.is_some_and(|text| text.contains("same inputs as one/eu-west-1")),
        "{:?}",
        plan.rows
    );
}

#[test]
fn it_is_waited_for_a_person_who_may_end_the_run() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let pauses = Pauses {
        after: vec![
            "launch".parse().unwrap(),
            "provision:install-eu-west-1-1404-hvm".parse().unwrap(),
        ],
        pace: Pace::WhereAsked,
    };
    let operator = Arc::new(Asked::default());
    let wanted = Wanted {
        pauses: pauses.clone(),
        operator: Some(operator.clone()),
        ..Wanted::default()
    };
    let (report, recorder) = world.run_watched(&loaded, wanted);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let questions = operator.questions.lock().unwrap().clone();
    let after = |what: &str| {
        questions
            .iter()
            .filter(|asked| asked.contains(what))
            .count()
    };
    assert_eq!(
        (
            after("after launching"),
            after("after provisioner"),
            questions.len()
        ),
        (4, 1, 5),
        "{questions:?}"
    );
    // After the launch there is no way in yet; after a provisioner there is.
    let events = recorder.0.lock().unwrap();
    let ways_in = events.iter().filter_map(|event| match event {
        Event::Paused { way_in, .. } => Some(way_in.is_some()),
        _ => None,
    });
    assert_eq!(ways_in.filter(|known| *known).count(), 1);
    drop(events);

    let world = World::new(&[]);
    let operator = Arc::new(Asked {
        aborts_at: 2,
        ..Asked::default()
    });
    let wanted = Wanted {
        pauses,
        operator: Some(operator.clone()),
        jobs: Some(1),
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    assert_eq!(report.exit, ExitCode::Interrupted, "{:?}", report.failures);
    assert_eq!((report.images.len(), report.skipped.len()), (1, 2));
    assert_eq!(world.clutter(), Vec::<String>::new());
}

#[test]
fn step_by_step_each_step_is_asked_for() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let operator = Arc::new(Asked::default());
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        pauses: Pauses {
            after: Vec::new(),
            pace: Pace::StepByStep,
        },
        operator: Some(operator.clone()),
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    let questions = operator.questions.lock().unwrap().len();
    let steps = report
        .steps
        .iter()
        .filter(|step| step.provisioner.is_none())
        .count();
    assert_eq!(questions, steps);
}

#[test]
fn while_a_person_is_waited_for_leases_are_renewed() {
    struct Slow(EventClock, AtomicUsize);
    #[async_trait]
    impl Operator for Slow {
        async fn confirm(&self, _: &str) -> Answer {
            cloud::Clock::sleep(&self.0, Duration::from_secs(600)).await;
            self.1.fetch_add(1, Ordering::SeqCst);
            Answer::GoOn
        }
    }
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        pauses: Pauses {
            after: vec!["launch".parse().unwrap()],
            pace: Pace::WhereAsked,
        },
        ..Wanted::default()
    };
    let operator = Arc::new(Slow(world.clock.clone(), AtomicUsize::new(0)));
    let recorder = Arc::new(Recorder::default());
    let ports = Ports {
        host: Host {
            operator: Some(operator.clone()),
            ..Host::absent()
        },
        ..world.ports(&wanted, &recorder)
    };
    let (_canceller, cancellation) = cancellation();
    let options = world.options(&wanted);
    let id = RunId::from_random(7);
    let report = world
        .clock
        .run(run(loaded, id, options, ports, cancellation));
    assert_eq!(report.exit, ExitCode::Done, "{:?}", report.failures);
    assert_eq!(operator.1.load(Ordering::SeqCst), 1);
    let calls = world.calls("eu-west-1");
    let writes = calls.iter().filter(|call| **call == "PutParameter").count();
    // The run's lease and the image's ticket, each every 30 s for ten minutes.
    assert!(writes >= 2 * 600 / 30, "{writes} writes");
}

#[test]
fn how_long_each_step_took_is_reported_and_remembered() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1"], &["image"]));
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        ..Wanted::default()
    };
    let report = world.run(&loaded, wanted);
    let step = |name: &str, provisioner: Option<&str>| {
        report
            .steps
            .iter()
            .find(|step| step.step == name && step.provisioner.as_deref() == provisioner)
            .unwrap_or_else(|| panic!("no {name} in {:?}", report.steps))
    };
    let provisioner = step("provision", Some("install-eu-west-1-1404-hvm"));
    assert_eq!(provisioner.outcome, StepOutcome::Passed);
    assert!((provisioner.seconds - 100.0).abs() < 1.0, "{provisioner:?}");
    assert!(step("provision", None).seconds >= provisioner.seconds);
    let known = build::estimate::Durations::read(world.host.path());
    let stage = known.of(Venue::Aws, "comboami", "image").unwrap();
    let left = stage
        .remaining("provision", Duration::from_secs(40))
        .unwrap();
    assert!(left >= Duration::from_secs(60), "{left:?}");
}

#[test]
fn snapshots_are_looked_at_once_for_all_cells_of_a_region() {
    let world = World::new(&[]);
    let there = world.account.in_region(&"eu-west-1".into());
    let run = RunId::from_random(1);
    let cell = |name: &str| CellName {
        stage: "image".into(),
        cell: name.into(),
    };
    for (name, percent) in [("a", 20), ("b", 70)] {
        let tags = Tags::new()
            .with(tag::RUN, run.as_str())
            .with(tag::STAGE, "image")
            .with(tag::CELL, name);
        let snapshot = Snapshot {
            snapshot_id: name.into(),
            state: SnapshotState::Pending,
            progress_percent: percent,
            description: String::new(),
            volume_gib: 8,
            kms_key_id: None,
            started: None,
            tags,
        };
        there.store().snapshots.insert(name.into(), snapshot);
    }
    let pollers = Pollers::new(Arc::new(world.clock.clone()));
    let region: Arc<dyn cloud::Region> = Arc::new(there.clone());
    let watch = pollers.of(&region);
    let look = |name: &str| {
        let name = cell(name);
        world
            .clock
            .run(watch.snapshots.percent(&run, &name))
            .unwrap()
    };
    assert_eq!(
        (look("a"), look("b"), look("c")),
        (Some(20), Some(70), None)
    );
    assert_eq!(world.calls("eu-west-1"), ["DescribeSnapshots"]);
    let pause = cloud::Clock::sleep(&world.clock, Duration::from_secs(5));
    world.clock.run(pause);
    look("a");
    assert_eq!(world.calls("eu-west-1").len(), 2);
}

/// Kills the process, as a test may, after so many records.
struct KillAfter(u64);

impl JournalWatch for KillAfter {
    fn before(&self, _: u64) {}
    fn after(&self, number: u64) {
        if number == self.0 {
            std::panic::resume_unwind(Box::new("killed"));
        }
    }
}

struct Unwatched;

impl SweepWatch for Unwatched {
    fn progress(&self, _: &SweepProgress<'_>) {}
}

#[test]
fn a_sweep_of_one_region_leaves_what_the_run_has_in_another_to_the_next() {
    let world = World::new(&[]);
    let loaded = Arc::new(matrix(&["eu-west-1", "us-west-1"], &["image"]));
    let wanted = Wanted {
        only: vec!["*-1404-hvm"],
        ..Wanted::default()
    };
    let ports = Ports {
        journal_watch: Some(Arc::new(KillAfter(40))),
        ..world.ports(&wanted, &Arc::default())
    };
    let (_canceller, cancellation) = cancellation();
    let id = RunId::from_random(9);
    let work = run(
        loaded,
        id.clone(),
        world.options(&wanted),
        ports,
        cancellation,
    );
    let ended = world.clock.run(AssertUnwindSafe(work).catch_unwind());
    assert!(ended.is_err(), "it was not killed but ended: {ended:?}");
    let alive = |region: &str| {
        let there = world.account.in_region(&RegionName::new(region));
        let store = there.store();
        let instances = store.instances.values();
        let alive = instances.filter(|one| !one.state.is_ending()).count();
        (alive, store.key_pairs.len(), store.parameters.len())
    };
    assert_eq!((alive("eu-west-1").0, alive("us-west-1").0), (1, 1));

    // Nothing lives but what this host holds, and it holds nothing any more.
    let pause = cloud::Clock::sleep(&world.clock, Duration::from_secs(600));
    world.clock.run(pause);
    let sweep = |region: &str| {
        let sweep = Sweep {
            account: Arc::new(world.account.clone()),
            account_id: String::from("123456789012"),
            regions: vec![RegionName::new(region)],
            endpoint: None,
            clock: Arc::new(world.clock.clone()),
            buckets: Vec::new(),
            state_dir: world.host.path().to_owned(),
            only: None,
            kept: KeptToo::No,
        };
        world.clock.run(async {
            let plan = look(&sweep).await.unwrap();
            carry_out(&sweep, plan, &Unwatched).await.unwrap()
        })
    };
    let state = || build::runs::show(world.host.path(), &id).unwrap().row.state;
    let swept = sweep("eu-west-1");
    assert_eq!(swept.left(None), Vec::new());
    assert_eq!(alive("eu-west-1"), (0, 0, 0));
    assert_eq!(alive("us-west-1").0, 1);
    assert_eq!(state(), build::runs::RunState::Dead);
    let said = format!("{swept:?}");
    assert!(said.contains("sweep with --region us-west-1"), "{said}");

    let swept = sweep("us-west-1");
    assert_eq!(swept.left(None), Vec::new());
    assert_eq!(state(), build::runs::RunState::Swept);
    assert_eq!(world.clutter(), Vec::<String>::new());
}

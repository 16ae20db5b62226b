//! How a run ended: the images for stdout, all else for stderr.

use super::logs::log_file;
use super::style::{Palette, Role};
use super::table::columns;
use super::wording::seconds;
use build::names::CellName;
use build::report::{ExitCode, LeftResource, Report, ReportedImage};
use std::path::Path;
use std::time::Duration;

/// Where guests of the local EC2 fall short, said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestLimits {
    /// Nowhere that matters to a pipeline, or it is not the local EC2.
    None,
    /// They run without root on the host.
    Rootless,
}

/// The images, as a table; empty if there are none.
pub fn images_table(images: &[ReportedImage]) -> String {
    if images.is_empty() {
        return String::new();
    }
    let row = |image: &ReportedImage| {
        let how = if image.cached { "reused" } else { "built" };
        [
            image.stage.clone(),
            image.region.clone(),
            image.image_id.clone(),
            how.to_owned(),
            image.name.clone(),
        ]
    };
    columns(
        ["STAGE", "REGION", "IMAGE", "", "NAME"],
        images.iter().map(row),
    )
}

/// All cells of a run as a table, stage by stage in this `order`: what each came to, and how long it took.
pub fn cells_table(report: &Report, order: &[CellName], palette: Palette) -> String {
    let rows = order.iter().filter_map(|cell| {
        let of_cell = |stage: &str, name: &str| stage == cell.stage && name == cell.cell;
        let image = report
            .images
            .iter()
            .find(|one| of_cell(&one.stage, &one.cell));
        let failure = report
            .failures
            .iter()
            .find(|one| of_cell(&one.stage, &one.cell));
        let skip = report
            .skipped
            .iter()
            .find(|one| of_cell(&one.stage, &one.cell));
        let (region, role, result) = match (failure, skip, image) {
            (Some(failure), ..) => {
                let result = format!("failed in {}", failure.step);
                (&failure.region, Role::Error, result)
            }
            (None, Some(skip), _) => (&skip.region, Role::Warning, String::from("skipped")),
            (None, None, Some(image)) if image.cached => {
                (&image.region, Role::Success, String::from("cached"))
            }
            (None, None, Some(image)) => (&image.region, Role::Success, String::from("built")),
            // It was stopped.
            (None, None, None) => return None,
        };
        let took: f64 = report
            .steps
            .iter()
            .filter(|step| of_cell(&step.stage, &step.cell) && step.provisioner.is_none())
            .map(|step| step.seconds)
            .sum();
        let took = match skip {
            Some(_) => String::new(),
            None => seconds(Duration::try_from_secs_f64(took).unwrap_or_default()),
        };
        let row = [
            cell.stage.clone(),
            cell.cell.clone(),
            region.clone(),
            image
                .map(|image| image.image_id.clone())
                .unwrap_or_default(),
            result,
            took,
        ];
        Some((role, row))
    });
    let (roles, rows): (Vec<Role>, Vec<[String; 6]>) = rows.unzip();
    if rows.is_empty() {
        return String::new();
    }
    let header = ["STAGE", "CELL", "REGION", "IMAGE", "RESULT", "TIME"];
    let table = columns(header, rows);
    let mut lines = table.lines();
    let first = lines.next().map(str::to_owned);
    // Painted when it stands: colour has no width.
    let painted = lines
        .zip(roles)
        .map(|(line, role)| palette.paint(role, line));
    first
        .into_iter()
        .chain(painted)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What is known of a run besides its report.
pub struct Closing<'a> {
    /// Where its guests fell short.
    pub limits: GuestLimits,
    /// How long it took.
    pub took: Duration,
    /// Where its cells' logs are.
    pub logs: &'a Path,
}

/// Everything a person needs to know besides the images.
pub fn closing_text(report: &Report, closing: &Closing<'_>, palette: Palette) -> String {
    let mut text = Vec::new();
    skipped(report, palette, &mut text);
    if closing.limits == GuestLimits::Rootless {
        text.push(palette.paint(Role::Warning, "This local EC2 runs without root:"));
        text.push(String::from(
            "  in its guests `become` changes nothing, files have one owner, and chown, other users and package managers do not work.",
        ));
    }
    if !report.kept.is_empty() {
        text.push(palette.paint(Role::Strong, "Kept, as --keep-on-failure asked:"));
        resources(&report.kept, &mut text);
    }
    for way_in in &report.ways_in {
        text.push(palette.paint(
            Role::Strong,
            &format!("The way in to {}:", way_in.instance_id),
        ));
        text.push(format!("  qib ssh {}", way_in.instance_id));
        text.push(format!("  {}", build::way_in::describe(way_in)));
    }
    if !report.left_behind.is_empty() {
        text.push(palette.paint(Role::Error, "LEFT BEHIND, and to be removed by hand:"));
        resources(&report.left_behind, &mut text);
    }
    failures(report, closing.logs, palette, &mut text);
    text.push(ending(report, closing.took, palette));
    text.join("\n")
}

/// The failures, each with its first line: the whole message may have gone by long ago.
fn failures(report: &Report, logs: &Path, palette: Palette, text: &mut Vec<String>) {
    for failure in &report.failures {
        let first = failure.error.lines().next().unwrap_or_default();
        text.push(palette.paint(Role::Error, first));
        let cell = CellName {
            stage: failure.stage.clone(),
            cell: failure.cell.clone(),
        };
        let log = log_file(logs, &cell);
        if log.is_file() {
            text.push(format!("  its log: {}", log.display()));
        }
    }
    if !report.skipped.is_empty() {
        let number = report.skipped.len();
        text.push(palette.paint(
            Role::Warning,
            &format!("Not built because of this: {number}"),
        ));
        for skip in &report.skipped {
            text.push(format!("  {}/{}: {}", skip.stage, skip.cell, skip.reason));
        }
    }
}

fn skipped(report: &Report, palette: Palette, text: &mut Vec<String>) {
    if !report.skipped_preflight.is_empty() {
        text.push(palette.paint(
            Role::Warning,
            &format!(
                "Skipped in this rehearsal, of `preflight`: {}",
                report.skipped_preflight.join(", ")
            ),
        ));
    }
    let partly: Vec<&ReportedImage> = report
        .images
        .iter()
        .filter(|image| !image.skipped.is_empty())
        .collect();
    if partly.is_empty() {
        return;
    }
    text.push(palette.paint(
        Role::Warning,
        "Skipped in this rehearsal, and the images are tagged so:",
    ));
    // Cells of a matrix mostly skip the same.
    let mut groups: Vec<(&ReportedImage, usize)> = Vec::new();
    for image in partly {
        let alike = groups
            .iter_mut()
            .find(|(first, _)| first.stage == image.stage && first.skipped == image.skipped);
        match alike {
            Some((_, cells)) => *cells += 1,
            None => groups.push((image, 1)),
        }
    }
    for (image, cells) in groups {
        let more = match cells {
            1 => String::new(),
            _ => format!(" and {} more", cells - 1),
        };
        text.push(format!(
            "  {}/{}{more}: {}",
            image.stage,
            image.cell,
            image.skipped.join(", ")
        ));
    }
}

/// Resources with the command that removes each, ready to be pasted.
pub fn resources(left: &[LeftResource], text: &mut Vec<String>) {
    for one in left {
        text.push(format!(
            "  {} {} in {}: {}",
            one.kind, one.id, one.region, one.reason
        ));
        text.push(format!("    {}", one.remove_with));
    }
}

fn ending(report: &Report, took: Duration, palette: Palette) -> String {
    let (role, how) = match report.exit {
        ExitCode::Done => (Role::Success, "succeeded"),
        ExitCode::Failed => (Role::Error, "failed, and everything was cleaned up"),
        ExitCode::BadInput => (Role::Error, "was refused before anything was created"),
        ExitCode::LeftBehind => (Role::Error, "ended and left something behind"),
        ExitCode::Interrupted | ExitCode::Terminated => (
            Role::Warning,
            "was interrupted, and everything was cleaned up",
        ),
    };
    let how = if report.exit == ExitCode::Failed && !report.kept.is_empty() {
        "failed"
    } else {
        how
    };
    palette.paint(
        role,
        &format!("Run {} {how} after {}.", report.run, seconds(took)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::a_report;
    use build::report::{ReportedSkip, ReportedStep, StepOutcome};

    fn quick(took: Duration) -> Closing<'static> {
        Closing {
            limits: GuestLimits::None,
            took,
            logs: Path::new("/nowhere"),
        }
    }

    #[test]
    fn an_end_with_something_of_everything() {
        let logs = tempfile::tempdir().expect("a folder");
        std::fs::write(logs.path().join("ocp--us-east-2.log"), "").expect("it can be written");
        let closing = Closing {
            limits: GuestLimits::Rootless,
            took: Duration::from_secs(83),
            logs: logs.path(),
        };
        let text = closing_text(&a_report(), &closing, Palette::Plain);
        let text = text.replace(&logs.path().display().to_string(), "/logs");
        insta::assert_snapshot!(format!("{}\n---\n{text}", images_table(&a_report().images)));
    }

    #[test]
    fn what_is_left_is_named_with_the_command_that_removes_it() {
        let report = a_report();
        let text = closing_text(&report, &quick(Duration::ZERO), Palette::Plain);
        for left in report.left_behind.iter().chain(&report.kept) {
            assert!(
                text.contains(&left.id) && text.contains(&left.remove_with),
                "{text}"
            );
        }
        assert!(!text.contains("without root"), "{text}");
    }

    #[test]
    fn a_good_end_says_no_more_than_that() {
        let report = Report {
            status: "succeeded",
            images: Vec::new(),
            failures: Vec::new(),
            skipped: Vec::new(),
            kept: Vec::new(),
            ways_in: Vec::new(),
            left_behind: Vec::new(),
            exit: ExitCode::Done,
            ..a_report()
        };
        let text = closing_text(&report, &quick(Duration::from_secs(4)), Palette::Plain);
        assert_eq!(text, format!("Run {} succeeded after 4.0 s.", report.run));
        assert_eq!(images_table(&report.images), "");
    }

    #[test]
    fn many_cells_as_a_table() {
        let mut report = a_report();
        let cell = |stage: &str, cell: &str| CellName {
            stage: stage.into(),
            cell: cell.into(),
        };
        let order = [
            cell("base", "us-east-2"),
            cell("ocp", "us-east-2"),
            cell("ocp", "us-west-1-1404-hvm"),
            cell("ocp", "us-west-1-1404-pv"),
        ];
        report.images.push(ReportedImage {
            stage: "ocp".into(),
            cell: "us-west-1-1404-hvm".into(),
            region: "us-west-1".into(),
            cached: false,
            ..report.images[0].clone()
        });
        for (step, seconds) in [("launch", 30.0), ("create-image", 155.0)] {
            report.steps.push(ReportedStep {
                stage: "ocp".into(),
                cell: "us-west-1-1404-hvm".into(),
                step: step.into(),
                provisioner: None,
                seconds,
                outcome: StepOutcome::Passed,
                reason: None,
            });
        }
        report.skipped.push(ReportedSkip {
            stage: "ocp".into(),
            cell: "us-west-1-1404-pv".into(),
            region: "us-west-1".into(),
            reason: "it starts from base/x, of which there is no image".into(),
        });
        insta::assert_snapshot!(cells_table(&report, &order, Palette::Plain));
    }
}

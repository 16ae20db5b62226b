//! How a run ended: the images for stdout, all else for stderr.

use super::style::{Palette, Role};
use super::table::columns;
use super::wording::seconds;
use build::report::{ExitCode, LeftResource, Report, ReportedImage};
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

/// Everything a person needs to know besides the images.
pub fn closing_text(
    report: &Report,
    limits: GuestLimits,
    took: Duration,
    palette: Palette,
) -> String {
    let mut text = Vec::new();
    skipped(report, palette, &mut text);
    if limits == GuestLimits::Rootless {
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
    for failure in &report.failures {
        let said = format!(
            "{}/{} failed in step {}",
            failure.stage, failure.cell, failure.step
        );
        text.push(palette.paint(Role::Error, &format!("{said}; the message is above.")));
    }
    text.push(ending(report, took, palette));
    text.join("\n")
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
    for image in partly {
        text.push(format!(
            "  {}/{}: {}",
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

    #[test]
    fn an_end_with_something_of_everything() {
        let text = closing_text(
            &a_report(),
            GuestLimits::Rootless,
            Duration::from_secs(83),
            Palette::Plain,
        );
        insta::assert_snapshot!(format!("{}\n---\n{text}", images_table(&a_report().images)));
    }

    #[test]
    fn what_is_left_is_named_with_the_command_that_removes_it() {
        let report = a_report();
        let text = closing_text(&report, GuestLimits::None, Duration::ZERO, Palette::Plain);
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
            kept: Vec::new(),
            ways_in: Vec::new(),
            left_behind: Vec::new(),
            exit: ExitCode::Done,
            ..a_report()
        };
        let text = closing_text(
            &report,
            GuestLimits::None,
            Duration::from_secs(4),
            Palette::Plain,
        );
        assert_eq!(text, format!("Run {} succeeded after 4.0 s.", report.run));
        assert_eq!(images_table(&report.images), "");
    }
}

//! JUnit's XML, which CI systems show as a table of tests: a suite for each cell, a case for each of its steps.
//! <https://github.com/testmoapp/junitxml>

use crate::report::{Report, ReportedStep, StepOutcome};
use std::fmt::Write as _;

/// The steps of a run.
pub fn junit(report: &Report, pipeline: &str) -> Vec<u8> {
    let mut suites: Vec<(String, Vec<&ReportedStep>)> = Vec::new();
    for step in &report.steps {
        let name = format!("{}/{}", step.stage, step.cell);
        match suites.iter_mut().find(|(suite, _)| *suite == name) {
            Some((_, steps)) => steps.push(step),
            None => suites.push((name, vec![step])),
        }
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let totals = counts(&report.steps.iter().collect::<Vec<_>>());
    let _ = writeln!(xml, "<testsuites name=\"{}\" {totals}>", escape(pipeline));
    for (name, steps) in suites {
        let name = escape(&name);
        let _ = writeln!(xml, "  <testsuite name=\"{name}\" {}>", counts(&steps));
        for step in steps {
            case(&mut xml, &name, step);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml.into_bytes()
}

fn counts(steps: &[&ReportedStep]) -> String {
    let of = |outcome| steps.iter().filter(|step| step.outcome == outcome).count();
    // A step that holds provisioners lasts as long as they do together: their time is counted once.
    let seconds: f64 = steps
        .iter()
        .filter(|step| step.provisioner.is_none())
        .map(|step| step.seconds)
        .sum();
    format!(
        "tests=\"{}\" failures=\"{}\" skipped=\"{}\" errors=\"0\" time=\"{seconds:.3}\"",
        steps.len(),
        of(StepOutcome::Failed),
        of(StepOutcome::Skipped),
    )
}

fn case(xml: &mut String, suite: &str, step: &ReportedStep) {
    let name = match &step.provisioner {
        Some(provisioner) => format!("{}: {provisioner}", step.step),
        None => step.step.clone(),
    };
    let _ = write!(
        xml,
        "    <testcase classname=\"{suite}\" name=\"{}\" time=\"{:.3}\"",
        escape(&name),
        step.seconds
    );
    let reason = step.reason.as_deref().unwrap_or_default();
    let first = escape(reason.lines().next().unwrap_or_default());
    let _ = match step.outcome {
        StepOutcome::Passed => writeln!(xml, "/>"),
        StepOutcome::Skipped => writeln!(xml, "><skipped message=\"{first}\"/></testcase>"),
        StepOutcome::Failed => writeln!(
            xml,
            "><failure message=\"{first}\">{}</failure></testcase>",
            escape(reason)
        ),
    };
}

/// XML 1.0 has no way to write most control characters, not even escaped: they become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push('\t'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RunId;
    use crate::report::ExitCode;

    #[test]
    fn a_failure_is_told_where_a_ci_system_looks_for_it() {
        let step =
            |step: &str, provisioner: Option<&str>, outcome, reason: Option<&str>| ReportedStep {
                stage: "base".into(),
                cell: "us-east-2".into(),
                step: step.into(),
                provisioner: provisioner.map(str::to_owned),
                seconds: 1.5,
                outcome,
                reason: reason.map(str::to_owned),
            };
        let report = Report {
            status: "failed",
            run: RunId::from_random(1),
            images: Vec::new(),
            skipped_preflight: Vec::new(),
            failures: Vec::new(),
            skipped: Vec::new(),
            kept: Vec::new(),
            ways_in: Vec::new(),
            left_behind: Vec::new(),
            steps: vec![
                step("launch", None, StepOutcome::Passed, None),
                step(
                    "provision",
                    Some("needs <rhel>"),
                    StepOutcome::Skipped,
                    Some("no \"rhel\" here"),
                ),
                step(
                    "provision",
                    Some("harden"),
                    StepOutcome::Failed,
                    Some("exited with 3\n\u{1b}[31mred & <b>"),
                ),
            ],
            exit: ExitCode::Failed,
        };
        let xml = String::from_utf8(junit(&report, "ocp")).unwrap();
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"ocp\" tests=\"3\" failures=\"1\" skipped=\"1\" errors=\"0\" time=\"1.500\">
  <testsuite name=\"base/us-east-2\" tests=\"3\" failures=\"1\" skipped=\"1\" errors=\"0\" time=\"1.500\">
    <testcase classname=\"base/us-east-2\" name=\"launch\" time=\"1.500\"/>
    <testcase classname=\"base/us-east-2\" name=\"provision: needs &lt;rhel&gt;\" time=\"1.500\"><skipped message=\"no &quot;rhel&quot; here\"/></testcase>
    <testcase classname=\"base/us-east-2\" name=\"provision: harden\" time=\"1.500\"><failure message=\"exited with 3\">exited with 3&#10;\u{fffd}[31mred &amp; &lt;b&gt;</failure></testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(xml, expected);
    }
}

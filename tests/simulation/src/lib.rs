//! The table that the fault matrices fill: one row for each, written by whoever ran it and read by `cargo xtask faults`.
//!
//! The matrices themselves are tests, so that nothing that they simulate is linked to any other program.

use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::Path;

/// The file that rows are appended to, one JSON object a line; no file is written if it is not set.
pub const REPORT_VARIABLE: &str = "QIB_FAULTS_REPORT";
/// The seed of everything that is random.
pub const SEED_VARIABLE: &str = "QIB_FAULTS_SEED";
/// How many random schedules are tried.
pub const CASES_VARIABLE: &str = "QIB_FAULTS_CASES";
/// How much is tried: [`WHOLE`], or what is bounded.
pub const FORM_VARIABLE: &str = "QIB_FAULTS";
/// Every call with every fault, not only some calls of each action, and more queues.
pub const WHOLE: &str = "whole";

/// What one matrix came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub matrix: String,
    /// Cases tried.
    pub cases: usize,
    /// Cases in which nothing at all was wrong.
    pub passed: usize,
    /// Cases after which the account held something that it should not.
    pub leaks: usize,
    /// Cases in which something was done twice, or an image was not there exactly once.
    pub double_effects: usize,
    /// Cases that did not come to an end.
    pub hangs: usize,
    /// Cases in which a secret was found where it must not be.
    pub secrets: usize,
    /// How long it took, by the clock on the wall.
    pub seconds: f64,
}

/// Appends a row to the report.
///
/// # Errors
/// If the file cannot be written.
pub fn append(path: &Path, row: &Row) -> io::Result<()> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(&line)
}

/// The rows of a report, in the order in which they came.
///
/// # Errors
/// If the file cannot be read or holds something else.
pub fn read(path: &Path) -> io::Result<Vec<Row>> {
    let text = std::fs::read_to_string(path)?;
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(io::Error::other))
        .collect()
}

/// The rows as a table in Markdown, which is also how it is shown.
pub fn table(rows: &[Row]) -> String {
    let head = [
        "matrix",
        "cases",
        "passed",
        "leaks",
        "double effects",
        "hangs",
        "secrets",
        "seconds",
    ];
    let mut cells: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    cells.extend(rows.iter().map(|row| {
        let mut line = vec![row.matrix.clone()];
        let counts = [
            row.cases,
            row.passed,
            row.leaks,
            row.double_effects,
            row.hangs,
            row.secrets,
        ];
        line.extend(counts.iter().map(ToString::to_string));
        line.push(format!("{:.0}", row.seconds));
        line
    }));
    let width = |column: usize| {
        cells
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in cells.iter().enumerate() {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(&format!("| {} |\n", padded.join(" | ")));
        if number == 0 {
            let rule: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, width)| match column {
                    0 => "-".repeat(*width),
                    _ => format!("{}:", "-".repeat(width - 1)),
                })
                .collect();
            text.push_str(&format!("| {} |\n", rule.join(" | ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            matrix: "calls x faults".to_owned(),
            cases: 784,
            passed: 783,
            leaks: 1,
            seconds: 61.4,
            ..Row::default()
        }
    }

    #[test]
    fn what_is_appended_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        append(&path, &row()).unwrap();
        append(&path, &Row::default()).unwrap();
        assert_eq!(read(&path).unwrap(), [row(), Row::default()]);
    }

    #[test]
    fn a_table_is_one_line_for_each_row_and_lined_up() {
        let text = table(&[row()]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines.iter().all(|line| line.len() == lines[0].len()),
            "{text}"
        );
        assert!(
            lines[2].contains("| calls x faults |   784 |    783 |"),
            "{text}"
        );
    }
}

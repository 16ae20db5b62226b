//! What is wrong with an input, for the person who wrote it.

use crate::Span;
use std::fmt;
use std::path::{Path, PathBuf};

/// One thing wrong with a pipeline or what was passed along with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where it is; `None` for what came with the command line.
    pub place: Option<Place>,
}

/// A place in a file, with the line of text to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as the caller named it.
    pub file: PathBuf,
    /// Where in the file.
    pub span: Span,
    /// The whole line, without its end; empty where the file is not text.
    pub source: String,
}

impl Problem {
    /// The problem as text: `file:line:column: error: message`, the line with a caret below, the hint.
    pub fn render(&self) -> String {
        let mut text = String::new();
        match &self.place {
            None => text.push_str(&format!("error: {}\n", self.message)),
            Some(place) => {
                let Span {
                    line,
                    column,
                    width,
                    ..
                } = place.span;
                text.push_str(&format!(
                    "{}:{line}:{column}: error: {}\n",
                    place.file.display(),
                    self.message
                ));
                if !place.source.is_empty() {
                    let number = line.to_string();
                    let margin = " ".repeat(number.len());
                    // A tab stays a tab, so that the caret stands below its character at any tab width.
                    let before = place.source.chars().take(column.saturating_sub(1) as usize);
                    let indent: String =
                        before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                    let carets = "^".repeat(width.max(1) as usize);
                    text.push_str(&format!(
                        "{number} | {}\n{margin} | {indent}{carets}\n",
                        place.source
                    ));
                }
            }
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }
}

/// The problem as text; see [`Problem::render`].
pub fn render_problem(problem: &Problem) -> String {
    problem.render()
}

/// All that is wrong with an input; at least one problem, the first in the file first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&problem.render())?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// Something wrong at a place of a file that the finder knows by its number only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The problem it is, in that file.
    pub(crate) fn in_file(self, file: &Path, text: &str) -> Problem {
        let line = text
            .lines()
            .nth(self.span.line.saturating_sub(1) as usize)
            .unwrap_or_default();
        // A line of a thousand characters helps nobody; one that long is data, not a pipeline.
        let source = if line.chars().count() <= 300 {
            without_passwords(line.trim_end())
        } else {
            String::new()
        };
        let room = (source.chars().count() as u32 + 1)
            .saturating_sub(self.span.column)
            .max(1);
        let span = Span {
            width: self.span.width.clamp(1, room),
            ..self.span
        };
        let place = Place {
            file: file.to_owned(),
            span,
            source,
        };
        Problem {
            message: self.message,
            hint: self.hint,
            place: Some(place),
        }
    }
}

/// The line with `*` for each character of a password in a URL (`scheme://user:password@host`): what somebody put there by
/// mistake must not go on to a log.
fn without_passwords(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
        let url = after.split(ends).next().unwrap_or_default();
        let password = url.rfind('@').and_then(|end| {
            let begin = url[..end].find(':')? + 1;
            Some((begin, end))
        });
        rest = match password {
            Some((begin, end)) => {
                shown.push_str(&url[..begin]);
                shown.extend(url[begin..end].chars().map(|_| '*'));
                &after[end..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (line, shown) in [
            (
                "proxy: socks5://me:letmein@host:1080",
                "proxy: socks5://me:*******@host:1080",
            ),
            (
                "a: 'x://u:p@ü@h', b: \"y://v:q@i\"",
                "a: 'x://u:***@h', b: \"y://v:*@i\"",
            ),
            (
                "url: https://example.com:8080/a",
                "url: https://example.com:8080/a",
            ),
            (
                "url: https://me@example.com:8080",
                "url: https://me@example.com:8080",
            ),
            ("no URL, but a:b@c", "no URL, but a:b@c"),
            ("://:@", "://:@"),
        ] {
            assert_eq!(without_passwords(line), shown);
        }
    }
}

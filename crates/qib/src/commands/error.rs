//! Why a command was not done: one message that says what, why and what next.

use crate::edge::environment::BadEnvironment;
use crate::render::style::{Palette, Role};
use build::failure::StepError;
use build::report::ExitCode;
use emulator::daemon::DaemonError;
use pipeline::LoadError;

/// Why a command was not done.
#[derive(Debug)]
pub struct CommandError {
    /// What is said.
    pub message: Message,
    /// The exit code that follows.
    pub exit: ExitCode,
}

/// What is said about an error.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// A sentence, and what to do next where that can be told.
    Sentence {
        /// What failed, and why.
        text: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Text that has its own form, such as a pipeline's lines with carets.
    Rendered(String),
}

impl CommandError {
    /// Bad input, found before anything was created.
    pub fn bad_input(text: impl Into<String>) -> Self {
        Self {
            message: Message::Sentence {
                text: text.into(),
                hint: None,
            },
            exit: ExitCode::BadInput,
        }
    }

    /// Something that did not work.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            message: Message::Sentence {
                text: text.into(),
                hint: None,
            },
            exit: ExitCode::Failed,
        }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hinted(mut self, next: impl Into<String>) -> Self {
        if let Message::Sentence { hint, .. } = &mut self.message {
            *hint = Some(next.into());
        }
        self
    }

    /// A result that could not be written to stdout. A reader that went away has read what it wanted.
    pub fn output(error: &std::io::Error) -> Self {
        Self::failed(format!(
            "the result could not be written to stdout: {error}"
        ))
    }

    /// The text for stderr.
    pub fn render(&self, palette: Palette) -> String {
        match &self.message {
            Message::Rendered(text) => text.trim_end().to_owned(),
            Message::Sentence { text, hint } => {
                let hint = hint
                    .as_ref()
                    .map(|hint| format!("\nhint: {hint}"))
                    .unwrap_or_default();
                format!("{} {text}{hint}", palette.paint(Role::Error, "error:"))
            }
        }
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        Self {
            message: Message::Rendered(error.to_string()),
            exit: ExitCode::BadInput,
        }
    }
}

impl From<StepError> for CommandError {
    fn from(error: StepError) -> Self {
        let mut text = error.to_string();
        for line in error.evidence() {
            text.push_str("\n    ");
            text.push_str(line);
        }
        let failed = Self::failed(text);
        match error.hint() {
            Some(hint) => failed.hinted(hint),
            None => failed,
        }
    }
}

impl From<cloud::CloudError> for CommandError {
    fn from(error: cloud::CloudError) -> Self {
        StepError::from(error).into()
    }
}

impl From<aws::ConnectError> for CommandError {
    fn from(error: aws::ConnectError) -> Self {
        // Regions and endpoints come from the command line, the environment or a configuration file.
        Self::bad_input(error.to_string())
    }
}

impl From<DaemonError> for CommandError {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Config(_) => Self::bad_input(error.to_string()),
            _ => Self::failed(error.to_string()),
        }
    }
}

impl From<BadEnvironment> for CommandError {
    fn from(error: BadEnvironment) -> Self {
        Self::bad_input(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud::{CloudError, ErrorKind};

    #[test]
    fn a_call_that_failed_says_which_why_and_what_next() {
        let error = CloudError {
            operation: "GetCallerIdentity",
            resource: None,
            kind: ErrorKind::Credentials,
            code: "ExpiredToken".into(),
            message: "the token is expired".into(),
            request_id: Some("0aaa".into()),
        };
        let error = CommandError::from(error);
        assert_eq!(error.exit.code(), 1);
        let text = error.render(Palette::Plain);
        for part in [
            "error: GetCallerIdentity failed",
            "expired",
            "ExpiredToken",
            "0aaa",
            "\nhint: ",
            "AWS_PROFILE",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }

    #[test]
    fn a_missing_setting_is_bad_input() {
        let error = CommandError::from(aws::ConnectError::NoRegion { profile: None });
        assert_eq!(error.exit.code(), 2);
        assert!(error.render(Palette::Plain).contains("--region"));
    }
}

//! Colour, where it is wanted. What is printed is clear without it.

use crate::args::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Something failed.
    Error,
    /// Something to look at.
    Warning,
    /// Something came out well.
    Success,
    /// Less important than what is around it.
    Dim,
    /// A heading, or what a line is about.
    Strong,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// With ANSI colours.
    Coloured,
    /// Without any control code.
    Plain,
}

impl Palette {
    /// What `--color` and NO_COLOR (<https://no-color.org>: set and not empty) say about a stream.
    pub fn choose(choice: ColorChoice, no_color: Option<&str>, is_terminal: bool) -> Self {
        let wanted = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && no_color.is_none_or(str::is_empty),
        };
        if wanted { Self::Coloured } else { Self::Plain }
    }

    /// `text` as what it is.
    pub fn paint(self, role: Role, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => {
                let style = match role {
                    Role::Error => AnsiColor::Red.on_default().bold(),
                    Role::Warning => AnsiColor::Yellow.on_default(),
                    Role::Success => AnsiColor::Green.on_default(),
                    Role::Dim => Style::new().dimmed(),
                    Role::Strong => Style::new().bold(),
                };
                format!("{style}{text}{style:#}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_goes_before_the_environment_and_that_before_the_terminal() {
        let choose = Palette::choose;
        assert_eq!(choose(ColorChoice::Auto, None, true), Palette::Coloured);
        assert_eq!(choose(ColorChoice::Auto, Some(""), true), Palette::Coloured);
        assert_eq!(choose(ColorChoice::Auto, Some("1"), true), Palette::Plain);
        assert_eq!(choose(ColorChoice::Auto, None, false), Palette::Plain);
        assert_eq!(
            choose(ColorChoice::Always, Some("1"), false),
            Palette::Coloured
        );
        assert_eq!(choose(ColorChoice::Never, None, true), Palette::Plain);
    }

    #[test]
    fn without_colour_text_is_left_alone() {
        assert_eq!(Palette::Plain.paint(Role::Error, "x"), "x");
        assert!(
            Palette::Coloured
                .paint(Role::Error, "x")
                .contains("\u{1b}[")
        );
    }
}

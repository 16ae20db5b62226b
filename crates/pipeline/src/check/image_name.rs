//! What EC2 takes as an image's name.

use crate::model::Image;
use crate::problem::Fault;
use crate::template::{RunFacts, Segment, Template};
use std::fmt;

/// EC2 API Reference, CreateImage, `Name`: "3-128 alphanumeric characters, parentheses (()), square brackets ([]),
/// spaces ( ), periods (.), slashes (/), dashes (-), single quotes ('), at-signs (@), or underscores(_)".
const LENGTH: std::ops::RangeInclusive<usize> = 3..=128;
/// EC2 API Reference, CreateImage, `Description`: at most 255 characters.
const MAX_DESCRIPTION: usize = 255;

/// Why EC2 would refuse an image's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageNameError {
    /// This character is not among those allowed.
    Character(char),
    /// It has this many characters.
    Length(usize),
}

impl fmt::Display for ImageNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(c) => write!(
                f,
                "EC2 refuses an image name with {c:?} in it; allowed are letters, digits, spaces and ( ) [ ] . / - ' @ _"
            ),
            Self::Length(n) => write!(
                f,
                "EC2 refuses an image name of {n} characters; it has 3 to 128"
            ),
        }
    }
}

impl std::error::Error for ImageNameError {}

/// Checks a finished image name by EC2's rules.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_image_name(name: &str) -> Result<(), ImageNameError> {
    characters(name)?;
    match name.chars().count() {
        n if LENGTH.contains(&n) => Ok(()),
        n => Err(ImageNameError::Length(n)),
    }
}

/// Whether EC2 takes the character in an image's name.
pub(crate) fn is_image_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '(' | ')' | '[' | ']' | ' ' | '.' | '/' | '-' | '\'' | '@' | '_'
        )
}

fn characters(text: &str) -> Result<(), ImageNameError> {
    match text.chars().find(|c| !is_image_name_character(*c)) {
        Some(c) => Err(ImageNameError::Character(c)),
        None => Ok(()),
    }
}

/// The part of a text that is known before a run; times stand in with one of the same form.
fn known(template: &Template) -> (String, usize) {
    let facts = RunFacts {
        run_time: Some(jiff::Timestamp::UNIX_EPOCH),
        source_created: Some(jiff::Timestamp::UNIX_EPOCH),
        ..RunFacts::default()
    };
    let mut text = String::new();
    let mut unknown = 0;
    for segment in template.segments() {
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::Secret { .. } => {}
            Segment::RunTime(expression) => match facts.evaluate(expression) {
                Ok(time) => text.push_str(&time),
                Err(_) => unknown += 1,
            },
        }
    }
    (text, unknown)
}

pub(super) fn check(image: &Image) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (text, unknown) = known(&image.name);
    // What is not known yet has at least one character.
    let least = text.chars().count() + unknown;
    let wrong = match characters(&text) {
        Err(why) => Some(why),
        Ok(()) if least > *LENGTH.end() || (unknown == 0 && least < *LENGTH.start()) => {
            Some(ImageNameError::Length(least))
        }
        Ok(()) => None,
    };
    if let Some(why) = wrong {
        let hint = match (&why, text.contains(':')) {
            (ImageNameError::Character(':'), true) => "write a time with date('%Y-%m-%d-%H%M%S')",
            (ImageNameError::Character(_), _) => {
                "`| replace('a', 'b')` changes what a value brings in"
            }
            (ImageNameError::Length(n), _) if n < LENGTH.start() => {
                "add what tells this image from others: its purpose, run.id"
            }
            (ImageNameError::Length(_), _) => "put what does not fit into `description` or a tag",
        };
        faults.push(Fault::new(image.name.span(), why.to_string()).hint(hint));
    }
    if let Some(description) = &image.description {
        let (text, unknown) = known(description);
        let least = text.chars().count() + unknown;
        if least > MAX_DESCRIPTION {
            let message = format!(
                "an image's description has at most {MAX_DESCRIPTION} characters, this one {least}"
            );
            faults.push(Fault::new(description.span(), message));
        }
    }
    faults
}

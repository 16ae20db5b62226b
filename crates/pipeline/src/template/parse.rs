//! The parser of templates.

use super::expression::FIXED_NAMES;
use super::{Expression, Filter, Name};
use crate::suggest::closest;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stays as it is.
    Text(String),
    /// An expression.
    Expression {
        /// The expression.
        expression: Expression,
        /// Which `${{` of the text it is, counting from 0 and counting escaped ones too.
        occurrence: usize,
        /// Its width in characters, braces included.
        width: usize,
    },
}

/// Why a template does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// In which `${{` of the text, counting from 0.
    pub occurrence: usize,
    /// How many characters after the start of that `${{`.
    pub offset: usize,
}

const OPEN: &str = "${{";

/// Splits a text into literal text and expressions. Neighbouring literals are one part, and no literal is empty.
///
/// # Errors
/// The first expression that does not parse, or that names nothing.
pub fn parse(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    let mut occurrence = 0;
    while let Some(at) = rest.find(OPEN) {
        let (before, after) = rest.split_at(at);
        let after = after.get(OPEN.len()..).unwrap_or_default();
        if let Some(before) = before.strip_suffix('$') {
            literal.push_str(before);
            literal.push_str(OPEN);
            rest = after;
        } else {
            literal.push_str(before);
            let mut cursor = Cursor {
                rest: after,
                taken: OPEN.len(),
            };
            let expression = cursor.expression().map_err(|message| TemplateError {
                message,
                occurrence,
                offset: cursor.taken,
            })?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expression {
                expression,
                occurrence,
                width: cursor.taken,
            });
            rest = cursor.rest;
        }
        occurrence += 1;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

/// Writes literal text so that it parses to itself.
pub(crate) fn escape(text: &str) -> String {
    text.replace(OPEN, "$${{")
}

struct Cursor<'a> {
    rest: &'a str,
    /// Characters since the start of `${{`.
    taken: usize,
}

impl<'a> Cursor<'a> {
    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.taken += taken.chars().count();
        self.rest = rest;
        taken
    }

    fn space(&mut self) {
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.advance(blank);
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.starts_with(token);
        if found {
            self.advance(token.len());
        }
        found
    }

    fn word(&mut self, allowed: fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !allowed(c))
            .unwrap_or(self.rest.len());
        self.advance(end)
    }

    fn found(&self) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("`{c}`"),
            None => "the end of the text".to_owned(),
        }
    }

    fn expression(&mut self) -> Result<Expression, String> {
        self.space();
        let start = (self.rest, self.taken);
        let path = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if path.is_empty() {
            return Err(format!(
                "expected a name such as vars.x after `${{{{`, found {}",
                self.found()
            ));
        }
        let Some(name) = Name::from_path(path) else {
            (self.rest, self.taken) = start;
            return Err(unknown_name(path));
        };
        let mut filters = Vec::new();
        let mut is_time = name == Name::RunTime;
        loop {
            self.space();
            if self.eat("}}") {
                return Ok(Expression { name, filters });
            }
            if !self.eat("|") {
                return Err(format!("expected `}}}}` or `|`, found {}", self.found()));
            }
            self.space();
            let start = (self.rest, self.taken);
            let filter = self.filter().and_then(|filter| match (&filter, is_time) {
                (Filter::Date(_), false) => {
                    Err("the filter `date` needs a time, and only run.time is one".to_owned())
                }
                _ => Ok(filter),
            });
            match filter {
                Ok(filter) => filters.push(filter),
                Err(why) => {
                    if !self.rest.is_empty() {
                        (self.rest, self.taken) = start;
                    }
                    return Err(why);
                }
            }
            is_time = false;
        }
    }

    fn filter(&mut self) -> Result<Filter, String> {
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() {
            return Err(format!(
                "expected a filter's name after `|`, found {}",
                self.found()
            ));
        }
        let mut arguments = Vec::new();
        self.space();
        if self.eat("(") {
            loop {
                self.space();
                if arguments.is_empty() && self.eat(")") {
                    break;
                }
                arguments.push(self.string()?);
                self.space();
                if self.eat(")") {
                    break;
                }
                if !self.eat(",") {
                    return Err(format!("expected `,` or `)`, found {}", self.found()));
                }
            }
        }
        Filter::new(name, arguments)
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = match self.rest.chars().next() {
            Some(c @ ('\'' | '"')) => c,
            _ => return Err(format!("expected a text in quotes, found {}", self.found())),
        };
        self.advance(1);
        let mut text = String::new();
        loop {
            let Some(end) = self.rest.find(quote) else {
                return Err(format!("a text in quotes does not end: {quote} is missing"));
            };
            text.push_str(self.advance(end));
            self.advance(1);
            if !self.rest.starts_with(quote) {
                return Ok(text);
            }
            text.push(quote);
            self.advance(1);
        }
    }
}

fn unknown_name(path: &str) -> String {
    let fixed: Vec<&str> = FIXED_NAMES.iter().map(|(name, _)| *name).collect();
    if let Some(name) = path.strip_prefix("env.") {
        return format!(
            "there is no `{path}`: declare a variable with `env: {name}` and use ${{{{ vars.NAME }}}}"
        );
    }
    match closest(path, fixed.iter().copied()) {
        Some(name) => format!("there is no `{path}`; did you mean `{name}`?"),
        None => format!(
            "there is no `{path}`; there are vars.NAME, {}",
            fixed.join(", ")
        ),
    }
}

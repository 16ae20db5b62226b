//! Reading expressions character by character: what templates and conditions have in common.

use super::expression::{FIXED_NAMES, FUNCTION_NAMES};
use super::{Expression, Filter, Name};
use crate::suggest::closest;

/// A place in a text that is being parsed.
pub(super) struct Cursor<'a> {
    rest: &'a str,
    /// Characters since the start of the text.
    taken: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `rest`, which itself begins after `taken` characters.
    pub(super) const fn new(rest: &'a str, taken: usize) -> Self {
        Self { rest, taken }
    }

    /// What is still to be read.
    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    /// How many characters have been read.
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.taken += taken.chars().count();
        self.rest = rest;
        taken
    }

    pub(super) fn space(&mut self) {
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.advance(blank);
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.starts_with(token);
        if found {
            self.advance(token.len());
        }
        found
    }

    /// Reads a word, if exactly this one stands here.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let end = self.rest.find(|c| !in_path(c)).unwrap_or(self.rest.len());
        self.rest.get(..end) == Some(word) && self.eat(word)
    }

    fn word(&mut self, allowed: fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !allowed(c))
            .unwrap_or(self.rest.len());
        self.advance(end)
    }

    /// Whether a name may begin here.
    pub(super) fn at_path(&self) -> bool {
        self.rest.starts_with(in_path)
    }

    /// Whether a text in quotes begins here.
    pub(super) fn at_string(&self) -> bool {
        self.rest.starts_with(['\'', '"'])
    }

    /// What stands here, for a message.
    pub(super) fn found(&self) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("`{c}`"),
            None => "the end of the text".to_owned(),
        }
    }

    /// A name and its filters. A `||` ends it, since a condition goes on after it.
    pub(super) fn expression(&mut self) -> Result<Expression, String> {
        let name = self.name()?;
        let mut filters: Vec<Filter> = Vec::new();
        loop {
            let before = (self.rest, self.taken);
            self.space();
            if self.rest.starts_with("||") || !self.eat("|") {
                (self.rest, self.taken) = before;
                return Ok(Expression { name, filters });
            }
            self.space();
            let start = (self.rest, self.taken);
            let filter = self
                .filter()
                .and_then(|filter| filter.fits(&name, filters.len()));
            match filter {
                Ok(filter) => filters.push(filter),
                Err(why) => {
                    if !self.rest.is_empty() {
                        (self.rest, self.taken) = start;
                    }
                    return Err(why);
                }
            }
        }
    }

    fn name(&mut self) -> Result<Name, String> {
        let start = (self.rest, self.taken);
        let path = self.word(in_path);
        if self.rest.starts_with('(') && FUNCTION_NAMES.contains(&path) {
            self.eat("(");
            self.space();
            let argument = self.string()?;
            self.space();
            if !self.eat(")") {
                return Err(format!("expected `)`, found {}", self.found()));
            }
            return match Name::function(path, argument) {
                Some(name) => Ok(name),
                None => {
                    (self.rest, self.taken) = start;
                    Err(format!("the function `{path}` needs a text: {path}('…')"))
                }
            };
        }
        if (path == "source.tags" || path == "image.tags") && self.eat("[") {
            self.space();
            let key = self.string()?;
            self.space();
            if key.is_empty() || !self.eat("]") {
                return Err(format!("a tag is named as {path}.KEY or {path}['KEY']"));
            }
            return Ok(match path {
                "image.tags" => Name::ImageTag(key),
                _ => Name::SourceTag(key),
            });
        }
        match Name::from_path(path) {
            Some(name) => Ok(name),
            None => {
                (self.rest, self.taken) = start;
                Err(unknown_name(path))
            }
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
        let before = (self.rest, self.taken);
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
        } else {
            (self.rest, self.taken) = before;
        }
        Filter::new(name, arguments)
    }

    /// A text in quotes; a quote is doubled to stand inside.
    pub(super) fn string(&mut self) -> Result<String, String> {
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

fn in_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn unknown_name(path: &str) -> String {
    let fixed = || FIXED_NAMES.iter().map(|(name, _)| *name);
    if let Some(name) = path.strip_prefix("env.") {
        return format!(
            "there is no `{path}`: write env('{name}'), or declare a variable with `env: {name}` and use \
             ${{{{ vars.NAME }}}}"
        );
    }
    match closest(path, fixed()) {
        Some(name) => format!("there is no `{path}`; did you mean `{name}`?"),
        None => format!(
            "there is no `{path}`; there are vars.NAME, matrix.NAME, source.tags.KEY, {}, and the functions \
             file('PATH'), env('NAME'), hash('PATH')",
            fixed().collect::<Vec<_>>().join(", ")
        ),
    }
}

//! The parser of templates.

use super::Expression;
use super::cursor::Cursor;

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
            let mut cursor = Cursor::new(after, OPEN.len());
            let expression = braced(&mut cursor).map_err(|message| TemplateError {
                message,
                occurrence,
                offset: cursor.taken(),
            })?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expression {
                expression,
                occurrence,
                width: cursor.taken(),
            });
            rest = cursor.rest();
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

/// The expression and its closing braces.
fn braced(cursor: &mut Cursor<'_>) -> Result<Expression, String> {
    cursor.space();
    if !cursor.at_path() {
        return Err(format!(
            "expected a name such as vars.x after `${{{{`, found {}",
            cursor.found()
        ));
    }
    let expression = cursor.expression()?;
    cursor.space();
    if cursor.eat("}}") {
        Ok(expression)
    } else {
        Err(format!("expected `}}}}` or `|`, found {}", cursor.found()))
    }
}

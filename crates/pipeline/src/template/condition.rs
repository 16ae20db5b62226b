//! `when`: conditions over what is known when the file is loaded.
//!
//! ```text
//! condition  = all { "||" all }
//! all        = not { "&&" not }
//! not        = "!" not | "(" condition ")" | comparison
//! comparison = operand [ ( "==" | "!=" ) operand | "in" "[" operand { "," operand } "]" ]
//! operand    = string | "true" | "false" | name { "|" filter } | "(" operand ")"
//! ```
//!
//! Texts are compared character by character. An operand alone must be `true` or `false`.

use super::cursor::Cursor;
use super::expression::quote;
use super::{Expression, Name};
use std::fmt;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// An operand that is `true` or `false`.
    Value(Operand),
    /// `left == right`, or `left != right`.
    Compare {
        /// The left side.
        left: Operand,
        /// Which comparison.
        comparison: Comparison,
        /// The right side.
        right: Operand,
    },
    /// `item in [ … ]`: whether it is one of these.
    In {
        /// What is looked for.
        item: Operand,
        /// Among what; at least one.
        list: Vec<Operand>,
    },
    /// `!condition`
    Not(Box<Condition>),
    /// `a && b && …`, at least two.
    All(Vec<Condition>),
    /// `a || b || …`, at least two.
    Any(Vec<Condition>),
}

/// How two texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    Different,
}

/// What a condition compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A text in quotes.
    Text(String),
    /// A bare `true` or `false`.
    Boolean(bool),
    /// A name and its filters.
    Expression(Expression),
}

/// Why a condition does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// What is wrong.
    pub message: String,
    /// How many characters after the condition's start.
    pub offset: usize,
}

/// Conditions inside each other; nobody writes that many.
const MAX_DEPTH: usize = 32;

/// Reads a condition.
///
/// # Errors
/// The first place where it is none.
pub fn parse_condition(text: &str) -> Result<Condition, ConditionError> {
    let mut cursor = Cursor::new(text, 0);
    let parsed = any(&mut cursor, 0).and_then(|condition| {
        cursor.space();
        if cursor.rest().is_empty() {
            Ok(condition)
        } else {
            Err(unexpected(&cursor))
        }
    });
    parsed.map_err(|message| ConditionError {
        message,
        offset: cursor.taken(),
    })
}

fn unexpected(cursor: &Cursor<'_>) -> String {
    if cursor.rest().starts_with('=') && !cursor.rest().starts_with("==") {
        return "expected `==`: texts are compared with two equals signs".to_owned();
    }
    format!(
        "expected `==`, `!=`, `in [ … ]`, `&&`, `||` or the end of the condition, found {}",
        cursor.found()
    )
}

fn any(cursor: &mut Cursor<'_>, depth: usize) -> Result<Condition, String> {
    let mut parts = vec![all(cursor, depth)?];
    loop {
        cursor.space();
        if !cursor.eat("||") {
            return Ok(one_or(parts, Condition::Any));
        }
        parts.push(all(cursor, depth)?);
    }
}

fn all(cursor: &mut Cursor<'_>, depth: usize) -> Result<Condition, String> {
    let mut parts = vec![not(cursor, depth)?];
    loop {
        cursor.space();
        if !cursor.eat("&&") {
            return Ok(one_or(parts, Condition::All));
        }
        parts.push(not(cursor, depth)?);
    }
}

fn one_or(mut parts: Vec<Condition>, several: fn(Vec<Condition>) -> Condition) -> Condition {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            several(parts)
        }
    }
}

fn not(cursor: &mut Cursor<'_>, depth: usize) -> Result<Condition, String> {
    if depth > MAX_DEPTH {
        return Err(format!(
            "the condition is nested more than {MAX_DEPTH} deep"
        ));
    }
    cursor.space();
    if cursor.eat("!") {
        return Ok(Condition::Not(Box::new(not(cursor, depth + 1)?)));
    }
    if cursor.eat("(") {
        let inner = any(cursor, depth + 1)?;
        cursor.space();
        if cursor.eat(")") {
            return match inner {
                // The brackets may be those of an operand: (vars.x | minor) == '4.12'.
                Condition::Value(operand) => compared(operand, cursor),
                other => Ok(other),
            };
        }
        return Err(if cursor.rest().is_empty() {
            "`(` is not closed".to_owned()
        } else {
            unexpected(cursor)
        });
    }
    comparison(cursor)
}

fn comparison(cursor: &mut Cursor<'_>) -> Result<Condition, String> {
    let left = operand(cursor)?;
    compared(left, cursor)
}

/// What stands after a comparison's left side.
fn compared(left: Operand, cursor: &mut Cursor<'_>) -> Result<Condition, String> {
    cursor.space();
    let comparison = if cursor.eat("==") {
        Comparison::Equal
    } else if cursor.eat("!=") {
        Comparison::Different
    } else if cursor.eat_word("in") {
        return Ok(Condition::In {
            item: left,
            list: list(cursor)?,
        });
    } else if let Operand::Text(_) = left {
        return Err("a text alone is no condition: compare it with `==` or `!=`".to_owned());
    } else {
        return Ok(Condition::Value(left));
    };
    cursor.space();
    Ok(Condition::Compare {
        left,
        comparison,
        right: operand(cursor)?,
    })
}

fn list(cursor: &mut Cursor<'_>) -> Result<Vec<Operand>, String> {
    cursor.space();
    if !cursor.eat("[") {
        return Err(format!(
            "expected a list after `in`, such as ['a', 'b'], found {}",
            cursor.found()
        ));
    }
    let mut items = Vec::new();
    loop {
        cursor.space();
        items.push(operand(cursor)?);
        cursor.space();
        if cursor.eat("]") {
            return Ok(items);
        }
        if !cursor.eat(",") {
            return Err(format!("expected `,` or `]`, found {}", cursor.found()));
        }
    }
}

fn operand(cursor: &mut Cursor<'_>) -> Result<Operand, String> {
    if cursor.eat("(") {
        cursor.space();
        let inner = bare_operand(cursor)?;
        cursor.space();
        return if cursor.eat(")") {
            Ok(inner)
        } else {
            Err(format!("expected `)`, found {}", cursor.found()))
        };
    }
    bare_operand(cursor)
}

fn bare_operand(cursor: &mut Cursor<'_>) -> Result<Operand, String> {
    if cursor.at_string() {
        return cursor.string().map(Operand::Text);
    }
    for (word, value) in [("true", true), ("false", false)] {
        if cursor.eat_word(word) {
            return Ok(Operand::Boolean(value));
        }
    }
    if cursor.rest().starts_with("${{") {
        return Err("a condition names things without `${{ }}`: write vars.x == 'y'".to_owned());
    }
    if cursor.rest().starts_with(|c: char| c.is_ascii_digit()) {
        return Err("a number is compared as a text: put it in quotes".to_owned());
    }
    if !cursor.at_path() {
        return Err(format!(
            "expected a name such as matrix.os, or a text in quotes, found {}",
            cursor.found()
        ));
    }
    cursor.expression().map(Operand::Expression)
}

impl Condition {
    /// Every name that stands in it.
    pub fn names(&self) -> Vec<&Name> {
        let mut names = Vec::new();
        self.collect(&mut names);
        names
    }

    fn collect<'c>(&'c self, names: &mut Vec<&'c Name>) {
        let mut add = |operand: &'c Operand| {
            if let Operand::Expression(expression) = operand {
                names.push(&expression.name);
            }
        };
        match self {
            Self::Value(operand) => add(operand),
            Self::Compare { left, right, .. } => {
                add(left);
                add(right);
            }
            Self::In { item, list } => {
                add(item);
                list.iter().for_each(add);
            }
            Self::Not(inner) => inner.collect(names),
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.collect(names));
            }
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => quote(f, text),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Expression(expression) => expression.write(f),
        }
    }
}

impl fmt::Display for Condition {
    /// The condition as it can be parsed again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>,
                      parts: &[Condition],
                      sign: &str,
                      brackets: fn(&Condition) -> bool| {
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    write!(f, " {sign} ")?;
                }
                if brackets(part) {
                    write!(f, "({part})")?;
                } else {
                    write!(f, "{part}")?;
                }
            }
            Ok(())
        };
        match self {
            Self::Value(operand) => operand.fmt(f),
            Self::Compare {
                left,
                comparison,
                right,
            } => {
                let sign = match comparison {
                    Comparison::Equal => "==",
                    Comparison::Different => "!=",
                };
                write!(f, "{left} {sign} {right}")
            }
            Self::In { item, list } => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(f, "{item} in [{}]", list.join(", "))
            }
            Self::Not(inner) => match inner.as_ref() {
                Self::Value(_) | Self::Not(_) => write!(f, "!{inner}"),
                _ => write!(f, "!({inner})"),
            },
            Self::All(parts) => joined(f, parts, "&&", |part| {
                matches!(part, Self::All(_) | Self::Any(_))
            }),
            Self::Any(parts) => joined(f, parts, "||", |part| matches!(part, Self::Any(_))),
        }
    }
}

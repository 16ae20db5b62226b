//! Reading the XML of S3's requests.
//!
//! The documents are small and flat: elements in elements, text in the innermost. Whoever reads one takes out what it knows
//! and refuses the rest, so that nothing a client says is ignored.

use super::error::S3Error;
use xmlparser::{ElementEnd, Token, Tokenizer};

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, without a prefix.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

/// How deep elements may lie in each other.
const DEEPEST: usize = 16;

/// Reads a document whose root is `root`.
///
/// # Errors
/// `MalformedXML`.
pub fn read(text: &[u8], root: &str) -> Result<Element, S3Error> {
    let text = std::str::from_utf8(text).map_err(|_| S3Error::malformed())?;
    let document = parse(text).ok_or_else(S3Error::malformed)?;
    match document.name == root {
        true => Ok(document),
        false => Err(S3Error::malformed()),
    }
}

fn parse(text: &str) -> Option<Element> {
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    for token in Tokenizer::from(text) {
        match token.ok()? {
            Token::ElementStart { local, .. } => {
                if root.is_some() || open.len() == DEEPEST {
                    return None;
                }
                open.push(Element {
                    name: local.as_str().to_owned(),
                    ..Element::default()
                });
            }
            Token::ElementEnd { end, .. } => {
                if let ElementEnd::Close(_, name) = end
                    && open.last()?.name != name.as_str()
                {
                    return None;
                }
                if !matches!(end, ElementEnd::Open) {
                    let closed = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(closed),
                        None => root = Some(closed),
                    }
                }
            }
            Token::Text { text } => {
                let text = unescape(text.as_str())?;
                match open.last_mut() {
                    Some(element) => element.text.push_str(&text),
                    None if text.trim().is_empty() => {}
                    None => return None,
                }
            }
            Token::Cdata { text, .. } => open.last_mut()?.text.push_str(text.as_str()),
            // Namespaces are said by clients and mean nothing here.
            Token::Attribute { .. } | Token::Comment { .. } | Token::Declaration { .. } => {}
            // A document type can define entities; S3 takes none.
            _ => return None,
        }
    }
    root.filter(|_| open.is_empty())
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (name, after) = after.split_once(';')?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

impl Element {
    /// The text of the one child of that name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let child = self.children.iter().find(|c| c.name == name)?;
        Some(child.text.as_str())
    }

    /// The children of that name.
    pub fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// Refuses a child that is none of `known`.
    ///
    /// # Errors
    /// `MalformedXML`.
    pub fn only(&self, known: &[&str]) -> Result<(), S3Error> {
        match self
            .children
            .iter()
            .all(|c| known.contains(&c.name.as_str()))
        {
            true => Ok(()),
            false => Err(S3Error::malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_texts_and_markup() {
        let text = r#"<?xml version="1.0"?><Delete xmlns="http://x/"><Quiet>true</Quiet><Object><Key>a &amp; b&#x41;&#10;</Key></Object><Object><Key><![CDATA[<c>]]></Key></Object></Delete>"#;
        let read = read(text.as_bytes(), "Delete").unwrap();
        assert_eq!(read.text_of("Quiet"), Some("true"));
        let keys: Vec<_> = read
            .each("Object")
            .map(|o| o.text_of("Key").unwrap())
            .collect();
        assert_eq!(keys, ["a & bA\n", "<c>"]);
        assert!(read.only(&["Quiet", "Object"]).is_ok());
        assert!(read.only(&["Object"]).is_err());
    }

    #[test]
    fn what_is_not_well_formed_or_another_document_is_refused() {
        for text in [
            "",
            "<a>",
            "<a></b>",
            "<b/>",
            "<a/><a/>",
            "<a>&unknown;</a>",
            "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
            "text<a/>",
        ] {
            assert_eq!(
                read(text.as_bytes(), "a").unwrap_err().code(),
                "MalformedXML",
                "{text}"
            );
        }
        let deep = format!("{}{}", "<a>".repeat(17), "</a>".repeat(17));
        assert!(read(deep.as_bytes(), "a").is_err());
        assert!(read(b"<a \xff/>", "a").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[<>/a-c&;#x0-9!\\[\\]\"= -]{0,80}") {
            let _ = parse(&text);
        }
    }
}

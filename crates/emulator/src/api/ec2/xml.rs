//! Writing the XML that EC2 and STS answer with.

use std::fmt::Display;

/// XML being written, element by element.
#[derive(Default)]
pub struct Xml {
    text: String,
}

impl Xml {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An element with text in it.
    pub fn put(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.open(name);
        escape(&value.to_string(), &mut self.text);
        self.close(name);
        self
    }

    /// An element with text in it, or nothing at all.
    pub fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.put(name, value);
        }
        self
    }

    /// An element with elements in it.
    pub fn node(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.open(name);
        fill(self);
        self.close(name);
        self
    }

    /// A list as EC2 writes it: one `item` for each member. An empty list is an empty element.
    pub fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.open(name);
        for item in items {
            self.node("item", |x| fill(x, item));
        }
        self.close(name);
        self
    }

    /// A list as IAM writes it: one `member` for each member.
    pub fn members<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.open(name);
        for item in items {
            self.node("member", |x| fill(x, item));
        }
        self.close(name);
        self
    }

    /// A list of texts as IAM writes it.
    pub fn member_texts<T: Display>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.open(name);
        for item in items {
            self.put("member", item);
        }
        self.close(name);
        self
    }

    /// A list of texts.
    pub fn texts<T: Display>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.open(name);
        for item in items {
            self.put("item", item);
        }
        self.close(name);
        self
    }

    /// What has been written.
    pub fn into_text(self) -> String {
        self.text
    }

    fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// Escapes markup. Control characters that XML 1.0 cannot hold become U+FFFD, so that the answer stays readable.
fn escape(value: &str, into: &mut String) {
    for c in value.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '\r' => into.push_str("&#13;"),
            '\t' | '\n' => into.push(c),
            c if (c as u32) < 0x20 || c == '\u{fffe}' || c == '\u{ffff}' => into.push('\u{fffd}'),
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_nodes_and_markup() {
        let mut x = Xml::new();
        x.put("a", "1 < 2 & 3\u{1}")
            .maybe("b", None::<u8>)
            .node("c", |x| {
                x.texts("d", ["e", "f"]).list("g", [1, 2], |x, n| {
                    x.put("n", n);
                });
            });
        assert_eq!(
            x.into_text(),
            "<a>1 &lt; 2 &amp; 3\u{fffd}</a><c><d><item>e</item><item>f</item></d>\
             <g><item><n>1</n></item><item><n>2</n></item></g></c>"
        );
    }
}

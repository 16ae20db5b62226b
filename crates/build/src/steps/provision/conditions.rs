//! Whether a web server's answer is the one that is waited for. Pure.

use super::wait_for::Look;
use crate::spec::{HttpSpec, JsonSpec, WantedSpec};
use serde_json::Value;

/// How much of a value is shown.
const SHOWN: usize = 60;

/// Compares an answer with what is wanted.
pub(super) fn check(wanted: &HttpSpec, status: u16, body: &[u8]) -> Look {
    if status != wanted.status {
        return Look::NotYet(format!(
            "{} answers with status {status}, not {}",
            wanted.url, wanted.status
        ));
    }
    let Some(json) = &wanted.json else {
        return Look::Yes;
    };
    let document: Value = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) => {
            return Look::NotYet(format!(
                "{} answers with what is not JSON ({} bytes): {error}",
                wanted.url,
                body.len()
            ));
        }
    };
    check_json(json, &document)
}

fn check_json(json: &JsonSpec, document: &Value) -> Look {
    let found = json.path.select(document);
    let so = found.iter().any(|value| match &json.wanted {
        WantedSpec::Equals(text) => equals(value, text),
        WantedSpec::Contains(text) => contains(value, text),
    });
    if so {
        return Look::Yes;
    }
    let wish = match &json.wanted {
        WantedSpec::Equals(text) => format!("equals {text:?}"),
        WantedSpec::Contains(text) => format!("contains {text:?}"),
    };
    Look::NotYet(match found.as_slice() {
        [] => format!("the answer has nothing at {}", json.path),
        [one] => format!("{} is {}, and not what {wish}", json.path, shown(one)),
        [.., last] => format!(
            "none of the {} values at {} {wish}; the last is {}",
            found.len(),
            json.path,
            shown(last)
        ),
    })
}

/// A text as it is, a number or boolean as it is written.
fn equals(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Number(value) => value.to_string() == text,
        Value::Bool(value) => value.to_string() == text,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value.contains(text),
        Value::Array(items) => items.iter().any(|item| equals(item, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => String::from("an object"),
        other => {
            let text = other.to_string();
            if text.chars().count() > SHOWN {
                format!("{}…", text.chars().take(SHOWN).collect::<String>())
            } else {
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::model::JsonPath;

    const GRAPH: &str = r#"{"nodes":[{"version":"4.12.2","n":3},{"version":"4.12.3","channels":["stable","fast"]}],"ok":true}"#;

    fn look(path: &str, wanted: WantedSpec) -> Look {
        let asked = HttpSpec {
            url: "https://example.com/graph".into(),
            headers: Vec::new(),
            status: 200,
            json: Some(JsonSpec {
                path: JsonPath::parse(path).unwrap(),
                wanted,
            }),
        };
        check(&asked, 200, GRAPH.as_bytes())
    }

    fn equals(text: &str) -> WantedSpec {
        WantedSpec::Equals(text.into())
    }

    fn contains(text: &str) -> WantedSpec {
        WantedSpec::Contains(text.into())
    }

    #[test]
    fn a_release_graph_lists_its_versions_and_no_others() {
        assert_eq!(look("nodes[*].version", equals("4.12.3")), Look::Yes);
        assert_eq!(
            look("nodes[*].version", equals("4.12")),
            Look::NotYet(
                "none of the 2 values at nodes[*].version equals \"4.12\"; the last is \"4.12.3\""
                    .into()
            )
        );
        assert_eq!(look("nodes[*].version", contains("4.12")), Look::Yes);
        assert_eq!(look("/nodes/1/channels", contains("fast")), Look::Yes);
        assert!(
            matches!(look("/nodes/1/channels", contains("fas")), Look::NotYet(why) if why.contains("a list of 2"))
        );
        assert_eq!(look("nodes[0].n", equals("3")), Look::Yes);
        assert_eq!(look("ok", equals("true")), Look::Yes);
        assert_eq!(
            look("node[*].version", equals("4.12.3")),
            Look::NotYet("the answer has nothing at node[*].version".into())
        );
    }

    #[test]
    fn the_status_counts_before_the_body_and_a_body_that_is_no_json_is_told() {
        let mut asked = HttpSpec {
            url: "https://example.com/x".into(),
            headers: Vec::new(),
            status: 204,
            json: None,
        };
        assert_eq!(check(&asked, 204, b"<html>"), Look::Yes);
        assert!(
            matches!(check(&asked, 200, b""), Look::NotYet(why) if why.contains("status 200, not 204"))
        );
        asked.status = 200;
        asked.json = Some(JsonSpec {
            path: JsonPath::parse("a").unwrap(),
            wanted: equals("b"),
        });
        assert!(
            matches!(check(&asked, 200, b"<html>"), Look::NotYet(why) if why.contains("not JSON (6 bytes)"))
        );
    }
}

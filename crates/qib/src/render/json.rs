//! `--json`: one object per line.

use build::event::Event;
use serde::Serialize;
use std::io::{self, Write};

/// Writes `event` as one line.
pub fn event_line(out: &mut dyn Write, event: &Event) -> io::Result<()> {
    line(out, event)
}

/// Writes `value` as one line and flushes: whoever reads a pipe sees it at once.
fn line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    out.write_all(&text)?;
    out.flush()
}

/// Writes `value` so that a person can read it too.
pub fn document(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    out.write_all(&text)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::event_line;
    use crate::render::sample::a_run;
    use serde_json::Value;

    fn lines() -> Vec<Value> {
        let mut out = Vec::new();
        for event in a_run() {
            event_line(&mut out, &event).expect("a vector takes everything");
        }
        let text = String::from_utf8(out).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    #[test]
    fn a_run_as_json() {
        let lines: Vec<String> = lines().iter().map(Value::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// The contract that scripts rely on.
    #[test]
    fn the_last_line_is_the_result() {
        let last = lines().pop().expect("there are events");
        assert_eq!(last["event"], "finished");
        assert!(
            last["status"].is_string() && last["run"].is_string() && last["left_behind"].is_array()
        );
        for key in ["stage", "cell", "region", "image_id", "name"] {
            assert!(last["images"][0][key].is_string(), "{key}");
        }
        assert!(last["images"][0]["cached"].is_boolean());
    }
}

//! The person at the terminal, who is asked at pauses.
//!
//! ```text
//!   question ─▶ bars away ─▶ printed ─▶ a line of input ──┬─ Enter, y ─▶ go on
//!                              ▲                          ├─ a, n, end of input ─▶ the run is told to stop
//!                              └────── anything else ─────┘
//! ```

use crate::render::screen::Screen;
use async_trait::async_trait;
use build::cancel::{Cancelled, Canceller};
use build::host::{Answer, Operator};
use std::io::BufRead;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Asks on the screen and reads from standard input.
pub struct TerminalOperator {
    screen: Arc<Screen>,
    canceller: Canceller,
    /// The lines that are typed, once one has been asked for; held while a question is open, so that several cells are
    /// asked one after another.
    lines: Mutex<Option<UnboundedReceiver<String>>>,
}

impl TerminalOperator {
    /// One whose refusal stops the run by `canceller`.
    pub fn new(screen: Arc<Screen>, canceller: Canceller) -> Self {
        Self {
            screen,
            canceller,
            lines: Mutex::new(None),
        }
    }
}

/// Takes the bars away while a question is open, however it ends.
struct Held<'s>(&'s Screen);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[async_trait]
impl Operator for TerminalOperator {
    async fn confirm(&self, question: &str) -> Answer {
        let mut lines = self.lines.lock().await;
        let lines = lines.get_or_insert_with(typed_lines);
        // What was typed before the question is no answer to it.
        while lines.try_recv().is_ok() {}
        self.screen.hold();
        let _held = Held(&self.screen);
        loop {
            self.screen
                .text(&format!("{question} [Enter: go on, a: abort]"));
            let answer = match lines.recv().await {
                Some(line) => meaning(&line),
                None => Some(Answer::Abort),
            };
            match answer {
                Some(Answer::GoOn) => return Answer::GoOn,
                Some(Answer::Abort) => {
                    self.canceller.cancel(Cancelled::Interrupted);
                    return Answer::Abort;
                }
                None => {}
            }
        }
    }
}

/// What a line means; none if that cannot be told.
fn meaning(line: &str) -> Option<Answer> {
    match line.trim().to_lowercase().as_str() {
        "" | "y" | "yes" | "go on" => Some(Answer::GoOn),
        "a" | "abort" | "n" | "no" | "q" => Some(Answer::Abort),
        _ => None,
    }
}

/// Lines of standard input. A read cannot be given up, so that one thread makes all of them, until the process ends.
fn typed_lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clear_answers_count() {
        assert_eq!(meaning(""), Some(Answer::GoOn));
        assert_eq!(meaning(" Y "), Some(Answer::GoOn));
        assert_eq!(meaning("abort"), Some(Answer::Abort));
        assert_eq!(meaning("N"), Some(Answer::Abort));
        assert_eq!(meaning("what?"), None);
    }
}

//! The person at the terminal.

use crate::render::screen::Screen;
use async_trait::async_trait;
use build::host::{Answer, Operator};
use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Asks on the terminal, and reads the answer from standard input.
pub struct TerminalOperator {
    screen: Arc<Screen>,
    /// One question at a time: two cells may come to one at once.
    turn: Mutex<()>,
}

impl TerminalOperator {
    /// The person who sees `screen`, if somebody does and can answer: standard input and standard error must both be a
    /// terminal.
    pub fn present(screen: Arc<Screen>) -> Option<Arc<dyn Operator>> {
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then(|| {
            Arc::new(Self {
                screen,
                turn: Mutex::new(()),
            }) as Arc<dyn Operator>
        })
    }
}

#[async_trait]
impl Operator for TerminalOperator {
    async fn confirm(&self, question: &str) -> Answer {
        let _turn = self.turn.lock().await;
        self.screen.text(&format!(
            "{question}\nEnter goes on, `no` and Enter stops here: "
        ));
        let (sender, answer) = tokio::sync::oneshot::channel();
        // A thread of its own: reading cannot be given up, and the process must be able to end while nobody answers.
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            // Nobody waits for the answer any more when the run was stopped meanwhile.
            let _ = sender.send(of_line(read.ok(), &line));
        });
        // Without an answer there is nobody.
        answer.await.unwrap_or(Answer::Abort)
    }
}

/// What a line says. The end of the input (Ctrl-D) is no agreement.
fn of_line(read: Option<usize>, line: &str) -> Answer {
    match (read, line.trim().to_ascii_lowercase().as_str()) {
        (None | Some(0), _) => Answer::Abort,
        (Some(_), "" | "y" | "yes") => Answer::GoOn,
        (Some(_), _) => Answer::Abort,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_is_a_yes_and_anything_else_but_yes_is_a_no() {
        for (line, answer) in [
            ("\n", Answer::GoOn),
            ("yes\n", Answer::GoOn),
            (" Y \n", Answer::GoOn),
            ("no\n", Answer::Abort),
            ("abort\n", Answer::Abort),
            ("", Answer::Abort),
        ] {
            assert_eq!(of_line(Some(line.len()), line), answer, "{line:?}");
        }
        assert_eq!(of_line(None, ""), Answer::Abort);
    }
}

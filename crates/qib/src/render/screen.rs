//! Everything a run shows, in one place: progress on stderr and, if asked for, JSON on stdout.

use super::json::event_line;
use super::logs::CellLogs;
use super::{Progress, Spoken};
use build::event::{Event, Observer};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shows a run.
pub struct Screen {
    inner: Mutex<Inner>,
}

struct Inner {
    progress: Box<dyn Progress>,
    json: Option<Box<dyn Write + Send>>,
    logs: Option<CellLogs>,
    state: State,
    failed: Option<io::Error>,
}

/// Whether a run still speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Speaking,
    /// The last event was shown: what comes later, of a run given up, would contradict it.
    Finished,
}

impl Screen {
    /// Shows progress through `progress`, and events as JSON on `json` if there is one.
    pub fn new(progress: Box<dyn Progress>, json: Option<Box<dyn Write + Send>>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                progress,
                json,
                logs: None,
                state: State::Speaking,
                failed: None,
            }),
        }
    }

    /// The same, and writes what happens to each cell to `logs`.
    #[must_use]
    pub fn with_logs(self, logs: CellLogs) -> Self {
        self.lock().logs = Some(logs);
        self
    }

    /// Moves nothing while somebody types.
    pub fn hold(&self) {
        self.lock().progress.hold();
    }

    /// Nobody types any more.
    pub fn release(&self) {
        self.lock().progress.release();
    }

    /// Shows text of qib's own.
    pub fn text(&self, text: &str) {
        give_up_silently(self.lock().progress.text(text));
    }

    /// Why the result did not get through, if it did not. A reader that went away has what it wanted.
    pub fn result_error(&self) -> Option<io::Error> {
        self.lock()
            .failed
            .take()
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in a renderer leaves nothing half-done that the next event could trip over.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Screen {
    fn observe(&self, event: &Event) {
        let mut inner = self.lock();
        if inner.state == State::Finished {
            return;
        }
        if matches!(event, Event::Finished(_)) {
            inner.state = State::Finished;
        }
        give_up_silently(inner.progress.event(event));
        if let Some(logs) = &mut inner.logs
            && let Some(trouble) = logs.event(event)
        {
            give_up_silently(inner.progress.text(&format!("warning: {trouble}")));
        }
        if let Some(out) = &mut inner.json
            && let Err(error) = event_line(out.as_mut(), event)
        {
            inner.json = None;
            inner.failed = Some(error);
        }
    }
}

/// Progress that cannot be shown has nowhere to be reported to, and is no reason to leave things in the account.
fn give_up_silently(spoken: Spoken) {
    drop(spoken);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::{a_report, a_run};
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Silent;

    impl Progress for Silent {
        fn event(&mut self, _: &Event) -> Spoken {
            Ok(())
        }
        fn text(&mut self, _: &str) -> Spoken {
            Ok(())
        }
    }

    #[test]
    fn the_last_line_stays_the_last() {
        let out = Shared::default();
        let screen = Screen::new(Box::new(Silent), Some(Box::new(out.clone())));
        for event in a_run() {
            screen.observe(&event);
        }
        let last = out.0.lock().expect("not poisoned").clone();
        // A run that was given up goes on for a moment.
        for event in a_run() {
            screen.observe(&event);
        }
        assert_eq!(*out.0.lock().expect("not poisoned"), last);
    }

    #[test]
    fn a_result_that_cannot_be_written_is_told_unless_nobody_wants_it() {
        for (kind, told) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::BrokenPipe, false),
        ] {
            let screen = Screen::new(Box::new(Silent), Some(Box::new(Broken(kind))));
            screen.observe(&Event::Finished(a_report()));
            assert_eq!(screen.result_error().is_some(), told, "{kind:?}");
        }
    }
}

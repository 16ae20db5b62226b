//! Running a prepared script over a connection.

use super::PreparedScript;
use crate::connect::Connection;
use crate::exec::{Collected, CommandExit, OutputSink, RunError, Stream};
use crate::transfer::{FileMode, PutBytes, UploadError, put};
use crate::{Discard, RemoteCommand};

impl Connection {
    /// Puts a script's files in place, runs it, and passes its output on as it comes.
    ///
    /// # Errors
    /// [`RunError::NotStaged`] if it was not started: sudo wants a password, the disk is full … With
    /// [`RunError::ConnectionLost`] its files may still be there: run [`PreparedScript::cleanup`] over a new connection.
    pub async fn run_script(
        &self,
        script: &PreparedScript,
        output: &mut dyn OutputSink,
    ) -> Result<CommandExit, RunError> {
        // If the folder cannot be made it is not ours to remove.
        self.make_folder(script).await?;
        if let Err(error) = self.stage(script).await {
            self.clean_up(script).await;
            return Err(error);
        }
        let result = self.run(&script.command, output).await;
        // A script that succeeded has removed its files. One that failed may not even have begun: sudo may have refused,
        // with the environment still in its file.
        if !result.as_ref().is_ok_and(CommandExit::is_success) {
            self.clean_up(script).await;
        }
        result
    }

    async fn make_folder(&self, script: &PreparedScript) -> Result<(), RunError> {
        let mut said = Collected::default();
        let exit = self
            .run(&RemoteCommand::new(script.make_folder()), &mut said)
            .await?;
        if !exit.is_success() {
            let words = said.text(Stream::Stderr);
            let detail = if words.is_empty() {
                exit.to_string()
            } else {
                format!("{words} ({exit})")
            };
            return Err(RunError::NotStaged {
                destination: self.destination().clone(),
                detail,
            });
        }
        Ok(())
    }

    async fn stage(&self, script: &PreparedScript) -> Result<(), RunError> {
        let not_staged = |detail| RunError::NotStaged {
            destination: self.destination().clone(),
            detail,
        };
        for file in &script.staged {
            let file = PutBytes {
                content: &file.content,
                remote: &file.path,
                mode: FileMode::PRIVATE,
                command: &|program| script.receive(program),
            };
            put(self, file).await.map_err(|error| match error {
                UploadError::Run { source, .. } => source,
                other => not_staged(other.to_string()),
            })?;
        }
        Ok(())
    }

    /// Removes what is left. What fails here is not worth hiding the result for; the caller can run the command again.
    async fn clean_up(&self, script: &PreparedScript) {
        if self.is_closed() {
            return;
        }
        match self.run(&script.cleanup, &mut Discard).await {
            Ok(exit) if exit.is_success() => {}
            Ok(exit) => {
                tracing::warn!(folder = %script.folder, %exit, "a script's files may be left at the host")
            }
            Err(error) => {
                tracing::warn!(folder = %script.folder, %error, "a script's files may be left at the host")
            }
        }
    }
}

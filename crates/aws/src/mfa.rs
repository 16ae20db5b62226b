//! Codes of MFA devices.

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt as _, Shared};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Asks a person for the code that a device shows now.
#[async_trait]
pub trait MfaPrompt: fmt::Debug + Send + Sync {
    /// The code of the device with this serial number or ARN.
    ///
    /// # Errors
    /// Why there is none: nobody answers, the terminal is gone.
    async fn code(&self, device: &str) -> Result<String, String>;
}

/// How codes of MFA devices are come by.
#[derive(Clone, Default)]
pub struct Mfa {
    /// A code that was given beforehand. It serves once.
    pub code: Option<String>,
    /// Who is asked for one otherwise; none if nobody can be.
    pub prompt: Option<Arc<dyn MfaPrompt>>,
}

impl fmt::Debug for Mfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mfa")
            .field("code", &self.code.as_ref().map(|_| "…"))
            .field("prompt", &self.prompt)
            .finish()
    }
}

/// Why there is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCode {
    #[error(
        "the code of the MFA device {0} that was given has been used, and there is no terminal to ask for another one on; a \
         longer duration_seconds in the profile lets a session last as long as the run"
    )]
    Nobody(String),
    #[error("no code of the MFA device {device}: {why}")]
    Unanswered { device: String, why: String },
}

type Asking = Shared<BoxFuture<'static, Result<String, String>>>;

/// Hands out codes: the one that was given, then what the prompt answers.
pub(crate) struct Codes {
    given: Mutex<Option<String>>,
    prompt: Option<Arc<dyn MfaPrompt>>,
    /// A question that nobody has answered yet. Who asked may have run out of time: the next one waits for the same answer,
    /// rather than asking again under the hands of who is typing.
    asking: Mutex<Option<(String, Asking)>>,
}

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codes")
    }
}

impl Codes {
    pub(crate) fn of(mfa: &Mfa) -> Self {
        Self {
            given: Mutex::new(mfa.code.clone()),
            prompt: mfa.prompt.clone(),
            asking: Mutex::new(None),
        }
    }

    /// Asks for the first code now rather than when it is needed: an answer may take longer than a call has.
    pub(crate) async fn prepare(&self, device: &str) -> Result<(), NoCode> {
        if locked(&self.given).is_none() {
            let code = self.next(device).await?;
            *locked(&self.given) = Some(code);
        }
        Ok(())
    }

    /// The next code of `device`.
    pub(crate) async fn next(&self, device: &str) -> Result<String, NoCode> {
        if let Some(code) = locked(&self.given).take() {
            return Ok(code);
        }
        let prompt = self
            .prompt
            .clone()
            .ok_or_else(|| NoCode::Nobody(device.to_owned()))?;
        let answer = self.asking(device, prompt).await;
        *locked(&self.asking) = None;
        answer.map_err(|why| NoCode::Unanswered {
            device: device.to_owned(),
            why,
        })
    }

    fn asking(&self, device: &str, prompt: Arc<dyn MfaPrompt>) -> Asking {
        let mut asking = locked(&self.asking);
        match asking.as_ref() {
            Some((of, question)) if of == device => question.clone(),
            _ => {
                let of = device.to_owned();
                let question = async move { prompt.code(&of).await }.boxed().shared();
                *asking = Some((device.to_owned(), question.clone()));
                question
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    /// Answers when it is told to, with the number of the question.
    #[derive(Debug, Default)]
    struct Person {
        asked: AtomicUsize,
        answer: Notify,
    }

    #[async_trait]
    impl MfaPrompt for Person {
        async fn code(&self, device: &str) -> Result<String, String> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            self.answer.notified().await;
            match device {
                "gone" => Err("the terminal is gone".to_owned()),
                _ => Ok(format!("00000{number}")),
            }
        }
    }

    fn with(code: Option<&str>, person: Option<Arc<Person>>) -> Codes {
        Codes::of(&Mfa {
            code: code.map(str::to_owned),
            prompt: person.map(|person| person as Arc<dyn MfaPrompt>),
        })
    }

    #[tokio::test]
    async fn a_code_that_was_given_serves_once() {
        let codes = with(Some("123456"), None);
        codes.prepare("d").await.unwrap();
        assert_eq!(codes.next("d").await.unwrap(), "123456");
        let error = codes.next("d").await.unwrap_err();
        assert_eq!(error, NoCode::Nobody("d".to_owned()));
        assert!(error.to_string().contains("duration_seconds"));
    }

    #[tokio::test]
    async fn a_question_outlives_who_asked_it() {
        let person = Arc::new(Person::default());
        let codes = with(None, Some(person.clone()));
        let hasty = std::time::Duration::from_millis(10);
        for _ in 0..3 {
            let answer = tokio::time::timeout(hasty, codes.next("d")).await;
            assert!(answer.is_err());
        }
        person.answer.notify_one();
        assert_eq!(codes.next("d").await.unwrap(), "000000");
        // And the next one is a new one.
        person.answer.notify_one();
        assert_eq!(codes.next("d").await.unwrap(), "000001");
    }

    #[tokio::test]
    async fn an_unanswered_question_says_why() {
        let person = Arc::new(Person::default());
        person.answer.notify_one();
        let codes = with(None, Some(person));
        let error = codes.prepare("gone").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no code of the MFA device gone: the terminal is gone"
        );
    }

    #[test]
    fn a_code_is_not_printed() {
        let mfa = Mfa {
            code: Some("123456".to_owned()),
            prompt: None,
        };
        assert!(!format!("{mfa:?}").contains("123456"));
    }
}

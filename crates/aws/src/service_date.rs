//! The service's own clock, as the `Date` of an answer tells it.

use crate::answer::{BadAnswer, moment, required};
use aws_sdk_ssm::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_ssm::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ssm::primitives::{DateTime, DateTimeFormat};
use cloud::Timestamp;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

/// The HTTP header (RFC 9110, section 6.6.1).
const HEADER: &str = "date";

/// Keeps the `Date` of the answer to the one call that it is handed to.
///
/// The age of a lease decides who may terminate whose instance. Counted from this machine's clock, a clock that is two
/// minutes fast would make every lease look dead; the service's date and its `LastModifiedDate` are of one clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceDate(Arc<Mutex<Option<String>>>);

impl ServiceDate {
    /// The moment of the answer, with whole seconds.
    pub(crate) fn get(&self) -> Result<Timestamp, BadAnswer> {
        const FIELD: &str = "the header Date";
        let text = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let text = required(text, FIELD)?;
        DateTime::from_str(&text, DateTimeFormat::HttpDate)
            .ok()
            .as_ref()
            .and_then(moment)
            .ok_or(BadAnswer {
                field: FIELD,
                value: Some(text),
            })
    }
}

impl Intercept for ServiceDate {
    fn name(&self) -> &'static str {
        "the date of the answer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let date = context.response().headers().get(HEADER);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.map(str::to_owned);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(header: Option<&str>) -> Result<Timestamp, BadAnswer> {
        ServiceDate(Arc::new(Mutex::new(header.map(str::to_owned)))).get()
    }

    #[test]
    fn a_date_is_read_as_http_writes_it() {
        assert_eq!(
            date(Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            Ok("1994-11-06T08:49:37Z".parse().unwrap())
        );
    }

    #[test]
    fn no_date_or_a_strange_one_is_a_bad_answer() {
        assert_eq!(date(None).unwrap_err().value, None);
        let strange = date(Some("yesterday")).unwrap_err();
        assert_eq!(strange.value.as_deref(), Some("yesterday"));
    }
}

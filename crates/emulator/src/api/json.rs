//! What the services in JSON have in common.

use super::error::ApiError;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a request. A member that the action does not have is refused: it is never ignored.
///
/// # Errors
/// `ValidationException`.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| invalid(e.to_string()))
}

/// A refusal of what a request says.
pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", message)
}

/// An action that there is not.
pub(crate) fn unknown_action(service: &str, action: &str) -> ApiError {
    ApiError::new(
        "UnknownOperationException",
        format!("The local EC2's {service} has no action {action}"),
    )
}

/// A page of `all`, in the order of `key`, after the item with the key `after`; and the token of the next page.
pub(crate) fn page<T>(
    all: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    most: usize,
    after: Option<&str>,
) -> (Vec<T>, Option<String>) {
    let mut page: Vec<T> = all
        .into_iter()
        .filter(|item| after.is_none_or(|a| key(item).as_str() > a))
        .collect();
    page.sort_by_key(&key);
    let more = page.len() > most;
    page.truncate(most);
    let next = page.last().filter(|_| more).map(&key);
    (page, next)
}

/// Puts a member into an object, if there is a value.
pub(crate) fn with(mut answer: Value, name: &str, value: Option<String>) -> Value {
    if let (Some(value), Some(map)) = (value, answer.as_object_mut()) {
        map.insert(name.to_owned(), Value::String(value));
    }
    answer
}

//! Errors whose own words say too little.

use std::error::Error;

/// An error and what caused it, in one line. What an error repeats of its cause is said once.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Told {
        text: &'static str,
        source: Option<Box<Told>>,
    }

    #[test]
    fn each_cause_is_told_once() {
        let told = |text, source| Told {
            text,
            source: Option::map(source, Box::new),
        };
        let refused = told("Connection refused", None);
        let connect = told("tcp: Connection refused", Some(refused));
        let error = told("client error (Connect)", Some(connect));
        assert_eq!(
            with_causes(&error),
            "client error (Connect): tcp: Connection refused"
        );
    }
}

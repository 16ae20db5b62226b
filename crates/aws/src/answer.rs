//! Reading answers: what EC2 always sends is still checked, so that a surprise is an error and not a panic or a guess.

use cloud::{CloudError, ErrorKind, Timestamp};

/// A part of an answer that is missing or cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadAnswer {
    /// The field, in EC2's spelling.
    pub(crate) field: &'static str,
    /// What was there, if anything.
    pub(crate) value: Option<String>,
}

impl BadAnswer {
    /// For `map_err`: names the call that was answered so.
    pub(crate) fn to(operation: &'static str) -> impl Fn(BadAnswer) -> CloudError {
        move |bad| CloudError {
            message: match bad.value {
                None => format!("the answer lacks {}", bad.field),
                Some(value) => format!("the answer has {value:?} as {}", bad.field),
            },
            ..unreadable(operation)
        }
    }
}

/// The error for an answer that makes no sense; the caller fills in the message.
pub(crate) fn unreadable(operation: &'static str) -> CloudError {
    CloudError {
        operation,
        resource: None,
        kind: ErrorKind::Other,
        code: String::new(),
        message: String::new(),
        request_id: None,
    }
}

/// A field that EC2 always sends.
pub(crate) fn required<T>(value: Option<T>, field: &'static str) -> Result<T, BadAnswer> {
    value.ok_or(BadAnswer { field, value: None })
}

/// A number that EC2 always sends, and that no negative one can stand for.
pub(crate) fn unsigned<T: TryInto<U> + Copy + ToString, U>(
    number: Option<T>,
    field: &'static str,
) -> Result<U, BadAnswer> {
    let number = required(number, field)?;
    number.try_into().map_err(|_| BadAnswer {
        field,
        value: Some(number.to_string()),
    })
}

/// A field to be parsed, where there is one.
pub(crate) fn parsed<T: std::str::FromStr>(
    value: Option<&str>,
    field: &'static str,
) -> Result<Option<T>, BadAnswer> {
    value
        .filter(|text| !text.is_empty())
        .map(|text| {
            text.parse().map_err(|_| BadAnswer {
                field,
                value: Some(text.to_owned()),
            })
        })
        .transpose()
}

/// The SDK's time as ours; none if it is beyond what a calendar holds.
pub(crate) fn moment(time: &aws_sdk_ec2::primitives::DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_bad_answer_names_call_field_and_value() {
        let lacking = BadAnswer::to("DescribeInstances")(BadAnswer {
            field: "instanceId",
            value: None,
        });
        assert_eq!(
            lacking.to_string(),
            "DescribeInstances failed: the answer lacks instanceId"
        );
        let error = parsed::<Ipv4Addr>(Some("1.2.3"), "publicIp").unwrap_err();
        assert_eq!(
            BadAnswer::to("DescribeAddresses")(error).message,
            "the answer has \"1.2.3\" as publicIp"
        );
    }

    #[test]
    fn an_empty_field_is_none() {
        assert_eq!(parsed::<Ipv4Addr>(Some(""), "publicIp"), Ok(None));
    }
}

//! What a refused request is answered with.
//!
//! Codes and their meaning: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>.

use super::protocol::Service;
use std::borrow::Cow;
use std::fmt;

/// A refusal: EC2's code, a message for the person, and the HTTP status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    code: Cow<'static, str>,
    message: String,
    status: u16,
    reason: Option<&'static str>,
}

impl ApiError {
    /// A client error, HTTP 400, which is what EC2 answers to nearly all of them.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: 400,
            reason: None,
        }
    }

    /// The same with another HTTP status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with a word for programs, which some services give beside the code.
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The word for programs, such as `SNAPSHOT_NOT_FOUND`.
    pub fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// EC2's code, such as `InvalidInstanceID.NotFound`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A parameter that the action cannot do without.
    pub fn missing(parameter: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("The request must contain the parameter {parameter}"),
        )
    }

    /// A parameter that the action does not have, or that the local EC2 does not carry out: it is never ignored.
    pub fn unknown_parameter(parameter: &str) -> Self {
        Self::new(
            "UnknownParameter",
            format!("The parameter {parameter} is not recognized"),
        )
    }

    /// A value outside what the parameter allows.
    pub fn invalid_value(parameter: &str, value: &str, why: &str) -> Self {
        Self::new(
            "InvalidParameterValue",
            format!("Value ({value}) for parameter {parameter} is invalid. {why}"),
        )
    }

    /// Parameters that exclude each other.
    pub fn combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    /// One request too many, in each service's own words:
    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>,
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>,
    /// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html>.
    pub fn throttled(service: Service) -> Self {
        match service {
            Service::Ec2 => {
                Self::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503)
            }
            Service::Sts | Service::Iam => Self::new("Throttling", "Rate exceeded"),
            Service::Ssm | Service::Kms => Self::new("ThrottlingException", "Rate exceeded"),
            // https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
            Service::Quotas => Self::new("TooManyRequestsException", "Rate exceeded"),
            // https://docs.aws.amazon.com/ebs/latest/APIReference/CommonErrors.html
            Service::Ebs => Self::new("RequestThrottledException", "Rate exceeded")
                .with_reason("ACCOUNT_THROTTLED"),
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
            Service::S3 => {
                Self::new("SlowDown", "Please reduce your request rate.").with_status(503)
            }
        }
    }

    /// Credentials that are not known (HTTP 401), as EC2 words it.
    pub fn auth_failure() -> Self {
        Self::new(
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        )
        .with_status(401)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

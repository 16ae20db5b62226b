//! One table from what AWS answers, or fails to answer, to what a caller can do about it.
//!
//! Sources of the codes:
//! - EC2: <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
//! - SSM: <https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html> and the pages of
//!   GetParameter, GetParametersByPath, PutParameter and DeleteParameter
//! - STS: <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
//! - IAM: <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html> and the pages of the calls
//! - EBS direct: the pages of the calls in <https://docs.aws.amazon.com/ebs/latest/APIReference/>
//! - S3: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
//! - KMS: the pages of DescribeKey and CreateGrant in <https://docs.aws.amazon.com/kms/latest/APIReference/>
//! - Service Quotas: the pages of GetServiceQuota and GetAWSDefaultServiceQuota in
//!   <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/>
//!
//! ```text
//!   answer with a code ──▶ CODES ──▶ SUFFIXES ──▶ PREFIXES ──▶ HTTP status ──▶ Other
//!     of a refused signature, clocks apart ──▶ Expired, not Credentials
//!   answer without sense, none, too late ──▶ Transient: whether the call had an effect is not known
//!   no credentials to sign with ──▶ Credentials
//! ```

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use cloud::{CloudError, ErrorKind};
use std::error::Error;
use std::time::{Duration, SystemTime};

/// Codes by their whole name. What is not here is decided by its end, then by its start.
const CODES: &[(ErrorKind, &[&str])] = &[
    (
        ErrorKind::Throttled,
        &[
            "RequestLimitExceeded",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "EC2ThrottledException",
            "TooManyRequestsException",
            "BandwidthLimitExceeded",
            "PriorRequestNotComplete",
            "SlowDown",
            // CreateSnapshot and CreateImage: too many of one volume within a short time.
            "SnapshotCreationPerVolumeRateExceeded",
            // PutParameter and DeleteParameter: others write the same parameter at this moment.
            "TooManyUpdates",
            // IAM: others change the same role or profile at this moment, or it was just made; nothing was done.
            "ConcurrentModification",
            "EntityTemporarilyUnmodifiable",
            // EBS direct: too many calls at the same time.
            "ConcurrentLimitExceededException",
        ],
    ),
    (
        ErrorKind::Transient,
        &[
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "ServerInternal",
            "ServiceUnavailable",
            "Unavailable",
            "RequestTimeout",
            "RequestTimeoutException",
            // IAM, Service Quotas, KMS.
            "ServiceFailure",
            "ServiceException",
            "DependencyTimeoutException",
            "KeyUnavailableException",
            "KMSInternalException",
            // EBS direct.
            "InternalServerException",
            // S3: what arrived is not what was sent.
            "BadDigest",
            "XAmzContentSHA256Mismatch",
            "IncompleteBody",
        ],
    ),
    (
        ErrorKind::NotFound,
        &[
            "ParameterNotFound",
            "ParameterVersionNotFound",
            "NoSuchEntity",
            "NoSuchResourceException",
            "NotFoundException",
            // EBS direct: also of a snapshot that was started a moment ago.
            "ResourceNotFoundException",
            // S3.
            "NotFound",
            "NoSuchBucket",
            "NoSuchKey",
            "NoSuchUpload",
        ],
    ),
    (
        ErrorKind::Duplicate,
        &["ParameterAlreadyExists", "EntityAlreadyExists"],
    ),
    (
        ErrorKind::Dependency,
        &["DependencyViolation", "DeleteConflict"],
    ),
    (
        ErrorKind::WrongState,
        &[
            "IncorrectInstanceState",
            "IncorrectState",
            "InvalidState",
            // "The specified AMI has been deregistered and is no longer available, or is not in a state from which
            // you can launch an instance or specify attributes."
            "InvalidAMIID.Unavailable",
            // Termination or deregistration protection, most of the time.
            "OperationNotPermitted",
            // Of a KMS key.
            "DisabledException",
            "KMSInvalidStateException",
        ],
    ),
    (ErrorKind::AddressInUse, &["Resource.AlreadyAssociated"]),
    (
        ErrorKind::Capacity,
        &[
            "InsufficientInstanceCapacity",
            "InsufficientHostCapacity",
            "InsufficientReservedInstanceCapacity",
            "InsufficientCapacity",
            "InsufficientCapacityOnHost",
            // Of spot instances: the market's price is above ours.
            "SpotMaxPriceTooLow",
        ],
    ),
    (
        ErrorKind::Quota,
        &[
            "MaxSpotInstanceCountExceeded",
            "MaxIOPSLimitExceeded",
            "InsufficientFreeAddressesInSubnet",
            "LimitExceededException",
            "ServiceQuotaExceededException",
        ],
    ),
    (
        ErrorKind::Credentials,
        &[
            "AuthFailure",
            "Blocked",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ],
    ),
    (
        ErrorKind::Expired,
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            // Of temporary credentials, and of a signature whose date is off by 15 minutes.
            "RequestExpired",
            "RequestTimeTooSkewed",
        ],
    ),
    (
        ErrorKind::AccessDenied,
        &[
            "UnauthorizedOperation",
            "AccessDenied",
            "AccessDeniedException",
            "OptInRequired",
            "DependencyAccessDeniedException",
            // STS is not active in the region.
            "RegionDisabledException",
        ],
    ),
    (
        ErrorKind::InvalidInput,
        &[
            "IdempotentParameterMismatch",
            "HierarchyLevelLimitExceededException",
            "HierarchyTypeMismatchException",
            "IllegalArgumentException",
            "MalformedPolicyDocument",
            "MalformedPolicyDocumentException",
            "UnmodifiableEntity",
            "ParameterPatternMismatchException",
            "Unsupported",
            "UnsupportedOperation",
            "UnsupportedParameterType",
            "ValidationError",
            "ValidationException",
            "VPCIdNotSpecified",
        ],
    ),
];

/// Codes by their end, which EC2 gives its meaning: `InvalidGroup.NotFound`, `InvalidAMIName.Duplicate` …
const SUFFIXES: &[(ErrorKind, &str)] = &[
    (ErrorKind::NotFound, ".NotFound"),
    (ErrorKind::Duplicate, ".Duplicate"),
    (ErrorKind::Dependency, ".InUse"),
    (ErrorKind::Quota, "LimitExceeded"),
    (ErrorKind::Quota, "QuotaExceeded"),
];

/// Codes by their start: what is left of these is about the request itself.
const PREFIXES: &[(ErrorKind, &str)] = &[
    (ErrorKind::InvalidInput, "Invalid"),
    (ErrorKind::InvalidInput, "Missing"),
    (ErrorKind::InvalidInput, "Malformed"),
    (ErrorKind::InvalidInput, "Unknown"),
];

/// EC2's message where AuthFailure is about the credentials. The same code, with another message, says that an image
/// or an address belongs to somebody else.
const BAD_CREDENTIALS: &str = "validate the provided access credentials";

/// EC2's message where Unsupported is about this type in this zone, which another type or zone mends. The same code,
/// with another message, is about the request.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html>
const NOT_IN_ZONE: &str = "not supported in your requested Availability Zone";

/// What the services say where a signature is refused for its date alone: SSM and STS in the message.
const STALE_SIGNATURE: &[&str] = &["Signature expired", "Signature not yet current"];

/// Codes of refused signatures: of a wrong secret, or of a clock that is wrong.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
const REFUSED_SIGNATURE: &[&str] = &[
    "AuthFailure",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
];

/// From how far apart the clocks count as the reason for a refused signature: AWS allows five minutes.
const CLOCKS_APART: Duration = Duration::from_secs(4 * 60);

/// Whether a refusal of the signature is a matter of the clock. The SDK has then read the service's time from the answer
/// and signs the next call of the same client by it.
fn is_stale_signature(code: &str, message: &str, apart: Option<Duration>) -> bool {
    REFUSED_SIGNATURE.contains(&code)
        && (STALE_SIGNATURE.iter().any(|text| message.contains(text))
            || apart.is_some_and(|apart| apart > CLOCKS_APART))
}

/// How far the `Date` of an answer is from this machine's clock.
fn clocks_apart(answer: &HttpResponse, now: SystemTime) -> Option<Duration> {
    let date = answer.headers().get("date")?;
    let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    let date = SystemTime::try_from(date).ok()?;
    date.duration_since(now).or(now.duration_since(date)).ok()
}

/// What a caller can do about an answer with this code, message and HTTP status.
pub(crate) fn kind_of(code: &str, message: &str, status: u16) -> ErrorKind {
    if code == "AuthFailure" && !message.contains(BAD_CREDENTIALS) {
        return ErrorKind::AccessDenied;
    }
    if code == "Unsupported" && message.contains(NOT_IN_ZONE) {
        return ErrorKind::Capacity;
    }
    let by_name = CODES
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map(|(kind, _)| *kind);
    let by_end = || {
        SUFFIXES
            .iter()
            .find(|(_, end)| code.ends_with(end))
            .map(|(kind, _)| *kind)
    };
    let by_start = || {
        PREFIXES
            .iter()
            .find(|(_, start)| code.starts_with(start))
            .map(|(kind, _)| *kind)
    };
    by_name
        .or_else(by_end)
        .or_else(by_start)
        .unwrap_or(match status {
            429 => ErrorKind::Throttled,
            500..=599 => ErrorKind::Transient,
            _ => ErrorKind::Other,
        })
}

/// For `map_err`: the failure of the call named `operation`.
pub(crate) fn failed<E>(
    operation: &'static str,
) -> impl Fn(SdkError<E, HttpResponse>) -> CloudError + Copy
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    move |error| classified(operation, &error)
}

fn classified<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let without_answer = |kind, message: String| CloudError {
        operation,
        resource: None,
        kind,
        code: String::new(),
        message,
        request_id: error.request_id().map(str::to_owned),
    };
    match error {
        SdkError::ServiceError(answer) => {
            let meta = answer.err().meta();
            let status = answer.raw().status().as_u16();
            let code = meta.code().unwrap_or_default();
            let message = meta.message().unwrap_or_default();
            let apart = clocks_apart(answer.raw(), SystemTime::now());
            CloudError {
                operation,
                resource: None,
                kind: match kind_of(code, message, status) {
                    ErrorKind::Credentials if is_stale_signature(code, message, apart) => {
                        ErrorKind::Expired
                    }
                    kind => kind,
                },
                code: code.to_owned(),
                message: if message.is_empty() {
                    format!("the answer was HTTP status {status} without a message")
                } else {
                    message.to_owned()
                },
                request_id: error
                    .request_id()
                    .or_else(|| request_id_in(answer.raw().body().bytes()?))
                    .map(str::to_owned),
            }
        }
        SdkError::TimeoutError(_) => without_answer(
            ErrorKind::Transient,
            format!("no answer in the time allowed for it ({})", reasons(error)),
        ),
        SdkError::DispatchFailure(failure) => match credentials_failure(error) {
            Some(reason) => without_answer(ErrorKind::Credentials, reasons(reason)),
            None => without_answer(
                failure
                    .as_connector_error()
                    .map_or(ErrorKind::Transient, connector_kind),
                format!(
                    "the request could not be sent: {}",
                    reasons(failure_source(error))
                ),
            ),
        },
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            without_answer(
                match status {
                    429 => ErrorKind::Throttled,
                    // A refusal, if not one of AWS's: of a proxy, for instance.
                    300..=499 => ErrorKind::Other,
                    // Cut off, or not to be understood: the call may have had its effect.
                    _ => ErrorKind::Transient,
                },
                format!(
                    "the answer, HTTP status {status}, could not be read: {}",
                    reasons(failure_source(error))
                ),
            )
        }
        SdkError::ConstructionFailure(_) => {
            without_answer(ErrorKind::InvalidInput, reasons(failure_source(error)))
        }
        _ => without_answer(ErrorKind::Other, reasons(error)),
    }
}

/// For `map_err`: the provider gave no credentials, asked without a call to sign.
pub(crate) fn no_credentials(error: CredentialsError) -> CloudError {
    CloudError {
        operation: "reading the credentials",
        resource: None,
        kind: ErrorKind::Credentials,
        code: String::new(),
        message: reasons(&error),
        request_id: None,
    }
}

/// A connection that failed may succeed later; what the SDK could not even begin to send will not.
fn connector_kind(error: &ConnectorError) -> ErrorKind {
    if error.is_user() {
        ErrorKind::InvalidInput
    } else if error.is_io() || error.is_timeout() || error.as_other().is_some() {
        ErrorKind::Transient
    } else {
        ErrorKind::Other
    }
}

/// The provider's failure, if there were no credentials to sign with.
fn credentials_failure<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    causes(error).find(|cause| cause.is::<CredentialsError>())
}

/// What lies beneath the SDK's own "dispatch failure" and its like, which say nothing by themselves.
fn failure_source<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    error.source().unwrap_or(error)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

/// The request id in the body of an EC2 error. The SDK looks for it only in a header, which what stands in for EC2, or
/// before it, may not send. <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html#api-error-response>
fn request_id_in(body: &[u8]) -> Option<&str> {
    let (_, after) = std::str::from_utf8(body).ok()?.split_once("<RequestID>")?;
    let (id, _) = after.split_once("</RequestID>")?;
    Some(id.trim())
}

/// The error and its causes in one line, without those that only repeat the one before.
pub(crate) fn reasons(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    for cause in causes(error) {
        // The credentials chain lists what it tried on lines of their own.
        let reason = cause
            .to_string()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        if line.ends_with(&reason) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&reason);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_told_apart() {
        use ErrorKind::*;
        for (code, kind) in [
            ("RequestLimitExceeded", Throttled),
            ("InternalError", Transient),
            ("InvalidAMIID.NotFound", NotFound),
            ("InvalidInstanceID.NotFound", NotFound),
            ("InvalidKeyPair.Duplicate", Duplicate),
            ("InvalidAMIName.Duplicate", Duplicate),
            ("DependencyViolation", Dependency),
            ("InvalidSnapshot.InUse", Dependency),
            ("IncorrectInstanceState", WrongState),
            ("InvalidAMIID.Unavailable", WrongState),
            ("Resource.AlreadyAssociated", AddressInUse),
            ("InsufficientInstanceCapacity", Capacity),
            ("InstanceLimitExceeded", Quota),
            ("VcpuLimitExceeded", Quota),
            ("SecurityGroupLimitExceeded", Quota),
            ("ExpiredToken", Expired),
            ("RequestExpired", Expired),
            ("SignatureDoesNotMatch", Credentials),
            ("UnauthorizedOperation", AccessDenied),
            ("AccessDeniedException", AccessDenied),
            ("InvalidParameterValue", InvalidInput),
            ("InvalidAMIID.Malformed", InvalidInput),
            ("MissingParameter", InvalidInput),
            ("UnknownParameter", InvalidInput),
            ("UnsupportedOperation", InvalidInput),
            ("ParameterAlreadyExists", Duplicate),
            ("ParameterNotFound", NotFound),
            ("NoSuchEntity", NotFound),
            ("EntityAlreadyExists", Duplicate),
            ("DeleteConflict", Dependency),
            ("LimitExceeded", Quota),
            ("MalformedPolicyDocument", InvalidInput),
            ("ConcurrentModification", Throttled),
            ("NotFoundException", NotFound),
            ("KMSInvalidStateException", WrongState),
            ("LimitExceededException", Quota),
            ("NoSuchResourceException", NotFound),
            ("IllegalArgumentException", InvalidInput),
            // Too many copies of snapshots under way, for one: that takes minutes to change, and the caller knows how many
            // are its own.
            ("ResourceLimitExceeded", Quota),
            ("ConcurrentSnapshotLimitExceeded", Quota),
            ("SomethingNew", Other),
        ] {
            assert_eq!(kind_of(code, "", 400), kind, "{code}");
        }
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        assert_eq!(kind_of("SomethingNew", "", 503), ErrorKind::Transient);
        assert_eq!(kind_of("", "", 500), ErrorKind::Transient);
        assert_eq!(kind_of("", "", 429), ErrorKind::Throttled);
        // A known code wins: EC2 sends this one with status 500.
        assert_eq!(
            kind_of("InsufficientInstanceCapacity", "", 500),
            ErrorKind::Capacity
        );
    }

    #[test]
    fn auth_failure_is_about_credentials_or_about_anothers_property() {
        let bad = "AWS was not able to validate the provided access credentials";
        assert_eq!(kind_of("AuthFailure", bad, 401), ErrorKind::Credentials);
        assert_eq!(
            kind_of("AuthFailure", "Not authorized for images: [ami-0abc]", 403),
            ErrorKind::AccessDenied
        );
    }

    #[test]
    fn a_type_that_a_zone_does_not_have_is_a_matter_of_capacity() {
        let message = "Your requested instance type (m7i.large) is not supported in your requested Availability Zone \
                       (us-east-2c). Please retry your request by not specifying an Availability Zone or choosing another.";
        assert_eq!(kind_of("Unsupported", message, 400), ErrorKind::Capacity);
        assert_eq!(
            kind_of("Unsupported", "no such boot mode", 400),
            ErrorKind::InvalidInput
        );
    }

    #[test]
    fn a_signature_is_stale_by_what_is_said_or_by_the_clocks() {
        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        let said = "Signature expired: 20260301T102030Z is now earlier than 20260301T110000Z";
        assert!(is_stale_signature("InvalidSignatureException", said, None));
        assert!(is_stale_signature("AuthFailure", "", minutes(6)));
        assert!(!is_stale_signature("AuthFailure", "", minutes(1)));
        assert!(!is_stale_signature(
            "SignatureDoesNotMatch",
            "wrong secret",
            None
        ));
        assert!(!is_stale_signature("InvalidClientTokenId", "", minutes(6)));
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut seen = HashSet::new();
        for code in CODES.iter().flat_map(|(_, codes)| *codes) {
            assert!(seen.insert(code), "{code}");
        }
    }

    #[test]
    fn a_request_id_is_found_in_the_body() {
        let body = b"<Response><Errors/><RequestID>req-1</RequestID></Response>";
        assert_eq!(request_id_in(body), Some("req-1"));
        assert_eq!(request_id_in(b"<Response/>"), None);
        assert_eq!(request_id_in(b"\xff<RequestID>"), None);
    }

    #[test]
    fn repeated_reasons_are_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner;
        assert_eq!(reasons(&Outer(Inner)), "outer: inner");
    }
}

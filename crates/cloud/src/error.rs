//! What can go wrong in a call, classified by what a caller can do about it.

use std::fmt;

/// What a caller can do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The account's request rate was exceeded; the same call succeeds later.
    Throttled,
    /// A server error, a lost connection or a timeout. The effect may or may not have happened.
    Transient,
    /// The resource is not there (any more, or not yet: EC2 is eventually consistent).
    NotFound,
    /// A resource of that name exists already.
    Duplicate,
    /// Something else still uses the resource.
    Dependency,
    /// The resource is in a state that does not allow the call.
    WrongState,
    /// An Elastic IP is bound already and may not be taken over.
    AddressInUse,
    /// No machine of that type is free in that zone.
    Capacity,
    /// An account limit was reached.
    Quota,
    /// There are no credentials, or they are invalid.
    Credentials,
    /// The credentials have expired, or the signature's date is out of date. Nothing was done; once the credentials are
    /// asked for anew and the clock's error is known, the same call may succeed.
    Expired,
    /// The credentials do not permit the call.
    AccessDenied,
    /// EC2 refuses the parameters; repeating the call cannot help.
    InvalidInput,
    /// Anything else; repeating the call cannot be assumed to help.
    Other,
}

/// A call that failed: which one, on what, why, as EC2 said it.
#[derive(Clone, Debug)]
pub struct CloudError {
    /// EC2's name of the call, such as `RunInstances`.
    pub operation: &'static str,
    /// The resource that it was about, if there is one.
    pub resource: Option<String>,
    /// What a caller can do about it.
    pub kind: ErrorKind,
    /// EC2's error code, such as `InvalidAMIID.NotFound`; empty if no answer came.
    pub code: String,
    /// EC2's message, or what happened to the connection.
    pub message: String,
    /// EC2's request id, to give to AWS support.
    pub request_id: Option<String>,
}

impl CloudError {
    /// Names the resource that the failed call was about.
    #[must_use]
    pub fn about(mut self, resource: impl fmt::Display) -> Self {
        self.resource = Some(resource.to_string());
        self
    }

    /// Whether the same call may succeed when repeated later.
    pub fn is_passing(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::Transient)
    }

    /// What the reader can do, where that can be told from the kind of error.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.kind {
            ErrorKind::Credentials => {
                "Check AWS_PROFILE or --profile, or log in again (`aws sso login`); `aws sts get-caller-identity` shows who you are."
            }
            ErrorKind::Expired => {
                "The credentials have expired and the new ones are no better: log in again (`aws sso login`); where the credentials never expire, set this machine's clock."
            }
            ErrorKind::AccessDenied => {
                "The policy of these credentials lacks this action; docs/guide/aws.md lists the actions qib needs."
            }
            ErrorKind::Quota => {
                "An account limit was reached: free a resource, or ask for a higher limit under Service Quotas."
            }
            ErrorKind::Capacity => {
                "EC2 has no machine of this type free in this zone: name more launch.instance_types or launch.subnets, or try later."
            }
            ErrorKind::Throttled => {
                "The account's request rate was exceeded for long; try again later."
            }
            _ => return None,
        })
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation)?;
        if let Some(resource) = &self.resource {
            write!(f, " on {resource}")?;
        }
        write!(f, " failed: {}", self.message)?;
        if !self.code.is_empty() {
            write!(f, " ({}", self.code)?;
            if let Some(id) = &self.request_id {
                write!(f, ", request {id}")?;
            }
            write!(f, ")")?;
        }
        Ok(())
    }
}

impl std::error::Error for CloudError {}

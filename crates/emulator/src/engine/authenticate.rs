//! From a signature to a caller.

use crate::account::Account;
use crate::account::regions;
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::protocol::{HttpRequest, Service};
use crate::api::session::{self, BadToken, Expiry};
use crate::api::sigv4::{BadSignature, SignedRequest};
use jiff::Timestamp;

/// What time it is, to those who check credentials.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// What signatures are checked by: the service's clock as clients see it, which may be off.
    pub signatures: Timestamp,
    /// What sessions end by.
    pub sessions: Expiry,
}

/// The caller, and the region the request was signed for. `digest` is the body's, where the body is not in the request.
///
/// # Errors
/// Each service's own codes, see <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html> and
/// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>.
pub fn authenticate(
    account: &Account,
    service: Service,
    request: &HttpRequest,
    digest: Option<[u8; 32]>,
    clocks: Clocks,
) -> Result<(Caller, String), ApiError> {
    let signed = SignedRequest {
        digest,
        ..request.signed()
    };
    let claim = signed.claim().map_err(|e| refusal(service, &e))?;
    if claim.service != service.name() {
        let message = format!(
            "Credential should be scoped to correct service: '{}'.",
            service.name()
        );
        return Err(code(
            service,
            "AuthFailure",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            message,
        ));
    }
    if regions::find(&claim.region).is_none() {
        let message = format!(
            "Credential should be scoped to a valid region; the local EC2 has no region '{}'.",
            claim.region
        );
        return Err(code(
            service,
            "AuthFailure",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            message,
        ));
    }
    // https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html: IAM's data is not there before an
    // account opts in, so that no credentials are known.
    if !regions::is_enabled(&claim.region) {
        return Err(unknown_key(service));
    }
    let (secret, caller) = match &claim.session_token {
        None if claim.access_key == account.key.id => (account.key.secret.clone(), Caller::Account),
        None => return Err(unknown_key(service)),
        Some(token) => {
            let (credentials, caller) = session::of_token(account, token, clocks.sessions)
                .map_err(|e| bad_token(service, e))?;
            if credentials.access_key != claim.access_key {
                return Err(unknown_key(service));
            }
            (credentials.secret, caller)
        }
    };
    signed
        .verify(&claim, &secret, clocks.signatures)
        .map_err(|e| refusal(service, &e))?;
    Ok((caller, claim.region))
}

/// An expired session has a code of its own in each service, so that a client knows to get another:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>,
/// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html>.
fn bad_token(service: Service, why: BadToken) -> ApiError {
    let message = "The security token included in the request is expired";
    match (why, service) {
        (BadToken::Unknown, _) => unknown_key(service),
        (BadToken::Expired, Service::Ec2) => {
            ApiError::new("RequestExpired", "Request has expired.")
        }
        (BadToken::Expired, Service::Sts | Service::Iam) => {
            ApiError::new("ExpiredToken", message).with_status(403)
        }
        (
            BadToken::Expired,
            Service::Ssm | Service::Kms | Service::Quotas | Service::Ebs | Service::S3,
        ) => ApiError::new("ExpiredTokenException", message),
    }
}

fn unknown_key(service: Service) -> ApiError {
    match service {
        Service::Ec2 => ApiError::auth_failure(),
        Service::Sts | Service::Iam => ApiError::new(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
        .with_status(403),
        Service::Ssm | Service::Kms | Service::Quotas | Service::Ebs | Service::S3 => {
            ApiError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        }
    }
}

fn refusal(service: Service, why: &BadSignature) -> ApiError {
    match why {
        BadSignature::Missing => {
            let message = "Request is missing Authentication Token";
            code(
                service,
                "MissingAuthenticationToken",
                "MissingAuthenticationToken",
                "MissingAuthenticationTokenException",
                message,
            )
            .with_status(403)
        }
        BadSignature::Incomplete(_) => code(
            service,
            "IncompleteSignature",
            "IncompleteSignature",
            "IncompleteSignatureException",
            why.to_string(),
        ),
        BadSignature::Skewed { .. } if service == Service::Ec2 => {
            ApiError::new("RequestExpired", format!("Request has expired. ({why})"))
        }
        BadSignature::Skewed { .. } => code(
            service,
            "",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            format!("Signature expired: {why}"),
        ),
        BadSignature::Mismatch if service == Service::Ec2 => ApiError::auth_failure(),
        BadSignature::Mismatch => {
            let message = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.";
            code(
                service,
                "",
                "SignatureDoesNotMatch",
                "InvalidSignatureException",
                message,
            )
        }
    }
}

fn code(
    service: Service,
    ec2: &'static str,
    sts: &'static str,
    ssm: &'static str,
    message: impl Into<String>,
) -> ApiError {
    match service {
        Service::Ec2 => ApiError::new(ec2, message).with_status(401),
        Service::Sts | Service::Iam => ApiError::new(sts, message).with_status(403),
        Service::Ssm | Service::Kms | Service::Quotas | Service::Ebs | Service::S3 => {
            ApiError::new(ssm, message)
        }
    }
}

//! From a signature to a caller.

use crate::account::{Account, REGIONS};
use crate::api::caller::{Caller, session_of_token};
use crate::api::error::ApiError;
use crate::api::protocol::{HttpRequest, Service};
use crate::api::sigv4::BadSignature;
use jiff::Timestamp;

/// The caller, and the region the request was signed for.
///
/// # Errors
/// Each service's own codes, see <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html> and
/// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>.
pub fn authenticate(
    account: &Account,
    service: Service,
    request: &HttpRequest,
    now: Timestamp,
) -> Result<(Caller, String), ApiError> {
    let signed = request.signed();
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
    if !REGIONS.contains(&claim.region.as_str()) {
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
    let (secret, caller) = match &claim.session_token {
        None if claim.access_key == account.key.id => (account.key.secret.clone(), Caller::Account),
        None => return Err(unknown_key(service)),
        Some(token) => {
            let (credentials, caller) =
                session_of_token(account, token, now).ok_or_else(|| unknown_key(service))?;
            if credentials.access_key != claim.access_key {
                return Err(unknown_key(service));
            }
            (credentials.secret, caller)
        }
    };
    signed
        .verify(&claim, &secret, now)
        .map_err(|e| refusal(service, &e))?;
    Ok((caller, claim.region))
}

fn unknown_key(service: Service) -> ApiError {
    match service {
        Service::Ec2 => ApiError::auth_failure(),
        Service::Sts => ApiError::new(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
        .with_status(403),
        Service::Ssm => ApiError::new(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
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
        Service::Sts => ApiError::new(sts, message).with_status(403),
        Service::Ssm => ApiError::new(ssm, message),
    }
}

//! Whether a caller may do what it asks for.
//!
//! The account's user may do everything unless a policy was set for it; a role what its policies say. Each resource of a
//! request is asked about by itself, and what a request tags, passes or uses besides is asked about too, as EC2 does:
//! `ec2:CreateTags` for tags given in the creating call
//! (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html>), `iam:PassRole` for an instance
//! profile (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html>).

mod resources;

use super::caller::{self, Caller};
use super::ec2::params::Params;
use super::error::ApiError;
use super::protocol::Service;
use crate::account::Account;
use crate::account::policy::{Context, Kind, Policy, Question, Verdict, judge};
use crate::config::EmulatorConfig;
use jiff::Timestamp;
use resources::Resource;

/// What decides.
#[derive(Clone, Copy)]
pub struct Authority<'a> {
    /// The accounts.
    pub account: &'a Account,
    /// The settings.
    pub config: &'a EmulatorConfig,
    /// The time.
    pub now: Timestamp,
}

/// A request that is asked about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The service.
    pub service: Service,
    /// Its action, such as `RunInstances`.
    pub action: &'a str,
    /// The region.
    pub region: &'a str,
    /// Who asks.
    pub caller: &'a Caller,
    /// The parameters of a query.
    pub params: &'a Params,
    /// The body of a request in JSON.
    pub body: &'a [u8],
}

/// What may be asked about one resource.
struct Ask {
    action: String,
    resource: Resource,
}

impl Authority<'_> {
    /// Refuses what the caller's policies do not allow.
    ///
    /// # Errors
    /// `UnauthorizedOperation` or `AccessDenied` (HTTP 403), worded as AWS does, see
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>.
    pub fn check(&self, asked: Asked<'_>) -> Result<(), ApiError> {
        // "No permissions are required to perform this operation."
        let free = ["GetCallerIdentity", "GetSessionToken"];
        if asked.service == Service::Sts && free.contains(&asked.action) {
            return Ok(());
        }
        let Some(policies) = self.policies(asked.caller)? else {
            return Ok(());
        };
        for ask in self.asks(asked) {
            let question = Question {
                action: &ask.action,
                resource: &ask.resource.arn,
                context: &ask.resource.context,
            };
            let why = match judge(&policies, question) {
                Verdict::Allowed => continue,
                Verdict::Unmentioned => {
                    format!(
                        "because no identity-based policy allows the {} action",
                        ask.action
                    )
                }
                Verdict::Denied => "with an explicit deny in an identity-based policy".to_owned(),
                Verdict::UnknownKey(key) => format!(
                    "because the local EC2 does not know the condition key {key} of a policy"
                ),
            };
            return Err(refusal(asked, &ask, &why));
        }
        Ok(())
    }

    /// The policies of a caller; none if it may do everything.
    fn policies(&self, caller: &Caller) -> Result<Option<Vec<Policy>>, ApiError> {
        match caller.role() {
            Some(role) => {
                let role = self.account.role(caller.account(), role);
                let later = self.config.delays.timing().iam;
                Ok(Some(
                    role.map_or_else(Vec::new, |r| r.effective(self.now, later)),
                ))
            }
            None => self.user_policy(),
        }
    }

    /// The policy of the account's user; none if it may do everything.
    fn user_policy(&self) -> Result<Option<Vec<Policy>>, ApiError> {
        let set = self.account.user_policy.as_ref();
        let Some(document) = set.or(self.config.policy.as_ref()) else {
            return Ok(None);
        };
        Policy::of_value(document, Kind::Identity)
            .map(|p| Some(vec![p]))
            .map_err(|e| ApiError::new("InternalError", e.0).with_status(500))
    }

    /// What IAM's simulator says of an action and a resource, for the user or a role by its ARN; none for a principal that
    /// is not there.
    pub fn simulate(
        &self,
        account: &str,
        principal: &str,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Option<Verdict> {
        let policies = match principal == caller::user_arn() {
            true => self.user_policy().ok()?,
            false => {
                let iam = self.account.iam.get(account)?;
                let role = iam.roles.values().find(|r| r.arn(account) == principal)?;
                Some(role.effective(self.now, std::time::Duration::ZERO))
            }
        };
        let question = Question {
            action,
            resource,
            context,
        };
        Some(policies.map_or(Verdict::Allowed, |p| judge(&p, question)))
    }

    fn asks(&self, asked: Asked<'_>) -> Vec<Ask> {
        let own = format!("{}:{}", asked.service.name(), asked.action);
        let about = |action: &str, resources: Vec<Resource>| {
            let action = action.to_owned();
            resources.into_iter().map(move |resource| Ask {
                action: action.clone(),
                resource,
            })
        };
        let mut asks: Vec<Ask> = about(&own, resources::of(self, asked)).collect();
        if asked.service == Service::Ec2 {
            asks.extend(about("ec2:CreateTags", resources::tagged(self, asked)));
            asks.extend(about("iam:PassRole", resources::passed(self, asked)));
        }
        if asked.service == Service::Ebs {
            asks.extend(about(
                "ec2:CreateTags",
                resources::tagged_blocks(self, asked),
            ));
        }
        asks
    }
}

fn refusal(asked: Asked<'_>, ask: &Ask, why: &str) -> ApiError {
    let on = match ask.resource.arn.as_str() {
        "*" => String::new(),
        arn => format!(" on resource: {arn}"),
    };
    let message = format!(
        "User: {} is not authorized to perform: {}{on} {why}",
        asked.caller.arn(),
        ask.action
    );
    match asked.service {
        Service::Ec2 => ApiError::new(
            "UnauthorizedOperation",
            format!("You are not authorized to perform this operation. {message}"),
        )
        .with_status(403),
        Service::Sts | Service::Iam | Service::S3 => {
            ApiError::new("AccessDenied", message).with_status(403)
        }
        Service::Ssm | Service::Kms | Service::Quotas => {
            ApiError::new("AccessDeniedException", message)
        }
        // https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html#API_StartSnapshot_Errors
        Service::Ebs => ApiError::new("AccessDeniedException", message)
            .with_status(403)
            .with_reason("UNAUTHORIZED_ACCOUNT"),
    }
}

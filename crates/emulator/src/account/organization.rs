//! The accounts there are, and the organisation that some of them are in.
//!
//! The user's own account is [`ACCOUNT_ID`]. Two more exist so that sharing can be tried: one in the same organisation, one
//! outside. Whoever assumes their role `administrator` acts in them.
//!
//! ARNs: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsorganizations.html>.

use super::ACCOUNT_ID;

/// Another account of the same organisation. A placeholder, as in AWS's own examples.
pub const SISTER_ACCOUNT: &str = "111122223333";

/// An account that is in no organisation.
pub const STRANGER_ACCOUNT: &str = "444455556666";

/// The organisation of [`ACCOUNT_ID`] and [`SISTER_ACCOUNT`].
pub const ORGANIZATION: &str = "arn:aws:organizations::123456789012:organization/o-localec2org";

/// The organisational unit that both are in.
pub const UNIT: &str = "arn:aws:organizations::123456789012:ou/o-localec2org/ou-ec20-localec2";

/// The account of that number, if it is one that is here.
pub fn account(id: &str) -> Option<&'static str> {
    [ACCOUNT_ID, SISTER_ACCOUNT, STRANGER_ACCOUNT]
        .into_iter()
        .find(|a| *a == id)
}

/// Whether an account is in the organisation.
pub fn is_member(account: &str) -> bool {
    account == ACCOUNT_ID || account == SISTER_ACCOUNT
}

/// Whether `text` has the form of an organisation's ARN.
pub fn is_organization_arn(text: &str) -> bool {
    let rest = of_organizations(text).and_then(|r| r.strip_prefix("organization/"));
    rest.is_some_and(is_organization_id)
}

/// Whether `text` has the form of an organisational unit's ARN.
pub fn is_unit_arn(text: &str) -> bool {
    let ids = of_organizations(text)
        .and_then(|r| r.strip_prefix("ou/"))
        .and_then(|r| r.split_once('/'));
    ids.is_some_and(|(organization, unit)| {
        let parts = unit.strip_prefix("ou-").and_then(|u| u.split_once('-'));
        is_organization_id(organization)
            && parts.is_some_and(|(root, own)| {
                (4..=32).contains(&root.len())
                    && (8..=32).contains(&own.len())
                    && [root, own].iter().all(|p| is_lower_alphanumeric(p))
            })
    })
}

/// What follows the account in an ARN of AWS Organizations.
fn of_organizations(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("arn:aws:organizations::")?;
    let (account, rest) = rest.split_once(':')?;
    let number = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    number.then_some(rest)
}

fn is_organization_id(text: &str) -> bool {
    let own = text.strip_prefix("o-");
    own.is_some_and(|o| (10..=32).contains(&o.len()) && is_lower_alphanumeric(o))
}

fn is_lower_alphanumeric(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        assert!(is_organization_arn(ORGANIZATION) && !is_unit_arn(ORGANIZATION));
        assert!(is_unit_arn(UNIT) && !is_organization_arn(UNIT));
        for bad in [
            "",
            "o-localec2org",
            "arn:aws:organizations::1:organization/o-localec2org",
            "arn:aws:organizations::123456789012:organization/o-x",
            "arn:aws:organizations::123456789012:ou/o-localec2org/ou-ec20",
            "arn:aws:organizations::123456789012:ou/o-localec2org/ou-EC20-localec2",
        ] {
            assert!(!is_organization_arn(bad) && !is_unit_arn(bad), "{bad}");
        }
    }
}

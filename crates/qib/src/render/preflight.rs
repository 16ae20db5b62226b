//! What an account was asked and has answered, for people: what would fail first, what is fine as one line.

use super::plan::identity_line;
use super::style::{Palette, Role};
use build::inquiry::{Answer, Check, Inquiry, Kind};
use std::collections::BTreeMap;

/// The answers as text.
pub fn inquiry_text(inquiry: &Inquiry, palette: Palette) -> String {
    let mut lines = vec![identity_line(&inquiry.plan), String::new()];
    let of = |answer: Answer| {
        inquiry
            .checks
            .iter()
            .filter(move |check| check.answer == answer)
    };
    for (answer, heading, role) in [
        (Answer::Denied, "would fail", Role::Error),
        (Answer::Warning, "to know", Role::Warning),
        (Answer::Unknown, "cannot be told", Role::Warning),
    ] {
        let mut groups: Vec<(&Check, Vec<String>)> = Vec::new();
        for check in of(answer) {
            let same = |known: &&mut (&Check, Vec<String>)| {
                known.0.kind == check.kind
                    && known.0.region == check.region
                    && known.0.detail == check.detail
                    && known.0.next == check.next
            };
            match groups.iter_mut().find(same) {
                Some((_, asked)) => asked.push(check.asked.clone()),
                None => groups.push((check, vec![check.asked.clone()])),
            }
        }
        if groups.is_empty() {
            continue;
        }
        lines.push(palette.paint(role, heading));
        for (check, asked) in groups {
            let place = check.region.as_ref();
            let place = place.map_or(String::new(), |region| format!(" in {region}"));
            let what = format!("{} {}{place}", name(check.kind, 1), asked.join(", "));
            lines.push(format!("  {}", palette.paint(Role::Strong, &what)));
            lines.push(format!("      {}", check.detail));
            lines.extend(check.next.iter().map(|next| format!("      {next}")));
        }
        lines.push(String::new());
    }
    let mut fine: BTreeMap<Kind, usize> = BTreeMap::new();
    for check in of(Answer::Allowed) {
        *fine.entry(check.kind).or_default() += 1;
    }
    let fine: Vec<String> = fine
        .into_iter()
        .map(|(kind, count)| format!("{count} {}", name(kind, count)))
        .collect();
    if !fine.is_empty() {
        let text = format!("fine: {}", fine.join(", "));
        lines.push(palette.paint(Role::Success, &text));
    }
    lines.join("\n")
}

fn name(kind: Kind, count: usize) -> &'static str {
    let (one, several) = match kind {
        Kind::Credentials => ("credentials", "credentials"),
        Kind::Region => ("region", "regions"),
        Kind::Cell => ("cell", "cells"),
        Kind::Name => ("name", "names"),
        Kind::Offering => ("instance type", "instance types"),
        Kind::Sharing => ("public sharing", "public sharings"),
        Kind::Call => ("call", "calls"),
        Kind::Permission => ("permission", "permissions"),
        Kind::Profile => ("profile", "profiles"),
        Kind::Quota => ("quota", "quotas"),
        Kind::Key => ("KMS key", "KMS keys"),
    };
    if count == 1 { one } else { several }
}

#[cfg(test)]
mod tests {
    use super::*;
    use build::inquiry::Quantity;
    use build::plan::Plan;

    fn check(kind: Kind, asked: &str, answer: Answer, detail: &str) -> Check {
        Check {
            kind,
            region: (kind != Kind::Credentials).then(|| "us-east-2".to_owned()),
            asked: asked.into(),
            answer,
            detail: detail.into(),
            quantity: Quantity::default(),
            next: (answer == Answer::Denied).then(|| "do something about it".to_owned()),
            statements: Vec::new(),
        }
    }

    #[test]
    fn answers_for_people() {
        let plan = Plan {
            account: "000000000000".into(),
            identity: "arn:aws:iam::000000000000:user/local".into(),
            region: "us-east-2".into(),
            rows: Vec::new(),
        };
        let user = "arn:aws:iam::000000000000:user/local";
        let checks = vec![
            check(Kind::Credentials, user, Answer::Allowed, "good until 2030"),
            check(
                Kind::Region,
                "region",
                Answer::Allowed,
                "the account uses it",
            ),
            check(
                Kind::Permission,
                "ec2:CreateImage",
                Answer::Denied,
                "no policy allows it",
            ),
            check(
                Kind::Permission,
                "ec2:RunInstances",
                Answer::Allowed,
                "asked with DryRun",
            ),
            check(
                Kind::Permission,
                "ec2:StopInstances",
                Answer::Allowed,
                "by IAM",
            ),
            check(
                Kind::Permission,
                "ec2:DeleteSnapshot",
                Answer::Unknown,
                "nobody says",
            ),
            check(
                Kind::Permission,
                "ec2:DeleteVolume",
                Answer::Unknown,
                "nobody says",
            ),
            check(
                Kind::Cell,
                "base/us-east-2",
                Answer::Warning,
                "it lives for 4h",
            ),
            check(
                Kind::Quota,
                "vCPUs of on-demand instances",
                Answer::Denied,
                "4 more at once, 3 of 5 used",
            ),
        ];
        let inquiry = Inquiry { plan, checks };
        insta::assert_snapshot!(inquiry_text(&inquiry, Palette::Plain));
    }
}

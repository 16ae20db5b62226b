//! A plan for people: a block for each stage.

use super::style::{Palette, Role};
use build::plan::{Plan, PlanRow};

/// The plan as text.
pub fn plan_text(plan: &Plan, palette: Palette) -> String {
    let mut text = vec![identity_line(plan), String::new()];
    for row in &plan.rows {
        text.extend(block(row, palette));
        text.push(String::new());
    }
    let builds = plan.rows.iter().filter(|row| row.action == "build").count();
    text.push(match builds {
        0 => String::from("Nothing is to be built."),
        1 => String::from("1 image is to be built."),
        _ => format!("{builds} images are to be built."),
    });
    text.join("\n")
}

/// Whose account it is.
pub fn identity_line(plan: &Plan) -> String {
    format!(
        "account {} as {}, region {}",
        plan.account, plan.identity, plan.region
    )
}

fn block(row: &PlanRow, palette: Palette) -> Vec<String> {
    let (role, verdict) = match row.action.as_str() {
        "reuse" => (Role::Success, format!("hit: {}", row.reason)),
        "wait" => (
            Role::Success,
            format!("hit, but not yet available: {}", row.reason),
        ),
        _ => (Role::Warning, format!("miss: {}", row.reason)),
    };
    let cell = palette.paint(Role::Strong, &format!("{}/{}", row.stage, row.cell));
    let mut lines = vec![format!("{cell}  {}", palette.paint(role, &row.action))];
    let mut fact = |what: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("  {what:<9} {text}"));
        }
    };
    fact("cache", &verdict);
    match &row.image_id {
        Some(id) => fact("image", &format!("{id} ({})", row.image_name)),
        None => fact("image", &row.image_name),
    }
    match &row.source_image {
        Some(id) => fact("source", &format!("{id} ({})", row.source_name)),
        None => fact("source", &row.source_name),
    }
    fact("machine", &row.instance_types.join(", else "));
    fact("subnet", &row.subnets.join(", else "));
    match &row.spot_max_price {
        Some(price) => fact(
            "purchase",
            &format!("{}, at most {price} USD per hour", row.purchase),
        ),
        None => fact("purchase", &row.purchase),
    }
    fact("lifetime", &row.max_lifetime);
    if let Some(address) = &row.address {
        fact(
            "address",
            &format!(
                "{address}, {}",
                row.address_state
                    .as_deref()
                    .unwrap_or("in a state that EC2 does not tell")
            ),
        );
    }
    fact("share", &row.share.join(", "));
    fact("skipped", &row.skipped.join(", "));
    for warning in &row.warnings {
        let text = palette.paint(Role::Warning, warning);
        lines.push(format!("  {:<9} {text}", "warning"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: &str, action: &str) -> PlanRow {
        PlanRow {
            stage: stage.into(),
            cell: "us-east-2".into(),
            region: "us-east-2".into(),
            action: action.into(),
            reason: "the script `harden` changed".into(),
            image_name: format!("quay-{stage}"),
            source_name: "RHEL-8.7".into(),
            instance_type: "m5.xlarge".into(),
            instance_types: vec!["m5.xlarge".into()],
            subnets: vec!["default_vpc: true, zone: c".into()],
            purchase: "on-demand".into(),
            max_lifetime: "4h".into(),
            ..PlanRow::default()
        }
    }

    #[test]
    fn a_plan_for_people() {
        let hit = PlanRow {
            image_id: Some("ami-0aaa".into()),
            source_image: Some("ami-0bbb".into()),
            reason: "same inputs".into(),
            ..row("base", "reuse")
        };
        let miss = PlanRow {
            address: Some("eipalloc-0local (127.1.2.3)".into()),
            address_state: Some("free".into()),
            skipped: vec!["packages".into(), "mirror".into()],
            share: vec!["111122223333".into()],
            instance_types: vec!["m5.xlarge".into(), "m6i.xlarge".into()],
            subnets: vec!["subnet-0a".into(), "subnet-0b".into()],
            purchase: "spot, else on-demand".into(),
            spot_max_price: Some("0.12".into()),
            warnings: vec!["the instance terminates itself after 4h".into()],
            ..row("ocp", "build")
        };
        let plan = Plan {
            account: "000000000000".into(),
            identity: "arn:aws:iam::000000000000:user/local".into(),
            region: "us-east-2".into(),
            rows: vec![hit, miss],
        };
        insta::assert_snapshot!(plan_text(&plan, Palette::Plain));
    }
}

//! A plan for people: a block for a stage of one cell, a table for a stage of several.

use super::style::{Palette, Role};
use super::table::rows;
use build::plan::{Plan, PlanRow};
use std::collections::BTreeMap;

/// Lines are no longer than this where what they say can be shortened.
const WIDTH: usize = 100;

/// The plan as text.
pub fn plan_text(plan: &Plan, palette: Palette) -> String {
    let mut text = vec![identity_line(plan), String::new()];
    let mut stages: Vec<Vec<&PlanRow>> = Vec::new();
    for row in &plan.rows {
        let known = stages.iter_mut().find(|cells| cells[0].stage == row.stage);
        match known {
            Some(cells) => cells.push(row),
            None => stages.push(vec![row]),
        }
    }
    for cells in &stages {
        match cells.as_slice() {
            [row] => text.extend(block(row, palette)),
            several => text.extend(table(several, palette)),
        }
        text.push(String::new());
    }
    text.extend(total(plan));
    text.join("\n")
}

/// Whose account it is.
pub fn identity_line(plan: &Plan) -> String {
    let mut regions: Vec<&str> = plan.rows.iter().map(|row| row.region.as_str()).collect();
    regions.sort_unstable();
    regions.dedup();
    let regions = match regions.as_slice() {
        [] => format!("region {}", plan.region),
        [only] => format!("region {only}"),
        several => format!("{} regions", several.len()),
    };
    format!("account {} as {}, {regions}", plan.account, plan.identity)
}

/// What is to be done, and what it can cost at the most.
fn total(plan: &Plan) -> Vec<String> {
    let builds = plan.rows.iter().filter(|row| row.action == "build").count();
    let mut lines = vec![match builds {
        0 => String::from("Nothing is to be built."),
        1 => String::from("1 image is to be built."),
        _ => format!("{builds} images are to be built."),
    }];
    let hours = plan.instance_hours();
    if hours.is_empty() {
        return lines;
    }
    let instances: u32 = plan.rows.iter().map(|row| row.instances).sum();
    let instances = match instances {
        1 => String::from("1 instance"),
        several => format!("{several} instances"),
    };
    let all: f64 = hours.values().sum();
    lines.push(format!(
        "At most {} instance-hours of {instances}, if each lives as long as it may.",
        short(all)
    ));
    if hours.len() > 1 {
        let each = hours
            .iter()
            .map(|(region, hours)| format!("{region} {}", short(*hours)));
        lines.extend(wrapped("  by region: ", each));
    }
    lines
}

/// Hours without needless digits.
fn short(hours: f64) -> String {
    let text = format!("{hours:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// `parts` joined by commas, on as many lines as it takes.
fn wrapped(label: &str, parts: impl Iterator<Item = String>) -> Vec<String> {
    let indent = " ".repeat(label.chars().count());
    let mut lines: Vec<String> = Vec::new();
    let mut line = label.to_owned();
    let mut is_empty = true;
    for part in parts {
        if !is_empty {
            line.push(',');
            if line.chars().count() + 1 + part.chars().count() > WIDTH {
                lines.push(std::mem::replace(&mut line, indent.clone()));
            } else {
                line.push(' ');
            }
        }
        line.push_str(&part);
        is_empty = false;
    }
    if !is_empty {
        lines.push(line);
    }
    lines
}

/// A stage of several cells: what they have in common once, what differs in a table.
fn table(cells: &[&PlanRow], palette: Palette) -> Vec<String> {
    let mut actions: BTreeMap<&str, usize> = BTreeMap::new();
    for row in cells {
        *actions.entry(row.action.as_str()).or_default() += 1;
    }
    let actions: Vec<String> = actions
        .iter()
        .map(|(action, number)| format!("{number} {action}"))
        .collect();
    let stage = palette.paint(Role::Strong, &cells[0].stage);
    let mut lines = vec![format!(
        "{stage}  {} cells: {}",
        cells.len(),
        actions.join(", ")
    )];
    // Most matrices have the region in their cells' names.
    let named = cells.iter().all(|row| row.cell.contains(&row.region));
    let columns = |row: &PlanRow| {
        let region = if named {
            String::new()
        } else {
            row.region.clone()
        };
        let source = row.source_image.as_ref().unwrap_or(&row.source_name);
        [row.cell.clone(), region, row.action.clone(), source.clone()]
    };
    let table = rows(cells.iter().map(|row| columns(row)));
    let width = table.lines().map(|line| line.chars().count()).max();
    let width = width.unwrap_or_default() + 2;
    for (line, row) in table.lines().zip(cells) {
        let image = row.image_id.as_ref().unwrap_or(&row.image_name);
        let line = format!(
            "  {line:<width$}{}",
            middle_cut(image, WIDTH.saturating_sub(width + 2))
        );
        lines.push(palette.paint(role(row), line.trim_end()));
    }
    let told = |row: &PlanRow| match row.action.as_str() {
        "build" => format!("miss: {}", row.reason),
        "reuse" | "wait" => format!("hit: {}", row.reason),
        _ => row.reason.clone(),
    };
    lines.extend(differing("cache", cells, told));
    lines.extend(differing("machine", cells, |row| {
        row.instance_types.join(", else ")
    }));
    lines.extend(differing("subnet", cells, |row| {
        row.subnets.join(", else ")
    }));
    lines.extend(differing("purchase", cells, purchase));
    lines.extend(differing("lifetime", cells, |row| row.max_lifetime.clone()));
    lines.extend(differing("address", cells, address));
    lines.extend(differing("copies", cells, |row| row.copies.join(", ")));
    lines.extend(differing("share", cells, |row| row.share.join(", ")));
    lines.extend(differing("skipped", cells, |row| row.skipped.join(", ")));
    lines.extend(differing("needed by", cells, |row| {
        row.needed_by.clone().unwrap_or_default()
    }));
    lines.extend(warnings(cells).map(|text| {
        let text = palette.paint(Role::Warning, &text);
        format!("  {:<9} {text}", "warning")
    }));
    lines
}

/// The warnings, each once, with the cells that it is about.
fn warnings<'r>(cells: &[&'r PlanRow]) -> impl Iterator<Item = String> {
    let mut groups: Vec<(&'r str, Vec<&'r str>)> = Vec::new();
    for row in cells {
        for warning in &row.warnings {
            match groups.iter_mut().find(|(text, _)| text == warning) {
                Some((_, members)) => members.push(&row.cell),
                None => groups.push((warning, vec![&row.cell])),
            }
        }
    }
    let all = cells.len();
    groups.into_iter().map(move |(warning, members)| {
        if members.len() == all {
            format!("all cells: {warning}")
        } else {
            format!("{}: {warning}", cells_named(&members))
        }
    })
}

/// One or two cells by name, more by their number.
fn cells_named(cells: &[&str]) -> String {
    match cells {
        [one] => (*one).to_owned(),
        [one, two] => format!("{one}, {two}"),
        several => format!("{} cells", several.len()),
    }
}

/// What `fact` says of the cells: once if it is the same for all, else for each group of cells that it is the same for.
fn differing(label: &str, cells: &[&PlanRow], fact: impl Fn(&PlanRow) -> String) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for row in cells {
        let said = fact(row);
        match groups.iter_mut().find(|(text, _)| *text == said) {
            Some((_, members)) => members.push(&row.cell),
            None => groups.push((said, vec![&row.cell])),
        }
    }
    let is_common = groups.len() == 1;
    let mut lines = Vec::new();
    for (said, members) in groups {
        if said.is_empty() {
            continue;
        }
        if is_common {
            lines.push(format!("  {label:<9} {said}"));
            continue;
        }
        let who = cells_named(&members);
        lines.push(cut(&format!("  {label:<9} {said} ({who})"), WIDTH));
    }
    lines
}

/// `text` without what is beyond `width` characters.
fn cut(text: &str, width: usize) -> String {
    let text = text.trim_end();
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width - 1).collect();
    short.push('…');
    short
}

/// `text` in at most `width` characters: what tells names apart is mostly at their ends.
fn middle_cut(text: &str, width: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let head = kept / 2;
    let tail = characters.len() - (kept - head);
    let head = characters[..head].iter();
    head.chain(&['…']).chain(&characters[tail..]).collect()
}

fn role(row: &PlanRow) -> Role {
    match row.action.as_str() {
        "reuse" | "wait" => Role::Success,
        "blocked" => Role::Error,
        _ => Role::Warning,
    }
}

fn purchase(row: &PlanRow) -> String {
    match &row.spot_max_price {
        Some(price) => format!("{}, at most {price} USD per hour", row.purchase),
        None => row.purchase.clone(),
    }
}

fn address(row: &PlanRow) -> String {
    row.address.as_ref().map_or_else(String::new, |address| {
        let state = row.address_state.as_deref();
        let state = state.unwrap_or("in a state that EC2 does not tell");
        format!("{address}, {state}")
    })
}

fn block(row: &PlanRow, palette: Palette) -> Vec<String> {
    let verdict = match row.action.as_str() {
        "reuse" => format!("hit: {}", row.reason),
        "wait" => format!("hit, but not yet available: {}", row.reason),
        "blocked" => String::new(),
        _ => format!("miss: {}", row.reason),
    };
    let cell = palette.paint(Role::Strong, &format!("{}/{}", row.stage, row.cell));
    let mut lines = vec![format!("{cell}  {}", palette.paint(role(row), &row.action))];
    let mut fact = |what: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("  {what:<9} {text}"));
        }
    };
    if row.action == "blocked" {
        fact("blocked", &row.reason);
    }
    fact("needed by", row.needed_by.as_deref().unwrap_or_default());
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
    fact("purchase", &purchase(row));
    fact("lifetime", &row.max_lifetime);
    fact("address", &address(row));
    fact("copies", &row.copies.join(", "));
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
            instances: u32::from(action == "build"),
            instance_hours: if action == "build" { 4.0 } else { 0.0 },
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

    /// As ComboAMI has them: 8 regions, 2 releases, 2 virtualisations.
    fn many() -> Plan {
        let regions = [
            "ap-northeast-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "eu-west-1",
            "sa-east-1",
            "us-east-1",
            "us-west-1",
            "us-west-2",
        ];
        let mut rows = Vec::new();
        for region in regions {
            for os in ["1204", "1404"] {
                for virt in ["pv", "hvm"] {
                    let cell = format!("{region}-{os}-{virt}");
                    let reuse = region == "sa-east-1" && os == "1404";
                    let blocked = cell == "us-west-2-1204-pv";
                    rows.push(PlanRow {
                        cell: cell.clone(),
                        region: region.into(),
                        image_name: format!("DataStax Auto-Clustering AMI 2.6.3-{os}-{virt}"),
                        image_id: reuse.then(|| "ami-0123456789abcdef0".into()),
                        source_image: Some("ami-0fedcba9876543210".into()),
                        instance_types: vec!["m3.medium".into()],
                        reason: match (reuse, blocked) {
                            (true, _) => "same inputs".into(),
                            (_, true) => "the source image ami-0fed is deregistered, not available".into(),
                            _ => "changed against ami-0aaa: the script `provision.sh`".into(),
                        },
                        instances: u32::from(!reuse && !blocked),
                        instance_hours: if reuse || blocked { 0.0 } else { 4.0 },
                        warnings: if cell == "eu-west-1-1404-hvm" {
                            vec!["the name `DataStax Auto-Clustering AMI 2.6.3-1404-hvm` is taken in eu-west-1 by ami-0eee".into()]
                        } else {
                            Vec::new()
                        },
                        ..row("image", match (reuse, blocked) {
                            (true, _) => "reuse",
                            (_, true) => "blocked",
                            _ => "build",
                        })
                    });
                }
            }
        }
        Plan {
            account: "000000000000".into(),
            identity: "arn:aws:iam::000000000000:user/local".into(),
            region: "us-east-1".into(),
            rows,
        }
    }

    #[test]
    fn a_warning_of_many_cells_is_one_line() {
        let mut plan = many();
        let text = "the steps may take longer than the instance lives";
        for row in &mut plan.rows {
            row.warnings = vec![text.into()];
        }
        let lines = |plan: &Plan| {
            let text = plan_text(plan, Palette::Plain);
            let lines = text.lines().filter(|line| line.contains("warning"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&plan), [format!("  warning   all cells: {text}")]);
        plan.rows[0].warnings.clear();
        assert_eq!(lines(&plan), [format!("  warning   31 cells: {text}")]);
    }

    #[test]
    fn thirty_two_cells_for_people() {
        let text = plan_text(&many(), Palette::Plain);
        for line in text.lines().filter(|line| !line.contains("warning")) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        insta::assert_snapshot!(text);
    }
}

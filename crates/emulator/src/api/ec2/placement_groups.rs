//! Placement groups.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html>

use super::Action;
use super::filter::Filters;
use super::params::Scope;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::capacity::PlacementGroup;
use crate::account::region::Region;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::PlacementGroupId;

fn unknown(name: &str) -> ApiError {
    ApiError::new(
        "InvalidPlacementGroup.Unknown",
        format!("The Placement Group '{name}' is unknown."),
    )
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreatePlacementGroup.html>
pub(crate) struct CreatePlacementGroup {
    name: String,
    strategy: &'static str,
    partitions: Option<u32>,
    tags: TagSpecs,
}

impl Action for CreatePlacementGroup {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let name = p.required("GroupName")?;
        if name.len() > 255 || !name.is_ascii() {
            return Err(ApiError::invalid_value(
                "groupName",
                name,
                "Up to 255 ASCII characters.",
            ));
        }
        let partitions = p.number("PartitionCount")?;
        let words = ["cluster", "spread", "partition"];
        // "If PartitionCount is given, the strategy is partition", else it is cluster.
        let strategy = match (p.word("Strategy", &words)?, partitions) {
            (Some(strategy), _) => strategy,
            (None, Some(_)) => "partition",
            (None, None) => "cluster",
        };
        if partitions.is_some() && strategy != "partition" {
            return Err(ApiError::combination(
                "PartitionCount is valid only when Strategy is set to partition",
            ));
        }
        if partitions.is_some_and(|n: u32| !(1..=7).contains(&n)) {
            return Err(ApiError::invalid_value(
                "partitionCount",
                &partitions.unwrap_or_default().to_string(),
                "Valid range: 1 - 7.",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            strategy,
            partitions,
            tags: TagSpecs::parse(p, &["placement-group"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        if region.placement_groups.contains_key(&self.name) {
            return Err(ApiError::new(
                "InvalidPlacementGroup.Duplicate",
                format!("The Placement Group '{}' already exists.", self.name),
            ));
        }
        let group = PlacementGroup {
            id: PlacementGroupId::random(),
            name: self.name.clone(),
            strategy: self.strategy.to_owned(),
            partitions: self
                .partitions
                .or((self.strategy == "partition").then_some(2)),
            tags: self.tags.of("placement-group"),
        };
        let mut x = super::done();
        x.node("placementGroup", |x| write(x, region, &group));
        region.placement_groups.insert(self.name, group);
        Ok(x)
    }
}

fn write(x: &mut Xml, region: &Region, g: &PlacementGroup) {
    let (name, owner) = (&region.name, &region.owner);
    x.put("groupName", &g.name)
        .put("state", "available")
        .put("strategy", &g.strategy)
        .maybe("partitionCount", g.partitions)
        .put("groupId", &g.id)
        .put(
            "groupArn",
            format!("arn:aws:ec2:{name}:{owner}:placement-group/{}", g.name),
        );
    write_tags(x, &g.tags);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribePlacementGroups.html>
pub(crate) struct DescribePlacementGroups {
    names: Vec<String>,
    ids: Vec<PlacementGroupId>,
    filters: Filters,
}

impl Action for DescribePlacementGroups {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("GroupId")
            .into_iter()
            .map(PlacementGroupId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let names = p.texts("GroupName").into_iter().map(str::to_owned);
        Ok(Self {
            names: names.collect(),
            ids,
            filters: Filters::parse(p, &["group-arn", "group-name", "state", "strategy"])?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        let groups = &region.placement_groups;
        if let Some(name) = self.names.iter().find(|n| !groups.contains_key(*n)) {
            return Err(unknown(name));
        }
        if let Some(id) = self
            .ids
            .iter()
            .find(|id| !groups.values().any(|g| g.id == **id))
        {
            return Err(unknown(id.as_str()));
        }
        let asked = |g: &PlacementGroup| {
            self.names.is_empty() && self.ids.is_empty()
                || self.names.contains(&g.name)
                || self.ids.contains(&g.id)
        };
        let chosen = groups.values().filter(|g| asked(g)).filter(|g| {
            self.filters.pass(&g.tags, |filter| {
                vec![match filter {
                    "group-name" => g.name.clone(),
                    "state" => "available".to_owned(),
                    "strategy" => g.strategy.clone(),
                    _ => format!(
                        "arn:aws:ec2:{}:{}:placement-group/{}",
                        region.name, region.owner, g.name
                    ),
                }]
            })
        });
        let mut x = Xml::new();
        x.list("placementGroupSet", chosen, |x, g| write(x, region, g));
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeletePlacementGroup.html>
pub(crate) struct DeletePlacementGroup {
    name: String,
}

impl Action for DeletePlacementGroup {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            name: p.required("GroupName")?.to_owned(),
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        if !region.placement_groups.contains_key(&self.name) {
            return Err(unknown(&self.name));
        }
        let mut live = region.instances.values().filter(|i| i.holds_disk());
        if live.any(|i| i.hosting.placement_group.as_ref() == Some(&self.name)) {
            return Err(ApiError::new(
                "InvalidPlacementGroup.InUse",
                format!(
                    "The placement group '{}' is in use and may not be deleted.",
                    self.name
                ),
            ));
        }
        region.placement_groups.remove(&self.name);
        Ok(super::done())
    }
}

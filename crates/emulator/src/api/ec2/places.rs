//! Regions, zones and what the account may do there.

use super::Action;
use super::filter::Filters;
use super::params::Scope;
use super::xml::Xml;
use crate::account::quotas::Quota;
use crate::account::region::ZONES;
use crate::account::regions::{self, OptIn, REGIONS, RegionInfo};
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html>
pub(crate) struct DescribeRegions {
    names: Vec<String>,
    all: bool,
    filters: Filters,
}

impl Action for DescribeRegions {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let filters = Filters::parse(p, &["endpoint", "opt-in-status", "region-name"])?;
        Ok(Self {
            names: p
                .texts("RegionName")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            all: p.flag("AllRegions")?.unwrap_or(false),
            filters,
        })
    }

    fn run(self, _: &mut Cx<'_>) -> Result<Xml, ApiError> {
        if let Some(unknown) = self.names.iter().find(|n| regions::find(n).is_none()) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Invalid value '{unknown}' for region name."),
            ));
        }
        let endpoint = |region: &str| format!("ec2.{region}.amazonaws.com");
        // "You can specify any Regions, whether they are enabled and disabled for your account."
        let asked = |r: &RegionInfo| match self.names.is_empty() {
            true => self.all || r.opt_in != OptIn::NotOptedIn,
            false => self.names.iter().any(|n| n == r.name),
        };
        let chosen = REGIONS.iter().filter(|r| asked(r)).filter(|r| {
            self.filters.pass(&Tags::default(), |name| match name {
                "endpoint" => vec![endpoint(r.name)],
                "opt-in-status" => vec![r.opt_in.name().to_owned()],
                _ => vec![r.name.to_owned()],
            })
        });
        let mut x = Xml::new();
        x.list("regionInfo", chosen, |x, region| {
            x.put("regionName", region.name)
                .put("regionEndpoint", endpoint(region.name))
                .put("optInStatus", region.opt_in.name());
        });
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAvailabilityZones.html>
pub(crate) struct DescribeAvailabilityZones {
    names: Vec<String>,
    ids: Vec<String>,
    filters: Filters,
}

impl Action for DescribeAvailabilityZones {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        p.flag("AllAvailabilityZones")?;
        let filters = Filters::parse(
            p,
            &[
                "group-name",
                "opt-in-status",
                "region-name",
                "state",
                "zone-id",
                "zone-name",
                "zone-type",
            ],
        )?;
        let owned = |name| p.texts(name).into_iter().map(str::to_owned).collect();
        Ok(Self {
            names: owned("ZoneName"),
            ids: owned("ZoneId"),
            filters,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region;
        let zones: Vec<(String, String)> = ZONES
            .iter()
            .map(|z| (format!("{region}{z}"), zone_id(region, *z)))
            .collect();
        for (asked, known) in [
            (&self.names, zones.iter().map(|z| &z.0).collect::<Vec<_>>()),
            (&self.ids, zones.iter().map(|z| &z.1).collect()),
        ] {
            if let Some(unknown) = asked.iter().find(|a| !known.contains(a)) {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("Invalid availability zone: [{unknown}]"),
                ));
            }
        }
        let chosen = zones.iter().filter(|(name, id)| {
            let asked = (self.names.is_empty() || self.names.contains(name))
                && (self.ids.is_empty() || self.ids.contains(id));
            asked
                && self.filters.pass(&Tags::default(), |filter| {
                    vec![match filter {
                        "group-name" => format!("{region}-zg-1"),
                        "opt-in-status" => "opt-in-not-required".to_owned(),
                        "region-name" => region.to_owned(),
                        "state" => "available".to_owned(),
                        "zone-id" => id.clone(),
                        "zone-type" => "availability-zone".to_owned(),
                        _ => name.clone(),
                    }]
                })
        });
        let mut x = Xml::new();
        x.list("availabilityZoneInfo", chosen, |x, (name, id)| {
            x.put("zoneName", name)
                .put("zoneState", "available")
                .put("regionName", region)
                .put("zoneId", id);
            x.put("groupName", format!("{region}-zg-1"))
                .put("networkBorderGroup", region)
                .put("zoneType", "availability-zone");
            x.put("optInStatus", "opt-in-not-required")
                .list("messageSet", None::<()>, |_, ()| {});
        });
        Ok(x)
    }
}

/// A zone's id, such as `use2-az3`, see <https://docs.aws.amazon.com/ram/latest/userguide/working-with-az-ids.html>.
pub fn zone_id(region: &str, letter: char) -> String {
    let mut parts = region.split('-');
    let (area, side, number) = (
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
    );
    let side: String = match side {
        "northeast" => "ne".into(),
        "southeast" => "se".into(),
        other => other.chars().take(1).collect(),
    };
    let zone = ZONES.iter().position(|z| *z == letter).unwrap_or(0) + 1;
    format!("{area}{side}{number}-az{zone}")
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAccountAttributes.html>
pub(crate) struct DescribeAccountAttributes {
    names: Vec<String>,
}

impl Action for DescribeAccountAttributes {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            names: p
                .texts("AttributeName")
                .into_iter()
                .map(str::to_owned)
                .collect(),
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let addresses = cx.quotas().count(Quota::ElasticIps).to_string();
        let default_vpc = match &cx.region().vpc {
            Some(vpc) => vpc.id.to_string(),
            None => "none".to_owned(),
        };
        let all = [
            ("supported-platforms", "VPC".to_owned()),
            ("default-vpc", default_vpc),
            ("max-instances", "20".to_owned()),
            ("vpc-max-security-groups-per-interface", "5".to_owned()),
            ("max-elastic-ips", addresses.clone()),
            ("vpc-max-elastic-ips", addresses),
        ];
        if let Some(unknown) = self
            .names
            .iter()
            .find(|n| !all.iter().any(|(name, _)| name == n))
        {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Invalid value '{unknown}' for attribute name."),
            ));
        }
        let mut x = Xml::new();
        let chosen = all
            .iter()
            .filter(|(name, _)| self.names.is_empty() || self.names.iter().any(|n| n == name));
        x.list("accountAttributeSet", chosen, |x, (name, value)| {
            x.put("attributeName", name)
                .list("attributeValueSet", [value], |x, value| {
                    x.put("attributeValue", value);
                });
        });
        Ok(x)
    }
}

//! Capacity reservations.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html>

use super::Action;
use super::client_token::ClientToken;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::places;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::capacity::CapacityReservation;
use crate::account::instance_types::{self, InstanceType};
use crate::account::region::Region;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::CapacityReservationId;

fn not_found(id: &CapacityReservationId) -> ApiError {
    ApiError::new(
        "InvalidCapacityReservationId.NotFound",
        format!("The capacity reservation ID '{id}' does not exist"),
    )
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateCapacityReservation.html>: without an end.
pub(crate) struct CreateCapacityReservation {
    instance_type: &'static InstanceType,
    platform: String,
    zone: String,
    count: u32,
    targeted: bool,
    tags: TagSpecs,
    token: Option<ClientToken>,
}

impl Action for CreateCapacityReservation {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let name = p.required("InstanceType")?;
        let instance_type = instance_types::find(name).ok_or_else(|| {
            ApiError::new(
                "InvalidParameterValue",
                format!("Invalid value '{name}' for InstanceType."),
            )
        })?;
        let count: u32 = p
            .number("InstanceCount")?
            .ok_or_else(|| ApiError::missing("InstanceCount"))?;
        if !(1..=1_000).contains(&count) {
            return Err(ApiError::invalid_value(
                "InstanceCount",
                &count.to_string(),
                "Valid range: 1 - 1000.",
            ));
        }
        let platforms = ["Linux/UNIX", "Red Hat Enterprise Linux"];
        let platform = p
            .word("InstancePlatform", &platforms)?
            .ok_or_else(|| ApiError::missing("InstancePlatform"))?;
        p.word("EndDateType", &["unlimited"])?;
        p.word("Tenancy", &["default"])?;
        Ok(Self {
            instance_type,
            platform: platform.to_owned(),
            zone: p.required("AvailabilityZone")?.to_owned(),
            count,
            targeted: p.word("InstanceMatchCriteria", &["open", "targeted"])? == Some("targeted"),
            tags: TagSpecs::parse_list(p, "TagSpecifications", &["capacity-reservation"])?,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let mut x = Xml::new();
        if let Some(token) = &self.token
            && let Some(made) = token.made_before(cx, "CreateCapacityReservation")?
        {
            let region = &*cx.region();
            let mut reservations = region.reservations.values();
            if let Some(made) = reservations.find(|r| r.id.as_str() == made) {
                x.node("capacityReservation", |x| write(x, region, made));
            }
            return Ok(x);
        }
        let region = cx.region();
        let known = self.zone.strip_prefix(&region.name);
        if !known.is_some_and(|l| ["a", "b", "c"].contains(&l))
            || !self.instance_type.offered_in(&self.zone)
        {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!(
                    "{} is not offered in the availability zone '{}'",
                    self.instance_type.name, self.zone
                ),
            ));
        }
        let reservation = CapacityReservation {
            id: CapacityReservationId::random(),
            instance_type: self.instance_type.name.to_owned(),
            platform: self.platform,
            zone: self.zone,
            total: self.count,
            targeted: self.targeted,
            cancelled: false,
            created: now,
            tags: self.tags.of("capacity-reservation"),
        };
        x.node("capacityReservation", |x| write(x, region, &reservation));
        let id = reservation.id.clone();
        region.reservations.insert(id.clone(), reservation);
        if let Some(token) = self.token {
            token.remember(cx, "CreateCapacityReservation", id.as_str());
        }
        Ok(x)
    }
}

fn write(x: &mut Xml, region: &Region, r: &CapacityReservation) {
    let (name, owner) = (&region.name, &region.owner);
    x.put("capacityReservationId", &r.id)
        .put("ownerId", owner)
        .put(
            "capacityReservationArn",
            format!("arn:aws:ec2:{name}:{owner}:capacity-reservation/{}", r.id),
        )
        .put("instanceType", &r.instance_type)
        .put("instancePlatform", &r.platform)
        .put("availabilityZone", &r.zone)
        .put(
            "availabilityZoneId",
            places::zone_id(name, r.zone.chars().last().unwrap_or('a')),
        )
        .put("tenancy", "default")
        .put("totalInstanceCount", r.total)
        .put("availableInstanceCount", r.available(region))
        .put("state", r.state())
        .put("startDate", r.created)
        .put("endDateType", "unlimited")
        .put(
            "instanceMatchCriteria",
            if r.targeted { "targeted" } else { "open" },
        )
        .put("createDate", r.created);
    write_tags(x, &r.tags);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CancelCapacityReservation.html>
pub(crate) struct CancelCapacityReservation {
    id: CapacityReservationId,
}

impl Action for CancelCapacityReservation {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: CapacityReservationId::parse(p.required("CapacityReservationId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let reservation = cx.region().reservations.get_mut(&self.id);
        let reservation = reservation.ok_or_else(|| not_found(&self.id))?;
        if reservation.cancelled {
            return Err(ApiError::new(
                "InvalidCapacityReservationState",
                format!(
                    "The capacity reservation '{}' is in the state cancelled",
                    self.id
                ),
            ));
        }
        reservation.cancelled = true;
        Ok(super::done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeCapacityReservations.html>
pub(crate) struct DescribeCapacityReservations {
    ids: Vec<CapacityReservationId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeCapacityReservations {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("CapacityReservationId")
            .into_iter()
            .map(CapacityReservationId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let page = Page::parse(p, 1)?;
        page.excludes_ids("capacityReservationIds", ids.len())?;
        let known = [
            "availability-zone",
            "instance-match-criteria",
            "instance-platform",
            "instance-type",
            "owner-id",
            "state",
            "tenancy",
        ];
        Ok(Self {
            ids,
            filters: Filters::parse(p, &known)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        let unknown = |id: &&CapacityReservationId| !region.reservations.contains_key(id);
        if let Some(unknown) = self.ids.iter().find(unknown) {
            return Err(not_found(unknown));
        }
        let chosen = region
            .reservations
            .values()
            .filter(|r| self.ids.is_empty() || self.ids.contains(&r.id))
            .filter(|r| {
                self.filters.pass(&r.tags, |name| {
                    vec![match name {
                        "availability-zone" => r.zone.clone(),
                        "instance-match-criteria" => {
                            if r.targeted { "targeted" } else { "open" }.to_owned()
                        }
                        "instance-platform" => r.platform.clone(),
                        "instance-type" => r.instance_type.clone(),
                        "owner-id" => region.owner.clone(),
                        "state" => r.state().to_owned(),
                        _ => "default".to_owned(),
                    }]
                })
            });
        let (page, token) = self.page.cut(chosen.collect(), |r| r.id.to_string());
        let mut x = Xml::new();
        x.list("capacityReservationSet", page, |x, r| write(x, region, r));
        write_token(&mut x, token);
        Ok(x)
    }
}

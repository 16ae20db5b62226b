//! Dedicated hosts.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/dedicated-hosts-overview.html>

use super::Action;
use super::client_token::ClientToken;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::capacity::DedicatedHost;
use crate::account::instance::Instance;
use crate::account::instance_types::TYPES;
use crate::account::region::Region;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::HostId;

fn not_found(id: &HostId) -> ApiError {
    ApiError::new(
        "InvalidHostID.NotFound",
        format!("The specified host ID '{id}' does not exist"),
    )
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AllocateHosts.html>
pub(crate) struct AllocateHosts {
    zone: String,
    takes: String,
    count: u32,
    auto_placement: bool,
    tags: TagSpecs,
    token: Option<ClientToken>,
}

impl Action for AllocateHosts {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let takes = match (p.text("InstanceType"), p.text("InstanceFamily")) {
            (Some(name), None) if TYPES.iter().any(|t| t.name == name) => name,
            (None, Some(family)) if TYPES.iter().any(|t| t.family() == family) => family,
            (None, None) => return Err(ApiError::missing("InstanceType")),
            (Some(_), Some(_)) => {
                return Err(ApiError::combination(
                    "InstanceType and InstanceFamily cannot be used together",
                ));
            }
            (Some(other), None) | (None, Some(other)) => {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("Invalid value '{other}' for InstanceType."),
                ));
            }
        };
        Ok(Self {
            zone: p.required("AvailabilityZone")?.to_owned(),
            takes: takes.to_owned(),
            count: p.number("Quantity")?.unwrap_or(1),
            auto_placement: p.word("AutoPlacement", &["on", "off"])? == Some("on"),
            tags: TagSpecs::parse(p, &["dedicated-host"])?,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let mut x = Xml::new();
        if let Some(token) = &self.token
            && let Some(made) = token.made_before(cx, "AllocateHosts")?
        {
            x.texts("hostIdSet", made.split(' '));
            return Ok(x);
        }
        let region = cx.region();
        let letter = self.zone.strip_prefix(&region.name);
        if !letter.is_some_and(|l| ["a", "b", "c"].contains(&l)) {
            return Err(ApiError::new(
                "InvalidParameterValue",
                format!("Invalid availability zone: [{}]", self.zone),
            ));
        }
        let mut ids = Vec::new();
        for _ in 0..self.count {
            let host = DedicatedHost {
                id: HostId::random(),
                zone: self.zone.clone(),
                takes: self.takes.clone(),
                auto_placement: self.auto_placement,
                created: now,
                tags: self.tags.of("dedicated-host"),
            };
            ids.push(host.id.clone());
            region.hosts.insert(host.id.clone(), host);
        }
        x.texts("hostIdSet", &ids);
        if let Some(token) = self.token {
            let ids: Vec<&str> = ids.iter().map(HostId::as_str).collect();
            token.remember(cx, "AllocateHosts", &ids.join(" "));
        }
        Ok(x)
    }
}

fn guests<'a>(region: &'a Region, host: &'a DedicatedHost) -> impl Iterator<Item = &'a Instance> {
    region
        .instances
        .values()
        .filter(|i| i.holds_disk() && i.hosting.host_id.as_deref() == Some(host.id.as_str()))
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeHosts.html>
pub(crate) struct DescribeHosts {
    ids: Vec<HostId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeHosts {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("HostId")
            .into_iter()
            .map(HostId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("hostIds", ids.len())?;
        let known = [
            "auto-placement",
            "availability-zone",
            "instance-type",
            "state",
        ];
        Ok(Self {
            ids,
            filters: Filters::parse(p, &known)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        if let Some(unknown) = self.ids.iter().find(|id| !region.hosts.contains_key(id)) {
            return Err(not_found(unknown));
        }
        let automatic = |h: &DedicatedHost| if h.auto_placement { "on" } else { "off" };
        let chosen = region
            .hosts
            .values()
            .filter(|h| self.ids.is_empty() || self.ids.contains(&h.id))
            .filter(|h| {
                self.filters.pass(&h.tags, |name| {
                    vec![match name {
                        "auto-placement" => automatic(h).to_owned(),
                        "availability-zone" => h.zone.clone(),
                        "instance-type" => h.takes.clone(),
                        _ => "available".to_owned(),
                    }]
                })
            });
        let (page, token) = self.page.cut(chosen.collect(), |h| h.id.to_string());
        let mut x = Xml::new();
        x.list("hostSet", page, |x, h| {
            x.put("hostId", &h.id)
                .put("autoPlacement", automatic(h))
                .put("availabilityZone", &h.zone)
                .put("state", "available")
                .put("allocationTime", h.created)
                .put("ownerId", &region.owner);
            x.node("hostProperties", |x| {
                match h.takes.contains('.') {
                    true => x.put("instanceType", &h.takes),
                    false => x.put("instanceFamily", &h.takes),
                };
            });
            x.list("instances", guests(region, h), |x, i| {
                x.put("instanceId", &i.id)
                    .put("instanceType", &i.instance_type)
                    .put("ownerId", &region.owner);
            });
            write_tags(x, &h.tags);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReleaseHosts.html>
pub(crate) struct ReleaseHosts {
    ids: Vec<HostId>,
}

impl Action for ReleaseHosts {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("HostId")
            .into_iter()
            .map(HostId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        match ids.is_empty() {
            true => Err(ApiError::missing("HostId")),
            false => Ok(Self { ids }),
        }
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        let (mut released, mut kept) = (Vec::new(), Vec::new());
        for id in self.ids {
            match region.hosts.get(&id) {
                Some(host) if guests(region, host).next().is_none() => {
                    region.hosts.remove(&id);
                    released.push(id);
                }
                Some(_) => kept.push((id, "Client.InvalidHost.Occupied")),
                None => kept.push((id, "Client.InvalidHostID.NotFound")),
            }
        }
        let mut x = Xml::new();
        x.texts("successful", released);
        x.list("unsuccessful", kept, |x, (id, code)| {
            x.put("resourceId", id).node("error", |x| {
                x.put("code", code)
                    .put("message", "The host could not be released");
            });
        });
        Ok(x)
    }
}

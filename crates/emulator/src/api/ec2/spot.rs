//! Spot: what a launch says about it, and looking at and cancelling its requests.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances.html>

use super::Action;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::write_tags;
use super::xml::Xml;
use crate::account::region::Region;
use crate::account::spot::SpotRequest;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{InstanceId, SpotRequestId};

/// A launch as a one-time spot instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpotLaunch {
    /// The most to pay per hour in US dollars, as given.
    pub(crate) max_price: Option<String>,
}

/// Reads `InstanceMarketOptions`, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMarketOptionsRequest.html>.
///
/// # Errors
/// `UnsupportedOperation` for what the local EC2 does not have: persistent requests, instances that are stopped or
/// hibernated when they are interrupted, capacity blocks.
pub(crate) fn launch(p: &Scope<'_>) -> Result<Option<SpotLaunch>, ApiError> {
    let options = p.inside("SpotOptions");
    let unsupported = |what: &str| {
        Err(ApiError::new(
            "UnsupportedOperation",
            format!(
                "The local EC2 has no {what}; it has one-time spot instances, which are terminated when they are interrupted"
            ),
        ))
    };
    match p.word(
        "MarketType",
        &[
            "spot",
            "capacity-block",
            "interruptible-capacity-reservation",
        ],
    )? {
        Some("spot") => {}
        Some(other) => return unsupported(other),
        None if p.given() => {
            return Err(ApiError::missing(&p.name("MarketType")));
        }
        None => return Ok(None),
    }
    if options.word("SpotInstanceType", &["one-time", "persistent"])? == Some("persistent") {
        return unsupported("persistent spot requests");
    }
    let behaviors = ["terminate", "stop", "hibernate"];
    match options.word("InstanceInterruptionBehavior", &behaviors)? {
        None | Some("terminate") => {}
        Some(_) => return unsupported("interruption but by termination"),
    }
    let max_price = options.text("MaxPrice").map(str::to_owned);
    if let Some(price) = max_price.as_deref().filter(|p| !is_price(p)) {
        return Err(ApiError::invalid_value(
            &options.name("MaxPrice"),
            price,
            "Expected a price per hour in US dollars, such as 0.05.",
        ));
    }
    Ok(Some(SpotLaunch { max_price }))
}

fn is_price(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    digits && text.parse::<f64>().is_ok_and(|price| price > 0.0)
}

/// EC2's refusal to stop a one-time spot instance, see
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-instances-request.html#stopping-a-spot-instance>.
pub(crate) fn cannot_stop(id: &InstanceId) -> ApiError {
    ApiError::new(
        "UnsupportedOperation",
        format!(
            "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot Instance request. \
             You can only stop Spot Instances associated with persistent Spot Instance requests."
        ),
    )
}

fn ids(p: &Scope<'_>) -> Result<Vec<SpotRequestId>, ApiError> {
    p.texts("SpotInstanceRequestId")
        .into_iter()
        .map(SpotRequestId::parse)
        .collect()
}

/// The requests of `ids`, or all; in either case those that other requests can see.
fn seen(cx: &mut Cx<'_>, ids: &[SpotRequestId]) -> Result<Vec<SpotRequest>, ApiError> {
    let all: Vec<SpotRequest> = cx.region().spot_requests.values().cloned().collect();
    let seen: Vec<SpotRequest> = all.into_iter().filter(|r| cx.visible(r.created)).collect();
    if let Some(unknown) = ids.iter().find(|id| !seen.iter().any(|r| r.id == **id)) {
        return Err(not_found(unknown.as_str()));
    }
    Ok(seen
        .into_iter()
        .filter(|r| ids.is_empty() || ids.contains(&r.id))
        .collect())
}

/// EC2's answer to a spot request that is not there.
pub(crate) fn not_found(id: &str) -> ApiError {
    ApiError::new(
        "InvalidSpotInstanceRequestID.NotFound",
        format!("The spot instance request ID '{id}' does not exist"),
    )
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotInstanceRequests.html>
pub(crate) struct DescribeSpotInstanceRequests {
    ids: Vec<SpotRequestId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeSpotInstanceRequests {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = ids(p)?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("spotInstanceRequestIds", ids.len())?;
        let known = [
            "create-time",
            "instance-id",
            "launch.image-id",
            "launch.instance-type",
            "launched-availability-zone",
            "spot-instance-request-id",
            "state",
            "status-code",
            "type",
        ];
        Ok(Self {
            ids,
            filters: Filters::parse(p, &known)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let seen = seen(cx, &self.ids)?;
        let region = &*cx.region();
        let chosen = seen
            .iter()
            .filter(|r| self.filters.pass(&r.tags, |name| values(region, r, name)));
        let (page, token) = self.page.cut(chosen.collect(), |r| r.id.to_string());
        let mut x = Xml::new();
        x.list("spotInstanceRequestSet", page, |x, r| write(x, region, r));
        write_token(&mut x, token);
        Ok(x)
    }
}

fn values(region: &Region, r: &SpotRequest, filter: &str) -> Vec<String> {
    let status = r.status(region.instances.get(&r.instance));
    vec![match filter {
        "create-time" => r.created.to_string(),
        "instance-id" => r.instance.to_string(),
        "launch.image-id" => r.image.to_string(),
        "launch.instance-type" => r.instance_type.clone(),
        "launched-availability-zone" => r.zone.clone(),
        "state" => status.state.name().to_owned(),
        "status-code" => status.code.to_owned(),
        "type" => "one-time".to_owned(),
        _ => r.id.to_string(),
    }]
}

fn write(x: &mut Xml, region: &Region, r: &SpotRequest) {
    let status = r.status(region.instances.get(&r.instance));
    // EC2 shows the on-demand price where no other was given; the local EC2 has no prices.
    x.put("spotInstanceRequestId", &r.id)
        .maybe("spotPrice", r.max_price.as_ref())
        .put("type", "one-time")
        .put("state", status.state.name());
    x.node("status", |x| {
        x.put("code", status.code)
            .put("updateTime", status.updated)
            .put("message", status.message);
    });
    x.node("launchSpecification", |x| {
        x.put("imageId", &r.image)
            .put("instanceType", &r.instance_type);
        x.node("placement", |x| {
            x.put("availabilityZone", &r.zone);
        });
    });
    x.put("instanceId", &r.instance)
        .put("createTime", r.created)
        .put("productDescription", "Linux/UNIX");
    write_tags(x, &r.tags);
    x.put("launchedAvailabilityZone", &r.zone)
        .put("instanceInterruptionBehavior", "terminate");
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CancelSpotInstanceRequests.html>: "Canceling a Spot Instance
/// request does not terminate running Spot Instances".
pub(crate) struct CancelSpotInstanceRequests {
    ids: Vec<SpotRequestId>,
}

impl Action for CancelSpotInstanceRequests {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = ids(p)?;
        match ids.is_empty() {
            true => Err(ApiError::missing("SpotInstanceRequestId")),
            false => Ok(Self { ids }),
        }
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let mut states = Vec::new();
        for request in seen(cx, &self.ids)? {
            let region = cx.region();
            let status = request.status(region.instances.get(&request.instance));
            let active = status.state == crate::account::spot::SpotState::Active;
            let Some(kept) = region.spot_requests.get_mut(&request.id) else {
                continue;
            };
            if active {
                kept.cancelled = Some(now);
            }
            let state = kept.status(region.instances.get(&request.instance)).state;
            states.push((request.id, state));
        }
        let mut x = Xml::new();
        x.list("spotInstanceRequestSet", states, |x, (id, state)| {
            x.put("spotInstanceRequestId", id)
                .put("state", state.name());
        });
        Ok(x)
    }
}

//! Looking at instances.

use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::xml::Xml;
use super::{Action, instance_view};
use crate::account::instance::{Instance, public_dns};
use crate::account::lifecycle::InstanceState;
use crate::account::region::Region;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::{InstanceId, ProfileAssociationId, ReservationId};
use std::collections::BTreeMap;

/// Reads `InstanceId.N`.
pub(crate) fn ids(p: &Scope<'_>) -> Result<Vec<InstanceId>, ApiError> {
    p.texts("InstanceId")
        .into_iter()
        .map(InstanceId::parse)
        .collect()
}

/// An instance that other requests can already see.
///
/// # Errors
/// `InvalidInstanceID.NotFound`.
pub(crate) fn existing<'a>(
    cx: &'a mut Cx<'_>,
    id: &InstanceId,
) -> Result<&'a mut Instance, ApiError> {
    let (now, visibility) = (cx.now, cx.timing.visibility);
    let found = cx.region().instances.get_mut(id);
    found
        .filter(|i| now.duration_since(i.created).unsigned_abs() >= visibility)
        .ok_or_else(|| not_found(&[id]))
}

/// EC2's answer to instances that are not there.
pub(crate) fn not_found(ids: &[&InstanceId]) -> ApiError {
    let list = ids
        .iter()
        .map(|id| id.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let message = match ids.len() {
        1 => format!("The instance ID '{list}' does not exist"),
        _ => format!("The instance IDs '{list}' do not exist"),
    };
    ApiError::new("InvalidInstanceID.NotFound", message)
}

/// The instances of `ids`, or all; in either case those that other requests can see.
fn seen<'a>(
    cx: &'a mut Cx<'_>,
    ids: &[InstanceId],
) -> Result<(&'a Region, Vec<&'a Instance>), ApiError> {
    let (now, visibility) = (cx.now, cx.timing.visibility);
    let region = &*cx.region();
    let visible = |i: &&Instance| now.duration_since(i.created).unsigned_abs() >= visibility;
    let missing: Vec<&InstanceId> = ids
        .iter()
        .filter(|id| region.instances.get(id).filter(visible).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(not_found(&missing));
    }
    Ok((
        region,
        region
            .instances
            .values()
            .filter(visible)
            .filter(|i| ids.is_empty() || ids.contains(&i.id))
            .collect(),
    ))
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>
pub(crate) struct DescribeInstances {
    ids: Vec<InstanceId>,
    filters: Filters,
    page: Page,
}

const FILTERS: [&str; 63] = [
    "architecture",
    "association.allocation-id",
    "association.public-ip",
    "availability-zone",
    "block-device-mapping.attach-time",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.status",
    "block-device-mapping.volume-id",
    "capacity-reservation-id",
    "client-token",
    "dns-name",
    "group-id",
    "group-name",
    "host-id",
    "hypervisor",
    "iam-instance-profile.arn",
    "iam-instance-profile.id",
    "iam-instance-profile.name",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "kernel-id",
    "key-name",
    "launch-index",
    "launch-time",
    "metadata-options.http-endpoint",
    "metadata-options.http-put-response-hop-limit",
    "metadata-options.instance-metadata-tags",
    "monitoring-state",
    "network-interface.addresses.private-ip-address",
    "network-interface.group-id",
    "network-interface.ipv6-addresses.ipv6-address",
    "network-interface.network-interface-id",
    "network-interface.private-ip-address",
    "network-interface.subnet-id",
    "network-interface.vpc-id",
    "owner-id",
    "placement-group-name",
    "platform-details",
    "private-dns-name",
    "private-ip-address",
    "product-code",
    "product-code.type",
    "reason",
    "reservation-id",
    "root-device-name",
    "root-device-type",
    "source-dest-check",
    "spot-instance-request-id",
    "state-reason-code",
    "subnet-id",
    "tenancy",
    "usage-operation",
    "virtualization-type",
    "vpc-id",
    "metadata-options.http-tokens",
];

impl Action for DescribeInstances {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = ids(p)?;
        let filters = Filters::parse(p, &FILTERS)?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("instancesSet", ids.len())?;
        Ok(Self { ids, filters, page })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (region, seen) = seen(cx, &self.ids)?;
        let chosen = seen
            .into_iter()
            .filter(|i| self.filters.pass(&i.tags, |name| values(region, i, name)));
        let (page, token) = self.page.cut(chosen.collect(), |i| i.id.to_string());
        let mut reservations: BTreeMap<&ReservationId, Vec<&Instance>> = BTreeMap::new();
        for instance in page {
            reservations
                .entry(&instance.reservation)
                .or_default()
                .push(instance);
        }
        let mut x = Xml::new();
        x.list("reservationSet", reservations.values(), |x, instances| {
            instance_view::reservation(x, region, instances)
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

fn values(region: &Region, i: &Instance, filter: &str) -> Vec<String> {
    let optional = |value: Option<String>| value.into_iter().collect();
    let profile = || i.profile.as_ref();
    let public_ip = region.public_ip(i);
    let group_names = || {
        i.interface
            .groups
            .iter()
            .filter_map(|id| region.groups.get(id))
            .map(|g| g.name.clone())
            .collect()
    };
    let word = |on: bool| if on { "enabled" } else { "disabled" }.to_owned();
    match filter {
        "architecture" => vec![i.architecture.clone()],
        "association.allocation-id" => {
            optional(region.elastic_ip(&i.id).map(|a| a.allocation.to_string()))
        }
        "association.public-ip" | "ip-address" => optional(public_ip.map(|ip| ip.to_string())),
        "availability-zone" => vec![i.zone.clone()],
        "capacity-reservation-id" => optional(i.hosting.reservation.clone()),
        "block-device-mapping.attach-time" => {
            i.volumes.iter().map(|v| v.attached.to_string()).collect()
        }
        "block-device-mapping.delete-on-termination" => i
            .volumes
            .iter()
            .map(|v| v.delete_on_termination.to_string())
            .collect(),
        "block-device-mapping.status" => i.volumes.iter().map(|_| "attached".to_owned()).collect(),
        "host-id" => optional(i.hosting.host_id.clone()),
        "hypervisor" => vec!["xen".to_owned()],
        "iam-instance-profile.id" => optional(profile().map(|p| p.profile_id.clone())),
        "kernel-id" => optional(i.kernel.clone()),
        "metadata-options.http-endpoint" => vec![word(i.metadata.enabled)],
        "metadata-options.http-put-response-hop-limit" => vec![i.metadata.hop_limit.to_string()],
        "metadata-options.instance-metadata-tags" => vec![word(i.metadata.tags)],
        "monitoring-state" => vec!["disabled".to_owned()],
        "network-interface.addresses.private-ip-address" => {
            vec![i.interface.private_ip.to_string()]
        }
        "network-interface.group-id" => {
            i.interface.groups.iter().map(ToString::to_string).collect()
        }
        "network-interface.ipv6-addresses.ipv6-address" => {
            i.interface.ipv6.iter().map(ToString::to_string).collect()
        }
        "placement-group-name" => optional(i.hosting.placement_group.clone()),
        "platform-details" => vec![i.platform_details.clone()],
        "product-code" => i.product_codes.iter().map(|c| c.id.clone()).collect(),
        "product-code.type" => i.product_codes.iter().map(|c| c.kind.clone()).collect(),
        "reason" => vec![i.transition_reason.clone()],
        "source-dest-check" => vec![i.interface.source_dest_check.to_string()],
        "usage-operation" => vec![i.usage_operation.clone()],
        "block-device-mapping.device-name" => i.volumes.iter().map(|v| v.device.clone()).collect(),
        "block-device-mapping.volume-id" => {
            i.volumes.iter().map(|v| v.volume.to_string()).collect()
        }
        "client-token" => vec![i.client_token.clone()],
        "dns-name" => optional(public_ip.map(|ip| public_dns(ip, &region.name))),
        "group-id" | "instance.group-id" => {
            i.interface.groups.iter().map(ToString::to_string).collect()
        }
        "group-name" | "instance.group-name" => group_names(),
        "iam-instance-profile.arn" => optional(profile().map(|p| p.arn(&region.owner))),
        "iam-instance-profile.name" => optional(profile().map(|p| p.name.clone())),
        "image-id" => vec![i.image.to_string()],
        // "spot | scheduled | capacity-block"; an on-demand instance has none.
        "instance-lifecycle" => optional(i.spot.as_ref().map(|_| "spot".to_owned())),
        "instance-state-code" => vec![i.state.code().to_string()],
        "instance-state-name" => vec![i.state.name().to_owned()],
        "instance-type" => vec![i.instance_type.clone()],
        "key-name" => optional(i.key.as_ref().map(|k| k.name.clone())),
        "launch-index" => vec![i.launch_index.to_string()],
        "launch-time" => vec![i.launched.to_string()],
        "metadata-options.http-tokens" => vec![
            if i.metadata.tokens_required {
                "required"
            } else {
                "optional"
            }
            .to_owned(),
        ],
        "network-interface.network-interface-id" => vec![i.interface.id.to_string()],
        "network-interface.private-ip-address" | "private-ip-address" => {
            vec![i.interface.private_ip.to_string()]
        }
        "network-interface.subnet-id" | "subnet-id" => vec![i.interface.subnet.to_string()],
        "network-interface.vpc-id" | "vpc-id" => vec![i.interface.vpc.to_string()],
        "owner-id" => vec![region.owner.clone()],
        "private-dns-name" => vec![i.private_dns(&region.name)],
        "reservation-id" => vec![i.reservation.to_string()],
        "root-device-name" => vec![i.root_device.clone()],
        "root-device-type" => vec!["ebs".to_owned()],
        "spot-instance-request-id" => optional(i.spot.as_ref().map(ToString::to_string)),
        "state-reason-code" => optional(i.state_reason.as_ref().map(|r| r.code.clone())),
        "tenancy" => vec![
            i.hosting
                .tenancy
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
        ],
        "virtualization-type" => vec![i.virtualization.name().to_owned()],
        _ => vec![i.id.to_string()],
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html>
pub(crate) struct DescribeInstanceStatus {
    ids: Vec<InstanceId>,
    all: bool,
    filters: Filters,
    page: Page,
}

impl Action for DescribeInstanceStatus {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = ids(p)?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("instancesSet", ids.len())?;
        let known = [
            "availability-zone",
            "instance-state-code",
            "instance-state-name",
            "instance-status.status",
            "system-status.status",
        ];
        Ok(Self {
            ids,
            all: p.flag("IncludeAllInstances")?.unwrap_or(false),
            filters: Filters::parse(p, &known)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, checks) = (cx.now, cx.timing.status_checks);
        let (_, seen) = seen(cx, &self.ids)?;
        let status = |i: &Instance| match i.state {
            InstanceState::Running if now.duration_since(i.since).unsigned_abs() >= checks => "ok",
            InstanceState::Running | InstanceState::Pending => "initializing",
            _ => "not-applicable",
        };
        // "By default, only running instances are described."
        let chosen = seen
            .into_iter()
            .filter(|i| self.all || i.state == InstanceState::Running)
            .filter(|i| {
                self.filters.pass(&i.tags, |name| {
                    vec![match name {
                        "availability-zone" => i.zone.clone(),
                        "instance-state-code" => i.state.code().to_string(),
                        "instance-state-name" => i.state.name().to_owned(),
                        _ => status(i).to_owned(),
                    }]
                })
            });
        let (page, token) = self.page.cut(chosen.collect(), |i| i.id.to_string());
        let mut x = Xml::new();
        x.list("instanceStatusSet", page, |x, i| {
            x.put("instanceId", &i.id).put("availabilityZone", &i.zone);
            instance_view::state(x, "instanceState", i.state);
            for check in ["instanceStatus", "systemStatus"] {
                x.node(check, |x| {
                    x.put("status", status(i));
                    let passed = match status(i) {
                        "ok" => Some("passed"),
                        "initializing" => Some("initializing"),
                        _ => None,
                    };
                    x.list("details", passed, |x, passed| {
                        x.put("name", "reachability").put("status", passed);
                    });
                });
            }
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeIamInstanceProfileAssociations.html>
pub(crate) struct DescribeIamInstanceProfileAssociations {
    ids: Vec<ProfileAssociationId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeIamInstanceProfileAssociations {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("AssociationId")
            .into_iter()
            .map(ProfileAssociationId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            ids,
            filters: Filters::parse(p, &["instance-id", "state"])?,
            page: Page::parse(p, 5)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (region, seen) = seen(cx, &[])?;
        let chosen = seen
            .into_iter()
            .filter(|i| i.holds_disk())
            .filter_map(|i| Some((i, i.profile.as_ref()?)))
            .filter(|(i, p)| {
                let asked = self.ids.is_empty() || self.ids.contains(&p.id);
                asked
                    && self.filters.pass(&i.tags, |name| {
                        vec![if name == "state" {
                            "associated".to_owned()
                        } else {
                            i.id.to_string()
                        }]
                    })
            });
        let (page, token) = self.page.cut(chosen.collect(), |(_, p)| p.id.to_string());
        let mut x = Xml::new();
        x.list("iamInstanceProfileAssociationSet", page, |x, (i, p)| {
            x.put("associationId", &p.id)
                .put("instanceId", &i.id)
                .put("state", "associated")
                .put("timestamp", i.created);
            x.node("iamInstanceProfile", |x| {
                x.put("arn", p.arn(&region.owner)).put("id", &p.profile_id);
            });
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

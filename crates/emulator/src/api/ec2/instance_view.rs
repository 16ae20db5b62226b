//! Instances as EC2 shows them.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html>

use super::tag_specs::write_tags;
use super::xml::Xml;
use crate::account::instance::{Hosting, Instance, MetadataOptions, public_dns};
use crate::account::lifecycle::InstanceState;
use crate::account::region::Region;

/// Writes `instanceState`, or the same under another name.
pub(crate) fn state(x: &mut Xml, name: &str, state: InstanceState) {
    x.node(name, |x| {
        x.put("code", state.code()).put("name", state.name());
    });
}

/// Writes a reservation: one RunInstances' instances, or those of them that passed a filter.
pub(crate) fn reservation(x: &mut Xml, region: &Region, instances: &[&Instance]) {
    let Some(first) = instances.first() else {
        return;
    };
    x.put("reservationId", &first.reservation)
        .put("ownerId", &region.owner)
        .list("groupSet", None::<()>, |_, ()| {});
    x.list("instancesSet", instances, |x, i| instance(x, region, i));
}

fn instance(x: &mut Xml, region: &Region, i: &Instance) {
    let gone = i.state == InstanceState::Terminated;
    let public_ip = region.public_ip(i).filter(|_| !gone);
    x.put("instanceId", &i.id).put("imageId", &i.image);
    state(x, "instanceState", i.state);
    x.put(
        "privateDnsName",
        if gone {
            String::new()
        } else {
            i.private_dns(&region.name)
        },
    );
    x.put(
        "dnsName",
        public_ip
            .map(|ip| public_dns(ip, &region.name))
            .unwrap_or_default(),
    );
    x.put("reason", &i.transition_reason)
        .maybe("keyName", i.key.as_ref().map(|k| &k.name));
    x.put("amiLaunchIndex", i.launch_index);
    super::image_view::product_codes(x, &i.product_codes);
    x.put("instanceType", &i.instance_type)
        .put("launchTime", i.launched);
    x.node("placement", |x| placement(x, i));
    x.node("monitoring", |x| {
        x.put("state", "disabled");
    });
    if !gone {
        x.put("subnetId", &i.interface.subnet)
            .put("vpcId", &i.interface.vpc)
            .put("privateIpAddress", i.interface.private_ip)
            .maybe("ipv6Address", i.interface.ipv6.first());
        x.maybe("ipAddress", public_ip)
            .put("sourceDestCheck", i.interface.source_dest_check);
    }
    groups(x, region, i);
    if let Some(reason) = &i.state_reason {
        x.node("stateReason", |x| {
            x.put("code", &reason.code).put("message", &reason.message);
        });
    }
    x.put("architecture", &i.architecture)
        .put("rootDeviceType", "ebs")
        .put("rootDeviceName", &i.root_device);
    devices(x, i);
    if let Some(request) = &i.spot {
        x.put("instanceLifecycle", "spot")
            .put("spotInstanceRequestId", request);
    }
    x.put("virtualizationType", i.virtualization.name())
        .maybe("kernelId", i.kernel.as_ref())
        .put("clientToken", &i.client_token);
    write_tags(x, &i.tags);
    x.put("hypervisor", "xen");
    x.list("networkInterfaceSet", (!gone).then_some(i), |x, i| {
        interface(x, region, i, InterfaceOf::Instance)
    });
    if let Some(profile) = &i.profile {
        x.node("iamInstanceProfile", |x| {
            x.put("arn", profile.arn(&region.owner))
                .put("id", &profile.profile_id);
        });
    }
    if let Some(reservation) = &i.hosting.reservation {
        x.put("capacityReservationId", reservation);
    }
    x.node("capacityReservationSpecification", |x| {
        capacity(x, &i.hosting)
    });
    x.put("ebsOptimized", i.ebs_optimized)
        .put("enaSupport", i.ena_support)
        .maybe("sriovNetSupport", i.sriov_net_support.as_ref());
    x.node("metadataOptions", |x| metadata(x, &i.metadata, "applied"));
    x.put("platformDetails", &i.platform_details)
        .put("usageOperation", &i.usage_operation);
    x.node("cpuOptions", |x| {
        let vcpus = crate::account::instance_types::find(&i.instance_type).map_or(1, |t| t.vcpus);
        x.put("coreCount", (vcpus / 2).max(1))
            .put("threadsPerCore", if vcpus > 1 { 2 } else { 1 });
    });
}

/// Writes what is in `capacityReservationSpecification`.
fn capacity(x: &mut Xml, hosting: &Hosting) {
    match (&hosting.reservation_target, &hosting.reservation_group) {
        (None, None) => {
            let preference = hosting.reservation_preference.as_deref();
            x.put(
                "capacityReservationPreference",
                preference.unwrap_or("open"),
            );
        }
        (id, group) => {
            x.node("capacityReservationTarget", |x| {
                x.maybe("capacityReservationId", id.as_ref())
                    .maybe("capacityReservationResourceGroupArn", group.as_ref());
            });
        }
    }
}

/// Writes what is in `placement`.
fn placement(x: &mut Xml, i: &Instance) {
    let hosting = &i.hosting;
    x.put("availabilityZone", &i.zone)
        .put(
            "groupName",
            hosting.placement_group.as_deref().unwrap_or_default(),
        )
        .put("tenancy", hosting.tenancy.as_deref().unwrap_or("default"))
        .maybe("hostId", hosting.host_id.as_ref())
        .maybe("hostResourceGroupArn", hosting.host_resource_group.as_ref());
}

/// Writes an instance's groups.
pub(crate) fn groups(x: &mut Xml, region: &Region, i: &Instance) {
    let groups = i
        .interface
        .groups
        .iter()
        .filter_map(|id| region.groups.get(id));
    x.list("groupSet", groups, |x, g| {
        x.put("groupId", &g.id).put("groupName", &g.name);
    });
}

/// Writes an instance's volumes.
pub(crate) fn devices(x: &mut Xml, i: &Instance) {
    let volumes = i.volumes.iter().filter(|_| i.holds_disk());
    x.list("blockDeviceMapping", volumes, |x, v| {
        x.put("deviceName", &v.device).node("ebs", |x| {
            x.put("volumeId", &v.volume)
                .put("status", "attached")
                .put("attachTime", v.attached);
            x.put("deleteOnTermination", v.delete_on_termination);
        });
    });
}

/// Writes what is in `metadataOptions`.
pub(crate) fn metadata(x: &mut Xml, m: &MetadataOptions, state: &str) {
    let word = |on: bool| if on { "enabled" } else { "disabled" };
    x.put("state", state).put(
        "httpTokens",
        if m.tokens_required {
            "required"
        } else {
            "optional"
        },
    );
    x.put("httpPutResponseHopLimit", m.hop_limit)
        .put("httpEndpoint", word(m.enabled));
    x.put("httpProtocolIpv6", "disabled")
        .put("instanceMetadataTags", word(m.tags));
}

/// Where an interface is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceOf {
    /// In its instance: the attachment does not repeat which.
    Instance,
    /// By itself.
    Region,
}

/// Writes an instance's network interface.
pub(crate) fn interface(x: &mut Xml, region: &Region, i: &Instance, shown: InterfaceOf) {
    let n = &i.interface;
    x.put("networkInterfaceId", &n.id)
        .put("subnetId", &n.subnet)
        .put("vpcId", &n.vpc)
        .put("description", &n.description);
    x.put("ownerId", &region.owner)
        .put("status", "in-use")
        .put("macAddress", &n.mac)
        .put("privateIpAddress", n.private_ip);
    x.put("privateDnsName", i.private_dns(&region.name))
        .put("sourceDestCheck", n.source_dest_check);
    groups(x, region, i);
    x.node("attachment", |x| {
        x.put("attachmentId", &n.attachment)
            .put("deviceIndex", 0)
            .put("status", "attached")
            .put("attachTime", i.created);
        x.put("deleteOnTermination", true)
            .put("networkCardIndex", 0);
        if shown == InterfaceOf::Region {
            x.put("instanceId", &i.id)
                .put("instanceOwnerId", &region.owner);
        }
    });
    let association = |x: &mut Xml| {
        if let Some(ip) = region.public_ip(i) {
            let address = region.elastic_ip(&i.id);
            x.node("association", |x| {
                x.put("publicIp", ip)
                    .put("publicDnsName", public_dns(ip, &region.name));
                x.put(
                    "ipOwnerId",
                    if address.is_some() {
                        region.owner.as_str()
                    } else {
                        "amazon"
                    },
                );
                if let Some(address) = address {
                    x.put("allocationId", &address.allocation);
                    x.maybe("associationId", address.association.as_ref().map(|a| &a.id));
                }
            });
        }
    };
    association(x);
    x.list("privateIpAddressesSet", [()], |x, ()| {
        x.put("privateIpAddress", n.private_ip)
            .put("privateDnsName", i.private_dns(&region.name))
            .put("primary", true);
        association(x);
    });
    x.list(
        "ipv6AddressesSet",
        n.ipv6.iter().enumerate(),
        |x, (index, ip)| {
            x.put("ipv6Address", ip).put("isPrimaryIpv6", index == 0);
        },
    )
    .put("interfaceType", "interface");
}

//! What the metadata service shows.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html>

use crate::account::Account;
use crate::account::instance::{Instance, ProfileAssociation, public_dns};
use crate::account::region::Region;
use crate::api::caller::session_credentials;
use crate::api::ec2::places::zone_id;
use jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Versions of the tree. All show the same here; `latest` is the newest.
const VERSIONS: [&str; 12] = [
    "1.0",
    "2007-01-19",
    "2008-02-01",
    "2009-04-04",
    "2011-01-01",
    "2012-01-12",
    "2014-02-25",
    "2016-09-02",
    "2018-09-24",
    "2020-10-27",
    "2021-03-23",
    "latest",
];

/// An instance as its metadata service sees it.
pub(super) struct View<'a> {
    pub(super) account: &'a Account,
    pub(super) region: &'a Region,
    pub(super) instance: &'a Instance,
    pub(super) now: Timestamp,
}

impl View<'_> {
    /// What is at a path: a value, or a folder's list of names. None if there is nothing.
    pub(super) fn get(&self, path: &str) -> Option<Vec<u8>> {
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            return Some(VERSIONS.join("\n").into_bytes());
        }
        let (version, rest) = path.split_once('/').unwrap_or((path, ""));
        if !VERSIONS.contains(&version) {
            return None;
        }
        let rest = rest.trim_end_matches('/');
        if rest == "user-data" {
            return (!self.instance.user_data.is_empty()).then(|| self.instance.user_data.clone());
        }
        // The list of keys is no list of names below: `0=name`.
        if rest == "meta-data/public-keys" {
            return self
                .instance
                .key
                .as_ref()
                .map(|k| format!("0={}", k.name).into_bytes());
        }
        let leaves = self.leaves();
        match leaves.get(rest) {
            Some(value) => Some(value.clone().into_bytes()),
            None => list(&leaves, rest, !self.instance.user_data.is_empty()),
        }
    }

    /// Every value, by its path below the version.
    fn leaves(&self) -> BTreeMap<String, String> {
        let (i, region) = (self.instance, self.region.name.as_str());
        let private_dns = i.private_dns(region);
        let public_ip = self.region.public_ip(i);
        let groups: Vec<&str> = i
            .interface
            .groups
            .iter()
            .filter_map(|g| self.region.groups.get(g))
            .map(|g| g.name.as_str())
            .collect();
        let letter = i.zone.chars().last().unwrap_or('a');
        let mut leaves = BTreeMap::new();
        let mut put = |path: &str, value: String| {
            leaves.insert(path.to_owned(), value);
        };
        put("dynamic/instance-identity/document", self.identity());
        let mut meta =
            |path: &str, value: &str| put(&format!("meta-data/{path}"), value.to_owned());
        meta("ami-id", i.image.as_str());
        meta("ami-launch-index", &i.launch_index.to_string());
        meta("ami-manifest-path", "(unknown)");
        meta("block-device-mapping/ami", &i.root_device);
        meta("block-device-mapping/root", &i.root_device);
        meta("hostname", &private_dns);
        meta("instance-action", "none");
        meta("instance-id", i.id.as_str());
        meta(
            "instance-life-cycle",
            if i.spot.is_some() {
                "spot"
            } else {
                "on-demand"
            },
        );
        meta("instance-type", &i.instance_type);
        meta("local-hostname", &private_dns);
        meta("local-ipv4", &i.interface.private_ip.to_string());
        meta("mac", &i.interface.mac);
        meta("placement/availability-zone", &i.zone);
        meta("placement/availability-zone-id", &zone_id(region, letter));
        meta("placement/region", region);
        meta("profile", &format!("default-{}", i.virtualization.name()));
        meta("reservation-id", i.reservation.as_str());
        meta("security-groups", &groups.join("\n"));
        meta("services/domain", "amazonaws.com");
        meta("services/partition", "aws");
        // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html: not there until told.
        if let Some(at) = i.interruption {
            let action = json!({ "action": "terminate", "time": seconds(at) });
            meta("spot/instance-action", &action.to_string());
            meta("spot/termination-time", &seconds(at));
        }
        if let Some(ip) = public_ip {
            meta("public-ipv4", &ip.to_string());
            meta("public-hostname", &public_dns(ip, region));
        }
        if let Some(key) = &i.key {
            meta(
                "public-keys/0/openssh-key",
                &format!("{}\n", key.public_key),
            );
        }
        let iam = self.account.iam.get(&self.region.owner);
        let role = |name: &str| iam.and_then(|iam| iam.role_of_profile(name));
        if let Some((profile, role)) = i.profile.as_ref().and_then(|p| Some((p, role(&p.name)?))) {
            meta("iam/info", &self.profile_info(profile));
            meta(
                &format!("iam/security-credentials/{}", role.name),
                &self.credentials(profile),
            );
        }
        for code in &i.product_codes {
            meta("product-codes", &code.id);
        }
        if let Some(kernel) = &i.kernel {
            meta("kernel-id", kernel);
        }
        if let Some(address) = i.interface.ipv6.first() {
            meta("ipv6", &address.to_string());
        }
        for (device, name) in &i.ephemeral {
            meta(&format!("block-device-mapping/{name}"), device);
        }
        let data = i.volumes.iter().filter(|v| v.device != i.root_device);
        for (n, volume) in data.enumerate() {
            let name = format!("block-device-mapping/ebs{}", n + 1);
            meta(&name, volume.device.trim_start_matches("/dev/"));
        }
        if let Some(group) = &i.hosting.placement_group {
            meta("placement/group-name", group);
        }
        if let Some(host) = &i.hosting.host_id {
            meta("placement/host-id", host);
        }
        if i.metadata.tags {
            for (key, value) in i.tags.iter() {
                meta(&format!("tags/instance/{key}"), value);
            }
        }
        self.interface(&mut |path, value| {
            put(
                &format!(
                    "meta-data/network/interfaces/macs/{}/{path}",
                    i.interface.mac
                ),
                value,
            )
        });
        leaves
    }

    fn interface(&self, put: &mut dyn FnMut(&str, String)) {
        let (i, region) = (self.instance, self.region.name.as_str());
        let n = &i.interface;
        put("device-number", "0".to_owned());
        put("interface-id", n.id.to_string());
        put("local-hostname", i.private_dns(region));
        put("local-ipv4s", n.private_ip.to_string());
        put("mac", n.mac.clone());
        put("owner-id", self.region.owner.clone());
        put(
            "security-group-ids",
            n.groups
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
        );
        put("subnet-id", n.subnet.to_string());
        put("vpc-id", n.vpc.to_string());
        if let Some(vpc) = self.region.find_vpc(&n.vpc) {
            put("vpc-ipv4-cidr-block", vpc.cidr.to_string());
            put("vpc-ipv4-cidr-blocks", vpc.cidr.to_string());
            if let Some(ipv6) = vpc.ipv6 {
                put("vpc-ipv6-cidr-blocks", ipv6.to_string());
            }
        }
        if let Some(subnet) = self.region.subnets.get(&n.subnet) {
            put("subnet-ipv4-cidr-block", subnet.cidr.to_string());
            if let Some(ipv6) = subnet.ipv6 {
                put("subnet-ipv6-cidr-blocks", ipv6.to_string());
            }
        }
        if !n.ipv6.is_empty() {
            let addresses: Vec<String> = n.ipv6.iter().map(ToString::to_string).collect();
            put("ipv6s", addresses.join("\n"));
        }
        if let Some(ip) = self.region.public_ip(i) {
            put("public-ipv4s", ip.to_string());
            put("public-hostname", public_dns(ip, region));
            put(&format!("ipv4-associations/{ip}"), n.private_ip.to_string());
        }
    }

    fn identity(&self) -> String {
        let i = self.instance;
        let products: Option<Vec<&str>> = (!i.product_codes.is_empty())
            .then(|| i.product_codes.iter().map(|c| c.id.as_str()).collect());
        pretty(&json!({
            "accountId": self.region.owner, "architecture": i.architecture, "availabilityZone": i.zone, "billingProducts": null,
            "devpayProductCodes": null, "marketplaceProductCodes": products, "imageId": i.image.as_str(), "instanceId": i.id.as_str(),
            "instanceType": i.instance_type, "kernelId": null, "pendingTime": seconds(i.launched),
            "privateIp": i.interface.private_ip.to_string(), "ramdiskId": null, "region": self.region.name, "version": "2017-09-30",
        }))
    }

    fn profile_info(&self, profile: &ProfileAssociation) -> String {
        pretty(&json!({
            "Code": "Success", "LastUpdated": seconds(self.now),
            "InstanceProfileArn": profile.arn(&self.region.owner), "InstanceProfileId": profile.profile_id,
        }))
    }

    fn credentials(&self, profile: &ProfileAssociation) -> String {
        let id = &self.instance.id;
        let c = session_credentials(self.account, id, &profile.name, self.now);
        pretty(&json!({
            "Code": "Success", "LastUpdated": seconds(c.issued), "Type": "AWS-HMAC", "AccessKeyId": c.access_key,
            "SecretAccessKey": c.secret, "Token": c.token, "Expiration": seconds(c.expires),
        }))
    }
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A folder's names; those that are folders themselves end in a slash. A version's root is a plain list.
fn list(leaves: &BTreeMap<String, String>, folder: &str, user_data: bool) -> Option<Vec<u8>> {
    if folder.is_empty() {
        let names: Vec<&str> = ["dynamic", "meta-data"]
            .into_iter()
            .chain(user_data.then_some("user-data"))
            .collect();
        return Some(names.join("\n").into_bytes());
    }
    let below = format!("{folder}/");
    let names: BTreeSet<String> = leaves
        .keys()
        .filter_map(|path| path.strip_prefix(&below))
        .map(|rest| {
            rest.split_once('/')
                .map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/"))
        })
        .collect();
    (!names.is_empty()).then(|| {
        names
            .into_iter()
            .collect::<Vec<_>>()
            .join("\n")
            .into_bytes()
    })
}

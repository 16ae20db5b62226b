//! Tags of resources that are there already.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>

use super::filter::Filters;
use super::launch_options::check_metadata_tags;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::parse_tags;
use super::xml::Xml;
use super::{Action, done};
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html>
pub(crate) struct CreateTags {
    resources: Vec<String>,
    tags: Vec<(String, String)>,
}

/// "Up to 1000 resources."
fn resources(p: &Scope<'_>) -> Result<Vec<String>, ApiError> {
    let ids: Vec<String> = p
        .texts("ResourceId")
        .into_iter()
        .map(str::to_owned)
        .collect();
    if ids.is_empty() {
        return Err(ApiError::missing("ResourceId"));
    }
    Ok(ids)
}

fn not_found(id: &str) -> ApiError {
    let kind = id.rsplit_once('-').map_or("", |(prefix, _)| prefix);
    let known = |code: &'static str, noun: &str| {
        ApiError::new(code, format!("The {noun} ID '{id}' does not exist"))
    };
    match kind {
        "i" => known("InvalidInstanceID.NotFound", "instance"),
        "ami" => ApiError::new(
            "InvalidAMIID.NotFound",
            format!("The image id '[{id}]' does not exist"),
        ),
        "snap" => known("InvalidSnapshot.NotFound", "snapshot"),
        "vol" => known("InvalidVolume.NotFound", "volume"),
        "sg" => known("InvalidGroup.NotFound", "security group"),
        "subnet" => known("InvalidSubnetID.NotFound", "subnet"),
        "vpc" => known("InvalidVpcID.NotFound", "vpc"),
        "key" => known("InvalidKeyPair.NotFound", "key pair"),
        "eipalloc" => known("InvalidAllocationID.NotFound", "allocation"),
        "sir" => super::spot::not_found(id),
        "eni" => known("InvalidNetworkInterfaceID.NotFound", "networkInterface"),
        _ => ApiError::new("InvalidID", format!("The ID '{id}' is not valid")),
    }
}

/// The tags of a resource that other requests can see. A public image is not ours to tag.
fn tags_of<'a>(cx: &'a mut Cx<'_>, id: &str) -> Result<&'a mut Tags, ApiError> {
    cx.region().tags_mut(id).ok_or_else(|| not_found(id))
}

impl Action for CreateTags {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let tags = parse_tags(p)?;
        if tags.is_empty() {
            return Err(ApiError::missing("Tag"));
        }
        Ok(Self {
            resources: resources(p)?,
            tags,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        for id in &self.resources {
            let shown_inside = cx
                .region()
                .instances
                .values()
                .any(|i| i.id.as_str() == id && i.metadata.tags);
            let tags = tags_of(cx, id)?;
            tags.set_all(&self.tags)?;
            if shown_inside {
                check_metadata_tags(tags)?;
            }
        }
        Ok(done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html>
pub(crate) struct DeleteTags {
    resources: Vec<String>,
    tags: Vec<(String, Option<String>)>,
}

impl Action for DeleteTags {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let mut tags = Vec::new();
        for tag in p.each("Tag") {
            // "If you omit the value, the tag is deleted whatever its value; with an empty string only if it is empty."
            tags.push((
                tag.required("Key")?.to_owned(),
                tag.text("Value").map(str::to_owned),
            ));
        }
        Ok(Self {
            resources: resources(p)?,
            tags,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        for id in &self.resources {
            let have = tags_of(cx, id)?;
            if self.tags.is_empty() {
                have.clear();
            }
            for (key, value) in &self.tags {
                have.remove(key, value.as_deref());
            }
        }
        Ok(done())
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTags.html>
pub(crate) struct DescribeTags {
    filters: Filters,
    page: Page,
}

impl Action for DescribeTags {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            filters: Filters::parse(p, &["key", "resource-id", "resource-type", "value"])?,
            page: Page::parse(p, 5)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        let all = region.all_tags();
        let tags = all.iter().flat_map(|(id, kind, tags)| {
            tags.iter()
                .map(move |(key, value)| (*id, *kind, key, value))
        });
        let chosen = tags.filter(|(id, kind, key, value)| {
            self.filters.pass(&Tags::of(&[(key, value)]), |name| {
                vec![match name {
                    "key" => (*key).to_owned(),
                    "resource-id" => (*id).to_owned(),
                    "resource-type" => (*kind).to_owned(),
                    _ => (*value).to_owned(),
                }]
            })
        });
        let (page, token) = self
            .page
            .cut(chosen.collect(), |(id, _, key, _)| format!("{id} {key}"));
        let mut x = Xml::new();
        x.list("tagSet", page, |x, (id, kind, key, value)| {
            x.put("resourceId", id)
                .put("resourceType", kind)
                .put("key", key)
                .put("value", value);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

//! Looking at images, and deregistering them.

use super::filter::Filters;
use super::image_view;
use super::page::{Page, write_token};
use super::params::Scope;
use super::xml::Xml;
use super::{Action, snapshots};
use crate::account::image::{Image, Protection};
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::ImageId;

/// EC2's answer to an image that is not there.
pub(crate) fn not_found(id: &ImageId) -> ApiError {
    ApiError::new(
        "InvalidAMIID.NotFound",
        format!("The image id '[{id}]' does not exist"),
    )
}

/// An own image.
///
/// # Errors
/// `AuthFailure` for another account's.
pub(crate) fn own<'a>(cx: &'a mut Cx<'_>, id: &ImageId) -> Result<&'a mut Image, ApiError> {
    let (region, owner) = (cx.region, cx.owner());
    if let Some(image) = cx.image_in(region, id)
        && image.owner != owner
    {
        return Err(
            ApiError::new("AuthFailure", format!("Not authorized for image:{id}")).with_status(403),
        );
    }
    cx.region().images.get_mut(id).ok_or_else(|| not_found(id))
}

/// An image of a region that the caller may use: an own one, or one that is shared with the account or with everybody.
///
/// # Errors
/// `InvalidAMIID.NotFound` if there is none, `AuthFailure` if it is not shared.
pub(crate) fn usable(cx: &Cx<'_>, region: &str, id: &ImageId) -> Result<Image, ApiError> {
    let owner = cx.owner();
    let image = cx
        .image_in(region, id)
        .filter(|i| i.owner != owner || cx.visible(i.created))
        .ok_or_else(|| not_found(id))?;
    match cx.may_use(&image) {
        true => Ok(image),
        false => Err(
            ApiError::new("AuthFailure", format!("Not authorized for images: [{id}]"))
                .with_status(403),
        ),
    }
}

/// An image that an instance can be launched from.
pub(crate) fn launchable(cx: &Cx<'_>, id: &ImageId) -> Result<Image, ApiError> {
    let image = usable(cx, cx.region, id)?;
    match image.state(cx.now) {
        "available" => Ok(image),
        state => Err(ApiError::new(
            "InvalidAMIID.Unavailable",
            format!("The image ID '{id}' is in the state '{state}' and not available"),
        )),
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
pub(crate) struct DescribeImages {
    ids: Vec<ImageId>,
    owners: Vec<String>,
    executable_by: Vec<String>,
    deprecated: bool,
    filters: Filters,
    page: Page,
}

const FILTERS: [&str; 34] = [
    "architecture",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.encrypted",
    "block-device-mapping.snapshot-id",
    "block-device-mapping.volume-size",
    "block-device-mapping.volume-type",
    "creation-date",
    "description",
    "ena-support",
    "hypervisor",
    "image-id",
    "image-type",
    "is-public",
    "kernel-id",
    "manifest-location",
    "name",
    "owner-alias",
    "owner-id",
    "platform",
    "product-code",
    "product-code.type",
    "public-ssm-parameter-name",
    "ramdisk-id",
    "root-device-name",
    "root-device-type",
    "source-image-id",
    "source-image-region",
    "source-instance-id",
    "state",
    "state-reason-code",
    "state-reason-message",
    "sriov-net-support",
    "virtualization-type",
];

impl Action for DescribeImages {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("ImageId")
            .into_iter()
            .map(ImageId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        // No image here can be disabled, so there are none to include.
        p.flag("IncludeDisabled")?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("imageIds", ids.len())?;
        let owners: Vec<String> = p.texts("Owner").into_iter().map(str::to_owned).collect();
        for owner in &owners {
            let alias =
                ["self", "amazon", "aws-marketplace", "aws-backup-vault"].contains(&owner.as_str());
            if !alias && (owner.len() != 12 || !owner.bytes().all(|b| b.is_ascii_digit())) {
                return Err(ApiError::new(
                    "InvalidUserID.Malformed",
                    format!("Invalid user id: \"{owner}\""),
                ));
            }
        }
        Ok(Self {
            ids,
            owners,
            executable_by: p
                .texts("ExecutableBy")
                .into_iter()
                .map(str::to_owned)
                .collect(),
            deprecated: p.flag("IncludeDeprecated")?.unwrap_or(false),
            filters: Filters::parse(p, &FILTERS)?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, caller) = (cx.now, cx.owner());
        let all = seen(cx);
        if let Some(unknown) = self.ids.iter().find(|id| !all.iter().any(|i| i.id == **id)) {
            let gone: Vec<&str> = self
                .ids
                .iter()
                .filter(|id| !all.iter().any(|i| i.id == **id))
                .map(|id| id.as_str())
                .collect();
            return Err(match gone.len() {
                1 => not_found(unknown),
                _ => ApiError::new(
                    "InvalidAMIID.NotFound",
                    format!("The image ids '[{}]' do not exist", gone.join(", ")),
                ),
            });
        }
        let (catalogue, region) = (cx.catalogue, cx.region);
        let parameters = |i: &Image| catalogue.parameters_of(region, i);
        let chosen = all.iter().filter(|i| {
            let asked = self.ids.is_empty() || self.ids.contains(&i.id);
            let owned =
                self.owners.is_empty() || self.owners.iter().any(|o| owned_by(i, o, caller));
            let executable = self.executable_by.is_empty()
                || self
                    .executable_by
                    .iter()
                    .any(|who| executable_by(i, who, caller));
            // "Deprecated AMIs are left out unless asked for, except for the owner."
            let current =
                self.deprecated || i.owner == caller || i.deprecated.is_none_or(|at| at > now);
            asked
                && owned
                && executable
                && current
                && self
                    .filters
                    .pass(&i.tags, |name| values(i, name, now, &parameters))
        });
        let (page, token) = self.page.cut(chosen.collect(), |i| i.id.to_string());
        let mut x = Xml::new();
        let reported = cx.timing.launch_reported;
        x.list("imagesSet", page, |x, i| {
            image_view::image(x, i, now, reported)
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

/// The images that the caller sees: all that it may use. "The tags of an AMI are its owner's: they are not shared"
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html>).
fn seen(cx: &Cx<'_>) -> Vec<Image> {
    let caller = cx.owner();
    let public = cx.catalogue.images(cx.region);
    let accounts = cx.account.everywhere(cx.region);
    let made = accounts
        .flat_map(|r| r.images.values())
        .filter(|i| cx.may_use(i) && cx.visible(i.created))
        .cloned();
    let mut all: Vec<Image> = public.values().cloned().chain(made).collect();
    for image in all.iter_mut().filter(|i| i.owner != caller) {
        image.tags = Tags::default();
    }
    all
}

fn owned_by(image: &Image, owner: &str, caller: &str) -> bool {
    match owner {
        "self" => image.owner == caller,
        "amazon" | "aws-marketplace" | "aws-backup-vault" => {
            image.owner_alias.as_deref() == Some(owner)
        }
        id => image.owner == id,
    }
}

/// "`self` (AMIs for which you have explicit launch permission), an account, or `all` (public AMIs)."
fn executable_by(image: &Image, who: &str, caller: &str) -> bool {
    match who {
        "all" => image.launch_permission.all,
        "self" => image.launch_permission.names(caller),
        account => image.launch_permission.names(account),
    }
}

fn values(
    i: &Image,
    filter: &str,
    now: jiff::Timestamp,
    parameters: &dyn Fn(&Image) -> Vec<&'static str>,
) -> Vec<String> {
    let optional = |value: Option<String>| value.into_iter().collect();
    match filter {
        "architecture" => vec![i.architecture.clone()],
        "block-device-mapping.delete-on-termination" => i
            .mappings
            .iter()
            .map(|m| m.ebs.delete_on_termination.to_string())
            .collect(),
        "block-device-mapping.encrypted" => i
            .mappings
            .iter()
            .map(|m| m.ebs.encrypted.to_string())
            .collect(),
        "block-device-mapping.device-name" => i.mappings.iter().map(|m| m.device.clone()).collect(),
        "block-device-mapping.snapshot-id" => i.snapshots().map(ToString::to_string).collect(),
        "block-device-mapping.volume-size" => i
            .mappings
            .iter()
            .map(|m| m.ebs.size_gib.to_string())
            .collect(),
        "block-device-mapping.volume-type" => i
            .mappings
            .iter()
            .map(|m| m.ebs.volume_type.clone())
            .collect(),
        "creation-date" => vec![image_view::time(i.created)],
        "description" => vec![i.description.clone()],
        "ena-support" => vec![i.ena_support.to_string()],
        "hypervisor" => vec!["xen".to_owned()],
        "image-type" => vec!["machine".to_owned()],
        "is-public" => vec![i.launch_permission.all.to_string()],
        "kernel-id" => optional(i.kernel.clone()),
        "manifest-location" => vec![image_view::location(i)],
        "name" => vec![i.name.clone()],
        "owner-alias" => optional(i.owner_alias.clone()),
        "owner-id" => vec![i.owner.clone()],
        // "The only supported value is windows", and nothing here has ramdisks.
        "platform" | "ramdisk-id" => Vec::new(),
        "product-code" => i.product_codes.iter().map(|c| c.id.clone()).collect(),
        "product-code.type" => i.product_codes.iter().map(|c| c.kind.clone()).collect(),
        "public-ssm-parameter-name" => parameters(i).into_iter().map(str::to_owned).collect(),
        "root-device-name" => vec![i.root_device.clone()],
        "root-device-type" => vec!["ebs".to_owned()],
        "source-image-id" => optional(i.source_image.as_ref().map(|s| s.id.to_string())),
        "source-image-region" => optional(i.source_image.as_ref().map(|s| s.region.clone())),
        "source-instance-id" => optional(i.source_instance.as_ref().map(ToString::to_string)),
        "state" => vec![i.state(now).to_owned()],
        "sriov-net-support" => optional(i.sriov_net_support.clone()),
        "state-reason-code" => optional(
            i.progress
                .failure(now)
                .map(|_| image_view::FAILED.to_owned()),
        ),
        "state-reason-message" => optional(i.progress.failure(now).map(str::to_owned)),
        "virtualization-type" => vec![i.virtualization.name().to_owned()],
        _ => vec![i.id.to_string()],
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html>
pub(crate) struct DeregisterImage {
    id: ImageId,
    delete_snapshots: bool,
}

impl Action for DeregisterImage {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let delete_snapshots = p.flag("DeleteAssociatedSnapshots")?.unwrap_or(false);
        Ok(Self {
            id: ImageId::parse(p.required("ImageId")?)?,
            delete_snapshots,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let image = own(cx, &self.id)?.clone();
        // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deregistration-protection.html
        if image.protection.holds(now) {
            let why = match image.protection {
                Protection::Cooling { until } => {
                    format!("was turned off and holds until {until}")
                }
                _ => "is enabled; disable it first".to_owned(),
            };
            let message = format!("Deregistration protection of image {} {why}", self.id);
            return Err(ApiError::new("OperationNotPermitted", message));
        }
        cx.region().images.remove(&self.id);
        let mut x = super::done();
        if self.delete_snapshots {
            let results: Vec<_> = image
                .snapshots()
                .map(|id| (id, snapshots::delete(cx, id)))
                .collect();
            x.list("deleteSnapshotResultSet", results, |x, (id, result)| {
                x.put("snapshotId", id).put(
                    "returnCode",
                    if result.is_ok() { "success" } else { "skipped" },
                );
            });
        }
        Ok(x)
    }
}

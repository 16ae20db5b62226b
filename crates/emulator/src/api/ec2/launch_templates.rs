//! Launch templates: kept and shown. Nothing is launched by them here.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-launch-templates.html>

use super::Action;
use super::client_token::ClientToken;
use super::filter::Filters;
use super::page::{Page, write_token};
use super::params::Scope;
use super::tag_specs::{TagSpecs, write_tags};
use super::xml::Xml;
use crate::account::launch_template::{LaunchTemplate, TemplateData, TemplateVersion};
use crate::account::region::Region;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::api::ssm;
use crate::ids::{ImageId, LaunchTemplateId};
use std::collections::BTreeMap;

/// A template as a request names it.
enum Named {
    Id(LaunchTemplateId),
    Name(String),
}

impl Named {
    fn parse(p: &Scope<'_>) -> Result<Option<Self>, ApiError> {
        match (p.text("LaunchTemplateId"), p.text("LaunchTemplateName")) {
            (None, None) => Ok(None),
            (Some(id), None) => Ok(Some(Self::Id(LaunchTemplateId::parse(id)?))),
            (None, Some(name)) => Ok(Some(Self::Name(name.to_owned()))),
            (Some(_), Some(_)) => Err(ApiError::combination(
                "Only one of LaunchTemplateId and LaunchTemplateName can be specified",
            )),
        }
    }

    fn required(p: &Scope<'_>) -> Result<Self, ApiError> {
        Self::parse(p)?.ok_or_else(|| ApiError::missing("LaunchTemplateId"))
    }

    fn find(&self, region: &Region) -> Result<LaunchTemplateId, ApiError> {
        let mut all = region.launch_templates.values();
        let found = all.find(|t| match self {
            Self::Id(id) => t.id == *id,
            Self::Name(name) => t.name == *name,
        });
        found.map(|t| t.id.clone()).ok_or_else(|| match self {
            Self::Id(id) => ApiError::new(
                "InvalidLaunchTemplateId.NotFound",
                format!("The specified launch template, with template ID {id}, does not exist."),
            ),
            Self::Name(name) => name_not_found(name),
        })
    }
}

fn name_not_found(name: &str) -> ApiError {
    ApiError::new(
        "InvalidLaunchTemplateName.NotFoundException",
        format!("The specified launch template, with template name {name}, does not exist."),
    )
}

/// Reads `LaunchTemplateData`.
fn data(p: &Scope<'_>) -> Result<TemplateData, ApiError> {
    let p = p.inside("LaunchTemplateData");
    if !p.given() {
        return Err(ApiError::missing("LaunchTemplateData"));
    }
    let owned = |name: &str| p.text(name).map(str::to_owned);
    let image = owned("ImageId");
    if let Some(id) = image.as_deref().filter(|i| !i.starts_with("resolve:ssm:")) {
        ImageId::parse(id)?;
    }
    let profile = p.inside("IamInstanceProfile");
    Ok(TemplateData {
        image,
        instance_type: owned("InstanceType"),
        key_name: owned("KeyName"),
        user_data: owned("UserData"),
        profile_name: profile.text("Name").map(str::to_owned),
        profile_arn: profile.text("Arn").map(str::to_owned),
        groups: p
            .texts("SecurityGroupId")
            .into_iter()
            .map(str::to_owned)
            .collect(),
        ebs_optimized: p.flag("EbsOptimized")?,
        shutdown_behavior: p
            .word("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?
            .map(str::to_owned),
    })
}

fn description(p: &Scope<'_>) -> Result<Option<String>, ApiError> {
    let text = p.text("VersionDescription");
    match text.filter(|t| t.chars().count() > 255) {
        Some(long) => Err(ApiError::invalid_value(
            "VersionDescription",
            long,
            "Up to 255 characters.",
        )),
        None => Ok(text.map(str::to_owned)),
    }
}

fn write_template(x: &mut Xml, t: &LaunchTemplate) {
    x.put("launchTemplateId", &t.id)
        .put("launchTemplateName", &t.name)
        .put("createTime", t.created)
        .put("createdBy", &t.created_by)
        .put("defaultVersionNumber", t.default_version)
        .put("latestVersionNumber", t.latest());
    write_tags(x, &t.tags);
}

fn write_version(x: &mut Xml, t: &LaunchTemplate, number: u64, v: &TemplateVersion) {
    x.put("launchTemplateId", &t.id)
        .put("launchTemplateName", &t.name)
        .put("versionNumber", number)
        .maybe("versionDescription", v.description.as_ref())
        .put("createTime", v.created)
        .put("createdBy", &v.created_by)
        .put("defaultVersion", number == t.default_version);
    let d = &v.data;
    x.node("launchTemplateData", |x| {
        x.maybe("imageId", d.image.as_ref())
            .maybe("instanceType", d.instance_type.as_ref())
            .maybe("keyName", d.key_name.as_ref())
            .maybe("userData", d.user_data.as_ref())
            .maybe("ebsOptimized", d.ebs_optimized)
            .maybe(
                "instanceInitiatedShutdownBehavior",
                d.shutdown_behavior.as_ref(),
            );
        if d.profile_name.is_some() || d.profile_arn.is_some() {
            x.node("iamInstanceProfile", |x| {
                x.maybe("arn", d.profile_arn.as_ref())
                    .maybe("name", d.profile_name.as_ref());
            });
        }
        if !d.groups.is_empty() {
            x.texts("securityGroupIdSet", &d.groups);
        }
    });
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html>
pub(crate) struct CreateLaunchTemplate {
    name: String,
    description: Option<String>,
    data: TemplateData,
    tags: TagSpecs,
    token: Option<ClientToken>,
}

impl Action for CreateLaunchTemplate {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let name = p.required("LaunchTemplateName")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "().-/_".contains(c);
        if !(3..=128).contains(&name.len()) || !name.chars().all(allowed) {
            return Err(ApiError::new(
                "InvalidLaunchTemplateName.MalformedException",
                "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and the following characters: - ( ) . / _.",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            description: description(p)?,
            data: data(p)?,
            tags: TagSpecs::parse(p, &["launch-template"])?,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, by) = (cx.now, cx.caller.arn());
        let mut x = Xml::new();
        if let Some(token) = &self.token
            && let Some(made) = token.made_before(cx, "CreateLaunchTemplate")?
        {
            let mut templates = cx.region().launch_templates.values();
            if let Some(template) = templates.find(|t| t.id.as_str() == made) {
                x.node("launchTemplate", |x| write_template(x, template));
            }
            return Ok(x);
        }
        let templates = &mut cx.region().launch_templates;
        if templates.values().any(|t| t.name == self.name) {
            return Err(ApiError::new(
                "InvalidLaunchTemplateName.AlreadyExistsException",
                "Launch template name already in use.",
            ));
        }
        let version = TemplateVersion {
            description: self.description,
            created: now,
            created_by: by.clone(),
            data: self.data,
        };
        let template = LaunchTemplate {
            id: LaunchTemplateId::random(),
            name: self.name,
            created: now,
            created_by: by,
            default_version: 1,
            versions: BTreeMap::from([(1, version)]),
            tags: self.tags.of("launch-template"),
        };
        x.node("launchTemplate", |x| write_template(x, &template));
        let id = template.id.clone();
        templates.insert(id.clone(), template);
        if let Some(token) = self.token {
            token.remember(cx, "CreateLaunchTemplate", id.as_str());
        }
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html>
pub(crate) struct CreateLaunchTemplateVersion {
    named: Named,
    description: Option<String>,
    data: TemplateData,
    token: Option<ClientToken>,
}

impl Action for CreateLaunchTemplateVersion {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            named: Named::required(p)?,
            description: description(p)?,
            data: data(p)?,
            token: ClientToken::parse(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let (now, created_by) = (cx.now, cx.caller.arn());
        const ACTION: &str = "CreateLaunchTemplateVersion";
        let token = self.token.as_ref();
        let made = token.map(|t| t.made_before(cx, ACTION)).transpose()?;
        let made: Option<u64> = made.flatten().and_then(|number| number.parse().ok());
        let region = cx.region();
        let id = self.named.find(region)?;
        let mut x = Xml::new();
        let mut number = 0;
        if let Some(template) = region.launch_templates.get_mut(&id) {
            if let Some((number, version)) =
                made.and_then(|n| Some((n, template.versions.get(&n)?)))
            {
                x.node("launchTemplateVersion", |x| {
                    write_version(x, template, number, version)
                });
                return Ok(x);
            }
            number = template.latest() + 1;
            let version = TemplateVersion {
                description: self.description,
                created: now,
                created_by,
                data: self.data,
            };
            template.versions.insert(number, version.clone());
            x.node("launchTemplateVersion", |x| {
                write_version(x, template, number, &version)
            });
        }
        if let Some(token) = self.token {
            token.remember(cx, ACTION, &number.to_string());
        }
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplates.html>
pub(crate) struct DescribeLaunchTemplates {
    ids: Vec<LaunchTemplateId>,
    names: Vec<String>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeLaunchTemplates {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = p
            .texts("LaunchTemplateId")
            .into_iter()
            .map(LaunchTemplateId::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let names = p.texts("LaunchTemplateName").into_iter().map(str::to_owned);
        Ok(Self {
            ids,
            names: names.collect(),
            filters: Filters::parse(p, &["create-time", "launch-template-name"])?,
            page: Page::parse(p, 1)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        for id in &self.ids {
            Named::Id(id.clone()).find(region)?;
        }
        let known = |name: &String| region.launch_templates.values().any(|t| t.name == *name);
        if let Some(unknown) = self.names.iter().find(|n| !known(n)) {
            return Err(name_not_found(unknown));
        }
        let asked = |t: &LaunchTemplate| {
            self.ids.is_empty() && self.names.is_empty()
                || self.ids.contains(&t.id)
                || self.names.contains(&t.name)
        };
        let chosen = region
            .launch_templates
            .values()
            .filter(|t| asked(t))
            .filter(|t| {
                self.filters.pass(&t.tags, |name| {
                    vec![match name {
                        "create-time" => t.created.to_string(),
                        _ => t.name.clone(),
                    }]
                })
            });
        let (page, token) = self.page.cut(chosen.collect(), |t| t.id.to_string());
        let mut x = Xml::new();
        x.list("launchTemplates", page, write_template);
        write_token(&mut x, token);
        Ok(x)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLaunchTemplateVersions.html>
pub(crate) struct DescribeLaunchTemplateVersions {
    named: Option<Named>,
    versions: Vec<String>,
    /// Whether an image is shown for a parameter.
    resolves: bool,
    filters: Filters,
    page: Page,
}

impl Action for DescribeLaunchTemplateVersions {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let named = Named::parse(p)?;
        let versions: Vec<String> = p
            .texts("LaunchTemplateVersion")
            .into_iter()
            .map(str::to_owned)
            .collect();
        // "To describe all launch templates in your account that are defined as the latest or default version": no others.
        let alias = |v: &String| v == "$Latest" || v == "$Default";
        if named.is_none() && (versions.is_empty() || !versions.iter().all(alias)) {
            return Err(ApiError::missing("LaunchTemplateId"));
        }
        Ok(Self {
            named,
            versions,
            resolves: p.flag("ResolveAlias")?.unwrap_or_default(),
            filters: Filters::parse(
                p,
                &[
                    "create-time",
                    "iam-instance-profile",
                    "image-id",
                    "instance-type",
                    "is-default-version",
                ],
            )?,
            page: Page::parse(p, 1)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = &*cx.region();
        let only = self.named.as_ref().map(|n| n.find(region)).transpose()?;
        let templates = region.launch_templates.values();
        let templates = templates.filter(|t| only.as_ref().is_none_or(|id| t.id == *id));
        let mut found: Vec<(&LaunchTemplate, u64, &TemplateVersion)> = Vec::new();
        for template in templates {
            for number in self.numbers(template)? {
                found.extend(
                    template
                        .versions
                        .get(&number)
                        .map(|v| (template, number, v)),
                );
            }
        }
        let chosen = found.into_iter().filter(|(t, number, v)| {
            self.filters.pass(&t.tags, |name| match name {
                "create-time" => vec![v.created.to_string()],
                "iam-instance-profile" => v.data.profile_arn.iter().cloned().collect(),
                "image-id" => v.data.image.iter().cloned().collect(),
                "instance-type" => v.data.instance_type.iter().cloned().collect(),
                _ => vec![(*number == t.default_version).to_string()],
            })
        });
        let (page, token) = self
            .page
            .cut(chosen.collect(), |(t, n, _)| format!("{} {n:08}", t.id));
        let mut page: Vec<(LaunchTemplate, u64, TemplateVersion)> = page
            .into_iter()
            .map(|(t, number, v)| (t.clone(), number, v.clone()))
            .collect();
        if self.resolves {
            for (_, _, version) in &mut page {
                let image = version.data.image.as_deref();
                let resolved = image.and_then(|image| ssm::resolve(cx, image));
                version.data.image = resolved.or(version.data.image.take());
            }
        }
        let mut x = Xml::new();
        x.list("launchTemplateVersionSet", &page, |x, (t, n, v)| {
            write_version(x, t, *n, v)
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

impl DescribeLaunchTemplateVersions {
    /// The numbers of the versions asked for; all if none is named.
    fn numbers(&self, template: &LaunchTemplate) -> Result<Vec<u64>, ApiError> {
        if self.versions.is_empty() {
            return Ok(template.versions.keys().copied().collect());
        }
        let mut numbers = Vec::new();
        for version in &self.versions {
            let number = match version.as_str() {
                "$Latest" => Some(template.latest()),
                "$Default" => Some(template.default_version),
                number => number
                    .parse()
                    .ok()
                    .filter(|n| template.versions.contains_key(n)),
            };
            let number = number.ok_or_else(|| {
                ApiError::new(
                    "InvalidLaunchTemplateId.VersionNotFound",
                    format!(
                        "Could not find the specified version {version} for the launch template with ID {}.",
                        template.id
                    ),
                )
            })?;
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteLaunchTemplate.html>
pub(crate) struct DeleteLaunchTemplate {
    named: Named,
}

impl Action for DeleteLaunchTemplate {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            named: Named::required(p)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let region = cx.region();
        let id = self.named.find(region)?;
        let mut x = Xml::new();
        if let Some(template) = region.launch_templates.remove(&id) {
            x.node("launchTemplate", |x| write_template(x, &template));
        }
        Ok(x)
    }
}

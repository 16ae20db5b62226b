//! Processor credits of burstable instances.

use super::Action;
use super::filter::Filters;
use super::instances::{existing, ids};
use super::page::{Page, write_token};
use super::params::Scope;
use super::xml::Xml;
use crate::account::instance::Instance;
use crate::account::instance_types;
use crate::account::tags::Tags;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::InstanceId;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceCreditSpecifications.html>
pub(crate) struct DescribeInstanceCreditSpecifications {
    ids: Vec<InstanceId>,
    filters: Filters,
    page: Page,
}

impl Action for DescribeInstanceCreditSpecifications {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        let ids = ids(p)?;
        let page = Page::parse(p, 5)?;
        page.excludes_ids("instancesSet", ids.len())?;
        Ok(Self {
            ids,
            filters: Filters::parse(p, &["instance-id"])?,
            page,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        for id in &self.ids {
            let instance = existing(cx, id)?;
            if credits(instance).is_none() {
                return Err(ApiError::new(
                    "InvalidInstanceID.NotBurstable",
                    format!("The instance '{id}' is not a burstable performance instance"),
                ));
            }
        }
        let region = cx.region();
        let chosen = region
            .instances
            .values()
            .filter(|i| self.ids.is_empty() || self.ids.contains(&i.id))
            .filter(|i| {
                self.filters
                    .pass(&Tags::default(), |_| vec![i.id.to_string()])
            })
            .filter_map(|i| Some((i, credits(i)?)));
        let (page, token) = self.page.cut(chosen.collect(), |(i, _)| i.id.to_string());
        let mut x = Xml::new();
        x.list("instanceCreditSpecificationSet", page, |x, (i, credits)| {
            x.put("instanceId", &i.id).put("cpuCredits", credits);
        });
        write_token(&mut x, token);
        Ok(x)
    }
}

/// What happens to an instance's credits, if its type has them.
fn credits(i: &Instance) -> Option<&str> {
    let machine = instance_types::find(&i.instance_type).filter(|t| t.burstable())?;
    let asked = i.hosting.cpu_credits.as_deref();
    Some(asked.unwrap_or(machine.usual_credits()))
}

//! Protection of images against deregistration.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deregistration-protection.html>

use super::Action;
use super::images::own;
use super::params::Scope;
use super::xml::Xml;
use crate::account::image::Protection;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::ids::ImageId;
use jiff::SignedDuration;

/// "Deregistration protection will continue for 24 hours."
const COOLDOWN: SignedDuration = SignedDuration::from_hours(24);

fn answer(state: &str) -> Xml {
    let mut x = Xml::new();
    x.put("return", state);
    x
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeregistrationProtection.html>
pub(crate) struct EnableImageDeregistrationProtection {
    id: ImageId,
    cooldown: bool,
}

impl Action for EnableImageDeregistrationProtection {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: ImageId::parse(p.required("ImageId")?)?,
            cooldown: p.flag("WithCooldown")?.unwrap_or(false),
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let image = own(cx, &self.id)?;
        image.protection = Protection::On {
            cooldown: self.cooldown,
        };
        Ok(answer(&image.protection.shown(now)))
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisableImageDeregistrationProtection.html>
pub(crate) struct DisableImageDeregistrationProtection {
    id: ImageId,
}

impl Action for DisableImageDeregistrationProtection {
    fn parse(p: &Scope<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            id: ImageId::parse(p.required("ImageId")?)?,
        })
    }

    fn run(self, cx: &mut Cx<'_>) -> Result<Xml, ApiError> {
        let now = cx.now;
        let image = own(cx, &self.id)?;
        image.protection = match image.protection {
            Protection::On { cooldown: true } => Protection::Cooling {
                until: now.checked_add(COOLDOWN).unwrap_or(now),
            },
            Protection::On { cooldown: false } | Protection::Off => Protection::Off,
            cooling @ Protection::Cooling { .. } => cooling,
        };
        Ok(answer(&image.protection.shown(now)))
    }
}

//! Calls with `DryRun`: EC2 says whether it would do them, and does nothing.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>
//!
//! What a run will have made is not there yet. A call on it is asked about with an id that nothing has, which no policy
//! that asks for the run's tag permits: then "allowed" counts, and a refusal does not.

use crate::names::tag;
use crate::permissions::Features;
use crate::plan::Sight;
use crate::plan::survey::{Seen, Work};
use crate::run::PLANNED_RUN;
use crate::spec::{CellSpec, ProfileSpec};
use crate::steps::candidates::candidates;
use crate::steps::site::Looked;
use cloud::{
    Capture, CloudError, CopyRequest, DryRun, ErrorKind, Image, ImageRequest, LaunchRequest,
    Placement, Region, RegionName, TagSpecification, Tags, Verdict,
};
use futures::future::join_all;
use std::sync::Arc;

/// What a call takes: an action, and of `ec2:CreateTags` the call that gives the tags.
pub(super) type Action = (&'static str, Option<&'static str>);

/// What a refusal proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// What is there, as the run will ask: that the run will be refused as well.
    WhatIsThere,
    /// An id that nothing has: nothing.
    Nothing,
}

/// A call to be asked about.
struct Question {
    call: DryRun,
    takes: Vec<Action>,
    about: About,
}

/// What EC2 said to the calls of a region.
pub(super) struct Answers(Vec<Answered>);

struct Answered {
    takes: Vec<Action>,
    about: About,
    /// Whether there are cells whose call could not be asked about: then "allowed" is not said of all.
    partly: bool,
    verdict: Result<Verdict, Arc<CloudError>>,
}

/// What is told of one action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// It is permitted.
    Allowed,
    /// It is not, in EC2's words.
    Denied(String),
    /// Nothing is known; EC2's words, if it had any.
    Nothing(Option<String>),
}

impl Answers {
    /// What is told of an action.
    pub(super) fn of(&self, action: &str, creating: Option<&str>) -> Told {
        let takes = |one: &&Answered| one.takes.contains(&(action, creating));
        let mut told = Told::Nothing(None);
        for answered in self.0.iter().filter(takes) {
            let words = match &answered.verdict {
                Ok(Verdict::Allowed) if answered.partly => continue,
                Ok(Verdict::Allowed) => {
                    if told == Told::Nothing(None) {
                        told = Told::Allowed;
                    }
                    continue;
                }
                Ok(Verdict::Denied(words)) => {
                    let meant = refused(words).unwrap_or(answered.takes[0].0);
                    match (answered.about, meant == action) {
                        (About::WhatIsThere, true) => return Told::Denied(words.clone()),
                        (About::WhatIsThere, false) => continue,
                        (About::Nothing, _) => words.clone(),
                    }
                }
                Ok(Verdict::Unknown(words)) => words.clone(),
                Err(error) => error.to_string(),
            };
            told = Told::Nothing(Some(words));
        }
        told
    }
}

impl Answers {
    /// What EC2 has against calls on what is there, other than permissions: a key pair that there is none of, values that do
    /// not go together.
    pub(super) fn complaints(&self) -> impl Iterator<Item = (&'static str, String)> {
        let of_what_is_there = self.0.iter().filter(|one| one.about == About::WhatIsThere);
        of_what_is_there.filter_map(|one| {
            let words = match &one.verdict {
                Ok(Verdict::Unknown(words)) => words.clone(),
                Err(error) if error.kind == ErrorKind::InvalidInput => error.to_string(),
                Ok(Verdict::Allowed | Verdict::Denied(_)) | Err(_) => return None,
            };
            Some((one.takes[0].0, words))
        })
    }
}

/// The action that EC2 says is not permitted: of several that a call takes, it may be another than the call's own.
fn refused(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("not authorized to perform: ")?;
    let action = rest.split_whitespace().next()?.trim_end_matches('.');
    action.contains(':').then_some(action)
}

/// Asks about every call that can be asked about in a region.
pub(super) async fn ask(sight: &Sight<'_>, features: &Features, region: &dyn Region) -> Answers {
    let (launches, unasked) = launches(sight, region.name());
    let (copies, uncopied) = copies(sight, features, region.name());
    let asked = launches.into_iter().map(|one| (one, unasked));
    let asked = asked.chain(copies.into_iter().map(|one| (one, uncopied)));
    let asked = asked.chain(placeholders(features).into_iter().map(|one| (one, false)));
    let answers = asked.map(|(question, partly)| async move {
        Answered {
            verdict: region.dry_run(&question.call).await.map_err(Arc::new),
            takes: question.takes,
            about: question.about,
            partly,
        }
    });
    Answers(join_all(answers).await)
}

/// The tags that whatever a cell makes is given.
fn own_tags(spec_tags: &Tags, cell: &crate::names::CellName) -> Tags {
    spec_tags
        .clone()
        .with(tag::RUN, PLANNED_RUN)
        .with(tag::STAGE, cell.stage.as_str())
        .with(tag::CELL, cell.cell.as_str())
}

/// A launch for each cell whose source image and subnet are known, and whether there are others.
fn launches(sight: &Sight<'_>, region: &RegionName) -> (Vec<Question>, bool) {
    let mut questions: Vec<Question> = Vec::new();
    let mut others = false;
    for (seen, looked) in sight.surveyed.iter().zip(&sight.sites) {
        let Ok(seen) = seen else { continue };
        let Some(spec) = seen.work.build().filter(|spec| spec.region == *region) else {
            continue;
        };
        let request = seen
            .source
            .as_ref()
            .zip(looked.as_ref())
            .and_then(|(source, looked)| launch(spec, source, looked));
        let Some(request) = request else {
            others = true;
            continue;
        };
        let mut takes: Vec<Action> = vec![
            ("ec2:RunInstances", None),
            ("ec2:CreateTags", Some("RunInstances")),
        ];
        match &spec.launch.instance_profile {
            Some(ProfileSpec::Named(_)) => takes.push(("iam:PassRole", None)),
            // There is no such profile yet.
            Some(ProfileSpec::Temporary { .. }) => others = true,
            None => {}
        }
        let call = DryRun::RunInstances(Box::new(request));
        if !questions.iter().any(|one| one.call == call) {
            questions.push(Question {
                call,
                takes,
                about: About::WhatIsThere,
            });
        }
    }
    (questions, others)
}

/// The launch that is tried first, but for the group and the key that would be made for it, and the user-data.
fn launch(spec: &CellSpec, source: &Image, looked: &Looked) -> Option<LaunchRequest> {
    let site = &looked.site;
    let candidate = candidates(&spec.launch, &site.subnets)
        .find(|one| site.offers(one.instance_type, &one.subnet.availability_zone))?;
    let tags = own_tags(&spec.tags.clone().merged(&spec.launch.tags), &spec.cell);
    Some(LaunchRequest {
        client_token: String::from("qib-preflight"),
        image_id: source.image_id.clone(),
        instance_type: candidate.instance_type.to_owned(),
        placement: Placement {
            subnet_id: candidate.subnet.subnet_id.clone(),
            availability_zone: candidate.subnet.availability_zone.clone(),
        },
        public_ip: spec.launch.public_ip,
        security_groups: site.groups.clone(),
        key_name: spec.connect.key_pair.clone(),
        instance_profile: match &spec.launch.instance_profile {
            Some(ProfileSpec::Named(name)) => Some(name.clone()),
            Some(ProfileSpec::Temporary { .. }) | None => None,
        },
        user_data: Vec::new(),
        volumes: spec.launch.volumes.clone(),
        ebs_optimized: spec.launch.ebs_optimized,
        purchase: candidate.purchase,
        spot_max_price: candidate.spot_max_price.map(str::to_owned),
        guest_shutdown: spec.launch.guest_shutdown,
        left_out_devices: spec.launch.left_out_devices.clone(),
        ipv6: spec.launch.ipv6,
        hosting: crate::steps::hosting(&spec.launch.hosting, candidate.purchase),
        metadata: spec.launch.metadata.clone(),
        tags: TagSpecification {
            instance: tags.clone(),
            volume: tags.clone(),
            network_interface: tags,
        },
    })
}

/// A copy for each cell that copies a source which is there, and whether other images are copied as well.
fn copies(sight: &Sight<'_>, features: &Features, region: &RegionName) -> (Vec<Question>, bool) {
    let mut questions = Vec::new();
    let mut others = !features.copies;
    for seen in sight.surveyed.iter().flatten() {
        let Seen {
            work: Work::Copy(spec),
            source: Some(source),
            ..
        } = seen
        else {
            // What `copy_to` copies is not made yet.
            others |= seen
                .work
                .publishes()
                .1
                .copies
                .iter()
                .any(|copy| copy.region == *region);
            continue;
        };
        if spec.region != *region {
            continue;
        }
        let tags = own_tags(&spec.tags, &spec.cell);
        let call = DryRun::CopyImage(Box::new(CopyRequest {
            client_token: String::from("qib-preflight"),
            source_region: region.clone(),
            source_image: source.image_id.clone(),
            name: spec.image.name.clone(),
            description: spec.image.description.clone(),
            encrypted: false,
            kms_key_id: None,
            image_tags: tags.clone(),
            snapshot_tags: tags,
        }));
        questions.push(Question {
            call,
            takes: vec![
                ("ec2:CopyImage", None),
                ("ec2:CreateTags", Some("CopyImage")),
            ],
            about: About::WhatIsThere,
        });
    }
    (questions, others)
}

/// The calls on what is not there yet.
fn placeholders(features: &Features) -> Vec<Question> {
    let tags = || Tags::new().with(tag::RUN, PLANNED_RUN);
    let one = |used: bool, call: DryRun, takes: Vec<Action>| {
        used.then_some(Question {
            call,
            takes,
            about: About::Nothing,
        })
    };
    let plain =
        |used: bool, call: DryRun, action: &'static str| one(used, call, vec![(action, None)]);
    let images = features.captures || features.registers || features.copies;
    let key_pair = features.imports_keys.then(|| Question {
        call: DryRun::ImportKeyPair { tags: tags() },
        takes: vec![
            ("ec2:ImportKeyPair", None),
            ("ec2:CreateTags", Some("ImportKeyPair")),
        ],
        about: About::WhatIsThere,
    });
    let capture = DryRun::CreateImage(Box::new(ImageRequest {
        instance_id: "i-00000000000000000".into(),
        capture: Capture::Stopped,
        name: String::from("qib-preflight"),
        description: String::new(),
        volumes: Vec::new(),
        left_out_devices: Vec::new(),
        image_tags: tags(),
        snapshot_tags: tags(),
    }));
    let moves = features.groups.temporary || features.enhanced_networking;
    let has_address = !features.addresses.is_empty() || !features.pools.is_empty();
    [
        key_pair,
        one(
            features.groups.temporary,
            DryRun::SecurityGroup { tags: tags() },
            vec![
                ("ec2:CreateSecurityGroup", None),
                ("ec2:AuthorizeSecurityGroupIngress", None),
                ("ec2:CreateTags", Some("CreateSecurityGroup")),
            ],
        ),
        one(
            features.captures,
            capture,
            vec![
                ("ec2:CreateImage", None),
                ("ec2:CreateTags", Some("CreateImage")),
            ],
        ),
        one(
            features.registers,
            DryRun::CreateSnapshots,
            vec![("ec2:CreateSnapshots", None)],
        ),
        one(
            has_address && features.binds,
            DryRun::Address,
            vec![
                ("ec2:AssociateAddress", None),
                ("ec2:DisassociateAddress", None),
            ],
        ),
        plain(
            features.launches,
            DryRun::StopInstances,
            "ec2:StopInstances",
        ),
        plain(
            features.launches,
            DryRun::TerminateInstances,
            "ec2:TerminateInstances",
        ),
        plain(
            features.launches,
            DryRun::GetConsoleOutput,
            "ec2:GetConsoleOutput",
        ),
        plain(
            moves,
            DryRun::ModifyInstanceAttribute,
            "ec2:ModifyInstanceAttribute",
        ),
        plain(
            features.shares || features.imds,
            DryRun::ModifyImageAttribute { image: None },
            "ec2:ModifyImageAttribute",
        ),
        plain(
            features.shares_snapshots,
            DryRun::ModifySnapshotAttribute,
            "ec2:ModifySnapshotAttribute",
        ),
        plain(images, DryRun::DeregisterImage, "ec2:DeregisterImage"),
        plain(images, DryRun::DeleteSnapshot, "ec2:DeleteSnapshot"),
        plain(
            features.deprecates,
            DryRun::EnableImageDeprecation,
            "ec2:EnableImageDeprecation",
        ),
        plain(
            features.protects,
            DryRun::EnableImageDeregistrationProtection,
            "ec2:EnableImageDeregistrationProtection",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(about: About, partly: bool, verdict: Verdict) -> Answers {
        Answers(vec![Answered {
            takes: vec![("ec2:RunInstances", None), ("iam:PassRole", None)],
            about,
            partly,
            verdict: Ok(verdict),
        }])
    }

    const WORDS: &str = "RunInstances: You are not authorized to perform this operation. User: u is not authorized to \
                         perform: iam:PassRole on resource: r because no identity-based policy allows the action";

    #[test]
    fn a_refusal_is_of_the_action_that_it_names() {
        let answers = answers(About::WhatIsThere, false, Verdict::Denied(WORDS.into()));
        assert_eq!(answers.of("iam:PassRole", None), Told::Denied(WORDS.into()));
        assert_eq!(answers.of("ec2:RunInstances", None), Told::Nothing(None));
        let unnamed = "RunInstances: You are not authorized to perform this operation.";
        let answers = self::answers(About::WhatIsThere, false, Verdict::Denied(unnamed.into()));
        assert_eq!(
            answers.of("ec2:RunInstances", None),
            Told::Denied(unnamed.into())
        );
        assert_eq!(answers.of("iam:PassRole", None), Told::Nothing(None));
    }

    #[test]
    fn what_ec2_has_against_a_launch_is_no_matter_of_permission() {
        let missing = || Verdict::Unknown("RunInstances: no key pair".into());
        let of = |about| {
            let answers = answers(about, false, missing());
            answers.complaints().count()
        };
        assert_eq!((of(About::WhatIsThere), of(About::Nothing)), (1, 0));
        let denied = answers(About::WhatIsThere, false, Verdict::Denied(WORDS.into()));
        assert_eq!(denied.complaints().count(), 0);
    }

    #[test]
    fn what_nothing_has_proves_permission_alone() {
        let answers = answers(About::Nothing, false, Verdict::Denied(WORDS.into()));
        assert_eq!(
            answers.of("iam:PassRole", None),
            Told::Nothing(Some(WORDS.into()))
        );
        let allowed = self::answers(About::Nothing, false, Verdict::Allowed);
        assert_eq!(allowed.of("iam:PassRole", None), Told::Allowed);
        assert_eq!(allowed.of("ec2:CreateImage", None), Told::Nothing(None));
        let partly = self::answers(About::WhatIsThere, true, Verdict::Allowed);
        assert_eq!(partly.of("iam:PassRole", None), Told::Nothing(None));
    }
}

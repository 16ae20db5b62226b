//! From what a pipeline uses to what that must be permitted: which actions, on what, under which conditions.
//!
//! | what | how it is told |
//! |---|---|
//! | what the run makes | it is tagged with `qib:run` in the creating call (`aws:RequestTag/qib:run`) |
//! | what the run changes and removes | it carries `qib:run` (`aws:ResourceTag/qib:run`): a run's, this one's or a dead one's |
//! | tags given in a creating call | the call (`ec2:CreateAction`) |
//! | what is there already: subnets, groups, addresses, parameters, keys | by its id or name where the pipeline says it |
//!
//! Actions, their resources and the conditions that each knows:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html> and its neighbours. Which
//! action is for which call of the port is in [`super::calls`].

use super::arn::Arns;
use super::features::Features;
use super::keys;
use super::policy::Statement;
use crate::lease::LEASES;
use crate::names::tag;
use std::collections::BTreeSet;

/// Whether the policy is to permit the questions of `qib preflight`, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questions {
    /// It is.
    Asked,
    /// It is not: they are not needed to run the pipeline.
    NotAsked,
}

/// What may be seen in the account: none of it can be narrowed to resources.
const SEEN_ALWAYS: [&str; 7] = [
    "ec2:DescribeAddresses",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeVolumes",
];

/// What must be permitted for `features`.
pub fn statements(features: &Features, arns: &Arns, questions: Questions) -> Vec<Statement> {
    let mut statements = vec![
        look(features, arns, questions),
        make(features, arns),
        tag_as_made(features, arns),
        change_own(features, arns),
    ];
    statements.extend(launch(features, arns));
    statements.extend(addresses(features, arns));
    statements.extend(images(features, arns));
    statements.extend(imports(features, arns));
    statements.extend(parameters(features, arns));
    statements.extend(roles(features, arns));
    statements.extend(keys::statements(features, arns));
    if questions == Questions::Asked {
        statements.extend(questions_of(features, arns));
    }
    statements
}

/// `actions`, as far as their feature is used.
fn of(actions: &[(bool, &'static [&'static str])]) -> Vec<&'static str> {
    let used = actions.iter().filter(|(used, _)| *used);
    used.flat_map(|(_, actions)| actions.iter().copied())
        .collect()
}

/// Only in the regions that are worked in.
fn there(statement: Statement, arns: &Arns) -> Statement {
    let regions = arns.region_names();
    if regions.is_empty() {
        statement
    } else {
        statement.only_if("StringEquals", "aws:RequestedRegion", regions)
    }
}

/// The same for a statement whose resources name the region already, if there is but one.
fn where_several(statement: Statement, arns: &Arns) -> Statement {
    if arns.regions.len() > 1 {
        there(statement, arns)
    } else {
        statement
    }
}

/// Only with the run's tag: on what is asked for, or on what is there.
fn tagged(statement: Statement, on: &str) -> Statement {
    statement.only_if("Null", format!("aws:{on}/{}", tag::RUN), ["false"])
}

fn look(features: &Features, arns: &Arns, questions: Questions) -> Statement {
    let several = arns.regions.len() > 1 || questions == Questions::Asked;
    let mut actions = SEEN_ALWAYS.to_vec();
    actions.extend(of(&[
        (
            features.launches,
            &[
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeSubnets",
            ],
        ),
        (
            features.network.any_vpc || !features.network.vpcs.is_empty(),
            &["ec2:DescribeVpcs"],
        ),
        (several, &["ec2:DescribeRegions"]),
        (
            !features.buckets.is_empty(),
            &["ec2:DescribeImportSnapshotTasks"],
        ),
        (
            features.replaces_own,
            &[
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:DescribeLaunchTemplates",
            ],
        ),
        (
            features.public_images,
            &["ec2:GetImageBlockPublicAccessState"],
        ),
        (
            features.public_snapshots,
            &["ec2:GetSnapshotBlockPublicAccessState"],
        ),
    ]));
    there(Statement::allow("Look", actions), arns)
}

/// The name of a key pair that qib imports begins so.
const OWN_KEY_PAIRS: &str = "qib-*";

/// What is made, with the run's tag in the same call.
fn make(features: &Features, arns: &Arns) -> Statement {
    let actions = of(&[
        (features.launches, &["ec2:RunInstances"]),
        (features.imports_keys, &["ec2:ImportKeyPair"]),
        (features.groups.temporary, &["ec2:CreateSecurityGroup"]),
        (features.captures, &["ec2:CreateImage"]),
        (
            features.registers,
            &["ec2:CreateSnapshots", "ec2:RegisterImage"],
        ),
        (features.imports, &["ec2:RegisterImage"]),
        (features.starts_snapshots, &["ebs:StartSnapshot"]),
    ]);
    let statement = Statement::allow("MakeWithTheRunsTag", actions).on(made(features, arns));
    tagged(where_several(statement, arns), "RequestTag")
}

fn makes_images(features: &Features) -> bool {
    features.captures || features.registers || features.copies || features.imports
}

/// What is made, as resources.
fn made(features: &Features, arns: &Arns) -> Vec<String> {
    let images = makes_images(features);
    of(&[
        (
            features.launches,
            &["instance", "network-interface", "volume"],
        ),
        (features.spot, &["spot-instances-request"]),
        (features.groups.temporary, &["security-group"]),
        (features.imports_keys, &["key-pair"]),
        (images, &["image", "snapshot"]),
        (!features.buckets.is_empty(), &["import-snapshot-task"]),
    ])
    .into_iter()
    .map(|kind| match kind {
        "key-pair" => arns.ec2(kind, OWN_KEY_PAIRS),
        _ => arns.ec2(kind, "*"),
    })
    .collect()
}

/// The tags that are part of a creating call: CreateTags is asked about for each kind of resource in it.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html>
fn tag_as_made(features: &Features, arns: &Arns) -> Statement {
    let creating = of(&[
        (features.launches, &["RunInstances"]),
        (features.imports_keys, &["ImportKeyPair"]),
        (features.groups.temporary, &["CreateSecurityGroup"]),
        (features.captures, &["CreateImage"]),
        (features.registers, &["CreateSnapshots", "RegisterImage"]),
        (features.copies, &["CopyImage"]),
        (features.imports, &["RegisterImage"]),
        (features.starts_snapshots, &["StartSnapshot"]),
        (!features.buckets.is_empty(), &["ImportSnapshot"]),
    ]);
    let creating: BTreeSet<&str> = creating.into_iter().collect();
    let actions: &[&str] = match creating.is_empty() {
        true => &[],
        false => &["ec2:CreateTags"],
    };
    let statement = Statement::allow("TagWhatIsMade", actions.iter().copied())
        .on(made(features, arns))
        .only_if("StringEquals", "ec2:CreateAction", creating);
    where_several(statement, arns)
}

/// What is done to what carries the run's tag, up to its removal. A dead run's is removed as well.
fn change_own(features: &Features, arns: &Arns) -> Statement {
    let images = makes_images(features);
    let replaces = features.replaces_own || features.replaces_any;
    let actions = of(&[
        (
            features.launches,
            &[
                "ec2:DeleteVolume",
                "ec2:GetConsoleOutput",
                "ec2:StopInstances",
                "ec2:TerminateInstances",
            ],
        ),
        (
            features.groups.temporary || features.enhanced_networking,
            &["ec2:ModifyInstanceAttribute"],
        ),
        (
            features.groups.temporary,
            &[
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:DeleteSecurityGroup",
            ],
        ),
        (features.imports_keys, &["ec2:DeleteKeyPair"]),
        (features.binds, &["ec2:AssociateAddress"]),
        (
            !features.addresses.is_empty() || !features.pools.is_empty(),
            &["ec2:DisassociateAddress"],
        ),
        (
            features.launches || images,
            // `qib:complete` on an image, `qib:kept` on an instance.
            &["ec2:CreateTags"],
        ),
        (images, &["ec2:DeleteSnapshot", "ec2:DeregisterImage"]),
        (features.captures, &["ec2:CreateImage"]),
        (
            features.registers,
            &["ec2:CreateSnapshots", "ec2:RegisterImage"],
        ),
        (features.imports, &["ec2:RegisterImage"]),
        (
            features.starts_snapshots,
            &["ebs:CompleteSnapshot", "ebs:PutSnapshotBlock"],
        ),
        (!features.buckets.is_empty(), &["ec2:CancelImportTask"]),
        (
            features.shares || features.imds,
            &["ec2:ModifyImageAttribute"],
        ),
        (
            features.shares || features.replaces_own,
            &["ec2:DescribeImageAttribute"],
        ),
        (
            features.shares_snapshots,
            &[
                "ec2:DescribeSnapshotAttribute",
                "ec2:ModifySnapshotAttribute",
            ],
        ),
        (features.deprecates, &["ec2:EnableImageDeprecation"]),
        (
            features.protects,
            &["ec2:EnableImageDeregistrationProtection"],
        ),
        (replaces, &["ec2:DisableImageDeregistrationProtection"]),
    ]);
    let resources = of(&[
        (features.launches, &["instance", "volume"]),
        (features.groups.temporary, &["security-group"]),
        (features.imports_keys, &["key-pair"]),
        (images, &["image", "snapshot"]),
        (!features.buckets.is_empty(), &["import-snapshot-task"]),
    ]);
    let resources = resources.into_iter().map(|kind| arns.ec2(kind, "*"));
    let statement = Statement::allow("ChangeAndRemoveWhatRunsMade", actions).on(resources);
    tagged(where_several(statement, arns), "ResourceTag")
}

/// What a launch uses that is there already.
fn launch(features: &Features, arns: &Arns) -> Vec<Statement> {
    if !features.launches {
        return Vec::new();
    }
    let ids = |kind: &str, ids: &std::collections::BTreeSet<String>, others: bool| -> Vec<String> {
        if others {
            vec![arns.ec2(kind, "*")]
        } else {
            ids.iter().map(|id| arns.ec2(kind, id)).collect()
        }
    };
    let network = &features.network;
    let groups = &features.groups;
    let mut uses = vec![arns.ec2("image", "*")];
    uses.extend(ids("subnet", &network.subnets, network.any_subnet));
    let any_group = groups.temporary || groups.by_filter;
    uses.extend(ids("security-group", &groups.named, any_group));
    if features.imports_keys {
        uses.push(arns.ec2("key-pair", OWN_KEY_PAIRS));
    }
    uses.extend(ids("key-pair", &features.key_pairs, false));
    if features.from_snapshots {
        uses.push(arns.ec2("snapshot", "*"));
    }
    uses.extend(features.hosting.iter().map(|(kind, id)| arns.ec2(kind, id)));
    uses.extend(features.resource_groups.iter().cloned());
    let mut statements = vec![where_several(
        Statement::allow("LaunchWith", ["ec2:RunInstances"]).on(uses),
        arns,
    )];
    if groups.temporary {
        let vpcs = ids("vpc", &network.vpcs, network.any_vpc);
        // An instance goes to the default group, whose id is not known, so that its own can be deleted.
        let new = Statement::allow("MakeGroupIn", ["ec2:CreateSecurityGroup"]).on(vpcs);
        let default = Statement::allow("MoveToTheDefaultGroup", ["ec2:ModifyInstanceAttribute"]);
        let default = default.on([arns.ec2("security-group", "*")]);
        statements.extend([new, default].map(|one| where_several(one, arns)));
    }
    if features.spot {
        let role = "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot";
        let first = Statement::allow("FirstSpotInstance", ["iam:CreateServiceLinkedRole"]);
        statements.push(first.on([arns.iam(role)]).only_if(
            "StringLike",
            "iam:AWSServiceName",
            ["spot.amazonaws.com"],
        ));
    }
    statements
}

fn addresses(features: &Features, arns: &Arns) -> Vec<Statement> {
    if features.addresses.is_empty() && features.pools.is_empty() {
        return Vec::new();
    }
    let actions = || {
        of(&[
            (features.binds, &["ec2:AssociateAddress"]),
            (true, &["ec2:DisassociateAddress"]),
        ])
    };
    let named = features.addresses.iter();
    let mut named: Vec<String> = named.map(|id| arns.ec2("elastic-ip", id)).collect();
    named.push(arns.ec2("network-interface", "*"));
    let mut statements = vec![Statement::allow("UseAddress", actions()).on(named)];
    for (number, tags) in features.pools.iter().enumerate() {
        let sid = format!("UseAddressOfPool{}", number + 1);
        let any = Statement::allow(&sid, actions()).on([arns.ec2("elastic-ip", "*")]);
        statements.push(tags.iter().fold(any, |statement, (key, value)| {
            statement.only_if(
                "StringEquals",
                format!("aws:ResourceTag/{key}"),
                [value.as_str()],
            )
        }));
    }
    let there = statements.into_iter();
    there
        .map(|statement| where_several(statement, arns))
        .collect()
}

fn images(features: &Features, arns: &Arns) -> Vec<Statement> {
    let mut statements = Vec::new();
    if features.copies {
        // The source may be anybody's, and in another region.
        let resources = [arns.ec2("image", "*"), arns.ec2("snapshot", "*")];
        let copy = Statement::allow("Copy", ["ec2:CopyImage"]).on(resources);
        statements.push(where_several(copy, arns));
    }
    if features.replaces_any {
        let image = [
            "ec2:DeregisterImage",
            "ec2:DisableImageDeregistrationProtection",
        ];
        let image = Statement::allow("ReplaceAnyImage", image).on([arns.ec2("image", "*")]);
        let snapshots = Statement::allow("TakeOverItsSnapshots", ["ec2:CreateTags"]);
        let snapshots = snapshots.on([arns.ec2("snapshot", "*")]);
        statements.extend([image, snapshots].map(|one| where_several(one, arns)));
    }
    statements
}

/// What disk images take on their way. The role that EC2 reads the object as is named, not passed: it trusts
/// `vmie.amazonaws.com`. <https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html>
fn imports(features: &Features, arns: &Arns) -> Vec<Statement> {
    let mut statements = Vec::new();
    if !features.parents.is_empty() {
        let parents = features.parents.iter().map(|id| arns.ec2("snapshot", id));
        let read = ["ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks"];
        statements.push(Statement::allow("ReadParents", read).on(parents));
    }
    if features.buckets.is_empty() {
        return statements;
    }
    let tasks = [
        arns.ec2("import-snapshot-task", "*"),
        arns.ec2("snapshot", "*"),
    ];
    let import = Statement::allow("ImportObjects", ["ec2:ImportSnapshot"]).on(tasks);
    // The snapshot of a task carries no tag: it is given the run's before anything else is done with it.
    let tag = Statement::allow("TagWhatIsImported", ["ec2:CreateTags"]);
    let tag = tagged(tag.on([arns.ec2("snapshot", "*")]), "RequestTag");
    let buckets = || features.buckets.iter();
    let look = [
        "s3:GetBucketLocation",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
    ];
    let look = Statement::allow("LookIntoBuckets", look).on(buckets().map(|name| arns.s3(name)));
    let write = [
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
    ];
    let write = Statement::allow("WriteObjects", write);
    let write = write.on(buckets().map(|name| arns.s3(&format!("{name}/qib/*"))));
    statements.extend([import, tag].map(|one| where_several(one, arns)));
    statements.extend([look, write]);
    statements
}

fn parameters(features: &Features, arns: &Arns) -> Vec<Statement> {
    let named = |names: &std::collections::BTreeSet<String>| -> Vec<String> {
        names.iter().map(|name| arns.parameter(name)).collect()
    };
    let leases = [
        arns.parameter(LEASES),
        arns.parameter(&format!("{LEASES}/*")),
    ];
    let mut statements = vec![
        Statement::allow(
            "SayThatTheRunLives",
            [
                "ssm:DeleteParameter",
                "ssm:GetParameter",
                "ssm:GetParametersByPath",
                "ssm:PutParameter",
            ],
        )
        .on(leases),
    ];
    if !features.source_parameters.is_empty() {
        let names = named(&features.source_parameters);
        statements.push(Statement::allow("FindSource", ["ssm:GetParameter"]).on(names));
    }
    if !features.parameters.is_empty() {
        let actions = [
            "ssm:DeleteParameter",
            "ssm:GetParameter",
            "ssm:PutParameter",
        ];
        let names = named(&features.parameters);
        statements.push(Statement::allow("NameImages", actions).on(names));
    }
    if features.replaces_own {
        // A launch template may name its image by any parameter.
        let resolve = Statement::allow("ReadLaunchTemplates", ["ssm:GetParameters"]);
        statements.push(resolve.on([arns.parameter("*")]));
    }
    let there = statements.into_iter();
    there
        .map(|statement| where_several(statement, arns))
        .collect()
}

/// The role of a profile is mostly called as the profile is, at whatever path.
fn role_of(profile: &str, arns: &Arns) -> [String; 2] {
    [
        arns.iam(&format!("role/{profile}")),
        arns.iam(&format!("role/*/{profile}")),
    ]
}

fn roles(features: &Features, arns: &Arns) -> Vec<Statement> {
    let to_ec2 = |statement: Statement| {
        statement.only_if("StringEquals", "iam:PassedToService", ["ec2.amazonaws.com"])
    };
    let mut statements = Vec::new();
    if !features.profiles.is_empty() {
        let roles = features.profiles.iter();
        let roles = roles.flat_map(|profile| role_of(profile, arns));
        statements.push(to_ec2(
            Statement::allow("GiveRole", ["iam:PassRole"]).on(roles),
        ));
    }
    if features.temporary_profile {
        let actions = [
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:CreateRole",
            "iam:DeleteInstanceProfile",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:GetInstanceProfile",
            "iam:GetRole",
            "iam:ListInstanceProfileTags",
            "iam:ListRoleTags",
            "iam:PutRolePolicy",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:TagInstanceProfile",
            "iam:TagRole",
        ];
        let (role, profile) = (arns.iam("role/qib/*"), arns.iam("instance-profile/qib/*"));
        statements.push(Statement::allow("TemporaryRole", actions).on([role.clone(), profile]));
        let give = Statement::allow("GiveTemporaryRole", ["iam:PassRole"]);
        statements.push(to_ec2(give.on([role])));
        let find = ["iam:ListInstanceProfiles", "iam:ListRoles"];
        statements.push(Statement::allow("FindTemporaryRoles", find));
    }
    statements
}

/// What `qib preflight` asks besides.
fn questions_of(features: &Features, arns: &Arns) -> Vec<Statement> {
    let quotas = [
        "servicequotas:GetAWSDefaultServiceQuota",
        "servicequotas:GetServiceQuota",
    ];
    let oneself = ["iam:GetRole", "iam:SimulatePrincipalPolicy"];
    let oneself = Statement::allow("AskAboutOneself", oneself);
    let mut statements = vec![
        there(Statement::allow("AskForQuotas", quotas), arns),
        oneself.on([arns.iam("role/*"), arns.iam("user/*")]),
    ];
    if !features.profiles.is_empty() {
        let profiles = features.profiles.iter();
        let profiles = profiles.flat_map(|name| {
            [
                arns.iam(&format!("instance-profile/{name}")),
                arns.iam(&format!("instance-profile/*/{name}")),
            ]
        });
        let find = Statement::allow("AskForProfile", ["iam:GetInstanceProfile"]);
        statements.push(find.on(profiles));
    }
    statements
}

//! Which actions each call of the port takes. A call that is not here does not pass the tests.

/// A call of the port, by the name of its method, and the actions that it takes.
pub struct Call {
    /// The method of `cloud::Account`, `cloud::Region` or `cloud::Iam`; those of `cloud::SnapshotBlocks` and
    /// `cloud::Objects` have `blocks.` and `objects.` before them.
    pub method: &'static str,
    /// Its actions; empty for what needs no permission.
    pub actions: &'static [&'static str],
    /// Who makes it.
    pub by: Caller,
}

/// Who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A run, or the sweep after it.
    Run,
    /// `qib images` alone: no pipeline needs it.
    Images,
    /// `qib preflight`.
    Preflight,
}

const fn run(method: &'static str, actions: &'static [&'static str]) -> Call {
    Call {
        method,
        actions,
        by: Caller::Run,
    }
}

const fn images(method: &'static str, actions: &'static [&'static str]) -> Call {
    Call {
        method,
        actions,
        by: Caller::Images,
    }
}

const fn asked(method: &'static str, actions: &'static [&'static str]) -> Call {
    Call {
        method,
        actions,
        by: Caller::Preflight,
    }
}

/// Every call of the port. What is tagged in a creating call takes `ec2:CreateTags` as well, an instance profile
/// `iam:PassRole`, a key of KMS the actions of [`super::statements()`] for it.
pub const CALLS: &[Call] = &[
    run("caller_identity", &[]),
    run("credentials_expiry", &[]),
    run("images", &["ec2:DescribeImages"]),
    run("create_image", &["ec2:CreateImage", "ec2:CreateTags"]),
    run("deregister_image", &["ec2:DeregisterImage"]),
    run("copy_image", &["ec2:CopyImage", "ec2:CreateTags"]),
    run("register_image", &["ec2:RegisterImage", "ec2:CreateTags"]),
    run("image_permissions", &["ec2:DescribeImageAttribute"]),
    run("change_image_permissions", &["ec2:ModifyImageAttribute"]),
    run("require_imds_v2", &["ec2:ModifyImageAttribute"]),
    images("image_last_launched", &["ec2:DescribeImageAttribute"]),
    run("set_image_deprecation", &["ec2:EnableImageDeprecation"]),
    run(
        "set_deregistration_protection",
        &[
            "ec2:EnableImageDeregistrationProtection",
            "ec2:DisableImageDeregistrationProtection",
        ],
    ),
    run("public_images", &["ec2:GetImageBlockPublicAccessState"]),
    run(
        "launch_template_images",
        &[
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribeLaunchTemplateVersions",
            "ssm:GetParameters",
        ],
    ),
    run("snapshots", &["ec2:DescribeSnapshots"]),
    run("delete_snapshot", &["ec2:DeleteSnapshot"]),
    run(
        "create_snapshots",
        &["ec2:CreateSnapshots", "ec2:CreateTags"],
    ),
    run("snapshot_permissions", &["ec2:DescribeSnapshotAttribute"]),
    run(
        "change_snapshot_permissions",
        &["ec2:ModifySnapshotAttribute"],
    ),
    run(
        "public_snapshots",
        &["ec2:GetSnapshotBlockPublicAccessState"],
    ),
    run(
        "import_snapshot",
        // EC2 looks at the object in the caller's name, too.
        // <https://docs.aws.amazon.com/vm-import/latest/userguide/required-permissions.html>
        &[
            "ec2:ImportSnapshot",
            "ec2:CreateTags",
            "s3:GetBucketLocation",
            "s3:GetObject",
        ],
    ),
    run("import_tasks", &["ec2:DescribeImportSnapshotTasks"]),
    run("cancel_import", &["ec2:CancelImportTask"]),
    run("blocks.start", &["ebs:StartSnapshot", "ec2:CreateTags"]),
    run("blocks.put", &["ebs:PutSnapshotBlock"]),
    run("blocks.complete", &["ebs:CompleteSnapshot"]),
    run("blocks.list", &["ebs:ListSnapshotBlocks"]),
    run("blocks.get", &["ebs:GetSnapshotBlock"]),
    run("objects.bucket_region", &["s3:ListBucket"]),
    run("objects.begin_upload", &["s3:PutObject"]),
    run("objects.put_part", &["s3:PutObject"]),
    run("objects.parts", &["s3:ListMultipartUploadParts"]),
    run("objects.finish_upload", &["s3:PutObject"]),
    run("objects.uploads", &["s3:ListBucketMultipartUploads"]),
    run("objects.abort_upload", &["s3:AbortMultipartUpload"]),
    run("objects.list", &["s3:ListBucket"]),
    // Without s3:ListBucket an object that is not there looks as one that must not be seen.
    run("objects.facts", &["s3:GetObject", "s3:ListBucket"]),
    run("objects.delete", &["s3:DeleteObject"]),
    run("volumes", &["ec2:DescribeVolumes"]),
    run("delete_volume", &["ec2:DeleteVolume"]),
    run("regions", &["ec2:DescribeRegions"]),
    run("vpcs", &["ec2:DescribeVpcs"]),
    run("subnets", &["ec2:DescribeSubnets"]),
    run("security_groups", &["ec2:DescribeSecurityGroups"]),
    run(
        "create_security_group",
        &["ec2:CreateSecurityGroup", "ec2:CreateTags"],
    ),
    run("authorize_ingress", &["ec2:AuthorizeSecurityGroupIngress"]),
    run("delete_security_group", &["ec2:DeleteSecurityGroup"]),
    run("key_pairs", &["ec2:DescribeKeyPairs"]),
    run("import_key_pair", &["ec2:ImportKeyPair", "ec2:CreateTags"]),
    run("delete_key_pair", &["ec2:DeleteKeyPair"]),
    run("addresses", &["ec2:DescribeAddresses"]),
    run("associate_address", &["ec2:AssociateAddress"]),
    run("disassociate_address", &["ec2:DisassociateAddress"]),
    run(
        "run_instance",
        &[
            "ec2:RunInstances",
            "ec2:CreateTags",
            "iam:PassRole",
            "iam:CreateServiceLinkedRole",
        ],
    ),
    run("instance_types", &["ec2:DescribeInstanceTypes"]),
    run("offerings", &["ec2:DescribeInstanceTypeOfferings"]),
    run("instances", &["ec2:DescribeInstances"]),
    run("set_instance_groups", &["ec2:ModifyInstanceAttribute"]),
    run("set_enhanced_networking", &["ec2:ModifyInstanceAttribute"]),
    run("stop_instance", &["ec2:StopInstances"]),
    run("terminate_instance", &["ec2:TerminateInstances"]),
    run("console_output", &["ec2:GetConsoleOutput"]),
    run("create_tags", &["ec2:CreateTags"]),
    run("parameter", &["ssm:GetParameter"]),
    run("parameters_below", &["ssm:GetParametersByPath"]),
    run("put_parameter", &["ssm:PutParameter"]),
    run("put_image_parameter", &["ssm:PutParameter"]),
    run("delete_parameter", &["ssm:DeleteParameter"]),
    // The actions of the calls that are asked about.
    asked("dry_run", &[]),
    asked(
        "quota",
        &[
            "servicequotas:GetServiceQuota",
            "servicequotas:GetAWSDefaultServiceQuota",
        ],
    ),
    run("kms_key", &["kms:DescribeKey"]),
    asked("kms_grant", &["kms:CreateGrant"]),
    run("role", &["iam:GetRole"]),
    run("roles_below", &["iam:ListRoles", "iam:ListRoleTags"]),
    run("create_instance_role", &["iam:CreateRole", "iam:TagRole"]),
    run("put_role_policy", &["iam:PutRolePolicy"]),
    run("delete_role_policy", &["iam:DeleteRolePolicy"]),
    run("delete_role", &["iam:DeleteRole"]),
    run("instance_profile", &["iam:GetInstanceProfile"]),
    run(
        "instance_profiles_below",
        &["iam:ListInstanceProfiles", "iam:ListInstanceProfileTags"],
    ),
    run(
        "create_instance_profile",
        &["iam:CreateInstanceProfile", "iam:TagInstanceProfile"],
    ),
    run("add_role", &["iam:AddRoleToInstanceProfile"]),
    run("remove_role", &["iam:RemoveRoleFromInstanceProfile"]),
    run("delete_instance_profile", &["iam:DeleteInstanceProfile"]),
    asked("simulate", &["iam:SimulatePrincipalPolicy", "iam:GetRole"]),
];

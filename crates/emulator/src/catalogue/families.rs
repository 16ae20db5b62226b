//! What the images of one publisher have in common. Owners are those of the publishers' own pages, cited beside each.

use super::Copying;

/// What the images of one publisher have in common.
pub(super) struct Family {
    pub owner: &'static str,
    pub alias: Option<&'static str>,
    pub description: &'static str,
    pub root_device: &'static str,
    pub root_gib: u32,
    pub volume_type: &'static str,
    pub default_user: &'static str,
    pub boot_mode: Option<&'static str>,
    pub imds_v2: bool,
    pub ena: bool,
    pub platform_details: &'static str,
    pub usage_operation: &'static str,
    pub product_code: Option<&'static str>,
    pub copying: Copying,
}

/// What most of them have in common.
const USUAL: Family = Family {
    owner: "",
    alias: None,
    description: "",
    root_device: "/dev/sda1",
    root_gib: 10,
    volume_type: "gp3",
    default_user: "ec2-user",
    boot_mode: Some("uefi-preferred"),
    imds_v2: true,
    ena: true,
    platform_details: "Linux/UNIX",
    usage_operation: "RunInstances",
    product_code: None,
    copying: Copying::Allowed,
};

// https://access.redhat.com/solutions/15356
pub(super) static RHEL: Family = Family {
    owner: "309956199498",
    description: "Provided by Red Hat, Inc.",
    volume_type: "gp2",
    imds_v2: false,
    platform_details: "Red Hat Enterprise Linux",
    usage_operation: "RunInstances:0010",
    copying: Copying::StorageNotShared,
    ..USUAL
};

// https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/
pub(super) static UBUNTU: Family = Family {
    owner: "099720109477",
    description: "Canonical, Ubuntu",
    root_gib: 8,
    default_user: "ubuntu",
    ..USUAL
};

/// Releases from before UEFI and version 2 of the metadata service.
pub(super) static UBUNTU_14: Family = Family {
    volume_type: "gp2",
    boot_mode: None,
    imds_v2: false,
    owner: UBUNTU.owner,
    description: "Canonical, Ubuntu, 14.04 LTS, amd64 trusty image",
    root_gib: 8,
    default_user: "ubuntu",
    ..USUAL
};

/// The same, from before enhanced networking.
pub(super) static UBUNTU_12: Family = Family {
    volume_type: "gp2",
    boot_mode: None,
    imds_v2: false,
    ena: false,
    owner: UBUNTU.owner,
    description: "Canonical, Ubuntu, 12.04 LTS, amd64 precise image",
    root_gib: 8,
    default_user: "ubuntu",
    ..USUAL
};

// https://docs.aws.amazon.com/linux/al2023/ug/ec2.html
pub(super) static AMAZON: Family = Family {
    owner: "137112412989",
    alias: Some("amazon"),
    description: "Amazon Linux",
    root_device: "/dev/xvda",
    root_gib: 8,
    ..USUAL
};

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AmazonLinuxAMIBasics.html
pub(super) static AMAZON_1: Family = Family {
    owner: AMAZON.owner,
    alias: Some("amazon"),
    description: "Amazon Linux AMI 2018.03",
    root_device: "/dev/xvda",
    root_gib: 8,
    volume_type: "standard",
    boot_mode: None,
    imds_v2: false,
    ..USUAL
};

// https://docs.aws.amazon.com/eks/latest/userguide/eks-optimized-ami.html
pub(super) static EKS: Family = Family {
    owner: "602401143452",
    alias: Some("amazon"),
    description: "EKS Kubernetes Worker AMI with AmazonLinux2 image",
    root_device: "/dev/xvda",
    root_gib: 20,
    volume_type: "gp2",
    boot_mode: None,
    imds_v2: false,
    ..USUAL
};

// https://fedoraproject.org/cloud/download
pub(super) static FEDORA: Family = Family {
    owner: "125523088429",
    description: "Fedora Cloud Base",
    root_gib: 6,
    default_user: "fedora",
    ..USUAL
};

// https://www.centos.org/download/aws-images/
pub(super) static CENTOS: Family = Family {
    owner: "125523088429",
    description: "CentOS Stream",
    imds_v2: false,
    ..USUAL
};

// https://aws.amazon.com/marketplace/pp/prodview-foff247vr2zfw
pub(super) static CENTOS_7: Family = Family {
    owner: "679593333241",
    alias: Some("aws-marketplace"),
    description: "CentOS Linux 7",
    root_gib: 8,
    volume_type: "gp2",
    default_user: "centos",
    boot_mode: None,
    imds_v2: false,
    product_code: Some("aw0evgkw8e5c1q413zgy5pjce"),
    copying: Copying::Marketplace,
    ..USUAL
};

// https://wiki.debian.org/Cloud/AmazonEC2Image
pub(super) static DEBIAN: Family = Family {
    owner: "136693071363",
    description: "Debian",
    root_device: "/dev/xvda",
    root_gib: 8,
    default_user: "admin",
    ..USUAL
};

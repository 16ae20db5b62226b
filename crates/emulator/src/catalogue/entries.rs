//! The list. Owners and name patterns are those of the publishers' own pages, cited beside each family.

use crate::guest::BootAgent;

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
    pub platform_details: &'static str,
    pub usage_operation: &'static str,
}

/// One image.
pub(super) struct Entry {
    pub family: &'static Family,
    pub name: &'static str,
    pub created: &'static str,
    pub architecture: &'static str,
    pub agent: BootAgent,
}

// https://access.redhat.com/solutions/15356
static RHEL: Family = Family {
    owner: "309956199498",
    alias: None,
    description: "Provided by Red Hat, Inc.",
    root_device: "/dev/sda1",
    root_gib: 10,
    volume_type: "gp2",
    default_user: "ec2-user",
    boot_mode: Some("uefi-preferred"),
    imds_v2: false,
    platform_details: "Red Hat Enterprise Linux",
    usage_operation: "RunInstances:0010",
};

// https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/
static UBUNTU: Family = Family {
    owner: "099720109477",
    alias: None,
    description: "Canonical, Ubuntu",
    root_device: "/dev/sda1",
    root_gib: 8,
    volume_type: "gp3",
    default_user: "ubuntu",
    boot_mode: Some("uefi-preferred"),
    imds_v2: true,
    platform_details: "Linux/UNIX",
    usage_operation: "RunInstances",
};

// https://docs.aws.amazon.com/linux/al2023/ug/ec2.html
static AMAZON: Family = Family {
    owner: "137112412989",
    alias: Some("amazon"),
    description: "Amazon Linux",
    root_device: "/dev/xvda",
    root_gib: 8,
    volume_type: "gp3",
    default_user: "ec2-user",
    boot_mode: Some("uefi-preferred"),
    imds_v2: true,
    platform_details: "Linux/UNIX",
    usage_operation: "RunInstances",
};

// https://fedoraproject.org/cloud/download
static FEDORA: Family = Family {
    owner: "125523088429",
    alias: None,
    description: "Fedora Cloud Base",
    root_device: "/dev/sda1",
    root_gib: 6,
    volume_type: "gp3",
    default_user: "fedora",
    boot_mode: Some("uefi-preferred"),
    imds_v2: true,
    platform_details: "Linux/UNIX",
    usage_operation: "RunInstances",
};

// https://www.centos.org/download/aws-images/
static CENTOS: Family = Family {
    owner: "125523088429",
    alias: None,
    description: "CentOS Stream",
    root_device: "/dev/sda1",
    root_gib: 10,
    volume_type: "gp3",
    default_user: "ec2-user",
    boot_mode: Some("uefi-preferred"),
    imds_v2: false,
    platform_details: "Linux/UNIX",
    usage_operation: "RunInstances",
};

// https://wiki.debian.org/Cloud/AmazonEC2Image
static DEBIAN: Family = Family {
    owner: "136693071363",
    alias: None,
    description: "Debian",
    root_device: "/dev/xvda",
    root_gib: 8,
    volume_type: "gp3",
    default_user: "admin",
    boot_mode: Some("uefi-preferred"),
    imds_v2: true,
    platform_details: "Linux/UNIX",
    usage_operation: "RunInstances",
};

const fn x86(family: &'static Family, name: &'static str, created: &'static str) -> Entry {
    Entry {
        family,
        name,
        created,
        architecture: "x86_64",
        agent: BootAgent::BuiltIn,
    }
}

const fn arm(family: &'static Family, name: &'static str, created: &'static str) -> Entry {
    Entry {
        family,
        name,
        created,
        architecture: "arm64",
        agent: BootAgent::BuiltIn,
    }
}

/// An image whose user-data the host's own cloud-init carries out.
const fn cloud_init(name: &'static str, architecture: &'static str) -> Entry {
    Entry {
        family: &DEBIAN,
        name,
        created: "2024-07-02T00:00:00Z",
        architecture,
        agent: BootAgent::HostCloudInit,
    }
}

pub(super) static ENTRIES: &[Entry] = &[
    x86(
        &RHEL,
        "RHEL-8.6.0_HVM-20220503-x86_64-2-Hourly2-GP2",
        "2022-05-10T12:13:55Z",
    ),
    x86(
        &RHEL,
        "RHEL-8.7.0_HVM-20221101-x86_64-0-Hourly2-GP2",
        "2022-11-02T07:25:11Z",
    ),
    x86(
        &RHEL,
        "RHEL-8.7.0_HVM-20230215-x86_64-13-Hourly2-GP2",
        "2023-02-16T20:01:39Z",
    ),
    x86(
        &RHEL,
        "RHEL-8.7.0_HVM-20230330-x86_64-56-Hourly2-GP2",
        "2023-03-31T09:33:20Z",
    ),
    x86(
        &RHEL,
        "RHEL-8.8.0_HVM-20230623-x86_64-3-Hourly2-GP2",
        "2023-06-27T15:06:43Z",
    ),
    x86(
        &RHEL,
        "RHEL-8.10.0_HVM-20240514-x86_64-83-Hourly2-GP3",
        "2024-05-15T11:18:02Z",
    ),
    x86(
        &RHEL,
        "RHEL-9.2.0_HVM-20230503-x86_64-41-Hourly2-GP2",
        "2023-05-10T13:02:09Z",
    ),
    x86(
        &RHEL,
        "RHEL-9.4.0_HVM-20240605-x86_64-82-Hourly2-GP3",
        "2024-06-06T10:44:30Z",
    ),
    x86(
        &RHEL,
        "RHEL-9.5.0_HVM-20250128-x86_64-0-Hourly2-GP3",
        "2025-01-29T08:51:17Z",
    ),
    arm(
        &RHEL,
        "RHEL-8.7.0_HVM-20230330-arm64-56-Hourly2-GP2",
        "2023-03-31T09:29:48Z",
    ),
    arm(
        &RHEL,
        "RHEL-9.4.0_HVM-20240605-arm64-82-Hourly2-GP3",
        "2024-06-06T10:41:02Z",
    ),
    x86(
        &UBUNTU,
        "ubuntu/images/hvm-ssd/ubuntu-focal-20.04-amd64-server-20240606",
        "2024-06-06T07:12:25Z",
    ),
    x86(
        &UBUNTU,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240301",
        "2024-03-01T15:22:09Z",
    ),
    x86(
        &UBUNTU,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240614",
        "2024-06-14T09:52:26Z",
    ),
    x86(
        &UBUNTU,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240701",
        "2024-07-01T08:27:31Z",
    ),
    x86(
        &UBUNTU,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250115",
        "2025-01-15T09:18:04Z",
    ),
    arm(
        &UBUNTU,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-20240614",
        "2024-06-14T09:55:41Z",
    ),
    arm(
        &UBUNTU,
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20240701",
        "2024-07-01T08:31:12Z",
    ),
    x86(
        &AMAZON,
        "al2023-ami-2023.4.20240416.0-kernel-6.1-x86_64",
        "2024-04-17T00:21:37Z",
    ),
    x86(
        &AMAZON,
        "al2023-ami-2023.6.20250203.1-kernel-6.1-x86_64",
        "2025-02-04T19:22:50Z",
    ),
    x86(
        &AMAZON,
        "amzn2-ami-hvm-2.0.20240610.1-x86_64-gp2",
        "2024-06-14T00:45:58Z",
    ),
    arm(
        &AMAZON,
        "al2023-ami-2023.6.20250203.1-kernel-6.1-arm64",
        "2025-02-04T19:22:44Z",
    ),
    x86(
        &FEDORA,
        "Fedora-Cloud-Base-AmazonEC2.x86_64-40-1.14",
        "2024-04-15T18:06:31Z",
    ),
    x86(
        &FEDORA,
        "Fedora-Cloud-Base-AmazonEC2.x86_64-41-1.4",
        "2024-10-24T15:48:01Z",
    ),
    arm(
        &FEDORA,
        "Fedora-Cloud-Base-AmazonEC2.aarch64-41-1.4",
        "2024-10-24T15:48:09Z",
    ),
    x86(
        &CENTOS,
        "CentOS Stream 9 x86_64 20240527",
        "2024-05-28T07:02:14Z",
    ),
    x86(
        &CENTOS,
        "CentOS Stream 9 x86_64 20250113",
        "2025-01-14T07:11:33Z",
    ),
    arm(
        &CENTOS,
        "CentOS Stream 9 aarch64 20250113",
        "2025-01-14T07:11:50Z",
    ),
    x86(
        &DEBIAN,
        "debian-12-amd64-20240507-1740",
        "2024-05-07T08:16:21Z",
    ),
    x86(
        &DEBIAN,
        "debian-12-amd64-20240701-1795",
        "2024-07-01T08:13:40Z",
    ),
    arm(
        &DEBIAN,
        "debian-12-arm64-20240701-1795",
        "2024-07-01T08:13:51Z",
    ),
    cloud_init("debian-12-amd64-20240702-local-host-cloud-init", "x86_64"),
    cloud_init("debian-12-arm64-20240702-local-host-cloud-init", "arm64"),
];

//! The list. Name patterns are those of the publishers' own pages.

use super::families::*;
use crate::account::image::Virtualization;
use crate::guest::BootAgent;

/// One image.
pub(super) struct Entry {
    pub family: &'static Family,
    pub name: &'static str,
    /// The publisher's own words, where a client may look for them; else the family's.
    pub description: Option<&'static str>,
    pub created: &'static str,
    pub deprecated: Option<&'static str>,
    pub architecture: &'static str,
    pub virtualization: Virtualization,
    pub agent: BootAgent,
}

const fn x86(family: &'static Family, name: &'static str, created: &'static str) -> Entry {
    Entry {
        family,
        name,
        description: None,
        created,
        deprecated: None,
        architecture: "x86_64",
        virtualization: Virtualization::Hvm,
        agent: BootAgent::BuiltIn,
    }
}

const fn arm(family: &'static Family, name: &'static str, created: &'static str) -> Entry {
    Entry {
        architecture: "arm64",
        ..x86(family, name, created)
    }
}

impl Entry {
    const fn paravirtual(self) -> Self {
        Self {
            virtualization: Virtualization::Paravirtual,
            ..self
        }
    }

    const fn described(self, text: &'static str) -> Self {
        Self {
            description: Some(text),
            ..self
        }
    }

    const fn deprecated(self, at: &'static str) -> Self {
        Self {
            deprecated: Some(at),
            ..self
        }
    }
}

/// An image whose user-data the host's own cloud-init carries out.
const fn cloud_init(name: &'static str, architecture: &'static str) -> Entry {
    Entry {
        architecture,
        agent: BootAgent::HostCloudInit,
        ..x86(&DEBIAN, name, "2024-07-02T00:00:00Z")
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
    x86(
        &DEBIAN,
        "debian-11-amd64-20230124-1270",
        "2023-01-24T08:16:21Z",
    )
    .deprecated("2025-01-24T08:16:21Z"),
    cloud_init("debian-12-amd64-20240702-local-host-cloud-init", "x86_64"),
    cloud_init("debian-12-arm64-20240702-local-host-cloud-init", "arm64"),
    x86(
        &UBUNTU_14,
        "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-amd64-server-20180627",
        "2018-06-28T15:33:09Z",
    ),
    x86(
        &UBUNTU_14,
        "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-amd64-server-20190514",
        "2019-05-15T01:55:32Z",
    ),
    x86(
        &UBUNTU_14,
        "ubuntu/images/ebs-ssd/ubuntu-trusty-14.04-amd64-server-20180627",
        "2018-06-28T15:38:50Z",
    )
    .paravirtual(),
    x86(
        &UBUNTU_14,
        "ubuntu/images/ebs-ssd/ubuntu-trusty-14.04-amd64-server-20190514",
        "2019-05-15T02:00:25Z",
    )
    .paravirtual(),
    x86(
        &UBUNTU_12,
        "ubuntu/images/hvm-ssd/ubuntu-precise-12.04-amd64-server-20170502",
        "2017-05-03T16:38:26Z",
    ),
    x86(
        &UBUNTU_12,
        "ubuntu/images/ebs-ssd/ubuntu-precise-12.04-amd64-server-20170502",
        "2017-05-03T16:35:41Z",
    )
    .paravirtual(),
    x86(
        &CENTOS_7,
        "CentOS Linux 7 x86_64 HVM EBS ENA 1804_2-b7ee8a69-ee97-4a49-9e68-afaee216db2e-ami-55a2322a.4",
        "2018-05-17T09:30:44Z",
    )
    .described("CentOS Linux 7 x86_64 HVM EBS ENA 1804_2"),
    x86(
        &CENTOS_7,
        "CentOS Linux 7 x86_64 HVM EBS ENA 1805_01-b7ee8a69-ee97-4a49-9e68-afaee216db2e-ami-77ec9308.4",
        "2018-06-13T15:53:24Z",
    )
    .described("CentOS Linux 7 x86_64 HVM EBS ENA 1805_01"),
    x86(
        &CENTOS_7,
        "CentOS Linux 7 x86_64 HVM EBS ENA 2002_01-b7ee8a69-ee97-4a49-9e68-afaee216db2e-ami-0042af67f8e4dcc20.4",
        "2020-03-09T21:54:48Z",
    )
    .described("CentOS Linux 7 x86_64 HVM EBS ENA 2002_01"),
    x86(&EKS, "amazon-eks-node-1.12-v20190614", "2019-06-15T06:47:57Z"),
    x86(&EKS, "amazon-eks-node-1.12-v20190701", "2019-07-02T17:42:39Z"),
    x86(
        &AMAZON_1,
        "amzn-ami-hvm-2018.03.0.20181129-x86_64-ebs",
        "2018-11-29T23:20:41Z",
    ),
    x86(
        &AMAZON_1,
        "amzn-ami-pv-2018.03.0.20181129-x86_64-ebs",
        "2018-11-29T23:28:20Z",
    )
    .paravirtual(),
    arm(
        &AMAZON,
        "amzn2-ami-hvm-2.0.20240610.1-arm64-gp2",
        "2024-06-14T00:45:44Z",
    ),
    x86(
        &FEDORA,
        "Fedora-Cloud-Base-AmazonEC2.x86_64-42-1.1",
        "2025-04-14T18:44:12Z",
    ),
    arm(
        &FEDORA,
        "Fedora-Cloud-Base-AmazonEC2.aarch64-40-1.14",
        "2024-04-15T18:06:44Z",
    ),
    arm(
        &FEDORA,
        "Fedora-Cloud-Base-AmazonEC2.aarch64-42-1.1",
        "2025-04-14T18:44:20Z",
    ),
];

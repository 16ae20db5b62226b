//! The public parameters of SSM that name the newest public image of a kind.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html>

use super::Catalogue;
use crate::account::image::Image;
use crate::api::ec2::filter::matches;
use jiff::Timestamp;

/// A public parameter of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicParameter {
    /// Such as `/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64`.
    pub name: &'static str,
    /// The image's id.
    pub value: String,
    /// How many images of the kind there have been.
    pub version: i64,
    /// When the newest was made.
    pub modified: Timestamp,
}

/// Parameter, owner of the images, and what their names look like.
const NAMES: [(&str, &str, &str); 18] = [
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64",
        "137112412989",
        "al2023-ami-2*-arm64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-x86_64",
        "137112412989",
        "al2023-ami-2*-x86_64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
        "137112412989",
        "al2023-ami-2*-arm64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "137112412989",
        "al2023-ami-2*-x86_64",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn-ami-hvm-x86_64-ebs",
        "137112412989",
        "amzn-ami-hvm-*-x86_64-ebs",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn-ami-pv-x86_64-ebs",
        "137112412989",
        "amzn-ami-pv-*-x86_64-ebs",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-arm64-gp2",
        "137112412989",
        "amzn2-ami-hvm-*-arm64-gp2",
    ),
    (
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
        "137112412989",
        "amzn2-ami-hvm-*-x86_64-gp2",
    ),
    // https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/#finding-images-with-ssm
    (
        "/aws/service/canonical/ubuntu/server/14.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "099720109477",
        "ubuntu/images/hvm-ssd/ubuntu-trusty-14.04-amd64-server-*",
    ),
    (
        "/aws/service/canonical/ubuntu/server/20.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "099720109477",
        "ubuntu/images/hvm-ssd/ubuntu-focal-20.04-amd64-server-*",
    ),
    (
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "099720109477",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*",
    ),
    (
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
        "099720109477",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-*",
    ),
    (
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
        "099720109477",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*",
    ),
    (
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
        "099720109477",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-*",
    ),
    // https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm
    (
        "/aws/service/debian/release/11/latest/amd64",
        "136693071363",
        "debian-11-amd64-????????-????",
    ),
    (
        "/aws/service/debian/release/12/latest/amd64",
        "136693071363",
        "debian-12-amd64-????????-????",
    ),
    (
        "/aws/service/debian/release/12/latest/arm64",
        "136693071363",
        "debian-12-arm64-????????-????",
    ),
    // https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html
    (
        "/aws/service/eks/optimized-ami/1.12/amazon-linux-2/recommended/image_id",
        "602401143452",
        "amazon-eks-node-1.12-*",
    ),
];

impl Catalogue {
    /// The public parameters of a region, by name.
    pub fn parameters(&self, region: &str) -> Vec<PublicParameter> {
        let images = self.images(region);
        let of = |owner: &str, pattern: &str| -> Vec<&Image> {
            images
                .values()
                .filter(|i| i.owner == owner && matches(pattern, &i.name))
                .collect()
        };
        let parameters = NAMES.iter().filter_map(|(name, owner, pattern)| {
            let all = of(owner, pattern);
            let newest = all.iter().max_by_key(|i| i.created)?;
            Some(PublicParameter {
                name,
                value: newest.id.to_string(),
                version: i64::try_from(all.len()).unwrap_or(i64::MAX),
                modified: newest.created,
            })
        });
        parameters.collect()
    }

    /// The names of the public parameters that name an image.
    pub fn parameters_of(&self, region: &str, image: &Image) -> Vec<&'static str> {
        let parameters = self.parameters(region).into_iter();
        let own = parameters.filter(|p| p.value == image.id.as_str());
        own.map(|p| p.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_names_the_newest_image_of_its_kind() {
        let catalogue = Catalogue::new("h");
        let parameters = catalogue.parameters("us-east-2");
        assert_eq!(parameters.len(), NAMES.len());
        let jammy = parameters
            .iter()
            .find(|p| p.name.contains("22.04") && p.name.contains("amd64"))
            .unwrap();
        let images = catalogue.images("us-east-2");
        let image = images
            .values()
            .find(|i| i.id.as_str() == jammy.value)
            .unwrap();
        assert!(image.name.ends_with("20240614"), "{}", image.name);
        assert_eq!(jammy.version, 2);
        assert_ne!(
            catalogue.parameters("eu-west-1")[0].value,
            parameters[0].value
        );
    }
}

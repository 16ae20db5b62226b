//! Key pairs: DescribeKeyPairs, ImportKeyPair, DeleteKeyPair.

use crate::answer::{BadAnswer, required};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{self, ResourceType};
use cloud::port::Result;
use cloud::{ErrorKind, KeyPairDescription, KeyPairId, Tags};

/// DescribeKeyPairs knows no pages: an account has at most 5,000 key pairs in a region.
pub(crate) async fn describe(
    ec2: &Client,
    given: &[(String, Vec<String>)],
) -> Result<Vec<KeyPairDescription>> {
    const CALL: &str = "DescribeKeyPairs";
    let answer = ec2
        .describe_key_pairs()
        .set_filters(filters::filters(given))
        .send()
        .await
        .map_err(failed(CALL))?;
    answer
        .key_pairs()
        .iter()
        .map(|answered| key_pair(answered).map_err(BadAnswer::to(CALL)))
        .collect()
}

fn key_pair(answered: &types::KeyPairInfo) -> std::result::Result<KeyPairDescription, BadAnswer> {
    Ok(KeyPairDescription {
        key_pair_id: KeyPairId::from(required(answered.key_pair_id(), "keyPairId")?),
        name: required(answered.key_name(), "keyName")?.to_owned(),
        tags: tagging::tags(answered.tags()),
    })
}

pub(crate) async fn import(
    ec2: &Client,
    name: &str,
    public_key: &str,
    tags: &Tags,
) -> Result<KeyPairId> {
    const CALL: &str = "ImportKeyPair";
    let answer = ec2
        .import_key_pair()
        .key_name(name)
        // EC2 wants the line of an authorized_keys file, encoded once more; the SDK does the encoding.
        // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportKeyPair.html
        .public_key_material(Blob::new(public_key.trim()))
        .set_tag_specifications(tagging::specifications([(
            ResourceType::KeyPair,
            tags.clone(),
        )]))
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(name))?;
    required(answer.key_pair_id(), "keyPairId")
        .map(KeyPairId::from)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(name))
}

pub(crate) async fn delete(ec2: &Client, key_pair: &KeyPairId) -> Result<()> {
    match ec2
        .delete_key_pair()
        .key_pair_id(key_pair.as_str())
        .send()
        .await
        .map_err(failed("DeleteKeyPair"))
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(key_pair)),
    }
}

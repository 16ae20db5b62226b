//! Elastic IPs: DescribeAddresses, AssociateAddress, DisassociateAddress.

use crate::answer::{BadAnswer, parsed, required};
use crate::classify::failed;
use crate::{filters, tagging};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;
use cloud::port::Result;
use cloud::{
    Address, AddressBinding, AddressFilter, AllocationId, AssociationId, ErrorKind, InstanceId,
};

/// DescribeAddresses knows no pages.
pub(crate) async fn describe(ec2: &Client, filter: &AddressFilter) -> Result<Vec<Address>> {
    const CALL: &str = "DescribeAddresses";
    let mut addresses = Vec::new();
    for filters in filters::requests("allocation-id", &filter.allocation_ids, &filter.filters) {
        let answer = ec2
            .describe_addresses()
            .set_filters(filters)
            .send()
            .await
            .map_err(failed(CALL))?;
        for answered in answer.addresses() {
            addresses.push(address(answered).map_err(BadAnswer::to(CALL))?);
        }
    }
    Ok(addresses)
}

fn address(answered: &types::Address) -> std::result::Result<Address, BadAnswer> {
    Ok(Address {
        allocation_id: AllocationId::from(required(answered.allocation_id(), "allocationId")?),
        public_ip: required(parsed(answered.public_ip(), "publicIp")?, "publicIp")?,
        binding: answered.association_id().map(|association| AddressBinding {
            association_id: AssociationId::from(association),
            instance_id: answered
                .instance_id()
                .filter(|id| !id.is_empty())
                .map(InstanceId::from),
        }),
        tags: tagging::tags(answered.tags()),
    })
}

pub(crate) async fn associate(
    ec2: &Client,
    allocation: &AllocationId,
    instance: &InstanceId,
) -> Result<AssociationId> {
    const CALL: &str = "AssociateAddress";
    let answer = ec2
        .associate_address()
        .allocation_id(allocation.as_str())
        .instance_id(instance.as_str())
        // In a VPC an address that is left out here moves by itself from whoever has it.
        // https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateAddress.html
        .allow_reassociation(false)
        .send()
        .await
        .map_err(|error| failed(CALL)(error).about(allocation))?;
    required(answer.association_id(), "associationId")
        .map(AssociationId::from)
        .map_err(|bad| BadAnswer::to(CALL)(bad).about(allocation))
}

pub(crate) async fn disassociate(ec2: &Client, association: &AssociationId) -> Result<()> {
    match ec2
        .disassociate_address()
        .association_id(association.as_str())
        .send()
        .await
        .map_err(failed("DisassociateAddress"))
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.about(association)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_free_bound_to_an_instance_or_to_something_else() {
        let free = types::Address::builder()
            .allocation_id("eipalloc-1")
            .public_ip("203.0.113.7");
        assert_eq!(address(&free.clone().build()).unwrap().binding, None);

        let elsewhere = free.association_id("eipassoc-1");
        let binding = address(&elsewhere.clone().build())
            .unwrap()
            .binding
            .unwrap();
        assert_eq!(binding.association_id.as_str(), "eipassoc-1");
        assert_eq!(binding.instance_id, None);

        let bound = elsewhere.instance_id("i-1").build();
        let binding = address(&bound).unwrap().binding.unwrap();
        assert_eq!(binding.instance_id, Some(InstanceId::from("i-1")));
    }
}

//! Elastic IPs.

use crate::region;
use crate::server::Answer;
use cloud::{AddressFilter, AllocationId, AssociationId, ErrorKind, InstanceId};

#[tokio::test]
async fn associating_never_takes_an_address_from_another() {
    let (server, region) = region([Answer::xml(
        "<AssociateAddressResponse><return>true</return><associationId>eipassoc-1</associationId></AssociateAddressResponse>",
    )])
    .await;
    let association = region
        .associate_address(&AllocationId::from("eipalloc-1"), &InstanceId::from("i-1"))
        .await
        .unwrap();
    assert_eq!(association.as_str(), "eipassoc-1");
    server.only_request().assert_params(&[
        ("Action", "AssociateAddress"),
        ("AllocationId", "eipalloc-1"),
        ("InstanceId", "i-1"),
        ("AllowReassociation", "false"),
    ]);
}

#[tokio::test]
async fn an_address_that_another_has_is_in_use() {
    let (_server, region) = region([Answer::ec2_error(
        400,
        "Resource.AlreadyAssociated",
        "resource eipalloc-1 is already associated with associate-id eipassoc-9",
    )])
    .await;
    let error = region
        .associate_address(&AllocationId::from("eipalloc-1"), &InstanceId::from("i-1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::AddressInUse);
    assert_eq!(error.resource.as_deref(), Some("eipalloc-1"));
}

#[tokio::test]
async fn addresses_are_asked_for_by_filter_and_unknown_ones_are_left_out() {
    let (server, region) = region([Answer::xml(
        "<DescribeAddressesResponse><addressesSet><item><publicIp>203.0.113.7</publicIp>\
         <allocationId>eipalloc-1</allocationId><associationId>eipassoc-1</associationId><instanceId>i-1</instanceId>\
         <tagSet><item><key>qib:lease</key><value>r1</value></item></tagSet></item></addressesSet>\
         </DescribeAddressesResponse>",
    )])
    .await;
    let asked = AddressFilter {
        allocation_ids: vec![
            AllocationId::from("eipalloc-1"),
            AllocationId::from("eipalloc-2"),
        ],
        filters: Vec::new(),
    };
    let addresses = region.addresses(&asked).await.unwrap();
    assert_eq!(addresses.len(), 1);
    assert_eq!(addresses[0].public_ip.to_string(), "203.0.113.7");
    assert_eq!(addresses[0].tags.get("qib:lease"), Some("r1"));
    let binding = addresses[0].binding.as_ref().unwrap();
    assert_eq!(binding.instance_id, Some(InstanceId::from("i-1")));
    server.only_request().assert_params(&[
        ("Action", "DescribeAddresses"),
        ("Filter.1.Name", "allocation-id"),
        ("Filter.1.Value.1", "eipalloc-1"),
        ("Filter.1.Value.2", "eipalloc-2"),
    ]);
}

#[tokio::test]
async fn addresses_are_found_by_tag_and_by_instance() {
    let none =
        || Answer::xml("<DescribeAddressesResponse><addressesSet/></DescribeAddressesResponse>");
    let (server, region) = region([none(), none()]).await;
    let pool = AddressFilter {
        allocation_ids: Vec::new(),
        filters: vec![
            ("tag:Purpose".to_owned(), vec!["images".to_owned()]),
            ("instance-id".to_owned(), vec!["i-1".to_owned()]),
        ],
    };
    assert!(region.addresses(&pool).await.unwrap().is_empty());
    let one = AddressFilter {
        allocation_ids: vec![AllocationId::from("eipalloc-1")],
        ..pool
    };
    assert!(region.addresses(&one).await.unwrap().is_empty());
    let requests = server.requests();
    let by_tag = [
        ("Action", "DescribeAddresses"),
        ("Filter.1.Name", "tag:Purpose"),
        ("Filter.1.Value.1", "images"),
        ("Filter.2.Name", "instance-id"),
        ("Filter.2.Value.1", "i-1"),
    ];
    requests[0].assert_params(&by_tag);
    let allocation = [
        ("Filter.3.Name", "allocation-id"),
        ("Filter.3.Value.1", "eipalloc-1"),
    ];
    requests[1].assert_params(&[by_tag.as_slice(), &allocation].concat());
}

#[tokio::test]
async fn disassociating_twice_is_done() {
    let (server, region) = region([
        Answer::xml(
            "<DisassociateAddressResponse><return>true</return></DisassociateAddressResponse>",
        ),
        Answer::ec2_error(400, "InvalidAssociationID.NotFound", "gone"),
    ])
    .await;
    let association = AssociationId::from("eipassoc-1");
    region.disassociate_address(&association).await.unwrap();
    region.disassociate_address(&association).await.unwrap();
    server.requests()[0].assert_params(&[
        ("Action", "DisassociateAddress"),
        ("AssociationId", "eipassoc-1"),
    ]);
}

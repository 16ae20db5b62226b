"""Prints what the account holds, as JSON: ids for each kind of thing, and the tags of what stays. Terminated instances,
the VPCs' default groups and addresses that are bound to nothing are there in an untouched account too."""

import json
import sys

import boto3

region = sys.argv[1]
ec2 = boto3.client("ec2", region_name=region)
ssm = boto3.client("ssm", region_name=region)


def tags(thing):
    return {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}


images = ec2.describe_images(Owners=["self"])["Images"]
used = {
    mapping["Ebs"]["SnapshotId"]
    for image in images
    for mapping in image.get("BlockDeviceMappings", [])
    if "SnapshotId" in mapping.get("Ebs", {})
}
instances = [
    instance["InstanceId"]
    for reservation in ec2.describe_instances()["Reservations"]
    for instance in reservation["Instances"]
    if instance["State"]["Name"] != "terminated"
]
json.dump(
    {
        "instances": instances,
        "key pairs": [pair["KeyPairId"] for pair in ec2.describe_key_pairs()["KeyPairs"]],
        "security groups": [
            group["GroupId"]
            for group in ec2.describe_security_groups()["SecurityGroups"]
            if group["GroupName"] != "default"
        ],
        "images": [image["ImageId"] for image in images if "qib:complete" in tags(image)],
        "incomplete images": [image["ImageId"] for image in images if "qib:complete" not in tags(image)],
        "snapshots without image": [
            snapshot["SnapshotId"]
            for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
            if snapshot["SnapshotId"] not in used
        ],
        "volumes": [volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]],
        "bound addresses": [
            address["AllocationId"]
            for address in ec2.describe_addresses()["Addresses"]
            if address.get("AssociationId")
        ],
        "parameters": [
            parameter["Name"]
            for page in ssm.get_paginator("get_parameters_by_path").paginate(Path="/qib", Recursive=True)
            for parameter in page["Parameters"]
        ],
        "tags": [tags(image) for image in images],
    },
    sys.stdout,
)

"""Prints what the account holds, as JSON: one list of ids for each kind of thing. Terminated instances, the VPCs'
default groups and addresses that are bound to nothing are not counted: they are there in an untouched account too."""

import json
import sys

import boto3

region = sys.argv[1]
ec2 = boto3.client("ec2", region_name=region)
ssm = boto3.client("ssm", region_name=region)

instances = [
    instance["InstanceId"]
    for reservation in ec2.describe_instances()["Reservations"]
    for instance in reservation["Instances"]
    if instance["State"]["Name"] != "terminated"
]
parameters = ssm.get_parameters_by_path(Path="/qib", Recursive=True)["Parameters"]

json.dump(
    {
        "instances": instances,
        "key pairs": [pair["KeyPairId"] for pair in ec2.describe_key_pairs()["KeyPairs"]],
        "security groups": [
            group["GroupId"]
            for group in ec2.describe_security_groups()["SecurityGroups"]
            if group["GroupName"] != "default"
        ],
        "images": [image["ImageId"] for image in ec2.describe_images(Owners=["self"])["Images"]],
        "snapshots": [
            snapshot["SnapshotId"] for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        ],
        "volumes": [volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]],
        "bound addresses": [
            address["AllocationId"]
            for address in ec2.describe_addresses()["Addresses"]
            if address.get("AssociationId")
        ],
        "parameters": [parameter["Name"] for parameter in parameters],
    },
    sys.stdout,
)

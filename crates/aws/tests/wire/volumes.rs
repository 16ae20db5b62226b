//! Volumes.

use crate::region;
use crate::server::Answer;
use cloud::{InstanceId, VolumeId};

#[tokio::test]
async fn volumes_are_read_page_by_page_with_what_they_are_attached_to() {
    let (server, region) = region([
        Answer::xml(
            "<DescribeVolumesResponse><volumeSet><item><volumeId>vol-1</volumeId><status>in-use</status>\
             <createTime>2026-03-01T10:20:30.000Z</createTime>\
             <attachmentSet><item><volumeId>vol-1</volumeId><instanceId>i-1</instanceId></item></attachmentSet>\
             <tagSet><item><key>qib:run</key><value>r1</value></item></tagSet></item></volumeSet>\
             <nextToken>more</nextToken></DescribeVolumesResponse>",
        ),
        Answer::xml(
            "<DescribeVolumesResponse><volumeSet><item><volumeId>vol-2</volumeId><status>available</status>\
             </item></volumeSet></DescribeVolumesResponse>",
        ),
    ])
    .await;
    let filters = [("tag-key".to_owned(), vec!["qib:run".to_owned()])];
    let volumes = region.volumes(&filters).await.unwrap();
    assert_eq!(volumes.len(), 2);
    assert_eq!(volumes[0].state, "in-use");
    assert_eq!(volumes[0].attached_to, [InstanceId::from("i-1")]);
    assert_eq!(
        volumes[0].created,
        Some("2026-03-01T10:20:30Z".parse().unwrap())
    );
    assert_eq!(volumes[0].tags.get("qib:run"), Some("r1"));
    assert_eq!(volumes[1].volume_id.as_str(), "vol-2");
    assert!(volumes[1].attached_to.is_empty());
    let requests = server.requests();
    requests[0].assert_params(&[
        ("Action", "DescribeVolumes"),
        ("Filter.1.Name", "tag-key"),
        ("Filter.1.Value.1", "qib:run"),
        ("MaxResults", "1000"),
    ]);
    assert_eq!(requests[1].param("NextToken"), Some("more"));
}

#[tokio::test]
async fn a_volume_is_deleted_and_deleting_it_again_is_done() {
    let (server, region) = region([
        Answer::xml("<DeleteVolumeResponse><return>true</return></DeleteVolumeResponse>"),
        Answer::ec2_error(400, "InvalidVolume.NotFound", "gone"),
    ])
    .await;
    let volume = VolumeId::from("vol-1");
    region.delete_volume(&volume).await.unwrap();
    region.delete_volume(&volume).await.unwrap();
    server.requests()[0].assert_params(&[("Action", "DeleteVolume"), ("VolumeId", "vol-1")]);
}

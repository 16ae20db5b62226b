//! How long an instance may live.

use super::*;

#[tokio::test]
async fn the_timer_and_the_tag_say_the_same_end() {
    let stage = stage(Behaviour::default());
    let mut spec = spec(AddressSpec::Public);
    spec.launch.max_lifetime = Duration::from_secs(7200);
    stage.build(&spec).await.unwrap();
    let store = stage.account.store();
    let launch = &store.launches[0];
    let end = build::lifetime::expires(&launch.tags.instance).unwrap();
    let text = user_data_text(&launch.user_data);
    let value = |name: &str| {
        let (_, rest) = text.split_once(&format!("\n{name}='")).unwrap();
        rest.split_once('\'').unwrap().0.parse::<i64>().unwrap()
    };
    assert_eq!(value("END"), end.as_second());
    assert_eq!(value("END") - value("RENDERED"), 7200);
    // Everything that belongs to the instance, and the image that is made of it later, says that end.
    for tags in [&launch.tags.volume, &launch.tags.network_interface] {
        assert_eq!(build::lifetime::expires(tags), Some(end));
    }
    let image = store
        .images
        .values()
        .find(|image| image.tags.get("qib:complete").is_some());
    assert_eq!(build::lifetime::expires(&image.unwrap().tags), Some(end));
}

#[tokio::test]
async fn a_stage_that_may_outlast_its_instance_is_told() {
    let told = async |max_lifetime| {
        let stage = stage(Behaviour::default());
        let mut spec = spec(AddressSpec::Public);
        spec.launch.max_lifetime = max_lifetime;
        spec.connect.timeout = Some(Duration::from_secs(360));
        spec.image.wait = Duration::from_secs(3600);
        stage.build(&spec).await.unwrap();
        stage.recorder.text().contains("terminates itself after")
    };
    assert!(told(Duration::from_secs(3959)).await);
    assert!(!told(Duration::from_secs(3960)).await);
}

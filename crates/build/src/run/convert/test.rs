//! `test`.

use super::connect::connect;
use super::provision::entries;
use crate::failure::StepError;
use crate::options::Venue;
use crate::spec::{ConnectSpec, LaunchSpec, ProfileSpec, ProvisionerSpec, TestSpec};
use pipeline::cache_key::test_digest;
use pipeline::model;
use pipeline::template::RunFacts;
use std::collections::BTreeSet;

/// The test of a stage, whose instance is launched and reached as the stage's unless the test says otherwise.
pub(super) fn test(
    test: &model::Test,
    launch: &LaunchSpec,
    stage_connect: &ConnectSpec,
    build_name: &str,
    venue: Venue,
    facts: &RunFacts,
) -> Result<TestSpec, StepError> {
    let checks: Vec<ProvisionerSpec> = entries(&test.provision, facts)?;
    let skipped: BTreeSet<usize> = match venue {
        Venue::Aws => BTreeSet::new(),
        Venue::Rehearsal => checks
            .iter()
            .enumerate()
            .filter(|(_, check)| !check.needs.is_empty())
            .map(|(position, _)| position)
            .collect(),
    };
    let digest =
        test_digest(test, &pipeline::Disk, &skipped).map_err(|error| StepError::LocalFile {
            path: String::from("(a file of a test)"),
            reason: error.to_string(),
        })?;
    let types = &test.launch.instance_types;
    Ok(TestSpec {
        launch: LaunchSpec {
            machines: if types.is_empty() {
                launch.machines.clone()
            } else {
                types.iter().map(ToString::to_string).collect()
            },
            instance_profile: match &test.launch.instance_profile {
                Some(profile) => Some(ProfileSpec::Named(profile.to_string())),
                None => launch.instance_profile.clone(),
            },
            // It boots as the image's users boot it: with the image's own volumes, and nothing said by the build.
            volumes: Vec::new(),
            left_out_devices: Vec::new(),
            user_data: None,
            ..launch.clone()
        },
        connect: match &test.connect {
            None => stage_connect.clone(),
            Some(own) => connect(own, facts)?,
        },
        build_name: build_name.to_owned(),
        checks,
        timeout: test.timeout.get(),
        digest: digest.hex(),
    })
}

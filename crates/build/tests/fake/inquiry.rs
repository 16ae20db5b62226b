//! What the account says when it is asked, and nothing is changed.

use super::account::{FakeAccount, error};
use cloud::*;

impl FakeAccount {
    pub(super) fn verdict(&self, call: &DryRun) -> Result<Verdict, CloudError> {
        self.call("a call with DryRun")?;
        let operation = match call {
            DryRun::RunInstances(_) => "RunInstances",
            DryRun::CreateImage(_) => "CreateImage",
            DryRun::CreateSnapshots => "CreateSnapshots",
            DryRun::RegisterImage(_) => "RegisterImage",
            DryRun::CopyImage(_) => "CopyImage",
            DryRun::ImportKeyPair { .. } => "ImportKeyPair",
            DryRun::SecurityGroup { .. } => "CreateSecurityGroup",
            DryRun::Address => "AssociateAddress",
            DryRun::CreateTags => "CreateTags",
            DryRun::StopInstances => "StopInstances",
            DryRun::TerminateInstances => "TerminateInstances",
            DryRun::ModifyInstanceAttribute => "ModifyInstanceAttribute",
            DryRun::ModifyImageAttribute { .. } => "ModifyImageAttribute",
            DryRun::ModifySnapshotAttribute => "ModifySnapshotAttribute",
            DryRun::DeregisterImage => "DeregisterImage",
            DryRun::DeleteSnapshot => "DeleteSnapshot",
            DryRun::EnableImageDeprecation => "EnableImageDeprecation",
            DryRun::EnableImageDeregistrationProtection => "EnableImageDeregistrationProtection",
            DryRun::GetConsoleOutput => "GetConsoleOutput",
        };
        // The same list that refuses the call itself.
        Ok(if self.store().denied.contains(&operation) {
            Verdict::Denied(format!("You are not authorized to perform {operation}"))
        } else {
            Verdict::Allowed
        })
    }

    /// Any type but those that are said not to exist; a `g` after the generation's number means Graviton.
    pub(super) fn described_types(
        &self,
        names: &[String],
    ) -> Result<Vec<InstanceTypeDescription>, CloudError> {
        self.call("DescribeInstanceTypes")?;
        let store = self.store();
        let described = names.iter().map(|name| {
            if store.unknown_types.contains(name) {
                return Err(error("DescribeInstanceTypes", ErrorKind::InvalidInput));
            }
            let family = name.split('.').next().unwrap_or_default();
            let arm = family.trim_start_matches(char::is_alphabetic).contains('g');
            Ok(InstanceTypeDescription {
                name: name.clone(),
                architectures: vec![if arm { "arm64" } else { "x86_64" }.into()],
                virtualizations: vec!["hvm".into()],
                boot_modes: if arm {
                    vec!["uefi".into()]
                } else {
                    vec!["legacy-bios".into(), "uefi".into()]
                },
                vcpus: 2,
                nitro: true,
                burstable: family.starts_with('t'),
                spot: true,
            })
        });
        described.collect()
    }

    pub(super) fn offered(&self, types: &[String]) -> Result<Vec<Offering>, CloudError> {
        self.call("DescribeInstanceTypeOfferings")?;
        let store = self.store();
        let offered = types.iter().filter(|name| {
            !store.unknown_types.contains(name) && !store.not_offered.contains(name)
        });
        Ok(offered
            .map(|name| Offering {
                instance_type: name.clone(),
                availability_zone: AvailabilityZone::new(format!("{}c", Region::name(self))),
            })
            .collect())
    }
}

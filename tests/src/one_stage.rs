//! A pipeline of one stage, `one`, whose parts a test replaces.

/// The parts, each as it stands in the file after its key, in YAML's flow style or on one line.
#[derive(Clone, Copy, Debug)]
pub struct OneStage<'a> {
    /// The pipeline's name.
    pub name: &'a str,
    /// `source:`
    pub source: &'a str,
    /// The members of `launch:`, after `instance_type`.
    pub launch: &'a str,
    /// `connect:`
    pub connect: &'a str,
    /// `provision:`
    pub provision: &'a str,
    /// `image:`
    pub image: &'a str,
    /// Lines of the stage itself, indented by four.
    pub more: &'a str,
    /// Lines of the pipeline itself, not indented.
    pub top: &'a str,
}

/// The Elastic IP that a local EC2 has from the start.
pub const ELASTIC_IP: &str = "eipalloc-0local";

/// `connect:` through the Elastic IP, bound by the guest itself.
pub const THROUGH_ELASTIC_IP: &str = "{ user: ec2-user, address: { elastic_ip: eipalloc-0local, bind: user-data, timeout: 60s }, timeout: 60s }";

/// The member of `launch:` that lets a guest bind its address.
pub const WITH_PROFILE: &str = "instance_profile: ec2-instance-profile-for-quay-image-builder";

impl Default for OneStage<'_> {
    fn default() -> Self {
        Self {
            name: "end-to-end",
            source: r#"{ filter: { owners: ["309956199498"], name: "RHEL-8.7*HVM-*Hourly*", arch: x86_64 } }"#,
            launch: "subnet: { default_vpc: true, zone: c }",
            connect: "{ user: ec2-user, timeout: 60s }",
            provision: r#"[{ run: { name: greet, inline: "echo hello from the guest" } }]"#,
            image: r#"{ name: "one-${{ run.id }}" }"#,
            more: "",
            top: "",
        }
    }
}

impl OneStage<'_> {
    /// The file.
    pub fn text(&self) -> String {
        let Self {
            name,
            source,
            launch,
            connect,
            provision,
            image,
            more,
            top,
        } = self;
        format!(
            "name: {name}\n\
             aws: {{ region: us-east-2 }}\n\
             {top}\n\
             stages:\n  \
               one:\n    \
                 source: {source}\n    \
                 launch: {{ instance_type: m5.xlarge, {launch} }}\n    \
                 connect: {connect}\n    \
                 provision: {provision}\n    \
                 image: {image}\n\
             {more}\n"
        )
    }
}

//! Strings with a rule: names, ids, words. Each refuses what cannot be meant.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;
use std::fmt;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $expected:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks the text against this type's rule.
            ///
            /// # Errors
            /// A sentence that says what was expected.
            pub fn new(text: impl Into<String>) -> Result<Self, String> {
                let text = text.into();
                let rule: fn(&str) -> bool = $rule;
                if rule(&text) {
                    Ok(Self(text))
                } else {
                    Err(format!("{text:?} is not {}", $expected))
                }
            }

            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

pub(super) use text;

fn word(text: &str, first: fn(char) -> bool, rest: fn(char) -> bool) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(first) && chars.all(rest)
}

fn id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

/// Whether `text` is an ARN of AWS Organizations of this kind, with one part for each of `prefixes` after it.
fn organization_arn(text: &str, kind: &str, prefixes: &[&str]) -> bool {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "organizations", "", account, path] = fields.as_slice() else {
        return false;
    };
    let mut parts = path.split('/');
    let account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let plain = |rest: &str| {
        !rest.is_empty()
            && rest
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    partition.starts_with("aws")
        && account
        && parts.next() == Some(kind)
        && prefixes.iter().all(|prefix| {
            parts
                .next()
                .and_then(|part| part.strip_prefix(prefix))
                .is_some_and(plain)
        })
        && parts.next().is_none()
}

fn name(text: &str) -> bool {
    text.len() <= 63
        && word(
            text,
            |c| c.is_ascii_alphanumeric(),
            |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'),
        )
}

text!(
    /// A pipeline's name: it stands in tags, lists and file names. At most 63 letters, digits, `-`, `_`, `.`.
    PipelineName, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    "a pipeline name (a letter or digit, then letters, digits, '-', '_' or '.', at most 63)", name
);
text!(
    /// A stage's name: it stands in tags, lists and logs. At most 63 letters, digits, `-`, `_`, `.`.
    StageName, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    "a stage name (a letter or digit, then letters, digits, '-', '_' or '.', at most 63)", name
);
text!(
    /// A cell's name: what tells it from the others of its stage. At most 63 letters, digits, `-`, `_`, `.`.
    CellName, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    "a cell's name (a letter or digit, then letters, digits, '-', '_' or '.', at most 63)", name
);
text!(
    /// The name of a map, a profile or a step set.
    Label, "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
    "a name (a letter, a digit or '_', then letters, digits, '_', '-' or '.')",
    |t| word(t, |c| c.is_ascii_alphanumeric() || c == '_', |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
);
text!(
    /// The name of a matrix's value, as `matrix.NAME` has it.
    AxisName, "^[A-Za-z_][A-Za-z0-9_-]*$",
    "a name for `matrix.NAME` (a letter or '_', then letters, digits, '_' or '-')",
    |t| word(t, |c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
);
text!(
    /// A variable's name, as `vars.NAME` and `--var NAME=…` have it.
    VarName, "^[A-Za-z_][A-Za-z0-9_-]*$",
    "a variable name (a letter or '_', then letters, digits, '_' or '-')",
    |t| word(t, |c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
);
text!(
    /// An image's id: `ami-…`.
    ImageId, "^ami-[0-9a-z]+$", "an image id such as ami-0123456789abcdef0", |t| id(t, "ami-")
);
text!(
    /// An Elastic IP's allocation id: `eipalloc-…`.
    AllocationId, "^eipalloc-[0-9a-z]+$",
    "an allocation id such as eipalloc-0123456789abcdef0 (not the address itself)", |t| id(t, "eipalloc-")
);
text!(
    /// A subnet's id: `subnet-…`.
    SubnetId, "^subnet-[0-9a-z]+$", "a subnet id such as subnet-0123456789abcdef0", |t| id(t, "subnet-")
);
text!(
    /// A security group's id: `sg-…`.
    SecurityGroupId, "^sg-[0-9a-z]+$", "a security group id such as sg-0123456789abcdef0", |t| id(t, "sg-")
);
text!(
    /// A VPC's id: `vpc-…`.
    VpcId, "^vpc-[0-9a-z]+$", "a VPC id such as vpc-0123456789abcdef0", |t| id(t, "vpc-")
);
text!(
    /// An EBS snapshot's id: `snap-…`.
    SnapshotId, "^snap-[0-9a-z]+$", "a snapshot id such as snap-0123456789abcdef0", |t| id(t, "snap-")
);
text!(
    /// A capacity reservation's id: `cr-…`.
    CapacityReservationId, "^cr-[0-9a-z]+$", "a capacity reservation's id such as cr-0123456789abcdef0", |t| id(t, "cr-")
);
text!(
    /// A dedicated host's id: `h-…`.
    HostId, "^h-[0-9a-z]+$", "a dedicated host's id such as h-0123456789abcdef0", |t| id(t, "h-")
);
text!(
    /// The ARN of a resource group: `arn:aws:resource-groups:…:group/NAME`.
    ResourceGroupArn, "^arn:[a-z-]+:resource-groups:[a-z0-9-]+:[0-9]{12}:group/.+$",
    "the ARN of a resource group (arn:aws:resource-groups:REGION:ACCOUNT:group/NAME)",
    |t| {
        let parts: Vec<&str> = t.splitn(6, ':').collect();
        matches!(parts.as_slice(), ["arn", partition, "resource-groups", region, account, group]
            if !partition.is_empty() && !region.is_empty()
                && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
                && group.strip_prefix("group/").is_some_and(|name| !name.is_empty()))
    }
);
text!(
    /// The name of a placement group. (EC2 API, CreatePlacementGroup: up to 255 ASCII characters.)
    PlacementGroupName, "^[ -~]{1,255}$", "a placement group's name (1 to 255 ASCII characters)",
    |t| (1..=255).contains(&t.len()) && t.bytes().all(|b| (b' '..=b'~').contains(&b))
);
text!(
    /// The name or ARN of an SSM parameter, with `:VERSION` or `:LABEL` behind it if one of these is meant.
    /// (SSM API, GetParameter, `Name`.)
    ParameterName, "^[A-Za-z0-9_.:/-]{1,2048}$",
    "an SSM parameter's name (letters, digits and _ . - / :)",
    |t| (1..=2_048).contains(&t.len())
        && t.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':'))
);
text!(
    /// An AWS account: twelve digits. Quote it in YAML, or a leading zero is lost.
    AccountId, "^[0-9]{12}$", "an account id (twelve digits, in quotes)",
    |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit())
);
text!(
    /// An organisation by its ARN. (AWS Organizations, DescribeOrganization, `Arn`.)
    OrganizationArn, "^arn:aws[a-z-]*:organizations::[0-9]{12}:organization/o-[a-z0-9]{10,32}$",
    "an organisation's ARN such as arn:aws:organizations::123456789012:organization/o-exampleorgid",
    |t| organization_arn(t, "organization", &["o-"])
);
text!(
    /// An organisational unit by its ARN. (AWS Organizations, DescribeOrganizationalUnit, `Arn`.)
    OrganizationalUnitArn, "^arn:aws[a-z-]*:organizations::[0-9]{12}:ou/o-[a-z0-9]{10,32}/ou-[0-9a-z-]+$",
    "an organisational unit's ARN such as arn:aws:organizations::123456789012:ou/o-exampleorgid/ou-examplerootid-exampleouid",
    |t| organization_arn(t, "ou", &["o-", "ou-"])
);
text!(
    /// Whose images a filter looks among: an account id, or `self`, `amazon`, `aws-marketplace`.
    /// (EC2 API, DescribeImages, `Owner`.)
    Owner, "^([0-9]{12}|self|amazon|aws-marketplace|aws-backup-vault)$",
    "an image owner (twelve digits in quotes, or self, amazon, aws-marketplace)",
    |t| matches!(t, "self" | "amazon" | "aws-marketplace" | "aws-backup-vault")
        || (t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit()))
);
text!(
    /// An instance type such as `m5.xlarge`.
    InstanceType, "^[a-z0-9-]+\\.[a-z0-9-]+$", "an instance type such as m5.xlarge",
    |t| {
        let ok = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        t.split_once('.').is_some_and(|(family, size)| ok(family) && ok(size))
    }
);
text!(
    /// A price per hour in US dollars, as EC2 takes it: `0.12`. EC2 refuses less than 0.001.
    /// (EC2 API, SpotMarketOptions, `MaxPrice`.)
    DollarsPerHour, "^[0-9]{1,6}(\\.[0-9]{1,6})?$", "a price in US dollars per hour such as \"0.12\", at least 0.001",
    |t| {
        let (whole, part) = t.split_once('.').unwrap_or((t, "0"));
        let digits = |text: &str| (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        // A thousandth shows within the first three digits after the point, if not before it.
        let thousandth = whole.bytes().chain(part.bytes().take(3)).any(|digit| digit != b'0');
        digits(whole) && digits(part) && thousandth
    }
);
text!(
    /// A region's name such as `us-east-2`.
    Region, "^[a-z]{2}(-[a-z]+)+-[0-9]+$", "a region such as us-east-2",
    |t| {
        let mut parts = t.split('-').peekable();
        let first = parts.next().is_some_and(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_lowercase()));
        let rest: Vec<_> = parts.collect();
        let (last, middle) = match rest.split_last() { Some(split) => split, None => return false };
        first && !middle.is_empty()
            && middle.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase()))
            && !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
    }
);
text!(
    /// The letter of an availability zone within its region: `c` for us-east-2c.
    ZoneLetter, "^[a-z]$", "a zone's letter, such as c (the region is added by qib)",
    |t| t.len() == 1 && t.bytes().all(|b| b.is_ascii_lowercase())
);
text!(
    /// A block device's name as EC2 has it: `/dev/sda1`, `/dev/xvda`, `xvdb`.
    /// (EC2 User Guide, "Device names for volumes on Amazon EC2 instances".)
    DeviceName, "^(/dev/)?(sd[a-z][0-9]{0,2}|xvd[a-z]{1,2}[0-9]{0,2}|nvme[0-9]+n[0-9]+)$",
    "a device name such as /dev/sda1 or /dev/xvdb",
    |t| {
        let t = t.strip_prefix("/dev/").unwrap_or(t);
        let tail = |rest: &str, letters: usize| {
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
            let n = rest.len() - digits.len();
            n >= 1 && n <= letters && digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit())
        };
        let nvme = |rest: &str| rest.split_once('n').is_some_and(|(a, b)| {
            !a.is_empty() && !b.is_empty() && a.bytes().chain(b.bytes()).all(|c| c.is_ascii_digit())
        });
        t.strip_prefix("nvme").is_some_and(nvme)
            || t.strip_prefix("xvd").is_some_and(|r| tail(r, 2))
            || t.strip_prefix("sd").is_some_and(|r| tail(r, 1))
    }
);
impl DeviceName {
    /// A name that is written in the program.
    pub(crate) fn fixed(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}
text!(
    /// The name of a Linux user: `ec2-user`, `root`.
    UserName, "^[a-z_][a-z0-9_.-]{0,31}$", "a Linux user name (at most 32 lower-case letters, digits, '_', '-', '.')",
    |t| t.len() <= 32
        && word(t, |c| c.is_ascii_lowercase() || c == '_', |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.'))
);
text!(
    /// The name of an environment variable.
    EnvName, "^[A-Za-z_][A-Za-z0-9_]*$", "an environment variable's name (letters, digits, '_'; not a digit first)",
    |t| word(t, |c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || c == '_')
);
text!(
    /// A tag's key: 1 to 128 characters, not beginning with `aws:` (EC2's) or `qib:` (qib's own).
    /// (EC2 User Guide, "Tag your Amazon EC2 resources", Tag restrictions.)
    TagKey, "^(?!aws:|qib:).{1,128}$",
    "a tag key (1 to 128 characters; aws: and qib: are reserved as its beginning)",
    |t| {
        let lower = t.to_ascii_lowercase();
        (1..=128).contains(&t.chars().count()) && !lower.starts_with("aws:") && !lower.starts_with("qib:")
    }
);
text!(
    /// The SHA-256 fingerprint of an SSH host key as OpenSSH prints it: `SHA256:` and 43 base64 characters.
    Fingerprint, "^SHA256:[A-Za-z0-9+/]{43}$",
    "a host key's fingerprint as `ssh-keygen -l` prints it (SHA256: and 43 base64 characters)",
    |t| t.strip_prefix("SHA256:").is_some_and(|rest| {
        rest.len() == 43 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    })
);
text!(
    /// A host name or an address to dial, without a port.
    HostName, "^[A-Za-z0-9.:_-]+$", "a host name or address (the port goes into connect.port)",
    |t| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_'))
);
text!(
    /// A KMS key: id, alias (`alias/…`) or ARN.
    KmsKeyId, "^[A-Za-z0-9:/_-]+$", "a KMS key (an id, alias/NAME or an ARN)",
    |t| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '_' | '-'))
);
text!(
    /// The name of a variable of Ansible's. (Ansible, "Creating valid variable names".)
    AnsibleName, "^[A-Za-z_][A-Za-z0-9_]*$", "a name for an Ansible variable (letters, digits, '_'; not a digit first)",
    |t| word(t, |c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || c == '_')
);
text!(
    /// The name of a group in an Ansible inventory; `all` and `ungrouped` are Ansible's own.
    GroupName, "^[A-Za-z_][A-Za-z0-9_]*$", "an inventory group's name (letters, digits, '_'; not a digit first; not all or ungrouped)",
    |t| word(t, |c| c.is_ascii_alphabetic() || c == '_', |c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(t, "all" | "ungrouped")
);
text!(
    /// What an Ansible inventory calls a host.
    HostAlias, "^[A-Za-z0-9_][A-Za-z0-9._-]*$", "a host's name in an inventory (letters, digits, '.', '_', '-'; not all or ungrouped)",
    |t| word(t, |c| c.is_ascii_alphanumeric() || c == '_', |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && !matches!(t, "all" | "ungrouped")
);
impl HostAlias {
    /// A name that is written in the program.
    pub(crate) fn fixed(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}
text!(
    /// The name of an EC2 key pair. (EC2 API, CreateKeyPair: at most 255 ASCII characters.)
    KeyPairName, "^[ -~]{1,255}$", "a key pair's name (1 to 255 ASCII characters)",
    |t| (1..=255).contains(&t.len()) && t.chars().all(|c| (' '..='~').contains(&c)) && t.trim() == t
);
text!(
    /// The name of an IAM instance profile (not its ARN).
    /// (IAM API, CreateInstanceProfile: letters, digits and `+=,.@_-`, at most 128.)
    InstanceProfileName, "^[A-Za-z0-9+=,.@_-]{1,128}$", "an instance profile's name (not its ARN)",
    |t| (1..=128).contains(&t.len())
        && t.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '=' | ',' | '.' | '@' | '_' | '-'))
);
text!(
    /// The name of an HTTP header field. (RFC 9110, section 5.1.)
    HeaderName, "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", "the name of an HTTP header field",
    |t| !t.is_empty()
        && t.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
);

/// The schema of a text that is taken as written, so that an editor lets `8`, `4.10` and `true` stand without quotes.
pub(crate) struct Scalar;

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

//! The role that an instance has: one that is there, or one made for it from a policy.

use super::word_or_map::WordOrMap;
use super::{InstanceProfileName, LocalFile, Located};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::path::PathBuf;

/// The instance profile whose role the instance has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceProfile {
    /// One that is there.
    Named(InstanceProfileName),
    /// One that qib makes for the instance, and removes with it.
    Temporary(Policy),
}

/// What a role may do, as IAM takes it. (IAM User Guide, "IAM JSON policy elements reference".)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The file it was read from, if it was.
    pub file: Option<LocalFile>,
    /// Where it is written, or named.
    pub span: crate::Span,
    /// The document. Of a file it is empty until [`crate::load()`] has read it.
    pub document: Map<String, Value>,
}

impl Policy {
    /// What a policy looks like, as a hint.
    pub(crate) const FORM: &str = "a policy is { Version: \"2012-10-17\", Statement: [{ Effect: Allow, Action: …, Resource: … }] }";

    /// The document as it is sent, with these statements besides its own.
    pub fn with_statements(&self, more: Vec<Value>) -> String {
        let mut document = self.document.clone();
        let statements = match document.remove("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(only) => vec![only],
            None => Vec::new(),
        };
        let statements: Vec<Value> = statements.into_iter().chain(more).collect();
        document.insert("Statement".to_owned(), Value::Array(statements));
        Value::Object(document).to_string()
    }

    /// What is wrong with the document, if something is: what IAM would refuse, and what it would take for nothing.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        match self.document.get("Version") {
            Some(Value::String(version))
                if matches!(version.as_str(), "2012-10-17" | "2008-10-17") => {}
            Some(other) => {
                return Err(format!(
                    "`Version` of a policy is \"2012-10-17\", not {other}"
                ));
            }
            None => return Err("the policy has no `Version`; it is \"2012-10-17\"".to_owned()),
        }
        let statements = match self.document.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements.clone(),
            Some(statement @ Value::Object(_)) => vec![statement.clone()],
            _ => return Err("the policy has no `Statement`".to_owned()),
        };
        if let Some(key) = self
            .document
            .keys()
            .find(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement"))
        {
            return Err(format!(
                "a policy has no key `{key}`, but Version, Id and Statement"
            ));
        }
        statements
            .iter()
            .enumerate()
            .try_for_each(|(position, statement)| {
                check_statement(statement).map_err(|why| format!("Statement[{position}]: {why}"))
            })?;
        let length = self
            .with_statements(Vec::new())
            .chars()
            .filter(|c| !c.is_whitespace())
            .count();
        if length > MAX_POLICY {
            return Err(format!(
                "the policy has {length} characters; IAM takes at most {MAX_POLICY} for a role"
            ));
        }
        Ok(())
    }
}

/// IAM takes 10,240 characters in all inline policies of a role, blanks not counted; what binds an Elastic IP comes
/// on top. (IAM User Guide, "IAM and AWS STS quotas".)
const MAX_POLICY: usize = 10_240 - 640;

fn check_statement(statement: &Value) -> Result<(), String> {
    let Value::Object(statement) = statement else {
        return Err("is no map".to_owned());
    };
    const KEYS: [&str; 7] = [
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];
    if let Some(key) = statement.keys().find(|key| !KEYS.contains(&key.as_str())) {
        // A principal belongs to a trust policy, which qib writes itself.
        return Err(format!("a role's statement has no key `{key}`"));
    }
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        _ => return Err("`Effect` is \"Allow\" or \"Deny\"".to_owned()),
    }
    for (key, not) in [("Action", "NotAction"), ("Resource", "NotResource")] {
        let given: Vec<&Value> = [key, not]
            .iter()
            .filter_map(|key| statement.get(*key))
            .collect();
        match given.as_slice() {
            [Value::String(_)] => {}
            [Value::Array(texts)] if !texts.is_empty() && texts.iter().all(Value::is_string) => {}
            _ => {
                return Err(format!(
                    "it has exactly one of `{key}` and `{not}`, a text or a list of texts"
                ));
            }
        }
    }
    Ok(())
}

/// What an instance needs in order to bind an Elastic IP to itself: AssociateAddress of that address to instances of
/// the region. (Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".)
pub fn binding_statement(partition: &str, region: &str, allocation: &str) -> Value {
    let arn = |resource: &str| format!("arn:{partition}:ec2:{region}:*:{resource}");
    json!({
        "Sid": "QibBindAddress",
        "Effect": "Allow",
        "Action": "ec2:AssociateAddress",
        "Resource": [arn(&format!("elastic-ip/{allocation}")), arn("instance/*"), arn("network-interface/*")],
    })
}

/// A policy as it is written.
enum PolicyFile {
    Path(String),
    Document(Map<String, Value>),
}

impl<'de> Deserialize<'de> for PolicyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "the path of a JSON file, or the policy itself",
            word: |path| Ok(Self::Path(path.to_owned())),
            map: |document| Ok(Self::Document(document)),
        }
        .read(deserializer)
    }
}

impl JsonSchema for PolicyFile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Policy".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "object", "additionalProperties": true }] })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TemporaryProfile {
    /// What the role may do: the path of a JSON file, or an IAM policy with `Version` and `Statement` in place. It may
    /// hold no secret. With `bind: user-data`, what binding needs is added.
    policy: Located<PolicyFile>,
}

impl<'de> Deserialize<'de> for InstanceProfile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WordOrMap {
            expected: "an instance profile's name or { policy: FILE or POLICY }",
            word: |name| InstanceProfileName::new(name).map(Self::Named),
            map: |file: TemporaryProfile| {
                let span = file.policy.span;
                let (file, document) = match file.policy.value {
                    PolicyFile::Document(document) => (None, document),
                    PolicyFile::Path(path) => {
                        let written = Located::new(path, span);
                        (
                            Some(LocalFile {
                                written,
                                path: PathBuf::new(),
                                presence: super::Presence::There,
                            }),
                            Map::new(),
                        )
                    }
                };
                Ok(Self::Temporary(Policy {
                    file,
                    span,
                    document,
                }))
            },
        }
        .read(deserializer)
    }
}

impl JsonSchema for InstanceProfile {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "InstanceProfile".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = InstanceProfileName::json_schema(generator);
        let file = TemporaryProfile::json_schema(generator);
        json_schema!({ "anyOf": [name, file] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(document: Value) -> Policy {
        let Value::Object(document) = document else {
            panic!("no map")
        };
        Policy {
            file: None,
            span: crate::Span::START,
            document,
        }
    }

    #[test]
    fn statements_are_added_to_a_lone_one_and_to_a_list() {
        let own = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" });
        let binding = binding_statement("aws", "us-east-2", "eipalloc-1");
        for statement in [own.clone(), json!([own])] {
            let policy = policy(json!({ "Version": "2012-10-17", "Statement": statement }));
            policy.check().unwrap();
            let sent: Value =
                serde_json::from_str(&policy.with_statements(vec![binding.clone()])).unwrap();
            assert_eq!(sent["Statement"], json!([own, binding]));
        }
        assert_eq!(
            binding["Resource"][0],
            "arn:aws:ec2:us-east-2:*:elastic-ip/eipalloc-1"
        );
    }
}

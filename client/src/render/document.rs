//! proto3 JSON and YAML of the published messages.
//!
//! Fields with default values are written, too, so that a script finds every key in every object.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::{Serialize, Serializer};

use crate::error::Failure;

static POOL: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
    DescriptorPool::decode(mos_proto::FILE_DESCRIPTOR_SET).map_err(|error| error.to_string())
});

/// A message in its JSON mapping.
struct Proto3Json<'a>(&'a DynamicMessage);

impl Serialize for Proto3Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new().skip_default_fields(false);
        self.0.serialize_with_options(serializer, &options)
    }
}

/// Converts a message of `mos.v1`, whose type is called `name`, to one that carries its descriptor.
pub(super) fn dynamic(name: &str, message: &impl Message) -> Result<DynamicMessage, Failure> {
    let mut dynamic = DynamicMessage::new(descriptor(name)?);
    dynamic.transcode_from(message).map_err(|error| broken(name, &error))?;
    Ok(dynamic)
}

/// The description of a message of `mos.v1`.
fn descriptor(name: &str) -> Result<MessageDescriptor, Failure> {
    let pool = POOL.as_ref().map_err(|error| broken(name, error))?;
    let found = pool.get_message_by_name(&format!("mos.v1.{name}"));
    found.ok_or_else(|| broken(name, &"no such message"))
}

fn broken(name: &str, error: &impl std::fmt::Display) -> Failure {
    Failure::Contract(format!("mos.v1.{name}: {error}"))
}

/// One line of JSON.
pub(super) fn json(message: &DynamicMessage) -> Result<String, Failure> {
    let text = serde_json::to_string(&Proto3Json(message)).map_err(unwritable)?;
    Ok(text + "\n")
}

/// JSON with indentation.
pub(super) fn json_pretty(message: &DynamicMessage) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&Proto3Json(message)).map_err(unwritable)?;
    Ok(text + "\n")
}

/// A YAML document.
pub(super) fn yaml(message: &DynamicMessage) -> Result<String, Failure> {
    serde_yaml_ng::to_string(&Proto3Json(message)).map_err(unwritable)
}

/// A YAML list with one item for each message. More items may follow.
pub(super) fn yaml_items(messages: &[DynamicMessage]) -> Result<String, Failure> {
    let messages: Vec<_> = messages.iter().map(Proto3Json).collect();
    serde_yaml_ng::to_string(&messages).map_err(unwritable)
}

/// The messages of this kind that JSON documents describe, one after the other.
pub(crate) fn dynamics_of_json(
    kind: &MessageDescriptor,
    text: &str,
) -> Result<Vec<DynamicMessage>, Failure> {
    serde_json::Deserializer::from_str(text)
        .into_iter::<serde_json::Value>()
        .map(|document| {
            document
                .and_then(|document| DynamicMessage::deserialize(kind.clone(), document))
                .map_err(|error| {
                    Failure::Usage(format!("this is no {}: {error}", kind.full_name()))
                })
        })
        .collect()
}

/// As [`dynamics_of_json`], for a message of `mos.v1`, whose type is called `name`.
pub(crate) fn messages_of_json<M: Message + Default>(
    name: &str,
    text: &str,
) -> Result<Vec<M>, Failure> {
    let all = dynamics_of_json(&descriptor(name)?, text)?.into_iter();
    all.map(|one| one.transcode_to().map_err(|error| broken(name, &error))).collect()
}

fn unwritable(error: impl std::error::Error) -> Failure {
    Failure::Contract(format!("the answer has no JSON form: {error}"))
}

#[cfg(test)]
mod tests {
    use mos_proto::v1::{FlowOptions, SetSockOptResponse};

    use super::*;

    fn response() -> DynamicMessage {
        let options = FlowOptions { client_buffer_bytes: Some(66_560), ..FlowOptions::default() };
        let response = SetSockOptResponse {
            flow: "flows/00c004a900c901f2".to_owned(),
            options: Some(options),
            etag: "W/\"9f2c-4\"".to_owned(),
            ..SetSockOptResponse::default()
        };
        dynamic("SetSockOptResponse", &response).unwrap()
    }

    #[test]
    fn json_is_the_published_mapping_with_every_plain_field() {
        assert_eq!(
            json(&response()).unwrap(),
            "{\"flow\":\"flows/00c004a900c901f2\",\"options\":{\"clientBufferBytes\":\"66560\"},\
             \"etag\":\"W/\\\"9f2c-4\\\"\",\"unchanged\":false,\"matchedReversed\":false,\
             \"discardedBytes\":\"0\"}\n"
        );
    }

    #[test]
    fn yaml_has_the_same_keys() {
        let text = yaml(&response()).unwrap();
        assert!(text.starts_with("flow: flows/00c004a900c901f2\noptions:\n"), "{text}");
        assert!(text.contains("clientBufferBytes: '66560'"), "{text}");
    }

    #[test]
    fn an_unknown_message_is_a_failure() {
        dynamic("Nothing", &FlowOptions::default()).unwrap_err();
    }

    #[test]
    fn requests_are_any_number_of_documents_of_the_right_kind() {
        let pool = DescriptorPool::decode(mos_proto::FILE_DESCRIPTOR_SET).unwrap();
        let kind = pool.get_message_by_name("mos.v1.GetFlowRequest").unwrap();
        assert_eq!(
            dynamics_of_json(&kind, "{} {\"flow\":\"flows/00c004a900c901f2\"}").unwrap().len(),
            2
        );
        for text in ["{\"flov\":1}", "{", "[]"] {
            assert!(matches!(dynamics_of_json(&kind, text), Err(Failure::Usage(_))), "{text}");
        }
    }
}

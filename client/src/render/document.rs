//! proto3 JSON and YAML of the published messages.
//!
//! Fields with default values are written, too, so that a script finds every key in every object.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
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
    let broken = |error: String| Failure::Contract(format!("mos.v1.{name}: {error}"));
    let pool = POOL.as_ref().map_err(|error| broken(error.clone()))?;
    let descriptor = pool
        .get_message_by_name(&format!("mos.v1.{name}"))
        .ok_or_else(|| broken("no such message".to_owned()))?;
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message).map_err(|error| broken(error.to_string()))?;
    Ok(dynamic)
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
}

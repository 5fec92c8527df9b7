//! The API and its events, from the comments of the `.proto` files.

use std::collections::BTreeMap;

use anyhow::Context as _;
use mos_proto::Method;
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::Label,
};

use crate::page::{begin, escaped, paragraph, table};

/// Numbers of the fields that hold what a path of a comment leads to (descriptor.proto).
const MESSAGES: i32 = 4;
const ENUMS: i32 = 5;
const SERVICES: i32 = 6;
const MEMBERS: i32 = 2;
const NESTED_MESSAGES: i32 = 3;
const NESTED_ENUMS: i32 = 4;

/// The page of the API.
pub(crate) fn page() -> anyhow::Result<String> {
    let files = files()?;
    let mut text = begin("API mos.v1", "proto/mos/v1");
    for section in [services, messages, enums] {
        files.iter().for_each(|file| text.push_str(&section(file)));
    }
    Ok(text)
}

/// The page of the events.
pub(crate) fn events() -> anyhow::Result<String> {
    let files = files()?;
    let find = |file: &File| {
        let mut types = file.descriptor.enum_type.iter().zip(0..);
        types.find(|(kind, _)| kind.name() == "EventType").map(|(kind, at)| {
            file.values(kind, &[ENUMS, at])
                .into_iter()
                .filter(|(name, _)| !name.ends_with("_UNSPECIFIED"))
                .map(|(name, meaning)| {
                    let name = name.trim_start_matches("EVENT_TYPE_").to_lowercase();
                    vec![format!("`{}`", name.replace('_', "-")), escaped(&meaning)]
                })
                .collect::<Vec<_>>()
        })
    };
    let rows = files.iter().find_map(find).context("the API has no EventType")?;
    let mut text = begin("Events", "proto/mos/v1/event_service.proto");
    text.push_str(&paragraph(
        "The names are those of `mosctl events --type`; the API writes them as EVENT_TYPE_GAP, the \
         records of `mosd replay --events` as gap.",
    ));
    text.push_str(&table(&["event", "when, and with which attributes"], &rows));
    Ok(text)
}

/// A file of the API with its comments by path.
struct File {
    descriptor: FileDescriptorProto,
    comments: BTreeMap<Vec<i32>, String>,
}

fn files() -> anyhow::Result<Vec<File>> {
    let set = FileDescriptorSet::decode(mos_proto::FILE_DESCRIPTOR_SET)?;
    let ours = set.file.into_iter().filter(|file| file.package() == "mos.v1");
    Ok(ours.map(File::new).collect())
}

impl File {
    fn new(descriptor: FileDescriptorProto) -> Self {
        let locations = descriptor.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations
            .map(|location| (location.path.clone(), location.leading_comments().to_owned()))
            .collect();
        Self { descriptor, comments }
    }

    fn comment(&self, path: &[i32]) -> String {
        self.comments.get(path).cloned().unwrap_or_default()
    }

    fn values(&self, kind: &EnumDescriptorProto, path: &[i32]) -> Vec<(String, String)> {
        let values = kind.value.iter().zip(0..);
        let comment = |at: i32| self.comment(&[path, &[MEMBERS, at]].concat());
        values.map(|(value, at)| (value.name().to_owned(), comment(at))).collect()
    }
}

fn services(file: &File) -> String {
    let each = file.descriptor.service.iter().zip(0..);
    each.map(|(service, at)| one_service(file, service, &[SERVICES, at])).collect()
}

fn one_service(file: &File, service: &ServiceDescriptorProto, path: &[i32]) -> String {
    let rows: Vec<_> = service
        .method
        .iter()
        .zip(0..)
        .map(|(method, at)| {
            let stream = if method.server_streaming() { "stream of " } else { "" };
            let answer = format!("{stream}`{}`", short(method.output_type()));
            let meaning = escaped(&file.comment(&[path, &[MEMBERS, at]].concat()));
            let asked = format!("`{}`", short(method.input_type()));
            let name = format!("`{}`", method.name());
            vec![name, role(service, method), asked, answer, meaning]
        })
        .collect();
    let head = ["method", "role", "request", "response", "meaning"];
    let comment = paragraph(&file.comment(path));
    format!("\n## {}\n{comment}{}", service.name(), table(&head, &rows))
}

/// The role that a method needs.
fn role(service: &ServiceDescriptorProto, method: &MethodDescriptorProto) -> String {
    let path = format!("/mos.v1.{}/{}", service.name(), method.name());
    let role = Method::at(&path).map(|method| method.role.as_str_name());
    role.unwrap_or_default().trim_start_matches("ROLE_").to_lowercase()
}

fn messages(file: &File) -> String {
    let each = file.descriptor.message_type.iter().zip(0..);
    each.map(|(message, at)| one_message(file, message, message.name(), &[MESSAGES, at])).collect()
}

fn one_message(file: &File, message: &DescriptorProto, name: &str, path: &[i32]) -> String {
    let is_map = message.options.as_ref().is_some_and(|options| options.map_entry());
    if is_map {
        return String::new();
    }
    let rows: Vec<_> = message
        .field
        .iter()
        .zip(0..)
        .map(|(field, at)| {
            let meaning = escaped(&file.comment(&[path, &[MEMBERS, at]].concat()));
            vec![format!("`{}`", field.name()), kind(field), field.number().to_string(), meaning]
        })
        .collect();
    let mut text = format!("\n## {name}\n{}", paragraph(&file.comment(path)));
    text.push_str(&table(&["field", "type", "number", "meaning"], &rows));
    for (inner, at) in message.nested_type.iter().zip(0..) {
        let inner_name = format!("{name}.{}", inner.name());
        text.push_str(&one_message(
            file,
            inner,
            &inner_name,
            &[path, &[NESTED_MESSAGES, at]].concat(),
        ));
    }
    for (inner, at) in message.enum_type.iter().zip(0..) {
        let inner_name = format!("{name}.{}", inner.name());
        text.push_str(&one_enum(file, inner, &inner_name, &[path, &[NESTED_ENUMS, at]].concat()));
    }
    text
}

fn enums(file: &File) -> String {
    let each = file.descriptor.enum_type.iter().zip(0..);
    each.map(|(kind, at)| one_enum(file, kind, kind.name(), &[ENUMS, at])).collect()
}

fn one_enum(file: &File, kind: &EnumDescriptorProto, name: &str, path: &[i32]) -> String {
    let numbers = kind.value.iter().map(|value| value.number().to_string());
    let rows: Vec<_> = file
        .values(kind, path)
        .into_iter()
        .zip(numbers)
        .map(|((name, meaning), number)| vec![format!("`{name}`"), number, escaped(&meaning)])
        .collect();
    let comment = paragraph(&file.comment(path));
    format!("\n## {name}\n{comment}{}", table(&["value", "number", "meaning"], &rows))
}

/// A field's type as a `.proto` file writes it.
fn kind(field: &FieldDescriptorProto) -> String {
    let name = if field.type_name().is_empty() {
        field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase()
    } else {
        short(field.type_name()).to_owned()
    };
    let many = if field.label() == Label::Repeated { "repeated " } else { "" };
    let optional = if field.proto3_optional() { "optional " } else { "" };
    format!("`{many}{optional}{name}`")
}

/// A name without the package of the API.
fn short(name: &str) -> &str {
    name.trim_start_matches('.').trim_start_matches("mos.v1.")
}

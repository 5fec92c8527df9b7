//! Compiles `mos/v1/*.proto` without protoc; keeps the descriptor set for reflection, and who may
//! call which method. A method that does not say it fails the build.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

use protox::{
    Compiler,
    file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver},
    prost_reflect::{
        DescriptorPool, ExtensionDescriptor, MethodDescriptor, prost::Message as _,
        prost_types::FileDescriptorSet,
    },
};

const PROTOS: [&str; 7] = [
    "mos/v1/access.proto",
    "mos/v1/event_service.proto",
    "mos/v1/flow.proto",
    "mos/v1/flow_service.proto",
    "mos/v1/policy_service.proto",
    "mos/v1/system_service.proto",
    "mos/v1/watch.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=mos");
    let mut files = ChainFileResolver::new();
    files.add(IncludeFileResolver::new(".".into()));
    files.add(DescriptorSetFileResolver::new(google_rpc()?));
    files.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(files);
    compiler.include_source_info(true).include_imports(true).open_files(PROTOS)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // The messages of prost would drop the option that says who may call.
    fs::write(out.join("mos_v1.bin"), compiler.encode_file_descriptor_set())?;
    fs::write(out.join("methods.rs"), methods(&compiler.descriptor_pool())?)?;
    let builder = tonic_prost_build::configure().extern_path(".google.rpc", "::tonic_types::pb");
    builder.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The files of `google.rpc`, by the names under which they are imported everywhere.
fn google_rpc() -> Result<FileDescriptorSet, Box<dyn Error>> {
    let mut set = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET)?;
    for file in &mut set.file {
        if file.package() == "google.rpc" {
            file.name = file.name.take().map(|name| format!("google/rpc/{name}"));
        }
    }
    Ok(set)
}

/// Every method of `mos.v1`, sorted by path, as an array of Rust.
fn methods(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let access = pool.get_extension_by_name("mos.v1.access").ok_or("no option mos.v1.access")?;
    let mut rows = Vec::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let role = role(&method, &access).ok_or_else(|| {
            format!("{path} does not say who may call it: option (access).role = ROLE_…")
        })?;
        let audited = is_audited(&method, &access);
        rows.push((path, role, method.is_server_streaming(), audited));
    }
    rows.sort();
    let mut array = "[\n".to_owned();
    for (path, role, is_streaming, is_audited) in rows {
        let method = format!(
            "path: {path:?}, role: v1::Role::{role}, is_streaming: {is_streaming}, \
             is_audited: {is_audited}"
        );
        writeln!(array, "    Method {{ {method} }},")?;
    }
    Ok(array + "]\n")
}

/// Whether calls of a method are entered in the audit.
fn is_audited(method: &MethodDescriptor, access: &ExtensionDescriptor) -> bool {
    let options = method.options();
    let access = options.get_extension(access);
    let audited = access.as_message().and_then(|access| access.get_field_by_name("audited"));
    audited.and_then(|audited| audited.as_bool()).unwrap_or_default()
}

/// The role that a method needs, as prost names the variant; `None` where none is said.
fn role(method: &MethodDescriptor, access: &ExtensionDescriptor) -> Option<String> {
    let options = method.options();
    let access = options.get_extension(access);
    let role =
        access.as_message()?.get_field_by_name("role")?.as_enum_number().filter(|n| *n != 0)?;
    let roles = method.parent_pool().get_enum_by_name("mos.v1.Role")?;
    let name = roles.get_value(role)?.name().to_lowercase();
    let word = name.strip_prefix("role_")?;
    Some(word[..1].to_uppercase() + &word[1..])
}

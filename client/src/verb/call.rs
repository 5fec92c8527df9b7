//! `call`: any method of any service, through server reflection.

use std::{fs, io, time::Duration};

use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use tonic::{Request, Status, client::Grpc, codegen::http::uri::PathAndQuery};

use super::{Session, stream::within};
use crate::{
    args::CallArgs,
    client::{CallError, Client},
    error::{Exit, Failure},
    reflection::{self, DynamicCodec},
    render::dynamics_of_json,
};

/// Calls a method and writes every answer. `timeout` is that of the command line; without one, a
/// stream is not bounded.
pub(super) async fn call(
    session: &mut Session,
    args: &CallArgs,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let (service, method) = split(&args.method)?;
    let data = data(args).await?;
    let method = find(&session.client, service, method).await?;
    let requests = dynamics_of_json(&method.input(), &data)?;
    if !method.is_client_streaming() && requests.len() != 1 {
        return Err(Failure::Usage(format!(
            "{} takes one request, not {}",
            method.full_name(),
            requests.len()
        )));
    }
    let path = format!("{service}/{}", method.name());
    for request in &requests {
        session.output.dynamic_request(&path, request);
    }
    let streams = method.is_server_streaming() || method.is_client_streaming();
    let limit = timeout.or_else(|| (!streams).then(|| session.client.timeout()));
    let answers = answers(session, &path, method.output(), requests, limit);
    within(limit, &path, answers).await?;
    Ok(Exit::Done)
}

/// Service and method from `pkg.Service/Method` or `pkg.Service.Method`.
fn split(method: &str) -> Result<(&str, &str), Failure> {
    let text = method.trim_start_matches('/');
    text.split_once('/')
        .or_else(|| text.rsplit_once('.'))
        .filter(|(service, method)| !service.is_empty() && !method.is_empty())
        .ok_or_else(|| {
            Failure::Usage(format!("{method:?} is not mos.v1.FlowService/ListFlows or the like"))
        })
}

/// The JSON text of the requests.
async fn data(args: &CallArgs) -> Result<String, Failure> {
    match args.file() {
        Some(path) => text_of(path).await,
        None if args.data == "-" => text_of("-").await,
        None => Ok(args.data.clone()),
    }
}

/// The text of a file, or with `-` of standard input.
pub(super) async fn text_of(path: &str) -> Result<String, Failure> {
    if path == "-" {
        let read = tokio::task::spawn_blocking(|| io::read_to_string(io::stdin())).await;
        return read
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")));
    }
    fs::read_to_string(path).map_err(|error| Failure::Usage(format!("cannot read {path}: {error}")))
}

/// Asks the server for the description of the method.
async fn find(client: &Client, service: &str, method: &str) -> Result<MethodDescriptor, Failure> {
    let name = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let after = client.timeout();
    let failed = |status: Status| CallError::new(name, status, after);
    let describing = reflection::describe(client.channel(), service);
    let pool = tokio::time::timeout(after, describing)
        .await
        .map_err(|_elapsed| CallError::TimedOut { method: name.to_owned(), after })?
        .map_err(failed)?;
    let service = pool
        .get_service_by_name(service)
        .ok_or_else(|| failed(Status::unimplemented(format!("{service:?} is no service"))))?;
    let found = service.methods().find(|candidate| candidate.name() == method);
    Ok(found.ok_or_else(|| failed(no_such_method(&service, method)))?)
}

fn no_such_method(service: &ServiceDescriptor, method: &str) -> Status {
    let methods: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
    let (service, methods) = (service.full_name(), methods.join(", "));
    Status::unimplemented(format!("{service} has no method {method:?}, it has: {methods}"))
}

/// Makes the call and writes the answers as they arrive. All four kinds of methods look the same on
/// the wire, so the streaming form serves them all.
async fn answers(
    session: &mut Session,
    path: &str,
    answer: MessageDescriptor,
    requests: Vec<DynamicMessage>,
    limit: Option<Duration>,
) -> Result<(), Failure> {
    let failed = |status: Status| CallError::new(path, status, limit.unwrap_or_default());
    let uri = PathAndQuery::try_from(format!("/{path}"))
        .map_err(|error| Failure::Usage(format!("{path}: {error}")))?;
    let mut grpc = Grpc::new(session.client.channel());
    grpc.ready().await.map_err(|error| failed(Status::from_error(error.into())))?;
    let mut request = Request::new(tokio_stream::iter(requests));
    if let Some(limit) = limit {
        request.set_timeout(limit);
    }
    let response = grpc.streaming(request, uri, DynamicCodec { answer }).await.map_err(failed)?;
    let mut stream = response.into_inner();
    while let Some(message) = stream.message().await.map_err(failed)? {
        session.output.dynamic_document(&message)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_with_a_slash_or_a_dot() {
        for text in [
            "mos.v1.FlowService/GetFlow",
            "/mos.v1.FlowService/GetFlow",
            "mos.v1.FlowService.GetFlow",
        ] {
            assert_eq!(split(text).unwrap(), ("mos.v1.FlowService", "GetFlow"), "{text}");
        }
        for text in ["", "GetFlow", "/", "mos.v1.FlowService/"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}

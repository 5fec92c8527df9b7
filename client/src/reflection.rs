//! Descriptions of services that only the server knows, and calls made with them.
//!
//! Server reflection v1 returns the file of a symbol. Its imports are requested one by one, because
//! not every server sends them along.

use std::collections::{BTreeMap, VecDeque};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use prost_types::FileDescriptorProto;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use crate::client::Authorized;

/// One conversation with the reflection service.
struct Conversation {
    questions: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl Conversation {
    async fn open(channel: Authorized) -> Result<Self, Status> {
        // One question is in flight at a time.
        let (questions, receiver) = mpsc::channel(1);
        let answers = ServerReflectionClient::new(channel)
            .server_reflection_info(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        Ok(Self { questions, answers })
    }

    async fn ask(&mut self, question: MessageRequest) -> Result<MessageResponse, Status> {
        let hung_up = || Status::unavailable("the reflection service hung up");
        let request =
            ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        self.questions.send(request).await.map_err(|_closed| hung_up())?;
        let answer = self.answers.message().await?.ok_or_else(hung_up)?;
        answer.message_response.ok_or_else(hung_up)
    }

    /// The files that the answer to `question` holds; empty if the server does not know it.
    async fn files(
        &mut self,
        question: MessageRequest,
    ) -> Result<Vec<FileDescriptorProto>, Status> {
        let MessageResponse::FileDescriptorResponse(answer) = self.ask(question).await? else {
            return Ok(Vec::new());
        };
        answer
            .file_descriptor_proto
            .iter()
            .map(|bytes| FileDescriptorProto::decode(bytes.as_slice()))
            .collect::<Result<_, _>>()
            .map_err(|error| Status::internal(format!("malformed description: {error}")))
    }
}

/// Everything needed to call the service called `service`.
///
/// # Errors
///
/// `UNIMPLEMENTED` with the list of services, if this one is not among them; the server's own error
/// if it has no reflection.
pub(crate) async fn describe(channel: Authorized, service: &str) -> Result<DescriptorPool, Status> {
    let mut server = Conversation::open(channel.clone()).await?;
    let symbol = MessageRequest::FileContainingSymbol(service.to_owned());
    // For an unknown symbol some servers answer with an error message, others end the call.
    let mut found = match server.files(symbol).await {
        Err(status) if status.code() == Code::NotFound => Vec::new(),
        answer => answer?,
    };
    if found.is_empty() {
        let services = services(channel).await?.join(", ");
        let message = format!("the server has no service {service:?}, it has: {services}");
        return Err(Status::unimplemented(message));
    }
    let mut files = BTreeMap::new();
    let mut wanted = VecDeque::new();
    loop {
        for file in found {
            wanted.extend(file.dependency.iter().cloned());
            files.insert(file.name().to_owned(), file);
        }
        wanted.retain(|name| !files.contains_key(name));
        let Some(name) = wanted.pop_front() else { break };
        found = server.files(MessageRequest::FileByFilename(name.clone())).await?;
        if !found.iter().any(|file| file.name() == name) {
            return Err(Status::internal(format!("the server does not describe {name:?}")));
        }
    }
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(files.into_values())
        .map_err(|error| Status::internal(format!("inconsistent description: {error}")))?;
    Ok(pool)
}

async fn services(channel: Authorized) -> Result<Vec<String>, Status> {
    let mut server = Conversation::open(channel).await?;
    let answer = server.ask(MessageRequest::ListServices(String::new())).await?;
    let MessageResponse::ListServicesResponse(list) = answer else { return Ok(Vec::new()) };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

/// A codec for messages whose type is known only at run time.
#[derive(Debug, Clone)]
pub(crate) struct DynamicCodec {
    /// Type of the answers.
    pub(crate) answer: MessageDescriptor,
}

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> DynamicDecoder {
        DynamicDecoder { answer: self.answer.clone() }
    }
}

/// Encodes messages, which carry their type.
#[derive(Debug)]
pub(crate) struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Decodes messages of one type.
#[derive(Debug)]
pub(crate) struct DynamicDecoder {
    answer: MessageDescriptor,
}

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.answer.clone(), buffer)
            .map(Some)
            .map_err(|error| Status::internal(format!("malformed answer: {error}")))
    }
}

//! Clients that take and do not give: nothing is kept for them for ever, they are told why, and
//! others are served.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{Builder, SendRequest},
};
use mos_proto::v1::{
    GetServerInfoRequest, GetStatusRequest, ListFlowsRequest,
    flow_service_client::FlowServiceClient, system_service_client::SystemServiceClient,
};
use mosd::Control;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{advance, timeout},
};
use tonic::{Code, Status};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_request::MessageRequest,
};

use crate::{
    support::{Table, control, flow, metadata, row, run, settings, worker},
    transport::Served,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const LIST: &str = "/mos.v1.FlowService/ListFlows";
const STATUS: &str = "/mos.v1.SystemService/GetStatus";
const WATCH: &str = "/mos.v1.EventService/WatchEvents";

/// Flows in the table: a page of them is 200 KiB.
const FLOWS: u32 = 1000;

/// A service with a full table.
async fn served() -> (Served, Arc<Control>) {
    let slots = (0..FLOWS).map(|slot| Some(flow(0, slot, 1, 1))).collect();
    let table = Table { slots, now: 1 };
    let control = control(vec![worker(0, move |command| table.answer(command))], settings());
    let served = Served::over(Arc::clone(&control)).await;
    (served, control)
}

/// A client that does what no library would.
struct Raw {
    requests: SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// A call of it.
struct Call {
    answer: h2::client::ResponseFuture,
    request: SendStream<Bytes>,
}

impl Raw {
    /// Connects, and grants each answer so many bytes.
    async fn connect(served: &Served, window: u32) -> Self {
        let stream = UnixStream::connect(served.path()).await.unwrap();
        let handshake = Builder::new().initial_window_size(window).handshake(stream);
        let (requests, connection) = handshake.await.unwrap();
        Self { requests, connection: tokio::task::spawn_local(connection) }
    }

    /// Begins a call without ending its request.
    async fn begin(&mut self, path: &str) -> Call {
        self.requests = self.requests.clone().ready().await.unwrap();
        let request = http::Request::post(format!("http://mosd{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let (answer, request) =
            self.requests.send_request(request.body(()).unwrap(), false).unwrap();
        Call { answer, request }
    }

    /// Makes a call.
    async fn call(&mut self, path: &str, message: &impl prost::Message) -> Call {
        let mut call = self.begin(path).await;
        call.request.send_data(framed(message), true).unwrap();
        call
    }
}

/// A message as gRPC frames it.
fn framed(message: &impl prost::Message) -> Bytes {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &body].concat().into()
}

impl Call {
    /// The head of the answer: what it refuses, or the rest.
    async fn head(self) -> Result<RecvStream, Status> {
        let response = timeout(PATIENCE, self.answer).await.expect("an answer").unwrap();
        let (head, body) = response.into_parts();
        match Status::from_header_map(&head.headers) {
            Some(status) => Err(status),
            None => Ok(body),
        }
    }
}

/// How an answer ends. Reads it all.
async fn end(mut body: RecvStream) -> Status {
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data.unwrap().len()).unwrap();
    }
    let trailers = body.trailers().await.unwrap().expect("trailers");
    Status::from_header_map(&trailers).expect("a status")
}

/// Lets this much time pass for everybody at once.
async fn pass(span: Duration) {
    settle().await;
    tokio::time::pause();
    advance(span).await;
    tokio::time::resume();
}

/// Lets everybody run until nothing happens any more.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

async fn answers(served: &Served) {
    let mut system = SystemServiceClient::new(served.connect().await);
    system.get_status(GetStatusRequest {}).await.unwrap();
}

/// A bound, as the service tells it.
async fn limit(served: &Served, name: &str) -> usize {
    let mut system = SystemServiceClient::new(served.connect().await);
    let info = system.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
    let limit = info.limits.into_iter().find(|limit| limit.name == name).expect("it is told");
    limit.value.try_into().unwrap()
}

#[test]
fn silent_connections_end_and_keep_nobody_out() {
    run(async {
        let (served, _) = served().await;
        let most = limit(&served, "connections_per_principal.max").await;
        let mut silent = Vec::new();
        for _ in 0..2 * most {
            silent.push(UnixStream::connect(served.path()).await.unwrap());
        }
        answers(&served).await;
        pass(Duration::from_secs(6)).await;
        for connection in &mut silent {
            let mut heard = Vec::new();
            let ended = connection.read_to_end(&mut heard);
            timeout(PATIENCE, ended).await.expect("the preface has a deadline").unwrap();
            assert!(heard.is_empty(), "nothing is said to who says nothing");
        }
        served.end().await;
    });
}

#[test]
fn a_connection_without_a_call_ends_after_a_while() {
    run(async {
        let (served, _) = served().await;
        let mut raw = Raw::connect(&served, 65_535).await;
        drop(raw.call(STATUS, &GetStatusRequest {}).await.head().await.unwrap());
        settle().await;
        for _ in 0..61 {
            pass(Duration::from_secs(10)).await;
        }
        let ended = timeout(PATIENCE, raw.connection).await.expect("it ends").unwrap();
        // The client may still be writing when the connection is gone.
        assert!(ended.as_ref().err().is_none_or(h2::Error::is_io), "{ended:?}");
        served.end().await;
    });
}

#[test]
fn one_connection_too_many_is_told_so() {
    run(async {
        let (served, _) = served().await;
        let most = limit(&served, "connections_per_principal.max").await;
        let mut busy = Vec::new();
        for _ in 0..most {
            let mut raw = Raw::connect(&served, 65_535).await;
            let call = raw.begin(STATUS).await;
            settle().await;
            busy.push((raw, call));
        }
        let refused = Raw::connect(&served, 65_535).await;
        let error = timeout(PATIENCE, refused.connection).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{error}");
        drop(busy);
        settle().await;
        answers(&served).await;
        served.end().await;
    });
}

#[test]
fn a_request_that_is_never_complete_is_ended() {
    run(async {
        let (served, _) = served().await;
        let mut raw = Raw::connect(&served, 65_535).await;
        let mut half = raw.begin(STATUS).await;
        half.request.send_data(Bytes::from_static(&[0, 0, 0, 0, 9, 1]), false).unwrap();
        pass(Duration::from_secs(12)).await;
        let status = half.head().await.unwrap_err();
        let expected = (Code::DeadlineExceeded, "REQUEST_UNFINISHED".to_owned(), String::new());
        assert_eq!(row(&status), expected);
        served.end().await;
    });
}

#[test]
fn more_calls_than_a_principal_may_have_are_refused() {
    run(async {
        let (served, _) = served().await;
        let most = limit(&served, "calls_per_principal.max").await;
        let each = limit(&served, "streams_per_connection.max").await;
        let mut held = Vec::new();
        let mut raw = Raw::connect(&served, 65_535).await;
        for number in 0..most {
            if number % each == 0 {
                held.push((Raw::connect(&served, 65_535).await, Vec::new()));
            }
            let (raw, calls) = held.last_mut().unwrap();
            calls.push(raw.begin(STATUS).await);
        }
        settle().await;
        let status = raw.call(STATUS, &GetStatusRequest {}).await.head().await.unwrap_err();
        let expected = (Code::ResourceExhausted, "TOO_MANY_CALLS".to_owned(), String::new());
        assert_eq!(row(&status), expected);
        assert_eq!(metadata(&status, "max"), most.to_string());
        drop(held);
        settle().await;
        drop(raw.call(STATUS, &GetStatusRequest {}).await.head().await.unwrap());
        served.end().await;
    });
}

#[test]
fn answers_that_nobody_reads_are_bounded_and_end() {
    run(async {
        let (served, _) = served().await;
        let most = limit(&served, "response.waiting_bytes_per_connection.max").await;
        let mut raw = Raw::connect(&served, 0).await;
        let request = ListFlowsRequest { page_size: 1000, ..Default::default() };
        let mut waiting = Vec::new();
        let refused = loop {
            match raw.call(LIST, &request).await.head().await {
                Ok(answer) => waiting.push(answer),
                Err(status) => break status,
            }
        };
        let expected = (Code::ResourceExhausted, "ANSWERS_UNREAD".to_owned(), String::new());
        assert_eq!(row(&refused), expected);
        assert_eq!(metadata(&refused, "max"), most.to_string());
        // Others have room of their own.
        let mut flows = FlowServiceClient::new(served.connect().await);
        flows.list_flows(request.clone()).await.unwrap();
        pass(Duration::from_secs(61)).await;
        for answer in waiting {
            let status = timeout(PATIENCE, end(answer)).await.expect("the answer ends");
            assert_eq!(row(&status).1, "SLOW_CONSUMER");
        }
        drop(raw.call(LIST, &request).await.head().await.unwrap());
        served.end().await;
    });
}

#[test]
fn a_stream_whose_client_takes_nothing_ends_and_makes_room() {
    run(async {
        let (served, control) = served().await;
        let most = limit(&served, "streams_per_principal.max").await;
        let mut raw = Raw::connect(&served, 0).await;
        let request = mos_proto::v1::WatchEventsRequest::default();
        let mut open = Vec::new();
        for _ in 0..most {
            open.push(raw.call(WATCH, &request).await.head().await.unwrap());
        }
        assert_eq!(control.streams.open(), most);
        let refused = raw.call(WATCH, &request).await.head().await.unwrap_err();
        let expected = (Code::ResourceExhausted, "TOO_MANY_STREAMS".to_owned(), String::new());
        assert_eq!(row(&refused), expected);
        pass(Duration::from_secs(61)).await;
        for stream in open {
            let status = timeout(PATIENCE, end(stream)).await.expect("the stream ends");
            let expected = (Code::ResourceExhausted, "SLOW_CONSUMER".to_owned(), String::new());
            assert_eq!(row(&status), expected);
        }
        settle().await;
        assert_eq!(control.streams.open(), 0);
        served.end().await;
    });
}

#[test]
fn streams_of_health_and_reflection_count_too() {
    run(async {
        let (served, control) = served().await;
        let most = limit(&served, "streams_per_principal.max").await;
        let mut raw = Raw::connect(&served, 65_535).await;
        let list = framed(&ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        });
        let mut open = Vec::new();
        for number in 0..most {
            let path = match number % 3 {
                0 => "/grpc.health.v1.Health/Watch",
                1 => "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                _ => "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            };
            let mut call = raw.begin(path).await;
            let message = if number % 3 == 0 { framed(&GetStatusRequest {}) } else { list.clone() };
            call.request.send_data(message, number % 3 == 0).unwrap();
            let Call { answer, request } = call;
            open.push((timeout(PATIENCE, answer).await.unwrap().unwrap(), request));
        }
        assert_eq!(control.streams.open(), most);
        for path in ["/grpc.health.v1.Health/Watch", WATCH] {
            let status = raw.call(path, &GetStatusRequest {}).await.head().await.unwrap_err();
            assert_eq!(row(&status).1, "TOO_MANY_STREAMS");
        }
        let check = "/grpc.health.v1.Health/Check";
        drop(raw.call(check, &GetStatusRequest {}).await.head().await.unwrap());
        drop(open);
        settle().await;
        assert_eq!(control.streams.open(), 0);
        served.end().await;
    });
}

#[test]
fn a_client_of_another_protocol_is_ended() {
    run(async {
        let (served, _) = served().await;
        let mut stream = UnixStream::connect(served.path()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: mosd\r\n\r\n").await.unwrap();
        let mut heard = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.unwrap();
        // Bytes of ours that it did not read may turn the end into a reset.
        drop(ended);
        answers(&served).await;
        served.end().await;
    });
}

//! What clients meet on the way in: sockets, health, reflection, limits, and the end.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use mos_control::{Phase, link};
use mos_proto::v1::{
    FlowData, GetFlowRequest, GetServerInfoRequest, GetStatusRequest, ListFlowsRequest,
    SetSockOptRequest, flow_service_client::FlowServiceClient,
    system_service_client::SystemServiceClient,
};
use mos_text::Address;
use mosd::{Control, ListenError, Listeners, PlainTcp, boot::serve::serve};
use tokio::{net::UnixStream, sync::oneshot, task::JoinHandle};
use tonic::{
    Code, Request, Status,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tower::ServiceExt as _;

use crate::support::{Table, control, metadata, row, run, settings, worker, worker_id};

/// A service on a socket of its own.
pub(crate) struct Served {
    folder: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("mosd.sock")
    }

    async fn start() -> Self {
        let table = Table { slots: vec![None; 10], now: 1 };
        let port = worker(0, move |command| table.answer(command));
        Self::over(control(vec![port], settings())).await
    }

    pub(crate) async fn over(control: Arc<Control>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix(folder.path().join("mosd.sock"));
        let listeners = Listeners::bind(&[address], PlainTcp::LoopbackOnly, None).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::task::spawn_local(async move {
            let stop = async { stopped.await.unwrap() };
            serve(control, listeners, stop).await.unwrap();
        });
        Self { folder, stop, serving }
    }

    pub(crate) async fn connect(&self) -> Channel {
        connect(&self.path()).await
    }

    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
        assert!(!self.folder.path().join("mosd.sock").exists(), "the socket was left behind");
    }
}

async fn connect(path: &Path) -> Channel {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://mosd").connect_with_connector(connector).await.unwrap()
}

#[test]
fn the_services_answer_on_a_socket_for_owner_and_group() {
    run(async {
        let served = Served::start().await;
        let mode = std::fs::metadata(served.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let mut system = SystemServiceClient::new(served.connect().await);
        let info = system.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
        let page = info.limits.iter().find(|limit| limit.name == "list.page_size.max").unwrap();
        assert_eq!((info.node.as_str(), page.value), ("test", 1000));
        assert_eq!(info.default_options.unwrap().client_buffer_bytes, Some(8192));
        let status = system.get_status(GetStatusRequest {}).await.unwrap().into_inner();
        assert_eq!(status.cores.len(), 1);
        drop(system);
        served.end().await;
    });
}

#[test]
fn details_of_errors_arrive() {
    run(async {
        let served = Served::start().await;
        let mut flows = FlowServiceClient::new(served.connect().await);
        let request = ListFlowsRequest { filter: "nonsense".to_owned(), ..Default::default() };
        let status = flows.list_flows(request).await.unwrap_err();
        assert_eq!(row(&status), (Code::InvalidArgument, "FILTER_INVALID".into(), "".into()));
        drop(flows);
        served.end().await;
    });
}

#[test]
fn a_request_above_a_mebibyte_is_refused() {
    run(async {
        let served = Served::start().await;
        let mut flows = FlowServiceClient::new(served.connect().await);
        let filter = "x".repeat(1024 * 1024 + 1);
        let request = ListFlowsRequest { filter, ..Default::default() };
        let status = flows.list_flows(request).await.unwrap_err();
        assert_eq!(row(&status).0, Code::ResourceExhausted, "{status:?}");
        assert_eq!(row(&status).1, "REQUEST_TOO_LARGE");
        assert_eq!(metadata(&status, "max"), (1024 * 1024).to_string());
        drop(flows);
        served.end().await;
    });
}

/// Sends a message to a path, whatever the method there takes.
async fn misdirected(channel: Channel, path: &'static str, encoding: Option<&str>) -> Status {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let mut request = Request::new(FlowData { offset: 7, data: vec![0xff] });
    if let Some(encoding) = encoding {
        request.metadata_mut().insert("grpc-encoding", encoding.parse().unwrap());
    }
    let codec = ProstCodec::<FlowData, FlowData>::default();
    grpc.unary(request, PathAndQuery::from_static(path), codec).await.unwrap_err()
}

/// What is answered to a request of a web page: a `GetStatus` with this header.
async fn paged(channel: Channel, name: &'static str, value: &'static str) -> http::StatusCode {
    let request = http::Request::post("http://localhost/mos.v1.SystemService/GetStatus")
        .header("content-type", "application/grpc")
        .header(name, value);
    let mut request = request.body(tonic::body::Body::empty()).unwrap();
    if name == "content-type" {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    channel.oneshot(request).await.unwrap().status()
}

#[test]
fn what_a_web_page_has_its_browser_send_is_not_served() {
    run(async {
        let served = Served::start().await;
        let channel = served.connect().await;
        for (name, value, status) in [
            ("te", "trailers", 200),
            ("content-type", "text/plain", 415),
            ("origin", "https://evil.example", 403),
            ("sec-fetch-site", "cross-site", 403),
        ] {
            assert_eq!(paged(channel.clone(), name, value).await, status, "{name}: {value}");
        }
        drop(channel);
        served.end().await;
    });
}

#[test]
fn what_grpc_itself_refuses_has_a_reason() {
    run(async {
        let served = Served::start().await;
        let channel = served.connect().await;
        let long = "x".repeat(5000);
        let get_flow = "/mos.v1.FlowService/GetFlow";
        for (path, encoding, code, reason) in [
            ("/mos.v1.FlowService/Nope", None, Code::Unimplemented, "METHOD_UNKNOWN"),
            ("/mos.v1.Nope/GetFlow", None, Code::Unimplemented, "METHOD_UNKNOWN"),
            ("/", None, Code::Unimplemented, "METHOD_UNKNOWN"),
            (get_flow, None, Code::InvalidArgument, "REQUEST_UNREADABLE"),
            (get_flow, Some("gzip"), Code::Unimplemented, "COMPRESSION_UNSUPPORTED"),
            (get_flow, Some(long.as_str()), Code::Unimplemented, "COMPRESSION_UNSUPPORTED"),
        ] {
            let status = misdirected(channel.clone(), path, encoding).await;
            assert_eq!(row(&status), (code, reason.into(), "".into()), "{path} {encoding:?}");
            assert!(status.message().len() < 300, "{status:?}");
        }
        let service = "x".repeat(100_000);
        let status = HealthClient::new(channel.clone()).check(HealthCheckRequest { service }).await;
        let status = status.unwrap_err();
        assert_eq!(row(&status), (Code::NotFound, "NAME_UNKNOWN".into(), "".into()));
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::FileContainingSymbol("x".repeat(100_000))),
        };
        let mut reflection = ServerReflectionClient::new(channel);
        let answers = reflection.server_reflection_info(tokio_stream::iter([question])).await;
        let status = answers.unwrap().into_inner().message().await.unwrap_err();
        assert_eq!(row(&status), (Code::NotFound, "NAME_UNKNOWN".into(), "".into()));
        drop(reflection);
        served.end().await;
    });
}

#[test]
fn no_error_repeats_much_of_what_was_sent() {
    run(async {
        let served = Served::start().await;
        let mut flows = FlowServiceClient::new(served.connect().await);
        for text in ["x".repeat(100_000), "\u{1}".repeat(256), "é".repeat(1000)] {
            let flow = |flow: &str| GetFlowRequest { flow: flow.to_owned(), view: 0 };
            let set = |etag: &str, request_id: &str| SetSockOptRequest {
                flow: "flows/0000000000000001".to_owned(),
                etag: etag.to_owned(),
                request_id: request_id.to_owned(),
                ..Default::default()
            };
            let list = |filter: &str, page_token: &str| ListFlowsRequest {
                filter: filter.to_owned(),
                page_token: page_token.to_owned(),
                ..Default::default()
            };
            let statuses = [
                flows.get_flow(flow(&text)).await.unwrap_err(),
                flows.get_flow(flow(&format!("tcp/{text}"))).await.unwrap_err(),
                flows.get_flow(flow(&format!("cores/{text}"))).await.unwrap_err(),
                flows.set_sock_opt(set(&text, "")).await.unwrap_err(),
                flows.set_sock_opt(set("", &text)).await.unwrap_err(),
                flows.list_flows(list("", &text)).await.unwrap_err(),
                flows.list_flows(list(&text, "")).await.unwrap_err(),
                flows.list_flows(list(&format!("core = \"{text}\""), "")).await.unwrap_err(),
                flows.list_flows(list(&format!("\"{text}\""), "")).await.unwrap_err(),
            ];
            for status in statuses {
                // What a client takes of an error: 8 KiB of headers, base64 included.
                let length = status.message().len() + status.details().len() * 4 / 3;
                assert!(length < 2500, "{length}: {status:?}");
                let longest = text.char_indices().nth(200).map_or(text.len(), |(at, _)| at);
                assert!(!status.message().contains(&text[..longest]), "{status:?}");
                assert_ne!(row(&status).1, "", "{status:?}");
            }
        }
        drop(flows);
        served.end().await;
    });
}

#[test]
fn health_is_told_by_service() {
    run(async {
        let served = Served::start().await;
        let mut health = HealthClient::new(served.connect().await);
        for service in ["", "mos.v1.EventService", "mos.v1.FlowService", "mos.v1.SystemService"] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let answer = health.check(request).await.unwrap().into_inner();
            assert_eq!(answer.status, 1, "{service} serves");
        }
        let request = HealthCheckRequest { service: "mos.v1.Nothing".to_owned() };
        assert_eq!(health.check(request).await.unwrap_err().code(), Code::NotFound);
        drop(health);
        served.end().await;
    });
}

#[test]
fn health_is_that_of_the_loops_of_the_workers() {
    run(async {
        // The clock stands still but for the steps of this test.
        tokio::time::pause();
        let (port, worker) = link(worker_id(0));
        worker.board().set_phase(Phase::Running);
        let served = Served::over(control(vec![port], settings())).await;
        let mut health = HealthClient::new(served.connect().await);
        let service = |name: &str| HealthCheckRequest { service: name.to_owned() };
        let mut flows = health.watch(service("mos.v1.FlowService")).await.unwrap().into_inner();
        assert_eq!(flows.message().await.unwrap().unwrap().status, 1, "SERVING");
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(flows.message().await.unwrap().unwrap().status, 2, "NOT_SERVING");
        for (name, status) in [("", 2), ("mos.v1.EventService", 2), ("mos.v1.SystemService", 1)] {
            let answer = health.check(service(name)).await.unwrap().into_inner();
            assert_eq!(answer.status, status, "{name}");
        }
        worker.board().turn(Default::default(), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(flows.message().await.unwrap().unwrap().status, 1, "SERVING");
        drop((flows, health));
        served.end().await;
    });
}

#[test]
fn health_says_when_the_service_is_ending() {
    run(async {
        let served = Served::start().await;
        let mut health = HealthClient::new(served.connect().await);
        let request = HealthCheckRequest { service: "mos.v1.FlowService".to_owned() };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
        served.stop.send(()).unwrap();
        assert_eq!(watch.message().await.unwrap().unwrap().status, 2, "NOT_SERVING");
        // A stream that stays open does not keep the service from ending.
        tokio::time::timeout(Duration::from_secs(60), served.serving).await.unwrap().unwrap();
    });
}

#[test]
fn reflection_knows_the_services_and_the_details_of_errors() {
    run(async {
        let served = Served::start().await;
        let mut reflection = ServerReflectionClient::new(served.connect().await);
        let ask = |request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        };
        let requests = [
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol("google.rpc.ErrorInfo".to_owned())),
            ask(MessageRequest::FileContainingSymbol("mos.v1.FlowService".to_owned())),
        ];
        let stream = tokio_stream::iter(requests);
        let mut answers = reflection.server_reflection_info(stream).await.unwrap().into_inner();
        let first = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = first else { panic!("{first:?}") };
        let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
        for name in [
            "mos.v1.EventService",
            "mos.v1.FlowService",
            "mos.v1.SystemService",
            "grpc.health.v1.Health",
        ] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        for _ in 0..2 {
            let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
            assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
        }
        drop((answers, reflection));
        served.end().await;
    });
}

#[test]
fn addresses_in_use_and_plain_text_beyond_loopback_are_refused() {
    run(async {
        let bind = |address: Address| async move {
            Listeners::bind(&[address], PlainTcp::LoopbackOnly, None).await
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let unix = Address::Unix(path.clone());
        let first = bind(unix.clone()).await.unwrap();
        assert!(matches!(bind(unix.clone()).await, Err(ListenError::InUse(_))));
        // What nobody answers on was left behind.
        std::mem::forget(first);
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("b.sock")).unwrap());
        let stale = bind(Address::Unix(folder.path().join("b.sock"))).await.unwrap();
        drop(stale);
        assert!(!folder.path().join("b.sock").exists());
        std::fs::write(folder.path().join("c.sock"), "").unwrap();
        let file = bind(Address::Unix(folder.path().join("c.sock"))).await;
        assert!(matches!(file, Err(ListenError::NotASocket(_))));
        let tcp = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = tcp.addresses().unwrap().remove(0);
        assert!(matches!(bind(taken).await, Err(ListenError::InUse(_))));
        let open = bind("0.0.0.0:0".parse().unwrap()).await;
        assert!(matches!(open, Err(ListenError::Insecure(_))));
        Listeners::bind(&["0.0.0.0:0".parse().unwrap()], PlainTcp::Anywhere, None).await.unwrap();
    });
}

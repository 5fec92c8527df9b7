//! Who may call what: every method, role and transport, with the option of the method as the
//! measure; and a change of the roles file, which open streams notice.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use mos_proto::v1::event_service_client::EventServiceClient;
use mos_proto::v1::{EventType, WatchEventsRequest, WatchEventsResponse};
use mos_tests::certs::Certs;
use mos_tests::program;
use mos_tests::service::{Mosd, Setup, free_address};
use mos_text::Endpoint;
use mosctl::tls::TlsFiles;
use prost_reflect::DescriptorPool;
use rustix::process::Signal;
use tokio::net::{TcpSocket, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{self, Channel, Uri};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;
use tower::service_fn;

/// What a grant of each role gives; `none` is granted nothing.
const HELD: [(&str, &[&str]); 5] = [
    ("none", &[]),
    ("viewer", &["viewer"]),
    ("operator", &["viewer", "operator"]),
    ("payload", &["payload"]),
    ("admin", &["viewer", "operator", "admin"]),
];

/// Longer than mosd takes to notice another roles file.
const NOTICED_MAX: Duration = Duration::from_secs(30);

/// Roles come from a file.
const CONFIG: &str = "[server]\npayload = true\nroles = \"FOLDER/roles.toml\"\n";

/// The harness looks whether the service is ready.
const HARNESS: &str = "[[grant]]\nroles = [\"viewer\"]\nsocket = \"FOLDER/mosd.sock\"\n";

/// Where a caller comes from.
#[derive(Debug)]
enum From {
    Socket(PathBuf),
    Address(&'static str, SocketAddr),
    Tls(Endpoint, TlsFiles),
}

/// A service with a socket for each role, addresses of which each has a role, and certificates of
/// which each has one.
struct Scene {
    mosd: Mosd,
    tcp: SocketAddr,
    tls: String,
    certs: Certs,
    runtime: Runtime,
}

/// The address that a role is granted to.
fn address_of(role: &str) -> &'static str {
    let addresses = ["127.0.0.10", "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"];
    let at = HELD.iter().position(|(name, _)| *name == role).expect("a role of the table");
    addresses[at]
}

/// A roles file that grants each role of these to a socket and to an address.
fn granting(roles: &[&str]) -> String {
    let mut text = HARNESS.to_owned();
    for role in roles {
        let uri = format!("uri = \"spiffe://mosd.lab/{role}\"");
        for to in [format!("socket = \"FOLDER/{role}.sock\""), address(role), uri] {
            write!(text, "[[grant]]\nroles = [\"{role}\"]\n{to}\n").expect("a text takes all");
        }
    }
    text
}

fn address(role: &str) -> String {
    format!("address = \"{}\"", address_of(role))
}

impl Scene {
    fn new(roles: &[&str]) -> Self {
        let (tcp, certs) = (free_address(), Certs::new(&HELD.map(|row| row.0)));
        // The same port of another address.
        let tls = tcp.replace("127.0.0.1", "127.0.0.2");
        let config = format!("{CONFIG}{}", certs.section());
        let setup = Setup::demo().configured(&config).granting(&granting(roles));
        let setup = setup.with(&["--listen", &format!("tls://{tls}")]);
        let setup = HELD.iter().fold(setup.with(&["--listen", &tcp]), |setup, (role, _)| {
            setup.with(&["--listen", &format!("unix://FOLDER/{role}.sock")])
        });
        let mosd = Mosd::start(&setup);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { mosd, tcp: tcp.parse().expect("an address"), tls, certs, runtime }
    }

    fn all(&self, role: &str) -> [From; 3] {
        let socket = self.mosd.folder().join(format!("{role}.sock"));
        let file = |name: &str| Some(self.certs.folder().join(name));
        let files = TlsFiles {
            ca: file("ca.pem"),
            cert: file(&format!("{role}.pem")),
            key: file(&format!("{role}.key")),
            server_name: Some("localhost".to_owned()),
        };
        let tls = format!("tls://{}", self.tls).parse().expect("an endpoint");
        [From::Socket(socket), From::Address(address_of(role), self.tcp), From::Tls(tls, files)]
    }

    fn watch(&self, from: From) -> Result<Streaming<WatchEventsResponse>, Status> {
        self.runtime.block_on(async {
            let mut events = EventServiceClient::new(connect(from).await);
            // A type that never comes here.
            let types = vec![EventType::OptionsChanged.into()];
            let request = WatchEventsRequest { types, filter: String::new() };
            let mut stream = events.watch_events(request).await?.into_inner();
            stream.message().await?.expect("it begins with Subscribed");
            Ok(stream)
        })
    }

    /// How a stream ends.
    fn end(&self, stream: &mut Streaming<WatchEventsResponse>) -> Status {
        let end = async { tokio::time::timeout(NOTICED_MAX, stream.message()).await };
        let end = self.runtime.block_on(end).expect("the stream ends");
        end.expect_err("it ends with a status")
    }
}

async fn connect(from: From) -> Channel {
    let endpoint = transport::Endpoint::from_static("http://localhost");
    let channel = match from {
        From::Tls(endpoint, files) => {
            let connected = mosctl::connect::connect(&endpoint, &files, NOTICED_MAX).await;
            return connected.expect("mosd takes the connection");
        }
        From::Socket(path) => {
            let dial = move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            };
            endpoint.connect_with_connector(service_fn(dial)).await
        }
        From::Address(own, tcp) => {
            let dial = move |_: Uri| async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::new(own.parse().map_err(io::Error::other)?, 0))?;
                socket.connect(tcp).await.map(TokioIo::new)
            };
            endpoint.connect_with_connector(service_fn(dial)).await
        }
    };
    channel.expect("mosd takes the connection")
}

/// What becomes of an empty request to this path.
async fn call(channel: Channel, path: &str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("the connection lasts");
    let path = PathAndQuery::try_from(path).expect("a path");
    let answer = grpc.server_streaming(Request::new(()), path, ProstCodec::<(), ()>::default());
    answer.await?.into_inner().message().await.map(|_first| ())
}

/// Every method of `mos.v1` as its path, with the role that its option names.
fn methods() -> Vec<(String, String)> {
    let pool = DescriptorPool::decode(mos_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    let access = pool.get_extension_by_name("mos.v1.access").expect("the option");
    let services = pool.services().collect::<Vec<_>>();
    let methods = services.iter().flat_map(|service| service.methods());
    methods
        .map(|method| {
            let options = method.options();
            let access = options.get_extension(&access);
            let access = access.as_message().expect("a message");
            let role = access.get_field_by_name("role").expect("a role");
            let names = pool.get_enum_by_name("mos.v1.Role").expect("the roles");
            let role = names.get_value(role.as_enum_number().expect("a number")).expect("a role");
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            (path, role.name().trim_start_matches("ROLE_").to_lowercase())
        })
        .collect()
}

/// The role that is missing, if that is why a call is refused.
fn missing(outcome: &Result<(), Status>) -> Option<String> {
    let status = outcome.as_ref().err()?;
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.reason == "ROLE_REQUIRED")?;
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains("roles file"), "{status:?}");
    info.metadata.get("role").cloned()
}

#[test]
fn every_method_asks_every_role_on_every_transport_for_what_its_option_says() {
    let scene = Scene::new(&["viewer", "operator", "payload", "admin"]);
    let methods = methods();
    assert!(methods.len() >= 10 && methods.iter().all(|(_, role)| role != "unspecified"));
    for (role, held) in HELD {
        for from in scene.all(role) {
            let place = format!("{from:?}");
            let channel = scene.runtime.block_on(connect(from));
            for (path, needed) in &methods {
                let outcome = scene.runtime.block_on(call(channel.clone(), path));
                let may = needed == "anyone" || held.contains(&needed.as_str());
                let expected = (!may).then(|| needed.clone());
                assert_eq!(missing(&outcome), expected, "{path} {role} {place}: {outcome:?}");
            }
            // What is not there looks like what one may not, unless one may see what is there.
            let outcome = scene.runtime.block_on(call(channel.clone(), "/mos.v1.FlowService/No"));
            let sees = held.contains(&"viewer");
            let expected = if sees { None } else { Some("viewer".to_owned()) };
            assert_eq!(missing(&outcome), expected, "{outcome:?}");
            let outcome = scene.runtime.block_on(call(channel, "/grpc.health.v1.Health/Check"));
            outcome.expect("health is for everybody");
        }
    }
    scene.mosd.stop(Signal::INT).in_order();
}

#[test]
fn a_stream_ends_when_its_role_is_gone_and_others_go_on() {
    let scene = Scene::new(&["viewer", "operator", "admin"]);
    let [viewer, operator, admin] = ["viewer", "operator", "admin"].map(|role| scene.all(role));
    let mut viewers = viewer.map(|from| scene.watch(from).expect("a viewer may watch"));
    let [mut changed, ..] = operator.map(|from| scene.watch(from).expect("so may an operator"));
    let [mut stays, ..] = admin.map(|from| scene.watch(from).expect("so may an administrator"));
    // The operators become viewers: they may watch, and not all that they could.
    let demoted = granting(&["admin"]).replace("[[grant]]", "\n[[grant]]")
        + "[[grant]]\nroles = [\"viewer\"]\nsocket = \"FOLDER/operator.sock\"\n";
    scene.mosd.grant(&demoted);
    for stream in &mut viewers {
        assert_eq!(missing(&Err(scene.end(stream))), Some("viewer".to_owned()));
    }
    assert_eq!(missing(&Err(scene.end(&mut changed))), Some("operator".to_owned()));
    let [again, refused, too] = scene.all("operator").map(|from| scene.watch(from).err());
    assert!(again.is_none() && refused.is_some() && too.is_some(), "{again:?} {refused:?} {too:?}");
    // A mistake changes nothing, and the status tells it.
    scene.mosd.grant("[[grant]]\nroles = [\"king\"]\nuid = 0\n");
    let is_told = || scene.mosd.condition("roles")[0] == "CONDITION_LEVEL_WARNING";
    assert!(program::within(NOTICED_MAX, is_told), "{}", scene.mosd.log());
    let [_, message, _] = scene.mosd.condition("roles");
    assert!(message.contains("roles.toml, line 1") && message.contains("\"king\""), "{message}");
    let lasts = async { tokio::time::timeout(Duration::from_secs(2), stays.message()).await };
    scene.runtime.block_on(lasts).expect_err("the stream of the administrator goes on");
    scene.mosd.grant(&demoted);
    assert!(program::within(NOTICED_MAX, || !is_told()), "{}", scene.mosd.log());
    scene.mosd.stop(Signal::INT).in_order();
}

#[test]
fn whoami_says_who_one_is_and_what_that_allows() {
    let scene = Scene::new(&["payload"]);
    let endpoint = format!("unix://{}/payload.sock", scene.mosd.folder().display());
    let mut command = program::command(program::ours("mosctl"), ["--endpoint", &endpoint]);
    let command = command.args(["-o", "json", "whoami"]);
    let text = program::run(command, NOTICED_MAX).succeeded().text();
    let caller: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(caller["principal"], format!("uid {uid}"));
    assert_eq!(caller["proof"], "CALLER_PROOF_UNIX_SOCKET");
    assert_eq!(caller["roles"], serde_json::json!(["ROLE_PAYLOAD"]));
    let grant = format!("socket {}/payload.sock", scene.mosd.folder().display());
    assert_eq!(caller["grants"], serde_json::json!([grant]));
    let allowed = ["FlowService/PeekFlow", "FlowService/ReadFlow", "SystemService/GetCaller"];
    let allowed = allowed.map(|name| format!("mos.v1.{name}"));
    assert_eq!(caller["methods"], serde_json::json!(allowed));
    let mut command = program::command(program::ours("mosctl"), ["--endpoint", &endpoint]);
    let refused = program::run(command.arg("list"), NOTICED_MAX);
    assert_eq!(refused.code(), Some(5));
    for part in ["needs the role viewer", "has payload", "ROLE_REQUIRED", "mosctl whoami"] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    scene.mosd.stop(Signal::INT).in_order();
}

//! Who may call what: every method, role and transport, with the option of the method as the
//! measure; and a change of the roles file, which open streams notice.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use std::fmt::Write as _;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use mos_proto::v1::event_service_client::EventServiceClient;
use mos_proto::v1::system_service_client::SystemServiceClient;
use mos_proto::v1::{EventType, GetStatusRequest, WatchEventsRequest, WatchEventsResponse};
use mos_tests::certs::Certs;
use mos_tests::program;
use mos_tests::service::{Mosd, Setup, free_address};
use mos_text::{Endpoint, Token};
use mosctl::client::{Authorized, Bearer, Client};
use mosctl::tls::TlsFiles;
use prost_reflect::DescriptorPool;
use rustix::process::Signal;
use tokio::net::{TcpSocket, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{self, Uri};
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
    /// Over TLS without a certificate, with a token.
    Token(Endpoint, TlsFiles, Token),
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
        let token = format!("token = \"{}\"", token(role).digest());
        for to in [format!("socket = \"FOLDER/{role}.sock\""), address(role), uri, token] {
            write!(text, "[[grant]]\nroles = [\"{role}\"]\n{to}\n").expect("a text takes all");
        }
    }
    text
}

fn address(role: &str) -> String {
    format!("address = \"{}\"", address_of(role))
}

/// The token of a role: everybody may know these.
fn token(role: &str) -> Token {
    let at = HELD.iter().position(|(name, _)| *name == role).expect("a role of the table");
    Token::of(&format!("{at:08x}"), &"x".repeat(43)).expect("a token")
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

    fn all(&self, role: &str) -> [From; 4] {
        let socket = self.mosd.folder().join(format!("{role}.sock"));
        let file = |name: &str| Some(self.certs.folder().join(name));
        let files = TlsFiles {
            ca: file("ca.pem"),
            cert: file(&format!("{role}.pem")),
            key: file(&format!("{role}.key")),
            server_name: Some("localhost".to_owned()),
        };
        let tls: Endpoint = format!("tls://{}", self.tls).parse().expect("an endpoint");
        let nameless = TlsFiles { cert: None, key: None, ..files.clone() };
        [
            From::Socket(socket),
            From::Address(address_of(role), self.tcp),
            From::Tls(tls.clone(), files),
            From::Token(tls, nameless, token(role)),
        ]
    }

    fn watch(&self, from: From) -> Result<Streaming<WatchEventsResponse>, Status> {
        self.runtime.block_on(async {
            let mut events = EventServiceClient::new(connect(from).await);
            // A type that never comes here.
            let types = vec![EventType::OptionsChanged.into()];
            let request = WatchEventsRequest { types, ..WatchEventsRequest::default() };
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

async fn connect(from: From) -> Authorized {
    let over_tls = async |endpoint, files| {
        let client = Client::connect(&endpoint, &files, NOTICED_MAX, NOTICED_MAX).await;
        client.expect("mosd takes the connection")
    };
    let endpoint = transport::Endpoint::from_static("http://localhost");
    let channel = match from {
        From::Tls(endpoint, files) => return over_tls(endpoint, files).await.channel(),
        From::Token(endpoint, files, token) => {
            return over_tls(endpoint, files).await.showing(&token).channel();
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
    Authorized::new(channel.expect("mosd takes the connection"), Bearer::default())
}

/// What becomes of an empty request to this path.
async fn call(channel: Authorized, path: &str) -> Result<(), Status> {
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

/// What is missing where a credential proves nothing.
const PROOF: &str = "proof";

/// The role that is missing, or a proof, if that is why a call is refused.
fn missing(outcome: &Result<(), Status>) -> Option<String> {
    let status = outcome.as_ref().err()?;
    if status.code() == Code::Unauthenticated {
        return Some(PROOF.to_owned());
    }
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
            // A token that nobody is granted anything by proves nothing.
            let is_unknown = matches!(from, From::Token(..)) && role == "none";
            let why = |needed: &str| (if is_unknown { PROOF } else { needed }).to_owned();
            let channel = scene.runtime.block_on(connect(from));
            for (path, needed) in &methods {
                let outcome = scene.runtime.block_on(call(channel.clone(), path));
                let may = needed == "anyone" || held.contains(&needed.as_str());
                let expected = (!may).then(|| why(needed));
                assert_eq!(missing(&outcome), expected, "{path} {role} {place}: {outcome:?}");
            }
            // What is not there looks like what one may not, unless one may see what is there.
            let outcome = scene.runtime.block_on(call(channel.clone(), "/mos.v1.FlowService/No"));
            let sees = held.contains(&"viewer");
            let expected = (!sees).then(|| why("viewer"));
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
    let [socket, address, tls, token] = &mut viewers;
    for stream in [socket, address, tls] {
        assert_eq!(missing(&Err(scene.end(stream))), Some("viewer".to_owned()));
    }
    // Nobody knows the token any more.
    assert_eq!(missing(&Err(scene.end(token))), Some(PROOF.to_owned()));
    assert_eq!(missing(&Err(scene.end(&mut changed))), Some("operator".to_owned()));
    let [again, others @ ..] = scene.all("operator").map(|from| scene.watch(from).err());
    assert!(again.is_none() && others.iter().all(Option::is_some), "{again:?} {others:?}");
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

/// Runs `mosctl` with a token in a file of this mode.
fn with_token(scene: &Scene, endpoint: &str, text: &str, mode: u32) -> program::Finished {
    let path = scene.mosd.folder().join("token");
    std::fs::write(&path, text).expect("a file");
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
    let ca = scene.certs.file("ca.pem");
    let mut command = program::command(program::ours("mosctl"), ["--endpoint", endpoint]);
    command.args(["--cacert", &ca, "--server-name", "localhost", "--token-file"]).arg(&path);
    program::run(command.args(["--config", "/dev/null", "list", "--limit", "1"]), NOTICED_MAX)
}

#[test]
fn a_token_that_mosctl_makes_is_good_until_its_grant_ends() {
    let scene = Scene::new(&[]);
    let made = program::command(
        program::ours("mosctl"),
        ["token", "create", "--name", "noc", "--roles", "viewer", "--expires", "1h"],
    );
    let made = program::run(&mut { made }, NOTICED_MAX).succeeded();
    let token = made.text();
    let (_, grant) = made.stderr.split_once("[[grant]]").expect("the grant that it needs");
    assert!(!grant.contains(token.trim()), "the grant does not have the token");
    let tls = format!("tls://{}", scene.tls);
    let call = |text: &str| with_token(&scene, &tls, text, 0o600);
    let refused = call(&token);
    assert_eq!(refused.code(), Some(5));
    assert!(refused.stderr.contains("TOKEN_INVALID"), "{}", refused.stderr);
    let granting = |grant: &str| format!("{HARNESS}[[grant]]{grant}");
    scene.mosd.grant(&granting(grant));
    assert!(
        program::within(NOTICED_MAX, || call(&token).code() == Some(0)),
        "{}",
        scene.mosd.log()
    );
    // Over the Unix socket, too, where it stands for its grant alone.
    let socket = format!("unix://{}/none.sock", scene.mosd.folder().display());
    with_token(&scene, &socket, &token, 0o600).succeeded();
    // Another secret by the same public part.
    let forged = token.trim().get(..token.len() - 3).map(|text| format!("{text}ab"));
    let forged = call(&forged.expect("a token is longer"));
    assert_eq!(forged.code(), Some(5), "{}", forged.stderr);
    for (text, mode) in [(&*token, 0o644), ("mosd_x", 0o600)] {
        let finished = with_token(&scene, &tls, text, mode);
        assert_eq!(finished.code(), Some(2), "nothing is sent: {}", finished.stderr);
        assert!(!finished.stderr.contains(text.trim()), "{}", finished.stderr);
    }
    // mosctl does not send it in plain text, and mosd does not take it.
    let plain = scene.tcp.to_string();
    assert_eq!(with_token(&scene, &plain, &token, 0o600).code(), Some(2));
    let known = Token::read(token.trim()).expect("a token");
    let watched = scene.all("none");
    let [.., From::Token(endpoint, files, _)] = watched else { panic!("a token is the last") };
    let mut stream =
        scene.watch(From::Token(endpoint, files, known)).expect("a viewer by token may watch");
    // It ends by itself when the grant does.
    let soon = std::time::SystemTime::now() + Duration::from_secs(3);
    let soon = prost_types::Timestamp { nanos: 0, ..soon.into() };
    let (before, _) = grant.split_once("expires = ").expect("it has an end");
    scene.mosd.grant(&granting(&format!("{before}expires = {soon}\n")));
    let status = scene.end(&mut stream);
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(reason(&status), "TOKEN_INVALID");
    let log = scene.mosd.log();
    assert!(!log.contains(token.trim()), "no token is logged");
    scene.mosd.stop(Signal::INT).in_order();
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[test]
fn a_token_beside_a_certificate_in_plain_text_or_twice_is_refused() {
    let scene = Scene::new(&["viewer"]);
    let known = format!("Bearer {}", token("viewer").secret_text());
    let [socket, address, tls, nameless] = scene.all("viewer");
    let ask = |from: From, values: &[&str]| {
        scene.runtime.block_on(async {
            let mut system = SystemServiceClient::new(connect(from).await);
            let mut request = Request::new(GetStatusRequest {});
            for value in values {
                let value = value.parse().expect("a header");
                request.metadata_mut().append("authorization", value);
            }
            system.get_status(request).await.map_err(|status| reason(&status)).map(drop)
        })
    };
    let refused = |reason: &str| Err(reason.to_owned());
    assert_eq!(ask(socket, &[&known]), Ok(()));
    assert_eq!(ask(address, &[&known]), refused("TOKEN_OVER_PLAINTEXT"));
    assert_eq!(ask(tls, &[&known]), refused("AMBIGUOUS_CREDENTIALS"));
    assert_eq!(ask(nameless, &[]), Ok(()), "it shows its own");
    let [socket, ..] = scene.all("viewer");
    assert_eq!(ask(socket, &[&known, &known]), refused("TOKEN_INVALID"));
    for odd in ["Basic eDp5", "Bearer", "Bearer x", &known.replace('B', "b"), ""] {
        let [socket, ..] = scene.all("viewer");
        assert_eq!(ask(socket, &[odd]), refused("TOKEN_INVALID"), "{odd}");
    }
    scene.mosd.stop(Signal::INT).in_order();
}

#[test]
fn a_caller_that_is_faster_than_its_grant_is_told_how_long_to_wait() {
    let scene = Scene::new(&[]);
    let grant = format!(
        "{HARNESS}[[grant]]\nroles = [\"operator\"]\n{}\nlimits = {{ rps = 2, changes = 1 }}\n",
        address("viewer")
    );
    scene.mosd.grant(&grant);
    let [_, From::Address(own, tcp), ..] = scene.all("viewer") else { return };
    let channel = scene.runtime.block_on(connect(From::Address(own, tcp)));
    let ask = |path: &str| scene.runtime.block_on(call(channel.clone(), path));
    let status = "/mos.v1.SystemService/GetStatus";
    assert!(program::within(NOTICED_MAX, || ask(status).is_ok()), "{}", scene.mosd.log());
    let refused = |path: &str| {
        let mut found = None;
        let is_limited = || {
            found = ask(path).err().filter(|status| reason(status) == "RATE_LIMITED");
            found.is_some()
        };
        assert!(program::within(NOTICED_MAX, is_limited), "nothing limits {path}");
        found.expect("it was found")
    };
    let set = "/mos.v1.FlowService/SetSockOpt";
    let status = refused(set);
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    let wait = details.retry_info().and_then(|retry| retry.retry_delay).expect("a time");
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    refused("/mos.v1.SystemService/GetStatus");
    // Health is free.
    for _ in 0..50 {
        ask("/grpc.health.v1.Health/Check").expect("it has no limit");
    }
    scene.mosd.stop(Signal::INT).in_order();
}

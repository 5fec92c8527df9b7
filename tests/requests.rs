//! Requests that a client gets wrong, and what others do meanwhile: nothing is lost, nothing is
//! answered that was not done, and each error says what it is.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is one test module")]

use mos_proto::v1::set_sock_opt_request::Change;
use mos_proto::v1::{FlowOptions, SetSockOptRequest};
use mos_tests::rpc::Rpc;
use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;
use tonic::Code;

/// The exit code of mosctl where the server rejects the arguments.
const BAD_ARGUMENTS: i32 = 10;

/// The exit code of mosctl where the server has no such method.
const UNSUPPORTED: i32 = 11;

fn client_buffer(flow: &str, bytes: i64) -> SetSockOptRequest {
    let options = FlowOptions { client_buffer_bytes: Some(bytes), ..FlowOptions::default() };
    SetSockOptRequest {
        flow: flow.to_owned(),
        change: Some(Change::Options(options)),
        ..SetSockOptRequest::default()
    }
}

#[test]
fn the_etag_of_a_dry_run_does_not_overwrite_what_another_client_changed() {
    let mosd = Mosd::start(&Setup::demo());
    let flow = mosd.lasting_flow();
    let (mut first, mut second) = (Rpc::connect(&mosd), Rpc::connect(&mosd));
    let dry = SetSockOptRequest { validate_only: true, ..client_buffer(&flow, 32_768) };
    let etag = first.set(dry).expect("a dry run").etag;
    second.set(client_buffer(&flow, 65_536)).expect("another client's change");
    let late = SetSockOptRequest { etag, ..client_buffer(&flow, 32_768) };
    let refused = first.set(late).expect_err("the options have changed");
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let options = first.get(&flow).expect("the flow is live").options.expect("options");
    assert_eq!(options.client_buffer_bytes, Some(65_536));
    drop((first, second));
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn a_request_id_that_comes_with_another_request_is_refused() {
    let mosd = Mosd::start(&Setup::demo());
    let flow = mosd.lasting_flow();
    let mut rpc = Rpc::connect(&mosd);
    let with_id = |request: SetSockOptRequest| SetSockOptRequest {
        request_id: "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned(),
        ..request
    };
    let first = rpc.set(with_id(client_buffer(&flow, 32_768))).expect("the first request");
    let again = rpc.set(with_id(client_buffer(&flow, 32_768))).expect("the same once more");
    assert_eq!(first, again);
    for other in [client_buffer(&flow, 65_536), client_buffer("garbage", 32_768)] {
        let refused = rpc.set(with_id(other)).expect_err("the id is used");
        let row = (refused.code, refused.reason.as_str());
        assert_eq!(row, (Code::InvalidArgument, "REQUEST_ID_REUSED"));
        assert_eq!(refused.fields, ["request_id"]);
    }
    let options = rpc.get(&flow).expect("the flow is live").options.expect("options");
    assert_eq!(options.client_buffer_bytes, Some(32_768));
    drop(rpc);
    mosd.stop(Signal::INT).in_order();
}

#[test]
fn errors_about_long_texts_arrive_whole() {
    let mosd = Mosd::start(&Setup::demo());
    let call = |method: &str, field: &str, text: &str| {
        let request = serde_json::json!({ field: text }).to_string();
        let path = mosd.socket().with_extension("json");
        std::fs::write(&path, request).expect("a file for the request");
        mosd.mosctl(&["call", method, "-d", &format!("@{}", path.display())])
    };
    for text in ["x".repeat(5000), "x".repeat(1_000_000), "\u{1}".repeat(2000)] {
        for (method, field) in [
            ("mos.v1.FlowService/GetFlow", "flow"),
            ("mos.v1.FlowService/SetSockOpt", "requestId"),
            ("mos.v1.FlowService/ListFlows", "filter"),
            ("mos.v1.FlowService/ListFlows", "pageToken"),
        ] {
            let ended = call(method, field, &text);
            assert_eq!(ended.code(), Some(BAD_ARGUMENTS), "{method}: {}", ended.stderr);
            assert!(ended.stderr.contains("reason"), "{method}: {}", ended.stderr);
            assert!(ended.stderr.len() < 2000, "{method}: {}", ended.stderr.len());
        }
    }
    let ended = mosd.mosctl(&["call", "grpc.health.v1.Health/Check", "-d", "{\"service\":\"x\"}"]);
    assert!(ended.stderr.contains("NAME_UNKNOWN"), "{}", ended.stderr);
    let ended = mosd.mosctl(&["call", "mos.v1.FlowService/Nope"]);
    assert_eq!(ended.code(), Some(UNSUPPORTED), "{}", ended.stderr);
    mosd.stop(Signal::INT).in_order();
}

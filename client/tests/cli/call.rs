//! `call`: any method through server reflection.

use std::fs;

use crate::fake::{FLOW, Fake};

#[test]
fn a_method_is_called_without_generated_code() {
    let fake = Fake::start();
    let data = format!("{{\"flow\":\"{FLOW}\"}}");
    for method in ["mos.v1.FlowService/GetFlow", "mos.v1.FlowService.GetFlow"] {
        let json = fake.run(&["call", method, "-d", &data]).code(0).silent().json();
        assert_eq!(json["flow"]["name"], FLOW, "{method}");
    }
    let ended = fake.run(&["-v", "-o", "jsonl", "call", "mos.v1.SystemService/GetServerInfo"]);
    assert_eq!(
        ended.code(0).says(&["> mos.v1.SystemService/GetServerInfo {}"]).json()["node"],
        "mos1"
    );
}

#[test]
fn a_request_may_come_from_a_file_or_from_standard_input() {
    let fake = Fake::start();
    let data = format!("{{\"flow\":\"{FLOW}\",\"options\":{{\"clientBufferBytes\":\"65536\"}}}}");
    let method = "mos.v1.FlowService/SetSockOpt";
    let json = fake.run_with_input(&["call", method, "-d", "-"], &data).code(0).json();
    assert_eq!(json["options"]["clientBufferBytes"], "65536");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.json");
    fs::write(&file, &data).unwrap();
    let argument = format!("@{}", file.display());
    assert_eq!(fake.run(&["call", method, "-d", &argument]).code(0).json(), json);
    fake.run(&["call", method, "-d", "@/nowhere/request.json"]).code(2).says(&["/nowhere"]);
}

#[test]
fn streams_are_written_answer_by_answer() {
    let method = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let data = "{\"listServices\":\"\"} {\"fileContainingSymbol\":\"mos.v1.Flow\"}";
    let ended = Fake::start().run(&["-o", "jsonl", "call", method, "-d", data]).code(0);
    let lines: Vec<serde_json::Value> =
        ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["listServicesResponse"].to_string().contains("mos.v1.FlowService"));
    assert!(lines[1]["fileDescriptorResponse"]["fileDescriptorProto"][0].is_string());
    let data = "{\"listServices\":\"\"} {\"fileContainingSymbol\":\"mos.v1.Nothing\"}";
    let ended = Fake::start().run(&["-o", "jsonl", "call", method, "-d", data]).code(4);
    assert_eq!(ended.text().lines().count(), 1, "what came before the error is kept");
}

#[test]
fn what_the_server_does_not_have_is_named_beside_what_it_has() {
    let fake = Fake::start();
    fake.run(&["call", "mos.v1.NoService/Get"])
        .code(11)
        .says(&["no service \"mos.v1.NoService\"", "mos.v1.FlowService"]);
    fake.run(&["call", "mos.v1.FlowService/Get"]).code(11).says(&["no method \"Get\"", "GetFlow"]);
}

#[test]
fn a_request_that_does_not_fit_is_not_sent() {
    let fake = Fake::start();
    let method = "mos.v1.FlowService/GetFlow";
    for data in ["{\"flov\":1}", "{", "", "{} {}"] {
        fake.run(&["call", method, "-d", data]).code(2);
    }
    fake.run(&["call", "GetFlow"]).code(2);
    assert_eq!(fake.requests(), 0);
}

#[test]
fn errors_of_called_methods_keep_their_details() {
    let method = "mos.v1.FlowService/GetFlow";
    Fake::start()
        .run(&["call", method, "-d", "{\"flow\":\"flows/0000000000000001\"}"])
        .code(4)
        .says(&["error: no such flow", "FLOW_NOT_FOUND (errno EBADF)"]);
}

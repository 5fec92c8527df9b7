//! Every row of the ERRORS table of `mtcp_setsockopt(3)`, and EINVAL and ENOMEM, provoked through
//! the raw form of the call: each has its code, reason and errno, and changes nothing.

#![expect(
    clippy::expect_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is one test module, its helpers included"
)]

use mos_proto::v1::set_sock_opt_request::Change;
use mos_proto::v1::{GetSockOptResponse, RawSockOpt, SetSockOptRequest};
use mos_tests::rpc::{Refused, Rpc};
use mos_tests::service::{Mosd, Setup};
use rustix::process::Signal;
use tonic::Code;

// The numbers of mos_api.h.
const SOL_MONSOCKET: i32 = 0xfffe;
const SOL_SOCKET: i32 = 0xffff;
const MOS_CLIBUF: i32 = 0x09;
const MOS_SVRBUF: i32 = 0x0a;
const MOS_SEQ_REMAP: i32 = 0x0b;
const MOS_STOP_MON: i32 = 0x0c;
const MOS_CLIOVERLAP: i32 = 0x0f;
const MOS_SVROVERLAP: i32 = 0x10;
const MOS_SIDE_CLI: i32 = 0;

/// One option is locked, and a buffer may be as large as the pool, which others use, too.
const CONFIG: &str = r#"
[limits]
pool = "16MiB"
buffer_max = "16MiB"

[options]
locked = ["server_overlap"]
"#;

/// A service on demo traffic, one of its flows, and a connection to it.
struct Scene {
    mosd: Mosd,
    flow: String,
    rpc: Rpc,
}

impl Scene {
    fn new() -> Self {
        let mosd = Mosd::start(&Setup::demo().configured(CONFIG));
        let flow = mosd.lasting_flow();
        let rpc = Rpc::connect(&mosd);
        Self { mosd, flow, rpc }
    }

    /// Sends the raw form; asserts that it is refused and that the flow's options do not change.
    #[track_caller]
    fn refuse(&mut self, flow: &str, raw: RawSockOpt) -> Refused {
        let before = self.rpc.get(&self.flow).expect("the flow is live");
        let refused = *self.rpc.set(request(flow, raw)).expect_err("must be refused");
        let after = self.rpc.get(&self.flow).expect("the flow is live");
        // The rest of the answer changes with the traffic.
        let decided = |answer: GetSockOptResponse| (answer.options, answer.origin, answer.etag);
        assert_eq!(decided(before), decided(after), "a refused call changed something");
        assert_eq!(refused.domain, "mos.v1", "{refused:?}");
        refused
    }

    /// As [`Scene::refuse`], for the scene's own flow.
    #[track_caller]
    fn refuse_own(&mut self, raw: RawSockOpt) -> Refused {
        let flow = self.flow.clone();
        self.refuse(&flow, raw)
    }

    fn end(self) {
        drop(self.rpc);
        self.mosd.stop(Signal::INT).in_order();
    }
}

fn request(flow: &str, raw: RawSockOpt) -> SetSockOptRequest {
    SetSockOptRequest {
        flow: flow.to_owned(),
        change: Some(Change::Raw(raw)),
        ..SetSockOptRequest::default()
    }
}

fn raw(optname: i32, value: i32) -> RawSockOpt {
    RawSockOpt { core: None, level: SOL_MONSOCKET, optname, optval: value.to_le_bytes().to_vec() }
}

#[track_caller]
fn check(refused: &Refused, errno: &str, code: Code, reason: &str) {
    let got = (refused.errno.as_str(), refused.code, refused.reason.as_str());
    assert_eq!(got, (errno, code, reason), "{refused:?}");
    assert!(!refused.message.is_empty());
}

#[test]
fn eacces_when_the_core_named_is_no_worker() {
    let mut scene = Scene::new();
    for core in [1, 77, 600, -1, i32::MAX] {
        let refused = scene.refuse_own(RawSockOpt { core: Some(core), ..raw(MOS_CLIBUF, 65536) });
        check(&refused, "EACCES", Code::NotFound, "CORE_NOT_FOUND");
    }
    scene.end();
}

#[test]
fn ebadf_when_the_name_is_that_of_no_live_flow() {
    let mut scene = Scene::new();
    let own = scene.flow.trim_start_matches("flows/").to_owned();
    let handle = u64::from_str_radix(&own, 16).expect("a handle is hexadecimal");
    // The lowest bits are the generation: another generation is another flow.
    let other = format!("flows/{:016x}", handle ^ 1);
    let refused = scene.refuse(&other, raw(MOS_CLIBUF, 65536));
    assert_eq!((refused.errno.as_str(), refused.code), ("EBADF", Code::NotFound), "{refused:?}");
    assert!(["FLOW_NOT_FOUND", "FLOW_ENDED"].contains(&refused.reason.as_str()), "{refused:?}");

    let refused = scene.refuse("tcp/203.0.113.1:1-203.0.113.2:2", raw(MOS_CLIBUF, 65536));
    check(&refused, "EBADF", Code::NotFound, "FLOW_NOT_FOUND");

    let refused = scene.refuse("flows/12xy", raw(MOS_CLIBUF, 65536));
    check(&refused, "EBADF", Code::InvalidArgument, "FLOW_NAME_INVALID");
    assert_eq!(refused.fields, ["flow"]);
    scene.end();
}

#[test]
fn enotsock_when_the_side_is_no_longer_monitored() {
    let mut scene = Scene::new();
    let stop = request(&scene.flow, raw(MOS_STOP_MON, MOS_SIDE_CLI));
    scene.rpc.set(stop).expect("a live side can be stopped");
    let refused = scene.refuse_own(raw(MOS_CLIBUF, 65536));
    check(&refused, "ENOTSOCK", Code::FailedPrecondition, "FLOW_NOT_MONITORED");
    // The other side is not affected.
    let answer = scene.rpc.set(request(&scene.flow, raw(MOS_SVRBUF, 65536)));
    let options = answer.expect("the server's side is monitored").options.expect("options");
    assert_eq!(options.server_buffer_bytes, Some(65536));
    scene.end();
}

#[test]
fn enotsock_when_the_name_is_not_a_flows() {
    let mut scene = Scene::new();
    let refused = scene.refuse("cores/0", raw(MOS_CLIBUF, 65536));
    check(&refused, "ENOTSOCK", Code::FailedPrecondition, "FLOW_NOT_MONITORED");
    scene.end();
}

#[test]
fn enosys_when_level_or_optname_are_not_implemented() {
    let mut scene = Scene::new();
    let refused = scene.refuse_own(RawSockOpt { level: SOL_SOCKET, ..raw(MOS_CLIBUF, 65536) });
    check(&refused, "ENOSYS", Code::Unimplemented, "OPTION_NOT_IMPLEMENTED");
    let refused = scene.refuse_own(raw(MOS_SEQ_REMAP, 1));
    check(&refused, "ENOSYS", Code::Unimplemented, "OPTION_NOT_IMPLEMENTED");
    let refused = scene.refuse_own(raw(0x7777, 1));
    check(&refused, "ENOSYS", Code::InvalidArgument, "OPTION_UNKNOWN");
    assert_eq!(refused.fields, ["raw.optname"]);
    scene.end();
}

#[test]
fn eperm_when_the_option_is_locked() {
    let mut scene = Scene::new();
    let refused = scene.refuse_own(raw(MOS_SVROVERLAP, 1));
    check(&refused, "EPERM", Code::PermissionDenied, "OPTION_LOCKED");
    let open = scene.rpc.set(request(&scene.flow, raw(MOS_CLIOVERLAP, 1)));
    assert!(!open.expect("the client's policy is not locked").unchanged);
    scene.end();
}

#[test]
fn einval_when_the_value_is_none() {
    let mut scene = Scene::new();
    let over = 16 * 1024 * 1024 + 1;
    for bad in [raw(MOS_CLIBUF, -1), raw(MOS_CLIBUF, over), raw(MOS_CLIOVERLAP, 9)] {
        let refused = scene.refuse_own(bad.clone());
        check(&refused, "EINVAL", Code::InvalidArgument, "OPTION_VALUE_INVALID");
        assert!(!refused.fields.is_empty(), "{bad:?}: {refused:?}");
    }
    let refused = scene.refuse_own(raw(MOS_STOP_MON, 3));
    check(&refused, "EINVAL", Code::InvalidArgument, "OPTION_VALUE_INVALID");
    scene.end();
}

#[test]
fn einval_when_optlen_is_not_that_of_an_int() {
    let mut scene = Scene::new();
    for length in [0, 1, 3, 5, 8] {
        let refused =
            scene.refuse_own(RawSockOpt { optval: vec![0; length], ..raw(MOS_CLIBUF, 0) });
        check(&refused, "EINVAL", Code::InvalidArgument, "OPTION_VALUE_INVALID");
        assert_eq!(refused.fields, ["raw.optval"]);
    }
    scene.end();
}

#[test]
fn enomem_when_the_pool_cannot_give_the_bytes() {
    let mut scene = Scene::new();
    let refused = scene.refuse_own(raw(MOS_CLIBUF, 16 * 1024 * 1024));
    check(&refused, "ENOMEM", Code::ResourceExhausted, "BUFFER_POOL_EXHAUSTED");
    scene.end();
}

#[test]
fn the_raw_form_does_what_the_typed_form_does() {
    let mut scene = Scene::new();
    for (optname, value) in [(MOS_CLIBUF, 65536), (MOS_SVRBUF, 0), (MOS_CLIOVERLAP, 1)] {
        scene.rpc.set(request(&scene.flow, raw(optname, value))).expect("a good value is taken");
    }
    let options = scene.rpc.get(&scene.flow).expect("the flow is live").options.expect("options");
    assert_eq!(options.client_buffer_bytes, Some(65536));
    assert_eq!(options.server_buffer_bytes, Some(0));
    assert_eq!(options.client_overlap(), mos_proto::v1::OverlapPolicy::Last);
    scene.end();
}

//! `SetSockOpt` and `GetSockOpt` over a real stack that has seen real conversations.

use std::{cell::RefCell, rc::Rc};

use mos_control::{CommandPort, Phase, link};
use mos_dataplane::{command::apply, traffic::Conversations};
use mos_proto::v1::{
    FlowOptions, GetSockOptRequest, GetSockOptResponse, ListFlowsRequest, OverlapPolicy,
    RawSockOpt, SetSockOptRequest, SetSockOptResponse, StopScope,
    flow_service_server::FlowService as _, set_sock_opt_request::Change,
};
use mos_stack::{Checksums, Frame, Instant, Limits, Link, Side, SockOptName, SockOptNames, Stack};
use mosd::Service;
use tonic::{Code, Request, Status};

use crate::support::{control, fields, metadata, row, run, settings, worker, worker_id};

const SOL_MONSOCKET: i32 = 0xfffe;
const MOS_CLIBUF: i32 = 0x09;
const MOS_SVRBUF: i32 = 0x0a;
const MOS_STOP_MON: i32 = 0x0c;
const MOS_SVROVERLAP: i32 = 0x10;

/// A real stack with live flows, with room for little more than its defaults.
fn scene() -> (Scene, Rc<RefCell<u32>>) {
    let mut locked = SockOptNames::default();
    locked.insert(SockOptName::Overlap(Side::Server));
    let limits = Limits { flows_max: 256, pool_bytes: 4 << 20, locked, ..Limits::default() };
    let mut stack = Stack::new(worker_id(0), limits, 7).unwrap();
    let mut traffic = Conversations::new(32, 1);
    let mut bytes = Vec::new();
    for at in 1..=400_u64 {
        traffic.next_frame(&mut bytes);
        let arrival = Instant::from_nanos(at * 1000);
        let wire_length = u32::try_from(bytes.len()).unwrap();
        let (link, checksums) = (Link::Ethernet, Checksums::Unknown);
        let frame = Frame { arrival, link, bytes: &bytes, wire_length, checksums };
        stack.handle_burst(&[frame], &mut ());
    }
    let changes = Rc::new(RefCell::new(0));
    let port: CommandPort = worker(0, {
        let changes = Rc::clone(&changes);
        move |command| {
            if let mos_control::Command::SetSockOpt { validate_only: false, .. } = command {
                *changes.borrow_mut() += 1;
            }
            Some(apply(command, Instant::from_nanos(1_000_000), &mut stack, &mut ()))
        }
    });
    let mut settings = settings();
    settings.limits = limits;
    (Scene(Service::new(control(vec![port], settings))), changes)
}

struct Scene(Service);

impl Scene {
    async fn a_flow(&self) -> String {
        let filter = "client_state = ESTABLISHED AND server_state = ESTABLISHED".to_owned();
        let request = ListFlowsRequest { filter, ..Default::default() };
        let flows = self.0.list_flows(Request::new(request)).await.unwrap().into_inner().flows;
        flows.first().expect("the traffic has live flows").name.clone()
    }

    async fn set(&self, request: SetSockOptRequest) -> Result<SetSockOptResponse, Status> {
        self.0.set_sock_opt(Request::new(request)).await.map(tonic::Response::into_inner)
    }

    async fn get(&self, flow: &str) -> GetSockOptResponse {
        let request = GetSockOptRequest { flow: flow.to_owned(), raw: None };
        self.0.get_sock_opt(Request::new(request)).await.unwrap().into_inner()
    }

    /// The change is refused and changes nothing.
    async fn refused(&self, request: SetSockOptRequest, live: &str) -> Status {
        let before = self.get(live).await;
        let status = self.set(request).await.expect_err("must be refused");
        assert_eq!(self.get(live).await, before, "a refused call changed something");
        status
    }
}

fn typed(flow: &str, options: FlowOptions) -> SetSockOptRequest {
    SetSockOptRequest {
        flow: flow.to_owned(),
        change: Some(Change::Options(options)),
        ..Default::default()
    }
}

fn client_buffer(bytes: i64) -> FlowOptions {
    FlowOptions { client_buffer_bytes: Some(bytes), ..Default::default() }
}

fn raw_of(level: i32, optname: i32, optval: &[u8]) -> RawSockOpt {
    RawSockOpt { core: None, level, optname, optval: optval.to_vec() }
}

fn raw(optname: i32, value: i32) -> RawSockOpt {
    raw_of(SOL_MONSOCKET, optname, &value.to_le_bytes())
}

fn raw_request(flow: &str, raw: RawSockOpt) -> SetSockOptRequest {
    SetSockOptRequest {
        flow: flow.to_owned(),
        change: Some(Change::Raw(raw)),
        ..Default::default()
    }
}

#[test]
fn the_answer_says_what_is_in_force() {
    run(async {
        let (scene, _) = scene();
        let flow = scene.a_flow().await;
        let before = scene.get(&flow).await;
        let answer = scene.set(typed(&flow, client_buffer(65_537))).await.unwrap();
        let options = answer.options.unwrap();
        assert_eq!(options.client_buffer_bytes, Some(67_584), "rounded up to blocks");
        assert_eq!(options.server_buffer_bytes, Some(8192));
        assert_ne!(answer.etag, before.etag);
        let after = scene.get(&flow).await;
        assert_eq!((after.etag.as_str(), after.options), (answer.etag.as_str(), Some(options)));
        let again = scene.set(typed(&flow, client_buffer(65_537))).await.unwrap();
        assert!(again.unchanged && !answer.unchanged);
        assert_eq!(again.etag, answer.etag);
        let shrunk = scene.set(typed(&flow, client_buffer(0))).await.unwrap();
        assert_eq!(shrunk.options.unwrap().client_buffer_bytes, Some(0));
    });
}

#[test]
fn both_forms_take_the_same_path() {
    run(async {
        let (scene, _) = scene();
        let flow = scene.a_flow().await;
        let change = RawSockOpt { core: Some(0), ..raw(MOS_SVRBUF, 65_536) };
        let answer = scene.set(raw_request(&flow, change)).await.unwrap();
        assert_eq!(answer.options.unwrap().server_buffer_bytes, Some(65_536));
        let request = GetSockOptRequest {
            flow: flow.clone(),
            raw: Some(raw_of(SOL_MONSOCKET, MOS_SVRBUF, &[])),
        };
        let got = scene.0.get_sock_opt(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(got.raw.unwrap().optval, 65_536_i32.to_le_bytes());
        let stop = |value| raw_request(&flow, raw(MOS_STOP_MON, value));
        scene.set(stop(1)).await.unwrap();
        let options = scene.get(&flow).await.options.unwrap();
        assert_eq!(options.stop_monitoring, Some(StopScope::Server.into()));
    });
}

#[test]
fn each_errno_of_the_page_has_its_cause() {
    run(async {
        let (scene, _) = scene();
        let flow = scene.a_flow().await;
        let core = |core| RawSockOpt { core: Some(core), ..raw(MOS_CLIBUF, 65_536) };
        let digits = u64::from_str_radix(flow.trim_start_matches("flows/"), 16).unwrap();
        let gone = format!("flows/{:016x}", digits ^ 1);
        for (name, raw, errno, code, reason) in [
            (&flow, core(7), "EACCES", Code::NotFound, "CORE_NOT_FOUND"),
            (&flow, core(-1), "EACCES", Code::NotFound, "CORE_NOT_FOUND"),
            (&gone, raw(MOS_CLIBUF, 1), "EBADF", Code::NotFound, ""),
            (
                &flow,
                raw_of(1, MOS_CLIBUF, &[0; 4]),
                "ENOSYS",
                Code::Unimplemented,
                "OPTION_NOT_IMPLEMENTED",
            ),
            (&flow, raw(0x0b, 1), "ENOSYS", Code::Unimplemented, "OPTION_NOT_IMPLEMENTED"),
            (&flow, raw(0x77, 1), "ENOSYS", Code::InvalidArgument, "OPTION_UNKNOWN"),
            (&flow, raw(MOS_SVROVERLAP, 1), "EPERM", Code::PermissionDenied, "OPTION_LOCKED"),
            (&flow, raw(MOS_CLIBUF, -1), "EINVAL", Code::InvalidArgument, "OPTION_VALUE_INVALID"),
            (&flow, raw(MOS_STOP_MON, 3), "EINVAL", Code::InvalidArgument, "OPTION_VALUE_INVALID"),
            (
                &flow,
                raw(MOS_SVROVERLAP, 3),
                "EINVAL",
                Code::InvalidArgument,
                "OPTION_VALUE_INVALID",
            ),
            (
                &flow,
                raw_of(SOL_MONSOCKET, MOS_CLIBUF, &[0; 8]),
                "EINVAL",
                Code::InvalidArgument,
                "OPTION_VALUE_INVALID",
            ),
            (
                &flow,
                raw(MOS_CLIBUF, 16 << 20),
                "ENOMEM",
                Code::ResourceExhausted,
                "BUFFER_POOL_EXHAUSTED",
            ),
        ] {
            let status = scene.refused(raw_request(name, raw.clone()), &flow).await;
            let got = row(&status);
            assert_eq!((got.2.as_str(), got.0), (errno, code), "{raw:?}: {status:?}");
            assert!(reason.is_empty() || got.1 == reason, "{raw:?}: {got:?}");
        }
        scene.set(raw_request(&flow, raw(MOS_STOP_MON, 0))).await.unwrap();
        let status = scene.refused(raw_request(&flow, raw(MOS_CLIBUF, 65_536)), &flow).await;
        assert_eq!(row(&status).2, "ENOTSOCK");
    });
}

#[test]
fn a_core_that_does_not_own_the_flow_does_not_know_it() {
    run(async {
        let ports =
            (0..2).map(|index| worker(index, |command| panic!("asked {command:?}"))).collect();
        let service = Service::new(control(ports, settings()));
        let raw = RawSockOpt { core: Some(1), ..raw(MOS_CLIBUF, 65_536) };
        let request = Request::new(raw_request("flows/0000000000000001", raw));
        let status = service.set_sock_opt(request).await.unwrap_err();
        assert_eq!(row(&status), (Code::NotFound, "FLOW_NOT_FOUND".into(), "EBADF".into()));
        assert_eq!(metadata(&status, "owner"), "0");
    });
}

#[test]
fn a_core_whose_worker_does_not_run_may_be_asked_again() {
    run(async {
        for phase in [Phase::Starting, Phase::Stopped] {
            let (port, worker) = link(worker_id(0));
            worker.board().set_phase(phase);
            let service = Service::new(control(vec![port], settings()));
            let raw = RawSockOpt { core: Some(0), ..raw(MOS_CLIBUF, 65_536) };
            let request = Request::new(raw_request("flows/0000000000000001", raw));
            let status = service.set_sock_opt(request).await.unwrap_err();
            let expected = (Code::Unavailable, "CORE_NOT_RUNNING".into(), "EACCES".into());
            assert_eq!(row(&status), expected);
        }
    });
}

#[test]
fn values_that_are_none_are_refused_by_field() {
    run(async {
        let (scene, _) = scene();
        let flow = scene.a_flow().await;
        let overlap = |policy| FlowOptions { server_overlap: Some(policy), ..Default::default() };
        let stop = FlowOptions { stop_monitoring: Some(0), ..Default::default() };
        for (options, field, reason) in [
            (FlowOptions::default(), "options", "OPTION_VALUE_INVALID"),
            (client_buffer(-1), "options.client_buffer_bytes", "OPTION_VALUE_INVALID"),
            (client_buffer((16 << 20) + 1), "options.client_buffer_bytes", "OPTION_VALUE_INVALID"),
            (overlap(0), "options.server_overlap", "OPTION_UNKNOWN"),
            (overlap(9), "options.server_overlap", "OPTION_UNKNOWN"),
            (stop, "options.stop_monitoring", "OPTION_UNKNOWN"),
        ] {
            let status = scene.refused(typed(&flow, options), &flow).await;
            assert_eq!((fields(&status)[0].as_str(), row(&status).1.as_str()), (field, reason));
        }
        let status = scene.refused(typed(&flow, client_buffer(1 << 40)), &flow).await;
        assert_eq!(metadata(&status, "min"), "0");
        assert_eq!(metadata(&status, "max"), (16 << 20).to_string());
        let nothing = SetSockOptRequest { flow: flow.clone(), ..Default::default() };
        assert_eq!(row(&scene.refused(nothing, &flow).await).1, "OPTION_VALUE_INVALID");
        // All or nothing: the good half of a change is not carried out.
        let half =
            FlowOptions { server_overlap: Some(OverlapPolicy::Last.into()), ..client_buffer(0) };
        assert_eq!(row(&scene.refused(typed(&flow, half), &flow).await).1, "OPTION_LOCKED");
    });
}

#[test]
fn a_stale_etag_changes_nothing_and_tells_the_current_one() {
    run(async {
        let (scene, _) = scene();
        let flow = scene.a_flow().await;
        let old = scene.get(&flow).await.etag;
        let with = |etag: &str, bytes| SetSockOptRequest {
            etag: etag.to_owned(),
            ..typed(&flow, client_buffer(bytes))
        };
        let new = scene.set(with(&old, 4096)).await.unwrap().etag;
        for stale in [old.as_str(), "W/\"nonsense\"", "x"] {
            let status = scene.refused(with(stale, 0), &flow).await;
            assert_eq!(row(&status), (Code::Aborted, "ETAG_MISMATCH".into(), "ESTALE".into()));
            assert_eq!(metadata(&status, "currentEtag"), new);
        }
        scene.set(with(&new, 0)).await.unwrap();
    });
}

#[test]
fn validate_only_answers_as_if_done_and_does_nothing() {
    run(async {
        let (scene, changes) = scene();
        let flow = scene.a_flow().await;
        let before = scene.get(&flow).await;
        let request =
            SetSockOptRequest { validate_only: true, ..typed(&flow, client_buffer(65_536)) };
        let answer = scene.set(request).await.unwrap();
        assert_eq!(answer.options.unwrap().client_buffer_bytes, Some(65_536));
        assert_eq!((scene.get(&flow).await, *changes.borrow()), (before, 0));
    });
}

#[test]
fn the_etag_of_a_dry_run_is_the_one_in_force() {
    run(async {
        let (scene, _) = scene();
        let flow = scene.a_flow().await;
        let dry =
            |bytes| SetSockOptRequest { validate_only: true, ..typed(&flow, client_buffer(bytes)) };
        let with = |etag: &str, bytes| SetSockOptRequest {
            etag: etag.to_owned(),
            ..typed(&flow, client_buffer(bytes))
        };
        let before = scene.get(&flow).await;
        let answer = scene.set(dry(32_768)).await.unwrap();
        assert_eq!((answer.etag.as_str(), answer.unchanged), (before.etag.as_str(), false));
        scene.set(with("", 65_536)).await.unwrap();
        let status = scene.refused(with(&answer.etag, 32_768), &flow).await;
        assert_eq!(row(&status).1, "ETAG_MISMATCH", "the other change is not overwritten");
        let answer = scene.set(dry(32_768)).await.unwrap();
        scene.set(with(&answer.etag, 32_768)).await.unwrap();
    });
}

#[test]
fn a_request_id_is_not_used_again_for_another_request() {
    run(async {
        let (scene, changes) = scene();
        let flow = scene.a_flow().await;
        let with = |request: SetSockOptRequest| SetSockOptRequest {
            request_id: "7c9e6679-7425-40de-944b-e07fc1f90ae7".to_owned(),
            ..request
        };
        // A refused request leaves its id free.
        let refused = scene.refused(with(typed(&flow, client_buffer(-1))), &flow).await;
        assert_eq!(row(&refused).1, "OPTION_VALUE_INVALID");
        scene.set(with(typed(&flow, client_buffer(4096)))).await.unwrap();
        let etag = scene.get(&flow).await.etag;
        for other in [
            typed(&flow, client_buffer(65_536)),
            typed("flows/0000000000000001", client_buffer(4096)),
            typed("garbage", FlowOptions::default()),
            raw_request(&flow, raw(MOS_CLIBUF, 4096)),
            SetSockOptRequest { etag, ..typed(&flow, client_buffer(4096)) },
            SetSockOptRequest { validate_only: true, ..typed(&flow, client_buffer(0)) },
        ] {
            let status = scene.refused(with(other.clone()), &flow).await;
            assert_eq!(
                row(&status),
                (Code::InvalidArgument, "REQUEST_ID_REUSED".into(), "".into()),
                "{other:?}"
            );
            assert_eq!(fields(&status), ["request_id"]);
        }
        assert_eq!(*changes.borrow(), 1);
        let dry = SetSockOptRequest { validate_only: true, ..typed(&flow, client_buffer(4096)) };
        assert!(scene.set(with(dry)).await.unwrap().unchanged, "the same request may be checked");
    });
}

#[test]
fn a_request_id_is_carried_out_once() {
    run(async {
        let (scene, changes) = scene();
        let flow = scene.a_flow().await;
        let with = |id: &str, bytes| SetSockOptRequest {
            request_id: id.to_owned(),
            ..typed(&flow, client_buffer(bytes))
        };
        let id = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
        let (first, second) = tokio::join!(scene.set(with(id, 4096)), scene.set(with(id, 4096)));
        assert_eq!(first.unwrap(), second.unwrap());
        let first = scene.set(with(id, 4096)).await.unwrap();
        assert_eq!(*changes.borrow(), 1);
        assert!(!first.unchanged, "the first answer, not a second one");
        scene.set(with("7c9e6679-7425-40de-944b-e07fc1f90ae8", 4096)).await.unwrap();
        assert_eq!(*changes.borrow(), 2);
        for bad in ["x", "7c9e6679742540de944be07fc1f90ae7", "7c9e6679-7425-10de-944b-e07fc1f90ae7"]
        {
            let status = scene.refused(with(bad, 0), &flow).await;
            assert_eq!(fields(&status), ["request_id"], "{bad}");
        }
    });
}

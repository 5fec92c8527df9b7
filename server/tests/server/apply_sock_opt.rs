//! `ApplySockOpt`, `UndoSockOpt` and `BatchSetSockOpt` over scripted tables.

use std::rc::Rc;

use crate::support::{
    Outcome, Shared, Table, control, fields, flow, full, metadata, over, row, run, settings,
    shared, worker,
};
use mos_control::{Command, Reply, SockOptItem};
use mos_proto::v1::{
    ApplySockOptRequest, ApplySockOptResponse, BatchSetSockOptRequest, FlowOptions, OverlapPolicy,
    SetSockOptRequest, StopScope, UndoSockOptRequest, UndoSockOptResponse,
    flow_service_server::FlowService as _, set_sock_opt_request::Change,
};
use mos_stack::{Applied, EndCause, LookupError, Side, SockOptError, SockOptName};
use mosd::Service;
use tonic::{Code, Request, Status};

/// Flows whose client's port is this have no memory for larger buffers.
const POOR_PORT: u16 = 7;

/// Changes options of a flow of the table, as a worker would.
fn set(table: &mut Table, item: &SockOptItem) -> Result<Applied, SockOptError> {
    let cell = &mut table.slots[item.flow.slot() as usize];
    let ended = LookupError::Ended { cause: Some(EndCause::Fin) };
    let Some(flow) = cell.as_mut().filter(|flow| flow.id == item.flow) else {
        return Err(ended.into());
    };
    if item.expected_revision.is_some_and(|expected| expected != flow.revision) {
        return Err(SockOptError::RevisionMismatch { current: flow.revision });
    }
    if flow.tuple.client.port() == POOR_PORT {
        return Err(SockOptError::PoolExhausted { requested_bytes: 9, free_bytes: 1 });
    }
    let previous = flow.options;
    for side in Side::BOTH {
        let bytes = item.change.buffer_bytes[side];
        flow.options.buffer_bytes[side] = bytes.unwrap_or(previous.buffer_bytes[side]);
        let policy = item.change.overlap[side];
        flow.options.overlap[side] = policy.unwrap_or(previous.overlap[side]);
    }
    flow.options.stopped = item.change.stop.or(previous.stopped);
    let (options, unchanged) = (flow.options, flow.options == previous);
    flow.revision += u32::from(!unchanged);
    let revision = flow.revision;
    Ok(Applied { options, previous, revision, unchanged, discarded_bytes: 10 })
}

/// What a worker with this table answers.
fn answer(table: &Shared<Table>, command: Command) -> Outcome {
    let Command::SetSockOpts { mut batch } = command else {
        return table.borrow().answer(command);
    };
    batch.carry_out(|item| set(&mut table.borrow_mut(), item));
    Some(Ok(Reply::SockOpts { batch }))
}

/// Workers whose flows take options.
fn changing(tables: &[Shared<Table>]) -> Service {
    let ports = tables.iter().zip(0..).map(|(table, index)| {
        let scripted = Rc::clone(table);
        let port = worker(index, move |command| answer(&scripted, command));
        table.borrow().publish(port.board());
        port
    });
    Service::new(control(ports.collect(), settings()))
}

fn buffer(bytes: i64) -> FlowOptions {
    FlowOptions { client_buffer_bytes: Some(bytes), ..FlowOptions::default() }
}

fn request(filter: &str, options: FlowOptions) -> ApplySockOptRequest {
    ApplySockOptRequest { filter: filter.to_owned(), options: Some(options), ..Default::default() }
}

async fn apply(
    service: &Service,
    request: ApplySockOptRequest,
) -> Result<ApplySockOptResponse, Status> {
    service.apply_sock_opt(Request::new(request)).await.map(tonic::Response::into_inner)
}

async fn undo(service: &Service, token: &str) -> Result<UndoSockOptResponse, Status> {
    let request = UndoSockOptRequest { undo_token: token.to_owned() };
    service.undo_sock_opt(Request::new(request)).await.map(tonic::Response::into_inner)
}

fn client_buffers(table: &Shared<Table>) -> Vec<u64> {
    let table = table.borrow();
    table.slots.iter().flatten().map(|flow| flow.options.buffer_bytes.client).collect()
}

#[test]
fn every_flow_that_matches_is_changed_on_its_own_core_and_counted() {
    run(async {
        let tables = [shared(full(0, 300)), shared(full(1, 200))];
        tables[1].borrow_mut().slots[5].as_mut().unwrap().options.buffer_bytes.client = 65_536;
        tables[1].borrow_mut().slots[6].as_mut().unwrap().tuple.client.set_port(POOR_PORT);
        let service = changing(&tables);
        let answer = apply(&service, request("core = 1", buffer(65_536))).await.unwrap();
        let counts = [
            answer.matched_count,
            answer.applied_count,
            answer.unchanged_count,
            answer.ended_count,
            answer.failed_count,
            answer.unreached_count,
            answer.discarded_bytes,
        ];
        assert_eq!(counts, [200, 198, 1, 0, 1, 0, 1980]);
        let [failure] = &answer.failures[..] else { panic!("{answer:?}") };
        assert_eq!((failure.flow_count, failure.sample.len()), (1, 1));
        let status = failure.status.clone().unwrap();
        assert_eq!(Code::from_i32(status.code), Code::ResourceExhausted);
        assert!(status.message.contains("buffer pool"), "{status:?}");
        assert!(status.details.iter().any(|detail| detail.type_url.ends_with("ErrorInfo")));
        assert!(client_buffers(&tables[0]).iter().all(|bytes| *bytes == 8192));
        assert_eq!(
            client_buffers(&tables[1]).iter().filter(|bytes| **bytes == 65_536).count(),
            199
        );
    });
}

#[test]
fn an_empty_filter_is_refused_and_a_star_is_every_flow() {
    run(async {
        let table = shared(full(0, 3));
        let service = changing(&[Rc::clone(&table)]);
        for empty in ["", "  "] {
            let status = apply(&service, request(empty, buffer(0))).await.unwrap_err();
            assert_eq!(fields(&status), ["filter"]);
        }
        let options = FlowOptions::default();
        assert!(apply(&service, request("*", options)).await.is_err(), "nothing to set");
        assert_eq!(client_buffers(&table), [8192; 3]);
        assert_eq!(apply(&service, request("*", buffer(0))).await.unwrap().applied_count, 3);
        assert_eq!(client_buffers(&table), [0; 3]);
    });
}

#[test]
fn more_flows_than_allowed_are_refused_before_any_is_changed() {
    run(async {
        let table = shared(full(0, 1001));
        let service = changing(&[Rc::clone(&table)]);
        let status = apply(&service, request("*", buffer(0))).await.unwrap_err();
        let (code, reason, _) = row(&status);
        assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "TOO_MANY_MATCHES"));
        assert_eq!(
            [metadata(&status, "matched"), metadata(&status, "maxFlowCount")],
            ["1001", "1000"]
        );
        assert_eq!(client_buffers(&table), [8192; 1001]);
        let more = ApplySockOptRequest { max_flow_count: 1001, ..request("*", buffer(0)) };
        assert_eq!(apply(&service, more).await.unwrap().applied_count, 1001);
        let less = ApplySockOptRequest { max_flow_count: -1, ..request("*", buffer(0)) };
        assert_eq!(fields(&apply(&service, less).await.unwrap_err()), ["max_flow_count"]);
    });
}

#[test]
fn a_count_changes_nothing_and_its_token_leaves_out_flows_that_begin_later() {
    run(async {
        let table = shared(full(0, 150));
        let service = changing(&[Rc::clone(&table)]);
        let count = ApplySockOptRequest { validate_only: true, ..request("*", buffer(10_240)) };
        let counted = apply(&service, count).await.unwrap();
        assert_eq!((counted.matched_count, counted.sample.len()), (150, 100));
        assert_eq!((counted.applied_count, counted.growth_bytes), (0, 150 * 2048));
        assert_eq!(client_buffers(&table), [8192; 150]);
        // One ends, and its slot has another; one begins.
        table.borrow_mut().now = 20;
        table.borrow_mut().slots[3] = Some(flow(0, 3, 2, 15));
        table.borrow_mut().slots.push(Some(flow(0, 150, 1, 15)));
        let match_token = counted.match_token;
        let change = ApplySockOptRequest { match_token, ..request("*", buffer(10_240)) };
        for other in [
            ApplySockOptRequest { filter: "core = 0".to_owned(), ..change.clone() },
            ApplySockOptRequest { options: Some(buffer(0)), ..change.clone() },
            ApplySockOptRequest { match_token: "x".to_owned(), ..change.clone() },
        ] {
            let status = apply(&service, other).await.unwrap_err();
            assert_eq!(row(&status).1, "MATCH_TOKEN_INVALID");
        }
        assert_eq!(apply(&service, change).await.unwrap().applied_count, 149);
        let buffers = client_buffers(&table);
        assert_eq!((buffers[3], buffers[150]), (8192, 8192));
    });
}

#[test]
fn a_stop_needs_consent_and_has_no_undo() {
    run(async {
        let service = changing(&[shared(full(0, 3))]);
        let stop = FlowOptions {
            stop_monitoring: Some(StopScope::Client.into()),
            ..FlowOptions::default()
        };
        let status = apply(&service, request("*", stop)).await.unwrap_err();
        assert_eq!(row(&status).1, "IRREVERSIBLE_NOT_ALLOWED");
        let allowed = ApplySockOptRequest { allow_irreversible: true, ..request("*", stop) };
        let answer = apply(&service, allowed).await.unwrap();
        assert_eq!((answer.applied_count, answer.undo_token.as_str()), (3, ""));
    });
}

#[test]
fn a_locked_option_is_refused_at_once() {
    run(async {
        let mut locked = settings();
        locked.limits.locked.insert(SockOptName::Buffer(Side::Client));
        let table = full(0, 3);
        let port = worker(0, move |command| table.answer(command));
        let service = Service::new(control(vec![port], locked));
        let status = apply(&service, request("*", buffer(0))).await.unwrap_err();
        assert_eq!(row(&status).1, "OPTION_LOCKED");
    });
}

#[test]
fn an_undo_restores_what_lives_and_was_not_changed_since() {
    run(async {
        let table = shared(full(0, 5));
        table.borrow_mut().slots[1].as_mut().unwrap().options.buffer_bytes.client = 2048;
        let service = changing(&[Rc::clone(&table)]);
        let last = OverlapPolicy::Last.into();
        let both = FlowOptions { client_overlap: Some(last), ..buffer(65_536) };
        let answer = apply(&service, request("*", both)).await.unwrap();
        assert_eq!(answer.applied_count, 5);
        table.borrow_mut().slots[2] = Some(flow(0, 2, 2, 9));
        let other = SockOptItem {
            flow: table.borrow().slots[3].unwrap().id,
            change: mos_stack::SockOptChange {
                buffer_bytes: mos_stack::Sides { client: Some(4096), server: None },
                ..Default::default()
            },
            expected_revision: None,
        };
        set(&mut table.borrow_mut(), &other).unwrap();
        let undone = undo(&service, &answer.undo_token).await.unwrap();
        let counts = [undone.restored_count, undone.overtaken_count, undone.ended_count];
        assert_eq!((counts, undone.failed_count, undone.unreached_count), ([3, 1, 1], 0, 0));
        assert_eq!(client_buffers(&table), [8192, 2048, 8192, 4096, 8192]);
        let restored = table.borrow().slots[0].unwrap().options;
        assert_eq!(restored, mos_stack::SockOpts::default(), "the overlap policy, too");
        // Asked again it changes nothing.
        let again = undo(&service, &answer.undo_token).await.unwrap();
        assert_eq!((again.restored_count, again.overtaken_count), (0, 4));
        for unknown in ["", "x", "6d1fa7c0-3d1c-4b57-8d5b-0c1b8a4d2f10"] {
            let status = undo(&service, unknown).await.unwrap_err();
            assert_eq!(row(&status), (Code::NotFound, "UNDO_UNKNOWN".to_owned(), String::new()));
        }
    });
}

#[test]
fn a_request_id_answers_once() {
    run(async {
        let service = changing(&[shared(full(0, 4))]);
        let request_id = "6d1fa7c0-3d1c-4b57-8d5b-0c1b8a4d2f10".to_owned();
        let change = ApplySockOptRequest { request_id, ..request("*", buffer(0)) };
        let first = apply(&service, change.clone()).await.unwrap();
        assert_eq!((first.applied_count, first.undo_token.len()), (4, 36));
        assert_eq!(apply(&service, change.clone()).await.unwrap(), first);
        let other = ApplySockOptRequest { options: Some(buffer(1)), ..change };
        assert_eq!(row(&apply(&service, other).await.unwrap_err()).1, "REQUEST_ID_REUSED");
    });
}

#[test]
fn flows_of_a_core_that_stops_to_answer_are_told_apart() {
    run(async {
        let (alive, hung) = (shared(full(0, 100)), shared(full(1, 50)));
        let ports = [&alive, &hung].into_iter().zip(0..).map(|(table, index)| {
            let scripted = Rc::clone(table);
            let port = worker(index, move |command| {
                let is_change = matches!(command, Command::SetSockOpts { .. });
                (!is_change || index == 0).then(|| answer(&scripted, command)).flatten()
            });
            table.borrow().publish(port.board());
            port
        });
        let service = Service::new(control(ports.collect(), settings()));
        let done = apply(&service, request("*", buffer(0))).await.unwrap();
        let counts = [done.matched_count, done.applied_count, done.unreached_count];
        assert_eq!((counts, done.unreachable.len()), ([150, 100, 50], 0));
        assert_eq!(undo(&service, &done.undo_token).await.unwrap().restored_count, 100);
    });
}

#[test]
fn a_batch_answers_each_request_in_its_order() {
    run(async {
        let flows = [flow(0, 0, 1, 0), flow(0, 1, 1, 0)];
        let table = shared(Table { slots: flows.into_iter().map(Some).collect(), now: 10 });
        let port = worker(0, move |command| {
            let Command::SetSockOpt { flow, change, expected_revision, .. } = command else {
                panic!("not asked: {command:?}")
            };
            let item = SockOptItem { flow, change, expected_revision };
            let outcome = set(&mut table.borrow_mut(), &item);
            Some(outcome.map(Reply::SockOpt).map_err(Into::into))
        });
        let service = Service::new(control(vec![port], settings()));
        let one = |flow: String, bytes| SetSockOptRequest {
            flow,
            change: Some(Change::Options(buffer(bytes))),
            ..Default::default()
        };
        let [first, second] = flows.map(|flow| format!("flows/{}", flow.id));
        let requests = vec![
            one(second.clone(), 4096),
            one("nonsense".to_owned(), 4096),
            one(first.clone(), -1),
            one(first.clone(), 8192),
        ];
        let batch = BatchSetSockOptRequest { requests, validate_only: false };
        let answer = service.batch_set_sock_opt(Request::new(batch)).await.unwrap().into_inner();
        let codes: Vec<_> = answer
            .results
            .iter()
            .map(|result| Code::from_i32(result.status.as_ref().unwrap().code))
            .collect();
        let invalid = Code::InvalidArgument;
        assert_eq!(codes, [Code::Ok, invalid, invalid, Code::Ok]);
        assert_eq!(answer.failed_count, 2);
        let names: Vec<_> = answer.results.iter().flat_map(|result| &result.response).collect();
        assert_eq!([&names[0].flow, &names[1].flow], [&second, &first]);
        assert_eq!((names[0].unchanged, names[1].unchanged), (false, true));
    });
}

#[test]
fn a_batch_has_one_to_a_thousand_requests() {
    run(async {
        let service = over(&[shared(full(0, 1))]);
        for count in [0, 1001] {
            let requests = vec![SetSockOptRequest::default(); count];
            let batch = BatchSetSockOptRequest { requests, validate_only: false };
            let status = service.batch_set_sock_opt(Request::new(batch)).await.unwrap_err();
            assert_eq!(fields(&status), ["requests"]);
        }
    });
}

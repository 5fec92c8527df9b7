//! From names to flows: handles, tuples in either direction, and names that are none.

use arrayvec::ArrayVec;
use mos_control::{Command, CommandPort, Refusal, Reply};
use mos_proto::v1::{GetFlowRequest, GetFlowResponse, flow_service_server::FlowService as _};
use mos_stack::{FlowDetails, FlowSummary, Sides};
use mosd::Service;
use tonic::{Code, Request, Status};

use crate::support::{fields, flow, metadata, row, run, service, worker, worker_id};

/// A worker that has these flows, whatever their tuples.
fn with(index: u16, flows: Vec<FlowSummary>) -> CommandPort {
    worker(index, move |command| {
        Some(match command {
            Command::Find { a, b, vlan } => Ok(Reply::Found(
                flows
                    .iter()
                    .filter(|flow| vlan.is_none() || flow.tuple.vlan == vlan)
                    .filter(|flow| {
                        let ends = (flow.tuple.client, flow.tuple.server);
                        ends == (a, b) || ends == (b, a)
                    })
                    .copied()
                    .collect::<ArrayVec<_, { mos_stack::FIND_MAX }>>(),
            )),
            Command::Inspect { flow: id } => flows
                .iter()
                .find(|flow| flow.id == id)
                .map(|flow| FlowDetails { summary: *flow, sides: Sides::default() })
                .map(Reply::Details)
                .ok_or(Refusal::Lookup(mos_stack::LookupError::NotFound)),
            Command::Clock
            | Command::Get { .. }
            | Command::SetSockOpt { .. }
            | Command::SetSockOpts { .. }
            | Command::SetPolicies { .. }
            | Command::Scan { .. }
            | Command::Peek { .. }
            | Command::Read { .. } => panic!("not asked"),
        })
    })
}

async fn get(service: &Service, flow: &str) -> Result<GetFlowResponse, Status> {
    let request = GetFlowRequest { flow: flow.to_owned(), view: 0 };
    service.get_flow(Request::new(request)).await.map(tonic::Response::into_inner)
}

fn in_vlan(mut flow: FlowSummary, vlan: u16) -> FlowSummary {
    flow.tuple.vlan = Some(vlan);
    flow
}

fn reversed(mut flow: FlowSummary) -> FlowSummary {
    std::mem::swap(&mut flow.tuple.client, &mut flow.tuple.server);
    flow
}

#[test]
fn a_tuple_is_found_on_any_worker_in_either_direction() {
    run(async {
        let wanted = flow(1, 4, 7, 0);
        let service = service(vec![with(0, Vec::new()), with(1, vec![wanted])]);
        let name = format!("flows/{}", wanted.id);
        for text in [
            "tcp/10.0.0.1:1000-10.0.0.2:80".to_owned(),
            "tcp/10.0.0.2:80-10.0.0.1:1000".to_owned(),
            wanted.id.to_string(),
            name.clone(),
        ] {
            let flow = get(&service, &text).await.unwrap().flow.unwrap();
            assert_eq!(flow.name, name, "{text}");
            assert_eq!(flow.tuple.unwrap().client_port, 1000);
            // The full view is the default here.
            assert!(flow.client_stats.is_some());
        }
        let status = get(&service, "tcp/10.0.0.1:1000-10.0.0.2:81").await.unwrap_err();
        assert_eq!(row(&status), (Code::NotFound, "FLOW_NOT_FOUND".into(), "EBADF".into()));
    });
}

#[test]
fn a_match_as_given_comes_before_a_reversed_one() {
    run(async {
        let (given, other) = (flow(0, 1, 1, 0), reversed(flow(0, 2, 1, 0)));
        let service = service(vec![with(0, vec![other, given])]);
        let found = get(&service, "tcp/10.0.0.1:1000-10.0.0.2:80").await.unwrap().flow.unwrap();
        assert_eq!(found.name, format!("flows/{}", given.id));
    });
}

#[test]
fn a_tuple_that_fits_two_flows_is_ambiguous_until_the_vlan_is_named() {
    run(async {
        let (first, second) = (in_vlan(flow(0, 1, 1, 0), 10), in_vlan(flow(1, 1, 1, 0), 20));
        let service = service(vec![with(0, vec![first]), with(1, vec![second])]);
        let status = get(&service, "tcp/10.0.0.1:1000-10.0.0.2:80").await.unwrap_err();
        assert_eq!(row(&status).1, "AMBIGUOUS_FLOW");
        let names = metadata(&status, "flows");
        assert_eq!(names, format!("flows/{},flows/{}", first.id, second.id));
        let found = get(&service, "tcp/10.0.0.1:1000-10.0.0.2:80@20").await.unwrap().flow.unwrap();
        assert_eq!(found.name, format!("flows/{}", second.id));
    });
}

#[test]
fn a_tuple_is_not_denied_while_a_worker_is_silent() {
    run(async {
        let refusing = worker(1, |_| Some(Err(Refusal::WorkerStopping(worker_id(1)))));
        let service = service(vec![with(0, vec![flow(0, 1, 1, 0)]), refusing]);
        let status = get(&service, "tcp/10.0.0.9:1-10.0.0.2:80").await.unwrap_err();
        assert_eq!(row(&status).1, "CORE_DRAINING");
        // What is found is found.
        get(&service, "tcp/10.0.0.1:1000-10.0.0.2:80").await.unwrap();
    });
}

#[test]
fn names_that_are_none_are_refused_without_asking_anybody() {
    run(async {
        let service = service(vec![worker(0, |command| panic!("asked {command:?}"))]);
        for (name, code, reason) in [
            ("", Code::InvalidArgument, "FLOW_NAME_INVALID"),
            ("flows/xyz", Code::InvalidArgument, "FLOW_NAME_INVALID"),
            ("tcp/10.0.0.1-10.0.0.2", Code::InvalidArgument, "FLOW_NAME_INVALID"),
            ("cores/0", Code::FailedPrecondition, "FLOW_NOT_MONITORED"),
            ("flows/00c0000000000001", Code::NotFound, "CORE_NOT_FOUND"),
        ] {
            let status = get(&service, name).await.unwrap_err();
            assert_eq!((status.code(), row(&status).1.as_str()), (code, reason), "{name}");
            if code == Code::InvalidArgument {
                assert_eq!(fields(&status), ["flow"]);
            }
        }
    });
}

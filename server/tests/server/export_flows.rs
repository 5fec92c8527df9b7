//! `RankFlows` and `ExportFlows` over scripted tables.

use std::collections::HashSet;

use crate::support::{control, fields, flow, full, over, row, run, settings, shared, worker};
use mos_proto::v1::{
    ExportFlowsRequest, ExportFlowsResponse, RankFlowsRequest, RankFlowsResponse,
    flow_service_server::FlowService as _,
};
use mos_stack::Instant;
use mosd::Service;
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, Status};

async fn rank(service: &Service, rank_by: &str, limit: i32) -> Result<RankFlowsResponse, Status> {
    let request = RankFlowsRequest { rank_by: rank_by.to_owned(), limit, ..Default::default() };
    service.rank_flows(Request::new(request)).await.map(tonic::Response::into_inner)
}

async fn export(service: &Service, filter: &str, view: i32) -> Vec<ExportFlowsResponse> {
    let request = ExportFlowsRequest { filter: filter.to_owned(), view };
    let stream = service.export_flows(Request::new(request)).await.unwrap().into_inner();
    stream.map(Result::unwrap).collect().await
}

#[test]
fn the_largest_values_come_first_whatever_the_order_of_the_slots() {
    run(async {
        let mut table = full(0, 5000);
        for (flow, number) in table.slots.iter_mut().flatten().zip(0_u64..) {
            // 0 to 4999 in some order.
            flow.sides.client.payload_bytes = number * 1999 % 5000;
            flow.started = Instant::from_nanos(number % 10);
        }
        let service = over(&[shared(table), shared(full(1, 100))]);
        let answer = rank(&service, "", 0).await.unwrap();
        let bytes = answer
            .flows
            .iter()
            .map(|flow| flow.client_stats.as_ref().map(|stats| stats.payload_bytes).unwrap());
        assert!(bytes.eq((0..20).map(|at| 4999 - at)), "{answer:?}");
        assert_eq!(rank(&service, "payload_bytes", i32::MAX).await.unwrap().flows.len(), 1000);
        let oldest = rank(&service, "age", 600).await.unwrap();
        let nanos = |flow: &mos_proto::v1::Flow| flow.start_time.map(|time| time.nanos);
        assert!(oldest.flows.iter().all(|flow| nanos(flow) == Some(0)));
        // None of them has a value.
        assert_eq!(rank(&service, "unacknowledged_bytes", 9).await.unwrap().flows, []);
    });
}

#[test]
fn what_makes_no_ranks_is_refused() {
    run(async {
        let service = over(&[shared(full(0, 1))]);
        for rank_by in ["core", "client.address", "client_state", "nonsense"] {
            let status = rank(&service, rank_by, 0).await.unwrap_err();
            assert_eq!(fields(&status), ["rank_by"], "{rank_by}");
        }
        assert_eq!(fields(&rank(&service, "", -1).await.unwrap_err()), ["limit"]);
    });
}

#[test]
fn an_export_has_every_flow_once_in_chunks_that_clients_take_and_a_summary_last() {
    run(async {
        let service = over(&[shared(full(0, 4000)), shared(full(1, 130))]);
        for (filter, view, expected) in [("", 1, 4130_i32), ("", 2, 4130), ("core = 1", 1, 130)] {
            let chunks = export(&service, filter, view).await;
            let (last, chunks) = chunks.split_last().unwrap();
            let summary = last.summary.as_ref().unwrap();
            assert_eq!((summary.flow_count, summary.unreachable.len()), (expected.into(), 0));
            assert!(last.flows.is_empty());
            for chunk in chunks {
                assert!(chunk.encoded_len() <= 64 * 1024 && chunk.summary.is_none());
            }
            let names: Vec<_> = chunks.iter().flat_map(|c| &c.flows).map(|f| &f.name).collect();
            let distinct: HashSet<_> = names.iter().collect();
            let expected = usize::try_from(expected).unwrap();
            assert_eq!((names.len(), distinct.len()), (expected, expected));
        }
    });
}

#[test]
fn a_flow_that_begins_during_the_export_is_left_out() {
    run(async {
        let table = shared(full(0, 10));
        table.borrow_mut().slots[3] = Some(flow(0, 3, 2, 11));
        let chunks = export(&over(&[table]), "", 0).await;
        assert_eq!(chunks.last().unwrap().summary.as_ref().unwrap().flow_count, 9);
    });
}

#[test]
fn a_core_that_does_not_answer_is_named_in_the_summary() {
    run(async {
        let silent = worker(0, |_| None);
        let table = full(1, 5);
        let works = worker(1, move |command| table.answer(command));
        let service = Service::new(control(vec![silent, works], settings()));
        let chunks = export(&service, "", 0).await;
        let summary = chunks.last().unwrap().summary.clone().unwrap();
        assert_eq!((summary.flow_count, summary.unreachable), (5, vec!["cores/0".to_owned()]));
    });
}

#[test]
fn an_export_holds_its_place_until_it_ends() {
    run(async {
        let service = over(&[shared(full(0, 10))]);
        let begin = || service.export_flows(Request::new(ExportFlowsRequest::default()));
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(begin().await.unwrap());
        }
        let Err(refused) = begin().await else { panic!("a fifth one") };
        let (code, reason, _) = row(&refused);
        assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_CALLS"));
        drop(open);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        drop(begin().await.unwrap());
    });
}

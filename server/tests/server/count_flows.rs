//! `CountFlows` over scripted tables.

use crate::support::{
    Shared, Table, control, fields, flow, full, over, row, run, settings, shared, worker,
};
use mos_proto::v1::{CountFlowsRequest, CountFlowsResponse, flow_service_server::FlowService as _};
use mos_stack::TcpState;
use mosd::Service;
use tonic::{Code, Request, Status};

async fn count(
    service: &Service,
    filter: &str,
    group_by: &[&str],
) -> Result<CountFlowsResponse, Status> {
    let group_by = group_by.iter().map(|field| (*field).to_owned()).collect();
    let request = CountFlowsRequest { filter: filter.to_owned(), group_by };
    service.count_flows(Request::new(request)).await.map(tonic::Response::into_inner)
}

fn rows(answer: &CountFlowsResponse) -> Vec<(Vec<&str>, i64)> {
    let row = |group: &mos_proto::v1::FlowGroup| group.flow_count;
    let values = answer.groups.iter().map(|group| group.values.iter().map(String::as_str));
    values.map(Iterator::collect).zip(answer.groups.iter().map(row)).collect()
}

/// Two tables; of the first, every other flow is closing.
fn tables() -> [Shared<Table>; 2] {
    let mut first = full(0, 200);
    for flow in first.slots.iter_mut().flatten().step_by(2) {
        flow.sides.client.state = TcpState::CloseWait;
        flow.tuple.vlan = Some(7);
    }
    [shared(first), shared(full(1, 70))]
}

#[test]
fn every_flow_that_matches_is_counted_once() {
    run(async {
        let service = over(&tables());
        for (filter, expected) in
            [("", 270), ("core = 1", 70), ("client_state = CLOSE_WAIT", 100), ("core = 5", 0)]
        {
            let answer = count(&service, filter, &[]).await.unwrap();
            let expected = CountFlowsResponse { flow_count: expected, ..Default::default() };
            assert_eq!(answer, expected, "{filter}");
        }
    });
}

#[test]
fn groups_come_largest_first_with_values_as_filters_spell_them() {
    run(async {
        let service = over(&tables());
        let answer = count(&service, "", &["client_state", "core"]).await.unwrap();
        let expected = [
            (vec!["CLOSE_WAIT", "0"], 100),
            (vec!["ESTABLISHED", "0"], 100),
            (vec!["ESTABLISHED", "1"], 70),
        ];
        assert_eq!((rows(&answer), answer.other_count), (expected.to_vec(), 0));
        let answer = count(&service, "core = 0", &["vlan"]).await.unwrap();
        assert_eq!(rows(&answer), [(vec![""], 100), (vec!["7"], 100)]);
        for (field, value) in [
            ("client.address", "10.0.0.1"),
            ("server.port", "80"),
            ("one_sided", "false"),
            ("stop_monitoring", "NONE"),
            ("options.client_buffer_bytes", "8192"),
            ("options.server_overlap", "FIRST"),
        ] {
            let answer = count(&service, "", &[field]).await.unwrap();
            assert_eq!(rows(&answer), [(vec![value], 270)], "{field}");
        }
    });
}

#[test]
fn beyond_a_thousand_groups_the_flows_of_the_smaller_ones_are_told_in_one_number() {
    run(async {
        let mut table = full(0, 12_000);
        for (flow, port) in table.slots.iter_mut().flatten().zip(0..) {
            // Port 1 has 12 flows, and all others one each.
            flow.tuple.client.set_port(if port < 12 { 1 } else { 20_000 + port });
        }
        let answer = count(&over(&[shared(table)]), "", &["client.port"]).await.unwrap();
        assert_eq!((answer.flow_count, answer.groups.len()), (12_000, 1000));
        assert_eq!(rows(&answer)[0], (vec!["1"], 12));
        let shown: i64 = answer.groups.iter().map(|group| group.flow_count).sum();
        assert_eq!((shown, answer.other_count), (1011, 12_000 - 1011));
    });
}

#[test]
fn what_makes_no_groups_is_refused() {
    run(async {
        let service = over(&[shared(full(0, 1))]);
        let three = ["core", "vlan", "one_sided"];
        for group_by in [&["age"][..], &["payload_bytes"], &["nonsense"], &[""], &three] {
            let status = count(&service, "", group_by).await.unwrap_err();
            assert_eq!(fields(&status), ["group_by"], "{group_by:?}");
            assert!(status.message().len() < 500, "{status:?}");
        }
        let status = count(&service, "nonsense", &[]).await.unwrap_err();
        assert_eq!(fields(&status), ["filter"]);
    });
}

#[test]
fn a_flow_that_begins_during_the_count_is_not_in_it() {
    run(async {
        let table = shared(full(0, 10));
        table.borrow_mut().slots[3] = Some(flow(0, 3, 2, 11));
        assert_eq!(count(&over(&[table]), "", &[]).await.unwrap().flow_count, 9);
    });
}

#[test]
fn a_core_that_does_not_answer_is_named_and_the_others_are_counted() {
    run(async {
        let silent = worker(0, |_| None);
        let table = full(1, 5);
        let works = worker(1, move |command| table.answer(command));
        let service = Service::new(control(vec![silent, works], settings()));
        let answer = count(&service, "", &[]).await.unwrap();
        assert_eq!(answer.flow_count, 5);
        assert_eq!(answer.unreachable, ["cores/0"]);
    });
}

#[test]
fn a_caller_has_four_walks_under_way_at_most() {
    run(async {
        let service = over(&[shared(full(0, 100))]);
        let (first, second, third, fourth, fifth) = tokio::join!(
            count(&service, "", &[]),
            count(&service, "", &[]),
            count(&service, "", &[]),
            count(&service, "", &[]),
            count(&service, "", &[])
        );
        assert!([first, second, third, fourth].iter().all(Result::is_ok));
        let refused = fifth.unwrap_err();
        let (code, reason, _) = row(&refused);
        assert_eq!((code, reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_CALLS"));
        count(&service, "", &[]).await.unwrap();
    });
}

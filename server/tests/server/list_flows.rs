//! Pages of `ListFlows` over scripted tables that change under the walk.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use crate::support::{
    Shared, Table, fields, flow, full, metadata, over, row, run, shared, worker, worker_id,
};
use mos_control::{Command, Refusal, Reply};
use mos_proto::v1::{
    FlowOptions, FlowView, ListFlowsRequest, ListFlowsResponse, SetSockOptRequest,
    flow_service_server::FlowService as _, set_sock_opt_request,
};
use mos_stack::{Applied, FlowSummary, Gauges, SockOpts, Stats, StreamOffset};
use mosd::Service;
use tonic::{Code, Request, Status};

/// Walks in the property test.
const WALKS: u32 = 100_000;

/// Of these, those over the same tables.
const WALKS_EACH: u32 = 20;

/// xorshift64*: a small source of numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        u32::try_from(number % u64::from(bound)).unwrap()
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

async fn page(service: &Service, request: ListFlowsRequest) -> Result<ListFlowsResponse, Status> {
    service.list_flows(Request::new(request)).await.map(tonic::Response::into_inner)
}

fn of_size(page_size: i32, page_token: &str) -> ListFlowsRequest {
    ListFlowsRequest { page_size, page_token: page_token.to_owned(), ..Default::default() }
}

/// Ends, replaces and begins flows; never touches those that last.
fn churn(table: &mut Table, worker: u16, lasting: &HashSet<String>, numbers: &mut Numbers) {
    table.now += 1;
    for _ in 0..numbers.below(4) {
        let slot = numbers.below(u32::try_from(table.slots.len()).unwrap());
        let now = table.now;
        let cell = &mut table.slots[slot as usize];
        let lasts = cell.is_some_and(|flow| lasting.contains(&format!("flows/{}", flow.id)));
        let generation = cell.map_or(1, |flow| flow.id.generation() + 1);
        if !lasts {
            *cell = numbers.once_in(2).then(|| flow(worker, slot, generation, now));
        }
    }
}

/// A table with free slots and flows, some of which are to last.
fn some_table(worker: u16, lasting: &mut HashSet<String>, numbers: &mut Numbers) -> Table {
    let slots = 1 + if numbers.once_in(20) { numbers.below(200) } else { numbers.below(20) };
    let mut flow_in = |slot| {
        let flow = flow(worker, slot, 1, numbers.below(10).into());
        if numbers.once_in(2) {
            lasting.insert(format!("flows/{}", flow.id));
        }
        (!numbers.once_in(3)).then_some(flow)
    };
    Table { slots: (0..slots).map(&mut flow_in).collect(), now: 10 }
}

/// One walk: returns how often each flow was listed.
async fn walk(
    service: &Service,
    tables: &[Shared<Table>],
    lasting: &HashSet<String>,
    numbers: &mut Numbers,
) -> HashMap<String, u32> {
    let (mut listed, mut token) = (HashMap::new(), String::new());
    loop {
        let size = 1 + i32::try_from(numbers.below(40)).unwrap();
        let answer = page(service, of_size(size, &token)).await.unwrap();
        assert!(answer.flows.len() <= usize::try_from(size).unwrap());
        for flow in answer.flows {
            *listed.entry(flow.name).or_insert(0) += 1;
        }
        token = answer.next_page_token;
        if token.is_empty() {
            return listed;
        }
        for (index, table) in (0..).zip(tables) {
            churn(&mut table.borrow_mut(), index, lasting, numbers);
        }
    }
}

/// Some walks over tables of their own.
async fn some_walks(numbers: &mut Numbers) -> u32 {
    let mut lasting = HashSet::new();
    let workers = 1 + u16::try_from(numbers.below(3)).unwrap();
    let tables: Vec<Shared<Table>> =
        (0..workers).map(|worker| shared(some_table(worker, &mut lasting, numbers))).collect();
    let there: HashSet<String> = tables
        .iter()
        .flat_map(|table| {
            table.borrow().slots.iter().flatten().map(|flow| flow.id).collect::<Vec<_>>()
        })
        .map(|id| format!("flows/{id}"))
        .collect();
    let service = over(&tables);
    for _ in 0..WALKS_EACH {
        // Flows that begin during a walk are never listed, so nothing is there twice.
        let listed = walk(&service, &tables, &lasting, numbers).await;
        for name in lasting.intersection(&there) {
            assert_eq!(listed.get(name), Some(&1), "{name}");
        }
        assert!(listed.values().all(|times| *times == 1), "{listed:?}");
    }
    WALKS_EACH
}

#[test]
fn every_lasting_flow_is_listed_exactly_once_whatever_the_pages_and_the_churn() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut walks = 0;
    while walks < WALKS {
        // The workers of these walks end with them.
        run(async { walks += some_walks(&mut numbers).await });
    }
}

#[test]
fn a_flow_that_begins_after_the_first_page_is_never_listed() {
    run(async {
        let table = shared(full(0, 10));
        let service = over(&[Rc::clone(&table)]);
        let first = page(&service, of_size(5, "")).await.unwrap();
        table.borrow_mut().slots[7] = Some(flow(0, 7, 2, 11));
        let second = page(&service, of_size(50, &first.next_page_token)).await.unwrap();
        assert_eq!((first.flows.len(), second.flows.len()), (5, 4));
        assert_eq!(second.next_page_token, "");
    });
}

#[test]
fn sizes_of_pages_are_bounded() {
    run(async {
        let service = over(&[shared(full(0, 1500))]);
        assert_eq!(page(&service, of_size(0, "")).await.unwrap().flows.len(), 100);
        let answer = page(&service, of_size(i32::MAX, "")).await.unwrap();
        assert_eq!((answer.flows.len(), answer.total_size), (1000, 1500));
        let status = page(&service, of_size(-1, "")).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["page_size"]);
    });
}

/// Scans that some worker is asked for by a page.
async fn scans_for(table: Table, request: ListFlowsRequest) -> usize {
    let scans = shared(0);
    let slots = table.slots.len() as u64;
    let counting = worker(0, {
        let scans = Rc::clone(&scans);
        move |command| {
            *scans.borrow_mut() += usize::from(matches!(command, Command::Scan { .. }));
            table.answer(command)
        }
    });
    counting.board().publish(&Stats::default(), Gauges { flow_slots: slots, ..Gauges::default() });
    page(&crate::support::service(vec![counting]), request).await.unwrap();
    *scans.borrow()
}

#[test]
fn a_worker_is_asked_for_no_more_than_a_page_needs() {
    run(async {
        assert_eq!(scans_for(full(0, 20_000), of_size(1000, "")).await, 1000_usize.div_ceil(64));
        assert_eq!(scans_for(full(0, 20_000), of_size(0, "")).await, 2);
        assert_eq!(scans_for(full(0, 20_000), of_size(1, "")).await, 1);
        // Every other slot is free: after the first block that is known.
        let mut holey = full(0, 20_000);
        holey.slots.iter_mut().step_by(2).for_each(|slot| *slot = None);
        assert!(scans_for(holey, of_size(1000, "")).await <= 2000_usize.div_ceil(64) + 1);
    });
}

#[test]
fn a_sparse_filter_ends_a_page_after_65536_slots_and_goes_on_there() {
    run(async {
        let table = shared(Table { slots: vec![None; 100_000], now: 10 });
        table.borrow_mut().slots[99_999] = Some(flow(0, 99_999, 1, 0));
        let service = over(&[table]);
        let first = page(&service, of_size(5, "")).await.unwrap();
        assert_eq!(first.flows.len(), 0);
        assert_ne!(first.next_page_token, "");
        let second = page(&service, of_size(5, &first.next_page_token)).await.unwrap();
        assert_eq!((second.flows.len(), second.next_page_token.as_str()), (1, ""));
    });
}

#[test]
fn a_filter_chooses_flows_and_estimates_their_number() {
    run(async {
        let service = over(&[shared(full(0, 50)), shared(full(1, 150))]);
        let filter = |text: &str| ListFlowsRequest { filter: text.to_owned(), ..of_size(1000, "") };
        let answer = page(&service, filter("core = 1")).await.unwrap();
        assert_eq!((answer.flows.len(), answer.total_size), (150, 150));
        let status = page(&service, filter("core = 1 AND core = 2 OR core = 3")).await.unwrap_err();
        assert_eq!(row(&status).1, "FILTER_AMBIGUOUS");
        assert_eq!(metadata(&status, "column"), "23");
        assert_eq!(fields(&status), ["filter"]);
        let status = page(&service, filter("policy = web")).await.unwrap_err();
        assert_eq!(row(&status).1, "FILTER_FIELD_UNAVAILABLE");
        let status = page(&service, filter("nonsense")).await.unwrap_err();
        assert_eq!(row(&status).1, "FILTER_INVALID");
    });
}

#[test]
fn what_was_acknowledged_is_told_beside_what_was_sent() {
    run(async {
        let mut told = flow(0, 0, 1, 0);
        told.sides.client.acknowledged = Some(StreamOffset(46));
        told.sides.server.buffer.next = StreamOffset(69);
        told.sides.server.acknowledged = Some(StreamOffset(43));
        told.sides.client.buffer.next = StreamOffset(43);
        let slots = vec![Some(told), Some(flow(0, 1, 1, 0))];
        let service = over(&[shared(Table { slots, now: 10 })]);
        let full = ListFlowsRequest { view: FlowView::Full.into(), ..of_size(10, "") };
        let answer = page(&service, full.clone()).await.unwrap();
        let offsets: Vec<_> = answer
            .flows
            .iter()
            .flat_map(|flow| [flow.client_stats.as_ref(), flow.server_stats.as_ref()])
            .map(|side| side.map(|side| (side.stream_bytes, side.acknowledged_offset)).unwrap())
            .collect();
        assert_eq!(offsets, [(69, Some(46)), (43, Some(43)), (0, None), (0, None)]);
        let filter = "unacknowledged_bytes = 23".to_owned();
        let answer = page(&service, ListFlowsRequest { filter, ..full }).await.unwrap();
        assert_eq!(answer.flows.len(), 1, "the other flow's are not known");
    });
}

#[test]
fn suspicious_segments_are_told_of_each_side_and_found_by_a_filter() {
    run(async {
        let mut attacked = flow(0, 0, 1, 0);
        attacked.sides.client.suspicious_segments = 3;
        attacked.sides.server.suspicious_segments = 1;
        let slots = vec![Some(attacked), Some(flow(0, 1, 1, 0))];
        let service = over(&[shared(Table { slots, now: 10 })]);
        let filter = "suspicious_segments > 0".to_owned();
        let asked = ListFlowsRequest { filter, view: FlowView::Full.into(), ..of_size(10, "") };
        let answer = page(&service, asked).await.unwrap();
        let [told] = &answer.flows[..] else { panic!("{answer:?}") };
        let counts = [told.client_stats.as_ref(), told.server_stats.as_ref()]
            .map(|side| side.unwrap().suspicious_segment_count);
        assert_eq!(counts, [3, 1]);
    });
}

#[test]
fn a_flow_of_which_one_side_was_never_heard_is_told_and_found_by_a_filter() {
    run(async {
        let one_sided = FlowSummary { is_one_sided: true, ..flow(0, 0, 1, 0) };
        let slots = vec![Some(one_sided), Some(flow(0, 1, 1, 0))];
        let service = over(&[shared(Table { slots, now: 10 })]);
        for (filter, is_told) in [("one_sided = true", true), ("one_sided = false", false)] {
            let asked = ListFlowsRequest { filter: filter.to_owned(), ..of_size(10, "") };
            let answer = page(&service, asked).await.unwrap();
            let told: Vec<_> = answer.flows.iter().map(|flow| flow.one_sided).collect();
            assert_eq!(told, [is_told], "{filter}");
        }
    });
}

#[test]
fn a_token_belongs_to_its_request_and_its_start() {
    run(async {
        let service = over(&[shared(full(0, 50))]);
        let token = page(&service, of_size(5, "")).await.unwrap().next_page_token;
        let other = ListFlowsRequest { filter: "core = 0".to_owned(), ..of_size(5, &token) };
        let cases = [
            (page(&service, other).await, "request_changed"),
            (page(&service, of_size(5, "garbage")).await, "malformed"),
            (page(&over(&[shared(full(0, 50))]), of_size(5, &token)).await, "restarted"),
        ];
        for (outcome, cause) in cases {
            let status = outcome.unwrap_err();
            assert_eq!(
                row(&status),
                (Code::InvalidArgument, "PAGE_TOKEN_INVALID".into(), "".into())
            );
            assert_eq!(metadata(&status, "cause"), cause);
            assert_eq!(fields(&status), ["page_token"]);
        }
        // The size of a page may change between pages.
        assert_eq!(page(&service, of_size(500, &token)).await.unwrap().flows.len(), 45);
    });
}

#[test]
fn a_worker_that_does_not_answer_is_named_and_passed_over() {
    run(async {
        let silent = worker(0, |_| None);
        let table = full(1, 5);
        let answering = worker(1, move |command| table.answer(command));
        let refusing = worker(2, |_| Some(Err(Refusal::WorkerStopping(worker_id(2)))));
        let service = crate::support::service(vec![silent, answering, refusing]);
        let answer = page(&service, of_size(10, "")).await.unwrap();
        assert_eq!(answer.flows.len(), 5);
        assert_eq!(answer.unreachable, ["cores/0", "cores/2"]);
        assert_eq!(answer.next_page_token, "");
    });
}

#[test]
fn a_page_goes_on_where_a_worker_fell_silent_within_it() {
    run(async {
        let table = full(0, 200);
        let mut scans = 0;
        let tiring = worker(0, move |command| {
            scans += u32::from(matches!(command, Command::Scan { .. }));
            if scans > 2 { None } else { table.answer(command) }
        });
        let answer = page(&crate::support::service(vec![tiring]), of_size(1000, "")).await.unwrap();
        assert_eq!(
            (answer.flows.len(), answer.unreachable.as_slice()),
            (128, &["cores/0".into()][..])
        );
    });
}

/// Flows listed and workers unreachable on all pages together: a page also ends where its time is
/// up.
async fn all_pages(service: &Service) -> (usize, usize) {
    let (mut listed, mut unreachable, mut token) = (0, 0, String::new());
    loop {
        let answer = page(service, of_size(1000, &token)).await.unwrap();
        listed += answer.flows.len();
        unreachable += answer.unreachable.len();
        token = answer.next_page_token;
        if token.is_empty() {
            return (listed, unreachable);
        }
    }
}

#[test]
fn many_lists_at_once_are_all_complete_and_options_are_changed_meanwhile() {
    run(async {
        let table = full(0, 700);
        let id = table.slots[0].unwrap().id.to_string();
        let applied = Applied {
            previous: SockOpts::default(),
            options: SockOpts::default(),
            revision: 1,
            unchanged: false,
            discarded_bytes: 0,
        };
        let worker = worker(0, move |command| {
            let is_change = matches!(command, Command::SetSockOpt { .. });
            if is_change { Some(Ok(Reply::SockOpt(applied))) } else { table.answer(command) }
        });
        let gauges = Gauges { flow_slots: 700, ..Gauges::default() };
        worker.board().publish(&Stats::default(), gauges);
        let service = crate::support::service(vec![worker]);
        let mut lists = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let service = service.clone();
            drop(lists.spawn_local(async move { all_pages(&service).await }));
        }
        let change = || SetSockOptRequest {
            flow: id.clone(),
            change: Some(set_sock_opt_request::Change::Options(FlowOptions {
                client_buffer_bytes: Some(8192),
                ..Default::default()
            })),
            ..Default::default()
        };
        let mut listed = 0;
        while listed < 200 {
            tokio::select! {
                Some(answer) = lists.join_next() => {
                    assert_eq!(answer.unwrap(), (700, 0));
                    listed += 1;
                }
                changed = service.set_sock_opt(Request::new(change())) => drop(changed.unwrap()),
            }
        }
    });
}

#[test]
fn a_short_time_that_a_hung_worker_uses_up_is_not_charged_to_the_next() {
    run(async {
        let table = full(1, 5);
        let answering = worker(1, move |command| table.answer(command));
        let service = crate::support::service(vec![worker(0, |_| None), answering]);
        let mut request = Request::new(of_size(10, ""));
        request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
        let answer = service.list_flows(request).await.unwrap().into_inner();
        assert_eq!((answer.flows.len(), answer.next_page_token.as_str()), (5, ""));
        assert_eq!(answer.unreachable, ["cores/0"]);
    });
}

//! What can go wrong between an RPC and a worker: each outcome is its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use mos_control::{Answer, Command, Phase, Refusal, Reply, Request, WorkerPort, link};
use mos_proto::v1::{GetFlowRequest, flow_service_server::FlowService as _};
use mosd::WorkerClient;
use tokio::time::Instant;
use tonic::Code;

use crate::support::{flow, metadata, row, run, service, worker, worker_id};

/// For an answer that does not come.
fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

/// For an answer that comes.
fn late() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn linked() -> (WorkerClient, WorkerPort) {
    let (port, worker) = link(worker_id(0));
    worker.board().set_phase(Phase::Running);
    (WorkerClient::spawn(port).0, worker)
}

#[test]
fn more_than_the_way_to_the_worker_holds_is_refused_at_once() {
    run(async {
        let (client, _worker) = linked();
        // The task that owns the port does not run before the next await.
        let begun: Vec<_> =
            (0..mos_control::COMMAND_RING).map(|_| client.begin(Command::Clock).unwrap()).collect();
        let refused = client.begin(Command::Clock).unwrap_err();
        assert_eq!(refused, Refusal::RingFull(worker_id(0)));
        drop(begun);
    });
}

#[test]
fn commands_beyond_the_ring_are_refused_and_those_on_it_are_carried_out() {
    run(async {
        let (client, mut worker) = linked();
        let asked: Vec<_> =
            (0..mos_control::COMMAND_RING).map(|_| client.begin(Command::Clock).unwrap()).collect();
        while client.depth() < mos_control::COMMAND_RING {
            tokio::task::yield_now().await;
        }
        let one_more = client.ask(Command::Clock, late()).await;
        assert_eq!(one_more.unwrap_err(), Refusal::RingFull(worker_id(0)));
        while let Some(request) = worker.take() {
            worker.answer(Answer { id: request.id, outcome: Ok(Reply::Clock(Default::default())) });
        }
        for answer in asked {
            assert!(matches!(answer.wait(late()).await, Ok(Reply::Clock(_))));
        }
    });
}

#[test]
fn a_worker_that_does_not_run_is_not_asked() {
    run(async {
        let (port, worker) = link(worker_id(0));
        let (client, _task) = WorkerClient::spawn(port);
        for (phase, runs) in [
            (Phase::Starting, false),
            (Phase::Running, true),
            (Phase::Drained, true),
            (Phase::Stopped, false),
        ] {
            worker.board().set_phase(phase);
            let outcome = client.begin(Command::Clock);
            assert_eq!(outcome.err(), (!runs).then_some(Refusal::WorkerNotRunning(worker_id(0))));
        }
    });
}

#[test]
fn a_worker_that_goes_away_leaves_nobody_waiting() {
    run(async {
        let (client, mut worker) = linked();
        let (first, second) =
            (client.begin(Command::Clock).unwrap(), client.begin(Command::Clock).unwrap());
        let request = loop {
            if let Some(request) = worker.take() {
                break request;
            }
            tokio::task::yield_now().await;
        };
        let outcome = Err(Refusal::WorkerStopping(worker_id(0)));
        worker.answer(Answer { id: request.id, outcome });
        drop(worker);
        let stopping = Refusal::WorkerStopping(worker_id(0));
        let gone = Refusal::WorkerNotRunning(worker_id(0));
        assert_eq!(first.wait(late()).await.unwrap_err(), stopping);
        assert_eq!(second.wait(late()).await.unwrap_err(), gone);
        assert_eq!(client.ask(Command::Clock, late()).await.unwrap_err(), gone);
    });
}

#[test]
fn an_answer_after_the_deadline_is_dropped_and_counted() {
    run(async {
        let (client, mut worker) = linked();
        let outcome = client.ask(Command::Clock, soon()).await;
        assert_eq!(outcome.unwrap_err(), Refusal::NoAnswer(worker_id(0)));
        assert_eq!(client.unclaimed(), 0);
        let request = worker.take().unwrap();
        worker.answer(Answer { id: request.id, outcome: Ok(Reply::Clock(Default::default())) });
        while client.unclaimed() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.unclaimed(), 1);
    });
}

#[test]
fn a_worker_on_another_thread_is_reached_while_it_sleeps_between_turns() {
    let (port, mut worker) = link(worker_id(0));
    worker.board().set_phase(Phase::Running);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        while !stopped.load(Relaxed) {
            worker.take().into_iter().for_each(|Request { id, .. }| {
                worker.answer(Answer { id, outcome: Ok(Reply::Clock(Default::default())) });
            });
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (client, _task) = WorkerClient::spawn(port);
        for _ in 0..50 {
            assert!(matches!(client.ask(Command::Clock, late()).await, Ok(Reply::Clock(_))));
        }
    });
    stop.store(true, Relaxed);
    thread.join().unwrap();
}

/// Gives every task more turns than it needs until it waits.
async fn everything_has_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn get(flow: &str) -> tonic::Request<GetFlowRequest> {
    tonic::Request::new(GetFlowRequest { flow: flow.to_owned(), view: 0 })
}

#[test]
fn a_missing_answer_is_told_at_the_clients_own_deadline() {
    run(async {
        let service = service(vec![worker(0, |_| None)]);
        let mut request = get("flows/0000000000000001");
        request.metadata_mut().insert("grpc-timeout", "200m".parse().unwrap());
        // The clock stands still but for the steps of this test.
        tokio::time::pause();
        let answer = tokio::task::spawn_local(async move { service.get_flow(request).await });
        for millis in [0, 150] {
            tokio::time::advance(Duration::from_millis(millis)).await;
            everything_has_run().await;
            assert!(!answer.is_finished(), "after {millis} ms");
        }
        // Not the default of 5 s.
        tokio::time::advance(Duration::from_millis(50)).await;
        everything_has_run().await;
        assert!(answer.is_finished(), "not after 200 ms");
        let status = answer.await.unwrap().unwrap_err();
        let expected = (Code::DeadlineExceeded, "CORE_ACK_TIMEOUT".into(), "ETIMEDOUT".into());
        assert_eq!(row(&status), expected);
        assert_eq!(metadata(&status, "core"), "0");
    });
}

#[test]
fn every_refusal_of_a_worker_arrives_as_its_row() {
    run(async {
        let core = worker_id(0);
        for (refusal, reason) in [
            (Refusal::WorkerStopping(core), "CORE_DRAINING"),
            (Refusal::RingFull(core), "CORE_QUEUE_FULL"),
            (Refusal::Lookup(mos_stack::LookupError::NotFound), "FLOW_NOT_FOUND"),
            (Refusal::Lookup(mos_stack::LookupError::Ended { cause: None }), "FLOW_ENDED"),
        ] {
            let service = service(vec![worker(0, move |_| Some(Err(refusal)))]);
            let status = service.get_flow(get("flows/0000000000000001")).await.unwrap_err();
            assert_eq!(row(&status).1, reason);
        }
    });
}

#[test]
fn a_reply_to_another_command_is_an_error_of_ours() {
    run(async {
        let id = flow(0, 1, 1, 0).id;
        let service = service(vec![worker(0, |_| Some(Ok(Reply::Clock(Default::default()))))]);
        let status = service.get_flow(get(&id.to_string())).await.unwrap_err();
        assert_eq!((status.code(), row(&status).1), (Code::Internal, "INTERNAL".into()));
    });
}

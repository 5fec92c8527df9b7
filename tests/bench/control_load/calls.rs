//! The clients: calls at a steady rate, as many calls as possible, and lists.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use mos_proto::v1::{
    ApplySockOptRequest, CountFlowsRequest, FlowOptions, ListFlowsRequest, SetSockOptRequest,
    flow_service_client::FlowServiceClient, set_sock_opt_request::Change,
};
use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

pub(crate) type Client = FlowServiceClient<Channel>;

/// Flows on a page.
const PAGE: i32 = 1000;

/// Time for a call that counts or changes every flow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls under way at once where as many as possible are made.
const AT_ONCE: usize = 64;

pub(crate) async fn connect(socket: &Path) -> Client {
    let address = format!("unix://{}", socket.display());
    let endpoint = Endpoint::from_shared(address).expect("an endpoint");
    FlowServiceClient::new(endpoint.connect().await.expect("the service answers"))
}

/// The names of all flows.
pub(crate) async fn list(mut client: Client) -> Arc<[String]> {
    let mut names = Vec::new();
    let mut request = ListFlowsRequest { page_size: PAGE, ..ListFlowsRequest::default() };
    loop {
        let page = client.list_flows(request.clone()).await.expect("a page").into_inner();
        assert!(page.unreachable.is_empty(), "a page without {:?}", page.unreachable);
        names.extend(page.flows.into_iter().map(|flow| flow.name));
        if page.next_page_token.is_empty() {
            return names.into();
        }
        request.page_token = page.next_page_token;
    }
}

/// The number of all flows, as a call counts them.
pub(crate) async fn count(mut client: Client) -> i64 {
    let mut request = Request::new(CountFlowsRequest::default());
    request.set_timeout(PATIENCE);
    let answer = client.count_flows(request).await.expect("a count");
    answer.into_inner().flow_count
}

/// Changes an option of every flow in one call, to this. Returns how many were changed.
pub(crate) async fn change_all(mut client: Client, bytes: i64) -> i64 {
    let mut request = Request::new(ApplySockOptRequest {
        filter: "*".to_owned(),
        options: Some(FlowOptions { client_buffer_bytes: Some(bytes), ..FlowOptions::default() }),
        max_flow_count: i64::MAX,
        ..ApplySockOptRequest::default()
    });
    request.set_timeout(PATIENCE);
    let answer = client.apply_sock_opt(request).await.expect("it is carried out").into_inner();
    assert_eq!(answer.applied_count, answer.matched_count, "every flow takes it: {answer:?}");
    answer.applied_count
}

/// Changes an option, to another value than in the turn before; the flow must take it.
async fn change(client: &mut Client, flow: &str, turn: usize) {
    let bytes = if turn.is_multiple_of(2) { 16_384 } else { 32_768 };
    let options = FlowOptions { client_buffer_bytes: Some(bytes), ..FlowOptions::default() };
    let change = Some(Change::Options(options));
    let request =
        SetSockOptRequest { flow: flow.to_owned(), change, ..SetSockOptRequest::default() };
    client.set_sock_opt(request).await.expect("the flow takes the option");
}

/// Calls at a steady rate, whether earlier ones were answered or not. How long each took.
pub(crate) fn steady(
    handle: &Handle,
    client: &Client,
    flows: &Arc<[String]>,
    pause: Duration,
    span: Duration,
) -> Vec<Duration> {
    let (done, mut times) = mpsc::unbounded_channel();
    let (begin, length) = (Instant::now(), flows.len());
    let mut due = Duration::ZERO;
    for (turn, flow) in flows.iter().cycle().enumerate() {
        if due >= span {
            break;
        }
        thread::sleep((begin + due).saturating_duration_since(Instant::now()));
        let (mut client, flow, done) = (client.clone(), flow.clone(), done.clone());
        handle.spawn(async move {
            let began = Instant::now();
            change(&mut client, &flow, turn / length).await;
            done.send(began.elapsed()).expect("somebody counts");
        });
        due += pause;
    }
    drop(done);
    std::iter::from_fn(|| times.blocking_recv()).collect()
}

/// Changes flow after flow as fast as it goes, until as many are made or `end` is there. Returns
/// how many were made.
pub(crate) async fn many(
    client: &Client,
    flows: &Arc<[String]>,
    calls: usize,
    end: Instant,
) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (mut client, flows, next) = (client.clone(), Arc::clone(flows), Arc::clone(&next));
        tasks.spawn(async move {
            let mut made = 0;
            while let Some(call) = Some(next.fetch_add(1, Relaxed)).filter(|call| *call < calls)
                && Instant::now() < end
            {
                change(&mut client, &flows[call % flows.len()], call / flows.len()).await;
                made += 1;
            }
            made
        });
    }
    tasks.join_all().await.into_iter().sum()
}

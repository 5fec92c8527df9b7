//! A server of `mos.v1` with canned answers on a Unix socket.
//!
//! One flow is known, 250 more appear in lists with the filter `many`. What a test needs to happen
//! is asked for in the request: filters `slow`, `breaks`, `core = 9`, `nonsense`; etag `stale`.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use mos_proto::v1::{
    ApplySockOptRequest, ApplySockOptResponse, AuditEntry, BatchSetSockOptRequest,
    BatchSetSockOptResponse, BufferPositions, CallerProof, Condition, ConditionLevel, CoreStatus,
    CountFlowsRequest, CountFlowsResponse, Event, EventType, ExportFlowsRequest,
    ExportFlowsResponse, Flow, FlowData, FlowEnd, FlowGap, FlowOptions, FlowTuple, Fragment,
    GetCallerRequest, GetCallerResponse, GetFlowRequest, GetFlowResponse, GetServerInfoRequest,
    GetServerInfoResponse, GetSockOptRequest, GetSockOptResponse, GetStatusRequest,
    GetStatusResponse, Limit, LimitScope, LimitUnit, ListAuditEntriesRequest,
    ListAuditEntriesResponse, ListFlowsRequest, ListFlowsResponse, Lost, OptionsOrigin,
    OverlapPolicy, PeekFlowRequest, PeekFlowResponse, PortStatus, RankFlowsRequest,
    RankFlowsResponse, RawSockOpt, ReadFlowRequest, ReadFlowResponse, Role, SetSockOptRequest,
    SetSockOptResponse, Side, SideStats, Subscribed, TcpState, UndoSockOptRequest,
    UndoSockOptResponse, WatchEventsRequest, WatchEventsResponse, WatchFlowsRequest,
    WatchFlowsResponse,
    event_service_server::{EventService, EventServiceServer},
    flow_service_server::{FlowService, FlowServiceServer},
    lost::Reason,
    read_flow_response::Message,
    set_sock_opt_request::Change,
    system_service_server::{SystemService, SystemServiceServer},
    watch_events_response,
};
use tempfile::TempDir;
use tokio::{net::UnixListener, runtime};
use tokio_stream::{Iter, StreamExt as _, wrappers::UnixListenerStream};
use tonic::{Code, Request, Response, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::many;

/// The flow that is known by name and by tuple.
pub(crate) const FLOW: &str = "flows/00c004a900c901f2";
/// Its tuple.
pub(crate) const TUPLE: &str = "tcp/10.0.0.1:43512-192.0.2.10:443";
/// Its tuple from the server's end.
pub(crate) const REVERSED: &str = "tcp/192.0.2.10:443-10.0.0.1:43512";
/// A flow whose buffer is overwritten while it is read.
pub(crate) const BUSY_FLOW: &str = "flows/00400001df3a0001";
/// Flows behind the filter `many`.
pub(crate) const MANY: usize = 250;
/// The client's buffer holds everything below the hole and between it and this.
pub(crate) const HELD_END: i64 = 2_500_000;
/// The hole in the client's buffer.
pub(crate) const HOLE: (i64, i64) = (10_000, 10_100);
/// What the server's buffer holds.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.net\r\n\r\n";

const BUFFER_MAX: i64 = 16 << 20;
const SEGMENT: i64 = 1024;
const PAGE_MAX: i32 = 100;
const PEEK_MAX: i64 = 1 << 20;

/// A running server. It ends with the process.
pub(crate) struct Fake {
    folder: TempDir,
    requests: Arc<AtomicU64>,
}

impl Fake {
    /// A server that is well.
    pub(crate) fn start() -> Self {
        Self::with_level(ConditionLevel::Ok)
    }

    /// A server whose worst condition has this level.
    pub(crate) fn with_level(level: ConditionLevel) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let requests = Arc::new(AtomicU64::new(0));
        let answers = Answers { level, requests: Arc::clone(&requests) };
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = UnixListener::bind(path).unwrap();
                ready.send(()).unwrap();
                let reflection = tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(mos_proto::FILE_DESCRIPTOR_SET)
                    .build_v1()
                    .unwrap();
                Server::builder()
                    .add_service(reflection)
                    .add_service(FlowServiceServer::new(answers.clone()))
                    .add_service(EventServiceServer::new(answers.clone()))
                    .add_service(SystemServiceServer::new(answers))
                    .serve_with_incoming(UnixListenerStream::new(listener))
                    .await
                    .unwrap();
            });
        });
        is_ready.recv().unwrap();
        Self { folder, requests }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }

    /// Requests seen so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }
}

/// The byte at an offset of the client's stream.
pub(crate) fn byte_at(offset: i64) -> u8 {
    u8::try_from(offset.wrapping_mul(31).rem_euclid(251)).unwrap()
}

/// The one flow in full.
pub(crate) fn flow() -> Flow {
    Flow {
        name: FLOW.to_owned(),
        tuple: Some(FlowTuple {
            client_address: "10.0.0.1".to_owned(),
            client_port: 43_512,
            server_address: "192.0.2.10".to_owned(),
            server_port: 443,
            vlan_id: None,
            inner_vlan_id: None,
        }),
        core: 3,
        client_state: TcpState::Established.into(),
        server_state: TcpState::Established.into(),
        options: Some(options()),
        options_origin: OptionsOrigin::Default.into(),
        etag: "W/\"9f2c-3\"".to_owned(),
        client_stats: Some(client_stats()),
        server_stats: Some(SideStats::default()),
        start_time: Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        last_packet_time: None,
        community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned(),
        one_sided: false,
    }
}

/// The client's side: two runs of bytes are listed, five are held.
fn client_stats() -> SideStats {
    let fragment = |offset, length_bytes| Fragment { offset, length_bytes };
    SideStats {
        buffered_bytes: 1_420,
        fragments: vec![fragment(0, 1_420), fragment(2_840, 100)],
        fragment_count: 5,
        positions: Some(BufferPositions {
            init_seq: 4_294_967_000,
            last_byte_read: 1_124,
            next_byte_expected: 1_124,
            last_byte_received: 2_644,
        }),
        ..SideStats::default()
    }
}

fn options() -> FlowOptions {
    FlowOptions {
        client_buffer_bytes: Some(8192),
        server_buffer_bytes: Some(8192),
        client_overlap: Some(OverlapPolicy::First.into()),
        server_overlap: Some(OverlapPolicy::First.into()),
        stop_monitoring: None,
    }
}

pub(crate) fn numbered(index: usize) -> Flow {
    Flow { name: format!("flows/{index:016x}"), ..flow() }
}

#[derive(Clone)]
struct Answers {
    level: ConditionLevel,
    requests: Arc<AtomicU64>,
}

impl Answers {
    fn seen(&self) {
        self.requests.fetch_add(1, Relaxed);
    }
}

/// An error with its details, as the server of the contract words it.
pub(crate) fn error(
    code: Code,
    message: &str,
    reason: &str,
    facts: &[(&str, &str)],
) -> (Status, ErrorDetails) {
    let metadata: HashMap<String, String> =
        facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason, "mos.v1", metadata);
    (Status::new(code, message), details)
}

pub(crate) fn status((status, details): (Status, ErrorDetails)) -> Status {
    Status::with_error_details(status.code(), status.message(), details)
}

fn find(name: &str) -> Result<&'static str, Status> {
    match name {
        FLOW | TUPLE | REVERSED => Ok(FLOW),
        BUSY_FLOW => Ok(BUSY_FLOW),
        _ => {
            let facts = [("errno", "EBADF")];
            let (plain, mut details) =
                error(Code::NotFound, "no such flow", "FLOW_NOT_FOUND", &facts);
            details.set_resource_info("mos.v1.Flow", name, "", "no such flow");
            Err(status((plain, details)))
        }
    }
}

#[tonic::async_trait]
impl FlowService for Answers {
    type WatchFlowsStream = tonic::codegen::BoxStream<WatchFlowsResponse>;

    async fn watch_flows(
        &self,
        request: Request<WatchFlowsRequest>,
    ) -> Result<Response<Self::WatchFlowsStream>, Status> {
        self.seen();
        let messages = tokio_stream::iter(many::watch(&request.into_inner()));
        Ok(Response::new(Box::pin(messages.chain(tokio_stream::pending()))))
    }

    async fn list_flows(
        &self,
        request: Request<ListFlowsRequest>,
    ) -> Result<Response<ListFlowsResponse>, Status> {
        self.seen();
        let ListFlowsRequest { filter, page_size, page_token, .. } = request.into_inner();
        let start: usize = page_token.parse().unwrap_or(0);
        match filter.as_str() {
            "slow" => tokio::time::sleep(Duration::from_secs(3_600)).await,
            "breaks" if start > 0 => return Err(Status::unavailable("core 1 has stopped")),
            "nonsense" => {
                let (plain, mut details) = error(
                    Code::InvalidArgument,
                    "column 1: no field is called nonsense",
                    "FILTER_INVALID",
                    &[("column", "1")],
                );
                details.add_bad_request_violation("filter", plain.message());
                return Err(status((plain, details)));
            }
            _ => {}
        }
        let all: Vec<_> = match filter.as_str() {
            "many" | "breaks" => (0..MANY).map(numbered).collect(),
            "none" => Vec::new(),
            _ => vec![flow()],
        };
        // A page may hold fewer flows than were asked for.
        let end = all.len().min(start + usize::try_from(page_size.min(PAGE_MAX)).unwrap());
        Ok(Response::new(ListFlowsResponse {
            flows: all[start..end].to_vec(),
            next_page_token: if end < all.len() { end.to_string() } else { String::new() },
            total_size: i64::try_from(all.len()).unwrap(),
            unreachable: if filter == "core = 9" { vec!["cores/9".to_owned()] } else { vec![] },
        }))
    }

    async fn get_flow(
        &self,
        request: Request<GetFlowRequest>,
    ) -> Result<Response<GetFlowResponse>, Status> {
        self.seen();
        find(&request.into_inner().flow)?;
        Ok(Response::new(GetFlowResponse { flow: Some(flow()) }))
    }

    async fn count_flows(
        &self,
        request: Request<CountFlowsRequest>,
    ) -> Result<Response<CountFlowsResponse>, Status> {
        self.seen();
        Ok(Response::new(many::count(&request.into_inner())))
    }

    async fn rank_flows(
        &self,
        request: Request<RankFlowsRequest>,
    ) -> Result<Response<RankFlowsResponse>, Status> {
        self.seen();
        Ok(Response::new(many::rank(&request.into_inner())))
    }

    type ExportFlowsStream = Iter<std::vec::IntoIter<Result<ExportFlowsResponse, Status>>>;

    async fn export_flows(
        &self,
        request: Request<ExportFlowsRequest>,
    ) -> Result<Response<Self::ExportFlowsStream>, Status> {
        self.seen();
        Ok(Response::new(tokio_stream::iter(many::export(&request.into_inner().filter))))
    }

    async fn get_sock_opt(
        &self,
        request: Request<GetSockOptRequest>,
    ) -> Result<Response<GetSockOptResponse>, Status> {
        self.seen();
        let GetSockOptRequest { flow: name, raw } = request.into_inner();
        Ok(Response::new(GetSockOptResponse {
            flow: find(&name)?.to_owned(),
            options: Some(options()),
            origin: OptionsOrigin::Default.into(),
            etag: flow().etag,
            raw: raw.map(|raw| RawSockOpt { optval: raw_value(raw.optname), ..raw }),
            client_state: TcpState::Established.into(),
            server_state: TcpState::CloseWait.into(),
            client_stats: Some(client_stats()),
            server_stats: Some(SideStats::default()),
        }))
    }

    async fn set_sock_opt(
        &self,
        request: Request<SetSockOptRequest>,
    ) -> Result<Response<SetSockOptResponse>, Status> {
        self.seen();
        let request = request.into_inner();
        let name = find(&request.flow)?;
        if request.etag == "stale" {
            let facts = [("errno", "ESTALE"), ("currentEtag", "W/\"9f2c-3\"")];
            let message = "the options have changed";
            return Err(status(error(Code::Aborted, message, "ETAG_MISMATCH", &facts)));
        }
        let asked = match request.change.expect("a change") {
            Change::Options(options) => options,
            Change::Raw(raw) if raw.optname == 0x09 => FlowOptions {
                client_buffer_bytes: Some(
                    i32::from_le_bytes(raw.optval.try_into().unwrap()).into(),
                ),
                ..FlowOptions::default()
            },
            Change::Raw(_) => {
                let facts = [("errno", "ENOSYS")];
                let message = "the level or the option is not implemented";
                let reason = "OPTION_NOT_IMPLEMENTED";
                return Err(status(error(Code::Unimplemented, message, reason, &facts)));
            }
        };
        let client = asked.client_buffer_bytes.unwrap_or(8192);
        if client > BUFFER_MAX {
            let message = format!("client_buffer_bytes {client} is above the limit {BUFFER_MAX}");
            let facts = [("errno", "EINVAL"), ("min", "0"), ("max", "16777216")];
            let (plain, mut details) =
                error(Code::InvalidArgument, &message, "OPTION_VALUE_INVALID", &facts);
            details.add_bad_request_violation("options.client_buffer_bytes", &message);
            return Err(status((plain, details)));
        }
        let in_force = FlowOptions {
            client_buffer_bytes: Some(
                client.div_euclid(SEGMENT) * SEGMENT
                    + if client % SEGMENT == 0 { 0 } else { SEGMENT },
            ),
            stop_monitoring: asked.stop_monitoring,
            server_overlap: asked.server_overlap.or_else(|| options().server_overlap),
            ..options()
        };
        Ok(Response::new(SetSockOptResponse {
            flow: name.to_owned(),
            options: Some(in_force),
            etag: "W/\"9f2c-4\"".to_owned(),
            unchanged: in_force == options(),
            matched_reversed: request.flow == REVERSED,
            discarded_bytes: if client == 0 { 1_420 } else { 0 },
        }))
    }

    async fn batch_set_sock_opt(
        &self,
        request: Request<BatchSetSockOptRequest>,
    ) -> Result<Response<BatchSetSockOptResponse>, Status> {
        self.seen();
        Ok(Response::new(many::batch(request.into_inner())))
    }

    async fn apply_sock_opt(
        &self,
        request: Request<ApplySockOptRequest>,
    ) -> Result<Response<ApplySockOptResponse>, Status> {
        self.seen();
        many::apply(&request.into_inner()).map(Response::new)
    }

    async fn undo_sock_opt(
        &self,
        request: Request<UndoSockOptRequest>,
    ) -> Result<Response<UndoSockOptResponse>, Status> {
        self.seen();
        many::undo(&request.into_inner()).map(Response::new)
    }

    async fn peek_flow(
        &self,
        request: Request<PeekFlowRequest>,
    ) -> Result<Response<PeekFlowResponse>, Status> {
        self.seen();
        let request = request.into_inner();
        let busy = find(&request.flow)? == BUSY_FLOW;
        let max = if request.max_bytes == 0 { 4096 } else { i64::from(request.max_bytes) };
        let mut offset = request.offset.unwrap_or(0);
        if request.side() == Side::Server {
            let newest = i64::try_from(REQUEST.len()).unwrap();
            let end = newest.min(offset + max);
            let range = usize::try_from(offset).unwrap()..usize::try_from(end).unwrap();
            return Ok(Response::new(PeekFlowResponse {
                flow: request.flow,
                offset,
                data: REQUEST[range].to_vec(),
                oldest_offset: 0,
                newest_offset: newest,
                next_held_offset: (end < newest).then_some(end),
            }));
        }
        if busy && offset == PEEK_MAX {
            let facts = [("oldestOffset", "1049576"), ("newestOffset", "2500000")];
            let message = "offset 1048576 is overwritten";
            return Err(status(error(Code::OutOfRange, message, "DATA_OVERWRITTEN", &facts)));
        }
        let hole = if busy { (0, 0) } else { HOLE };
        if (hole.0..hole.1).contains(&offset) {
            offset = hole.1;
        }
        let limit = if offset < hole.0 { hole.0 } else { HELD_END };
        let end = limit.min(offset + max.min(PEEK_MAX));
        let next = if end == hole.0 { hole.1 } else { end };
        Ok(Response::new(PeekFlowResponse {
            flow: find(&request.flow)?.to_owned(),
            offset,
            data: (offset..end).map(byte_at).collect(),
            oldest_offset: 0,
            newest_offset: HELD_END,
            next_held_offset: (next < HELD_END).then_some(next),
        }))
    }

    type ReadFlowStream = Iter<std::vec::IntoIter<Result<ReadFlowResponse, Status>>>;

    async fn read_flow(
        &self,
        request: Request<ReadFlowRequest>,
    ) -> Result<Response<Self::ReadFlowStream>, Status> {
        self.seen();
        let request = request.into_inner();
        let flow = find(&request.flow)?;
        if request.side() == Side::Client {
            return Ok(Response::new(tokio_stream::iter(stream(flow))));
        }
        let offset = request.offset.unwrap_or(0);
        let rest = &REQUEST[usize::try_from(offset).unwrap()..];
        let is_all = request.max_bytes == 0;
        let wanted = if is_all { rest.len() } else { usize::try_from(request.max_bytes).unwrap() };
        let data = rest[..wanted].to_vec();
        let next_offset = offset + i64::try_from(wanted).unwrap();
        let cause = if is_all { "fin" } else { "max-bytes" }.to_owned();
        let messages = [
            Message::Data(FlowData { offset, data }),
            Message::End(FlowEnd { next_offset, cause }),
        ]
        .map(|message| Ok(ReadFlowResponse { message: Some(message) }));
        Ok(Response::new(tokio_stream::iter(messages.to_vec())))
    }
}

/// The value of an option in the layout of C.
fn raw_value(optname: i32) -> Vec<u8> {
    match optname {
        0x01 => [0_u64, 1_420, 2_840, 100].map(u64::to_le_bytes).concat(),
        0x03 => [4_294_967_000, 1_124, 1_124, 2_644].map(u32::to_le_bytes).concat(),
        0x06 => 7_i32.to_le_bytes().to_vec(),
        _ => 8_192_i32.to_le_bytes().to_vec(),
    }
}

/// The client's stream as it is read: data around the hole, and the end of the busy one in an
/// error.
fn stream(flow: &str) -> Vec<Result<ReadFlowResponse, Status>> {
    let is_busy = flow == BUSY_FLOW;
    let data = |range: std::ops::Range<i64>| {
        let (offset, data) = (range.start, range.map(byte_at).collect());
        Message::Data(FlowData { offset, data })
    };
    let gap = |offset, length_bytes, never_captured| {
        Message::Gap(FlowGap { offset, length_bytes, never_captured })
    };
    let end = FlowEnd { next_offset: 50_007, cause: "rst".to_owned() };
    let messages = if is_busy {
        vec![data(0..HOLE.0)]
    } else {
        vec![
            data(0..HOLE.0),
            gap(HOLE.0, HOLE.1 - HOLE.0, true),
            data(HOLE.1..40_000),
            data(40_000..50_000),
            gap(50_000, 7, false),
            Message::End(end),
        ]
    };
    let stopping = is_busy.then(|| {
        let facts = [("errno", "")];
        Err(status(error(Code::Unavailable, "mosd is stopping", "SERVER_STOPPING", &facts)))
    });
    let messages =
        messages.into_iter().map(|message| Ok(ReadFlowResponse { message: Some(message) }));
    messages.chain(stopping).collect()
}

/// An event of the one flow.
fn event(sequence: i64, event_type: EventType) -> Event {
    let Flow { name, tuple, core, .. } = flow();
    Event {
        r#type: event_type.into(),
        time: Some(prost_types::Timestamp { seconds: 60, nanos: 0 }),
        core: Some(core),
        core_sequence: sequence,
        flow: Some(Flow { name, tuple, core, ..Flow::default() }),
        side: Side::Unspecified.into(),
        attributes: HashMap::new(),
    }
}

#[tonic::async_trait]
impl EventService for Answers {
    type WatchEventsStream = tonic::codegen::BoxStream<WatchEventsResponse>;

    /// Two events, a loss, two events, and silence; with the filter `stops` the service ends then.
    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        use watch_events_response::Message;
        self.seen();
        let WatchEventsRequest { types, filter, .. } = request.into_inner();
        let one = types.first().and_then(|number| EventType::try_from(*number).ok());
        let event =
            |sequence| Message::Event(event(sequence, one.unwrap_or(EventType::FlowStarted)));
        let subscribed =
            Subscribed { boot_id: "6d1f".to_owned(), subscription: "subscriptions/7".to_owned() };
        let lost = Lost {
            dropped_count: 1500,
            reason: Reason::SlowConsumer.into(),
            core: Some(3),
            first_time: None,
            last_time: None,
        };
        let messages = [
            Message::Subscribed(subscribed),
            event(1),
            event(2),
            Message::Lost(lost),
            event(1503),
            event(1504),
        ];
        let messages = messages.map(|one| Ok(WatchEventsResponse { message: Some(one) }));
        let (facts, message) = ([], "mosd is stopping");
        let end = match filter.as_str() {
            "stops" => {
                Some(Err(status(error(Code::Unavailable, message, "SERVER_STOPPING", &facts))))
            }
            _ => None,
        };
        let (last, silence) = (tokio_stream::iter(end), tokio_stream::pending());
        let stream = tokio_stream::iter(messages).chain(last).chain(silence);
        Ok(Response::new(Box::pin(stream)))
    }
}

#[tonic::async_trait]
impl SystemService for Answers {
    async fn get_server_info(
        &self,
        _request: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        self.seen();
        Ok(Response::new(GetServerInfoResponse {
            version: "0.1.0".to_owned(),
            boot_id: "6d1f".to_owned(),
            node: "mos1".to_owned(),
            api_packages: vec!["mos.v1".to_owned()],
            features: vec!["peek-flow".to_owned(), "raw-sock-opt".to_owned()],
            limits: vec![
                limit("list.page_size.max", 1000, LimitUnit::Count, LimitScope::Call),
                limit("buffer.client.max_bytes", BUFFER_MAX, LimitUnit::Bytes, LimitScope::Flow),
                limit("streams.max", 32, LimitUnit::Count, LimitScope::Principal),
            ],
            default_options: Some(options()),
            ..GetServerInfoResponse::default()
        }))
    }

    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        self.seen();
        let pool = Condition {
            r#type: "buffer-pool".to_owned(),
            level: self.level.into(),
            message: "98% used".to_owned(),
            next_step: "mosctl flows list".to_owned(),
            since_time: None,
        };
        let table = Condition {
            r#type: "flow-table".to_owned(),
            level: ConditionLevel::Ok.into(),
            ..Condition::default()
        };
        let core = CoreStatus {
            core: 0,
            flow_count: 52_110,
            flow_capacity: 262_144,
            rx_packet_count: 1_200_000,
            busy_ratio: 0.61,
            loop_age_ms: 1_800,
            buffer_used_bytes: 41,
            buffer_capacity_bytes: 100,
            packet_outcomes: HashMap::from([("accepted".to_owned(), 1_200_000)]),
            ..CoreStatus::default()
        };
        let port = PortStatus {
            name: "net_af_packet0,iface=veth0".to_owned(),
            driver: "net_af_packet".to_owned(),
            queue_count: 1,
            rx_packet_count: 1_200_000,
            rx_bytes: 1 << 30,
            lost_packet_count: 7,
            rx_missed_count: 7,
            ..PortStatus::default()
        };
        Ok(Response::new(GetStatusResponse {
            level: self.level.into(),
            conditions: vec![pool, table],
            cores: vec![core],
            ports: vec![port],
        }))
    }

    async fn get_caller(
        &self,
        _request: Request<GetCallerRequest>,
    ) -> Result<Response<GetCallerResponse>, Status> {
        self.seen();
        Ok(Response::new(GetCallerResponse {
            principal: "uid 1000".to_owned(),
            proof: CallerProof::UnixSocket.into(),
            roles: vec![Role::Viewer.into(), Role::Operator.into()],
            grants: vec!["the group of the socket".to_owned()],
            methods: ["GetFlow", "ListFlows"]
                .map(|name| format!("mos.v1.FlowService/{name}"))
                .into(),
            ..GetCallerResponse::default()
        }))
    }

    /// Two pages: two calls, of which the second has no result.
    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<ListAuditEntriesResponse>, Status> {
        self.seen();
        let (entries, next) = match request.get_ref().page_token.as_str() {
            "" => {
                let buffer =
                    |bytes: &str| [("client_buffer_bytes".to_owned(), bytes.to_owned())].into();
                let result = AuditEntry {
                    intent_sequence: 1,
                    code: Some(0),
                    before: buffer("8192"),
                    after: buffer("65536"),
                    ..audit_entry(2, "result")
                };
                (vec![audit_entry(1, "intent"), result], "2".to_owned())
            }
            _ => (vec![audit_entry(3, "intent")], String::new()),
        };
        Ok(Response::new(ListAuditEntriesResponse { entries, next_page_token: next }))
    }
}

fn audit_entry(sequence: i64, event: &str) -> AuditEntry {
    AuditEntry {
        sequence,
        event: event.to_owned(),
        principal: "uid 1000".to_owned(),
        method: "mos.v1.FlowService/SetSockOpt".to_owned(),
        target: FLOW.to_owned(),
        ..AuditEntry::default()
    }
}

fn limit(name: &str, value: i64, unit: LimitUnit, scope: LimitScope) -> Limit {
    Limit { name: name.to_owned(), value, unit: unit.into(), scope: scope.into() }
}

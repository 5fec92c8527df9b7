//! Carries out one command on the worker's stack: an exhaustive match, each arm one call.

use mos_control::{Command, FLOW_PAGE, PEEK_CHUNK, Refusal, Reply, SockOptItem};
use mos_stack::{EventSink, Instant, Stack};

/// Carries out `command` at the time `now`. Takes effect at once, between two bursts.
///
/// # Errors
///
/// The stack's reason, where it refuses; a refused command has changed nothing.
pub fn apply(
    command: Command,
    now: Instant,
    stack: &mut Stack,
    sink: &mut impl EventSink,
) -> Result<Reply, Refusal> {
    match command {
        Command::Clock => Ok(Reply::Clock(now)),
        Command::Find { a, b, vlan } => Ok(Reply::Found(stack.find(a, b, vlan))),
        Command::Get { flow } => Ok(Reply::Flow(stack.summary(flow)?)),
        Command::Inspect { flow } => Ok(Reply::Details(stack.details(flow)?)),
        Command::SetSockOpt { flow, change, expected_revision, validate_only: true } => {
            Ok(Reply::SockOpt(stack.check_sock_opt(flow, &change, expected_revision)?))
        }
        Command::SetSockOpt { flow, change, expected_revision, validate_only: false } => {
            Ok(Reply::SockOpt(stack.set_sock_opt(flow, &change, expected_revision, now, sink)?))
        }
        Command::SetSockOpts { mut batch } => {
            batch.carry_out(|SockOptItem { flow, change, expected_revision }| {
                stack.set_sock_opt(*flow, change, *expected_revision, now, sink)
            });
            Ok(Reply::SockOpts { batch })
        }
        Command::SetPolicies { table } => Ok(Reply::Policies(stack.set_policies(Some(table)))),
        Command::Scan { cursor, mut page } => {
            let next = stack.scan(cursor, SCAN_SLOTS, &mut page);
            Ok(Reply::Scanned { page, next, last_event: sink.last_number() })
        }
        Command::Peek { flow, side, offset, length, mut chunk } => {
            let result = stack.peek(flow, side, offset, &mut chunk[..length.min(PEEK_CHUNK)]);
            Ok(Reply::Peeked { chunk, result })
        }
        Command::Read { flow, side, from, length, mut chunk } => {
            let result = stack.read(flow, side, from, &mut chunk[..length.min(PEEK_CHUNK)]);
            Ok(Reply::Read { chunk, result })
        }
    }
}

/// Slots that one [`Command::Scan`] visits, at most.
#[expect(clippy::cast_possible_truncation, reason = "a page is far smaller than 2^32")]
const SCAN_SLOTS: u32 = FLOW_PAGE as u32;

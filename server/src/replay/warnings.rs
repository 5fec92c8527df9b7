//! What the records do not hold, and why: on stderr, and in the exit code.

use std::{
    io::{self, Write},
    time::Duration,
};

use mos_dataplane::source::capture::{CaptureProblem, Findings, ProblemCause};
use mos_stack::{Stat, Stats, Unread, limits::RANGES_MAX};
use mos_text::Span;

use super::{INCOMPLETE, ReplayArgs, USER_ERROR};
use crate::words::unread;

/// Tells what was left out. Returns the exit code.
///
/// # Errors
///
/// When `err` cannot be written.
pub(super) fn warn(
    args: &ReplayArgs,
    problem: Option<&CaptureProblem>,
    findings: &Findings,
    (stats, unread): (&Stats, Option<Unread>),
    err: &mut impl Write,
) -> io::Result<u8> {
    let mut code = 0;
    // Somebody who follows ends it so.
    let is_harm =
        |problem: &&CaptureProblem| !(args.follow && problem.cause == ProblemCause::Interrupted);
    if let Some(problem) = problem.filter(is_harm) {
        let is_unread = matches!(problem.cause, ProblemCause::LinkType(_));
        let (level, of_problem) =
            if is_unread { ("error", USER_ERROR) } else { ("warning", INCOMPLETE) };
        writeln!(err, "{level}: {}: {problem}", args.file.display())?;
        code = of_problem;
    }
    for note in notes(findings) {
        writeln!(err, "note: {note}")?;
    }
    for warning in shortages(stats, args) {
        writeln!(err, "warning: {warning}")?;
        code = code.max(INCOMPLETE);
    }
    if let Some(left_out) = LeftOut::of(stats) {
        let is_harm = left_out.is_harm(stats);
        let level = if is_harm { "warning" } else { "note" };
        let most = unread.filter(|_| left_out.is_mostly_unread()).map(|unread| {
            let (words, next_step) = (unread::words(unread), unread::next_step(unread));
            format!("; most are {words} -> {next_step}")
        });
        writeln!(err, "{level}: {}{}", left_out.text(stats), most.unwrap_or_default())?;
        code = if is_harm { code.max(INCOMPLETE) } else { code };
    }
    Ok(code)
}

/// Tells which streams were not written to files. Returns the exit code.
///
/// # Errors
///
/// When `err` cannot be written.
pub(super) fn of_streams(
    left_out: u64,
    failure: Option<&io::Error>,
    err: &mut impl Write,
) -> io::Result<u8> {
    if let Some(error) = failure {
        writeln!(err, "warning: not all streams were written: {error}")?;
    }
    if left_out > 0 {
        writeln!(
            err,
            "warning: {left_out} streams were not written: raise --streams-files or \
             --streams-bytes, or --client-buffer and --server-buffer for those without a digest"
        )?;
    }
    Ok(if failure.is_some() || left_out > 0 { INCOMPLETE } else { 0 })
}

/// Packets that are in no record, by reason.
#[derive(Debug)]
struct LeftOut(Vec<(Stat, u64)>);

/// Packets of flows, of stopped ones, of a packet that was put together; those without room are a
/// shortage.
const ACCOUNTED: [Stat; 5] = [
    Stat::PacketsMonitored,
    Stat::PacketsStopped,
    Stat::PacketsExcluded,
    Stat::PacketsFragment,
    Stat::PacketsTableFull,
];

/// Packets that are not TCP over IP, or of connections whose beginning was not captured, where the
/// user asked to leave them out: there is nothing to record of them.
const NOT_TCP: [Stat; 3] = [Stat::PacketsNotIp, Stat::PacketsNotTcp, Stat::PacketsOrphan];

impl LeftOut {
    /// Packets that no endpoint would take, or that the capture does not hold whole. Where nearly
    /// no packet is of a flow, those that are not TCP over IP, too.
    fn of(stats: &Stats) -> Option<Self> {
        let is_empty = stats.get(Stat::PacketsMonitored) * 10 < stats.packets();
        let is_left_out = |stat: &Stat| {
            stat.is_outcome() && !ACCOUNTED.contains(stat) && (is_empty || !NOT_TCP.contains(stat))
        };
        let counts = Stat::ALL.into_iter().filter(is_left_out).map(|stat| (stat, stats.get(stat)));
        let counts: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
        (!counts.is_empty()).then_some(Self(counts))
    }

    /// Whether the records are incomplete for want of these packets: they are most of those of
    /// TCP, or bytes are missing that they may have held. A few packets that no endpoint takes do
    /// no harm: everybody can send them.
    fn is_harm(&self, stats: &Stats) -> bool {
        let of_tcp = self.0.iter().filter(|(stat, _)| !NOT_TCP.contains(stat));
        let of_tcp: u64 = of_tcp.map(|(_, count)| count).sum();
        let is_most = of_tcp > stats.get(Stat::PacketsMonitored);
        is_most || of_tcp > 0 && stats.get(Stat::MissingBytes) > 0
    }

    /// Whether most are frames that hold no TCP.
    fn is_mostly_unread(&self) -> bool {
        let commonest = self.0.iter().max_by_key(|(_, count)| count);
        commonest.is_some_and(|(stat, _)| matches!(stat, Stat::PacketsNotIp | Stat::PacketsNotTcp))
    }

    /// Their number, and that of each reason.
    fn text(&self, stats: &Stats) -> String {
        let all: u64 = self.0.iter().map(|(_, count)| count).sum();
        let reasons = self.0.iter().map(|(stat, count)| {
            format!("{count} {} ({})", stat.name().1, phrase(stat.description()))
        });
        let reasons: Vec<_> = reasons.collect();
        format!("{all} of {} packets were left out: {}", stats.packets(), reasons.join(", "))
    }
}

/// A sentence as a part of another.
fn phrase(sentence: &str) -> String {
    let sentence = sentence.trim().trim_end_matches('.');
    match sentence.split_at_checked(1) {
        // Not an abbreviation.
        Some((first, rest)) if rest.starts_with(char::is_lowercase) => first.to_lowercase() + rest,
        Some(_) | None => sentence.to_owned(),
    }
}

/// Times that run backwards by less are told out of order, as captures of several queues are.
const STEP_MIN: Duration = Duration::from_secs(1);

/// What the capture holds that was not read, and what is wrong with its times.
fn notes(findings: &Findings) -> Vec<String> {
    let unread = findings.unread.iter().map(|(link_type, packets)| match link_type {
        Some(link_type) => {
            format!("{packets} packets have the link type {link_type}, which is not read")
        }
        None => format!("{packets} packets are of interfaces that the capture does not describe"),
    });
    let times = findings.times;
    let wrong = (times.wrong > 0).then(|| {
        let packets = times.wrong;
        format!(
            "{packets} packets have a time more than an hour ahead of those around them: they \
             count as simultaneous with a neighbour"
        )
    });
    let backward = (times.largest_step >= STEP_MIN).then(|| {
        let (packets, step) = (times.backward, Span(times.largest_step));
        format!(
            "the times run backwards before {packets} packets, by up to {step}: they are told as \
             they are"
        )
    });
    unread.chain(wrong).chain(backward).collect()
}

/// Warnings of what the given bounds left out.
fn shortages(stats: &Stats, args: &ReplayArgs) -> Vec<String> {
    let mut warnings = Vec::new();
    let untracked = stats.get(Stat::PacketsTableFull);
    if untracked > 0 {
        let flows = args.flows;
        warnings.push(format!(
            "{untracked} packets are of flows that found no room among {flows}; raise --flows, or \
             set --idle-timeout"
        ));
    }
    let refused = stats.get(Stat::RefusedBytes);
    if refused > 0 {
        warnings.push(format!(
            "{refused} bytes were not stored; raise --pool (now {}), or the flow has more holes \
             than are tracked",
            args.pool
        ));
    }
    let crowded_out = stats.get(Stat::CrowdedOutBytes);
    if crowded_out > 0 {
        warnings.push(format!(
            "{crowded_out} bytes were evicted early; a flow has more than {RANGES_MAX} runs of \
             bytes between holes"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told, and whether it is harm.
    fn told(counts: &[(Stat, u64)]) -> Option<(String, bool)> {
        let mut stats = Stats::default();
        for (stat, count) in counts {
            stats.add(*stat, *count);
        }
        LeftOut::of(&stats).map(|left_out| (left_out.text(&stats), left_out.is_harm(&stats)))
    }

    #[test]
    fn packets_that_no_endpoint_takes_are_told_by_reason_and_do_no_harm() {
        let counts = [
            (Stat::PacketsMonitored, 56),
            (Stat::PacketsNotTcp, 1),
            (Stat::PacketsChecksum, 1),
            (Stat::PacketsMalformed, 2),
        ];
        let (text, is_harm) = told(&counts).unwrap();
        assert_eq!(
            text,
            "3 of 60 packets were left out: 1 checksum (packets with a wrong IPv4 or TCP \
             checksum), 2 malformed (frames whose headers contradict themselves, or promise more \
             bytes than there are)"
        );
        assert!(!is_harm);
        assert_eq!(told(&counts[..2]), None);
    }

    #[test]
    fn they_are_harm_where_bytes_are_missing_or_they_are_the_most() {
        let malformed = (Stat::PacketsMalformed, 10);
        let is_harm = |other| told(&[malformed, other]).unwrap().1;
        assert!(is_harm((Stat::MissingBytes, 1)));
        assert!(is_harm((Stat::PacketsMonitored, 9)));
        assert!(!is_harm((Stat::PacketsMonitored, 10)));
        // Missing bytes alone are a matter of the capture, and stand in its records.
        assert_eq!(told(&[(Stat::MissingBytes, 1), (Stat::PacketsMonitored, 9)]), None);
    }

    #[test]
    fn packets_that_are_not_tcp_are_told_where_there_are_no_others() {
        let (text, is_harm) = told(&[(Stat::PacketsNotIp, 9)]).unwrap();
        let reason = "9 not_ip (frames that are neither IPv4 nor IPv6)";
        assert_eq!(text, format!("9 of 9 packets were left out: {reason}"));
        let (text, _) = told(&[(Stat::PacketsNotTcp, 1)]).unwrap();
        assert!(text.ends_with("1 not_tcp (IP packets that are not TCP)"), "{text}");
        assert!(!is_harm, "there may be nothing to record");
        assert_eq!(told(&[(Stat::PacketsNotIp, 9), (Stat::PacketsMonitored, 1)]), None);
    }
}

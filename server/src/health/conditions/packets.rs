//! Whether the packets that come are of flows, and if not, why: a service that sees packets and
//! shows no flow must say so.

use std::cmp::Reverse;

use mos_stack::{Stat, Unread};

use super::{Finding, Level, finding};
use crate::{words::unread, workers::Workers};

/// Packets of flows, of stopped ones, and those that a policy leaves out.
const OF_FLOWS: [Stat; 4] =
    [Stat::PacketsMonitored, Stat::PacketsStopped, Stat::PacketsExcluded, Stat::PacketsFragment];

/// Reasons that are told, at most.
const REASONS: usize = 3;

/// Judges what all packets so far were. Nearly none of flows is a warning.
pub(super) fn packets(workers: &Workers) -> Finding {
    let count = |stat| workers.iter().map(|client| client.board().stat(stat)).sum::<u64>();
    let outcomes = Stat::ALL.into_iter().filter(|stat| stat.is_outcome());
    let counts: Vec<_> = outcomes.map(|stat| (stat, count(stat))).collect();
    let unread = workers.iter().find_map(|client| client.board().gauges().unread);
    judge(&counts, unread)
}

fn judge(counts: &[(Stat, u64)], unread: Option<Unread>) -> Finding {
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let is_other = |(stat, count): &&(Stat, u64)| *count > 0 && !OF_FLOWS.contains(stat);
    let mut others: Vec<_> = counts.iter().filter(is_other).copied().collect();
    others.sort_by_key(|(_, count)| Reverse(*count));
    let missed: u64 = others.iter().map(|(_, count)| count).sum();
    let Some((commonest, _)) = others.first().filter(|_| missed * 10 > all * 9) else {
        let message = format!("{} of {all} packets are of flows", all - missed);
        return finding("packets", Level::Ok, message, "");
    };
    let reasons = others.iter().take(REASONS);
    let reasons: Vec<_> =
        reasons.map(|(stat, count)| format!("{count} {}", stat.name().1)).collect();
    let is_unread = matches!(commonest, Stat::PacketsNotIp | Stat::PacketsNotTcp);
    let unread = unread.filter(|_| is_unread);
    let most = unread.map(|unread| format!("; most of those are {}", unread::words(unread)));
    let message = format!(
        "{missed} of {all} packets were not understood as parts of flows: {}{}",
        reasons.join(", "),
        most.unwrap_or_default()
    );
    finding("packets", Level::Warning, message, &next_step(*commonest, unread))
}

fn next_step(commonest: Stat, unread: Option<Unread>) -> String {
    match (commonest, unread) {
        (_, Some(unread)) => unread::next_step(unread),
        (Stat::PacketsOrphan, _) => "connections that began before they were seen are left out: \
                                     set dataplane.adopt_midstream = true"
            .to_owned(),
        (Stat::PacketsTruncated, _) => {
            "the packets are cut off within their headers: let the mirror, or the capture, keep at \
             least 128 bytes of each"
                .to_owned()
        }
        (Stat::PacketsChecksum, _) => "see the condition checksums".to_owned(),
        (Stat::PacketsTableFull, _) => "see the condition flow-table".to_owned(),
        _ => "see that the port mirrors the connections that you want: `tcpdump -e -c 100`"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_no_flow_are_a_warning_with_the_commonest_reasons_and_a_next_step() {
        for (stat, word) in [
            (Stat::PacketsOrphan, "adopt_midstream"),
            (Stat::PacketsTruncated, "128 bytes"),
            (Stat::PacketsNotIp, "tcpdump"),
            (Stat::PacketsMalformed, "tcpdump"),
        ] {
            let Finding { level, message, next_step, .. } = judge(&[(stat, 9)], None);
            assert_eq!(level, Level::Warning);
            let reason = format!(
                "9 of 9 packets were not understood as parts of flows: 9 {}",
                stat.name().1
            );
            assert_eq!(message, reason);
            assert!(next_step.contains(word), "{next_step}");
        }
        let counts =
            [(Stat::PacketsMonitored, 2), (Stat::PacketsNotTcp, 97), (Stat::PacketsOrphan, 1)];
        let told = judge(&counts, Some(Unread::Vxlan(8472)));
        assert_eq!(told.level, Level::Warning);
        assert!(
            told.message
                .ends_with("97 not_tcp, 1 orphan; most of those are VXLAN on UDP port 8472")
        );
        assert!(told.next_step.contains("4789"));
    }

    #[test]
    fn some_packets_of_no_flow_are_everywhere() {
        let level = |counts: &[_]| judge(counts, None).level;
        assert_eq!(level(&[]), Level::Ok);
        assert_eq!(level(&[(Stat::PacketsMonitored, 1), (Stat::PacketsNotTcp, 9)]), Level::Ok);
        assert_eq!(level(&[(Stat::PacketsStopped, 5)]), Level::Ok);
    }
}

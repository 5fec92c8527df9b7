//! What is wrong with the process, in words: judges what the vitals observed.

mod packets;
mod transport;

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use mos_control::{Phase, PortStatus};
use mos_stack::{Gauges, Stat, WorkerId, limits::RANGES_MAX};

use super::{
    descriptors::Descriptors,
    vitals::{Losses, Vitals},
};
use crate::{panics, words::validity::Validity, workers::Workers};

/// A loop that has not turned for this long is late.
const LOOP_LATE: Duration = Duration::from_millis(1500);

/// A loop that has not turned for this long is stalled.
const LOOP_STALLED: Duration = Duration::from_secs(3);

/// From this share on a table or pool is nearly full, and critically so, in per cent.
const NEARLY_FULL: u64 = 80;
const CRITICALLY_FULL: u64 = 95;

/// How serious a condition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Fine.
    Ok,
    /// Works, but look at it.
    Warning,
    /// Loses packets, flows or payload.
    Critical,
}

/// One thing that is or is not fine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Stable key.
    pub kind: String,
    /// How serious.
    pub level: Level,
    /// One sentence.
    pub message: String,
    /// What to do; empty if there is nothing to do.
    pub next_step: String,
    /// Since when the level is as it is.
    pub since: SystemTime,
}

/// What is judged besides the vitals.
#[derive(Debug)]
pub(crate) struct Standing {
    /// File descriptors.
    pub files: Descriptors,
    /// Why the roles that hold are not those of the file.
    pub roles: Option<String>,
    /// Why the policies in force are not those that were set last.
    pub policies: Option<String>,
    /// The audit.
    pub audit: AuditStanding,
    /// TLS, where a listener has it.
    pub tls: Option<TlsStanding>,
    /// Where plain text is served beyond this machine.
    pub exposed: Vec<SocketAddr>,
}

/// Whether what is done is entered.
#[derive(Debug, Default)]
pub(crate) struct AuditStanding {
    /// Where; `None` for nowhere.
    pub path: Option<String>,
    /// Why it cannot be written.
    pub trouble: Option<String>,
    /// Whether nothing is done then that it would not show.
    pub refuses: bool,
}

/// The keys and CAs of TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsStanding {
    /// Why those that are used are not those of the files.
    pub mistake: Option<String>,
    /// How long each is good.
    pub validities: Vec<Validity>,
}

/// What is fine and what is not, and since when.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Mutex<HashMap<String, Since>>);

/// The level of a condition, and when it was first judged so.
#[derive(Debug, Clone, Copy)]
struct Since(Level, SystemTime);

impl Conditions {
    /// Judges everything; the worst comes first.
    #[must_use]
    pub(crate) fn judge(
        &self,
        vitals: &Vitals,
        workers: &Workers,
        ports: &[PortStatus],
        standing: &Standing,
    ) -> Vec<Condition> {
        let losses = Losses::total(workers, ports);
        let lately = vitals.lately(losses);
        let mut findings = vec![
            flow_table(workers, lately),
            buffer_pool(workers, lately),
            port_losses(ports, losses, lately),
            checksums(workers),
            packets::packets(workers),
            control_plane(&panics::fallen(), losses, lately),
            log(losses, lately),
            descriptors(standing.files),
            roles(standing.roles.as_ref()),
            policies(standing.policies.as_ref()),
            audit(&standing.audit),
            transport::plain_text(&standing.exposed),
        ];
        if let Some(tls) = &standing.tls {
            findings.push(transport::files(tls.mistake.as_ref()));
            findings.push(transport::expiry(tls, SystemTime::now()));
        }
        findings.extend(
            workers
                .iter()
                .zip(vitals.loop_ages(workers))
                .map(|(client, age)| worker_loop(client.worker(), client.board().phase(), age)),
        );
        let mut conditions = self.dated(findings, SystemTime::now());
        conditions.sort_by_key(|condition| Reverse(condition.level));
        conditions
    }

    /// Adds to each finding since when its level is as it is.
    fn dated(&self, findings: Vec<Finding>, now: SystemTime) -> Vec<Condition> {
        let mut levels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let dated = |Finding { kind, level, message, next_step }| {
            let Since(known, since) = levels.entry(kind.clone()).or_insert(Since(level, now));
            if *known != level {
                (*known, *since) = (level, now);
            }
            Condition { kind, level, message, next_step, since: *since }
        };
        findings.into_iter().map(dated).collect()
    }
}

/// A condition before its age is known.
#[derive(Debug)]
struct Finding {
    kind: String,
    level: Level,
    message: String,
    next_step: String,
}

fn finding(kind: impl Into<String>, level: Level, message: String, next_step: &str) -> Finding {
    let next_step = if level == Level::Ok { "" } else { next_step };
    Finding { kind: kind.into(), level, message, next_step: next_step.to_owned() }
}

fn flow_table(workers: &Workers, lately: Losses) -> Finding {
    let next_step = "raise limits.flows_max, lower the timeouts, or use more workers";
    let share = fullest(workers, |gauges| (gauges.flows, gauges.flow_slots));
    if lately.untracked > 0 {
        let message = format!(
            "a flow table was full: {} packets of new flows were not tracked lately",
            lately.untracked
        );
        return finding("flow-table", Level::Critical, message, next_step);
    }
    let message = format!("the fullest flow table is {share} % full");
    finding("flow-table", level_of(share), message, next_step)
}

fn buffer_pool(workers: &Workers, lately: Losses) -> Finding {
    let next_step =
        "raise limits.pool, or lower the buffers: options.client_buffer, .server_buffer";
    let share = fullest(workers, |gauges| (gauges.pool_used_bytes, gauges.pool_bytes));
    if lately.refused_bytes > 0 {
        let message = format!(
            "{} payload bytes were not stored lately; the fullest buffer pool is {share} % full",
            lately.refused_bytes
        );
        return finding("buffer-pool", Level::Critical, message, next_step);
    }
    if lately.crowded_out_bytes > 0 {
        let message = format!(
            "{} buffered bytes were evicted early lately: a buffer held {RANGES_MAX} runs of bytes \
             between holes",
            lately.crowded_out_bytes
        );
        let next_step = "find out where the packets are lost before they are mirrored";
        return finding("buffer-pool", Level::Critical, message, next_step);
    }
    let message = format!("the fullest buffer pool is {share} % full");
    finding("buffer-pool", level_of(share), message, next_step)
}

/// Packets with wrong checksums are ignored: many of them mean that the interface which sends them
/// computes the checksums later than they are seen here.
fn checksums(workers: &Workers) -> Finding {
    let sum = |wanted: fn(&Stat) -> bool| {
        let stats = || Stat::ALL.into_iter().filter(wanted);
        workers.iter().flat_map(|client| stats().map(|stat| client.board().stat(stat))).sum::<u64>()
    };
    let wrong = sum(|stat| *stat == Stat::PacketsChecksum);
    let packets = sum(|stat| stat.is_outcome());
    if wrong == 0 {
        return finding("checksums", Level::Ok, "no packet had a wrong checksum".to_owned(), "");
    }
    let level = if wrong * 10 >= packets { Level::Warning } else { Level::Ok };
    let message = format!("{wrong} of {packets} packets had a wrong checksum and were ignored");
    let next_step = "switch checksum offload off where the packets are sent (ethtool -K IFACE tx \
                     off), or set dataplane.verify_checksums = false";
    finding("checksums", level, message, next_step)
}

/// The roles that hold may be older than their file.
fn roles(mistake: Option<&String>) -> Finding {
    let next_step = "mend the roles file; `mosd check` reads it, too";
    match mistake {
        None => finding("roles", Level::Ok, "the roles are those of the configuration".into(), ""),
        Some(mistake) => {
            let message = format!("older roles hold, because their file has a mistake: {mistake}");
            finding("roles", Level::Warning, message, next_step)
        }
    }
}

/// The policies in force may be older than those that were set last.
fn policies(trouble: Option<&String>) -> Finding {
    let next_step = "set the policies again, which stores them anew: `mosctl policy apply`";
    match trouble {
        None => finding("policies", Level::Ok, "the policies are those set last".into(), ""),
        Some(trouble) => {
            let message = format!("the policies are not those set last: {trouble}");
            finding("policies", Level::Critical, message, next_step)
        }
    }
}

fn port_losses(ports: &[PortStatus], losses: Losses, lately: Losses) -> Finding {
    let worst = ports.iter().max_by_key(|port| port.lost()).filter(|port| port.lost() > 0);
    let Some(worst) = worst else {
        return finding("ports", Level::Ok, "no packet was lost".to_owned(), "");
    };
    let level = if lately.packets > 0 { Level::Critical } else { Level::Warning };
    let message = format!(
        "{} packets were lost before a worker saw them, {} of them lately; port {}: {} missed, {} \
         damaged, {} without a buffer, {} on the way to another worker",
        losses.packets,
        lately.packets,
        worst.name,
        worst.rx_missed,
        worst.rx_errors,
        worst.rx_no_mbuf,
        worst.handoff_dropped
    );
    let next_step = "use more workers, raise dataplane.mbufs, or set dataplane.idle = \"busy\"";
    finding("ports", level, message, next_step)
}

/// Panics of the control plane that were contained.
fn control_plane(fallen: &[String], losses: Losses, lately: Losses) -> Finding {
    if !fallen.is_empty() {
        let message = format!("ended by a panic: {}", fallen.join(", "));
        let next_step = "restart the service, and report what the log says of the panic";
        return finding("control-plane", Level::Critical, message, next_step);
    }
    let level = if lately.panics > 0 { Level::Warning } else { Level::Ok };
    let message = match losses.panics {
        0 => "no request made it panic".to_owned(),
        all => format!("{all} requests made it panic, {} of them lately", lately.panics),
    };
    finding("control-plane", level, message, "report what the log says of the panics")
}

fn log(losses: Losses, lately: Losses) -> Finding {
    let level = if lately.log_lines > 0 { Level::Warning } else { Level::Ok };
    let message = match losses.log_lines {
        0 => "no line of the log was lost".to_owned(),
        all => format!("{all} lines of the log were lost, {} of them lately", lately.log_lines),
    };
    let next_step = "see whether what reads stderr reads on, and whether its disk is full";
    finding("log", level, message, next_step)
}

/// Whoever relies on the audit has to know that there is none.
fn audit(standing: &AuditStanding) -> Finding {
    let AuditStanding { path, trouble, refuses } = standing;
    let (level, message) = match (path, trouble) {
        (None, _) => (Level::Ok, "nothing is entered: no file is named".to_owned()),
        (Some(path), None) => (Level::Ok, format!("changes are entered in {path}")),
        (Some(path), Some(why)) => {
            let means = match refuses {
                true => "changes and looks at payload are refused",
                false => "changes and looks at payload go on",
            };
            (Level::Critical, format!("{path} cannot be written ({why}): {means}"))
        }
    };
    let next_step = "make room on its disk, or name another file: path in section [audit]";
    finding("audit", level, message, next_step)
}

fn descriptors(files: Descriptors) -> Finding {
    let Descriptors { needed, available } = files;
    if files.suffice() {
        let message = format!("{needed} file descriptors are needed, and there may be {available}");
        return finding("descriptors", Level::Ok, message, "");
    }
    let connections = files.connections();
    let message = format!(
        "{needed} file descriptors are needed, but there may be {available} only: {connections} \
         clients may connect at once"
    );
    let next_step = format!(
        "raise the hard limit to {needed} (LimitNOFILE= of the unit, ulimit -Hn of a shell), or \
         set server.connections_max = {connections}"
    );
    finding("descriptors", Level::Warning, message, &next_step)
}

fn worker_loop(worker: WorkerId, phase: Phase, age: Duration) -> Finding {
    let kind = format!("core-{worker}");
    let seconds = age.as_secs_f64();
    let next_step = "check what else runs on its CPU; restart the service if it stays so";
    match phase {
        Phase::Stopped => finding(
            kind,
            Level::Critical,
            "the worker has stopped".to_owned(),
            "restart the service",
        ),
        Phase::Starting => {
            finding(kind, Level::Warning, "the worker is starting".to_owned(), "wait a moment")
        }
        Phase::Running | Phase::Drained if age >= LOOP_STALLED => {
            let message = format!("its loop has not turned for {seconds:.1} s");
            finding(kind, Level::Critical, message, next_step)
        }
        Phase::Running | Phase::Drained if age >= LOOP_LATE => {
            let message = format!("its loop has not turned for {seconds:.1} s");
            finding(kind, Level::Warning, message, next_step)
        }
        Phase::Drained => {
            let message = "its captures have come to their end; flows stay listed".to_owned();
            finding(kind, Level::Ok, message, "")
        }
        Phase::Running => finding(kind, Level::Ok, "its loop turns".to_owned(), ""),
    }
}

/// Whether any worker works: its loop turns, if late.
pub(crate) fn any_core_works(workers: &Workers, vitals: &Vitals) -> bool {
    let mut cores = workers.iter().zip(vitals.loop_ages(workers));
    cores.any(|(client, age)| {
        worker_loop(client.worker(), client.board().phase(), age).level < Level::Critical
    })
}

/// Largest share over all workers, in per cent.
fn fullest(workers: &Workers, of: impl Fn(Gauges) -> (u64, u64)) -> u64 {
    workers
        .iter()
        .map(|client| of(client.board().gauges()))
        .map(|(used, all)| used.saturating_mul(100) / all.max(1))
        .max()
        .unwrap_or(0)
}

const fn level_of(per_cent: u64) -> Level {
    if per_cent >= CRITICALLY_FULL {
        Level::Critical
    } else if per_cent >= NEARLY_FULL {
        Level::Warning
    } else {
        Level::Ok
    }
}

#[cfg(test)]
mod tests {
    use mos_control::{CommandPort, WorkerPort, link};
    use mos_stack::Stats;

    use super::{super::vitals::WINDOW, *};

    const FILES: Descriptors = Descriptors { needed: 1280, available: 65_536 };

    fn standing() -> Standing {
        Standing {
            files: FILES,
            roles: None,
            policies: None,
            audit: AuditStanding::default(),
            tls: None,
            exposed: Vec::new(),
        }
    }

    fn worker() -> (CommandPort, WorkerPort) {
        let (port, worker) = link(WorkerId::default());
        worker.board().set_phase(Phase::Running);
        (port, worker)
    }

    fn port(rx_missed: u64) -> PortStatus {
        PortStatus {
            name: "eth1".to_owned(),
            driver: "net_af_packet".to_owned(),
            queues: 1,
            rx_packets: 0,
            rx_bytes: 0,
            rx_missed,
            rx_errors: 0,
            rx_no_mbuf: 0,
            handoff_dropped: 0,
        }
    }

    fn level(vitals: &Vitals, workers: &Workers, ports: &[PortStatus], kind: &str) -> Level {
        let conditions = Conditions::default().judge(vitals, workers, ports, &standing());
        conditions.iter().find(|condition| condition.kind == kind).unwrap().level
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_turn_is_late_and_then_stalled() {
        let (port, worker) = worker();
        let workers = Workers::spawn(vec![port]);
        let vitals = Vitals::new(&workers);
        for (seconds, expected) in [(1, Level::Ok), (1, Level::Warning), (1, Level::Critical)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(level(&vitals, &workers, &[], "core-0"), expected);
        }
        worker.board().turn(mos_stack::Instant::EPOCH, 0);
        assert_eq!(level(&vitals, &workers, &[], "core-0"), Level::Ok);
        worker.board().set_phase(Phase::Stopped);
        assert_eq!(level(&vitals, &workers, &[], "core-0"), Level::Critical);
        assert_eq!(
            Conditions::default().judge(&vitals, &workers, &[], &standing())[0].kind,
            "core-0"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_worker_that_works_is_enough_to_serve() {
        let (first, stalled) = worker();
        let (second, working) = link(WorkerId::new(1).unwrap());
        working.board().set_phase(Phase::Running);
        let workers = Workers::spawn(vec![first, second]);
        let vitals = Vitals::new(&workers);
        assert!(any_core_works(&workers, &vitals));
        tokio::time::advance(LOOP_STALLED).await;
        assert!(!any_core_works(&workers, &vitals));
        working.board().turn(mos_stack::Instant::EPOCH, 0);
        assert!(any_core_works(&workers, &vitals));
        working.board().set_phase(Phase::Stopped);
        assert!(!any_core_works(&workers, &vitals));
        stalled.board().turn(mos_stack::Instant::EPOCH, 0);
        assert!(any_core_works(&workers, &vitals));
    }

    #[tokio::test(start_paused = true)]
    async fn losses_are_critical_while_they_are_recent() {
        let (command, _worker) = worker();
        let workers = Workers::spawn(vec![command]);
        let vitals = Vitals::new(&workers);
        vitals.observe(&workers, &[port(0)]);
        assert_eq!(level(&vitals, &workers, &[port(0)], "ports"), Level::Ok);
        assert_eq!(level(&vitals, &workers, &[port(5)], "ports"), Level::Critical);
        vitals.observe(&workers, &[port(5)]);
        tokio::time::advance(WINDOW + Duration::from_secs(1)).await;
        vitals.observe(&workers, &[port(5)]);
        assert_eq!(level(&vitals, &workers, &[port(5)], "ports"), Level::Warning);
    }

    #[tokio::test(start_paused = true)]
    async fn full_tables_and_pools_are_told_before_anything_is_lost() {
        let (command, worker) = worker();
        let workers = Workers::spawn(vec![command]);
        let vitals = Vitals::new(&workers);
        let mut stats = Stats::default();
        for (used, expected) in [(79, Level::Ok), (80, Level::Warning), (95, Level::Critical)] {
            let gauges = Gauges {
                flows: used,
                flow_slots: 100,
                pool_used_bytes: used,
                pool_bytes: 100,
                ..Gauges::default()
            };
            worker.board().publish(&stats, gauges);
            assert_eq!(level(&vitals, &workers, &[], "flow-table"), expected);
            assert_eq!(level(&vitals, &workers, &[], "buffer-pool"), expected);
        }
        stats.add(Stat::CrowdedOutBytes, 1);
        worker.board().publish(&stats, Gauges::default());
        assert_eq!(level(&vitals, &workers, &[], "buffer-pool"), Level::Critical);
        stats.add(Stat::PacketsTableFull, 1);
        stats.add(Stat::RefusedBytes, 1);
        worker.board().publish(&stats, Gauges::default());
        assert_eq!(level(&vitals, &workers, &[], "flow-table"), Level::Critical);
        assert_eq!(level(&vitals, &workers, &[], "buffer-pool"), Level::Critical);
    }

    #[test]
    fn what_the_control_plane_lost_is_a_warning_while_it_is_recent() {
        let losses = Losses { log_lines: 7, panics: 2, ..Losses::default() };
        let levels = |lately| {
            let findings = [control_plane(&[], losses, lately), log(losses, lately)];
            findings.map(|Finding { level, .. }| level)
        };
        assert_eq!(levels(losses), [Level::Warning; 2]);
        assert_eq!(levels(Losses::default()), [Level::Ok; 2]);
        let fallen = control_plane(&["the observer".to_owned()], losses, Losses::default());
        assert_eq!(fallen.level, Level::Critical);
        assert!(fallen.message.contains("the observer"), "{}", fallen.message);
    }

    #[test]
    fn too_few_descriptors_are_told_with_the_way_out() {
        assert_eq!(descriptors(FILES).level, Level::Ok);
        let few = descriptors(Descriptors { needed: 1280, available: 1024 });
        assert_eq!(few.level, Level::Warning);
        for words in ["LimitNOFILE=", "1280", "connections_max = 768"] {
            assert!(few.next_step.contains(words), "{}", few.next_step);
        }
    }
}

//! What every RPC shares: the way to the workers, and what this start of the process is.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use mos_control::{Phase, PortMonitor, WorkerLink};
use mos_proto::v1;
use mos_stack::Limits;
use uuid::Uuid;

use crate::{
    api::{answers::Answers, etag::Etags, streams::Streams, undos::Undos},
    audit::{Audit, OnFailure},
    auth::{Gate, Grants},
    budgets::Budget,
    events::FanOut,
    flows::page_token::PageTokens,
    health::{
        conditions::{AuditStanding, Conditions, Standing, TlsStanding},
        descriptors::Descriptors,
        vitals::Vitals,
    },
    net::tls::Tls,
    policies::Policies,
    words::bounds::{APPLY_ANSWERS_MAX, REQUEST_ID_RETENTION, WALKS_OPEN_MAX, WALKS_PER_PRINCIPAL},
    workers::Workers,
};

/// What the configuration decides about the services.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bounds and defaults of every worker's stack.
    pub limits: Limits,
    /// Who may do what.
    pub grants: Grants,
    /// What flows to come begin with.
    pub policies: Arc<Policies>,
    /// Where changes are entered.
    pub audit: Arc<Audit>,
    /// TLS, where a listener has it.
    pub tls: Option<Arc<Tls>>,
    /// Where it serves plain text beyond this machine.
    pub exposed: Vec<SocketAddr>,
    /// Whether payload may be read.
    pub payload: bool,
    /// Connections at once, at most.
    pub connections_max: usize,
    /// File descriptors that it needs and may have.
    pub descriptors: Descriptors,
    /// Name of this machine.
    pub node: String,
}

/// The state that the services share.
#[derive(Debug)]
pub struct Control {
    /// The way to the workers.
    pub(crate) workers: Workers,
    /// The way of events to their subscribers.
    pub events: FanOut,
    /// The ports' counters.
    pub(crate) ports: Arc<dyn PortMonitor>,
    /// What the configuration decides.
    pub(crate) settings: Settings,
    /// Decides who may call what.
    pub(crate) gate: Arc<Gate>,
    /// Changes at every start; flow names belong to it.
    pub boot: Uuid,
    /// When this start was.
    pub(crate) started: SystemTime,
    /// Etags of this start.
    pub(crate) etags: Etags,
    /// Page tokens of this start.
    pub(crate) page_tokens: PageTokens,
    /// First answers of `SetSockOpt`.
    pub(crate) answers: Answers<v1::SetSockOptResponse>,
    /// First answers of `ApplySockOpt`.
    pub(crate) apply_answers: Answers<v1::ApplySockOptResponse>,
    /// What changes of many flows have replaced.
    pub(crate) undos: Undos,
    /// Walks over all flows that are under way.
    pub(crate) walks: Arc<Budget>,
    /// The streams that run now.
    pub streams: Streams,
    /// What was observed of the workers and ports lately.
    pub(crate) vitals: Vitals,
    /// What is wrong, by the vitals.
    pub(crate) conditions: Conditions,
}

impl Control {
    /// Takes over the ways to the workers. Called within the tokio runtime that serves them.
    #[must_use]
    pub fn new(links: Vec<WorkerLink>, ports: Arc<dyn PortMonitor>, settings: Settings) -> Self {
        let boot = Uuid::new_v4();
        let (commands, taps): (Vec<_>, Vec<_>) = links
            .into_iter()
            .map(|WorkerLink { commands, events }| {
                let worker = commands.worker();
                (commands, (worker, events))
            })
            .unzip();
        let workers = Workers::spawn(commands);
        let trust = settings.tls.as_ref().map(|tls| tls.trust());
        Self {
            vitals: Vitals::new(&workers),
            conditions: Conditions::default(),
            workers,
            events: FanOut::spawn(taps),
            ports,
            gate: Arc::new(Gate::new(settings.grants.clone(), trust)),
            settings,
            boot,
            started: SystemTime::now(),
            etags: Etags::new(boot),
            page_tokens: PageTokens::new(boot),
            answers: Answers::default(),
            apply_answers: Answers::new(REQUEST_ID_RETENTION, APPLY_ANSWERS_MAX),
            undos: Undos::default(),
            walks: Budget::new(WALKS_PER_PRINCIPAL, WALKS_OPEN_MAX),
            streams: Streams::default(),
        }
    }

    /// What conditions are judged by, besides the vitals.
    pub(crate) fn standing(&self) -> Standing {
        let tls = self.settings.tls.as_ref().map(|tls| tls.standing());
        Standing {
            files: self.settings.descriptors,
            roles: self.gate.mistake(),
            policies: self.settings.policies.trouble(),
            audit: self.audit_standing(),
            tls: tls.map(|(mistake, validities)| TlsStanding { mistake, validities }),
            exposed: self.settings.exposed.clone(),
        }
    }

    fn audit_standing(&self) -> AuditStanding {
        let audit = &self.settings.audit;
        AuditStanding {
            path: audit.path().map(|path| path.display().to_string()),
            trouble: audit.trouble(),
            refuses: audit.on_failure() == OnFailure::Refuse,
        }
    }

    /// The cores whose workers have not stopped.
    #[must_use]
    pub(crate) fn unstopped(&self) -> Vec<u16> {
        let workers = self.workers.iter();
        let running = workers.filter(|client| client.board().phase() != Phase::Stopped);
        running.map(|client| client.worker().index()).collect()
    }
}

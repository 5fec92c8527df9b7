//! Serves `mos.v1`, health and reflection until told to stop, with bounds on everything that a
//! client could grow.

use std::{future::Future, sync::Arc, time::Duration};

use mos_proto::v1::{
    event_service_server::EventServiceServer, flow_service_server::FlowServiceServer,
    policy_service_server::PolicyServiceServer, system_service_server::SystemServiceServer,
};
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tonic::{Status, service::Routes};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::{
    api::{
        containment::containing, counted::Counted, gated::gated, rejection::Rejection,
        service::Service, state::Control, status::completion::completing,
    },
    health::{conditions::any_core_works, telemetry, vitals::OBSERVE_EVERY},
    net::{Cutoff, guard::guarded, http2, listen::Listeners},
    panics,
    words::bounds::{MESSAGE_IN_MAX, MESSAGE_OUT_MAX},
};

/// Time that requests in flight may take once the service stops.
const DRAIN: Duration = Duration::from_secs(2);

/// What a service needs to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing but the process.
    Nothing,
    /// A worker that works.
    Worker,
    /// Policies that are those set last.
    Policies,
}

/// The services that the health service reports on, and what they need. The nameless one stands
/// for all.
const SERVICES: [(&str, Need); 5] = [
    ("", Need::Worker),
    ("mos.v1.EventService", Need::Worker),
    ("mos.v1.FlowService", Need::Worker),
    ("mos.v1.PolicyService", Need::Policies),
    ("mos.v1.SystemService", Need::Nothing),
];

/// Why serving ended before `stop` did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The built-in descriptors cannot be read.
    #[error("cannot build the reflection service: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `stop` completes, then lets requests in flight end.
///
/// # Errors
///
/// When the reflection service cannot be built.
pub async fn serve(
    control: Arc<Control>,
    listeners: Listeners,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let health = HealthReporter::new();
    set_health(&health, |_| true).await;
    let service = completing(containing(routes(&control, &health)?.prepare()));
    let service =
        guarded(gated(service, Arc::clone(&control.gate), Arc::clone(&control.settings.audit)));
    let incoming = listeners.accept();
    let mut observer = panics::spawn("the observer", observe(Arc::clone(&control), health.clone()));
    let (drain, draining) = oneshot::channel::<()>();
    let told = |cutoff: Cutoff| Status::from(Rejection::from(cutoff));
    let server = http2::Server::new(service, control.settings.connections_max, told);
    let serving = server.serve(incoming, async {
        // An error means that the sender was dropped, which means the same.
        let _told_or_dropped: Result<(), _> = draining.await;
    });
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = stop => {
            observer.abort();
            // Only then will it not say that a service serves.
            let _cancelled: Result<(), _> = (&mut observer).await;
            set_health(&health, |_| false).await;
            control.streams.stop();
            drop(drain);
            if tokio::time::timeout(DRAIN, &mut serving).await.is_err() {
                tracing::info!("requests still under way were cut off");
            }
        }
    }
    observer.abort();
    Ok(())
}

/// Tells of each service whether it serves, by what it needs.
async fn set_health(health: &HealthReporter, serves: impl Fn(Need) -> bool) {
    for (service, need) in SERVICES {
        let status = match serves(need) {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        health.set_service_status(service, status).await;
    }
}

/// All services.
fn routes(control: &Arc<Control>, health: &HealthReporter) -> Result<Routes, ServeError> {
    let service = Service::new(Arc::clone(control));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(mos_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let health = HealthServer::new(HealthService::from_health_reporter(health.clone()));
    let flows = FlowServiceServer::new(service.clone());
    let events = EventServiceServer::new(service.clone());
    let policies = PolicyServiceServer::new(service.clone());
    let system = SystemServiceServer::new(service);
    let (max_in, max_out) = (MESSAGE_IN_MAX, MESSAGE_OUT_MAX);
    Ok(Routes::new(flows.max_decoding_message_size(max_in).max_encoding_message_size(max_out))
        .add_service(events.max_decoding_message_size(max_in).max_encoding_message_size(max_out))
        .add_service(policies.max_decoding_message_size(max_in).max_encoding_message_size(max_out))
        .add_service(system.max_decoding_message_size(max_in).max_encoding_message_size(max_out))
        .add_service(counted(health, control))
        .add_service(counted(reflection().build_v1()?, control))
        .add_service(counted(reflection().build_v1alpha()?, control)))
}

/// A service of others, which counts its streams.
fn counted<S>(service: S, control: &Arc<Control>) -> Counted<S> {
    Counted::new(service, Arc::clone(control))
}

/// Keeps the vitals, the metrics and the health of the services up to date.
async fn observe(control: Arc<Control>, health: HealthReporter) {
    let mut had = (true, true);
    let mut ticks = tokio::time::interval(OBSERVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ports = control.ports.ports();
        control.vitals.observe(&control.workers, &ports);
        control.undos.forget();
        telemetry::publish_cores(&control.workers, &control.vitals);
        telemetry::publish_losses();
        if let Some(tls) = &control.settings.tls {
            telemetry::publish_validities(&tls.standing().1);
        }
        telemetry::publish_streams(control.streams.open());
        telemetry::publish_events(&control.events);
        ports.iter().for_each(telemetry::publish_port);
        let works = any_core_works(&control.workers, &control.vitals);
        let has_policies = control.settings.policies.trouble().is_none();
        if (works, has_policies) != had {
            tracing::warn!(works, has_policies, "the health of services has changed");
            set_health(&health, |need| match need {
                Need::Nothing => true,
                Need::Worker => works,
                Need::Policies => has_policies,
            })
            .await;
            had = (works, has_policies);
        }
    }
}

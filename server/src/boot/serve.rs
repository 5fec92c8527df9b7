//! Serves `mos.v1`, health and reflection until told to stop, with bounds on everything that a
//! client could grow.

use std::{future::Future, sync::Arc, time::Duration};

use mos_proto::v1::{
    event_service_server::EventServiceServer, flow_service_server::FlowServiceServer,
    system_service_server::SystemServiceServer,
};
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tonic::transport::{Server, server::Router};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::layer::util::{Identity, Stack};

use crate::{
    api::{containment::Containment, service::Service, state::Control},
    health::{telemetry, vitals::OBSERVE_EVERY},
    net::listen::Listeners,
    panics,
    words::bounds::{MESSAGE_IN_MAX, MESSAGE_OUT_MAX, STREAMS_MAX},
};

/// Streams that a peer may make us reset before we end its connection (RUSTSEC-2024-0003).
const RESET_STREAMS_MAX: usize = 1024;

/// Bytes that a peer may send ahead of our reading, for a stream and for a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Time between two pings of an idle peer, and how long it may take to answer one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Time that requests in flight may take once the service stops.
const DRAIN: Duration = Duration::from_secs(2);

/// The services that the health service reports on.
const SERVICES: [&str; 4] =
    ["", "mos.v1.EventService", "mos.v1.FlowService", "mos.v1.SystemService"];

/// Why serving ended before `stop` did.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The built-in descriptors cannot be read.
    #[error("cannot build the reflection service: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("the gRPC transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `stop` completes, then lets requests in flight end.
///
/// # Errors
///
/// When the transport fails.
pub async fn serve(
    control: Arc<Control>,
    listeners: Listeners,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let health = HealthReporter::new();
    set_health(&health, ServingStatus::Serving).await;
    let router = router(&control, &health)?;
    let incoming = listeners.accept(control.settings.connections_max);
    let observer = panics::spawn("the observer", observe(Arc::clone(&control)));
    let (drain, draining) = oneshot::channel::<()>();
    let serving = router.serve_with_incoming_shutdown(incoming, async {
        // An error means that the sender was dropped, which means the same.
        let _told_or_dropped: Result<(), _> = draining.await;
    });
    let mut serving = std::pin::pin!(serving);
    let outcome = tokio::select! {
        outcome = &mut serving => outcome,
        () = stop => {
            set_health(&health, ServingStatus::NotServing).await;
            control.streams.stop();
            drop(drain);
            tokio::time::timeout(DRAIN, &mut serving).await.unwrap_or_else(|_elapsed| {
                tracing::info!("requests still under way were cut off");
                Ok(())
            })
        }
    };
    observer.abort();
    Ok(outcome?)
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}

/// What stands around all services.
type Layers = Stack<Containment, Identity>;

fn router(control: &Arc<Control>, health: &HealthReporter) -> Result<Router<Layers>, ServeError> {
    let service = Service::new(Arc::clone(control));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(mos_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_local_error_reset_streams(Some(RESET_STREAMS_MAX))
        .layer(Containment)
        .add_service(
            FlowServiceServer::new(service.clone())
                .max_decoding_message_size(MESSAGE_IN_MAX)
                .max_encoding_message_size(MESSAGE_OUT_MAX),
        )
        .add_service(
            EventServiceServer::new(service.clone())
                .max_decoding_message_size(MESSAGE_IN_MAX)
                .max_encoding_message_size(MESSAGE_OUT_MAX),
        )
        .add_service(
            SystemServiceServer::new(service)
                .max_decoding_message_size(MESSAGE_IN_MAX)
                .max_encoding_message_size(MESSAGE_OUT_MAX),
        )
        .add_service(tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(health.clone()),
        ))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// Keeps the vitals and the metrics up to date.
async fn observe(control: Arc<Control>) {
    let mut ticks = tokio::time::interval(OBSERVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ports = control.ports.ports();
        control.vitals.observe(&control.workers, &ports);
        telemetry::publish_cores(&control.workers, &control.vitals);
        telemetry::publish_losses();
        telemetry::publish_streams(control.streams.open());
        telemetry::publish_events(&control.events);
        ports.iter().for_each(telemetry::publish_port);
    }
}

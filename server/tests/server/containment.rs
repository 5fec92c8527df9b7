//! A handler that panics: its client is told, and everybody else is served on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use mos_control::{PortMonitor, PortStatus, WorkerLink, event_ring};
use mos_proto::v1::{
    GetServerInfoRequest, GetStatusRequest, GetStatusResponse,
    system_service_client::SystemServiceClient,
};
use mosd::Control;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    support::{Table, row, run, settings, worker},
    transport::Served,
};

/// Ports that cannot be asked once, when armed.
#[derive(Debug, Default)]
struct Mine(AtomicBool);

impl PortMonitor for Mine {
    fn ports(&self) -> Vec<PortStatus> {
        assert!(!self.0.swap(false, Relaxed), "the port is gone");
        Vec::new()
    }
}

async fn status(client: &mut SystemServiceClient<Channel>) -> Result<GetStatusResponse, Status> {
    client.get_status(GetStatusRequest {}).await.map(tonic::Response::into_inner)
}

/// The status that a request is answered with which panics.
async fn panicked(client: &mut SystemServiceClient<Channel>, mine: &Mine) -> Status {
    mine.0.store(true, Relaxed);
    match status(client).await {
        Err(status) => status,
        // The observer, which asks now and then, was there first, and asks no more.
        Ok(_) => {
            mine.0.store(true, Relaxed);
            status(client).await.unwrap_err()
        }
    }
}

#[test]
fn a_panic_is_answered_with_internal_and_an_id_and_others_are_served_on() {
    run(async {
        let mine = Arc::new(Mine::default());
        let table = Table { slots: vec![None; 10], now: 1 };
        let commands = worker(0, move |command| table.answer(command));
        let links = vec![WorkerLink { commands, events: event_ring(1).1 }];
        let ports: Arc<dyn PortMonitor> = Arc::<Mine>::clone(&mine);
        let served = Served::over(Arc::new(Control::new(links, ports, settings()))).await;
        let mut system = SystemServiceClient::new(served.connect().await);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let refused = panicked(&mut system, &mine).await;
            assert_eq!(row(&refused), (Code::Internal, "INTERNAL".into(), "".into()));
            let details = refused.get_error_details();
            let id = details.request_info().expect("a RequestInfo").request_id.clone();
            assert!(refused.message().contains(&id), "{refused:?}");
            assert!(!refused.message().contains("port"), "what failed is for the log alone");
            ids.push(id);
        }
        assert_ne!(ids[0], ids[1]);
        // The same connection goes on, and says what has happened.
        system.get_server_info(GetServerInfoRequest {}).await.unwrap();
        let conditions = status(&mut system).await.unwrap().conditions;
        let told = conditions.iter().find(|condition| condition.r#type == "control-plane").unwrap();
        assert!(told.level > 1, "{told:?}");
        drop(system);
        served.end().await;
    });
}

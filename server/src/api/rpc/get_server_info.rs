//! `SystemService.GetServerInfo`: everything that a client should not have to guess.

use mos_proto::v1;

use crate::{
    api::{convert, state::Control},
    words::bounds::{Configured, limits},
};

/// Version, limits and capabilities.
pub(crate) fn get_server_info(control: &Control) -> v1::GetServerInfoResponse {
    let mut features = ["policies", "raw-sock-opt", "watch-events"].map(str::to_owned).to_vec();
    if control.settings.payload {
        features.extend(["peek-flow".to_owned(), "read-flow".to_owned()]);
    }
    v1::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("MOSD_COMMIT").unwrap_or_default().to_owned(),
        boot_id: control.boot.to_string(),
        node: control.settings.node.clone(),
        api_packages: vec!["mos.v1".to_owned()],
        features,
        limits: told_limits(control),
        default_options: Some(convert::flow_options(&control.settings.limits.defaults)),
        start_time: Some(control.started.into()),
    }
}

/// Every bound that a client can meet.
fn told_limits(control: &Control) -> Vec<v1::Limit> {
    let configured = Configured {
        stack: &control.settings.limits,
        connections_max: control.settings.connections_max,
        cores: control.workers.iter().len(),
    };
    limits(&configured).into_iter().map(|limit| convert::limit(&limit)).collect()
}

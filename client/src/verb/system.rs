//! `status`, `info` and `whoami`.

use std::time::SystemTime;

use mos_proto::v1::{ConditionLevel, GetCallerRequest, GetServerInfoRequest, GetStatusRequest};

use super::Session;
use crate::{
    args::Format,
    error::{Exit, Failure},
    render::{caller_text, info_text, status_text},
};

/// Shows the health of mosd, which also decides the exit code.
pub(super) async fn status(session: &mut Session) -> Result<Exit, Failure> {
    let method = "mos.v1.SystemService/GetStatus";
    session.output.request(method, "GetStatusRequest", &GetStatusRequest {});
    // Both at once, so that the screen appears quickly. The second may fail: it only adds the
    // headline.
    let (status, info) = tokio::join!(session.client.status(), session.client.server_info());
    let status = status?;
    match session.output.format() {
        Format::Table | Format::Wide | Format::Name => {
            let info = info.ok();
            let text = status_text(&session.output, &status, info.as_ref(), SystemTime::now());
            session.output.text(&text)?;
        }
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("GetStatusResponse", &status)?;
        }
    }
    Ok(match status.level() {
        ConditionLevel::Ok => Exit::Done,
        ConditionLevel::Unspecified | ConditionLevel::Warning => Exit::Warning,
        ConditionLevel::Critical => Exit::Critical,
    })
}

/// Shows version, limits and features.
pub(super) async fn info(session: &mut Session) -> Result<Exit, Failure> {
    let method = "mos.v1.SystemService/GetServerInfo";
    session.output.request(method, "GetServerInfoRequest", &GetServerInfoRequest {});
    let info = session.client.server_info().await?;
    match session.output.format() {
        Format::Table | Format::Wide | Format::Name => {
            session.output.text(&info_text(&info, SystemTime::now()))?;
        }
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("GetServerInfoResponse", &info)?;
        }
    }
    Ok(Exit::Done)
}

/// Shows who one is to mosd, and what one may do.
pub(super) async fn whoami(session: &mut Session) -> Result<Exit, Failure> {
    let method = "mos.v1.SystemService/GetCaller";
    session.output.request(method, "GetCallerRequest", &GetCallerRequest {});
    let caller = session.client.caller().await?;
    match session.output.format() {
        Format::Table | Format::Wide | Format::Name => {
            session.output.text(&caller_text(&caller))?;
        }
        Format::Json | Format::Jsonl | Format::Yaml => {
            session.output.document("GetCallerResponse", &caller)?;
        }
    }
    Ok(Exit::Done)
}

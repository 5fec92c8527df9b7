//! `SystemService.ListAuditEntries`: pages of the audit's files.

use mos_proto::v1;

use super::flow::check_length;
use crate::{
    api::{convert, rejection::Rejection, state::Control},
    audit::{Page, Position, Query, Unavailable},
    flows::page_token::PageTokenError,
    net::call::Call,
    words::bounds::{AUDIT_PAGE_DEFAULT, AUDIT_PAGE_MAX, PAGE_TOKEN_MAX},
};

/// A page of entries. Its token is a place in the files.
pub(crate) async fn list_audit_entries(
    control: &Control,
    _call: &Call,
    request: v1::ListAuditEntriesRequest,
) -> Result<v1::ListAuditEntriesResponse, Rejection> {
    let v1::ListAuditEntriesRequest { page_size, page_token, since_time, principal, method } =
        request;
    check_length("page_token", &page_token, PAGE_TOKEN_MAX)?;
    let asked = usize::try_from(page_size).map_err(|_negative| Rejection::Argument {
        field: "page_size",
        problem: format!("{page_size} is negative"),
    })?;
    let size = if asked == 0 { AUDIT_PAGE_DEFAULT } else { asked.min(AUDIT_PAGE_MAX) };
    let from = match page_token.as_str() {
        "" => None,
        token => Some(position(token).ok_or(PageTokenError::Malformed)?),
    };
    let query = Query { since: since_time, principal, method, from, size };
    let page = control.settings.audit.page(query).await;
    let Page { lines, next } = page.map_err(|error| Unavailable(error.to_string()))?;
    Ok(v1::ListAuditEntriesResponse {
        entries: lines.into_iter().map(convert::audit_entry).collect(),
        next_page_token: next.map(token).unwrap_or_default(),
    })
}

fn token(Position { file, byte }: Position) -> String {
    format!("{file}-{byte}")
}

fn position(token: &str) -> Option<Position> {
    let (file, byte) = token.split_once('-')?;
    Some(Position { file: file.parse().ok()?, byte: byte.parse().ok()? })
}

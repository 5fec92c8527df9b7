//! Gives an SSH session a larger client buffer, and reads it back: with the client library.
//!
//!     cargo run -p mosctl --example set_buffer -- ENDPOINT BYTES

#![expect(clippy::print_stdout, reason = "what an example finds is its output")]

use std::{env, error::Error, time::Duration};

use mos_proto::v1::{
    FlowOptions, GetSockOptRequest, ListFlowsRequest, SetSockOptRequest,
    set_sock_opt_request::Change,
};
use mosctl::{client::Client, tls::TlsFiles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let endpoint = arguments.next().ok_or("no ENDPOINT")?.parse()?;
    let bytes = arguments.next().ok_or("no BYTES")?.parse()?;
    let (files, connect) = (TlsFiles::default(), Duration::from_secs(5));
    let client = Client::connect(&endpoint, &files, connect, Duration::from_secs(10)).await?;

    let filter = "client_state = ESTABLISHED AND server.port = 22".to_owned();
    let request = ListFlowsRequest { filter, page_size: 1, ..ListFlowsRequest::default() };
    let found = client.list_flows(request).await?.flows;
    let flow = found.into_iter().next().ok_or("no SSH session")?.name;

    let options = FlowOptions { client_buffer_bytes: Some(bytes), ..FlowOptions::default() };
    let change = Some(Change::Options(options));
    let request = SetSockOptRequest { flow: flow.clone(), change, ..SetSockOptRequest::default() };
    client.set_sock_opt(request).await?;

    let request = GetSockOptRequest { flow: flow.clone(), raw: None };
    let options = client.get_sock_opt(request).await?.options.ok_or("no options")?;
    println!("{flow} {}", options.client_buffer_bytes());
    Ok(())
}

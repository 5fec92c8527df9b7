//! `mosd check`: what a configuration would start on this machine, or what is wrong with it.

use std::{
    io::{self, Write as _},
    time::SystemTime,
};

use mos_text::{Size, Span};

use crate::{
    auth::Grant,
    boot::{
        args::CheckArgs, audit, config::ConfigFile, failure::Failure, logging, plan, policies,
        roles, tls,
    },
    net::tls::Keys,
    words::validity::Validity,
};

/// Says on stdout what the configuration would start.
///
/// # Errors
///
/// What is wrong with the configuration, or a stdout that cannot be written to.
pub fn check(args: &CheckArgs) -> Result<(), Failure> {
    let file = ConfigFile::read(&args.config).map_err(Failure::user)?;
    let planned = plan::plan(&file).map_err(Failure::user)?;
    plan::probe(&planned).map_err(Failure::user)?;
    logging::filter(&file.config.log).map_err(Failure::user)?;
    let config = &file.config;
    let mut lines = vec![format!("{} is right. It would start:", args.config.display())];
    lines.push(format!("  workers  {}", planned.workers));
    lines.extend(planned.ports.iter().map(|port| format!("  port     {port}")));
    if planned.ports.is_empty() {
        lines.push("  port     none: name one with --port, or use --demo".to_owned());
    }
    lines.extend(config.server.listen.iter().map(|address| format!("  gRPC     {address}")));
    lines.extend(
        config.metrics.listen.map(|address| format!("  metrics  http://{address}/metrics")),
    );
    let (limits, bounds) = (&planned.limits, &config.limits);
    let when = if limits.populate { "all of it at start" } else { "as it is used" };
    lines.push(format!(
        "  memory   {} flows and {} of receive buffers for each worker, {when}",
        limits.flows_max, bounds.pool
    ));
    let buffers = config.options.defaults.buffer_bytes;
    lines.push(format!(
        "  flows    start with {} for the client and {} for the server, up to {}",
        Size(buffers.client),
        Size(buffers.server),
        bounds.buffer_max
    ));
    let payload =
        if config.server.payload { "may be read with the role payload" } else { "stays private" };
    lines.push(format!("  payload  {payload}"));
    lines.push(format!("  policies {}", policies::told(config).map_err(Failure::user)?));
    lines.push(format!("  audit    {}", audit::told(config)));
    let keys = tls::keys(config).map_err(Failure::user)?;
    let validities = keys.iter().flat_map(Keys::validities);
    lines.extend(validities.map(|Validity { what, path, until, .. }| {
        let left = until.duration_since(SystemTime::now());
        let left = left.map_or_else(
            |_past| "has expired".to_owned(),
            |left| format!("is good for {}", Span(left).rounded()),
        );
        format!("  TLS      the {what} in {} {left}", path.display())
    }));
    lines.extend(plan::exposed(config).iter().map(|address| {
        format!("  INSECURE {address} is in plain text: anybody on the way can read and change it")
    }));
    let grants = roles::grants(config).map_err(Failure::user)?;
    lines.extend(grants.iter().map(|grant| {
        let Grant { name, roles, to, expires, pace: _ } = grant;
        let name = if *name == to.to_string() { String::new() } else { format!(" ({name})") };
        let ends = match expires {
            Some(_) if grant.has_expired(SystemTime::now()) => ", HAS EXPIRED".to_owned(),
            Some(end) => {
                let left = end.duration_since(SystemTime::now()).unwrap_or_default();
                format!(", for {}", Span(left).rounded())
            }
            None => String::new(),
        };
        format!("  roles    {to}{name}: {roles}{ends}")
    }));
    match writeln!(io::stdout(), "{}", lines.join("\n")) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

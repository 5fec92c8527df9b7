//! The command line of `mosd`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, builder::RangedI64ValueParser, value_parser};
use mos_text::Address;

use crate::{
    boot::config::{Config, ConfigError, ConfigFile, LogFormat, Spanned},
    replay::ReplayArgs,
    words::bounds::workers,
};

/// Watches TCP flows on DPDK ports and captures, and serves a gRPC API to list them and change
/// their options while they run.
#[derive(Debug, Parser)]
#[command(name = "mosd", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch ports and serve the API until interrupted.
    Run(RunArgs),
    /// Say what a configuration would start, or what is wrong with it; start nothing.
    Check(CheckArgs),
    /// Replay a capture and print one record for each TCP flow.
    Replay(ReplayArgs),
}

/// Arguments of `mosd run`. What is given here takes the place of what the file says.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct RunArgs {
    /// Configuration file; every key is described in deploy/mosd.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to watch: `af_packet:eth1`, a PCI address, devargs, a capture file. May be repeated.
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<String>,
    /// Workers.
    #[arg(long, value_name = "N", value_parser = workers())]
    pub workers: Option<u16>,
    /// Where to listen: `unix:///path` or ADDRESS:PORT. May be repeated.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<Address>,
    /// Add a port with embedded demo traffic.
    #[arg(long)]
    pub demo: bool,
    /// Conversations of the demo traffic.
    #[arg(long, value_name = "N", requires = "demo", value_parser = at_most(100_000))]
    pub flows: Option<u32>,
    /// Packets a second of the demo traffic.
    #[arg(long, value_name = "PPS", requires = "demo", value_parser = at_most(10_000_000))]
    pub rate: Option<u32>,
    /// Serve Prometheus metrics here.
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Allow plain-text TCP beyond loopback: anybody on the way can read and change it.
    #[arg(long)]
    pub insecure: bool,
    /// End when every capture has come to its end, instead of keeping its flows listed.
    #[arg(long)]
    pub exit_when_done: bool,
    /// Form of the log.
    #[arg(long, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
}

/// Arguments of `mosd check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

impl RunArgs {
    /// The configuration: the file, if there is one, overlaid with what was typed.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub fn config(&self) -> Result<ConfigFile, ConfigError> {
        let mut file = match &self.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        self.overlay(&mut file.config);
        Ok(file)
    }

    fn overlay(&self, config: &mut Config) {
        if !self.ports.is_empty() {
            config.ports = self.ports.iter().cloned().map(typed).collect();
        }
        if self.demo && config.ports.iter().all(|port| port.get_ref() != DEMO) {
            config.ports.push(typed(DEMO.to_owned()));
        }
        if !self.listen.is_empty() {
            config.server.listen.clone_from(&self.listen);
        }
        config.dataplane.workers = self.workers.unwrap_or(config.dataplane.workers);
        config.demo.flows = self.flows.unwrap_or(config.demo.flows);
        config.demo.rate_pps = self.rate.unwrap_or(config.demo.rate_pps);
        config.metrics.listen = self.metrics.or(config.metrics.listen);
        config.server.insecure |= self.insecure;
        config.log.format = self.log_format.unwrap_or(config.log.format);
    }
}

/// The port of the demo traffic.
const DEMO: &str = "demo";

/// A port from the command line: it has no place in a file.
fn typed(port: String) -> Spanned<String> {
    Spanned::new(0..0, port)
}

fn at_most(max: i64) -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..=max)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::boot::config::Server;

    fn run(line: &str) -> RunArgs {
        let words = ["mosd", "run"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(args) => args,
            Command::Check(_) | Command::Replay(_) => panic!("not run"),
        }
    }

    fn ports(config: &Config) -> Vec<&str> {
        config.ports.iter().map(|port| port.get_ref().as_str()).collect()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_typed_takes_the_place_of_the_file() {
        let line = "--port net_null0 --port x.pcap --workers 3 --listen 127.0.0.1:1 --insecure \
                    --metrics 127.0.0.1:2 --log-format json --exit-when-done";
        let args = run(line);
        let config = args.config().unwrap().config;
        assert_eq!(ports(&config), ["net_null0", "x.pcap"]);
        assert_eq!(config.dataplane.workers, 3);
        assert_eq!(config.server.listen, ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(config.metrics.listen, Some("127.0.0.1:2".parse().unwrap()));
        assert_eq!((config.log.format, config.server.insecure), (LogFormat::Json, true));
        assert!(args.exit_when_done);
    }

    #[test]
    fn nothing_typed_leaves_the_defaults() {
        let config = run("").config().unwrap().config;
        assert_eq!(config, Config::default());
        assert_eq!(config.server, Server::default());
    }

    #[test]
    fn demo_adds_its_port_once() {
        let config = run("--demo --flows 10 --rate 50 --port net_null0").config().unwrap().config;
        assert_eq!(ports(&config), ["net_null0", "demo"]);
        assert_eq!((config.demo.flows, config.demo.rate_pps), (10, 50));
        assert_eq!(ports(&run("--demo --port demo").config().unwrap().config), ["demo"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--workers 0", "--workers 513", "--flows 5", "--listen nowhere", "--metrics x"]
        {
            let words = ["mosd", "run"].into_iter().chain(line.split_whitespace());
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}

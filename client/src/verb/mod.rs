//! What each command does, one file for each group.

mod apply;
mod audit;
mod batch;
mod call;
mod certs;
mod consent;
mod context;
mod count;
mod events;
mod export;
mod flows;
mod help;
mod peek;
mod policy;
mod read;
mod sockopt;
mod stream;
mod system;
mod token;
mod watch;

use std::time::Duration;

use crate::{
    args::{AuditArgs, Cli, FlowsVerb, Format, Global, Verb},
    client::Client,
    error::{Exit, Failure},
    render::Output,
    settings::Target,
};

/// Default timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection and the output of a command.
pub(crate) struct Session {
    client: Client,
    output: Output,
}

/// Runs a command that needs no server; `None` for every other command.
pub(crate) fn without_server(cli: &Cli, output: &mut Output) -> Option<Result<Exit, Failure>> {
    match &cli.verb {
        Verb::Context(verb) => Some(context::context(verb, &cli.global.access, output)),
        Verb::Certs(verb) => Some(certs::certs(verb, output)),
        Verb::Token(verb) => Some(token::token(verb, output)),
        Verb::Audit(AuditArgs { verb: Some(verb), .. }) => Some(audit::offline(verb, output)),
        Verb::Completion { shell } => Some(help::completion(*shell, output)),
        Verb::Version => Some(help::version(output)),
        Verb::Help { topic } => Some(help::help(topic, output)),
        Verb::Flows(_)
        | Verb::List(_)
        | Verb::Watch(_)
        | Verb::Getopt(_)
        | Verb::Setopt(_)
        | Verb::Undo(_)
        | Verb::Peek(_)
        | Verb::Read(_)
        | Verb::Events(_)
        | Verb::Policy(_)
        | Verb::Status
        | Verb::Info
        | Verb::Whoami
        | Verb::Audit(AuditArgs { verb: None, .. })
        | Verb::Call(_) => None,
    }
}

/// Runs a command that needs a server, and prints its failure.
pub(crate) async fn with_server(cli: Cli, mut output: Output) -> Exit {
    let timeout = cli.global.timeout.unwrap_or(REQUEST_TIMEOUT);
    let prepared = prepare(&cli.verb, &mut output).await;
    let connected = match prepared {
        Ok(()) => connect(&cli.global, timeout).await,
        Err(failure) => Err(failure),
    };
    let client = match connected {
        Ok(client) => client,
        Err(failure) => {
            output.failure(None, &failure);
            return failure.exit();
        }
    };
    let mut session = Session { client, output };
    let done = match &cli.verb {
        Verb::Flows(FlowsVerb::List(args)) | Verb::List(args) => {
            flows::list(&mut session, args).await
        }
        Verb::Flows(FlowsVerb::Get(args)) => flows::get(&mut session, args).await,
        Verb::Flows(FlowsVerb::Count(args)) => count::count(&mut session, args).await,
        Verb::Flows(FlowsVerb::Top(args)) => export::top(&mut session, args).await,
        Verb::Flows(FlowsVerb::Export(args)) => export::export(&mut session, args).await,
        Verb::Flows(FlowsVerb::Watch(args)) | Verb::Watch(args) => {
            watch::watch(&mut session, args, cli.global.timeout).await
        }
        Verb::Getopt(args) => sockopt::getopt(&mut session, args).await,
        Verb::Setopt(args) => sockopt::setopt(&mut session, args).await,
        Verb::Undo(args) => apply::undo(&mut session, args).await,
        Verb::Peek(args) => peek::peek(&mut session, args).await,
        Verb::Read(args) => read::read(&mut session, args, cli.global.timeout).await,
        Verb::Events(args) => events::events(&mut session, args, cli.global.timeout).await,
        Verb::Policy(verb) => policy::policy(&mut session, verb).await,
        Verb::Status => system::status(&mut session).await,
        Verb::Info => system::info(&mut session).await,
        Verb::Whoami => system::whoami(&mut session).await,
        Verb::Audit(args) => audit::audit(&mut session, args).await,
        Verb::Call(args) => call::call(&mut session, args, cli.global.timeout).await,
        Verb::Context(_)
        | Verb::Certs(_)
        | Verb::Token(_)
        | Verb::Completion { .. }
        | Verb::Version
        | Verb::Help { .. } => Ok(Exit::Done),
    };
    match done {
        Ok(exit) => session.output.finish(exit),
        Err(failure) => {
            session.output.failure(None, &failure);
            failure.exit()
        }
    }
}

/// Connects to where the command line, the environment and the context say.
async fn connect(global: &Global, timeout: Duration) -> Result<Client, Failure> {
    let Target { endpoint, files, token } = Target::of(&global.access)?;
    let client = Client::connect(&endpoint, &files, global.connect_timeout, timeout).await?;
    Ok(match token {
        Some(token) => client.showing(&token),
        None => client,
    })
}

/// Checks the command line, and asks for consent, before anything is sent.
async fn prepare(verb: &Verb, output: &mut Output) -> Result<(), Failure> {
    let nameless = match verb {
        Verb::Events(_) => "events",
        Verb::Status => "status",
        Verb::Info => "info",
        Verb::Whoami => "whoami",
        Verb::Audit(_) => "audit",
        Verb::Call(_) => "call",
        Verb::Undo(_) => "undo",
        Verb::Read(args) => {
            read::check(args, output.format())?;
            "read"
        }
        Verb::Setopt(args) => return sockopt::consent(args, output).await,
        Verb::Flows(FlowsVerb::Count(_)) => "count",
        Verb::Flows(FlowsVerb::Watch(_)) | Verb::Watch(_) => "watch",
        Verb::Flows(
            FlowsVerb::List(_) | FlowsVerb::Get(_) | FlowsVerb::Top(_) | FlowsVerb::Export(_),
        )
        | Verb::List(_)
        | Verb::Getopt(_)
        | Verb::Peek(_)
        | Verb::Policy(_)
        | Verb::Context(_)
        | Verb::Certs(_)
        | Verb::Token(_)
        | Verb::Completion { .. }
        | Verb::Version
        | Verb::Help { .. } => return Ok(()),
    };
    if output.format() == Format::Name {
        return Err(Failure::Usage(format!("{nameless} has no names to print: leave -o name out")));
    }
    Ok(())
}

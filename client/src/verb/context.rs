//! `context`: names for an endpoint and what TLS needs there.

use std::path::{Path, PathBuf};

use crate::{
    args::{Access, ContextAddArgs, ContextVerb},
    error::{Exit, Failure},
    render::{Align, Output, Table},
    settings::{Context, Settings, resolved},
};

/// Shows or changes the contexts.
pub(super) fn context(
    verb: &ContextVerb,
    access: &Access,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        ContextVerb::List => list(&Settings::read(access)?, output)?,
        ContextVerb::Show => {
            let columns = [("KEY", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)];
            let rows: Vec<_> = resolved(access)?.into_iter().map(Vec::from).collect();
            output.text(&Table::new(&columns, output.titles()).rows(&rows))?;
        }
        ContextVerb::Use { name } => {
            let mut settings = Settings::read(access)?;
            known(&settings, name)?;
            settings.current = Some(name.clone());
            settings.write(access)?;
        }
        ContextVerb::Add(args) => add(args, access, output)?,
        ContextVerb::Remove { name } => {
            let mut settings = Settings::read(access)?;
            known(&settings, name)?;
            settings.contexts.remove(name);
            settings.current.take_if(|current| current == name);
            settings.write(access)?;
        }
    }
    Ok(Exit::Done)
}

fn list(settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let columns = [("", Align::Left), ("NAME", Align::Left), ("ENDPOINT", Align::Left)];
    let rows = settings.contexts.iter().map(|(name, context)| {
        let mark = if settings.current.as_ref() == Some(name) { "*" } else { "" };
        let endpoint = context.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![mark.to_owned(), name.clone(), endpoint]
    });
    let rows: Vec<_> = rows.collect();
    output.text(&Table::new(&columns, output.titles()).rows(&rows))?;
    Ok(())
}

fn add(args: &ContextAddArgs, access: &Access, output: &mut Output) -> Result<(), Failure> {
    let mut context = Context::typed(access);
    if context.endpoint.is_none() {
        return Err(Failure::Usage("a context needs an --endpoint".to_owned()));
    }
    if let Some(folder) = &args.certs {
        context.cacert = Some(folder.join("ca.pem"));
    }
    if let (Some(folder), Some(name)) = (&args.certs, &args.as_name) {
        context.cert = Some(folder.join(format!("{name}.pem")));
        context.key = Some(folder.join(format!("{name}.key")));
    }
    // A context is used from any folder.
    let Context { cacert, cert, key, token_file, .. } = &mut context;
    for path in [cacert, cert, key, token_file].into_iter().flatten() {
        *path = whole(path)?;
    }
    let mut settings = Settings::read(access)?;
    if settings.contexts.contains_key(&args.name) {
        let text = format!("there is a context {:?} already: remove it first", args.name);
        return Err(Failure::Usage(text));
    }
    settings.contexts.insert(args.name.clone(), context);
    if settings.contexts.len() == 1 {
        settings.current = Some(args.name.clone());
    }
    let path = settings.write(access)?;
    output.note(&format!("{} is in {}", args.name, path.display()));
    Ok(())
}

/// The path from the root of a file that is there.
fn whole(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

fn known(settings: &Settings, name: &str) -> Result<(), Failure> {
    match settings.contexts.contains_key(name) {
        true => Ok(()),
        false => Err(Failure::Usage(format!(
            "there is no context {name:?}: `mosctl context list` shows those that are there"
        ))),
    }
}

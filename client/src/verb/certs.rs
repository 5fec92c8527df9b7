//! `certs`: certificates of a lab.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use mos_text::Span;

use crate::{
    args::CertsVerb,
    error::{Exit, Failure},
    lab::{Issued, Lab, LabError, Shown, show},
    render::{Align, Output, Table},
};

/// A certificate with less than this left is told by the exit code.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Makes or shows certificates.
pub(super) fn certs(verb: &CertsVerb, output: &mut Output) -> Result<Exit, Failure> {
    match verb {
        CertsVerb::Init { hosts, folder } => {
            Lab::at(&folder.path).init(hosts)?;
            let folder = folder.path.display();
            output.text(&format!(
                "{folder}/ca.pem ca.key crl.pem      a CA, good for a year\n\
                 {folder}/server.pem server.key     mosd, good for 90 days\n\
                 {folder}/mosd.toml roles.toml      name them, for `mosd run --config`\n"
            ))?;
            Ok(Exit::Done)
        }
        CertsVerb::Issue { name, role, span, folder } => {
            let issued = Lab::at(&folder.path).issue(name, role, span.0)?;
            let Issued { cert, key, name: uri } = issued;
            let folder = folder.path.display();
            output.text(&format!(
                "{} {}   {uri}, good for {}\n\
                 {folder}/roles.toml grants it the role {role}. To use it:\n  \
                 mosctl context add {name} --endpoint tls://HOST:50551 --certs {folder} \
                 --as {name}\n",
                cert.display(),
                key.display(),
                Span(span.0).rounded(),
            ))?;
            Ok(Exit::Done)
        }
        CertsVerb::Revoke { name, folder } => {
            Lab::at(&folder.path).revoke(name)?;
            let path = folder.path.join("crl.pem");
            output.text(&format!("{name} is in {}\n", path.display()))?;
            Ok(Exit::Done)
        }
        CertsVerb::Show { files } => shown(files, output),
    }
}

/// Shows certificates; the exit code is that of the one that expires first.
fn shown(files: &[PathBuf], output: &mut Output) -> Result<Exit, Failure> {
    let columns = ["FILE", "NAMES", "ISSUER", "LEFT"].map(|title| (title, Align::Left));
    let (mut rows, mut exit) = (Vec::new(), Exit::Done);
    for path in files {
        for Shown { names, issuer, left } in show(path, SystemTime::now())? {
            match left {
                None => exit = Exit::Critical,
                Some(left) if left < SOON && exit == Exit::Done => exit = Exit::Warning,
                Some(_) => {}
            }
            let left = left.map_or_else(|| "expired".to_owned(), |left| Span(left).rounded());
            rows.push(vec![path.display().to_string(), names, issuer, left]);
        }
    }
    output.text(&Table::new(&columns, output.titles()).rows(&rows))?;
    Ok(exit)
}

/// Nothing is sent by what fails here.
impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        Self::Usage(error.to_string())
    }
}

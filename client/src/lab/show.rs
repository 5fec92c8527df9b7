//! What certificates say: names, issuer and days.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use tokio_rustls::rustls::pki_types::{
    CertificateDer,
    pem::{Error as PemError, PemObject as _},
};
use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::{LabError, at};

/// A certificate in words.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Whom it names: those of subjectAltName, or else the subject.
    pub(crate) names: String,
    /// Who has issued it.
    pub(crate) issuer: String,
    /// How long it is good; `None` if it has expired.
    pub(crate) left: Option<Duration>,
}

/// The certificates in a file.
///
/// # Errors
///
/// A file that cannot be read or has none.
pub(crate) fn show(path: &Path, now: SystemTime) -> Result<Vec<Shown>, LabError> {
    let unfit = |problem: String| LabError::Unfit { path: path.to_owned(), problem };
    let text = fs::read(path).map_err(|error| at(path, error))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, PemError>>();
    let all = all.map_err(|error| unfit(error.to_string()))?;
    if all.is_empty() {
        return Err(unfit("there is no certificate in it".to_owned()));
    }
    let read = |der: &CertificateDer<'_>| {
        let certificate = Certificate::from_der(der).map_err(|error| unfit(error.to_string()))?;
        let parts = certificate.tbs_certificate();
        let names = parts.get_extension::<SubjectAltName>().ok().flatten();
        let names = names.map(|(_critical, SubjectAltName(names))| names).unwrap_or_default();
        let names: Vec<_> = names.iter().filter_map(name).collect();
        Ok(Shown {
            names: match names.is_empty() {
                true => parts.subject().to_string(),
                false => names.join(" "),
            },
            issuer: parts.issuer().to_string(),
            left: parts.validity().not_after.to_system_time().duration_since(now).ok(),
        })
    };
    all.iter().map(read).collect()
}

/// A name in words, if it is one that TLS looks at.
fn name(name: &GeneralName) -> Option<String> {
    if let GeneralName::UniformResourceIdentifier(uri) = name {
        Some(uri.to_string())
    } else if let GeneralName::DnsName(host) = name {
        Some(host.to_string())
    } else if let GeneralName::IpAddress(bytes) = name {
        let bytes = bytes.as_bytes();
        let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        let address = v4.or_else(|_longer| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
        address.ok().map(|address| address.to_string())
    } else {
        None
    }
}

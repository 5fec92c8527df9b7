//! TLS to mosd: what one shows, whom one trusts, and what went wrong in words.
//!
//! A server that does not take one's certificate says so only after the handshake (TLS 1.3), so
//! such words are looked for in the errors of calls, too.

use std::{
    error::Error,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use mos_text::keeps_secret;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{Error as PemError, PemObject},
    },
    version::{TLS12, TLS13},
};

/// What HTTP/2 over TLS is called (RFC 9113, section 3.2).
const ALPN: &[u8] = b"h2";

/// What a server says that does not take our certificate.
const ALERTS: [AlertDescription; 9] = [
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateRequired,
    AlertDescription::UnknownCA,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::AccessDenied,
    AlertDescription::DecryptError,
];

/// Files and names for TLS, as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA of the server, in PEM. Needed: no other is trusted.
    pub ca: Option<PathBuf>,
    /// One's own certificate, in PEM, the leaf first.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The name that the server's certificate must have; that of the endpoint where absent.
    pub server_name: Option<String>,
}

/// What TLS needs, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Why a file or a name cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// The CA is not named.
    #[error("TLS needs the CA of the server: name its file with --cacert")]
    NoCa,
    /// One of certificate and key is named without the other.
    #[error("--cert and --key go together: {0} is missing")]
    Half(&'static str),
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A key that others may read.
    #[error("others may read the key in {0}: chmod 600")]
    Shared(PathBuf),
    /// A file cannot be used.
    #[error("{path}: {problem}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The name of the server is none.
    #[error("{0:?} is neither the name nor the address of a server")]
    ServerName(String),
}

impl TlsFiles {
    /// Reads and checks the files.
    ///
    /// # Errors
    ///
    /// The file or name that cannot be used.
    pub(crate) fn read(&self) -> Result<Tls, TlsFilesError> {
        let ca = self.ca.as_deref().ok_or(TlsFilesError::NoCa)?;
        let mut roots = RootCertStore::empty();
        for root in certificates(ca)? {
            roots.add(root).map_err(|error| unfit(ca, error.to_string()))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| unfit(ca, error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match (self.cert.as_deref(), self.key.as_deref()) {
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err(TlsFilesError::Half("--key")),
            (None, Some(_)) => return Err(TlsFilesError::Half("--cert")),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert)?, secret(key)?)
                .map_err(|error| unfit(key, error.to_string()))?,
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        let server_name = self.server_name.clone().map(server_name).transpose()?;
        Ok(Tls { config: Arc::new(config), server_name })
    }
}

/// The name or the address of a server.
///
/// # Errors
///
/// Where it is neither.
pub(crate) fn server_name(text: String) -> Result<ServerName<'static>, TlsFilesError> {
    ServerName::try_from(text.clone()).map_err(|_invalid| TlsFilesError::ServerName(text))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let text = read(path)?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, PemError>>();
    let all = all.map_err(|error| unfit(path, error.to_string()))?;
    if all.is_empty() {
        return Err(unfit(path, "there is no certificate in it".to_owned()));
    }
    Ok(all)
}

fn secret(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFilesError> {
    let file = fs::metadata(path).map_err(|error| unread(path, error))?;
    if !keeps_secret(file.mode(), file.uid()) {
        return Err(TlsFilesError::Shared(path.to_owned()));
    }
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| unfit(path, format!("no private key that is not encrypted: {error}")))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFilesError> {
    fs::read(path).map_err(|error| unread(path, error))
}

fn unread(path: &Path, error: io::Error) -> TlsFilesError {
    TlsFilesError::Read { path: path.to_owned(), error }
}

fn unfit(path: &Path, problem: String) -> TlsFilesError {
    TlsFilesError::Unfit { path: path.to_owned(), problem }
}

/// Why TLS failed, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub struct Untrusted {
    /// What happened.
    pub said: String,
    /// What to do about it.
    pub next: &'static str,
    /// Whether the server has refused us, rather than we it.
    pub is_refusal: bool,
}

impl Untrusted {
    /// Looks for an error of TLS among the causes of another.
    pub(crate) fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(current) = cause {
            let inner = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = inner.and_then(|inner| inner.downcast_ref::<TlsError>());
            if let Some(tls) = tls.or_else(|| current.downcast_ref()) {
                return Some(Self::of(tls));
            }
            // HTTP/2 keeps of an error of the connection nothing but its text.
            let text = current.to_string();
            let is_it =
                |alert: &AlertDescription| TlsError::AlertReceived(*alert).to_string() == text;
            if let Some(alert) = ALERTS.into_iter().find(is_it) {
                return Some(Self::of(&TlsError::AlertReceived(alert)));
            }
            cause = current.source();
        }
        None
    }

    fn of(error: &TlsError) -> Self {
        if let TlsError::AlertReceived(alert) = error {
            let (said, next) = refusal(*alert);
            return Self { said, next, is_refusal: true };
        }
        let (said, next) = if let TlsError::InvalidCertificate(error) = error {
            distrust(error)
        } else if let TlsError::InvalidMessage(_) = error {
            let said = "what answers there does not speak TLS".to_owned();
            (said, "for plain text, leave tls:// out of the endpoint")
        } else {
            (format!("TLS failed: {error}"), "does --endpoint name mosd's gRPC address?")
        };
        Self { said, next, is_refusal: false }
    }
}

/// What the server has against us.
#[expect(clippy::wildcard_enum_match_arm, reason = "there are many alerts, and few have advice")]
fn refusal(alert: AlertDescription) -> (String, &'static str) {
    use AlertDescription as Alert;
    let own = "`mosctl certs show FILE` tells names and days of a certificate; have a new one \
               issued";
    let (said, next) = match alert {
        Alert::CertificateExpired => ("the server says that your certificate has expired", own),
        Alert::CertificateRevoked => ("the server says that your certificate is revoked", own),
        Alert::UnknownCA | Alert::BadCertificate | Alert::DecryptError => (
            "the server does not trust the CA that issued your certificate",
            "use a certificate of the CA in tls.client_ca of mosd",
        ),
        Alert::NoApplicationProtocol => {
            ("the server does not speak HTTP/2", "does --endpoint name mosd's gRPC address?")
        }
        alert => {
            return (format!("the server has ended TLS with the alert {alert:?}"), own);
        }
    };
    (said.to_owned(), next)
}

/// What we have against the server.
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls may find more, which it says itself")]
fn distrust(error: &CertificateError) -> (String, &'static str) {
    use CertificateError as Found;
    match error {
        Found::UnknownIssuer | Found::BadSignature => (
            "the server's certificate is not from the CA in --cacert".to_owned(),
            "name the CA of this server with --cacert; is this the right host?",
        ),
        Found::Expired | Found::ExpiredContext { .. } => (
            "the server's certificate has expired".to_owned(),
            "whoever runs mosd has to renew it; is the clock of this machine right?",
        ),
        Found::NotValidYet | Found::NotValidYetContext { .. } => (
            "the server's certificate is not valid yet".to_owned(),
            "is the clock of this machine right?",
        ),
        Found::NotValidForName | Found::NotValidForNameContext { .. } => (
            format!("the server's certificate is for another name: {error}"),
            "call it by that name, or give the name with --server-name",
        ),
        error => (
            format!("the server's certificate cannot be trusted: {error}"),
            "whoever runs mosd has to look at it: `mosctl certs show FILE`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_tls_is_found_wherever_it_is_wrapped_and_has_a_next_step() {
        let alert = TlsError::AlertReceived(AlertDescription::CertificateExpired);
        let text = io::Error::other(alert.to_string());
        let wrapped = io::Error::other(alert.clone());
        for error in [&wrapped as &(dyn Error + 'static), &alert, &text] {
            let found = Untrusted::among(error).unwrap();
            assert!(found.is_refusal && found.said.contains("has expired"), "{found:?}");
            assert!(found.next.contains("certs show"), "{found:?}");
        }
        assert!(Untrusted::among(&io::Error::from(io::ErrorKind::ConnectionReset)).is_none());
        let name = TlsError::InvalidCertificate(CertificateError::NotValidForName);
        let found = Untrusted::among(&name).unwrap();
        assert!(!found.is_refusal && found.next.contains("--server-name"), "{found:?}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let files = TlsFiles::default();
        assert!(files.read().unwrap_err().to_string().contains("--cacert"));
        let files = TlsFiles { ca: Some("/nowhere/ca.pem".into()), ..files };
        assert!(files.read().unwrap_err().to_string().contains("/nowhere/ca.pem"));
    }
}

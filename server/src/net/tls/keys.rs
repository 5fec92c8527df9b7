//! What TLS goes by: the certificate and the key of mosd, the CAs of its clients, and what these
//! have revoked. All of it is checked as a whole, so that it is used as a whole or not at all.

use std::{path::PathBuf, sync::Arc};

use mos_text::Digest;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::{
    Error as TlsError, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use x509_cert::{Certificate as X509, crl::CertificateList, der::Decode as _};

use crate::{auth::Trust, words::validity::Validity};

/// What HTTP/2 over TLS is called (RFC 9113, section 3.2).
const ALPN: &[u8] = b"h2";

/// The files, as they are read.
#[derive(Debug)]
pub struct Files {
    /// The certificate of mosd, the leaf first.
    pub cert: Pem,
    /// Its key.
    pub key: Pem,
    /// The CAs of clients.
    pub client_ca: Pem,
    /// Their revocation lists.
    pub crl: Vec<Pem>,
    /// The oldest version of TLS that is spoken.
    pub min_version: MinVersion,
}

/// A file in PEM.
#[derive(Debug)]
pub struct Pem {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum MinVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// What TLS goes by.
#[derive(Debug)]
pub struct Keys {
    config: Arc<ServerConfig>,
    trust: Arc<Trust>,
    validities: Vec<Validity>,
    digest: Digest,
}

impl Keys {
    /// Makes sure that the files can be used together.
    ///
    /// # Errors
    ///
    /// The file that cannot be used, and why.
    pub fn new(files: &Files) -> Result<Self, String> {
        let Files { cert, key, client_ca, crl, min_version } = files;
        let texts = [cert, client_ca].into_iter().chain(crl).map(|pem| pem.text.as_str());
        let digest = Digest::of(texts.collect::<String>().as_bytes());
        let chain: Vec<CertificateDer<'static>> = cert.all("certificate")?;
        let secret = PrivateKeyDer::from_pem_slice(key.text.as_bytes());
        let secret = secret.map_err(|error| {
            key.mistake(format!("there is no private key in it that is not encrypted: {error}"))
        })?;
        let mut validities = Vec::new();
        for certificate in &chain {
            validities.push(cert.validity("certificate", certificate)?);
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(client_ca, crl, &provider, &mut validities)?;
        // Of each file, what ends first counts.
        validities.sort_by(|a, b| (a.what, &a.path, a.until).cmp(&(b.what, &b.path, b.until)));
        validities.dedup_by(|a, b| (a.what, &a.path) == (b.what, &b.path));
        let versions: &[&SupportedProtocolVersion] = match min_version {
            MinVersion::Tls12 => &[&TLS13, &TLS12],
            MinVersion::Tls13 => &[&TLS13],
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_single_cert(chain, secret);
        let mut config = config.map_err(|error| unfit(files, &error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            trust: Arc::new(Trust::new(verifier)),
            validities,
            digest,
        })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The digest of all files but the key, one behind the other.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whose certificates are taken.
    pub(crate) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust)
    }

    /// How long each file is good.
    pub(crate) fn validities(&self) -> &[Validity] {
        &self.validities
    }
}

/// What judges the certificates of clients; adds how long its files are good.
fn verifier(
    client_ca: &Pem,
    lists: &[Pem],
    provider: &Arc<CryptoProvider>,
    validities: &mut Vec<Validity>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for ca in client_ca.all::<CertificateDer<'static>>("certificate")? {
        validities.push(client_ca.validity("CA", &ca)?);
        roots
            .add(ca)
            .map_err(|error| client_ca.mistake(format!("a CA cannot be used: {error}")))?;
    }
    let mut revoked = Vec::new();
    for pem in lists {
        for list in pem.all::<CertificateRevocationListDer<'static>>("revocation list")? {
            validities.push(pem.validity_of_list(&list)?);
            revoked.push(list);
        }
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = builder.allow_unauthenticated().enforce_revocation_expiration();
    let verifier = builder.with_crls(revoked).build();
    verifier.map_err(|error| format!("tls.client_ca or tls.crl: {error}"))
}

/// Why the certificate and the key do not go together.
fn unfit(Files { cert, key, .. }: &Files, error: &TlsError) -> String {
    if matches!(error, TlsError::InconsistentKeys(_)) {
        key.mistake(format!("it is not the key of the certificate in {}", cert.path.display()))
    } else {
        cert.mistake(format!("it cannot be used with {}: {error}", key.path.display()))
    }
}

impl Pem {
    /// All sections of one kind: at least one.
    fn all<T: PemObject>(&self, kind: &str) -> Result<Vec<T>, String> {
        let all = T::pem_slice_iter(self.text.as_bytes()).collect::<Result<Vec<T>, PemError>>();
        match all {
            Ok(all) if !all.is_empty() => Ok(all),
            Ok(_) | Err(PemError::NoItemsFound) => {
                Err(self.mistake(format!("there is no {kind} in it")))
            }
            Err(error) => Err(self.mistake(error.to_string())),
        }
    }

    fn mistake(&self, problem: impl Into<String>) -> String {
        format!("{}: {}", self.path.display(), problem.into())
    }

    fn validity(&self, what: &'static str, certificate: &[u8]) -> Result<Validity, String> {
        let certificate = X509::from_der(certificate)
            .map_err(|error| self.mistake(format!("a {what} cannot be read: {error}")))?;
        let validity = certificate.tbs_certificate().validity();
        let path = self.path.clone();
        let (from, until) = (validity.not_before, validity.not_after);
        Ok(Validity { what, path, from: from.to_system_time(), until: until.to_system_time() })
    }

    fn validity_of_list(&self, list: &[u8]) -> Result<Validity, String> {
        let what = "revocation list";
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(list)
            .map_err(|error| self.mistake(format!("a {what} cannot be read: {error}")))?;
        let (from, until) = (list.tbs_cert_list.this_update, list.tbs_cert_list.next_update);
        let until = until.ok_or_else(|| self.mistake("a revocation list does not say its end"))?;
        let path = self.path.clone();
        Ok(Validity { what, path, from: from.to_system_time(), until: until.to_system_time() })
    }
}
